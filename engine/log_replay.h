// LogReplay: the way out of a damaged log - `nexus wal replay` (DESIGN section 4).
//
// Replays what is good into layers, persists the catalog, moves every old segment and every
// unlisted layer file to quarantine/ (nothing is unlinked), and starts a log above them; reports
// what was kept and what was lost. A dry run writes nothing but the lock file. Crash safety: the
// old segments move only when all that was kept is in layers and in the synced catalog; running it
// again after a crash finishes the work. Failure: DataLoss if the log is damaged and skip_damaged
// was not given; InvalidArgument for a `to` below what the catalog has applied (that cannot be
// taken back). Threading: the task runs on the loop.

#ifndef NEXUS_ENGINE_LOG_REPLAY_H_
#define NEXUS_ENGINE_LOG_REPLAY_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "engine/core.h"
#include "engine/options.h"
#include "io/environment.h"

namespace nexus::engine {

struct LogReplayOptions {
  std::optional<Lsn> to;      // records that end above are lost on purpose
  bool skip_damaged = false;  // go on behind damage
  bool dry_run = false;
};

// What a set of records holds.
struct RecordTotals {
  uint64_t batches = 0;
  uint64_t samples = 0;
  uint64_t carries = 0;  // of small memtables: samples of batches before them, counted here only
  uint64_t carried_samples = 0;
  uint64_t definitions = 0;
  std::set<uint64_t> series;  // ids
  TimeRange range{INT64_MAX, INT64_MIN};
  std::map<std::string, uint64_t> edits;  // by kind
};

struct LogReplayReport {
  RecordTotals kept;
  RecordTotals lost;  // readable, but behind `to`
  // Stretches that cannot be read: what they held is not known.
  struct Damage {
    std::string segment;
    uint64_t offset = 0;
    Lsn from;
    Lsn until;
    std::string why;
  };
  std::vector<Damage> damage;
  uint64_t torn_tail_bytes = 0;
  // Lost with the damage: series whose definition was in it, records whose tenant was.
  uint64_t undefined_series = 0;
  uint64_t unusable_records = 0;
  std::vector<std::string> moved;  // to quarantine/
};

io::Task<StatusOr<LogReplayReport>> ReplayLog(io::Environment* environment, Options options,
                                              LogReplayOptions replay, CatalogHooks hooks);

// Adds what a record of the log holds to the totals. Errors: DataLoss - it cannot be decoded.
Status CountRecord(RecordKind kind, Bytes body, RecordTotals* totals);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_LOG_REPLAY_H_
