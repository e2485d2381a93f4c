// Reserve: a preallocated file that is given up when the disk is full, so that flushes - which free
// log and memory - can finish, and taken again once there is room.
//
// Failure: none of its own; a reserve that cannot be made is tried again later.
// Threading: loop.

#ifndef NEXUS_ENGINE_RESERVE_H_
#define NEXUS_ENGINE_RESERVE_H_

#include <cstdint>
#include <string>

#include "base/status.h"
#include "io/environment.h"

namespace nexus::engine {

class Reserve {
 public:
  Reserve(io::Environment* environment, std::string path, uint64_t bytes);

  // Makes the file if the disk keeps at least twice its size free beside it. An existing one is
  // kept.
  io::Task<Status> Restore();
  // Frees the space, also of a file that Restore has not seen. True if there was any.
  io::Task<bool> Release();

 private:
  io::Environment* const environment_;
  const std::string path_;
  const uint64_t bytes_;
  bool held_ = false;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_RESERVE_H_
