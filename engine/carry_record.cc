// Reading and making carry records. See carry_record.h.

#include "engine/carry_record.h"

#include <cstring>

#include "base/check.h"

namespace nexus::engine {
namespace {

Status Malformed(size_t at, std::string_view what) {
  return DataLoss("carry record: {} at byte {} of its body", what, at);
}

}  // namespace

StatusOr<CarryView> CarryView::Parse(Bytes body) {
  CarryHeader header;
  if (body.size() < sizeof(header)) return Malformed(0, "a cut header");
  std::memcpy(&header, body.data(), sizeof(header));
  if (header.since >= header.until) return Malformed(0, "an empty range of records");
  NEXUS_ASSIGN_OR_RETURN(BatchView batch, BatchView::Parse(body.subspan(sizeof(header))));
  if (batch.exactly_once().has_value()) return Malformed(sizeof(header), "a numbered batch");
  if (!batch.rejected().empty()) return Malformed(sizeof(header), "rejected samples");
  if (batch.sample_count() == 0) return Malformed(sizeof(header), "no samples");
  return CarryView{Lsn{header.since}, Lsn{header.until}, batch};
}

std::vector<uint64_t> EncodeCarry(Lsn since, Lsn until, Bytes batch) {
  NEXUS_CHECK(since < until);
  const CarryHeader header = {since.value, until.value};
  static_assert(sizeof(header) % sizeof(uint64_t) == 0);
  NEXUS_CHECK(batch.size() % sizeof(uint64_t) == 0);
  std::vector<uint64_t> words((sizeof(header) + batch.size()) / sizeof(uint64_t));
  std::memcpy(words.data(), &header, sizeof(header));
  std::memcpy(words.data() + sizeof(header) / sizeof(uint64_t), batch.data(), batch.size());
  return words;
}

}  // namespace nexus::engine
