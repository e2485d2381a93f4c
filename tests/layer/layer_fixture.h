// The vocabulary of layer tests: a layer as a plain map, built to bytes and read back.

#ifndef NEXUS_TESTS_LAYER_LAYER_FIXTURE_H_
#define NEXUS_TESTS_LAYER_LAYER_FIXTURE_H_

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/labels.h"
#include "layer/layer_builder.h"
#include "layer/layer_reader.h"
#include "layer/layer_verifier.h"
#include "tests/layer/memory_file.h"

namespace nexus::layer::testing {

struct SeriesData {
  uint64_t id = 0;
  std::vector<int64_t> ts;
  std::vector<double> values;
};

// By canonical labels: in the order a layer wants.
using LayerData = std::map<std::string, SeriesData>;

inline std::string CanonicalOf(const std::string& metric, const std::string& host) {
  return Labels::Make(metric, {{"host", host}, {"job", "test"}})->Canonical();
}

inline LayerIdentity TestIdentity() {
  LayerIdentity identity;
  identity.database = {0x0123456789abcdef, 0xfedcba9876543210};
  identity.tenant = {3};
  identity.branch = {1};
  identity.identity_seed = 77;
  identity.level = 1;
  identity.order_low = {0, {100}};
  identity.order_high = {0, {5000}};
  identity.deletes_applied = {5500};
  identity.open_count = 9;
  identity.sequence = 42;
  return identity;
}

struct Built {
  std::string bytes;
  LayerSummary summary;
};

inline Built Build(const LayerData& data, BuilderOptions options = {},
                   const LayerIdentity& identity = TestIdentity()) {
  LayerBuilder builder(identity, std::move(options));
  Built built;
  for (const auto& [labels, series] : data) {
    const Status status = builder.AddSeries(labels, {series.id}, series.ts, series.values);
    EXPECT_TRUE(status.ok()) << status;
    built.bytes += builder.TakeOutput();
  }
  auto summary = builder.Finish();
  EXPECT_TRUE(summary.ok()) << summary.status();
  built.bytes += builder.TakeOutput();
  if (summary.ok()) built.summary = *summary;
  return built;
}

inline StatusOr<std::shared_ptr<const LayerReader>> Open(std::string bytes,
                                                         PageCache* cache = nullptr,
                                                         const LayerExpectation& expected = {}) {
  return LayerReader::Open(std::make_unique<MemoryFile>(std::move(bytes)), cache, expected);
}

inline std::vector<uint64_t> BitsOf(const std::vector<double>& values) {
  std::vector<uint64_t> bits;
  for (double value : values) bits.push_back(std::bit_cast<uint64_t>(value));
  return bits;
}

// All samples of a series within a range.
inline StatusOr<SeriesData> ReadSeries(const LayerReader& reader, SeriesId id, TimeRange range,
                                       ReadContext* context) {
  SeriesData out;
  out.id = id.value;
  NEXUS_ASSIGN_OR_RETURN(const auto place, reader.FindSeries(id, context));
  if (!place.has_value()) return NotFound("no series {}", id.value);
  std::vector<ChunkInfo> chunks;
  NEXUS_RETURN_IF_ERROR(reader.Chunks(*place, range, context, &chunks));
  for (const ChunkInfo& chunk : chunks) {
    std::vector<int64_t> ts(chunk.count);
    std::vector<double> values(chunk.count);
    NEXUS_ASSIGN_OR_RETURN(const size_t n, reader.ReadChunk(chunk, range, context, ts, values));
    out.ts.insert(out.ts.end(), ts.begin(), ts.begin() + static_cast<int64_t>(n));
    out.values.insert(out.values.end(), values.begin(), values.begin() + static_cast<int64_t>(n));
  }
  return out;
}

// Reads everything; the first error.
inline StatusOr<LayerData> ReadAll(const std::shared_ptr<const LayerReader>& reader) {
  LayerData data;
  ReadContext context;
  SeriesCursor cursor(reader);
  while (cursor.Next()) {
    NEXUS_ASSIGN_OR_RETURN(data[std::string(cursor.labels())],
                           ReadSeries(*reader, cursor.id(), TimeRange(), &context));
  }
  NEXUS_RETURN_IF_ERROR(cursor.status());
  return data;
}

inline void ExpectSame(const LayerData& got, const LayerData& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  auto other = wanted.begin();
  for (const auto& [labels, series] : got) {
    ASSERT_EQ(labels, other->first);
    ASSERT_EQ(series.id, other->second.id);
    ASSERT_EQ(series.ts, other->second.ts);
    ASSERT_EQ(BitsOf(series.values), BitsOf(other->second.values));
    ++other;
  }
}

}  // namespace nexus::layer::testing

#endif  // NEXUS_TESTS_LAYER_LAYER_FIXTURE_H_
