// The workloads of the comparison: the same rows each time, and of the shape that their names
// promise.

#include "bench/workload.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <set>

namespace nexus::bench {
namespace {

struct Seen {
  uint64_t rows = 0;
  uint64_t samples = 0;
  double first_metric = 0;
  uint64_t steps_back = 0;
  std::map<size_t, std::pair<int64_t, int64_t>> lives;  // of each source, first and last time
};

Seen See(const WorkloadOptions& options) {
  auto workload = OpenWorkload(options);
  EXPECT_TRUE(workload.ok()) << workload.status();
  Seen seen;
  Row row;
  int64_t before = INT64_MIN / 2;
  while ((*workload)->Next(&row)) {
    EXPECT_LT(row.source, (*workload)->sources().size());
    EXPECT_GE(row.timestamp_ms, (*workload)->first_ms());
    EXPECT_LE(row.timestamp_ms, (*workload)->last_ms());
    EXPECT_EQ(row.metrics.size(), row.values.size());
    seen.rows++;
    seen.samples += row.values.size();
    if (!row.metrics.empty() && row.metrics[0] == 0) seen.first_metric += row.values[0];
    seen.steps_back += row.timestamp_ms < before - 15;
    before = row.timestamp_ms;
    seen.lives.try_emplace(row.source, row.timestamp_ms, row.timestamp_ms);
    seen.lives[row.source].second = row.timestamp_ms;
  }
  EXPECT_FALSE((*workload)->Next(&row)) << "stays at its end";
  return seen;
}

WorkloadOptions Small(std::string name) {
  return {.name = std::move(name), .hosts = 50, .ticks = 720, .seed = 42, .directory = ""};
}

TEST(Workload, CpuAndMixedAreTheGenerators) {
  const Seen cpu = See({.name = "cpu", .hosts = 1000, .ticks = 4320, .seed = 42, .directory = ""});
  EXPECT_EQ(cpu.samples, 43'200'000u);
  EXPECT_EQ(cpu.first_metric, 217442719.0);
  const Seen mixed =
      See({.name = "mixed", .hosts = 1000, .ticks = 4320, .seed = 42, .directory = ""});
  EXPECT_EQ(mixed.samples, 39'014'960u);
  EXPECT_EQ(mixed.first_metric, 1642772685534.0);
}

TEST(Workload, PodsLiveMinutesEachUnderANameOfItsOwn) {
  const Seen churn = See(Small("churn"));
  EXPECT_EQ(churn.samples, 50u * 720 * 10);
  EXPECT_EQ(churn.first_metric, See(Small("cpu")).first_metric);
  EXPECT_GT(churn.lives.size(), 50u * 720 / 120);
  for (const auto& [source, life] : churn.lives) {
    EXPECT_LE(life.second - life.first, 20 * 60'000) << source;
  }
  auto workload = OpenWorkload(Small("churn"));
  std::set<std::string> names;
  for (size_t s = 0; s < (*workload)->series(); s++) {
    names.insert((*workload)->LabelsOf(s).Canonical());
  }
  EXPECT_EQ(names.size(), (*workload)->series());
  EXPECT_EQ(churn.lives.size(), (*workload)->sources().size());
}

TEST(Workload, BackfillComesLastAndInNoOrder) {
  const Seen backfill = See(Small("backfill"));
  EXPECT_EQ(backfill.samples, 50u * 720 * 10);
  EXPECT_EQ(backfill.first_metric, See(Small("cpu")).first_metric);
  EXPECT_GT(backfill.steps_back, 10u * 720 / 3);
}

TEST(Workload, EachOfTheTenantsHasAHost) {
  auto workload = OpenWorkload(Small("tenants"));
  std::set<std::string> tenants;
  for (const Source& source : (*workload)->sources()) tenants.insert(source.tenant);
  EXPECT_EQ(tenants.size(), 50u);
}

TEST(Workload, RecordingsAreMergedByTime) {
  const char* shared = std::getenv("NEXUS_SHARED");
  if (shared == nullptr) GTEST_SKIP() << "NEXUS_SHARED names no folder with recordings";
  const Seen nab = See({.name = "nab", .directory = std::string(shared) + "/data/nab"});
  EXPECT_EQ(nab.lives.size(), 58u);
  EXPECT_EQ(nab.steps_back, 0u);
  EXPECT_GT(nab.samples, 300'000u);
}

TEST(Workload, WhatDoesNotExistIsSaid) {
  EXPECT_TRUE(absl::IsInvalidArgument(OpenWorkload(Small("cpus")).status()));
  WorkloadOptions none = Small("cpu");
  none.hosts = 0;
  EXPECT_TRUE(absl::IsInvalidArgument(OpenWorkload(none).status()));
  WorkloadOptions nowhere = Small("nab");
  nowhere.directory = "/nowhere";
  EXPECT_TRUE(absl::IsNotFound(OpenWorkload(nowhere).status()));
}

}  // namespace
}  // namespace nexus::bench
