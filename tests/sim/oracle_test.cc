// The oracle finds what it is there to find: each rule, broken on purpose.

#include "tests/sim/oracle.h"

#include <gtest/gtest.h>

#include "tests/sim/branch_oracle.h"

namespace nexus::sim_test {
namespace {

constexpr int64_t kNow = 1000;

class OracleTest : public testing::Test {
 protected:
  // A batch of one sample each for series 0 and 1 at `timestamp`.
  uint64_t Submit(int64_t timestamp) { return oracle_.Submit({{0, timestamp}, {1, timestamp}}); }
  Observed Seen(uint32_t series, int64_t timestamp, uint64_t batch) {
    return {{series, timestamp}, oracle_.ValueOf(batch, series)};
  }
  std::vector<Observed> Both(int64_t timestamp, uint64_t batch) {
    return {Seen(0, timestamp, batch), Seen(1, timestamp, batch)};
  }
  std::optional<std::string> Check(const std::vector<Observed>& observed) {
    Oracle::Query query{0, 1, INT64_MIN, INT64_MAX, oracle_.acknowledgements()};
    return oracle_.Check(query, observed);
  }

  Oracle oracle_{42};
};

TEST_F(OracleTest, AcknowledgedAndThereIsRight) {
  uint64_t batch = Submit(kNow);
  oracle_.Acknowledged(batch);
  EXPECT_EQ(Check(Both(kNow, batch)), std::nullopt);
}

TEST_F(OracleTest, LostAcknowledgedBatchIsFound) {
  oracle_.Acknowledged(Submit(kNow));
  EXPECT_NE(Check({}), std::nullopt);
}

TEST_F(OracleTest, HalfABatchIsFound) {
  uint64_t batch = Submit(kNow);
  oracle_.InDoubt(batch);
  EXPECT_NE(Check({Seen(0, kNow, batch)}), std::nullopt);
}

TEST_F(OracleTest, InventedSampleIsFound) {
  EXPECT_NE(Check({{{0, kNow}, 7}}), std::nullopt);
  uint64_t batch = Submit(kNow);
  oracle_.InDoubt(batch);
  EXPECT_NE(Check({{{0, kNow}, oracle_.ValueOf(batch, 1)}}), std::nullopt);
}

TEST_F(OracleTest, SampleReturnedTwiceIsFound) {
  uint64_t batch = Submit(kNow);
  oracle_.Acknowledged(batch);
  EXPECT_NE(Check({Seen(0, kNow, batch), Seen(0, kNow, batch), Seen(1, kNow, batch)}),
            std::nullopt);
}

TEST_F(OracleTest, InDoubtBatchMayBeThereOrNotButDecidesOnce) {
  uint64_t kept = Submit(kNow);
  uint64_t dropped = Submit(kNow + 1);
  oracle_.InDoubt(kept);
  oracle_.InDoubt(dropped);
  ASSERT_EQ(Check(Both(kNow, kept)), std::nullopt);
  EXPECT_NE(Check({}), std::nullopt) << "what was read must stay";
  auto all = Both(kNow, kept);
  auto back = Both(kNow + 1, dropped);
  all.insert(all.end(), back.begin(), back.end());
  EXPECT_NE(Check(all), std::nullopt) << "what was seen absent must stay away";
}

TEST_F(OracleTest, RefusedBatchMustNotAppear) {
  uint64_t batch = Submit(kNow);
  oracle_.Refused(batch);
  EXPECT_NE(Check(Both(kNow, batch)), std::nullopt);
}

TEST_F(OracleTest, EarlierWriteMustNotShowOverAnAcknowledgedLaterOne) {
  uint64_t first = Submit(kNow);
  uint64_t second = Submit(kNow);
  oracle_.Acknowledged(first);
  oracle_.Acknowledged(second);
  EXPECT_NE(Check(Both(kNow, first)), std::nullopt);
  EXPECT_EQ(Check(Both(kNow, second)), std::nullopt);
}

TEST_F(OracleTest, BatchAcknowledgedAfterTheQueryBeganMayBeMissing) {
  uint64_t batch = Submit(kNow);
  Oracle::Query query{0, 1, INT64_MIN, INT64_MAX, oracle_.acknowledgements()};
  oracle_.Acknowledged(batch);
  EXPECT_EQ(oracle_.Check(query, {}), std::nullopt);
}

TEST_F(OracleTest, AHoleInWhatACrashLeftIsFound) {
  uint64_t first = Submit(kNow);
  uint64_t second = Submit(kNow + 1);
  oracle_.InDoubt(first);
  oracle_.InDoubt(second);
  oracle_.EndLife();
  EXPECT_NE(Check(Both(kNow + 1, second)), std::nullopt);
}

TEST_F(OracleTest, WhatOneLifeLostSaysNothingAboutTheNext) {
  oracle_.InDoubt(Submit(kNow));
  oracle_.EndLife();
  uint64_t second = Submit(kNow + 1);
  oracle_.Acknowledged(second);
  EXPECT_EQ(Check(Both(kNow + 1, second)), std::nullopt);
}

TEST_F(OracleTest, OldBufferedBatchMustBeThere) {
  uint64_t old = Submit(kNow);
  uint64_t young = Submit(kNow + 1);
  oracle_.Buffered(old, 100);
  oracle_.Buffered(young, 200);
  oracle_.InDoubt(old, 150);
  oracle_.InDoubt(young, 150);
  EXPECT_EQ(Check(Both(kNow, old)), std::nullopt);
  EXPECT_NE(Check({}), std::nullopt);
}

TEST_F(OracleTest, SecondCopyOfAnOverwrittenBatchIsFound) {
  uint64_t first = oracle_.Submit({{0, kNow}, {1, kNow}}, /*ordered=*/false);
  uint64_t second = oracle_.Submit({{0, kNow}, {1, kNow}}, /*ordered=*/false);
  oracle_.Acknowledged(first);
  oracle_.Acknowledged(second);
  EXPECT_NE(Check(Both(kNow, first)), std::nullopt);
}

TEST_F(OracleTest, RefusedAfterItWasSeenIsFound) {
  uint64_t batch = Submit(kNow);
  EXPECT_EQ(Check(Both(kNow, batch)), std::nullopt);
  oracle_.Refused(batch);
  EXPECT_NE(Check(Both(kNow, batch)), std::nullopt);
}

TEST_F(OracleTest, WhatWasRejectedOfABatchMustNotAppear) {
  const uint64_t older = Submit(kNow);
  oracle_.Acknowledged(older);
  const uint64_t newer = Submit(kNow);
  oracle_.Expire(1, kNow + 1);
  oracle_.Rejected(newer, 1, 1);
  oracle_.Acknowledged(newer);
  EXPECT_EQ(Check({Seen(0, kNow, newer)}), std::nullopt);
  EXPECT_EQ(Check({Seen(0, kNow, newer), Seen(1, kNow, older)}), std::nullopt);
  EXPECT_NE(Check({Seen(1, kNow, older)}), std::nullopt) << "the rest of it must be there";
  EXPECT_NE(Check(Both(kNow, newer)), std::nullopt);
}

TEST_F(OracleTest, OnlyABatchWithoutAnAnswerMayShowAnOlderWriteOfAnExpiredPlace) {
  const uint64_t older = Submit(kNow);
  oracle_.Acknowledged(older);
  const uint64_t newer = Submit(kNow);
  oracle_.Expire(1, kNow + 1);
  oracle_.InDoubt(newer);
  EXPECT_EQ(Check({Seen(0, kNow, newer), Seen(1, kNow, older)}), std::nullopt);
  const uint64_t newest = Submit(kNow);
  oracle_.Acknowledged(newest);
  EXPECT_NE(Check({Seen(0, kNow, newest), Seen(1, kNow, older)}), std::nullopt);
}

TEST_F(OracleTest, AForkHasWhatWasThereAndIsJudgedApart) {
  const uint64_t before = Submit(kNow);
  oracle_.Acknowledged(before);
  const uint64_t in_flight = Submit(kNow + 1);
  Oracle fork = oracle_.Fork(7);
  const Oracle::Query all{0, 1, INT64_MIN, INT64_MAX, fork.acknowledgements()};
  oracle_.Acknowledged(in_flight);
  EXPECT_EQ(fork.Check(all, Both(kNow, before)), std::nullopt) << "it need not be in the branch";
  std::vector<Observed> late = Both(kNow, before);
  for (const Observed& seen : Both(kNow + 1, in_flight)) late.push_back(seen);
  EXPECT_NE(fork.Check(all, late), std::nullopt) << "but then it never is";
  EXPECT_NE(fork.Check(all, {}), std::nullopt) << "what was acknowledged is in it";
}

TEST_F(OracleTest, WhatIsRefusedWhileAForkIsMadeIsNoHoleInIt) {
  const uint64_t refused = Submit(kNow);
  const uint64_t in_part = Submit(kNow + 1);
  const uint64_t behind = Submit(kNow + 2);
  Oracle fork = oracle_.Fork(7);
  oracle_.Refused(refused);
  oracle_.Rejected(in_part, 0, 1);
  oracle_.Acknowledged(in_part);
  oracle_.Acknowledged(behind);
  const Oracle::Query all{0, 1, INT64_MIN, INT64_MAX, fork.acknowledgements()};
  std::vector<Observed> seen = Both(kNow + 2, behind);
  seen.push_back(Seen(1, kNow + 1, in_part));
  EXPECT_NE(Oracle(fork).Check(all, seen), std::nullopt) << "nobody told it";
  fork.LearnRefusals(oracle_);
  EXPECT_EQ(fork.Check(all, seen), std::nullopt);
  EXPECT_NE(fork.Check(all, Both(kNow, refused)), std::nullopt);
}

TEST_F(OracleTest, WhatIsWrittenToOneBranchIsNotInTheOther) {
  Oracle fork = oracle_.Fork(7);
  const Oracle::Query all{0, 1, INT64_MIN, INT64_MAX, 0};
  const uint64_t parents = Submit(kNow);
  const uint64_t childs = fork.Submit({{0, kNow}, {1, kNow}});
  EXPECT_NE(fork.Check(all, Both(kNow, parents)), std::nullopt);
  EXPECT_NE(oracle_.ValueOf(parents, 0), fork.ValueOf(childs, 0));
}

TEST(BranchOracleTest, LostAndUnknownBranchesAreFound) {
  BranchOracle branches(1);
  branches.Creating("a", BranchKind::kBranch, "main");
  branches.Created("a", true);
  branches.Creating("b", BranchKind::kSnapshot, "a");
  BranchInfo main;
  main.name = "main";
  BranchInfo a;
  a.name = "a";
  BranchInfo b;
  b.name = "b";
  b.kind = BranchKind::kSnapshot;
  EXPECT_NE(branches.Check({main}, false), std::nullopt) << "a is lost";
  EXPECT_EQ(branches.Check({main, a}, false), std::nullopt);
  EXPECT_EQ(branches.Check({main, a, b}, true), std::nullopt) << "an opening decides";
  EXPECT_NE(branches.Check({main, a}, true), std::nullopt) << "once it was there";
  branches.Deleting("a");
  branches.Deleted("a", true);
  EXPECT_NE(branches.Check({main, a, b}, true), std::nullopt) << "a is deleted";
}

// ---- Deletes.

class OracleOfDeletes : public OracleTest {
 protected:
  uint64_t Written(int64_t timestamp) {
    const uint64_t batch = Submit(timestamp);
    oracle_.Acknowledged(batch);
    return batch;
  }
  // Of both series at kNow.
  uint64_t SubmitDelete() { return oracle_.SubmitDelete({0, 1, kNow, kNow}); }
};

TEST_F(OracleOfDeletes, WhatIsDeletedIsNotThere) {
  const uint64_t other = Written(kNow + 1);
  const uint64_t batch = Written(kNow);
  oracle_.Acknowledged(SubmitDelete());
  EXPECT_EQ(Check(Both(kNow + 1, other)), std::nullopt);
  EXPECT_EQ(oracle_.deleted_places_seen(), 2u);
  auto all = Both(kNow, batch);
  for (const Observed& one : Both(kNow + 1, other)) all.push_back(one);
  EXPECT_NE(Check(all), std::nullopt) << "the delete is lost";
}

TEST_F(OracleOfDeletes, WhatIsWrittenLaterStays) {
  Written(kNow);
  oracle_.Acknowledged(SubmitDelete());
  const uint64_t later = Written(kNow);
  EXPECT_EQ(Check(Both(kNow, later)), std::nullopt);
  EXPECT_NE(Check({}), std::nullopt) << "the delete took what came after it";
}

TEST_F(OracleOfDeletes, ADeleteIsThereWholeOrNotAtAll) {
  const uint64_t batch = Written(kNow);
  const uint64_t removed = SubmitDelete();
  oracle_.InDoubt(removed);
  EXPECT_NE(Check({Seen(0, kNow, batch)}), std::nullopt);
}

TEST_F(OracleOfDeletes, OneInDoubtIsDecidedOnce) {
  const uint64_t batch = Written(kNow);
  oracle_.InDoubt(SubmitDelete());
  ASSERT_EQ(Check(Both(kNow, batch)), std::nullopt);
  EXPECT_NE(Check({}), std::nullopt) << "it was seen absent";
  // Within one life the first would have taken the second with it.
  oracle_.EndLife();
  const uint64_t second = Written(kNow + 1);
  oracle_.InDoubt(oracle_.SubmitDelete({0, 1, kNow + 1, kNow + 1}));
  ASSERT_EQ(Check(Both(kNow, batch)), std::nullopt);
  auto all = Both(kNow, batch);
  for (const Observed& one : Both(kNow + 1, second)) all.push_back(one);
  EXPECT_NE(Check(all), std::nullopt) << "it was seen present";
}

TEST_F(OracleOfDeletes, ARefusedOneTakesNothing) {
  const uint64_t batch = Written(kNow);
  oracle_.Refused(SubmitDelete());
  EXPECT_EQ(Check(Both(kNow, batch)), std::nullopt);
  EXPECT_NE(Check({}), std::nullopt);
}

TEST_F(OracleOfDeletes, OneAcknowledgedAfterTheQueryBeganMayBeMissing) {
  const uint64_t batch = Written(kNow);
  Oracle::Query query{0, 1, INT64_MIN, INT64_MAX, oracle_.acknowledgements()};
  oracle_.Acknowledged(SubmitDelete());
  EXPECT_EQ(oracle_.Check(query, Both(kNow, batch)), std::nullopt);
  EXPECT_EQ(oracle_.Check(query, {}), std::nullopt);
}

TEST_F(OracleOfDeletes, AHoleBeforeADeleteThatACrashLeftIsFound) {
  const uint64_t old = Written(kNow);
  const uint64_t lost = Submit(kNow + 1);
  const uint64_t removed = SubmitDelete();
  oracle_.InDoubt(lost);
  oracle_.InDoubt(removed);
  oracle_.EndLife();
  EXPECT_NE(Check({}), std::nullopt) << "the delete is there and the batch before it is not";
  EXPECT_EQ(old, 0u);
}

TEST_F(OracleOfDeletes, AreNoBatchesOfTheCount) {
  Written(kNow);
  oracle_.Acknowledged(SubmitDelete());
  oracle_.Applied(2);
  EXPECT_NE(oracle_.CheckApplied(), std::nullopt);
}

}  // namespace
}  // namespace nexus::sim_test
