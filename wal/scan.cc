// Scanning a log: list, read headers, walk, decide. See scan.h.

#include "wal/scan.h"

#include <algorithm>
#include <utility>

#include "io/file_util.h"
#include "wal/analysis.h"
#include "wal/chain.h"

namespace nexus::wal {

uint64_t LogScan::records() const {
  uint64_t count = 0;
  for (const SegmentScan& segment : segments) count += segment.records;
  return count;
}

Status LogScan::status() const {
  if (damage.empty()) return OkStatus();
  const Damage& first = damage.front();
  std::string more =
      damage_count > 1 ? fmt::format(" (and {} more places)", damage_count - 1) : std::string();
  return DataLoss(
      "{} at offset {}, LSN {}: {}{}; nothing was changed; "
      "`nexus wal replay DIR [--to LSN] [--skip-damaged] [--dry-run]` replays what is good",
      first.path, first.offset, first.lsn.value, first.why, more);
}

io::Task<StatusOr<LogScan>> ScanLog(io::Environment* environment, std::string directory,
                                    Witness witness,
                                    std::function<void(const ScanProgress&)> progress) {
  io::Disk* disk = environment->disk();
  io::Executor* executor = environment->executor();
  NEXUS_CO_ASSIGN_OR_RETURN(std::vector<io::DirectoryEntry> entries,
                            co_await io::List(disk, directory));
  LogFiles files = SortFiles(directory, entries);
  Status read = co_await executor->Run(io::Lane::kWorker, [disk, witness, &files] {
    SetAsideSecondNames(disk, &files);
    return ReadSegmentFiles(disk, witness.database, &files);
  });
  NEXUS_CO_RETURN_IF_ERROR(read);

  LogAnalysis analysis(disk, directory, witness, BuildChain(std::move(files.segments)));
  ScanProgress passed;
  passed.bytes_total = analysis.bytes_total();
  for (size_t i = 0; i < analysis.link_count(); i++) {
    co_await executor->Run(io::Lane::kWorker, [&analysis, i] { analysis.Walk(i); });
    passed.bytes_done += analysis.link_bytes(i);
    if (progress) progress(passed);
  }
  LogScan scan = analysis.Finish();
  scan.spares = std::move(files.spares);
  scan.leftovers = std::move(files.leftovers);
  scan.next_sequence = files.sequence_max + 1;
  scan.open_count_max = files.open_count_max;
  co_return scan;
}

}  // namespace nexus::wal
