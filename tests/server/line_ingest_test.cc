// LineIngest by itself: batching, its bounds, and what becomes of it when it is destroyed.

#include "server/line_ingest.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <memory>
#include <string>

#include "tests/server/session_fixture.h"

namespace nexus::server {
namespace {

class LineIngestTest : public SessionTest, public LineIngest::Owner {
 protected:
  void OnIngestChange() override { changes_++; }

  void Make(LineIngestOptions options = {}) {
    options.target = Target();
    ingest_ = std::make_unique<LineIngest>(service_.get(), &cache_, this, std::move(options));
  }
  void Add(std::string_view text) {
    world_.RunOnLoop([&] { EXPECT_EQ(ingest_->Add(text), text.size()); });
  }
  void End() {
    world_.RunOnLoop([&] { ingest_->End(true); });
    world_.RunUntil([&] { return ingest_->finished(); });
  }
  uint64_t Batches() { return world_.RunTask(core_->LoopStats()).appended_batches; }

  SeriesCache cache_{7};
  std::unique_ptr<LineIngest> ingest_;
  int changes_ = 0;
};

TEST_F(LineIngestTest, WhatComesWhileABatchIsInFlightGoesIntoOne) {
  Make();
  Add("m,host=a v=1 1\n");
  world_.RunUntil([&] { return !ingest_->busy(); });
  Add("m,host=a v=2 2\n");
  Add("m,host=a v=3 3\n");
  Add("m,host=a v=4 4\n");
  End();
  EXPECT_EQ(ingest_->accepted_lines(), 4u);
  EXPECT_EQ(Batches(), 2u) << "the first by itself, the others while it was in the log";
  EXPECT_GT(changes_, 0);
}

TEST_F(LineIngestTest, LinesOfSeriesBeyondTheQuotaAreRejectedAndTheOthersStored) {
  Make();
  ASSERT_TRUE(world_.RunTask(core_->SetTenant("default", {.series_max = 3})).ok());
  Add("m,host=a v=1 1\n");
  world_.RunUntil([&] { return ingest_->idle(); });
  // The second line would need two series of the one that is left: it is rejected whole.
  Add("m,host=b v=1 1\nm,host=c v=1,w=1 1\nm,host=a v=2 2\nm,host=c v=3 3\nm,host=b v=4 4\n");
  End();
  EXPECT_TRUE(ingest_->status().ok()) << ingest_->status();
  EXPECT_TRUE(absl::IsResourceExhausted(ingest_->refused_series()));
  EXPECT_EQ(ingest_->accepted_lines() + ingest_->rejected_lines(), 6u);
  ASSERT_EQ(ingest_->bad_lines().size(), ingest_->rejected_lines());
  EXPECT_EQ(ingest_->bad_lines()[0].number, 3u);
  EXPECT_THAT(ingest_->bad_lines()[0].reason, testing::HasSubstr("series_max"));
  EXPECT_EQ(service_->metrics()->parse_errors["series_quota"], ingest_->rejected_lines());
  // With room again the same lines pass: nothing of the refusal is remembered.
  ASSERT_TRUE(world_.RunTask(core_->SetTenant("default", {.series_max = kNoQuota})).ok());
  Make();
  Add("m,host=c v=1,w=1 1\n");
  End();
  EXPECT_EQ(ingest_->accepted_lines(), 1u);
}

TEST_F(LineIngestTest, ANumberedBodyBeyondTheQuotaIsRefusedWhole) {
  ASSERT_TRUE(world_.RunTask(core_->SetTenant("default", {.series_max = 1})).ok());
  const ProducerId producer{1, 2};
  ASSERT_TRUE(world_.RunTask(core_->OpenProducer(producer, 1, "default", "main")).ok());
  LineIngestOptions options;
  options.once = batch::ExactlyOnce{1, 2, 1, 1};
  Make(options);
  Add("m,host=a v=1 1\nm,host=b v=1 1\n");
  End();
  EXPECT_TRUE(absl::IsResourceExhausted(ingest_->status())) << ingest_->status();
  EXPECT_EQ(ingest_->accepted_lines(), 0u);
  EXPECT_EQ(Batches(), 0u);
}

TEST_F(LineIngestTest, AFullBatchDoesNotWait) {
  Make();
  Add("m v=0 0\n");
  world_.RunUntil([&] { return ingest_->idle(); });
  std::string text;
  for (size_t i = 1; i <= 2 * kIngestBatchSamples + 1; i++)
    text += fmt::format("m v={} {}\n", i, i);
  Add(text);
  End();
  EXPECT_EQ(Batches(), 4u) << "the first, two full ones, the rest";
  EXPECT_EQ(Stored("m_v")["m_v"].size(), 2 * kIngestBatchSamples + 2);
}

TEST_F(LineIngestTest, TakesNoMoreThanMayBeInFlight) {
  LineIngestOptions options;
  options.in_flight_bytes_max = 1;
  Make(std::move(options));
  std::string text;
  for (size_t i = 0; i < 3 * kIngestBatchSamples; i++) text += fmt::format("m v={} {}\n", i, i);
  std::string_view rest = text;
  int rounds = 0;
  while (!rest.empty()) {
    size_t taken = 0;
    world_.RunOnLoop([&] { taken = ingest_->Add(rest); });
    ASSERT_GT(taken, 0u);
    rest.remove_prefix(taken);
    if (!rest.empty()) {
      EXPECT_TRUE(ingest_->busy());
    }
    world_.RunUntil([&] { return !ingest_->busy(); });
    rounds++;
  }
  EXPECT_GE(rounds, 3);
  End();
  EXPECT_EQ(Stored("m_v")["m_v"].size(), 3 * kIngestBatchSamples);
}

TEST_F(LineIngestTest, NewSeriesOfABatchGetTheirIdsTogether) {
  Make();
  std::string text;
  for (int i = 0; i < 500; i++) {
    text += fmt::format("m,host=h{},rack=r v={},w={} 1\n", i % 100, i, i + 0.5);
    // The same series under other bytes.
    text += fmt::format("m,rack=r,host=h{} v={} 2\n", i % 100, i);
  }
  Add(text);
  EXPECT_TRUE(ingest_->busy());
  End();
  auto stored = Stored("{__name__=~\"m_.\"}");
  EXPECT_EQ(stored.size(), 200u);
  EXPECT_EQ((stored["m_v{host=\"h7\",rack=\"r\"}"]),
            (std::map<int64_t, double>{{1, 407}, {2, 407}}));
  EXPECT_EQ((stored["m_w{host=\"h7\",rack=\"r\"}"]), (std::map<int64_t, double>{{1, 407.5}}));
}

TEST_F(LineIngestTest, SeriesThatTheDatabaseKnowsNeedNoWaiting) {
  Make();
  Add("m,host=a v=1 1\n");
  End();
  ingest_.reset();
  cache_.Clear();
  Make();
  Add("m,host=a v=2 2\n");
  EXPECT_FALSE(ingest_->busy());
  End();
  EXPECT_EQ(Stored("m_v").size(), 1u);
  EXPECT_EQ(Stored("m_v")["m_v{host=\"a\"}"].size(), 2u);
}

class LineIngestOfForgottenTest : public LineIngestTest {
 protected:
  LineIngestOfForgottenTest() { options_.series_grace_ms = 2'000; }

  // Everything is deleted, and after some graces its series are forgotten but for those held.
  void ForgetAll() {
    DeleteRequest request;
    request.selector = "{}";
    ASSERT_TRUE(world_.RunTask(core_->Delete(std::move(request))).ok());
    ASSERT_TRUE(Flush().ok());
    ASSERT_TRUE(world_.RunTask(core_->Compact(nullptr)).ok());
    world_.RunFor(12'000'000'000);
  }
};

TEST_F(LineIngestOfForgottenTest, ACachedSeriesThatWasForgottenIsMadeAnew) {
  Make();
  Add("m,host=a v=1 1\n");
  world_.RunUntil([&] { return ingest_->idle(); });
  const uint64_t before = core_->state()->next_series_id;
  ForgetAll();
  ASSERT_GT(core_->forgotten_series(), 0u);
  Add("m,host=a v=2 2\n");
  End();
  EXPECT_TRUE(ingest_->status().ok()) << ingest_->status();
  EXPECT_EQ(ingest_->accepted_lines(), 2u);
  EXPECT_EQ(core_->state()->next_series_id, before + 1);
  EXPECT_EQ(Stored("m_v")["m_v{host=\"a\"}"], (std::map<int64_t, double>{{2, 2.0}}));
}

TEST_F(LineIngestOfForgottenTest, LinesThatWaitHoldTheirSeries) {
  Make();
  Add("m,host=a v=1 1\n");
  End();
  ASSERT_TRUE(world_.RunTask(core_->OpenProducer(ProducerId{1, 2}, 0, "default", "main")).ok());
  // A body under a number is appended when all of it came.
  LineIngestOptions options;
  options.once = batch::ExactlyOnce{1, 2, 1, 1};
  Make(std::move(options));
  Add("m,host=a v=2 2\n");
  const uint64_t before = core_->state()->next_series_id;
  ForgetAll();
  End();
  EXPECT_TRUE(ingest_->status().ok()) << ingest_->status();
  EXPECT_EQ(core_->state()->next_series_id, before);
  EXPECT_EQ(Stored("m_v")["m_v{host=\"a\"}"], (std::map<int64_t, double>{{2, 2.0}}));
}

TEST_F(LineIngestTest, TheCacheIsBoundedAndForgettingCostsNothingElse) {
  for (uint64_t i = 0; i < kIngestCachedSeriesMax; i++) cache_.Insert({1, i}, SeriesId{i + 1});
  ASSERT_NE(cache_.Find({1, 0}), nullptr);
  Make();
  Add("m,host=a v=1 1\nm,host=a v=2 2\n");
  EXPECT_EQ(cache_.Find({1, 0}), nullptr);
  End();
  EXPECT_EQ(Stored("m_v")["m_v{host=\"a\"}"].size(), 2u);
}

TEST_F(LineIngestTest, AFieldThatALineHasTwiceIsWrittenTwice) {
  Make();
  Add("m v=1,v=2 5\n");
  End();
  EXPECT_EQ(ingest_->accepted_lines(), 1u);
  EXPECT_EQ(Stored("m_v")["m_v"], (std::map<int64_t, double>{{5, 2}})) << "the later one wins";
}

TEST_F(LineIngestTest, ALineIsTakenWholeOrNot) {
  Make();
  Add("m,host=\xff v=1 1\n");
  Add("m ok=1,\xff=2 1\n");
  End();
  EXPECT_EQ(ingest_->accepted_lines(), 0u);
  EXPECT_EQ(ingest_->rejected_lines(), 2u);
  EXPECT_TRUE(Stored("{__name__=~\"m_.*\"}").empty());
  EXPECT_EQ(world_.RunTask(core_->LoopStats()).series, 1u) << "that of the fixture";
}

TEST_F(LineIngestTest, TheFirstBadLinesAreNamed) {
  Make();
  std::string text = "# comment\n\nm v=1 1\n";
  for (size_t i = 0; i < kIngestBadLinesKept + 5; i++) text += "bad\n";
  Add(text);
  End();
  EXPECT_EQ(ingest_->rejected_lines(), kIngestBadLinesKept + 5);
  ASSERT_EQ(ingest_->bad_lines().size(), kIngestBadLinesKept);
  EXPECT_EQ(ingest_->bad_lines()[0].number, 4u);
  EXPECT_THAT(ingest_->bad_lines()[0].reason, testing::HasSubstr("column 4"));
}

TEST_F(LineIngestTest, TimestampsAreScaledAndMustFit) {
  LineIngestOptions options;
  options.nanos_per_unit = 1'000'000'000;
  Make(std::move(options));
  Add("m v=1 1700000000\nm v=2 9223372037\n");
  End();
  EXPECT_EQ(Stored("m_v")["m_v"], (std::map<int64_t, double>{{1'700'000'000'000'000'000, 1}}));
  EXPECT_EQ(ingest_->rejected_lines(), 1u);
  EXPECT_EQ(service_->metrics()->parse_errors["timestamp"], 1u);
}

TEST_F(LineIngestTest, WhatWasSubmittedIsStoredThoughTheIngestIsGone) {
  Make();
  Add("m v=1 1\n");
  world_.RunUntil([&] { return ingest_->idle(); });
  Add("m v=2 2\n");
  ASSERT_FALSE(ingest_->idle());
  world_.RunOnLoop([&] { ingest_.reset(); });
  world_.RunUntilIdle();
  EXPECT_EQ(Stored("m_v")["m_v"].size(), 2u);
}

TEST_F(LineIngestTest, ACacheSurvivesAnIngestThatEndsWhileSeriesGetTheirIds) {
  Make();
  Add("m,host=a v=1 1\n");
  ASSERT_TRUE(ingest_->busy());
  world_.RunOnLoop([&] { ingest_.reset(); });
  world_.RunUntilIdle();
  Make();
  Add("m,host=a v=2 2\n");
  End();
  EXPECT_EQ(Stored("m_v")["m_v{host=\"a\"}"], (std::map<int64_t, double>{{2, 2}}));
}

TEST_F(LineIngestTest, ABatchUnderANumberIsOneRecord) {
  const batch::ExactlyOnce once{1, 2, 1, 1};
  ASSERT_TRUE(world_.RunTask(core_->OpenProducer({1, 2}, 1, "default", "main")).ok());
  for (int copy = 0; copy < 2; copy++) {
    LineIngestOptions options;
    options.once = once;
    Make(std::move(options));
    std::string text;
    for (size_t i = 0; i < 2 * kIngestBatchSamples; i++) text += fmt::format("m v={} {}\n", i, i);
    Add(text);
    EXPECT_TRUE(ingest_->idle()) << "nothing goes ahead of the end";
    End();
    EXPECT_TRUE(ingest_->status().ok()) << ingest_->status();
    EXPECT_EQ(ingest_->accepted_lines(), 2 * kIngestBatchSamples);
    EXPECT_EQ(Batches(), 1u);
  }
  EXPECT_EQ(service_->metrics()->samples_received, 2 * kIngestBatchSamples);
}

TEST_F(LineIngestTest, WhatDoesNotFitARecordIsRefusedUnderANumber) {
  LineIngestOptions options;
  options.once = batch::ExactlyOnce{1, 2, 1, 1};
  Make(std::move(options));
  std::string text;
  for (size_t i = 0; i <= kIngestSamplesMax; i += 100) {
    text += "m v=1";
    for (int field = 1; field < 100; field++) text += ",v=1";
    text += " 1\n";
  }
  Add(text);
  End();
  EXPECT_TRUE(absl::IsOutOfRange(ingest_->status())) << ingest_->status();
  EXPECT_EQ(Batches(), 0u);
}

}  // namespace
}  // namespace nexus::server
