// NEXUS_CHECK: stops the program on a broken invariant, in release builds too.
//
// For programmer errors only, one condition each. Never on bytes from disk, network or a user:
// those get an absl::Status.

#ifndef NEXUS_BASE_CHECK_H_
#define NEXUS_BASE_CHECK_H_

namespace nexus {

// Writes file, line and the condition to standard error, then aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);

}  // namespace nexus

#define NEXUS_CHECK(condition)                         \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::nexus::CheckFailed(__FILE__, __LINE__, #condition))

#endif  // NEXUS_BASE_CHECK_H_
