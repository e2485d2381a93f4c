// Exactly once: a numbered batch is applied once however often it is sent, over crashes too; a gap
// is refused with what is expected; a newer epoch fences the older; what was rejected is answered
// again.

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

#include "tests/engine/sim_fixture.h"

namespace nexus::engine {
namespace {

constexpr ProducerId kProducer{7, 9};

// One numbered append; kept until released.
struct Numbered : BatchRequest {
  Numbered(SeriesId series, ExactlyOnce number, uint32_t rejected) {
    const auto at = static_cast<int64_t>(number.sequence * 100);
    std::vector<int64_t> timestamps;
    std::vector<double> values;
    for (int64_t t = at; t < at + 10; t++) {
      timestamps.push_back(t);
      values.push_back(static_cast<double>(t));
    }
    encoder.AddSeries(series, timestamps, values);
    if (rejected > 0) encoder.Reject(2, rejected);
    SetExactlyOnce(number);
  }
};

io::Task<void> OpenSecondEpoch(DatabaseCore* core, bool* opened) {
  *opened = (co_await core->OpenProducer(kProducer, 2, "default", "main")).ok();
}

class ExactlyOnceTest : public SimDatabaseTest {
 protected:
  StatusOr<ProducerState> OpenEpoch(uint64_t epoch) {
    return world_.RunTask(core_->OpenProducer(kProducer, epoch, "default", "main"));
  }
  Numbered* Submit(uint64_t epoch, uint64_t sequence, uint32_t rejected = 0) {
    requests_.emplace_back(series_, ExactlyOnce{kProducer.high, kProducer.low, epoch, sequence},
                           rejected);
    Numbered* request = &requests_.back();
    SubmitBatch(request);
    return request;
  }
  Status Send(uint64_t epoch, uint64_t sequence, uint32_t rejected = 0) {
    Numbered* request = Submit(epoch, sequence, rejected);
    world_.RunUntil([&] { return request->released(); });
    EXPECT_EQ(request->answers(), 1);
    last_ = request;
    return request->status();
  }
  uint64_t Stored() { return core_->state()->FindBranch({}, {})->active->samples(); }

  std::deque<Numbered> requests_;
  Numbered* last_ = nullptr;
};

TEST_F(ExactlyOnceTest, RepeatedBatchIsAppliedOnceAndAnsweredAgain) {
  ASSERT_TRUE(Open().ok());
  StatusOr<ProducerState> opened = OpenEpoch(0);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->epoch, 1u);
  EXPECT_EQ(opened->last_sequence, 0u);
  ASSERT_TRUE(Send(1, 1).ok());
  EXPECT_FALSE(last_->duplicate);
  Lsn end = last_->end;
  ASSERT_TRUE(Send(1, 1).ok());
  EXPECT_TRUE(last_->duplicate);
  EXPECT_EQ(last_->end, end);
  EXPECT_EQ(Stored(), 10u);
}

TEST_F(ExactlyOnceTest, DuplicateInFlightWaitsForTheFirstCopy) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(OpenEpoch(0).ok());
  Numbered* first = Submit(1, 1);
  Numbered* second = Submit(1, 1);
  world_.RunUntil([&] { return second->answers() == 1; });
  EXPECT_EQ(first->answers(), 1);
  EXPECT_TRUE(first->status().ok());
  EXPECT_TRUE(second->status().ok());
  EXPECT_TRUE(second->duplicate);
  EXPECT_EQ(second->end, first->end);
  EXPECT_EQ(Stored(), 10u);
}

TEST_F(ExactlyOnceTest, GapIsRefusedWithWhatIsExpected) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(OpenEpoch(0).ok());
  ASSERT_TRUE(Send(1, 1).ok());
  Status gap = Send(1, 3);
  EXPECT_TRUE(absl::IsFailedPrecondition(gap)) << gap;
  EXPECT_EQ(ExpectedSequence(gap), 2u);
  EXPECT_NE(gap.message().find("expected 2"), absl::string_view::npos) << gap;
  EXPECT_EQ(ExpectedSequence(Send(2, 2)), std::nullopt);
  ASSERT_TRUE(Send(1, 2).ok());
  ASSERT_TRUE(Send(1, 3).ok());
}

TEST_F(ExactlyOnceTest, NewerEpochFencesTheOlderAndContinuesItsNumbers) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(OpenEpoch(0).ok());
  ASSERT_TRUE(Send(1, 1).ok());
  StatusOr<ProducerState> opened = OpenEpoch(5);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->epoch, 5u);
  EXPECT_EQ(opened->last_sequence, 1u);
  Status fenced = Send(1, 2);
  EXPECT_TRUE(absl::IsFailedPrecondition(fenced)) << fenced;
  EXPECT_NE(fenced.message().find("fenced by epoch 5"), absl::string_view::npos) << fenced;
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenEpoch(4).status()));
  EXPECT_EQ(OpenEpoch(5)->last_sequence, 1u);
  EXPECT_TRUE(Send(5, 2).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Send(6, 3)));
}

TEST_F(ExactlyOnceTest, BatchQueuedBehindAnOpeningIsFenced) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(OpenEpoch(0).ok());
  Numbered* request = nullptr;
  bool opened = false;
  io::TaskScope scope(world_.environment()->executor());
  world_.RunOnLoop([&] { scope.Spawn(OpenSecondEpoch(core_.get(), &opened)); });
  const ProducerTable& producers = core_->state()->FindBranch({}, {})->producers;
  world_.RunUntil([&] { return producers.NewestEpoch(kProducer) == 2; });
  ASSERT_FALSE(opened);
  request = Submit(1, 1);
  world_.RunUntil([&] { return opened && request->released(); });
  EXPECT_TRUE(absl::IsFailedPrecondition(request->status())) << request->status();
  EXPECT_EQ(Stored(), 0u);
}

TEST_F(ExactlyOnceTest, UnknownProducerMustOpenAnEpoch) {
  ASSERT_TRUE(Open().ok());
  Status unknown = Send(1, 1);
  EXPECT_TRUE(absl::IsFailedPrecondition(unknown)) << unknown;
  EXPECT_NE(unknown.message().find("open a new epoch"), absl::string_view::npos) << unknown;
}

TEST_F(ExactlyOnceTest, NumbersAndRejectionsSurviveAPowerCut) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(OpenEpoch(3).ok());
  ASSERT_TRUE(Send(3, 1, 4).ok());
  ASSERT_TRUE(Send(3, 2).ok());
  Die(sim::CrashKind::kPowerCut);
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Send(3, 1, 4).ok());
  EXPECT_TRUE(last_->duplicate);
  auto rejected = core_->state()->FindBranch({}, {})->producers.RejectedOf(*last_->once);
  ASSERT_EQ(rejected.size(), 1u);
  EXPECT_EQ(rejected[0], (catalog::SampleRange{2, 4}));
  EXPECT_EQ(Stored(), 16u);
  EXPECT_EQ(ExpectedSequence(Send(3, 4)), 3u);
}

TEST_F(ExactlyOnceTest, NumbersSurviveFlushAndTheTrimOfTheLog) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(OpenEpoch(1).ok());
  uint64_t next = 1;
  for (int round = 0; round < 4; round++) {
    for (int i = 0; i < 3; i++) ASSERT_TRUE(Send(1, next++, 1).ok());
    ASSERT_TRUE(Flush().ok());
  }
  Die(sim::CrashKind::kPowerCut);
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Send(1, next - 1).ok());
  EXPECT_TRUE(last_->duplicate);
  EXPECT_EQ(core_->state()->FindBranch({}, {})->producers.RejectedOf(*last_->once).size(), 1u);
  EXPECT_EQ(ExpectedSequence(Send(1, next + 1)), next);
  ASSERT_TRUE(Close().ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(OpenEpoch(1)->last_sequence, next - 1);
}

TEST_F(ExactlyOnceTest, AfterTheLogFailedADuplicateOfTheUnknownIsNotAnswered) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(OpenEpoch(1).ok());
  ASSERT_TRUE(Send(1, 1).ok());
  const sim::OpFilter log({sim::Op::kWrite, sim::Op::kSync}, "/wal/");
  world_.disk().FailFrom(log, 1, -EIO);
  Status lost = Send(1, 2);
  EXPECT_TRUE(absl::IsUnavailable(lost)) << lost;
  EXPECT_TRUE(absl::IsUnavailable(Send(1, 2)));
  ASSERT_TRUE(Send(1, 1).ok());
  EXPECT_TRUE(last_->duplicate);
}

TEST_F(ExactlyOnceTest, SilentProducersAreForgottenAtACheckpoint) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(OpenEpoch(1).ok());
  ASSERT_TRUE(Send(1, 1).ok());
  world_.RunFor(kProducerSilentNs + 1'000'000'000);
  ASSERT_TRUE(Append(0, 10).ok());
  ASSERT_TRUE(Flush().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Send(1, 2)));
  EXPECT_EQ(OpenEpoch(0)->last_sequence, 0u);
  Die(sim::CrashKind::kPowerCut);
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(OpenEpoch(1)->last_sequence, 0u);
}

// Another tenant, never flushed, has the whole log read again: also the batches of before.
TEST_F(ExactlyOnceTest, ForgettingIsReplayedInItsPlaceAmongTheBatches) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(world_.RunTask(core_->CreateTenant("other")).ok());
  ASSERT_TRUE(OpenEpoch(1).ok());
  for (uint64_t sequence : {1u, 2u, 3u}) ASSERT_TRUE(Send(1, sequence).ok());
  world_.RunFor(kProducerSilentNs + 1'000'000'000);
  ASSERT_TRUE(Flush().ok());
  ASSERT_EQ(OpenEpoch(1)->last_sequence, 0u);
  ASSERT_TRUE(Send(1, 1).ok());
  Die(sim::CrashKind::kPowerCut);
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(OpenEpoch(1)->last_sequence, 1u);
}

TEST_F(ExactlyOnceTest, ClockThatJumpsForgetsNobody) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(OpenEpoch(1).ok());
  ASSERT_TRUE(Send(1, 1).ok());
  world_.RunFor(7'200'000'000'000);
  world_.JumpWallClock(2 * kProducerSilentNs);
  ASSERT_TRUE(Append(0, 10).ok());
  ASSERT_TRUE(Flush().ok());
  EXPECT_EQ(OpenEpoch(1)->last_sequence, 1u);
  // Opened with the clock as it is now: who is about to write again gets the time for it.
  Die(sim::CrashKind::kPowerCut);
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(20, 10).ok());
  ASSERT_TRUE(Flush().ok());
  EXPECT_EQ(OpenEpoch(1)->last_sequence, 1u);
}

}  // namespace
}  // namespace nexus::engine
