// RetentionKeeper: moves the retention clock on, and answers what concerns it.
//
// While a tenant has rules an AcceptClock edit says, every hundredth of the shortest of them, where
// the clock is now by the monotonic clock: what is dropped rests on what is durable, so that a
// crash does not take the clock back. Jumps of the wall clock do not reach it. Failure: a step that
// cannot be logged is tried again with the next. Threading: loop.

#ifndef NEXUS_ENGINE_RETENTION_KEEPER_H_
#define NEXUS_ENGINE_RETENTION_KEEPER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "catalog/records.h"
#include "engine/committer.h"
#include "engine/options.h"
#include "engine/retention_rule.h"
#include "engine/rollup_rule.h"
#include "engine/state.h"
#include "io/task.h"

namespace nexus::engine {

// Rules and clock as the catalog has them; `settings` are the database's, those of tenants stand in
// their records. DataLoss: unreadable.
Status LoadRetention(DatabaseState* state, const std::vector<catalog::Setting>& settings);

// The shortest retention there may be: a sample so young may still be in a memtable
// (flush_interval_ms) or wait in level 0 for the end of its window (the first of
// compaction_windows). REQUIRES: options that DatabaseCore::Open has checked.
int64_t HeadWindowNs(const Options& options);

class RetentionKeeper {
 public:
  RetentionKeeper(DatabaseState* state, Committer* committer);

  // The database has been opened. A note for people if the wall clock is too far ahead, or empty.
  std::string TakeWall();
  // Runs until Stop. Spawned once.
  io::Task<void> Run();
  void Stop();

  // Brings the clock of the log to where it is now, if anybody goes by it.
  io::Task<Status> Advance();
  // See the methods of nexus.h.
  StatusOr<RetentionInfo> Describe(TenantId tenant) const;
  io::Task<Status> Set(TenantId tenant, std::vector<RetentionRule> rules);
  // Which rollups the tenant keeps from now on. Errors: those of CheckRollups.
  io::Task<Status> SetRollups(TenantId tenant, std::vector<RollupRule> rules);
  io::Task<Status> Accept();

 private:
  struct Tick : io::Timer {
    Tick(RetentionKeeper* k, Function f) : Timer(f), keeper(k) {}
    RetentionKeeper* keeper;
  };

  // The least of all tenants' retentions; 0 if there is none.
  int64_t ShortestNs() const;
  int64_t StepNs() const;
  io::Task<Status> MoveTo(int64_t clock_ns);

  DatabaseState* const state_;
  Committer* const committer_;
  Tick tick_;
  io::Event wake_;
  bool stopping_ = false;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_RETENTION_KEEPER_H_
