// Series that lose their last sample are forgotten: everything that grows with them is given back,
// nothing can be written under their ids any more, and crashes, rebuilt catalogs, backups and
// scrubs agree.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "engine/known_series.h"
#include "engine/nexus.h"
#include "tests/engine/catalog_rebuild_fixture.h"

namespace nexus::engine {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kGraceMs = 2'000;

class ForgetTest : public CatalogRebuildFixture {
 protected:
  ForgetTest() {
    options_.series_grace_ms = kGraceMs;
    options_.compaction_quiet_ms = 100;
  }

  static std::vector<std::string> Names(int round, int count) {
    std::vector<std::string> names;
    for (int i = 0; i < count; i++) names.push_back(fmt::format("r{}-{}", round, i));
    return names;
  }
  Status Delete(const std::string& selector, const std::string& branch = "main",
                const std::string& tenant = "default") {
    DeleteRequest request;
    request.selector = selector;
    request.branch = branch;
    request.tenant = tenant;
    return world_.RunTask(core_->Delete(std::move(request))).status();
  }
  // What is deleted goes from the layers, and after two graces its series.
  void ForgetDeleted() {
    ASSERT_TRUE(Flush().ok());
    ASSERT_TRUE(Compact().ok());
    world_.RunFor(6 * kGraceMs * 1'000'000);
  }
  Stats GetStats() {
    Stats stats = world_.RunTask(core_->LoopStats());
    EXPECT_TRUE(core_->CompleteStats(&stats).ok());
    return stats;
  }
  std::vector<std::string> Listed() {
    ReadView view = *core_->View("default", "main");
    std::vector<std::string> names = *LabelValues(view.index.get(), "name", "");
    std::erase(names, "a");  // the fixture's
    return names;
  }
  std::vector<SeriesId> Unlayered() {
    catalog::Reader reader = *core_->state()->catalog->BeginRead();
    std::vector<SeriesId> series;
    auto visit = [&series](const catalog::SeriesIdentityRow& row) { series.push_back(row.id); };
    EXPECT_TRUE(reader.VisitUnlayered(TenantId{}, SeriesId{}, 100, visit).ok());
    return series;
  }
  SeriesId IdOf(const std::string& name) { return Intern("default", {name})->front(); }
  // Of a handle that was got before.
  Status AppendTo(SeriesId id, int64_t timestamp) {
    series_ = id;
    return Append(timestamp, 1);
  }
};

TEST_F(ForgetTest, ASeriesWithoutSamplesIsForgottenAndOthersStay) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Write("default", {"goes", "stays"}, 0, 10).status.ok());
  const SeriesId goes = IdOf("goes");
  const SeriesId stays = IdOf("stays");
  ASSERT_TRUE(Delete("metric{name=\"goes\"}").ok());
  ForgetDeleted();
  EXPECT_EQ(Listed(), std::vector<std::string>{"stays"});
  EXPECT_EQ(GetStats().series_forgotten, 2u) << "it, and the fixture's, which never had a sample";
  EXPECT_EQ(GetStats().series, 1u);
  EXPECT_EQ(IdOf("stays"), stays);
  EXPECT_GT(IdOf("goes"), stays) << "ids are never used again";
  EXPECT_NE(IdOf("goes"), goes);
  ExpectClean();
}

TEST_F(ForgetTest, ChurnLeavesNothingBehind) {
  ASSERT_TRUE(Open().ok());
  constexpr int kRounds = 100;
  constexpr int kSeries = 50;
  Stats settled;
  uint64_t settled_memory = 0;
  for (int round = 0; round < kRounds; round++) {
    ASSERT_TRUE(Write("default", Names(round, kSeries), round * kSecondNs, 3).status.ok());
    ASSERT_TRUE(Delete(fmt::format("metric{{name=~\"r{}-.*\"}}", round)).ok());
    ForgetDeleted();
    if (round != 10) continue;
    settled = GetStats();
    settled_memory = core_->interner()->memory_bytes();
  }
  const Stats stats = GetStats();
  EXPECT_GE(stats.series_forgotten, uint64_t{kRounds - 3} * kSeries);
  EXPECT_LE(stats.series, 3u * kSeries);
  EXPECT_THAT(Listed(), testing::SizeIs(testing::Le(3u * kSeries)));
  EXPECT_LE(stats.catalog_bytes, 2 * settled.catalog_bytes);
  EXPECT_LE(core_->interner()->memory_bytes(), settled_memory + 4 * kSeries * sizeof(uint32_t));
  catalog::Reader reader = *core_->state()->catalog->BeginRead();
  const catalog::CatalogStats catalog = *reader.Stats();
  EXPECT_LE(catalog.series, 3u * kSeries);
  // Of each series a value, of 5,000 that were; beside these the names and "metric", "tenant",
  // "default".
  EXPECT_LE(catalog.symbols, catalog.series + 10);
  EXPECT_LE(catalog.posting_blocks, catalog.series + 10);
  EXPECT_LE(core_->state()->tenants.at(0)->ids.size(), 4u);
  ExpectClean();
}

TEST_F(ForgetTest, ASeriesThatComesBackHasANewIdAndItsNewSamplesAlone) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Write("default", {"x"}, 0, 10).status.ok());
  const SeriesId before = IdOf("x");
  ASSERT_TRUE(Delete("{}").ok());
  ForgetDeleted();
  ASSERT_THAT(Listed(), IsEmpty());
  ASSERT_TRUE(Write("default", {"x"}, 5, 3).status.ok());
  EXPECT_GT(IdOf("x"), before);
  EXPECT_THAT(Answers(), HasSubstr("name=x,tenant=default: 3 samples"));
  Die(sim::CrashKind::kPowerCut);
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(Answers(), HasSubstr("name=x,tenant=default: 3 samples"));
  EXPECT_GT(IdOf("x"), before);
  ASSERT_TRUE(Flush().ok());
  ExpectClean();
}

TEST_F(ForgetTest, AppendsUnderAForgottenIdAreRefused) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Write("default", {"held"}, 0, 10).status.ok());
  const SeriesId held = IdOf("held");
  ASSERT_TRUE(Delete("{}").ok());
  ForgetDeleted();
  const Status refused = AppendTo(held, 7);
  EXPECT_TRUE(IsUnknownSeries(refused)) << refused;
  EXPECT_TRUE(absl::IsInvalidArgument(refused));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("was forgotten"));
  EXPECT_TRUE(AppendTo(IdOf("held"), 7).ok()) << "asked for again it takes samples";
  EXPECT_THAT(Answers(), HasSubstr("name=held,tenant=default: 1 samples"));
}

TEST_F(ForgetTest, WhoAsksForTheIdKeepsTheSeries) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Write("default", {"held"}, 0, 10).status.ok());
  ASSERT_TRUE(Delete("{}").ok());
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Compact().ok());
  const SeriesId held = IdOf("held");
  for (int i = 0; i < 20; i++) {
    world_.RunFor(kGraceMs * 1'000'000 / 2);
    EXPECT_EQ(IdOf("held"), held);
  }
  EXPECT_TRUE(AppendTo(held, 7).ok());
}

TEST_F(ForgetTest, SamplesInMemoryKeepTheirSeries) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Write("default", {"young"}, 0, 10).status.ok());
  const SeriesId young = IdOf("young");
  for (int i = 0; i < 20; i++) world_.RunFor(kGraceMs * 1'000'000);
  EXPECT_THAT(Listed(), testing::ElementsAre("young"));
  EXPECT_TRUE(AppendTo(young, 100).ok()) << "an old handle is good while there are samples";
  EXPECT_THAT(Answers(), HasSubstr("name=young,tenant=default: 11 samples"));
}

TEST_F(ForgetTest, SnapshotsAndBranchesKeepTheirSeries) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Write("default", {"x", "y"}, 0, 10).status.ok());
  ASSERT_TRUE(CreateBranch("snap", "main", BranchKind::kSnapshot).ok());
  ASSERT_TRUE(CreateBranch("side", "main").ok());
  ASSERT_TRUE(Delete("{}").ok());
  ASSERT_TRUE(Delete("metric{name=\"x\"}", "side").ok());
  ForgetDeleted();
  EXPECT_EQ(Listed(), (std::vector<std::string>{"x", "y"}));
  ASSERT_TRUE(world_.RunTask(core_->DeleteBranch("snap", BranchKind::kSnapshot, "default")).ok());
  ForgetDeleted();
  EXPECT_EQ(Listed(), (std::vector<std::string>{"y"}));
  ASSERT_TRUE(DeleteBranch("side").ok());
  ForgetDeleted();
  EXPECT_THAT(Listed(), IsEmpty());
  ExpectClean();
}

TEST_F(ForgetTest, ACatalogRebuiltDoesNotBringThemBack) {
  ASSERT_TRUE(Open().ok());
  // The fixture's series stays, or each opening would give it another id.
  ASSERT_TRUE(Append(0, 1).ok());
  ASSERT_TRUE(Write("default", {"goes", "stays"}, 0, 10).status.ok());
  ASSERT_TRUE(Delete("metric{name=\"goes\"}").ok());
  ForgetDeleted();
  ASSERT_EQ(Listed(), std::vector<std::string>{"stays"});
  // Under a new id, which the old one must not meet.
  ASSERT_TRUE(Write("default", {"goes"}, 100, 5).status.ok());
  const SeriesId again = IdOf("goes");
  for (const bool flushed : {false, true}) {
    if (flushed) {
      ASSERT_TRUE(Flush().ok());
    }
    const std::string before = Answers();
    Die(sim::CrashKind::kPowerCut);
    auto rebuilt = Rebuild();
    ASSERT_TRUE(rebuilt.ok()) << rebuilt.status();
    EXPECT_THAT(rebuilt->damage, IsEmpty());
    ASSERT_TRUE(Open().ok());
    EXPECT_EQ(Answers(), before);
    EXPECT_EQ(IdOf("goes"), again);
    ExpectClean();
  }
}

TEST_F(ForgetTest, QuotasCountSeriesThatAreKnown) {
  ASSERT_TRUE(Open().ok());
  QuotaChanges changes;
  changes.series_max = 5;
  ASSERT_TRUE(world_.RunTask(core_->SetTenant("default", changes)).ok());
  ASSERT_TRUE(Write("default", Names(0, 4), 0, 1).status.ok());
  EXPECT_TRUE(absl::IsResourceExhausted(Intern("default", {"more"}).status()));
  ASSERT_TRUE(Delete("{}").ok());
  ForgetDeleted();
  EXPECT_TRUE(Write("default", Names(1, 5), 0, 1).status.ok());
}

// The first tenant's garbage is held by a query.
TEST_F(ForgetTest, ATenantThatMustWaitHoldsNoOtherUp) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(CreateTenant("other").ok());
  ASSERT_TRUE(Write("default", {"waits"}, 0, 10).status.ok());
  ASSERT_TRUE(Write("other", {"goes"}, 0, 10).status.ok());
  ASSERT_TRUE(Flush().ok());
  std::optional<ReadView> query = *core_->View("default", "main");
  ASSERT_TRUE(Delete("{}").ok());
  ASSERT_TRUE(Delete("{}", "main", "other").ok());
  ForgetDeleted();
  EXPECT_EQ(GetStats().series_forgotten, 1u);
  query.reset();
  ForgetDeleted();
  EXPECT_EQ(GetStats().series_forgotten, 3u) << "two more, one of them the fixture's";
  ExpectClean();
}

// The layers have no readers yet, so that the failure is met.
TEST_F(ForgetTest, GarbageWaitsForItsOwnTenantsLayersOnly) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(CreateTenant("other").ok());
  for (int i = 0; i < 2; i++) {
    ASSERT_TRUE(Write("default", {"x"}, 100 * i, 10).status.ok());
    ASSERT_TRUE(Write("other", {"x"}, 100 * i, 10).status.ok());
    ASSERT_TRUE(Flush().ok());
  }
  ASSERT_TRUE(core_->BeginScrub().ok());
  ASSERT_TRUE(Compact().ok());
  ASSERT_EQ(core_->state()->garbage.size(), 4u);
  const std::string live = core_->state()->FindBranch({}, {})->layers.front().record.file_name;
  core_->EndScrub();
  Die(sim::CrashKind::kProcessKill);
  world_.disk().FailFrom(sim::OpFilter({sim::Op::kOpen, sim::Op::kRead}, live), 1, -EACCES);
  ASSERT_TRUE(Open().ok());
  world_.RunFor(kSecondNs);
  ASSERT_EQ(core_->state()->garbage.size(), 2u);
  EXPECT_EQ(core_->state()->garbage.begin()->first.tenant, TenantId{});
  world_.disk().faults()->ClearRules();
  ForgetDeleted();
  EXPECT_TRUE(core_->state()->garbage.empty());
  ExpectClean();
}

// As a crash leaves it between the publish of a layer and the commit that strikes its series off.
TEST_F(ForgetTest, WhatALayerHoldsIsStruckOffTheList) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Write("default", {"x"}, 0, 10).status.ok());
  ASSERT_TRUE(Flush().ok());
  catalog::SeriesSet listed;
  listed.Add(IdOf("x"));
  world_.RunOnLoop([&] {
    core_->state()->pending_update.series_unlayered.push_back({TenantId{}, listed});
  });
  ASSERT_TRUE(Append(0, 1).ok());
  ASSERT_TRUE(Flush().ok());
  world_.RunFor(kSecondNs);
  EXPECT_THAT(Unlayered(), testing::ElementsAre(IdOf("x")));
  world_.RunFor(12 * kGraceMs * 1'000'000);
  EXPECT_THAT(Unlayered(), IsEmpty());
  EXPECT_EQ(GetStats().series_forgotten, 0u);
  // Its last layer goes, and it after it.
  ASSERT_TRUE(Delete("metric{name=\"x\"}").ok());
  ForgetDeleted();
  EXPECT_THAT(Listed(), IsEmpty());
  ExpectClean();
}

// A layer of rollups alone is a layer that has the series.
TEST_F(ForgetTest, ASeriesOfWhichOnlyFrozenBucketsAreLeftStays) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(world_.RunTask(core_->SetRollups({{10 * kSecondNs, 0}}, "default")).ok());
  ASSERT_TRUE(Write("default", {"old"}, 0, 10).status.ok());
  const SeriesId old = IdOf("old");
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(Compact().ok());
  const int64_t long_ago = core_->Retention("default")->wall_ns - 3'600 * kSecondNs;
  ASSERT_TRUE(world_.RunTask(core_->SetRetention({{"{}", long_ago}}, "default")).ok());
  ForgetDeleted();
  EXPECT_EQ(GetStats().samples, 0u);
  EXPECT_EQ(GetStats().rollup_layers, 1u);
  EXPECT_EQ(Listed(), std::vector<std::string>{"old"});
  EXPECT_EQ(IdOf("old"), old);
  ExpectClean();
  ASSERT_TRUE(world_.RunTask(core_->SetRollups({}, "default")).ok());
  ForgetDeleted();
  EXPECT_THAT(Listed(), IsEmpty());
  ExpectClean();
}

// A power cut after each stretch of the way: nothing comes back, nothing is lost, all agree.
TEST_F(ForgetTest, APowerCutAnywhereLeavesAWholeDatabase) {
  int forgotten = 0;
  for (int step = 0; step < 24; step++) {
    ASSERT_TRUE(Open().ok());
    const std::string name = fmt::format("x{}", step);
    ASSERT_TRUE(Write("default", {name, "stays"}, step, 1).status.ok());
    ASSERT_TRUE(Delete(fmt::format("metric{{name=\"{}\"}}", name)).ok());
    ASSERT_TRUE(Flush().ok());
    ASSERT_TRUE(Compact().ok());
    world_.RunFor((kGraceMs + step * 150) * 1'000'000);
    const std::vector<std::string> before = Listed();
    if (std::find(before.begin(), before.end(), name) == before.end()) forgotten++;
    Die(step % 2 == 0 ? sim::CrashKind::kPowerCut : sim::CrashKind::kProcessKill);
    ASSERT_TRUE(Open().ok());
    // Until what was replayed is in the catalog.
    world_.RunFor(kSecondNs);
    const std::vector<std::string> after = Listed();
    EXPECT_TRUE(std::includes(before.begin(), before.end(), after.begin(), after.end()));
    EXPECT_THAT(Answers(),
                HasSubstr(fmt::format("name=stays,tenant=default: {} samples", step + 1)));
    ExpectClean();
    Die(sim::CrashKind::kPowerCut);
  }
  EXPECT_GT(forgotten, 0);
  EXPECT_LT(forgotten, 24);
}

}  // namespace
}  // namespace nexus::engine
