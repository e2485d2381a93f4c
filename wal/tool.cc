// Reports and file moves for the `nexus wal` commands. See tool.h.

#include "wal/tool.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "io/file_util.h"
#include "wal/format.h"

namespace nexus::wal {
namespace {

constexpr uint64_t kCopyBytes = uint64_t{1} << 20;

std::string_view FileNameOf(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string SegmentLine(const SegmentScan& segment) {
  return fmt::format(
      "{}  lsn {}..{}  {} records  {} bytes{}", FileNameOf(segment.path), segment.base.value,
      segment.end().value, segment.records, segment.data_end - segment.data_begin,
      segment.blemishes == 0 ? std::string()
                             : fmt::format("  {} harmless blemishes", segment.blemishes));
}

std::string DamageLine(const Damage& damage) {
  std::string until =
      damage.until > damage.lsn ? fmt::format(" until {}", damage.until.value) : std::string();
  return fmt::format("DAMAGE {} at offset {}, LSN {}{}: {}", damage.path, damage.offset,
                     damage.lsn.value, until, damage.why);
}

// Reads up to the end of `into`; sectors that cannot be read become zeros.
StatusOr<uint64_t> ReadWhatIsReadable(const io::File& file, uint64_t offset, MutableBytes into) {
  StatusOr<uint64_t> whole = io::ReadUpToBlocking(file, offset, into);
  if (whole.ok()) return whole;
  uint64_t done = 0;
  while (done < into.size()) {
    uint64_t bytes = std::min(io::kSectorBytes, into.size() - done);
    StatusOr<uint64_t> got = io::ReadUpToBlocking(file, offset + done, into.subspan(done, bytes));
    if (!got.ok()) {
      std::memset(into.data() + done, 0, bytes);
      got = bytes;
    }
    done += *got;
    if (*got < bytes) break;
  }
  return done;
}

// Copies `from` to a new file `to`, synced.
io::Task<Status> CopyFile(io::Environment* environment, std::string from, std::string to) {
  io::Disk* disk = environment->disk();
  NEXUS_CO_ASSIGN_OR_RETURN(std::unique_ptr<io::File> source,
                            co_await io::OpenFile(disk, from, io::OpenFlags()));
  io::OpenFlags flags;
  flags.write = flags.create = flags.truncate = true;
  NEXUS_CO_ASSIGN_OR_RETURN(std::unique_ptr<io::File> target,
                            co_await io::OpenFile(disk, to, flags));
  io::AlignedBuffer buffer(kCopyBytes);
  uint64_t done = 0;
  while (true) {
    StatusOr<uint64_t> got = co_await environment->executor()->Run(
        io::Lane::kWorker,
        [&source, &buffer, done] { return ReadWhatIsReadable(*source, done, buffer.span()); });
    NEXUS_CO_RETURN_IF_ERROR(got.status());
    NEXUS_CO_RETURN_IF_ERROR(co_await io::WriteAll(target.get(), done, buffer.span().first(*got)));
    done += *got;
    if (*got < buffer.size()) break;
  }
  co_return co_await io::SyncFile(target.get());
}

// The segment files that have damage, by name.
std::set<std::string> DamagedFiles(const LogScan& scan) {
  std::set<std::string> paths;
  for (const Damage& damage : scan.damage) {
    std::optional<FileName> name = ParseFileName(FileNameOf(damage.path));
    if (name.has_value() && name->kind == FileName::Kind::kSegment) paths.insert(damage.path);
  }
  return paths;
}

// Every segment file of the scan, oldest first (their names sort by age).
std::set<std::string> AllSegmentFiles(const LogScan& scan) {
  std::set<std::string> paths = DamagedFiles(scan);
  for (const SegmentScan& segment : scan.segments) paths.insert(segment.path);
  for (const SpareFile& dead : scan.dead) paths.insert(dead.path);
  return paths;
}

}  // namespace

std::vector<std::string> VerifyReport(const LogScan& scan) {
  std::vector<std::string> lines;
  for (const SegmentScan& segment : scan.segments) lines.push_back(SegmentLine(segment));
  lines.push_back(fmt::format("log ends at LSN {}, {} records in {} segments{}", scan.end.value,
                              scan.records(), scan.segments.size(),
                              scan.from_the_beginning() ? ", whole from its beginning" : ""));
  if (scan.torn_bytes > 0) {
    lines.push_back(
        fmt::format("torn tail behind LSN {}: {} bytes of frames that were never durable",
                    scan.end.value, scan.torn_bytes));
  }
  for (const std::string& note : scan.notes) lines.push_back("note: " + note);
  for (const Damage& damage : scan.damage) lines.push_back(DamageLine(damage));
  if (scan.damage_count > scan.damage.size()) {
    lines.push_back(
        fmt::format("DAMAGE in {} more places", scan.damage_count - scan.damage.size()));
  }
  return lines;
}

io::Task<Status> VisitRecords(io::Environment* environment, LogScan scan, CursorOptions options,
                              std::function<bool(const RecordView&)> visit) {
  LogCursor cursor(environment, scan, options);
  while (true) {
    NEXUS_CO_ASSIGN_OR_RETURN(std::span<const RecordView> records, co_await cursor.Next());
    if (records.empty()) co_return OkStatus();
    for (const RecordView& record : records) {
      if (!visit(record)) co_return OkStatus();
    }
  }
}

io::Task<StatusOr<std::vector<std::string>>> CopyDamagedSegments(io::Environment* environment,
                                                                 LogScan scan,
                                                                 std::string quarantine) {
  std::vector<std::string> copies;
  std::set<std::string> damaged = DamagedFiles(scan);
  if (damaged.empty()) co_return copies;
  NEXUS_CO_RETURN_IF_ERROR(co_await io::MakeDirectories(environment->disk(), quarantine));
  for (const std::string& path : damaged) {
    std::string copy = io::JoinPath(quarantine, FileNameOf(path));
    NEXUS_CO_RETURN_IF_ERROR(co_await CopyFile(environment, path, copy));
    copies.push_back(std::move(copy));
  }
  NEXUS_CO_RETURN_IF_ERROR(co_await io::SyncDirectory(environment->disk(), quarantine));
  co_return copies;
}

io::Task<StatusOr<std::vector<std::string>>> MoveSegmentsAside(io::Environment* environment,
                                                               LogScan scan,
                                                               std::string quarantine) {
  io::Disk* disk = environment->disk();
  std::vector<std::string> moved;
  NEXUS_CO_RETURN_IF_ERROR(co_await io::MakeDirectories(disk, quarantine));
  for (const std::string& path : AllSegmentFiles(scan)) {
    std::string target = io::JoinPath(quarantine, FileNameOf(path));
    NEXUS_CO_RETURN_IF_ERROR(co_await io::Rename(disk, path, target));
    // If a crash had left both names for one file, renaming one to the other did nothing.
    co_await disk->Unlink(path);
    NEXUS_CO_RETURN_IF_ERROR(co_await io::SyncDirectory(disk, quarantine));
    NEXUS_CO_RETURN_IF_ERROR(co_await io::SyncDirectory(disk, scan.directory));
    moved.push_back(std::move(target));
  }
  co_return moved;
}

}  // namespace nexus::wal
