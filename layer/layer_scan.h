// LayerScan: walks once through a layer - its series in label order, their chunks in time order -
// for a merge that reads all of it.
//
// Reads each page of chunks once, past the page cache: a walk over a whole layer would drop from it
// what queries need. A chunk can be decoded, or copied as it is encoded.
// Memory: a page of each kind. 64 KiB of chunks with at most 1024 headers of 152 bytes: 216 KiB;
// timestamp columns alike: 240 KiB; of the page of series as much as asked for.
// Failure: DataLoss names file, page and offset; errors of reading. Threading: one thread at a
// time; blocks on reading.

#ifndef NEXUS_LAYER_LAYER_SCAN_H_
#define NEXUS_LAYER_LAYER_SCAN_H_

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/status.h"
#include "base/types.h"
#include "layer/layer_builder.h"
#include "layer/layer_reader.h"

namespace nexus::layer {

class LayerScan {
 public:
  // `label_bytes_max`: memory for labels ahead, as in SeriesCursor.
  LayerScan(std::shared_ptr<const LayerReader> layer, uint64_t label_bytes_max);
  ~LayerScan();
  LayerScan(const LayerScan&) = delete;
  LayerScan& operator=(const LayerScan&) = delete;

  const LayerReader& layer() const;

  // Back in front of the first series.
  void Restart();
  // Goes to the next series, past chunks of the present one that were not visited. False at the
  // end.
  StatusOr<bool> NextSeries();
  // Of the present series. REQUIRES: NextSeries() gave true.
  std::string_view labels() const;  // canonical form; valid until the next call of NextSeries()
  SeriesId id() const;

  struct Chunk {
    TimeRange range;
    uint32_t count = 0;
  };
  // Goes to the next chunk of the series; false if there is none. REQUIRES: as for labels().
  StatusOr<bool> NextChunk();
  // The present chunk. REQUIRES: NextChunk() gave true. The same for what follows.
  const Chunk& chunk() const;

  // Decodes the chunk. Timestamps are checked to ascend strictly from range.first to range.last.
  // REQUIRES: room for chunk().count samples, also in `scratch`, which may be anything afterwards.
  Status ReadTimestamps(int64_t* timestamps);
  Status ReadValues(double* values, uint64_t* scratch);
  // Appends the chunk to the series begun last in `into`, as it is encoded.
  Status CopyChunk(LayerBuilder* into);

  // Frees the pages of chunks and timestamps; they are read again if they are needed.
  void Release();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_LAYER_SCAN_H_
