// SeriesReader: all samples of one series from all sources, in strictly ascending time, each
// timestamp once: of equal ones the sample of the source latest in write order.
//
// Only chunks that overlap in time are merged (DESIGN section 7). A chunk that overlaps nothing is
// handed on as its source decoded it, or - if the caller can use them - by its statistics alone,
// without being read. Where chunks overlap, every long stretch of one run is handed on as it lies
// in its buffer, and short ones are joined (compaction/run_merge.h).
//
// Memory: the list of the series' chunks, what sources hold for it, and one buffer for each chunk
// that overlaps the present place; counted against the query's limit. Failure: what sources and the
// guard give; the reader must be opened anew after an error. Threading: one thread; blocks on layer
// reads.

#ifndef NEXUS_ENGINE_MERGE_H_
#define NEXUS_ENGINE_MERGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "compaction/run_merge.h"
#include "engine/buckets.h"
#include "engine/query.h"
#include "engine/query_guard.h"
#include "engine/sample_source.h"

namespace nexus::engine {

// The next samples of a series: either a span of them, or a whole chunk by its statistics.
struct Piece {
  const ChunkRef* chunk = nullptr;  // if set, `span` is empty
  SampleSpan span;
};

class SeriesReader {
 public:
  // Reads the samples of `sources` (in write order, oldest first) within `range` and keeps the
  // sources alive. `guard` and `statistics` must outlive it.
  SeriesReader(std::vector<std::shared_ptr<const SampleSource>> sources, TimeRange range,
               QueryGuard* guard, QueryStatistics* statistics);
  ~SeriesReader();
  SeriesReader(const SeriesReader&) = delete;
  SeriesReader& operator=(const SeriesReader&) = delete;

  // Starts on a series.
  Status Open(SeriesId series);

  // Gives the next piece, valid until the next call; false at the end of the series. A span has at
  // least one sample and at most those of a chunk. A chunk is given by its statistics only if it
  // lies within one of `buckets`; null: never.
  StatusOr<bool> Next(const Buckets* buckets, Piece* piece);

 private:
  struct Source {
    std::shared_ptr<const SampleSource> source;
    std::unique_ptr<SourceReader> reader;
  };
  struct Entry {
    ChunkRef chunk;
    uint32_t source = 0;
  };
  // A chunk being merged: what is left of it, not empty.
  struct Run {
    SampleSpan left;
    uint32_t source = 0;
    size_t buffer = 0;  // in buffers_
  };

  bool StandsAlone(size_t entry) const;
  StatusOr<SampleSpan> Read(const Entry& entry, size_t buffer);
  size_t TakeBuffer();
  Status Activate();
  StatusOr<bool> NextMerged(Piece* piece);
  size_t FirstRun() const;
  size_t Stretch(size_t first) const;
  size_t Join(size_t used);
  Status ReserveMerged(size_t count);

  const TimeRange range_;
  QueryGuard* const guard_;
  QueryStatistics* const statistics_;
  std::vector<Source> sources_;  // in write order

  std::vector<Entry> entries_;  // of the series, by first timestamp
  uint64_t series_reserved_bytes_ = 0;
  size_t next_entry_ = 0;  // those before it are done or being merged
  std::vector<ChunkRef> scratch_;

  std::vector<Run> runs_;  // in write order
  compaction::RunMerger merger_;
  std::vector<compaction::SampleRun> joined_runs_;

  std::vector<SampleBuffer> buffers_;
  std::vector<size_t> free_buffers_;
  std::vector<size_t> shown_buffers_;  // of the piece given last: free at the next call
  SampleBuffer merged_;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_MERGE_H_
