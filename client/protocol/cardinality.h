// CARDINALITY, CARDINALITY_REPLY: which metrics, labels and label values a tenant's series come
// from.
//
// Decoding takes any bytes and bounds every allocation by those there are. Threading: values.
// Format: docs/format/protocol.md.

#ifndef NEXUS_CLIENT_PROTOCOL_CARDINALITY_H_
#define NEXUS_CLIENT_PROTOCOL_CARDINALITY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"

namespace nexus::protocol {

// Entries of a list, and bytes of a name or value in it: six lists fit a frame.
inline constexpr uint32_t kCardinalityTopMax = 1000;
inline constexpr size_t kCardinalityTextBytesMax = 1024;

// Of the tenant of the frame's target.
struct Cardinality {
  uint32_t top = 10;  // 1 to kCardinalityTopMax
  bool operator==(const Cardinality&) const = default;
};

struct CardinalityReply {
  struct Entry {
    std::string name;
    std::string value;
    uint64_t series = 0;
    uint64_t grown = 0;  // of these, since the server opened the database
    bool operator==(const Entry&) const = default;
  };
  uint64_t series = 0;
  uint64_t grown = 0;
  uint64_t metrics = 0;
  uint64_t labels = 0;
  uint64_t pairs = 0;
  // Metrics, labels, pairs by number of series, then the same by growth.
  std::array<std::vector<Entry>, 6> lists;
  bool operator==(const CardinalityReply&) const = default;
};

void Encode(const Cardinality& cardinality, std::string* out);
// REQUIRES: within the bounds above.
void Encode(const CardinalityReply& reply, std::string* out);

// Errors: InvalidArgument.
StatusOr<Cardinality> DecodeCardinality(Bytes body);
StatusOr<CardinalityReply> DecodeCardinalityReply(Bytes body);

}  // namespace nexus::protocol

#endif  // NEXUS_CLIENT_PROTOCOL_CARDINALITY_H_
