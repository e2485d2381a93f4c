// SeriesReader: all samples of one series from all sources, in strictly ascending time, each
// timestamp once: of equal ones the sample of the source latest in write order.
//
// Only chunks that overlap in time are merged (DESIGN section 7). A chunk that overlaps nothing is
// handed on as its source decoded it, or - if the caller can use them - by its statistics alone,
// without being read. Where chunks overlap, a k-way merge hands on every long stretch of one run as
// it lies in its buffer and copies short ones together.
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
#include "compaction/rollup_bucket.h"
#include "engine/buckets.h"
#include "engine/query.h"
#include "engine/query_guard.h"
#include "engine/sample_source.h"

namespace nexus::engine {

// The next samples of a series: either a span of them, or a whole chunk by its statistics, or - of
// a RollupReader alone - a whole bucket.
struct Piece {
  const ChunkRef* chunk = nullptr;                   // if set, `span` is empty
  const compaction::RollupBucket* bucket = nullptr;  // the same
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
  Status Open(const SeriesName& series) { return Open(series, range_); }
  // The same for its samples within a part of the range.
  Status Open(const SeriesName& series, TimeRange range);

  // Gives the next piece, valid until the next call; false at the end of the series. A span has at
  // least one sample and at most those of a chunk. A chunk is given by its statistics only if it
  // lies within one of `buckets`; null: never.
  StatusOr<bool> Next(const Buckets* buckets, Piece* piece);

  // Lets go of sources; nothing may be called afterwards. Without layers, the piece given last
  // stays valid: what layers give lies in buffers.
  void DropAll() { sources_.clear(); }
  void DropLayers();

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
  // The next sample of a run, in the heap that orders them.
  struct Head {
    int64_t timestamp = 0;
    uint32_t source = 0;
    uint32_t run = 0;  // in runs_
  };

  bool StandsAlone(size_t entry) const;
  StatusOr<SampleSpan> Read(const Entry& entry, size_t buffer);
  size_t TakeBuffer();
  Status Activate();
  StatusOr<bool> NextMerged(Piece* piece);
  size_t Stretch() const;
  size_t MergeTwo(size_t used);
  void ReplaceTwoHeads();
  void Advance(size_t count, std::vector<size_t>* done);
  void SiftDown();
  static bool Before(const Head& a, const Head& b);

  const TimeRange range_;
  TimeRange part_;  // of it, of the present series
  QueryGuard* const guard_;
  QueryStatistics* const statistics_;
  std::vector<Source> sources_;  // in write order

  std::vector<Entry> entries_;  // of the series, by first timestamp
  uint64_t series_reserved_bytes_ = 0;
  size_t next_entry_ = 0;  // those before it are done or being merged
  std::vector<ChunkRef> scratch_;

  std::vector<Run> runs_;  // those that heads_ names, and places of finished ones
  std::vector<uint32_t> free_runs_;
  std::vector<Head> heads_;  // a heap: what comes next is in front
  int64_t last_merged_ = 0;
  bool merged_any_ = false;  // last_merged_ is of this group of overlapping chunks

  std::vector<SampleBuffer> buffers_;
  std::vector<size_t> free_buffers_;
  std::vector<size_t> shown_buffers_;  // of the piece given last: free at the next call
  SampleBuffer merged_;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_MERGE_H_
