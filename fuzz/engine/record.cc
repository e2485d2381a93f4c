// Fuzzes the decoders of log records: no crash, no over-allocation, stable re-encoding.
//
// The first byte chooses the record kind, the rest is the body. What a batch or a carry holds is
// encoded again sample by sample and must come back the same; definitions and edits must decode to
// what they were after a second encoding.

#include "engine/record.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "engine/batch.h"
#include "engine/carry_record.h"

namespace nexus::engine {
namespace {

bool Same(const SeriesSample& a, const SeriesSample& b) {
  return a.series == b.series && a.timestamp == b.timestamp &&
         std::bit_cast<uint64_t>(a.value) == std::bit_cast<uint64_t>(b.value);
}

std::vector<SeriesSample> Samples(const BatchView& batch) {
  std::vector<SeriesSample> samples;
  VisitAccepted(batch, [&](const SectionView& section, size_t first, size_t count) {
    for (size_t i = first; i < first + count; i++) {
      samples.push_back({section.ids[i], section.timestamps[i], section.values[i]});
    }
  });
  return samples;
}

// As a record lies in memory.
std::vector<uint64_t> Aligned(Bytes bytes) {
  std::vector<uint64_t> words(bytes.size() / 8 + 1);
  if (!bytes.empty()) std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

void FuzzBatch(Bytes bytes) {
  const std::vector<uint64_t> words = Aligned(bytes);
  StatusOr<BatchView> batch = BatchView::Parse(std::as_bytes(std::span(words)).first(bytes.size()));
  if (!batch.ok()) return;
  std::vector<SeriesSample> samples = Samples(*batch);
  NEXUS_CHECK(samples.size() + batch->rejected_samples() == batch->sample_count());
  BatchEncoder encoder(batch->tenant(), batch->branch());
  encoder.Add(samples);
  StatusOr<BatchView> again = BatchView::Parse(encoder.Finish());
  NEXUS_CHECK(again.ok());
  std::vector<SeriesSample> same = Samples(*again);
  NEXUS_CHECK(same.size() == samples.size());
  for (size_t i = 0; i < same.size(); i++) NEXUS_CHECK(Same(same[i], samples[i]));
}

void FuzzCarry(Bytes bytes) {
  const std::vector<uint64_t> words = Aligned(bytes);
  StatusOr<CarryView> carry = CarryView::Parse(std::as_bytes(std::span(words)).first(bytes.size()));
  if (!carry.ok()) return;
  const std::vector<SeriesSample> samples = Samples(carry->batch);
  NEXUS_CHECK(!samples.empty() && samples.size() == carry->batch.sample_count());
  BatchEncoder encoder(carry->batch.tenant(), carry->batch.branch());
  encoder.Add(samples);
  StatusOr<std::vector<catalog::SeriesDefinition>> defined = DecodeDefinitions(carry->definitions);
  if (!defined.ok()) return;
  const std::vector<uint64_t> encoded =
      EncodeCarry(carry->since, carry->until, *defined, encoder.Finish());
  StatusOr<CarryView> again = CarryView::Parse(std::as_bytes(std::span(encoded)));
  NEXUS_CHECK(again.ok());
  NEXUS_CHECK(again->since == carry->since && again->until == carry->until);
  NEXUS_CHECK(*DecodeDefinitions(again->definitions) == *defined);
  const std::vector<SeriesSample> same = Samples(again->batch);
  NEXUS_CHECK(same.size() == samples.size());
  for (size_t i = 0; i < same.size(); i++) NEXUS_CHECK(Same(same[i], samples[i]));
}

void FuzzDefinitions(Bytes bytes) {
  StatusOr<std::vector<catalog::SeriesDefinition>> decoded = DecodeDefinitions(bytes);
  if (!decoded.ok()) return;
  StatusOr<std::vector<catalog::SeriesDefinition>> again =
      DecodeDefinitions(AsBytes(EncodeDefinitions(*decoded)));
  NEXUS_CHECK(again.ok());
  NEXUS_CHECK(*again == *decoded);
}

void FuzzEdits(Bytes bytes) {
  StatusOr<std::vector<Edit>> decoded = DecodeEdits(bytes);
  if (!decoded.ok()) return;
  StatusOr<std::vector<Edit>> again = DecodeEdits(AsBytes(EncodeEdits(*decoded)));
  NEXUS_CHECK(again.ok());
  NEXUS_CHECK(*again == *decoded);
}

}  // namespace
}  // namespace nexus::engine

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  nexus::Bytes body = std::as_bytes(std::span(data + 1, size - 1));
  switch (static_cast<nexus::engine::RecordKind>(data[0])) {
    case nexus::engine::RecordKind::kBatch:
      nexus::engine::FuzzBatch(body);
      break;
    case nexus::engine::RecordKind::kDefinitions:
      nexus::engine::FuzzDefinitions(body);
      break;
    case nexus::engine::RecordKind::kEdit:
      nexus::engine::FuzzEdits(body);
      break;
    case nexus::engine::RecordKind::kCarry:
      nexus::engine::FuzzCarry(body);
      break;
  }
  return 0;
}
