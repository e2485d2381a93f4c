// SmallDatabase: the engine's core in a simulated world, small everywhere, with an oracle that
// remembers what was promised, in the few words that tests of crashes and faults need.
//
// Every call may be cut short by a crash of the world (World::CrashAfterSteps); it then returns
// nullopt, and the outcome of what was under way is unknown. Wrong answers are failures of
// GoogleTest's. Threading: one.

#ifndef NEXUS_TESTS_ENGINE_SMALL_DATABASE_H_
#define NEXUS_TESTS_ENGINE_SMALL_DATABASE_H_

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/batch.h"
#include "engine/core.h"
#include "io/sim/world.h"
#include "tests/sim/branch_oracle.h"
#include "tests/sim/oracle.h"

namespace nexus::engine {

class SmallDatabase {
 public:
  using Place = sim_test::Place;

  SmallDatabase(uint64_t seed, sim::Options world);
  // In a world that `choices` decides about; they outlive it.
  SmallDatabase(sim::ChoiceSource* choices, sim::Options world);
  ~SmallDatabase();

  // ---- Lives.

  void Boot();  // if the world is not alive
  std::optional<Status> Open();
  std::optional<Status> Close();
  // Ends the incarnation, if it is alive, and forgets it: what it had in flight is in doubt.
  void Crash(sim::CrashKind kind);
  bool alive() const { return world_.alive(); }
  bool is_open() const { return core_ != nullptr; }

  // ---- Calls. REQUIRES: alive and open.

  // One batch with a sample at each place. Series are interned as they are first used.
  std::optional<Status> Append(std::vector<Place> places, const std::string& branch = "main");
  // The same without waiting for the answer; nullopt if there will be none.
  std::optional<uint64_t> Submit(std::vector<Place> places, const std::string& branch = "main");
  // Numbered. Sent again under the same number it must write nothing if an earlier copy is there.
  // REQUIRES: nothing else is written to these places.
  std::optional<Status> AppendOnce(ExactlyOnce number, std::vector<Place> places);
  std::optional<StatusOr<ProducerState>> OpenProducer(ProducerId producer, uint64_t epoch);
  // Deletes of series [first, last] of a branch what lies within [from, to].
  std::optional<Status> Delete(uint32_t series_first, uint32_t series_last, int64_t from,
                               int64_t to, const std::string& branch = "main");
  std::optional<Status> Flush();
  // REQUIRES: `from` is there for sure, the name is free.
  std::optional<Status> CreateBranch(const std::string& name, const std::string& from = "main",
                                     BranchKind kind = BranchKind::kBranch);
  // REQUIRES: it is there for sure.
  std::optional<Status> DeleteBranch(const std::string& name);
  const sim_test::BranchOracle& branches() const { return branches_; }
  // Sets a retention by which every sample before kYoung is expired. What is lost of them from now
  // on is no failure.
  std::optional<Status> KeepYoung();
  // By hand: the compactor does nothing by itself here, unless options() say so.
  std::optional<Status> Compact();
  // Waits until every batch that was submitted is answered.
  void AwaitAnswers();
  // Lets background work go on for this long.
  void RunFor(int64_t ns);

  // ---- Judging. REQUIRES: alive and open.

  // Reads series [first, last] within [from, to]. An error of the query is returned and no failure:
  // what it may be is the caller's to say. Wrong data are a failure.
  Status Query(uint32_t series_first, uint32_t series_last, int64_t from, int64_t to);
  Status QueryAll() { return Query(0, kSeries - 1, INT64_MIN, INT64_MAX); }
  // Every branch that must be there is, and everything is as promised; an error is a failure.
  void ExpectRight();
  // Files are those the database refers to and what it will clean up by itself (rule 9), once its
  // background work has come to rest.
  void ExpectOnlyKnownFiles();
  // After a crash: opens, and what it shows survives writing on and one more power cut.
  void ExpectRecovers();

  // A hash of the catalog's file. REQUIRES: booted and not open.
  uint64_t CatalogHash();
  // Changes with every promise and with the catalog's file.
  uint64_t Progress() const { return promises_ << 20 ^ catalog_changes_; }

  sim::World& world() { return world_; }
  Options& options() { return options_; }
  DatabaseCore* core() { return core_.get(); }

  static constexpr char kFolder[] = "/db";
  static constexpr uint32_t kSeries = 16;
  static constexpr int64_t kYoung = 1'000'000'000'000'000'000;

 private:
  struct Request : CommitRequest {
    Request(SmallDatabase* database, std::shared_ptr<sim_test::Oracle> judge, uint64_t number)
        : CommitRequest(Kind::kBatch, {}, &Done, &Release),
          encoder({}, {}),
          owner(database),
          oracle(std::move(judge)),
          batch(number) {}
    static void Done(CommitRequest* request, const Status& status);
    static void Release(CommitRequest* request);
    BatchEncoder encoder;
    SmallDatabase* const owner;
    const std::shared_ptr<sim_test::Oracle> oracle;  // of its branch
    const uint64_t batch;
    std::optional<Status> answer;
    bool released = false;
  };

  void SetUp();
  CatalogHooks Hooks();
  // Makes the ids of these places' series known; false if that failed or the world crashed.
  bool Intern(const std::vector<Place>& places);
  Request* Send(std::vector<Place> places, std::optional<ExactlyOnce> number,
                const std::string& branch);
  Status QueryBranch(const std::string& branch, sim_test::Oracle::Query query);
  std::optional<Status> Await(Request* request);
  void JudgeNumbered(const Request& request);
  void ForgetIncarnation();

  sim::World world_;
  Options options_;
  sim_test::BranchOracle branches_;
  uint64_t promises_ = 0;
  bool looked_ = false;  // at the branches, in this incarnation
  std::unique_ptr<DatabaseCore> core_;
  std::map<uint32_t, SeriesId> ids_;
  std::deque<std::unique_ptr<Request>> requests_;  // of this incarnation
  // Batches whose outcome shows at the next opening.
  std::vector<std::pair<std::shared_ptr<sim_test::Oracle>, uint64_t>> unknown_;
  // Of each (producer, sequence), the copies that may be there: none was refused.
  std::map<std::pair<uint64_t, uint64_t>, std::vector<uint64_t>> copies_;
  std::map<uint64_t, uint64_t> copy_by_value_;  // bits of a sample, batch
  std::set<uint64_t> copies_present_;           // acknowledged or read
  uint64_t catalog_changes_ = 0;
};

}  // namespace nexus::engine

#endif  // NEXUS_TESTS_ENGINE_SMALL_DATABASE_H_
