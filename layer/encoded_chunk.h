// EncodedChunk: a chunk as it stands in its page, to be copied into another layer without decoding
// its values. Threading: a view; valid while its page is held.

#ifndef NEXUS_LAYER_ENCODED_CHUNK_H_
#define NEXUS_LAYER_ENCODED_CHUNK_H_

#include <cstdint>

#include "base/bytes.h"
#include "base/types.h"
#include "layer/chunk.h"

namespace nexus::layer {

struct EncodedChunk {
  ChunkHeader header;  // series and timestamps are those of the layer it is from
  Bytes bytes;
  TimeRange range;
  uint64_t owner = 0;  // of that layer; see PageCache::NewOwner
};

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_ENCODED_CHUNK_H_
