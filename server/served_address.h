// The file `server.address` in a database's folder: where a running server listens, so that a
// command that finds the folder in use can say what to connect to.
//
// It is a hint: a server that was killed leaves it behind, and the folder's lock decides.
// Threading: the tasks run on the loop.

#ifndef NEXUS_SERVER_SERVED_ADDRESS_H_
#define NEXUS_SERVER_SERVED_ADDRESS_H_

#include <string>

#include "base/status.h"
#include "io/file.h"
#include "io/task.h"

namespace nexus::server {

io::Task<Status> WriteServedAddress(io::Disk* disk, std::string directory, std::string address);
io::Task<Status> RemoveServedAddress(io::Disk* disk, std::string directory);

// An error of opening `directory` because it is in use: the same with the address to connect to, if
// one is known. Any other status as it is. Blocks; any thread but the loop's.
Status WithServedAddress(const Status& status, const std::string& directory);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_SERVED_ADDRESS_H_
