// Appends of samples that no retention keeps: they are rejected, told and counted, once; crashes,
// clocks and rules of later change nothing about it; and nothing is rejected that a rule might
// keep.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/engine/retention_fixture.h"
#include "tests/engine/simulated_rebuild.h"

namespace nexus::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr ProducerId kProducer{7, 9};

// A batch of the embedded kind. Values are their timestamps.
struct Batch : BatchRequest {
  using BatchRequest::BatchRequest;
  void Add(SeriesId series, const std::vector<int64_t>& timestamps) {
    std::vector<SeriesSample> samples;
    for (int64_t at : timestamps) samples.push_back({series, at, static_cast<double>(at)});
    encoder.Add(samples);
  }
  uint64_t expired_samples() const { return expired == nullptr ? 0 : expired->samples; }
};

class ExpiredAppendTest : public RetentionFixture {
 protected:
  // Samples that were rejected of a batch of the fixture's series that is sent.
  uint64_t ExpiredOf(const std::vector<int64_t>& timestamps) {
    Batch batch;
    batch.Add(series_, timestamps);
    const Status status = SendBatch(&batch);
    EXPECT_TRUE(status.ok() || IsExpired(status)) << status;
    return batch.expired_samples();
  }
  std::unique_ptr<Batch> SendNumbered(uint64_t sequence, const std::vector<int64_t>& timestamps) {
    auto batch = std::make_unique<Batch>();
    batch->Add(series_, timestamps);
    batch->SetExactlyOnce({kProducer.high, kProducer.low, 1, sequence});
    SendBatch(batch.get()).IgnoreError();
    return batch;
  }
};

TEST_F(ExpiredAppendTest, WhatNoRuleKeepsIsRejectedAndTheRestIsStored) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(KeepFrom(kDay).ok());
  Batch batch;
  batch.Add(series_, {0, 2 * kDay, 5, 6, 3 * kDay});
  ASSERT_TRUE(SendBatch(&batch).ok()) << batch.status();
  ASSERT_NE(batch.expired, nullptr);
  EXPECT_EQ(batch.expired->samples, 3u);
  EXPECT_FALSE(batch.expired->nothing_left);
  EXPECT_THAT(batch.expired->rejected, ElementsAre(RejectedRange{0, 1}, RejectedRange{2, 2}));
  const std::string reason(FromAbsl(batch.expired->reason.message()));
  EXPECT_THAT(reason, HasSubstr("expired: 3 of 5 samples"));
  EXPECT_THAT(reason, HasSubstr("tenant \"default\""));
  EXPECT_THAT(reason, HasSubstr("older than 1970-01-02T00:00:00"));
  EXPECT_THAT(reason, HasSubstr("nexus retention set"));
  EXPECT_EQ(*Read(), 2u);
  EXPECT_EQ(*Read(INT64_MIN, kDay), 0u);
  const Stats stats = GetStats();
  EXPECT_EQ(stats.samples_expired, 3u);
  EXPECT_EQ(stats.appended_samples, 2u);
  EXPECT_EQ(stats.memtable_samples, 2u);
  EXPECT_EQ(ExpiredOf({2 * kDay, 3 * kDay}), 0u);
}

TEST_F(ExpiredAppendTest, RowsAreJudgedByTheirInstantAndWhatWasRejectedBeforeStaysSo) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(KeepFrom(kDay).ok());
  std::vector<std::string> labels;
  for (char name = 'b'; name < 'b' + 12; name++) {
    labels.push_back(Labels::Make("metric", {{"name", std::string(1, name)}})->Canonical());
  }
  const std::vector<SeriesId> series =
      *world_.RunTask(core_->interner()->Intern(TenantId{}, std::move(labels)));
  const std::vector<double> values(12, 0.0);
  Batch batch;
  batch.encoder.AddRow(2 * kDay, series, values);
  batch.encoder.AddRow(0, series, values);
  batch.encoder.AddRow(0, series, values);
  batch.encoder.Reject(3, 2);
  batch.encoder.Reject(20, 1);
  ASSERT_TRUE(SendBatch(&batch).ok()) << batch.status();
  EXPECT_THAT(batch.expired->rejected, ElementsAre(RejectedRange{3, 2}, RejectedRange{12, 8},
                                                   RejectedRange{20, 1}, RejectedRange{21, 15}));
  EXPECT_EQ(batch.expired->samples, 23u);
  EXPECT_EQ(GetStats().appended_samples, 10u);
}

TEST_F(ExpiredAppendTest, OneThatIsExpiredAsAWholeIsRefusedAndNotLogged) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(KeepFrom(kDay).ok());
  Batch batch;
  batch.Add(series_, {0, 1, 2});
  const Status refused = SendBatch(&batch);
  EXPECT_TRUE(absl::IsOutOfRange(refused)) << refused;
  EXPECT_TRUE(IsExpired(refused));
  EXPECT_FALSE(IsExpired(OutOfRange("something else")));
  EXPECT_EQ(batch.end, Lsn{});
  const Stats stats = GetStats();
  EXPECT_EQ(stats.appended_batches, 0u);
  EXPECT_EQ(stats.samples_expired, 3u);
  EXPECT_EQ(*Read(), 0u);
}

TEST_F(ExpiredAppendTest, ANumberedOneTakesItsNumberWhateverIsLeftOfIt) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(KeepFrom(kDay).ok());
  ASSERT_TRUE(world_.RunTask(core_->OpenProducer(kProducer, 1, "default", "main")).ok());
  ASSERT_TRUE(SendNumbered(1, {0, 1, 2})->status().ok());
  EXPECT_EQ(core_->state()->FindBranch({}, {})->OldestUnflushed(), std::nullopt)
      << "nothing waits for a flush";
  ASSERT_TRUE(SendNumbered(2, {0, 2 * kDay})->status().ok());
  for (int life = 0; life < 3; life++) {
    const ProducerTable& producers = core_->state()->FindBranch({}, {})->producers;
    const auto first = SendNumbered(1, {0, 1, 2});
    EXPECT_TRUE(first->status().ok() && first->duplicate) << first->status();
    EXPECT_THAT(producers.RejectedOf(*first->once), ElementsAre(catalog::SampleRange{0, 3}));
    const auto second = SendNumbered(2, {0, 2 * kDay});
    EXPECT_TRUE(second->status().ok() && second->duplicate) << second->status();
    EXPECT_THAT(producers.RejectedOf(*second->once), ElementsAre(catalog::SampleRange{0, 1}));
    EXPECT_EQ(ExpectedSequence(SendNumbered(4, {3 * kDay})->status()), 3u);
    EXPECT_EQ(*Read(), 1u);
    if (life == 1) {
      ASSERT_TRUE(Flush().ok());
    }
    Die(life == 0 ? sim::CrashKind::kProcessKill : sim::CrashKind::kPowerCut);
    ASSERT_TRUE(Open().ok());
  }
  ASSERT_TRUE(SendNumbered(3, {3 * kDay})->status().ok());
  EXPECT_EQ(*Read(), 2u);
}

TEST_F(ExpiredAppendTest, WhatWasRejectedStaysSoWhateverIsKeptLater) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(KeepFrom(kDay).ok());
  EXPECT_EQ(ExpiredOf({0, 1, 2 * kDay}), 2u);
  ASSERT_TRUE(Set({}).ok());
  EXPECT_EQ(ExpiredOf({1, 2}), 0u);
  for (int life = 0; life < 2; life++) {
    Die(sim::CrashKind::kPowerCut);
    if (life == 1) {
      auto report = *SimulateRebuild(&world_, options_, {}, std::nullopt);
      ASSERT_TRUE(report.ok()) << report.status();
    }
    ASSERT_TRUE(Open().ok());
    EXPECT_EQ(*Read(0, 0), 0u) << "rejected, though nothing would be now";
    EXPECT_EQ(*Read(), 3u);
  }
}

TEST_F(ExpiredAppendTest, WhatWasTakenIsNotRejectedByReplayWhateverTheClockIsThen) {
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(ExpiredOf({0, 1, 2 * kDay}), 0u);
  ASSERT_TRUE(KeepFrom(kDay).ok());
  EXPECT_EQ(ExpiredOf({2, 2 * kDay + 1}), 1u);
  ASSERT_TRUE(KeepFrom(3 * kDay).ok());
  world_.JumpWallClock(6 * kDay);
  Die(sim::CrashKind::kPowerCut);
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(*Read(), 4u);
  ASSERT_TRUE(Flush().ok());
  EXPECT_EQ(*Read(), 4u) << "until it is compacted";
  EXPECT_EQ(GetStats().samples_expired, 0u) << "since this opening";
}

TEST_F(ExpiredAppendTest, WhatAnyRuleMightKeepIsTaken) {
  ASSERT_TRUE(Open().ok());
  const int64_t now = Now();
  ASSERT_TRUE(Set({{"{name=\"a\"}", now - 4 * kDay}}).ok());
  EXPECT_EQ(ExpiredOf({0, 1}), 0u) << "series that no rule chooses are kept for ever";
  ASSERT_TRUE(Set({{"{name=\"a\"}", now - 4 * kDay}, {"{}", now - 2 * kDay}}).ok());
  EXPECT_EQ(ExpiredOf({kDay, 3 * kDay, 5 * kDay}), 1u) << "the longest rule decides";
  ASSERT_TRUE(Set({{"{name=\"a\"}", now - 2 * kDay}, {"{}", now - 4 * kDay}}).ok());
  EXPECT_EQ(ExpiredOf({kDay, 3 * kDay + 1, 5 * kDay + 1}), 1u) << "whichever that is";
  ASSERT_TRUE(Set({{"{}", INT64_MAX}}).ok());
  EXPECT_EQ(ExpiredOf({INT64_MIN / 2, 0}), 0u);
}

TEST_F(ExpiredAppendTest, TenantsAreApart) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(world_.RunTask(core_->CreateTenant("archive")).ok());
  ASSERT_TRUE(KeepFrom(kDay).ok());
  const TenantId archive = core_->state()->published.Find("archive", "main")->tenant;
  std::vector<std::string> labels = {Labels::Make("metric", {{"name", "a"}})->Canonical()};
  const SeriesId series =
      (*world_.RunTask(core_->interner()->Intern(archive, std::move(labels))))[0];
  Batch old(archive);
  old.Add(series, {0, 1});
  ASSERT_TRUE(SendBatch(&old).ok()) << old.status();
  EXPECT_EQ(old.expired, nullptr);
  EXPECT_EQ(ExpiredOf({0, 1}), 2u);
  ASSERT_TRUE(Set({{"{}", Now() - kDay}}, "archive").ok());
  Batch again(archive);
  again.Add(series, {0, 1});
  EXPECT_THAT(std::string(FromAbsl(SendBatch(&again).message())), HasSubstr("tenant \"archive\""));
}

TEST_F(ExpiredAppendTest, TheClockOfTheLogDecidesAndNoOther) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(KeepFrom(kDay).ok());
  world_.JumpWallClock(30 * kDay);
  EXPECT_EQ(ExpiredOf({2 * kDay}), 0u) << "a jump while it runs";
  ASSERT_TRUE(Close().ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(ExpiredOf({2 * kDay}), 0u) << "a step that waits to be accepted";
  ASSERT_TRUE(world_.RunTask(core_->AcceptRetentionClock()).ok());
  EXPECT_EQ(ExpiredOf({2 * kDay, 32 * kDay}), 1u);
  world_.JumpWallClock(-60 * kDay);
  ASSERT_TRUE(Close().ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(ExpiredOf({2 * kDay, 32 * kDay}), 1u) << "it never goes back";
}

// What a record says of its rejected samples is bounded; the others are as they were before.
TEST_F(ExpiredAppendTest, RunsBeyondTheBoundAreTakenAndGoWithTheNextCompaction) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(KeepFrom(kDay).ok());
  std::vector<int64_t> timestamps;
  constexpr int64_t kRuns = int64_t{kExpiredRangesMax} + 44;
  for (int64_t i = 0; i < kRuns; i++) {
    timestamps.push_back(2 * i);
    timestamps.push_back(2 * i + 1);
    timestamps.push_back(2 * kDay + i);
  }
  EXPECT_EQ(ExpiredOf(timestamps), 2 * kExpiredRangesMax);
  EXPECT_EQ(*Read(), static_cast<size_t>(kRuns) + 88u);
  ASSERT_TRUE(Flush().ok());
  ASSERT_TRUE(world_.RunTask(core_->Compact(nullptr)).ok());
  EXPECT_EQ(*Read(), static_cast<size_t>(kRuns));
}

}  // namespace
}  // namespace nexus::engine
