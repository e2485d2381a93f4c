// Tests of tombstones: which of them concern what, and what they take of a series.

#include "engine/tombstone.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/labels.h"

namespace nexus::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

std::shared_ptr<const Tombstone> At(uint64_t lsn, TimeRange range = {},
                                    std::string selector = "{}") {
  catalog::TombstoneRecord record;
  record.order.lsn.value = lsn;
  record.range = range;
  record.selector = std::move(selector);
  auto made = Tombstone::Make(std::move(record));
  EXPECT_TRUE(made.ok()) << made.status();
  return *made;
}

std::vector<uint64_t> Lsns(const Tombstones& list) {
  std::vector<uint64_t> lsns;
  for (const auto& tombstone : list) lsns.push_back(tombstone->order().lsn.value);
  return lsns;
}

DeleteMark Ends(uint64_t high, uint64_t applied = 0) { return {{0, Lsn{high}}, Lsn{applied}}; }

std::string Cpu(const char* host) { return Labels::Make("cpu", {{"host", host}})->Canonical(); }

TEST(Tombstone, ConcernsWhatEndsAtItOrBefore) {
  // A memtable sealed at 100 holds records that begin below 100; a delete that begins at 100 came
  // after all of them, one at 99 was applied to it.
  EXPECT_TRUE(Filters({0, Lsn{100}}, Ends(100)));
  EXPECT_TRUE(Filters({0, Lsn{101}}, Ends(100)));
  EXPECT_FALSE(Filters({0, Lsn{99}}, Ends(100)));
}

TEST(Tombstone, DoesNotConcernWhatItIsCarriedOutIn) {
  // An output whose inputs were filtered by every delete below 150.
  EXPECT_FALSE(Filters({0, Lsn{149}}, Ends(100, 150)));
  EXPECT_TRUE(Filters({0, Lsn{150}}, Ends(100, 150)));
  // Carried out up to 50 says nothing of what the highest write order says already.
  EXPECT_FALSE(Filters({0, Lsn{99}}, Ends(100, 50)));
}

TEST(Tombstone, ConcernsWhatIsOfAnEarlierTimeline) {
  EXPECT_TRUE(Filters({1, Lsn{100}}, {{0, Lsn{100}}, Lsn{}}));
  EXPECT_FALSE(Filters({0, Lsn{100}}, {{1, Lsn{50}}, Lsn{}}));
}

TEST(Tombstone, ListsGiveThoseThatConcernASource) {
  const Tombstones all = {At(10), At(20, {0, 9}), At(30, {50, 60}), At(40)};
  EXPECT_THAT(Lsns(TombstonesFor(all, Ends(15), {})), ElementsAre(20, 30, 40));
  EXPECT_THAT(Lsns(TombstonesFor(all, Ends(15), {9, 49})), ElementsAre(20, 40));
  EXPECT_THAT(Lsns(TombstonesFor(all, Ends(15, 31), {})), ElementsAre(40));
  EXPECT_THAT(Lsns(TombstonesFor(all, Ends(41), {})), IsEmpty());
  EXPECT_THAT(Lsns(TombstonesFor({}, Ends(0), {})), IsEmpty());
}

TEST(Tombstone, RangesAreJoinedWhereTheyMeet) {
  const Tombstones all = {At(1, {50, 60}), At(2, {0, 9}), At(3, {10, 20}), At(4, {55, 70}),
                          At(5, {100, 200}, "cpu{host=\"b\"}")};
  EXPECT_THAT(DeletedRanges(all, Cpu("a"), {}), ElementsAre(TimeRange{0, 20}, TimeRange{50, 70}));
  EXPECT_THAT(DeletedRanges(all, Cpu("b"), {15, 150}),
              ElementsAre(TimeRange{15, 20}, TimeRange{50, 70}, TimeRange{100, 150}));
  EXPECT_THAT(DeletedRanges(all, Cpu("a"), {21, 49}), IsEmpty());
}

TEST(Tombstone, TheEndsOfTimeAreOrdinaryTimestamps) {
  const Tombstones all = {At(1, {kMin, kMin}), At(2, {kMin + 1, 0}), At(3, {kMax, kMax}),
                          At(4, {5, kMax})};
  EXPECT_THAT(DeletedRanges(all, Cpu("a"), {}),
              ElementsAre(TimeRange{kMin, 0}, TimeRange{5, kMax}));
  EXPECT_THAT(DeletedRanges({At(1), At(2)}, Cpu("a"), {}), ElementsAre(TimeRange{kMin, kMax}));
}

TEST(Tombstone, AListTakesEachDeleteOnceAndInOrder) {
  auto list = std::make_shared<const Tombstones>();
  for (uint64_t lsn : {20, 10, 30, 20}) list = WithTombstone(list, At(lsn));
  EXPECT_THAT(Lsns(*list), ElementsAre(10, 20, 30));
}

TEST(Tombstone, ABranchMadeLaterHasTheSameDelete) {
  const auto tombstone = At(7, {1, 2}, "cpu{host=~\"a.*\"}")->Of(BranchId{3});
  EXPECT_EQ(tombstone->record().branch, BranchId{3});
  EXPECT_EQ(tombstone->order().lsn, Lsn{7});
  EXPECT_TRUE(tombstone->Covers(Cpu("ab")));
  EXPECT_FALSE(tombstone->Covers(Cpu("b")));
}

TEST(Tombstone, CountsTheExpressionsThatItHolds) {
  EXPECT_EQ(At(1, {}, "cpu{host=~\"a|b\",job!=\"x\"}")->expressions(), 0u);
  EXPECT_EQ(At(1, {}, "cpu{host=~\"a.*\",job!~\".+b\"}")->expressions(), 2u);
}

TEST(Tombstone, ASelectorThatIsNoneIsRefused) {
  catalog::TombstoneRecord record;
  record.selector = "cpu{";
  EXPECT_TRUE(absl::IsInvalidArgument(Tombstone::Make(record).status()));
}

}  // namespace
}  // namespace nexus::engine
