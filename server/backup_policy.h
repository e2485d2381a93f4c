// Where a server may write backups: a backup is written where the client says, with the server's
// rights, and there is no authentication.
//
// A server that listens on loopback alone writes wherever its own machine's users tell it - still
// only to missing and empty folders and to backups of its database. One that can be reached from
// elsewhere writes nowhere but below the setting backup_directory; with that set, so does the
// other.
// Threading: pure functions.

#ifndef NEXUS_SERVER_BACKUP_POLICY_H_
#define NEXUS_SERVER_BACKUP_POLICY_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace nexus::server {

struct BackupPolicy {
  std::string directory;        // backup_directory; empty: not set
  bool beyond_loopback = true;  // strangers may reach the server
};

// OK, or what speaks against it: InvalidArgument - no absolute path, or one that goes up;
// PermissionDenied - the setting, with the way out.
Status CheckDestination(const BackupPolicy& policy, std::string_view destination);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_BACKUP_POLICY_H_
