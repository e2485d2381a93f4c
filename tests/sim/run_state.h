// The class behind RunScenario: what a run knows, and all that it does. run.cc has its course,
// run_restart.cc openings and crashes, run_samples.cc appends and queries, run_life.cc the
// operations on branches, deletes, retention, tenants and backups. Threading: one thread.

#ifndef NEXUS_TESTS_SIM_RUN_STATE_H_
#define NEXUS_TESTS_SIM_RUN_STATE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/batch.h"
#include "engine/nexus.h"
#include "tests/sim/backups.h"
#include "tests/sim/branch_oracle.h"
#include "tests/sim/clients.h"
#include "tests/sim/life.h"
#include "tests/sim/oracle.h"
#include "tests/sim/retention_model.h"
#include "tests/sim/rollup_check.h"
#include "tests/sim/run.h"
#include "tests/sim/workload.h"

namespace nexus::sim_test {

using engine::CommitRequest;
using sim::Fault;
using sim::Stream;

// What an append writes.
std::vector<Place> PlacesOf(const Op& op);
// Whether an error tells of what the world injects, other than damage to data.
bool IsByFault(std::string_view message);

// Choices by seed, which keep count of the faults that hit.
class CountingChoices : public sim::SeededChoices {
 public:
  explicit CountingChoices(uint64_t seed) : SeededChoices(seed) {}
  bool Chance(Stream stream, uint32_t per_million) override {
    const bool hit = SeededChoices::Chance(stream, per_million);
    if (hit) hits_[static_cast<size_t>(stream)]++;
    return hit;
  }
  uint64_t hits(Fault fault) const { return hits_[static_cast<size_t>(sim::StreamOf(fault))]; }

 private:
  std::array<uint64_t, sim::kStreamCount> hits_{};
};

class Run {
 public:
  Run(const Scenario& scenario, const RunOptions& options);
  ~Run();
  RunResult Execute();

 private:
  // A batch, and the oracle of its branch.
  using Batch = std::pair<std::shared_ptr<Oracle>, uint64_t>;
  // One append, or delete, in flight; the request dies with its incarnation at the latest.
  class Append : public CommitRequest {
   public:
    Append(Run* owner, std::shared_ptr<Oracle> judge, uint64_t number, Kind what = Kind::kBatch)
        : CommitRequest(what, {}, &Done, &Release),
          encoder({}, {}),
          owner_(owner),
          batch_(std::move(judge), number) {}
    const Batch& batch() const { return batch_; }
    engine::BatchEncoder encoder;
    std::string edit;  // of a delete

   private:
    static void Done(CommitRequest* request, const Status& status);
    static void Release(CommitRequest* request);
    Run* const owner_;
    const Batch batch_;
  };

  void Trace(std::string_view line) {
    if (options_.trace_sink) options_.trace_sink(line);
  }
  void Fail(std::string what) {
    if (!result_.violation.has_value()) result_.violation = std::move(what);
  }
  bool failed() const { return result_.violation.has_value(); }
  void Count(std::string_view what, uint64_t n = 1);
  bool Has(Fault fault) const;

  void OpenSurely(const std::vector<int64_t>& nested);
  enum class Opened : uint8_t { kYes, kNo, kNoByFault };
  Opened TryOpen(std::optional<int64_t> crash_within);
  void EndLife();
  void Crash(sim::CrashKind kind);
  void CloseCleanly();
  void ReopenIfLogFailed();

  void Operate(const Op& op);
  void Restart(const Op& op);
  void LoseCatalog(const Op& op);
  void DoAppend(const Op& op);
  void Send(const std::vector<Place>& places, const std::string& branch, bool buffered);
  void DoBranchAppend(const Op& op);
  void DoBranchQuery(const Op& op);
  void MakeBranch(const std::string& name, BranchKind kind, int64_t from);
  void DropBranch(const Op& op);
  // Of those that are there for sure, number `which`; empty if there is none.
  enum class Which : uint8_t { kAny, kButMain, kBranchesButMain };
  std::string BranchNumber(int64_t which, Which among) const;
  void DoDelete(const Op& op);
  void DoBranchDelete(const Op& op);
  // Of the series that the selector chooses, which are those of the region.
  void SendDelete(const Region& region, std::string selector, const std::string& branch);
  void DoRetention(const Op& op);
  void DoAcceptClock();
  void DoRollups(const Op& op);
  // Rule 14. What they fail with is the query's.
  Status TryRollups(const std::string& branch, const std::string& selector, TimeRange range);
  Status TryFrozen();
  void ObserveRetention(RetentionModel::Since since);
  void ExpireInOracles();
  void CheckExpiredAreGone(int64_t clock_ns);
  void DoClientAppend(const Op& op);
  void DoQuery(const Op& op);
  void CheckRejected();
  void DoTenant(int64_t number);
  void DropTenant(int64_t number);
  void DoBackup(const Op& op);
  void JudgeBackups();
  void SetFaults(bool on);
  void Calm();
  void Damage();

  void CheckAll(std::string_view when);
  void CheckTenants();
  void CheckBranches();
  void CheckFiles(std::string_view when);
  void CheckGarbage();
  // `damaged`: an error that names a file is right, too.
  void CheckRange(Oracle::Query query, int64_t pause, bool damaged = false,
                  const std::string& branch = "main");
  // What a query gave, and how it is asked again.
  void Judge(const Status& status, const std::function<Status()>& again);
  // What the query itself gave; what it showed is judged.
  Status TryRange(Oracle::Query query, int64_t pause, const std::string& branch);

  const Scenario scenario_;
  const RunOptions options_;
  CountingChoices choices_;
  sim::World world_;
  Options tuned_;
  BranchOracle branches_;
  Oracle& oracle_;  // of main
  RetentionModel retention_;
  FrozenBuckets frozen_;
  uint64_t rollup_checks_ = 0;
  bool catalog_rebuilt_ = false;  // it begins with what an image lists, of an earlier time
  RunResult result_;
  Backups backups_;
  std::unique_ptr<Clients> clients_;
  std::unique_ptr<Life> life_;
  std::vector<std::unique_ptr<Append>> appends_;
  std::vector<Batch> unknown_;       // appends that ended with the log's failure
  std::vector<Batch> buffered_;      // acknowledged as such in this life
  std::vector<int64_t> rejected_;    // timestamps of samples that were, and are not judged yet
  bool log_failed_ = false;          // in this life
  bool looked_ = false;              // at the branches, in this life
  std::map<int64_t, bool> tenants_;  // number: whether it is there; those in doubt are not listed
};

}  // namespace nexus::sim_test

#endif  // NEXUS_TESTS_SIM_RUN_STATE_H_
