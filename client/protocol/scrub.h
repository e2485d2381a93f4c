// SCRUB_REPLY: what a scrub of the server's database found.
//
// Like the engine's report (engine/scrub_report.h), in the protocol's own words: this floor does
// not know the engine. Decoding takes any bytes and bounds every allocation by those there are.
// Threading: values. Format: docs/format/protocol.md.

#ifndef NEXUS_CLIENT_PROTOCOL_SCRUB_H_
#define NEXUS_CLIENT_PROTOCOL_SCRUB_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "base/types.h"
#include "client/protocol/query.h"

namespace nexus::protocol {

// One place that is damaged, or does not agree with another.
struct ScrubFinding {
  std::string file;
  std::optional<uint64_t> offset;
  std::string what;
  std::vector<std::string> series;  // the first of them
  uint64_t series_count = 0;
  std::optional<TimeRange> range;
  std::string way_out;

  bool operator==(const ScrubFinding&) const = default;
};

struct ScrubReply {
  std::vector<Stat> figures;  // what was checked, as in `nexus scrub --format json`
  uint64_t finding_count = 0;
  std::vector<ScrubFinding> findings;  // the first of them
  std::vector<std::string> notes;
};

// Texts are cut at kMessageBytesMax; findings, and series of one, that would make the body larger
// than kScrubReplyBytesMax are left out: the counts tell.
inline constexpr size_t kScrubFindingsMax = 1000;
inline constexpr size_t kScrubSeriesMax = 100;
inline constexpr size_t kScrubNotesMax = 1000;
inline constexpr uint32_t kScrubReplyBytesMax = 8u << 20;
void Encode(const ScrubReply& reply, std::string* out);
// Errors: InvalidArgument.
StatusOr<ScrubReply> DecodeScrubReply(Bytes body);

}  // namespace nexus::protocol

#endif  // NEXUS_CLIENT_PROTOCOL_SCRUB_H_
