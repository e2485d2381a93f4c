// Reading and writing the hint. See served_address.h.

#include "server/served_address.h"

#include "io/file_util.h"
#include "server/command.h"

namespace nexus::server {
namespace {

constexpr std::string_view kFileName = "server.address";
constexpr size_t kAddressBytesMax = 256;

}  // namespace

io::Task<Status> WriteServedAddress(io::Disk* disk, std::string directory, std::string address) {
  std::string path = io::JoinPath(directory, kFileName);
  co_return co_await io::ReplaceFile(disk, path, address + "\n");
}

io::Task<Status> RemoveServedAddress(io::Disk* disk, std::string directory) {
  std::string path = io::JoinPath(directory, kFileName);
  co_return co_await io::Unlink(disk, path);
}

Status WithServedAddress(const Status& status, const std::string& directory) {
  const bool in_use = absl::IsFailedPrecondition(status) &&
                      FromAbsl(status.message()).find("in use") != std::string_view::npos;
  if (!in_use) return status;
  StatusOr<io::RealEnvironment*> environment = GetEnvironment();
  if (!environment.ok()) return status;
  std::string path = io::JoinPath(directory, kFileName);
  StatusOr<std::string> address =
      (*environment)->BlockOn(io::ReadWholeFile((*environment)->disk(), path, kAddressBytesMax));
  if (!address.ok() || address->empty() || address->back() != '\n') return status;
  address->pop_back();
  return FailedPrecondition("{}; it is served at {}: use --connect {} instead of --data",
                            FromAbsl(status.message()), *address, *address);
}

}  // namespace nexus::server
