// Quotas: what is beyond one is refused, names tenant, quota, figure and way out, and leaves others
// alone; what they bound is bounded after any crash; replay refuses nothing.

#include "engine/quota.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine/sim_fixture.h"

namespace nexus::engine {
namespace {

using sim::CrashKind;
using testing::AllOf;
using testing::HasSubstr;

class QuotaTest : public SimDatabaseTest {
 protected:
  void SetUp() override { ASSERT_TRUE(Open().ok()); }

  Status Set(const QuotaChanges& changes, const std::string& tenant = "default") {
    return world_.RunTask(core_->SetTenant(tenant, changes));
  }
  TenantInfo Info(const std::string& name) {
    for (TenantInfo& tenant : world_.RunTask(core_->DescribeTenants())) {
      if (tenant.name == name) return std::move(tenant);
    }
    ADD_FAILURE() << "no tenant " << name;
    return {};
  }
  StatusOr<std::vector<SeriesId>> Intern(const std::string& tenant, int first, int count) {
    NEXUS_ASSIGN_OR_RETURN(PublishedState::Found found,
                           core_->state()->published.Find(tenant, "main"));
    std::vector<std::string> labels;
    for (int i = first; i < first + count; i++) {
      labels.push_back(Labels::Make("other", {{"n", std::to_string(i)}})->Canonical());
    }
    return world_.RunTask(core_->interner()->Intern(found.tenant, std::move(labels)));
  }
  void Restart(CrashKind kind) {
    Die(kind);
    ASSERT_TRUE(Open().ok());
  }
  // Appends one sample of a series of another tenant.
  Status AppendTo(const std::string& tenant, int64_t timestamp) {
    NEXUS_ASSIGN_OR_RETURN(PublishedState::Found found,
                           core_->state()->published.Find(tenant, "main"));
    NEXUS_ASSIGN_OR_RETURN(std::vector<SeriesId> ids, Intern(tenant, 0, 1));
    BatchRequest batch(found.tenant, found.branch);
    const double value = 1;
    batch.encoder.AddSeries(ids[0], std::span(&timestamp, 1), std::span(&value, 1));
    return SendBatch(&batch);
  }
};

TEST_F(QuotaTest, ABatchAheadOfItsRateIsRefusedAndTellsWhenTheNextPasses) {
  ASSERT_TRUE(Set({.samples_per_second = 100}).ok());
  // The bucket holds a second's worth; what a batch has beyond it is a debt of half a second.
  ASSERT_TRUE(Append(0, 150).ok());
  const Status refused = Append(1000, 1);
  ASSERT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr("tenant \"default\""), HasSubstr("samples_per_second of 100"),
                    HasSubstr("nexus tenant set default samples_per_second=N")));
  const std::optional<uint64_t> wait_ms = RetryAfterMs(refused);
  ASSERT_TRUE(wait_ms.has_value());
  EXPECT_GT(*wait_ms, 0u);
  EXPECT_LE(*wait_ms, 500u);
  EXPECT_EQ(*Read(), 150u);
  world_.RunFor(static_cast<int64_t>(*wait_ms) * 1'000'000);
  EXPECT_TRUE(Append(1000, 1).ok());
}

TEST_F(QuotaTest, InTheLongRunNoMoreThanTheRatePasses) {
  ASSERT_TRUE(Set({.samples_per_second = 1000}).ok());
  const int64_t from_ns = world_.now_ns();
  uint64_t taken = 0;
  for (int64_t i = 0; world_.now_ns() - from_ns < 20'000'000'000; i++) {
    if (Append(i * 100, 100).ok()) taken += 100;
    world_.RunFor(20'000'000);
  }
  EXPECT_GE(taken, 20'000u);
  EXPECT_LE(taken, 20'000u + 1000 + 100);  // the bucket, and the batch in debt
}

TEST_F(QuotaTest, OneTenantsRateIsNoMatterOfAnother) {
  ASSERT_TRUE(world_.RunTask(core_->CreateTenant("other")).ok());
  ASSERT_TRUE(Set({.samples_per_second = 1}).ok());
  ASSERT_TRUE(Append(0, 1000).ok());
  for (int64_t i = 0; i < 10; i++) {
    EXPECT_TRUE(absl::IsResourceExhausted(Append(2000, 1)));
    EXPECT_TRUE(AppendTo("other", i).ok());
  }
  EXPECT_EQ(Info("default").refused, 10u);
  EXPECT_EQ(Info("other").refused, 0u);
  EXPECT_EQ(Info("other").samples, 10u);
}

TEST_F(QuotaTest, ARateOfNothingTakesNothing) {
  ASSERT_TRUE(Set({.samples_per_second = 0}).ok());
  const Status refused = Append(0, 1);
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_FALSE(RetryAfterMs(refused).has_value());
}

TEST_F(QuotaTest, NothingIsAppendedAtItsBytes) {
  ASSERT_TRUE(Append(0, 1000).ok());
  const uint64_t used = Info("default").bytes();
  ASSERT_GT(used, 0u);
  ASSERT_TRUE(Set({.bytes_max = used}).ok());
  const Status refused = Append(5000, 1);
  ASSERT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr("tenant \"default\""), HasSubstr(std::to_string(used)),
                    HasSubstr("bytes_max"), HasSubstr("nexus tenant set")));
  // Layers are smaller than memory: there is room again, and it is the layers that count.
  ASSERT_TRUE(Flush().ok());
  EXPECT_LT(Info("default").bytes(), used);
  EXPECT_EQ(Info("default").layers, 1u);
  EXPECT_TRUE(Append(5000, 1).ok());
}

TEST_F(QuotaTest, SeriesBeyondTheirBoundAreRefusedAndThoseKnownAreNot) {
  ASSERT_TRUE(Intern("default", 0, 4).ok());
  ASSERT_EQ(Info("default").series, 5u);  // the fixture's, too
  ASSERT_TRUE(Set({.series_max = 6}).ok());
  const Status refused = Intern("default", 3, 4).status();  // one known, one more, two too many
  ASSERT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr("tenant \"default\" has 6 series"), HasSubstr("2 more"),
                    HasSubstr("series_max is 6"), HasSubstr("nexus stats --cardinality")));
  EXPECT_EQ(Info("default").series, 6u);
  EXPECT_TRUE(Intern("default", 0, 5).ok());
  EXPECT_TRUE(Append(0, 10).ok());
  std::vector<std::string> labels;
  for (int i = 0; i < 7; i++) {
    labels.push_back(Labels::Make("other", {{"n", std::to_string(i)}})->Canonical());
  }
  auto some = world_.RunTask(core_->interner()->InternWithinQuota(TenantId{}, labels));
  ASSERT_TRUE(some.ok());
  for (size_t i = 0; i < 7; i++) EXPECT_EQ(some->ids[i].value != 0, i < 5) << i;
  EXPECT_TRUE(absl::IsResourceExhausted(some->refused));
  ASSERT_TRUE(Set({.series_max = kNoQuota}).ok());
  EXPECT_TRUE(Intern("default", 0, 7).ok());
}

TEST_F(QuotaTest, ManySeriesGetTheirIdsInTurns) {
  ASSERT_TRUE(Set({.series_max = 4000}).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(Intern("default", 0, 5000).status()));
  EXPECT_EQ(Info("default").series, 4000u);
  ASSERT_TRUE(Set({.series_max = 9000}).ok());
  auto ids = Intern("default", 0, 5000);
  ASSERT_TRUE(ids.ok()) << ids.status();
  std::set<uint64_t> different;
  for (SeriesId id : *ids) different.insert(id.value);
  EXPECT_EQ(different.size(), 5000u);
}

io::Task<void> MakeSeries(Interner* interner, TenantId tenant, std::vector<std::string> labels,
                          StatusOr<size_t>* made) {
  auto ids = co_await interner->Intern(tenant, std::move(labels));
  if (ids.ok()) {
    *made = ids->size();
  } else {
    *made = ids.status();
  }
}

// New series wait for the catalog where they are made: it never becomes so full that appends wait,
// and no append finds more than a bounded number of definitions before it in the log.
TEST_F(QuotaTest, AStormOfSeriesHoldsUpNoAppend) {
  options_.log_segment_bytes = 4 << 20;  // the log's room is not what is tried here
  Restart(CrashKind::kPowerCut);
  ASSERT_TRUE(world_.RunTask(core_->CreateTenant("storm")).ok());
  const TenantId storm = core_->state()->published.Find("storm", "main")->tenant;
  std::vector<std::string> labels;
  constexpr size_t kSeries = 300'000;  // more than the delta holds
  for (size_t i = 0; i < kSeries; i++) {
    labels.push_back(Labels::Make("storm", {{"n", std::to_string(i)}})->Canonical());
  }
  StatusOr<size_t> made = Unavailable("not yet");
  io::TaskScope scope(world_.environment()->executor());
  world_.RunOnLoop(
      [&] { scope.Spawn(MakeSeries(core_->interner(), storm, std::move(labels), &made)); });
  int64_t slowest_ns = 0;  // of the world's time
  for (int64_t i = 0; absl::IsUnavailable(made.status()); i++) {
    const int64_t began_ns = world_.now_ns();
    ASSERT_TRUE(Append(i, 1).ok());
    slowest_ns = std::max(slowest_ns, world_.now_ns() - began_ns);
    EXPECT_FALSE(core_->state()->delta.full());
    world_.RunFor(1'000'000);
  }
  EXPECT_LT(slowest_ns, 20'000'000);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(*made, kSeries);
  EXPECT_EQ(Info("storm").series, kSeries);
}

TEST_F(QuotaTest, AQuotaBelowWhatIsUsedIsRefusedAndNothingChanges) {
  ASSERT_TRUE(Intern("default", 0, 10).ok());
  ASSERT_TRUE(Append(0, 1000).ok());
  ASSERT_TRUE(Set({.series_max = 100, .concurrent_queries = 7}).ok());
  const TenantQuotas before = Info("default").quotas;
  Status refused = Set({.series_max = 10, .concurrent_queries = 9});
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), AllOf(HasSubstr("default"), HasSubstr("11 series"),
                                                    HasSubstr("nothing was changed")));
  refused = Set({.bytes_max = 1});
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("bytes already"));
  EXPECT_TRUE(absl::IsInvalidArgument(Set({})));
  EXPECT_TRUE(absl::IsNotFound(Set({.series_max = 5}, "nobody")));
  EXPECT_EQ(Info("default").quotas, before);
  EXPECT_TRUE(Set({.series_max = 11}).ok());
}

TEST_F(QuotaTest, QueriesAreBoundedInNumberAndMemory) {
  ASSERT_TRUE(Append(0, 4000).ok());
  ASSERT_TRUE(Set({.concurrent_queries = 2}).ok());
  auto first = std::make_unique<ReadView>(*core_->View("default", "main"));
  auto second = std::make_unique<ReadView>(*core_->View("default", "main"));
  EXPECT_EQ(Info("default").queries, 2u);
  Status refused = core_->View("default", "main").status();
  ASSERT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr("tenant \"default\" has 2 queries"), HasSubstr("concurrent_queries"),
                    HasSubstr("nexus tenant set")));
  second.reset();
  EXPECT_EQ(*Read(), 4000u);
  first.reset();
  EXPECT_EQ(Info("default").queries, 0u);
  // The first cursor holds its part of the memory until it ends.
  ASSERT_TRUE(Set({.query_memory_bytes = 1, .concurrent_queries = kNoQuota}).ok());
  refused = Read().status();
  ASSERT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr("tenant \"default\""), HasSubstr("query_memory_bytes is 1")));
  ASSERT_TRUE(Set({.query_memory_bytes = kNoQuota}).ok());
  EXPECT_EQ(*Read(), 4000u);
  EXPECT_EQ(core_->state()->tenants.at(0)->query_budget->bytes(), 0u);
}

TEST_F(QuotaTest, QuotasAreThereAfterCrashesAndCheckpoints) {
  const QuotaChanges made{.series_max = 1000, .samples_per_second = 0, .concurrent_queries = 3};
  ASSERT_TRUE(world_.RunTask(core_->CreateTenant("acme", made)).ok());
  ASSERT_TRUE(
      Set({.series_max = 2000, .samples_per_second = kNoQuota, .bytes_max = 1 << 20}, "acme").ok());
  const TenantQuotas wanted{.series_max = 2000, .bytes_max = 1 << 20, .concurrent_queries = 3};
  EXPECT_EQ(Info("acme").quotas, wanted);
  Restart(CrashKind::kPowerCut);
  EXPECT_EQ(Info("acme").quotas, wanted);
  // Checkpoints: the log that said it goes.
  for (int i = 0; i < 3; i++) {
    ASSERT_TRUE(Append(i * 10, 10).ok());
    ASSERT_TRUE(Flush().ok());
  }
  Restart(CrashKind::kPowerCut);
  EXPECT_EQ(Info("acme").quotas, wanted);
  EXPECT_EQ(Info("default").quotas, TenantQuotas());
  ASSERT_TRUE(Close().ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(Info("acme").quotas, wanted);
}

TEST_F(QuotaTest, ReplayRefusesNothing) {
  ASSERT_TRUE(Append(0, 1000).ok());
  ASSERT_TRUE(Intern("default", 0, 10).ok());
  ASSERT_TRUE(Append(1000, 1000).ok());
  QuotaChanges tight;
  tight.series_max = Info("default").series;
  tight.samples_per_second = 0;
  tight.bytes_max = Info("default").bytes();
  ASSERT_TRUE(Set(tight).ok());
  Restart(CrashKind::kPowerCut);
  EXPECT_EQ(*Read(), 2000u);
  EXPECT_EQ(Info("default").series, 11u);
  EXPECT_TRUE(absl::IsResourceExhausted(Append(5000, 1)));
  EXPECT_TRUE(absl::IsResourceExhausted(Intern("default", 20, 1).status()));
}

TEST_F(QuotaTest, ATenantIsMadeWithItsQuotasOrNotAtAll) {
  ASSERT_TRUE(world_.RunTask(core_->CreateTenant("acme", {.series_max = 5})).ok());
  const Status again = world_.RunTask(core_->CreateTenant("acme", {.series_max = 50}));
  EXPECT_TRUE(absl::IsAlreadyExists(again)) << again;
  EXPECT_EQ(Info("acme").quotas.series_max, 5u);
  EXPECT_TRUE(absl::IsResourceExhausted(Intern("acme", 0, 6).status()));
  EXPECT_TRUE(Intern("default", 0, 6).ok());
}

TEST(QuotaSettings, AreKeptBesideOthersAndInOrder) {
  std::vector<catalog::Setting> settings = {{"retention", "30d"}};
  ChangeSettings(SettingsOf({.series_max = 5, .bytes_max = 7}), &settings);
  EXPECT_EQ(settings,
            (std::vector<catalog::Setting>{
                {"quota.bytes_max", "7"}, {"quota.series_max", "5"}, {"retention", "30d"}}));
  EXPECT_EQ(QuotasOf(settings), (TenantQuotas{.series_max = 5, .bytes_max = 7}));
  ChangeSettings(SettingsOf({.series_max = kNoQuota, .bytes_max = 8}), &settings);
  EXPECT_EQ(QuotasOf(settings), (TenantQuotas{.bytes_max = 8}));
  EXPECT_EQ(settings.size(), 2u);
}

}  // namespace
}  // namespace nexus::engine
