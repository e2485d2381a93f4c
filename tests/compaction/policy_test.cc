// Tests of the policy's rules, one by one, on maps made by hand.

#include "compaction/policy.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "compaction/pick_check.h"
#include "tests/compaction/map_builder.h"

namespace nexus::compaction {
namespace {

class Policy : public ::testing::Test, public MapBuilder {
 protected:
  PolicyOptions options;

  std::vector<Job> Pick(size_t max_jobs = 10) {
    std::vector<Job> jobs = PickJobs(map, options, max_jobs);
    for (const Job& job : jobs) {
      Status status = CheckPick(map, options, job);
      EXPECT_TRUE(status.ok()) << status << "\n" << job.reason;
      EXPECT_FALSE(job.reason.empty());
    }
    return jobs;
  }

  static std::set<uint32_t> Inputs(const Job& job) {
    return {job.inputs.begin(), job.inputs.end()};
  }

  // Where samples of an hour go.
  OutputWindow Output(const Job& job, double hour) { return OutputWindowAt(map, job, At(hour)); }

  // A month ago's window, merged long since, so that the clock and the newest sample are known.
  void LiveFlushes(double from, double to, double step) {
    for (double at = from; at < to; at += step) Flush(at, at + step, to - at - step);
    Now(to);
  }
};

TEST_F(Policy, AnEmptyMapGivesNoJobs) { EXPECT_TRUE(Pick().empty()); }

TEST_F(Policy, FlushesOfTheCurrentWindowWait) {
  LiveFlushes(0, 1.9, 0.1);
  EXPECT_TRUE(Pick().empty());
}

TEST_F(Policy, FewFlushesOfPastWindowsWait) {
  LiveFlushes(0, 7, 1);
  EXPECT_TRUE(Pick().empty());
}

TEST_F(Policy, EnoughFlushesOfPastWindowsGoToLevelOneTogether) {
  LiveFlushes(0.5, 9.5, 1);
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].job_class, JobClass::kFlush);
  // The last flush lies over the end of the last past window and is taken along; what is in the
  // current window stays at level 0.
  EXPECT_EQ(jobs[0].inputs.size(), 8u);
  EXPECT_EQ(Output(jobs[0], 1).level, 1u);
  EXPECT_EQ(Output(jobs[0], 1).window, Between(0, 2));
  EXPECT_EQ(Output(jobs[0], 7).window, Between(6, 8));
  EXPECT_EQ(Output(jobs[0], 8.2).level, 0u);
}

TEST_F(Policy, OutputsHaveTheOrderOfWhatOverlapsThem) {
  LiveFlushes(0.5, 9.5, 1);
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(Output(jobs[0], 1).order,
            (OrderRange{map.layers[0].order.low, map.layers[1].order.high}));
  EXPECT_EQ(Output(jobs[0], 8.2).order, map.layers[7].order);
}

TEST_F(Policy, AFinishedDayGoesToLevelTwoWithoutLevelOneBetween) {
  LiveFlushes(0, 27, 1);
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].job_class, JobClass::kSettle);
  EXPECT_EQ(jobs[0].inputs.size(), 24u);
  EXPECT_EQ(Output(jobs[0], 12).level, 2u);
  EXPECT_EQ(Output(jobs[0], 12).window, Between(0, 24));
}

TEST_F(Policy, ADayThatIsStillWrittenToWaits) {
  LiveFlushes(0, 27, 1);
  for (size_t i = 20; i < 24; i++) map.layers[i].age_ns = kHourNs;
  EXPECT_TRUE(Pick().empty()) << "a sixth of the day is younger than quiet_ns";
}

TEST_F(Policy, AFinishedMonthGoesToLevelThree) {
  for (int day = 0; day < 30; day++) Add(2, day * 24, day * 24 + 24, 100 + 24 * (30 - day));
  Flush(kMonthHours, kMonthHours + 1);
  Now(kMonthHours + 1);
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].inputs.size(), 30u);
  EXPECT_EQ(Output(jobs[0], 100).level, 3u);
  EXPECT_EQ(Output(jobs[0], 100).window, Between(0, kMonthHours));
}

TEST_F(Policy, LateSamplesCostOnlyThePiecesTheyMake) {
  for (int w = 0; w < 6; w++) Add(1, w * 2, w * 2 + 2, 12 - w);
  // Each flush has an hour of its own and a few samples of hours before.
  for (double at = 12; at < 21; at += 1) Flush(at - 5, at + 1, 20 - at);
  Now(21);
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  for (uint32_t w = 0; w < 6; w++) EXPECT_FALSE(Inputs(jobs[0]).contains(w));
  EXPECT_EQ(Output(jobs[0], 13).level, 1u);
  EXPECT_EQ(Output(jobs[0], 8).level, 0u) << "late samples stay above their windows";
}

TEST_F(Policy, BackfillCostsItsWindowOnly) {
  for (int month = 0; month < 12; month++) {
    Add(3, month * kMonthHours, (month + 1) * kMonthHours, 5000, 100 * kMib);
  }
  uint32_t live = Flush(12 * kMonthHours, 12 * kMonthHours + 1, 10);
  for (int i = 0; i < 60; i++) Flush(5 * kMonthHours + i, 5 * kMonthHours + 20 + i, 10);
  Now(12 * kMonthHours + 2);
  for (int round = 0; round < 2; round++) {
    std::vector<Job> jobs = Pick();
    EXPECT_FALSE(jobs.empty());
    for (const Job& job : jobs) {
      for (uint32_t input : job.inputs) {
        EXPECT_TRUE(input == live ||
                    Between(5 * kMonthHours, 6 * kMonthHours).Contains(map.layers[input].range));
      }
    }
    options.everything = true;
  }
}

TEST_F(Policy, BackfillWorthItsWindowIsMergedWhenItIsQuiet) {
  uint32_t base = Add(3, 0, kMonthHours, 5000, 100 * kMib);
  for (int i = 0; i < 10; i++) Flush(i, i + 1, 10, 6 * kMib);
  Flush(2 * kMonthHours, 2 * kMonthHours + 1, 0);
  Now(2 * kMonthHours + 1);
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_TRUE(Inputs(jobs[0]).contains(base));
  EXPECT_EQ(jobs[0].inputs.size(), 11u);
  for (MapLayer& layer : map.layers) {
    if (layer.level == 0) layer.age_ns = kHourNs;
  }
  EXPECT_TRUE(Pick().empty()) << "more may come";
}

TEST_F(Policy, ALittleBackfillWaitsAMonthAndNoLonger) {
  uint32_t base = Add(3, 0, kMonthHours, 5000, 100 * kMib);
  uint32_t little = Flush(10, 11, kMonthHours - 1);
  Flush(2 * kMonthHours, 2 * kMonthHours + 1, 0);
  Now(2 * kMonthHours + 1);
  EXPECT_TRUE(Pick().empty());
  map.layers[little].age_ns = At(kMonthHours) - At(0);
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(Inputs(jobs[0]), (std::set<uint32_t>{base, little}));
}

TEST_F(Policy, ALayerOverWindowsThatHaveTheirRunsIsCutAndTheyAreLeft) {
  for (int month = 0; month < 3; month++) {
    Add(3, month * kMonthHours, (month + 1) * kMonthHours, 5000, 100 * kMib);
  }
  uint32_t wide = Flush(10, 2 * kMonthHours + 10, 80, 90 * kMib);
  Flush(4 * kMonthHours, 4 * kMonthHours + 1, 0);
  Now(4 * kMonthHours + 1);
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].kind, JobKind::kCut);
  EXPECT_EQ(Inputs(jobs[0]), std::set<uint32_t>{wide});
  EXPECT_EQ(Output(jobs[0], 20).level, 0u);
  EXPECT_EQ(Output(jobs[0], 20).window.last, At(kMonthHours) - 1);
}

TEST_F(Policy, TooManyOverlappingFlushesAreJoinedThoughTheirTimeHasNotCome) {
  Now(2);
  for (int i = 0; i < 12; i++) Flush(0.1, 1.5);
  EXPECT_TRUE(Pick().empty());
  Flush(0.1, 1.5);
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].job_class, JobClass::kOverlap);
  EXPECT_EQ(Output(jobs[0], 1).level, 0u);
  EXPECT_EQ(jobs[0].inputs.size(), 13u);
}

TEST_F(Policy, JoiningTakesTheCheapestNeighboursInWriteOrder) {
  Now(2);
  for (int i = 0; i < 6; i++) Flush(0.1, 1.5, 0, 100 * kMib);
  std::set<uint32_t> small;
  for (int i = 0; i < 4; i++) small.insert(Flush(0.1, 1.5, 0, kMib));
  for (int i = 0; i < 3; i++) Flush(0.1, 1.5, 0, 100 * kMib);
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(Inputs(jobs[0]), small);
}

TEST_F(Policy, ManyFlushesOfOneWindowAreJoined) {
  Now(2);
  for (int i = 0; i < 64; i++) Flush(i * 0.03, i * 0.03 + 0.03);
  EXPECT_TRUE(Pick().empty());
  Flush(64 * 0.03, 65 * 0.03);
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].inputs.size(), options.job_runs_max);
  EXPECT_EQ(Output(jobs[0], 1).level, 0u);
}

TEST_F(Policy, ALayerBetweenInWriteOrderIsTakenAlong) {
  for (int i = 0; i < 8; i++) Flush(i, i + 1, 30);
  // Lies over the end of the window and over a layer that is only next door.
  uint32_t across = Flush(7, 9, 30);
  uint32_t next_door = Flush(8.5, 9.5, 30);
  Flush(7, 8, 30);
  uint32_t live = Flush(30, 31);
  options.everything = true;
  Now(31);
  for (const Job& job : Pick()) {
    if (Inputs(job).contains(across)) {
      EXPECT_TRUE(Inputs(job).contains(next_door));
      EXPECT_FALSE(Inputs(job).contains(live));
    }
  }
}

TEST_F(Policy, AnOlderMemtableHoldsBackWhatItOverlaps) {
  OrderRange sealed = NextOrder();
  for (int i = 0; i < 26; i++) Flush(i, i + 1, 30 - i);
  Now(29);
  ASSERT_EQ(Pick().size(), 1u);
  Memtable(5, 6, sealed);
  for (const Job& job : Pick()) EXPECT_FALSE(Inputs(job).contains(5));
  map.memtables[0].range = Between(0, 30);
  EXPECT_TRUE(Pick().empty());
}

TEST_F(Policy, TheActiveMemtableHoldsBackNothing) {
  for (int i = 0; i < 26; i++) Flush(i, i + 1, 30 - i);
  Now(29);
  Memtable(0, 30, {NextOrder().low, MapMemtable::kOrderEnd});
  EXPECT_EQ(Pick().size(), 1u);
}

TEST_F(Policy, ASampleFromTheFutureMakesNoWindowPast) {
  LiveFlushes(0, 1.9, 0.1);
  Flush(1.9, 100 * kMonthHours);
  Now(1.95);
  EXPECT_EQ(PastHorizon(map, options), At(1.95));
  EXPECT_TRUE(Pick().empty());
  // A day on, the day is past and the far sample is still alone.
  for (MapLayer& layer : map.layers) layer.age_ns += 30 * kHourNs;
  Now(32);
  std::vector<Job> jobs = Pick();
  ASSERT_FALSE(jobs.empty());
  EXPECT_EQ(Output(jobs[0], 1).level, 2u);
  EXPECT_EQ(Output(jobs[0], 99 * kMonthHours).level, 0u);
}

TEST_F(Policy, ABranchThatIsNoLongerWrittenToSettles) {
  LiveFlushes(0, 5, 1);
  EXPECT_TRUE(Pick().empty());
  for (MapLayer& layer : map.layers) layer.age_ns += 50 * kHourNs;
  Now(55);
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(Output(jobs[0], 3).level, 2u);
}

TEST_F(Policy, AClockFarBehindOnlyDelays) {
  for (int i = 0; i < 64; i++) Flush(i, i + 1);
  Now(-1e5);
  EXPECT_TRUE(Pick().empty());
  for (int i = 0; i < 20; i++) Flush(0, 64);
  EXPECT_FALSE(Pick().empty()) << "what lies on each other is joined whatever the time";
}

TEST_F(Policy, PartsOfOneRunAreOne) {
  uint32_t first = Add(2, 0, 24, 100);
  uint32_t second = Part(first, 1, 20);
  uint32_t third = Part(first, 21, 22);
  Flush(30, 31);
  Now(31);
  EXPECT_TRUE(Pick().empty());
  Flush(2, 3, 100, 3 * kMib);
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  for (uint32_t part : {first, second, third}) EXPECT_TRUE(Inputs(jobs[0]).contains(part));
}

TEST_F(Policy, ChangedWindowsAreCutAnew) {
  uint32_t month = Add(3, 0, kMonthHours, 5000, 100 * kMib);
  Flush(2 * kMonthHours, 2 * kMonthHours + 1);
  Now(2 * kMonthHours + 1);
  EXPECT_TRUE(Pick().empty());
  options.windows = *WindowSettings::Parse("1h,6h,5d");
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(Inputs(jobs[0]), std::set<uint32_t>{month});
  EXPECT_EQ(Output(jobs[0], 1).level, 3u);
  EXPECT_EQ(Output(jobs[0], 1).window, Between(0, 120));
}

TEST_F(Policy, WindowsThatBecomeWiderAreJoined) {
  for (int day = 0; day < 30; day++) Add(2, day * 24, day * 24 + 24, 2000);
  Flush(2 * kMonthHours, 2 * kMonthHours + 1);
  Now(2 * kMonthHours + 1);
  options.windows = *WindowSettings::Parse("2h,10d");
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 3u);
  for (const Job& job : jobs) EXPECT_EQ(job.inputs.size(), 10u);
}

TEST_F(Policy, WhatARunningJobCoversIsLeftAlone) {
  for (int month = 0; month < 2; month++) {
    for (int i = 0; i < 10; i++) {
      Flush(month * kMonthHours + i * 10, month * kMonthHours + i * 10 + 5, 10);
    }
  }
  Flush(4 * kMonthHours, 4 * kMonthHours + 1);
  Now(4 * kMonthHours + 1);
  ASSERT_EQ(Pick().size(), 2u);
  map.layers[0].job = 7;
  map.layers[9].job = 7;
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u) << "the layers between the two are covered too";
  EXPECT_TRUE(Inputs(jobs[0]).contains(10));
}

TEST_F(Policy, JobsOfOnePickDoNotOverlap) {
  for (int month = 0; month < 20; month++) {
    Flush(month * kMonthHours, (month + 1) * kMonthHours, 10);
  }
  Now(30 * kMonthHours);
  std::vector<Job> jobs = Pick(8);
  EXPECT_EQ(jobs.size(), 8u);
  std::set<uint32_t> seen;
  for (const Job& job : jobs) {
    for (uint32_t input : job.inputs) EXPECT_TRUE(seen.insert(input).second);
  }
}

TEST_F(Policy, AWindowLargerThanAJobStaysInTheLevelBelow) {
  for (int day = 0; day < 30; day++) Add(2, day * 24, day * 24 + 24, 2000, 600 * kMib);
  Flush(2 * kMonthHours, 2 * kMonthHours + 1);
  Now(2 * kMonthHours + 1);
  EXPECT_TRUE(Pick().empty()) << "30 * 600 MiB are more than 16 GiB";
  options.job_bytes_max = 20'000 * kMib;
  EXPECT_EQ(Pick().size(), 1u);
}

TEST_F(Policy, JobsHaveNoMoreInputsThanAllowed) {
  for (int i = 0; i < 300; i++) Flush(0, 1.5);
  Now(40);
  for (MapLayer& layer : map.layers) layer.age_ns = 40 * kHourNs;
  for (size_t most : {100, 20}) {
    options.job_runs_max = most;
    std::vector<Job> jobs = Pick();
    ASSERT_EQ(jobs.size(), 1u);
    EXPECT_EQ(jobs[0].inputs.size(), most);
  }
  options.job_runs_max = 1'000;
  options.job_layers_max = 50;
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].inputs.size(), 50u);
}

TEST_F(Policy, AWindowOfMoreRunsThanAJobMayHaveIsMergedInSteps) {
  options.windows = *WindowSettings::Parse("2h,30d");
  for (int w = 0; w < 360; w++) Add(1, w * 2, w * 2 + 2, 2000);
  Flush(2 * kMonthHours, 2 * kMonthHours + 1);
  Now(2 * kMonthHours + 1);
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].inputs.size(), options.job_runs_max);
  EXPECT_EQ(Output(jobs[0], 64).level, 0u);
  options.job_runs_max = 360;
  jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(Output(jobs[0], 64).level, 2u);
}

TEST_F(Policy, PartsOfARunAreReadOneAfterTheOtherAndCountOnce) {
  for (int day = 0; day < 30; day++) {
    uint32_t run = Add(2, day * 24, day * 24 + 24, 2000);
    for (int part = 1; part < 8; part++) Part(run, day * 24, day * 24 + 24);
  }
  Flush(2 * kMonthHours, 2 * kMonthHours + 1);
  Now(2 * kMonthHours + 1);
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].inputs.size(), 240u);
  EXPECT_EQ(Output(jobs[0], 64).level, 3u);
}

TEST_F(Policy, DeletesAreCarriedOutWhenNothingElseIsToBeDone) {
  uint32_t deleted = Add(3, 0, kMonthHours, 5000, 100 * kMib);
  map.layers[deleted].needs_rewrite = true;
  for (int i = 0; i < 10; i++) Flush(5 * kMonthHours + i, 5 * kMonthHours + i + 1, 10);
  Now(7 * kMonthHours);
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0].kind, JobKind::kMerge);
  EXPECT_EQ(jobs[1].kind, JobKind::kRewrite);
  EXPECT_EQ(Inputs(jobs[1]), std::set<uint32_t>{deleted});
  EXPECT_EQ(Output(jobs[1], 5).level, 3u);
  EXPECT_EQ(Output(jobs[1], 5).order, map.layers[deleted].order);
  EXPECT_EQ(Pick(1)[0].kind, JobKind::kMerge);
}

TEST_F(Policy, EverythingLeavesNothingWaiting) {
  LiveFlushes(0, 3, 1);
  EXPECT_TRUE(Pick().empty());
  options.everything = true;
  std::vector<Job> jobs = Pick();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].inputs.size(), 3u);
  EXPECT_EQ(Output(jobs[0], 1).level, 1u);
}

// The answer is one of the map, not of the way it is stored.
RC_GTEST_PROP(PolicyProperty, PicksDoNotDependOnTheOrderOfTheMap, ()) {
  MapBuilder builder;
  for (int i = *rc::gen::inRange(1, 60); i > 0; i--) {
    double from = *rc::gen::inRange(0, 2000);
    builder.Flush(from, from + *rc::gen::inRange(1, 40), *rc::gen::inRange(0, 900));
  }
  builder.Now(*rc::gen::inRange(0, 3000));
  PolicyOptions options;
  auto named = [&] {
    std::vector<std::vector<uint64_t>> all;
    for (const Job& job : PickJobs(builder.map, options, 10)) {
      std::vector<uint64_t> inputs;
      for (uint32_t input : job.inputs) {
        inputs.push_back(builder.map.layers[input].key.sequence);
      }
      all.push_back(inputs);
    }
    return all;
  };
  auto before = named();
  for (size_t i = builder.map.layers.size(); i > 1; i--) {
    std::swap(builder.map.layers[i - 1], builder.map.layers[*rc::gen::inRange<size_t>(0, i)]);
  }
  RC_ASSERT(named() == before);
}

Job Of(JobClass job_class, uint64_t bytes) {
  Job job;
  job.job_class = job_class;
  job.bytes = bytes;
  return job;
}

TEST(RankJobs, TheMoreUrgentClassGoesFirst) {
  std::vector<BranchJobs> branches{{1, 0, {Of(JobClass::kSettle, 10)}},
                                   {2, 0, {Of(JobClass::kOverlap, 10)}},
                                   {3, 0, {Of(JobClass::kFlush, 10)}}};
  std::vector<RankedJob> ranked = RankJobs(branches, 10);
  ASSERT_EQ(ranked.size(), 3u);
  EXPECT_EQ(ranked[0].branch, 2u);
  EXPECT_EQ(ranked[1].branch, 3u);
  EXPECT_EQ(ranked[2].branch, 1u);
}

TEST(RankJobs, ABranchThatWasServedLessGoesFirst) {
  std::vector<BranchJobs> branches{{1, 500, {Of(JobClass::kFlush, 10)}},
                                   {2, 20, {Of(JobClass::kFlush, 10)}}};
  std::vector<RankedJob> ranked = RankJobs(branches, 1);
  ASSERT_EQ(ranked.size(), 1u);
  EXPECT_EQ(ranked[0].branch, 2u);
}

TEST(RankJobs, ALargeBranchDoesNotKeepSmallOnesWaiting) {
  std::vector<BranchJobs> branches{{0, 0, std::vector<Job>(100, Of(JobClass::kFlush, 1'000))}};
  for (uint64_t b = 1; b <= 1'000; b++) branches.push_back({b, 0, {Of(JobClass::kFlush, 1)}});
  std::vector<RankedJob> ranked = RankJobs(branches, 1'001);
  ASSERT_EQ(ranked.size(), 1'001u);
  std::set<uint64_t> seen;
  for (const RankedJob& job : ranked) seen.insert(job.branch);
  EXPECT_EQ(seen.size(), 1'001u) << "each has its turn before one has its second";
}

TEST(RankJobs, JobsOfABranchKeepTheirOrder) {
  std::vector<BranchJobs> branches{
      {1, 0, {Of(JobClass::kFlush, 10), Of(JobClass::kSettle, 10), Of(JobClass::kSettle, 10)}}};
  std::vector<RankedJob> ranked = RankJobs(branches, 10);
  ASSERT_EQ(ranked.size(), 3u);
  for (size_t i = 0; i < 3; i++) EXPECT_EQ(ranked[i].job, i);
}

}  // namespace
}  // namespace nexus::compaction
