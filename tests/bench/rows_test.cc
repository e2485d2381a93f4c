// Rows made beforehand are the workload's, cut into batches without losing one, and rows that are
// added are out of its questions' reach.

#include "bench/peers/embedded/rows.h"

#include <gtest/gtest.h>

#include <set>

namespace nexus::bench {
namespace {

WorkloadOptions Mixed() {
  return {.name = "mixed", .hosts = 13, .ticks = 100, .seed = 7, .directory = ""};
}

TEST(Rows, SlicesAndBatchesAreTheWorkload) {
  auto sliced = OpenWorkload(Mixed());
  auto streamed = OpenWorkload(Mixed());
  Slice slice;
  size_t slices = 0;
  Row expected;
  for (; slice.Fill(sliced->get(), 1000); slices++) {
    const std::span<const Row> rows = slice.rows();
    for (size_t first = 0; first < rows.size();) {
      const std::span<const Row> batch = BatchFrom(rows, first, 64);
      ASSERT_FALSE(batch.empty());
      if (first + batch.size() < rows.size()) {
        EXPECT_GE(SamplesOf(batch), 64u);
      }
      EXPECT_LT(SamplesOf(batch.first(batch.size() - 1)), 64u) << "no longer than it must";
      for (const Row& row : batch) {
        ASSERT_TRUE((*streamed)->Next(&expected));
        EXPECT_EQ(row.source, expected.source);
        EXPECT_EQ(row.timestamp_ms, expected.timestamp_ms);
        EXPECT_TRUE(std::ranges::equal(row.metrics, expected.metrics));
        EXPECT_TRUE(std::ranges::equal(row.values, expected.values));
      }
      first += batch.size();
    }
  }
  EXPECT_FALSE((*streamed)->Next(&expected));
  EXPECT_GT(slices, 5u);
}

TEST(Rows, AddedOnesAreBesideTheWorkload) {
  auto workload = OpenWorkload(Mixed());
  Slice added = AddedRows(**workload, 5, 20, 3);
  std::set<std::string> names;
  for (const Row& row : added.rows()) {
    EXPECT_GE(row.source, kAddedSources);
    EXPECT_GT(row.timestamp_ms, (*workload)->last_ms());
    EXPECT_EQ(row.values.size(), (*workload)->metrics().size());
    const Source source = SourceOf(**workload, row.source);
    EXPECT_EQ(source.tags.size(), (*workload)->sources()[0].tags.size());
    names.insert(Labels::Make("m", source.tags)->Canonical());
  }
  EXPECT_EQ(names.size(), 20u);
}

}  // namespace
}  // namespace nexus::bench
