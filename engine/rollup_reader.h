// RollupReader: the samples of one series for an aggregate, by its rollups where these are right,
// by SeriesReader everywhere else.
//
// A bucket of a run of rollups (compaction/rollup_plan.h) is given in place of its samples if it
// lies whole within the query's range and one step, and is current: no source that ends behind the
// run in write order has a chunk of the series in it, no delete concerns it that is not carried out
// in the run. Where a run is, it knows everything that its sources hold: between its buckets there
// is nothing, and nothing is read. Of the samples that may have been dropped as too old a run is
// all there is: buckets that begin before `complete_from` are frozen (DESIGN section 8), given
// whatever is newer, and left out where a delete covers them whole. Where they begin later than the
// run, they were not made in time: before the first of them samples are read, those that are left.
// Where runs of several resolutions are, the coarsest is taken.
//
// Memory: one window of one series as columns, at most 200 KiB, counted against the query's limit.
// Failure: as SeriesReader; DataLoss for a malformed bucket names the file. Threading: one thread;
// blocks on layer reads.

#ifndef NEXUS_ENGINE_ROLLUP_READER_H_
#define NEXUS_ENGINE_ROLLUP_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "compaction/rollup_bucket.h"
#include "engine/buckets.h"
#include "engine/layer_file.h"
#include "engine/merge.h"
#include "engine/query_guard.h"
#include "engine/sample_source.h"
#include "engine/selector.h"
#include "engine/tombstone.h"
#include "layer/layer_reader.h"

namespace nexus::engine {

// The rollups of a branch as a query sees them; immutable. It names files and opens none.
struct RollupView {
  struct Layer {
    LayerFilePtr file;
    TimeRange range;
    int64_t resolution_ns = 0;
    DeleteMark mark;
  };
  std::vector<Layer> layers;  // in any order
  std::shared_ptr<const Tombstones> tombstones;
  // Samples of a series that are older than this may have been dropped. Empty: none ever.
  std::function<int64_t(std::string_view canonical)> complete_from;
};

// Reads the columns of one series from a rollup layer, by a reader that is borrowed for the call.
class RollupColumnReader {
 public:
  // Replaces `columns` by those of `wanted` of the buckets that begin within `starts`; all empty if
  // there are none. The column of counts is always read.
  Status Read(const LayerFile& file, SeriesId series, TimeRange starts,
              compaction::RollupColumnSet wanted, compaction::RollupColumns* columns);

 private:
  Status ReadFrom(const layer::LayerReader& layer, SeriesId series, TimeRange starts,
                  compaction::RollupColumnSet wanted, compaction::RollupColumns* columns);

  layer::ReadContext context_;
  std::vector<layer::ChunkInfo> chunks_;
  std::vector<int64_t> starts_;
  std::vector<int64_t> chunk_starts_;
  std::vector<double> chunk_values_;
};

// How many frozen buckets a delete of these series and this range covers in part, which it leaves
// as they are. Walks the labels of the files that hold the ends of the range. Errors: DataLoss,
// those of reading and of the guard.
StatusOr<uint64_t> CountFrozenInPart(const RollupView& view, const Selector& selector,
                                     TimeRange range, QueryGuard* guard);

class RollupReader {
 public:
  // Reads `sources` as SeriesReader does, and `rollups`, which may be null. Those are used whose
  // resolution divides the step of `buckets`.
  RollupReader(std::vector<std::shared_ptr<const SampleSource>> sources,
               std::shared_ptr<const RollupView> rollups, const Buckets& buckets,
               compaction::RollupColumnSet columns, QueryGuard* guard, QueryStatistics* statistics);

  // Starts on a series.
  Status Open(const SeriesName& series);

  // Gives the next piece, valid until the next call; false at the end of the series. `statistics`:
  // chunks may be given by their statistics.
  StatusOr<bool> Next(bool statistics, Piece* piece);

  // Lets go of sources and rollups; nothing may be called afterwards.
  void DropAll();

 private:
  // A stretch of time in which one run is asked first: its files, of which one at most has the
  // series.
  struct Stretch {
    TimeRange range;
    int64_t resolution_ns = 0;
    DeleteMark mark;
    Tombstones deletes;  // those that concern it
    std::vector<LayerFilePtr> files;
  };
  // What is given next: buckets, or samples.
  struct Segment {
    TimeRange range;
    bool of_rollups = false;
  };
  // A source that may end behind a run, as it is asked for the chunks that do.
  struct Newer {
    std::shared_ptr<const SampleSource> source;
    std::unique_ptr<SourceReader> reader;
  };

  void PlanStretches(const RollupView& view);
  void AddStretches(Stretch run, const std::vector<TimeRange>& taken);
  Status PlanNext();
  StatusOr<std::vector<TimeRange>> UsableOf(const Stretch& stretch);
  Status AddNewer(const Stretch& stretch, TimeRange range, std::vector<TimeRange>* dirty);
  Status ReserveNewer(size_t ranges);
  Status Load(const Stretch& stretch, TimeRange range);
  bool HasBucket(int64_t start) const;
  void EmitRaw(int64_t to);
  StatusOr<bool> NextBucket(Piece* piece);
  StatusOr<bool> BeginSegment();

  const Buckets buckets_;
  const compaction::RollupColumnSet columns_;
  QueryGuard* const guard_;
  QueryStatistics* const statistics_;
  std::shared_ptr<const RollupView> view_;
  std::vector<Newer> newer_;
  uint64_t newer_reserved_bytes_ = 0;
  SeriesReader raw_;
  std::vector<Stretch> stretches_;      // in order of time, without overlap
  std::vector<const LayerFile*> used_;  // compared, never looked into

  // Of the present series.
  SeriesName series_;
  int64_t complete_from_ = 0;
  size_t next_stretch_ = 0;
  bool ended_ = false;               // the last segment is planned
  std::optional<int64_t> raw_from_;  // samples from here on are not planned yet
  std::vector<Segment> segments_;    // planned, those from next_segment_ on not begun
  size_t next_segment_ = 0;
  TimeRange raw_range_;  // of the segment of samples at hand
  bool raw_open_ = false;
  TimeRange bucket_range_;       // of the segment of buckets at hand
  std::vector<TimeRange> gone_;  // deleted of what is frozen, in the window at hand
  size_t next_bucket_ = 0;       // in loaded_
  bool buckets_open_ = false;

  RollupColumnReader column_reader_;
  compaction::RollupColumns loaded_;  // of the present series and stretch
  int64_t loaded_resolution_ns_ = 0;
  const LayerFile* loaded_file_ = nullptr;
  bool reserved_ = false;
  compaction::RollupBucket bucket_;
  std::vector<ChunkRef> chunks_;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_ROLLUP_READER_H_
