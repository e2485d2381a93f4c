// The bytes of log records as the engine writes them: batches, definitions, edits, carries.
//
// Format: docs/format/record.md. All integers are little-endian. A record's body starts at an
// address divisible by 8. What a record is called (RecordKind) stands in the frame, not in the
// body. Batches have the form that the wire protocol shares: batch/format.h.

#ifndef NEXUS_ENGINE_FORMAT_H_
#define NEXUS_ENGINE_FORMAT_H_

#include <cstddef>
#include <cstdint>

namespace nexus::engine {

// The kind byte of a frame of the log.
enum class RecordKind : uint8_t {
  kBatch = 1,
  kDefinitions = 2,
  kEdit = 3,
  kCarry = 4,
};

// ---- kBatch: batch/format.h.

// ---- kDefinitions: uint32 count, then for each tenant (uint32), id (uint64), labels in canonical
// form (varint length, bytes).

// A definition takes at least its fixed fields, a length and the end of the metric name.
inline constexpr size_t kDefinitionBytesMin = 4 + 8 + 1 + 1;

// ---- kEdit: uint32 count, then for each its kind (uint16), zero (uint16), the length of its body
// (uint32), its body.

enum class EditKind : uint16_t {
  kPublishLayers = 1,
  kCreateTenant = 2,
  kCreateBranch = 3,
  kGarbageRemoved = 4,
  kOpenProducer = 5,
  kForgetProducers = 6,
  kDeleteSamples = 7,
  kTombstonesForgotten = 8,
  kDeleteBranch = 9,
  kSetTenant = 10,
  kDeleteTenant = 11,
  kForgetSeries = 12,
  kSetRetention = 13,
  kAcceptClock = 14,
};

inline constexpr size_t kEditHeaderBytes = 8;

// A publish lists at most this many layers, added or retired (DESIGN section 4): 10,000 of at most
// 650 bytes are 6.5 MB, well within a record's 16 MiB.
inline constexpr size_t kPublishedLayersMax = 10'000;

// A record deletes once at most, for the place of its record names a delete.
inline constexpr size_t kDeletesOfRecordMax = 1;

// Series that one edit forgets: 24 bytes each, so 98 KB.
inline constexpr size_t kForgottenSeriesMax = 4'096;

// More retention rules than a tenant may have.
inline constexpr size_t kRulesOfRecordMax = 1'024;

// ---- kCarry: this header, the definitions of the batch's series (as the body of a kDefinitions)
// padded with zeros to a multiple of 8 bytes, a batch (batch/format.h) without triple and rejected
// samples.

struct CarryHeader {
  uint64_t since;  // LSN where the oldest record began whose samples are in the batch
  uint64_t until;  // LSN below which the batch holds what is left of every record from `since` on
  uint64_t definitions_bytes;  // without the padding
};
static_assert(sizeof(CarryHeader) == 24);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_FORMAT_H_
