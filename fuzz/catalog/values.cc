// Fuzzes the decoders of the catalog's values: no crash, no over-allocation, stable re-encoding.
//
// The first byte chooses the kind of value, the rest is its payload, as if its checksum had held.
// What is accepted must come back the same from a second encoding.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/labels.h"
#include "catalog/format.h"
#include "catalog/label_batch.h"
#include "catalog/posting_block.h"
#include "catalog/record_codec.h"

namespace nexus::catalog {
namespace {

template <typename Record>
void FuzzRecord(std::string_view payload) {
  Record record;
  ByteReader in(payload);
  Decode(&in, &record);
  if (!in.ok()) return;
  NEXUS_CHECK(CheckRecord(record).ok());
  std::string bytes;
  ByteWriter out(&bytes);
  Encode(record, &out);
  Record again;
  ByteReader second(bytes);
  Decode(&second, &again);
  NEXUS_CHECK(second.ok());
  NEXUS_CHECK(second.done());
  NEXUS_CHECK(again == record);
}

void FuzzMeta(std::string_view payload) {
  StatusOr<Meta> meta = DecodeMeta(payload);
  if (!meta.ok()) return;
  std::string bytes;
  ByteWriter out(&bytes);
  Encode(*meta, &out);
  NEXUS_CHECK(bytes.size() == payload.size());
}

void FuzzSeriesRow(std::string_view payload) {
  Hash128 identity;
  std::vector<LabelSymbols> labels;
  if (!DecodeSeriesRow(payload, &identity, &labels)) return;
  std::string bytes;
  ByteWriter out(&bytes);
  EncodeSeriesRow(identity, labels, &out);
  Hash128 same_identity;
  std::vector<LabelSymbols> same_labels;
  NEXUS_CHECK(DecodeSeriesRow(bytes, &same_identity, &same_labels));
  NEXUS_CHECK(same_identity == identity);
  NEXUS_CHECK(same_labels == labels);
}

void FuzzPostingBlock(std::string_view payload) {
  ByteReader in(payload);
  const uint64_t first = in.U64();
  std::vector<uint64_t> ids;
  if (!DecodePostingBlock(first, payload.substr(in.position()), &ids)) return;
  NEXUS_CHECK(!ids.empty());
  NEXUS_CHECK(ids.size() <= kPostingBlockIdsMax);
  NEXUS_CHECK(ids.front() == first);
  for (size_t i = 1; i < ids.size(); i++) NEXUS_CHECK(ids[i - 1] < ids[i]);
  std::string bytes;
  NEXUS_CHECK(EncodePostingBlock(ids, &bytes) == ids.size());
  NEXUS_CHECK(bytes.size() <= payload.size() - in.position());
  std::vector<uint64_t> again;
  NEXUS_CHECK(DecodePostingBlock(first, bytes, &again));
  NEXUS_CHECK(again == ids);
}

void FuzzLabels(std::string_view canonical) {
  LabelBatch batch(1);
  // Twice, so that the second goes the way of repeated labels.
  const bool added = batch.Add(SeriesId{1}, canonical);
  NEXUS_CHECK(batch.Add(SeriesId{2}, canonical) == added);
  batch.Finish();
  if (!added) return;
  std::vector<std::pair<std::string_view, std::string_view>> expected;
  NEXUS_CHECK(VisitCanonical(canonical, [&](std::string_view name, std::string_view value) {
    expected.emplace_back(name, value);
  }));
  for (size_t series = 0; series < 2; series++) {
    auto labels = batch.labels_of(series);
    NEXUS_CHECK(labels.size() == expected.size());
    for (size_t i = 0; i < labels.size(); i++) {
      NEXUS_CHECK(batch.string(batch.label(labels[i]).name) == expected[i].first);
      NEXUS_CHECK(batch.string(batch.label(labels[i]).value) == expected[i].second);
    }
  }
}

void FuzzValue(char kind, std::string_view payload) {
  switch (kind) {
    case 't':
      return FuzzRecord<TenantRecord>(payload);
    case 'b':
      return FuzzRecord<BranchRecord>(payload);
    case 'l':
      return FuzzRecord<LayerRecord>(payload);
    case 's':
      return FuzzRecord<Setting>(payload);
    case 'm':
      return FuzzMeta(payload);
    case 'r':
      return FuzzSeriesRow(payload);
    case 'p':
      return FuzzPostingBlock(payload);
    case 'c':
      return FuzzLabels(payload);
    default:
      return;
  }
}

}  // namespace
}  // namespace nexus::catalog

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  if (!input.empty()) nexus::catalog::FuzzValue(input.front(), input.substr(1));
  return 0;
}
