// Errors: constructors with formatted messages, and the early-return macros.
//
// The code is chosen by what the caller can do (DESIGN section 11):
//   transient  Unavailable         retry with backoff
//   data       DataLoss            a named place is damaged; skip or stop
//   resource   ResourceExhausted   slow down, or make room
//   request    InvalidArgument, NotFound, AlreadyExists, FailedPrecondition   fix the request
// A message says what, where (file, offset) and the way out.

#ifndef NEXUS_BASE_STATUS_H_
#define NEXUS_BASE_STATUS_H_

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace nexus {

using Status = absl::Status;
template <typename T>
using StatusOr = absl::StatusOr<T>;

inline Status OkStatus() { return absl::OkStatus(); }

inline absl::string_view ToAbsl(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view FromAbsl(absl::string_view s) { return {s.data(), s.size()}; }

namespace status_internal {
template <typename... Args>
Status Make(absl::StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Status(code, fmt::format(format, std::forward<Args>(args)...));
}
}  // namespace status_internal

#define NEXUS_DEFINE_ERROR(Name, Code)                                                         \
  template <typename... Args>                                                                  \
  Status Name(fmt::format_string<Args...> format, Args&&... args) {                            \
    return status_internal::Make(absl::StatusCode::Code, format, std::forward<Args>(args)...); \
  }
NEXUS_DEFINE_ERROR(Unavailable, kUnavailable)
NEXUS_DEFINE_ERROR(DataLoss, kDataLoss)
NEXUS_DEFINE_ERROR(ResourceExhausted, kResourceExhausted)
NEXUS_DEFINE_ERROR(InvalidArgument, kInvalidArgument)
NEXUS_DEFINE_ERROR(OutOfRange, kOutOfRange)
NEXUS_DEFINE_ERROR(NotFound, kNotFound)
NEXUS_DEFINE_ERROR(AlreadyExists, kAlreadyExists)
NEXUS_DEFINE_ERROR(FailedPrecondition, kFailedPrecondition)
NEXUS_DEFINE_ERROR(PermissionDenied, kPermissionDenied)
NEXUS_DEFINE_ERROR(DeadlineExceeded, kDeadlineExceeded)
NEXUS_DEFINE_ERROR(Cancelled, kCancelled)
NEXUS_DEFINE_ERROR(Unimplemented, kUnimplemented)
#undef NEXUS_DEFINE_ERROR

// The same error with `prefix: ` before its message. OK stays OK.
Status Annotate(const Status& status, std::string_view prefix);

// The error of a failed system call: code by what the caller can do about `error` (a positive
// errno), message "<what> <path>: <errno text>".
Status ErrnoStatus(int error, std::string_view what, std::string_view path);

}  // namespace nexus

#define NEXUS_STATUS_CONCAT_INNER(a, b) a##b
#define NEXUS_STATUS_CONCAT(a, b) NEXUS_STATUS_CONCAT_INNER(a, b)

// Returns from the enclosing function (RETURN) or coroutine (CO_RETURN) if `expr` is not OK.
#define NEXUS_RETURN_IF_ERROR(expr)                \
  do {                                             \
    ::absl::Status nexus_status_ = (expr);         \
    if (!nexus_status_.ok()) return nexus_status_; \
  } while (false)

#define NEXUS_CO_RETURN_IF_ERROR(expr)                \
  do {                                                \
    ::absl::Status nexus_status_ = (expr);            \
    if (!nexus_status_.ok()) co_return nexus_status_; \
  } while (false)

// NEXUS_ASSIGN_OR_RETURN(auto x, F()): declares or assigns the value of a StatusOr, or returns its
// error.
#define NEXUS_ASSIGN_OR_RETURN(lhs, expr) \
  NEXUS_ASSIGN_OR_RETURN_INNER(NEXUS_STATUS_CONCAT(nexus_or_, __LINE__), lhs, expr, return )
#define NEXUS_CO_ASSIGN_OR_RETURN(lhs, expr) \
  NEXUS_ASSIGN_OR_RETURN_INNER(NEXUS_STATUS_CONCAT(nexus_or_, __LINE__), lhs, expr, co_return )
#define NEXUS_ASSIGN_OR_RETURN_INNER(tmp, lhs, expr, ret) \
  auto tmp = (expr);                                      \
  if (!tmp.ok()) ret tmp.status();                        \
  lhs = std::move(*tmp)

#endif  // NEXUS_BASE_STATUS_H_
