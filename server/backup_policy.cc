// The rule. See backup_policy.h.

#include "server/backup_policy.h"

#include <optional>

#include "io/file_util.h"

namespace nexus::server {

Status CheckDestination(const BackupPolicy& policy, std::string_view destination) {
  if (!destination.starts_with('/')) {
    return InvalidArgument(
        "\"{}\": a server writes a backup on its own machine; give an absolute path there",
        destination);
  }
  const std::optional<std::string> plain = io::PlainPath(destination);
  if (!plain.has_value() || destination.find('\0') != std::string_view::npos) {
    return InvalidArgument("\"{}\": give the path of the backup without \"..\" and zero bytes",
                           destination);
  }
  if (policy.directory.empty()) {
    if (!policy.beyond_loopback) return OkStatus();
    return PermissionDenied(
        "the server can be reached from other machines, so it writes no backups where a client "
        "says; set backup_directory to the folder below which it may");
  }
  const std::optional<std::string> allowed = io::PlainPath(policy.directory);
  const bool is_below = allowed.has_value() && plain->starts_with(*allowed) && *plain != *allowed;
  if (is_below) return OkStatus();
  return PermissionDenied("\"{}\": the server writes backups below {} only (backup_directory)",
                          destination, policy.directory);
}

}  // namespace nexus::server
