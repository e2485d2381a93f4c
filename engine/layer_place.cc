// Links and copies. See layer_place.h.

#include "engine/layer_place.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/layer_writer.h"
#include "io/file_util.h"
#include "layer/layer_verifier.h"

namespace nexus::engine {
namespace {

// What is read and written at a time: few calls a byte, and a cancelled copy ends soon.
constexpr uint64_t kPieceBytes = 1 << 20;

}  // namespace

LayerFileSet::LayerFileSet(const std::vector<catalog::LayerRecord>& layers) {
  for (const catalog::LayerRecord& record : layers) {
    if (by_name.emplace(record.file_name, record).second) bytes += record.file_bytes;
  }
}

LayerPlacer::LayerPlacer(io::Environment* environment, DatabaseId origin,
                         std::function<Status(uint64_t)> go_on)
    : environment_(environment), origin_(origin), go_on_(std::move(go_on)) {}

StatusOr<std::shared_ptr<const layer::LayerReader>> LayerPlacer::Open(
    const catalog::LayerRecord& record, const std::string& directory) const {
  const std::string path = io::JoinPath(directory, record.file_name);
  StatusOr<std::unique_ptr<io::File>> file = io::OpenFileBlocking(environment_->disk(), path);
  if (absl::IsNotFound(file.status())) return DataLoss("layer {}: it is missing", path);
  NEXUS_RETURN_IF_ERROR(file.status());
  const int64_t bytes = (*file)->Size();
  if (bytes < 0) return ErrnoStatus(static_cast<int>(-bytes), "size of", path);
  if (static_cast<uint64_t>(bytes) != record.file_bytes) {
    return DataLoss("layer {}: it has {} bytes, {} were published", path, bytes, record.file_bytes);
  }
  return layer::LayerReader::Open(*std::move(file), nullptr,
                                  ExpectationOf(LayerFileName(record), origin_));
}

// False if there is nothing, or not this layer.
io::Task<StatusOr<bool>> LayerPlacer::IsThere(catalog::LayerRecord record, std::string directory) {
  auto open = [this, &record, &directory] { return Open(record, directory).status(); };
  const Status status = co_await environment_->executor()->Run(io::Lane::kWorker, open);
  if (absl::IsDataLoss(status) || absl::IsFailedPrecondition(status)) co_return false;
  NEXUS_CO_RETURN_IF_ERROR(status);
  co_return true;
}

io::Task<Status> LayerPlacer::Copy(std::string from, std::string to) {
  io::Disk* disk = environment_->disk();
  io::OpenFlags read_only;
  NEXUS_CO_ASSIGN_OR_RETURN(std::unique_ptr<io::File> source,
                            co_await io::OpenFile(disk, std::move(from), read_only));
  io::OpenFlags flags;
  flags.write = flags.create = flags.truncate = true;
  NEXUS_CO_ASSIGN_OR_RETURN(std::unique_ptr<io::File> target,
                            co_await io::OpenFile(disk, std::move(to), flags));
  io::AlignedBuffer buffer(kPieceBytes);
  uint64_t offset = 0;
  while (true) {
    NEXUS_CO_RETURN_IF_ERROR(go_on_(bytes_done_ + offset));
    NEXUS_CO_ASSIGN_OR_RETURN(uint64_t got,
                              co_await io::ReadUpTo(source.get(), offset, buffer.span()));
    if (got == 0) break;
    NEXUS_CO_RETURN_IF_ERROR(co_await io::WriteAll(target.get(), offset, buffer.span().first(got)));
    offset += got;
  }
  placed_.copied_bytes += offset;
  co_return co_await io::SyncFile(target.get());
}

io::Task<Status> LayerPlacer::Place(catalog::LayerRecord record, std::string from, std::string to) {
  NEXUS_CO_RETURN_IF_ERROR(go_on_(bytes_done_));
  NEXUS_CO_ASSIGN_OR_RETURN(const bool is_there, co_await IsThere(record, to));
  if (is_there) {
    placed_.kept++;
    bytes_done_ += record.file_bytes;
    co_return OkStatus();
  }
  io::Disk* disk = environment_->disk();
  const std::string source = io::JoinPath(from, record.file_name);
  const std::string target = io::JoinPath(to, record.file_name);
  const std::string temporary = target + ".tmp";
  // Left over from a backup that was interrupted.
  const Status cleared = co_await io::Unlink(disk, temporary);
  if (!absl::IsNotFound(cleared)) NEXUS_CO_RETURN_IF_ERROR(cleared);
  NEXUS_CO_ASSIGN_OR_RETURN(const bool linked, co_await io::Link(disk, source, temporary));
  if (!linked) NEXUS_CO_RETURN_IF_ERROR(co_await Copy(source, temporary));
  NEXUS_CO_RETURN_IF_ERROR(co_await io::Rename(disk, temporary, target));
  auto open = [this, &record, &to] { return Open(record, to).status(); };
  NEXUS_CO_RETURN_IF_ERROR(co_await environment_->executor()->Run(io::Lane::kWorker, open));
  (linked ? placed_.linked : placed_.copied)++;
  bytes_done_ += record.file_bytes;
  co_return OkStatus();
}

io::Task<Status> LayerPlacer::Verify(catalog::LayerRecord record, std::string directory) {
  auto open = [this, &record, &directory] { return Open(record, directory); };
  auto reader = co_await environment_->executor()->Run(io::Lane::kWorker, open);
  NEXUS_CO_RETURN_IF_ERROR(reader.status());
  Status damage;
  layer::LayerVerifier::Visitor visitor;
  visitor.damage = [&damage](const layer::LayerDamage& found) {
    damage.Update(DataLoss("{}", found.description));
  };
  layer::LayerVerifier verifier(*std::move(reader), std::move(visitor));
  auto piece = [&verifier]() -> StatusOr<bool> {
    const uint64_t until = verifier.progress().bytes_done + kPieceBytes;
    bool more = true;
    while (more && verifier.progress().bytes_done < until) more = verifier.Step();
    return more;
  };
  bool more = true;
  while (more && damage.ok()) {
    NEXUS_CO_RETURN_IF_ERROR(go_on_(bytes_done_));
    NEXUS_CO_ASSIGN_OR_RETURN(more,
                              co_await environment_->executor()->Run(io::Lane::kWorker, piece));
  }
  co_return damage;
}

}  // namespace nexus::engine
