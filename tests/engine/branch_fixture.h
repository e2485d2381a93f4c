// BranchFixture: a small simulated database with branches, and its oracle.

#ifndef NEXUS_TESTS_ENGINE_BRANCH_FIXTURE_H_
#define NEXUS_TESTS_ENGINE_BRANCH_FIXTURE_H_

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/branches.h"
#include "tests/engine/expect_clean.h"
#include "tests/engine/small_database.h"

namespace nexus::engine {

inline constexpr BranchKind kSnapshot = BranchKind::kSnapshot;
// Long enough for what goes on in the background.
inline constexpr int64_t kSettleNs = 2'000'000'000;

inline std::vector<SmallDatabase::Place> Places(uint32_t series, int64_t from, int64_t count) {
  std::vector<SmallDatabase::Place> places;
  for (int64_t i = 0; i < count; i++) places.push_back({series, from + i});
  return places;
}

class BranchFixture : public testing::Test {
 protected:
  BranchFixture() : db_(7, sim::Options()) { Reopen(); }

  void Reopen() {
    const std::optional<Status> opened = db_.Open();
    ASSERT_TRUE(opened.has_value() && opened->ok()) << *opened;
    db_.ExpectRight();
  }
  void Restart(sim::CrashKind kind) {
    db_.Crash(kind);
    Reopen();
  }
  void Append(std::vector<SmallDatabase::Place> places, const std::string& branch = "main") {
    const std::optional<Status> status = db_.Append(std::move(places), branch);
    ASSERT_TRUE(status.has_value() && status->ok()) << *status;
  }
  void Create(const std::string& name, const std::string& from = "main",
              BranchKind kind = BranchKind::kBranch) {
    const std::optional<Status> status = db_.CreateBranch(name, from, kind);
    ASSERT_TRUE(status.has_value() && status->ok()) << *status;
  }
  void Delete(const std::string& name) {
    const std::optional<Status> status = db_.DeleteBranch(name);
    ASSERT_TRUE(status.has_value() && status->ok()) << *status;
  }
  void Flush() {
    const std::optional<Status> status = db_.Flush();
    ASSERT_TRUE(status.has_value() && status->ok()) << *status;
  }
  void Compact() {
    const std::optional<Status> status = db_.Compact();
    ASSERT_TRUE(status.has_value() && status->ok()) << *status;
  }
  bool IsOnDisk(const std::string& layer) {
    return db_.world().disk().ReadVisible("/db/layers/" + layer).has_value();
  }
  Status CreateRefused(const std::string& name, const std::string& from = "main") {
    return db_.world().RunTask(
        db_.core()->CreateBranch(name, BranchKind::kBranch, from, "default"));
  }
  Status DeleteRefused(const std::string& name, BranchKind kind = BranchKind::kBranch) {
    return db_.world().RunTask(db_.core()->DeleteBranch(name, kind, "default"));
  }
  BranchState* State(const std::string& name) {
    const auto found = *db_.core()->state()->published.Find("default", name);
    return db_.core()->state()->FindBranch(found.tenant, found.branch);
  }
  BranchInfo Info(const std::string& name) {
    const auto all = *db_.world().RunTask(db_.core()->Branches("default"));
    for (const BranchInfo& info : all) {
      if (info.name == name) return info;
    }
    ADD_FAILURE() << "no branch " << name;
    return {};
  }
  Stats GetStats() { return db_.world().RunTask(db_.core()->LoopStats()); }
  std::set<std::string> FilesOf(const std::string& name) {
    std::set<std::string> files;
    for (const OpenLayer& open : State(name)->layers) files.insert(open.record.file_name);
    return files;
  }
  void ExpectClean() { ExpectScrubFindsNothing(&db_.world(), db_.core()); }
  // Everything is right now, after a kill, after a flush, and after a power cut.
  void ExpectRightForEver() {
    db_.ExpectRight();
    Restart(sim::CrashKind::kProcessKill);
    Flush();
    db_.ExpectRight();
    Restart(sim::CrashKind::kPowerCut);
    db_.ExpectOnlyKnownFiles();
    ExpectClean();
  }

  SmallDatabase db_;
};

}  // namespace nexus::engine

#endif  // NEXUS_TESTS_ENGINE_BRANCH_FIXTURE_H_
