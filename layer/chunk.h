// Chunks: one series' run of values with its statistics, encoded and described by a header.
//
// Statistics come out of the integers wherever these tell them exactly: the least integer is the
// origin, greatest, first and last are distances from it, and the sum of integers is the sum of the
// values where they are whole numbers. Else they stand in front of the chunk's stream.
// Failure: decoding returns false where header and bytes contradict each other. Threading: a
// ChunkEncoder belongs to one thread. Format: docs/format/layer.md, "Page of chunks".

#ifndef NEXUS_LAYER_CHUNK_H_
#define NEXUS_LAYER_CHUNK_H_

#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "layer/codec/values.h"
#include "layer/statistics.h"

namespace nexus::layer {

struct ChunkHeader {
  uint32_t series = 0;      // place in label order
  uint32_t timestamps = 0;  // ordinal of its timestamp column
  uint32_t count = 0;
  uint32_t form_flags = 0;  // kExplicitStatistics, kExplicitSum
  ValueRun values;
  uint64_t last = 0;  // integer of the last value
  uint64_t sum = 0;   // of the integers; 0 with kExplicitSum
  // Not stored: follow from the fields above.
  uint32_t offset = 0;  // in the page's payload
  uint32_t bytes = 0;
};

// Bytes of the chunk in its page: explicit statistics and the value stream.
uint64_t ChunkBytes(const ChunkHeader& header);

class ChunkEncoder {
 public:
  // Encodes values and appends their bytes to `out`; fills all of the header but series and
  // timestamps. REQUIRES: 1 <= values.size() <= kRunMax.
  ChunkHeader Encode(std::span<const double> values, std::string* out);

 private:
  ValueEncoder values_;
};

// The chunk's statistics. `bytes` are the chunk's.
bool ReadStatistics(const ChunkHeader& header, Bytes bytes, Statistics* statistics);

// Decodes all values; `x` is scratch. Both have room for header.count. REQUIRES: kReadSlackBytes
// are readable behind `bytes`.
bool DecodeChunk(const ChunkHeader& header, Bytes bytes, uint64_t* x, double* values);

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_CHUNK_H_
