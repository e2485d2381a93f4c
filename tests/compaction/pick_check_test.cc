// Tests of the checker: each rule broken by hand is found.

#include "compaction/pick_check.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "tests/compaction/map_builder.h"

namespace nexus::compaction {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

class PickCheck : public ::testing::Test, public MapBuilder {
 protected:
  PolicyOptions options;

  // To level 2, the first day; the rest stays at level 0.
  static std::vector<OutputSpan> FirstDay() {
    return {
        {{kMin, At(0) - 1}, 0, 0}, {{At(0), At(24) - 1}, 2, 24 * kHourNs}, {{At(24), kMax}, 0, 0}};
  }
  static Job Of(std::vector<uint32_t> inputs) {
    Job job;
    job.inputs = std::move(inputs);
    job.outputs = FirstDay();
    return job;
  }

  void ExpectRefused(const Job& job, const std::string& why) {
    Status status = CheckPick(map, options, job);
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.ToString().find(why), std::string::npos) << status;
  }
  void ExpectTaken(const Job& job) {
    Status status = CheckPick(map, options, job);
    EXPECT_TRUE(status.ok()) << status;
  }
};

TEST_F(PickCheck, NeighboursInWriteOrderMayBeJoined) {
  Flush(0, 2);
  Flush(1, 3);
  Flush(2, 4);
  ExpectTaken(Of({0, 1, 2}));
  ExpectTaken(Of({0, 1}));
  ExpectTaken(Of({1, 2}));
}

TEST_F(PickCheck, ALayerBetweenInWriteOrderIsFound) {
  Flush(0, 2);
  Flush(1, 3);
  Flush(2, 4);
  ExpectRefused(Of({0, 2}), "is no input and lies within the order");
}

TEST_F(PickCheck, ALayerBetweenThatDoesNotOverlapIsNone) {
  Flush(0, 2);
  Flush(5, 6);
  Flush(1, 3);
  ExpectTaken(Of({0, 2}));
}

TEST_F(PickCheck, ALayerInTheGapOfTheOutputIsFound) {
  Flush(0, 2);
  Flush(5, 6);
  Flush(8, 9);
  ExpectRefused(Of({0, 2}), "is no input and lies within the order");
}

TEST_F(PickCheck, WindowsAreLookedAtOneByOne) {
  // The first and the third meet only in the second day, where no other lies.
  Flush(0, 2);
  Flush(1, 3);
  Flush(30, 32);
  Job job = Of({0, 2});
  ExpectTaken(job);
  job.outputs = {{{kMin, At(0) - 1}, 0, 0}, {{At(0), At(48) - 1}, 0, 0}, {{At(48), kMax}, 0, 0}};
  ExpectRefused(job, "is no input and lies within the order");
}

TEST_F(PickCheck, AMemtableBetweenIsFound) {
  Flush(0, 2);
  OrderRange sealed = NextOrder();
  Flush(1, 3);
  ExpectTaken(Of({0, 1}));
  Memtable(1.5, 1.6, sealed);
  ExpectRefused(Of({0, 1}), "memtable");
  map.memtables[0].range = Between(10, 11);
  ExpectTaken(Of({0, 1}));
  map.memtables[0] = {Between(0, 10), {NextOrder().low, MapMemtable::kOrderEnd}};
  ExpectTaken(Of({0, 1}));
}

TEST_F(PickCheck, AnotherRunInAWindowOfTheOutputIsFound) {
  Flush(0, 2);
  Add(2, 20, 22);
  ExpectRefused(Of({0}), "lies in the window of an output");
}

TEST_F(PickCheck, APartLeftBehindIsFound) {
  uint32_t first = Add(2, 0, 10);
  Part(first, 1, 11);
  ExpectRefused(Of({0}), "of the same run, is not");
  ExpectTaken(Of({0, 1}));
}

TEST_F(PickCheck, ARunningJobIsFound) {
  Flush(0, 2);
  Flush(4, 6);
  Flush(8, 10);
  map.layers[0].job = 3;
  ExpectRefused(Of({0}), "running job 3");
  ExpectTaken(Of({1}));
  map.layers[2].job = 3;
  ExpectRefused(Of({1}), "overlaps running job 3");
}

TEST_F(PickCheck, InputsThatAreNoneOrTwiceOrInTheWrongOrderAreFound) {
  Flush(0, 2);
  Flush(4, 6);
  ExpectRefused(Of({}), "without inputs");
  ExpectRefused(Of({2}), "is no layer");
  ExpectRefused(Of({0, 0}), "input twice");
  ExpectRefused(Of({1, 0}), "behind a later one");
  options.job_layers_max = 1;
  ExpectRefused(Of({0, 1}), "with 2 inputs, more than 1");
  options.job_layers_max = 2;
  options.job_runs_max = 1;
  ExpectRefused(Of({0, 1}), "of 2 runs, more than 1");
}

TEST_F(PickCheck, SpansThatDoNotCoverTimeOrBreakWindowsAreFound) {
  Flush(0, 2);
  Job job = Of({0});
  job.outputs.pop_back();
  ExpectRefused(job, "do not cover all of time");
  job = Of({0});
  job.outputs[2].bounds.first++;
  ExpectRefused(job, "not adjacent");
  job = Of({0});
  job.outputs[1].width_ns = kHourNs;
  ExpectRefused(job, "has not the windows of level 2");
  job = Of({0});
  job.outputs[1].bounds.last = At(23);
  job.outputs[2].bounds.first = At(23) + 1;
  ExpectRefused(job, "breaks a window");
  job = Of({0});
  job.outputs[1].level = 4;
  ExpectRefused(job, "has not the windows of level 4");
}

TEST_F(PickCheck, AMapOfLayersThatContradictEachOtherIsFound) {
  Flush(0, 2);
  Flush(1, 3);
  EXPECT_TRUE(CheckMap(map).ok());
  map.layers[1].order.low = map.layers[0].order.low;
  EXPECT_FALSE(CheckMap(map).ok());
  map.layers[1].range = Between(5, 6);
  EXPECT_TRUE(CheckMap(map).ok());
  Memtable(0, 1, map.layers[0].order);
  EXPECT_FALSE(CheckMap(map).ok());
}

TEST_F(PickCheck, PartsOfARunMayOverlap) {
  uint32_t first = Add(1, 0, 2);
  uint32_t part = Part(first, 0, 2);
  EXPECT_TRUE(CheckMap(map).ok());
  map.layers[part].level = 2;
  EXPECT_FALSE(CheckMap(map).ok());
}

}  // namespace
}  // namespace nexus::compaction
