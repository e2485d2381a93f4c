// Error text and the mapping from errno to status codes. See status.h.

#include "base/status.h"

#include <cerrno>
#include <cstring>

namespace nexus {
namespace {

absl::StatusCode CodeOf(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::StatusCode::kNotFound;
    case EEXIST:
      return absl::StatusCode::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return absl::StatusCode::kResourceExhausted;
    case EIO:
      return absl::StatusCode::kDataLoss;
    case EINVAL:
    case ENAMETOOLONG:
    case EISDIR:
    case ELOOP:
      return absl::StatusCode::kInvalidArgument;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

}  // namespace

Status Annotate(const Status& status, std::string_view prefix) {
  if (status.ok()) return status;
  return Status(status.code(), fmt::format("{}: {}", prefix, FromAbsl(status.message())));
}

Status ErrnoStatus(int error, std::string_view what, std::string_view path) {
  char buffer[128] = {};
  const char* text = strerror_r(error, buffer, sizeof(buffer));
  return Status(CodeOf(error), fmt::format("{} {}: {}", what, path, text));
}

}  // namespace nexus
