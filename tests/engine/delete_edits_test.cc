// Tests of the life of tombstones: who needs one, when it is forgotten, what a compaction is told.

#include "engine/delete_edits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/labels.h"

namespace nexus::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr WriteOrder kTen{0, Lsn{10}};
constexpr WriteOrder kTwenty{0, Lsn{20}};

catalog::TombstoneRecord Record(uint64_t lsn, TimeRange range = {}, std::string selector = "{}") {
  catalog::TombstoneRecord record;
  record.order.lsn.value = lsn;
  record.range = range;
  record.selector = std::move(selector);
  return record;
}

class TombstoneLife : public testing::Test {
 protected:
  void Delete(uint64_t lsn, TimeRange range = {}, std::string selector = "{}") {
    auto made = Tombstone::Make(Record(lsn, range, std::move(selector)));
    ASSERT_TRUE(made.ok()) << made.status();
    branch_.tombstones = WithTombstone(branch_.tombstones, *made);
  }
  OpenLayer* AddLayer(uint64_t high, TimeRange range = {}) {
    OpenLayer open;
    open.record.high.lsn.value = high;
    open.record.range = range;
    open.record.sequence = branch_.layers.size();
    branch_.layers.push_back(std::move(open));
    return &branch_.layers.back();
  }

  BranchState branch_;
};

TEST_F(TombstoneLife, EndsWhenNoLayerIsFromBeforeIt) {
  Delete(10);
  Delete(20);
  AddLayer(15);
  EXPECT_THAT(TombstonesToForget(branch_), ElementsAre(kTen));
  branch_.layers.clear();
  EXPECT_THAT(TombstonesToForget(branch_), ElementsAre(kTen, kTwenty));
}

TEST_F(TombstoneLife, EndsWhenACompactionHasCarriedItOut) {
  Delete(20);
  OpenLayer* layer = AddLayer(15);
  EXPECT_THAT(TombstonesToForget(branch_), IsEmpty());
  layer->record.deletes_applied = Lsn{20};
  EXPECT_THAT(TombstonesToForget(branch_), IsEmpty())
      << "those below 20 were known, not that at 20";
  layer->record.deletes_applied = Lsn{21};
  EXPECT_THAT(TombstonesToForget(branch_), ElementsAre(kTwenty));
}

TEST_F(TombstoneLife, DoesNotWaitForLayersOfOtherTimes) {
  Delete(20, {0, 99});
  AddLayer(15, {100, 200});
  EXPECT_THAT(TombstonesToForget(branch_), ElementsAre(kTwenty));
  AddLayer(15, {99, 99});
  EXPECT_THAT(TombstonesToForget(branch_), IsEmpty());
}

TEST_F(TombstoneLife, LastsWhileAnythingFromBeforeItIsUnflushed) {
  Delete(20);
  branch_.active_first = Lsn{19};
  EXPECT_THAT(TombstonesToForget(branch_), IsEmpty());
  branch_.active_first = Lsn{20};
  EXPECT_THAT(TombstonesToForget(branch_), ElementsAre(kTwenty));
  branch_.sealed.push_back({nullptr, Lsn{5}, Lsn{15}, BranchId{}});
  EXPECT_THAT(TombstonesToForget(branch_), IsEmpty());
}

TEST_F(TombstoneLife, ABranchTakesNoMoreThanItsLimit) {
  auto list = std::make_shared<Tombstones>();
  for (uint64_t lsn = 1; lsn < kTombstonesMax; lsn++)
    list->push_back(*Tombstone::Make(Record(lsn)));
  branch_.tombstones = list;
  const auto next = *Tombstone::Make(Record(kTombstonesMax));
  EXPECT_TRUE(CheckTombstoneLimit(branch_, *next).ok());
  branch_.deletes_in_flight = 1;
  const Status status = CheckTombstoneLimit(branch_, *next);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_NE(status.message().find("compact first"), absl::string_view::npos) << status;
}

TEST_F(TombstoneLife, ABranchTakesNoMoreExpressionsThanItsLimit) {
  const auto one = *Tombstone::Make(Record(1, {}, "cpu{host=~\"a.*\"}"));
  auto list = std::make_shared<Tombstones>(kTombstoneExpressionsMax - 1, one);
  branch_.tombstones = list;
  EXPECT_TRUE(CheckTombstoneLimit(branch_, *one).ok());
  list->push_back(one);
  EXPECT_TRUE(absl::IsResourceExhausted(CheckTombstoneLimit(branch_, *one)));
  EXPECT_TRUE(CheckTombstoneLimit(branch_, **Tombstone::Make(Record(2, {}, "cpu"))).ok());
}

TEST_F(TombstoneLife, ABranchMadeLaterInheritsAndForgetsByItself) {
  Delete(10);
  Delete(20, {0, 5}, "cpu");
  BranchState child;
  child.record.id = BranchId{7};
  catalog::Update update;
  InheritTombstones(branch_, &child, &update);
  ASSERT_EQ(update.tombstones_added.size(), 2u);
  EXPECT_EQ(update.tombstones_added[1].branch, BranchId{7});
  EXPECT_EQ(update.tombstones_added[1].selector, "cpu");
  EXPECT_THAT(TombstonesToForget(child), ElementsAre(kTen, kTwenty));
  AddLayer(5);
  EXPECT_THAT(TombstonesToForget(branch_), IsEmpty());
  ForgetTombstonesOf(child, &update);
  EXPECT_EQ(update.tombstones_forgotten.size(), 2u);
}

// ---- What a compaction is told.

std::vector<TimeRange> Dropped(const compaction::SampleFilter& filter, const char* host) {
  std::vector<TimeRange> ranges;
  const std::string canonical = Labels::Make("cpu", {{"host", host}})->Canonical();
  filter.AppendDropped(SeriesId{1}, canonical, &ranges);
  return ranges;
}

TEST_F(TombstoneLife, ACompactionFiltersEachInputByTheDeletesThatCameAfterIt) {
  Delete(10, {0, 10}, "cpu{host=\"a\"}");
  Delete(20, {5, 30});
  const catalog::LayerRecord old = AddLayer(5, {0, 20})->record;
  const catalog::LayerRecord newer = AddLayer(15, {0, 20})->record;
  const catalog::LayerRecord newest = AddLayer(21, {0, 20})->record;
  const auto of_old = SampleFilterFor(*branch_.tombstones, MarkOf(old), old.range);
  ASSERT_NE(of_old, nullptr);
  EXPECT_THAT(Dropped(*of_old, "a"), ElementsAre(TimeRange{0, 20}));
  EXPECT_THAT(Dropped(*of_old, "b"), ElementsAre(TimeRange{5, 20}));
  const auto of_newer = SampleFilterFor(*branch_.tombstones, MarkOf(newer), newer.range);
  ASSERT_NE(of_newer, nullptr);
  EXPECT_THAT(Dropped(*of_newer, "a"), ElementsAre(TimeRange{5, 20}));
  EXPECT_EQ(SampleFilterFor(*branch_.tombstones, MarkOf(newest), newest.range), nullptr);
}

TEST_F(TombstoneLife, LayersThatADeleteTouchesWaitForACompaction) {
  Delete(20, {0, 9});
  OpenLayer* layer = AddLayer(5, {9, 50});
  EXPECT_TRUE(HasDeletes(*branch_.tombstones, layer->record));
  layer->record.range = {10, 50};
  EXPECT_FALSE(HasDeletes(*branch_.tombstones, layer->record));
  layer->record.range = {0, 50};
  layer->record.deletes_applied = Lsn{21};
  EXPECT_FALSE(HasDeletes(*branch_.tombstones, layer->record));
}

}  // namespace
}  // namespace nexus::engine
