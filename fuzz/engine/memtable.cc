// Fuzzes the memtable with batch records as they would come from a damaged log: what it holds is
// what a plain map of the same samples holds, before and after each batch, and what it flushes too.
//
// The input is cut into bodies of batches: a length of two bytes, then the body. Each is applied
// twice, so that its lists of ids become shapes.

#include "engine/memtable.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "engine/batch.h"
#include "engine/flush_cursor.h"

namespace nexus::engine {
namespace {

using Model = std::map<SeriesId, std::map<int64_t, uint64_t>>;  // bits by timestamp

void Enter(const BatchView& batch, Model* model) {
  VisitAccepted(batch, [&](const SectionView& section, size_t first, size_t count) {
    for (size_t i = first; i < first + count; i++) {
      (*model)[section.ids[i]][section.timestamps[i]] = std::bit_cast<uint64_t>(section.values[i]);
    }
  });
}

void CheckSame(const std::map<int64_t, uint64_t>& expected, std::span<const int64_t> timestamps,
               std::span<const double> values) {
  NEXUS_CHECK(timestamps.size() == expected.size());
  NEXUS_CHECK(values.size() == expected.size());
  size_t i = 0;
  for (const auto& [timestamp, bits] : expected) {
    NEXUS_CHECK(timestamps[i] == timestamp);
    NEXUS_CHECK(std::bit_cast<uint64_t>(values[i]) == bits);
    i++;
  }
}

void CheckReads(const Memtable& memtable, uint32_t limit, const Model& model) {
  for (const auto& [series, expected] : model) {
    std::vector<int64_t> timestamps;
    std::vector<double> values;
    memtable.Read(series, {}, limit, &timestamps, &values);
    CheckSame(expected, timestamps, values);
    std::optional<Sample> latest = memtable.Latest(series, limit);
    NEXUS_CHECK(latest.has_value());
    NEXUS_CHECK(latest->timestamp == expected.rbegin()->first);
    NEXUS_CHECK(std::bit_cast<uint64_t>(latest->value) == expected.rbegin()->second);
  }
}

void CheckFlush(const Memtable& memtable, const Model& model) {
  std::vector<SeriesId> order;
  memtable.AppendSeriesIds(&order);
  NEXUS_CHECK(order.size() == model.size());
  FlushCursor cursor(&memtable, order);
  auto expected = model.begin();
  for (FlushedSeries series; cursor.Next(&series); ++expected) {
    NEXUS_CHECK(series.series == expected->first);
    CheckSame(expected->second, series.timestamps, series.values);
  }
  NEXUS_CHECK(expected == model.end());
}

void Fuzz(ByteReader input) {
  Memtable memtable(std::make_shared<MemtablePool>());
  Model model;
  while (!input.done()) {
    size_t length = input.U16();
    Bytes body = input.Take(length < input.remaining() ? length : input.remaining());
    std::vector<uint64_t> words(body.size() / 8 + 1);
    if (!body.empty()) std::memcpy(words.data(), body.data(), body.size());
    StatusOr<BatchView> batch =
        BatchView::Parse({reinterpret_cast<const std::byte*>(words.data()), body.size()});
    if (!batch.ok()) continue;
    for (int i = 0; i < 2; i++) {
      uint32_t limit = memtable.limit();
      memtable.Add(*batch);
      CheckReads(memtable, limit, model);
      memtable.Publish();
      Enter(*batch, &model);
      CheckReads(memtable, memtable.limit(), model);
    }
  }
  CheckFlush(memtable, model);
}

}  // namespace
}  // namespace nexus::engine

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  nexus::engine::Fuzz(nexus::ByteReader(std::as_bytes(std::span(data, size))));
  return 0;
}
