// Reading and making carry records. See carry_record.h.

#include "engine/carry_record.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

#include "base/check.h"
#include "engine/record.h"

namespace nexus::engine {
namespace {

constexpr size_t kWord = sizeof(uint64_t);

constexpr size_t Padded(size_t bytes) { return (bytes + kWord - 1) / kWord * kWord; }

Status Malformed(size_t at, std::string_view what) {
  return DataLoss("carry record: {} at byte {} of its body", what, at);
}

}  // namespace

StatusOr<CarryView> CarryView::Parse(Bytes body) {
  CarryHeader header;
  if (body.size() < sizeof(header)) return Malformed(0, "a cut header");
  std::memcpy(&header, body.data(), sizeof(header));
  if (header.since >= header.until) return Malformed(0, "an empty range of records");
  const Bytes rest = body.subspan(sizeof(header));
  if (header.definitions_bytes > rest.size()) {
    return Malformed(offsetof(CarryHeader, definitions_bytes), "cut definitions");
  }
  const size_t padded = Padded(header.definitions_bytes);
  const size_t batch_at = sizeof(header) + padded;
  if (padded > rest.size()) return Malformed(body.size(), "cut padding");
  const Bytes padding = rest.first(padded).subspan(header.definitions_bytes);
  const bool is_zero = std::all_of(padding.begin(), padding.end(),
                                   [](std::byte byte) { return byte == std::byte{}; });
  if (!is_zero) return Malformed(batch_at, "padding that is not zero before");
  NEXUS_ASSIGN_OR_RETURN(BatchView batch, BatchView::Parse(rest.subspan(padded)));
  if (batch.exactly_once().has_value()) return Malformed(batch_at, "a numbered batch");
  if (!batch.rejected().empty()) return Malformed(batch_at, "rejected samples");
  if (batch.sample_count() == 0) return Malformed(batch_at, "no samples");
  return CarryView{Lsn{header.since}, Lsn{header.until}, rest.first(header.definitions_bytes),
                   batch};
}

std::vector<uint64_t> EncodeCarry(Lsn since, Lsn until,
                                  std::span<const catalog::SeriesDefinition> definitions,
                                  Bytes batch) {
  NEXUS_CHECK(since < until);
  NEXUS_CHECK(batch.size() % kWord == 0);
  const std::string defined = EncodeDefinitions(definitions);
  const CarryHeader header = {since.value, until.value, defined.size()};
  static_assert(sizeof(header) % kWord == 0);
  std::vector<uint64_t> words((sizeof(header) + Padded(defined.size()) + batch.size()) / kWord);
  auto* out = reinterpret_cast<std::byte*>(words.data());
  std::memcpy(out, &header, sizeof(header));
  std::memcpy(out + sizeof(header), defined.data(), defined.size());
  std::memcpy(out + sizeof(header) + Padded(defined.size()), batch.data(), batch.size());
  return words;
}

}  // namespace nexus::engine
