// DELETE, COUNT: samples to delete, and how many it takes.
//
// Decoding takes any bytes and bounds every allocation by those there are. Threading: values.
// Format: docs/format/protocol.md.

#ifndef NEXUS_CLIENT_PROTOCOL_DELETE_H_
#define NEXUS_CLIENT_PROTOCOL_DELETE_H_

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/status.h"
#include "base/types.h"

namespace nexus::protocol {

// DELETE, of the frame's target. What the connection sent before it is deleted too, what it sends
// behind it is not, also before the answer has come.
struct Delete {
  bool dry_run = false;      // counts, and deletes nothing
  bool everywhere = false;   // in every branch and snapshot of the target's tenant
  uint32_t deadline_ms = 0;  // of the counting; 0: the server's
  TimeRange range;           // closed
  std::string selector;

  bool operator==(const Delete&) const = default;
};
void Encode(const Delete& request, std::string* out);
// Errors: InvalidArgument.
StatusOr<Delete> DecodeDelete(Bytes body);

// COUNT.
struct Count {
  uint64_t series = 0;  // that the selector chooses
  // Of a dry run: what would go, and of how many series.
  uint64_t samples = 0;
  uint64_t series_with_samples = 0;
  uint64_t frozen_left = 0;  // buckets of rollups that are covered in part, and stay

  bool operator==(const Count&) const = default;
};
void Encode(const Count& count, std::string* out);
// Errors: InvalidArgument.
StatusOr<Count> DecodeCount(Bytes body);

}  // namespace nexus::protocol

#endif  // NEXUS_CLIENT_PROTOCOL_DELETE_H_
