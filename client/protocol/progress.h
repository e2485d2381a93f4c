// PROGRESS: how far a long request is - a scrub, a compaction. COMPACT: what is asked of the
// compactor.
//
// Decoding takes any bytes and bounds every allocation by those there are. Threading: values.
// Format: docs/format/protocol.md.

#ifndef NEXUS_CLIENT_PROTOCOL_PROGRESS_H_
#define NEXUS_CLIENT_PROTOCOL_PROGRESS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/status.h"

namespace nexus::protocol {

// PROGRESS. `total` is 0 if it is not known.
struct Progress {
  std::string activity;  // at most kActivityBytesMax
  uint64_t done = 0;
  uint64_t total = 0;

  bool operator==(const Progress&) const = default;
};
inline constexpr size_t kActivityBytesMax = 128;
void Encode(const Progress& progress, std::string* out);
// Errors: InvalidArgument.
StatusOr<Progress> DecodeProgress(Bytes body);

// COMPACT.
enum class CompactAction : uint8_t {
  kEverything = 1,  // answered when every window is in its level; PROGRESS on the way
  kPause = 2,
  kResume = 3,
};
void Encode(CompactAction action, std::string* out);
// Errors: InvalidArgument.
StatusOr<CompactAction> DecodeCompact(Bytes body);

}  // namespace nexus::protocol

#endif  // NEXUS_CLIENT_PROTOCOL_PROGRESS_H_
