// The bytes of a batch of samples: header, sections, rejected ranges.
//
// One form for the log and for the wire: the body of a batch record of the log is the body of a
// WRITE_BATCH of the protocol, so that a server appends what it received. All integers are
// little-endian. A body starts at an address divisible by 8, and so does every column within it, so
// that columns are read in place.
// Format: docs/format/record.md.

#ifndef NEXUS_BATCH_FORMAT_H_
#define NEXUS_BATCH_FORMAT_H_

#include <cstddef>
#include <cstdint>

namespace nexus::batch {

// Alignment of a record's body and of every part of a batch.
inline constexpr size_t kRecordAlignment = 8;

// The batch carries an exactly-once triple; without it those fields are zero.
inline constexpr uint32_t kBatchHasTriple = 1u << 0;
inline constexpr uint32_t kBatchFlagsKnown = kBatchHasTriple;

struct BatchHeader {
  uint32_t tenant;
  uint32_t branch;
  uint32_t flags;
  uint32_t section_count;
  uint32_t sample_count;    // of all sections, rejected samples included
  uint32_t rejected_count;  // ranges at the end of the record
  uint64_t producer_high;
  uint64_t producer_low;
  uint64_t epoch;
  uint64_t sequence;
  uint64_t reserved;  // zero
};
static_assert(sizeof(BatchHeader) == 64 && offsetof(BatchHeader, producer_high) == 24);

enum class SectionKind : uint8_t {
  kRow = 1,     // samples of one instant: ids, values
  kLoose = 2,   // ids, timestamps, values
  kSeries = 3,  // samples of one series: timestamps, values
};

enum class IdCoding : uint8_t {
  kOne = 1,            // no column: every id is `id_base`
  kOffsets32 = 2,      // uint32[]: id_base + offset
  kIds64 = 3,          // uint64[]
  kAsPreviousRow = 4,  // no column: that of the row section before, of the same length
};

enum class TimestampCoding : uint8_t {
  kOne = 1,          // no column: every timestamp is `timestamp_base`
  kMultiples32 = 2,  // int32[]: timestamp_base + multiple * timestamp_unit
  kTimes64 = 3,      // int64[]
};

// Followed by the id column, the timestamp column and the values (uint64[], the bits of doubles),
// each padded with zeros to a multiple of 8 bytes. Fields that the codings do not use are zero.
// Sums and products are taken modulo 2^64, so every column means something.
struct SectionHeader {
  uint8_t kind;
  uint8_t id_coding;
  uint8_t timestamp_coding;
  uint8_t reserved;  // zero
  uint32_t sample_count;
  uint64_t id_base;
  int64_t timestamp_base;
  int64_t timestamp_unit;
};
static_assert(sizeof(SectionHeader) == 32 && offsetof(SectionHeader, id_base) == 8);

// Samples [first, first + count) of the record, counted over all sections, that the applier skips.
// Ranges of a record ascend and do not overlap.
struct RejectedRange {
  uint32_t first;
  uint32_t count;
  bool operator==(const RejectedRange&) const = default;
};
static_assert(sizeof(RejectedRange) == 8);

}  // namespace nexus::batch

#endif  // NEXUS_BATCH_FORMAT_H_
