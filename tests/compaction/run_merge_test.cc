// RunMerger against a sorted map.

#include "compaction/run_merge.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include "tests/layer/generators.h"

namespace nexus::compaction {
namespace {

using layer::testing::Mixer;

constexpr int64_t kFirst = std::numeric_limits<int64_t>::min();
constexpr int64_t kLast = std::numeric_limits<int64_t>::max();

struct Column {
  std::vector<int64_t> ts;
  std::vector<double> values;

  void Add(int64_t at, double value) {
    ts.push_back(at);
    values.push_back(value);
  }
};

void ExpectJoined(const std::vector<Column>& columns, RunMerger* merger) {
  std::vector<SampleRun> runs;
  std::map<int64_t, uint64_t> model;
  size_t total = 0;
  for (const Column& column : columns) {
    if (column.ts.empty()) continue;
    runs.push_back({column.ts.data(), column.values.data(), column.ts.size()});
    total += column.ts.size();
    for (size_t i = 0; i < column.ts.size(); ++i) {
      model[column.ts[i]] = std::bit_cast<uint64_t>(column.values[i]);
    }
  }
  std::vector<int64_t> ts(total);
  std::vector<double> values(total);
  const size_t count = merger->Merge(runs, ts.data(), values.data());
  ASSERT_EQ(count, model.size());
  size_t i = 0;
  for (const auto& [at, bits] : model) {
    ASSERT_EQ(ts[i], at) << i;
    ASSERT_EQ(std::bit_cast<uint64_t>(values[i]), bits) << i;
    ++i;
  }
}

// Samples at multiples of `step` from `begin` on, of which some are left out.
Column Grid(uint64_t begin, uint64_t step, size_t count, uint64_t left_out, Mixer& mix) {
  Column column;
  for (size_t i = 0; i < count; ++i) {
    if (left_out > 0 && mix.Below(left_out) == 0) continue;
    column.Add(static_cast<int64_t>(begin + i * step), std::bit_cast<double>(mix.Next()));
  }
  return column;
}

RC_GTEST_PROP(RunMerge, IsWhatASortedMapMakes, ()) {
  RunMerger merger;
  for (int call = 0; call < 2; ++call) {
    Mixer mix{*rc::gen::arbitrary<uint64_t>()};
    const size_t runs = *rc::gen::inRange<size_t>(0, 20);
    const size_t length = *rc::gen::element<size_t>(1, 3, 40, 700);
    const uint64_t spread = *rc::gen::element<uint64_t>(1, 7, 1000);
    const uint64_t left_out = *rc::gen::element<uint64_t>(0, 2, 9);
    const uint64_t base = *rc::gen::element<uint64_t>(0, static_cast<uint64_t>(kFirst),
                                                      static_cast<uint64_t>(kLast) - 100'000);
    std::vector<Column> columns;
    for (size_t i = 0; i < runs; ++i) {
      const uint64_t begin = base + mix.Below(spread);
      columns.push_back(Grid(begin, 1 + mix.Below(4), 1 + mix.Below(length), left_out, mix));
    }
    ExpectJoined(columns, &merger);
  }
}

TEST(RunMerge, BothEndsOfTimeStayAndTheLaterRunWins) {
  Column older;
  Column newer;
  for (double value : {1.0, 2.0}) {
    Column& column = value == 1.0 ? older : newer;
    column.Add(kFirst, value);
    column.Add(0, value);
    column.Add(kLast, value);
  }
  older.ts[1] = -1;
  RunMerger merger;
  ExpectJoined({older, newer}, &merger);
  ExpectJoined({newer, older}, &merger);
}

TEST(RunMerge, RunsOfTheSameTimestampsGiveTheLast) {
  Mixer mix{1};
  std::vector<Column> columns;
  for (int i = 0; i < 5; ++i) columns.push_back(Grid(50, 10, 300, 0, mix));
  columns[2].ts.back() += 1;
  RunMerger merger;
  ExpectJoined(columns, &merger);
}

TEST(RunMerge, RunsBehindEachOtherInAnyOrderAreJoined) {
  Mixer mix{2};
  std::vector<Column> columns;
  for (uint64_t begin : {9000U, 0U, 6000U, 3000U, 12000U}) {
    columns.push_back(Grid(begin, 10, 250, 0, mix));
  }
  RunMerger merger;
  ExpectJoined(columns, &merger);
}

TEST(RunMerge, SixtyFourRunsInterleaveToTheSample) {
  Mixer mix{3};
  std::vector<Column> columns;
  for (uint64_t i = 0; i < 64; ++i) columns.push_back(Grid(i * 10, 640, 256, 0, mix));
  RunMerger merger;
  ExpectJoined(columns, &merger);
}

}  // namespace
}  // namespace nexus::compaction
