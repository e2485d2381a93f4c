// Which buckets are current, and the way between buckets and samples. See rollup_reader.h.

#include "engine/rollup_reader.h"

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

#include "base/planted.h"
#include "compaction/rollup_plan.h"

namespace nexus::engine {
namespace {

using compaction::BucketLast;
using compaction::BucketStart;
using compaction::RollupColumns;

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr uint64_t kLoadedBytes =
    uint64_t{compaction::kRollupWindowBuckets} * (compaction::kRollupColumns + 1) * sizeof(double);

// The whole buckets within `range`; empty if there is none.
TimeRange WholeBuckets(TimeRange range, int64_t resolution_ns) {
  constexpr TimeRange kEmpty = {1, 0};
  if (range.empty()) return kEmpty;
  // A bucket that is cut off at an end of time is no whole one: its beginning is no multiple.
  int64_t first = BucketStart(range.first, resolution_ns);
  if (first != range.first || first % resolution_ns != 0) {
    const int64_t last = BucketLast(range.first, resolution_ns);
    if (last >= range.last) return kEmpty;
    first = last + 1;
  }
  int64_t last = BucketLast(range.last, resolution_ns);
  if (last != range.last || last == kMax) {
    const int64_t begin = BucketStart(range.last, resolution_ns);
    if (begin <= first) return kEmpty;
    last = begin - 1;
  }
  return {first, last};
}

TimeRange Outward(TimeRange range, int64_t resolution_ns) {
  return {BucketStart(range.first, resolution_ns), BucketLast(range.last, resolution_ns)};
}

// `whole` without `holes`, in ascending order.
std::vector<TimeRange> Without(TimeRange whole, std::vector<TimeRange> holes) {
  std::sort(holes.begin(), holes.end());
  std::vector<TimeRange> left;
  for (const TimeRange& hole : holes) {
    if (whole.empty() || hole.first > whole.last) break;
    if (hole.last < whole.first) continue;
    if (hole.first > whole.first) left.push_back({whole.first, hole.first - 1});
    if (hole.last >= whole.last) return left;
    whole.first = hole.last + 1;
  }
  if (!whole.empty()) left.push_back(whole);
  return left;
}

}  // namespace

Status RollupColumnReader::Read(const LayerFile& file, SeriesId series, TimeRange starts,
                                compaction::RollupColumnSet wanted, RollupColumns* columns) {
  NEXUS_ASSIGN_OR_RETURN(const LayerReaderPtr layer, file.Reader());
  return file.Told(ReadFrom(*layer, series, starts, wanted, columns));
}

Status RollupColumnReader::ReadFrom(const layer::LayerReader& layer, SeriesId series,
                                    TimeRange starts, compaction::RollupColumnSet wanted,
                                    RollupColumns* columns) {
  columns->Clear();
  if (layer.summary().identity.columns != compaction::kRollupColumns) {
    return DataLoss("layer {}: it has {} columns, rollups have {}", layer.path(),
                    layer.summary().identity.columns, compaction::kRollupColumns);
  }
  NEXUS_ASSIGN_OR_RETURN(const std::optional<uint32_t> found, layer.FindSeries(series, &context_));
  if (!found.has_value()) return OkStatus();
  for (uint32_t column = 0; column < compaction::kRollupColumns; ++column) {
    if (column > 0 && !wanted.Has(column)) continue;
    chunks_.clear();
    starts_.clear();
    NEXUS_RETURN_IF_ERROR(layer.ColumnChunks(*found, column, starts, &context_, &chunks_));
    for (const layer::ChunkInfo& chunk : chunks_) {
      chunk_starts_.resize(chunk.count);
      chunk_values_.resize(chunk.count);
      NEXUS_ASSIGN_OR_RETURN(const size_t count, layer.ReadChunk(chunk, starts, &context_,
                                                                 chunk_starts_, chunk_values_));
      const auto end = static_cast<ptrdiff_t>(count);
      starts_.insert(starts_.end(), chunk_starts_.begin(), chunk_starts_.begin() + end);
      std::vector<double>& values = columns->values[column];
      values.insert(values.end(), chunk_values_.begin(), chunk_values_.begin() + end);
    }
    if (column == 0) {
      columns->starts = starts_;
    } else if (columns->starts != starts_) {
      return DataLoss("layer {}: column {} of series {} has other buckets than the first",
                      layer.path(), column, series.value);
    }
    if (columns->starts.empty()) return OkStatus();
  }
  return OkStatus();
}

namespace {

// The buckets of a file in which the range begins or ends, but for those that it covers whole.
std::vector<TimeRange> BucketsInPart(const RollupView::Layer& layer, TimeRange range) {
  std::vector<TimeRange> buckets;
  for (const int64_t end : {range.first, range.last}) {
    const TimeRange bucket = Outward({end, end}, layer.resolution_ns);
    if (range.Contains(bucket) || !layer.range.Contains(bucket)) continue;
    if (buckets.empty() || buckets.back() != bucket) buckets.push_back(bucket);
  }
  return buckets;
}

}  // namespace

StatusOr<uint64_t> CountFrozenInPart(const RollupView& view, const Selector& selector,
                                     TimeRange range, QueryGuard* guard) {
  uint64_t count = 0;
  if (!view.complete_from) return count;
  RollupColumnReader columns;
  RollupColumns found;
  for (const RollupView::Layer& layer : view.layers) {
    const std::vector<TimeRange> buckets = BucketsInPart(layer, range);
    if (buckets.empty()) continue;
    const Tombstones deletes = TombstonesFor(*view.tombstones, layer.mark, layer.range);
    NEXUS_ASSIGN_OR_RETURN(LayerReaderPtr reader, HoldReader(layer.file));
    layer::SeriesCursor series(std::move(reader));
    while (series.Next()) {
      NEXUS_RETURN_IF_ERROR(guard->Check());
      if (!selector.Matches(series.labels())) continue;
      const int64_t cut = view.complete_from(series.labels());
      for (const TimeRange& bucket : buckets) {
        if (bucket.first >= cut) continue;
        const auto gone = DeletedRanges(deletes, series.labels(), bucket);
        if (!gone.empty() && gone.front().Contains(bucket)) continue;
        NEXUS_RETURN_IF_ERROR(columns.Read(*layer.file, series.id(), {bucket.first, bucket.first},
                                           compaction::RollupColumnSet(), &found));
        count += found.size();
      }
    }
    NEXUS_RETURN_IF_ERROR(layer.file->Told(series.status()));
  }
  return count;
}

RollupReader::RollupReader(std::vector<std::shared_ptr<const SampleSource>> sources,
                           std::shared_ptr<const RollupView> rollups, const Buckets& buckets,
                           compaction::RollupColumnSet columns, QueryGuard* guard,
                           QueryStatistics* statistics)
    : buckets_(buckets),
      columns_(columns),
      guard_(guard),
      statistics_(statistics),
      view_(std::move(rollups)),
      raw_(sources, buckets.range, guard, statistics) {
  if (view_ == nullptr) return;
  PlanStretches(*view_);
  if (stretches_.empty()) return;
  for (std::shared_ptr<const SampleSource>& source : sources) {
    newer_.push_back({std::move(source), nullptr});
  }
}

// Runs by resolution, the coarsest first; each takes of the time what those before left.
void RollupReader::PlanStretches(const RollupView& view) {
  using Name = std::tuple<int64_t, int64_t>;  // -resolution, window
  std::map<Name, Stretch> runs;
  for (const RollupView::Layer& layer : view.layers) {
    const int64_t resolution_ns = layer.resolution_ns;
    if (buckets_.step_ns % resolution_ns != 0) continue;
    const TimeRange window = compaction::RollupWindowOf(layer.range.first, resolution_ns);
    Stretch& run = runs[{-resolution_ns, window.first}];
    const bool first = run.files.empty();
    // Outside of its buckets it has nothing to say; a finer run may know what was gone by then.
    run.range.first = first ? layer.range.first : std::min(run.range.first, layer.range.first);
    run.range.last = first ? layer.range.last : std::max(run.range.last, layer.range.last);
    run.resolution_ns = resolution_ns;
    // All files of a run are alike; if they were not, the least that one of them knows is right.
    run.mark.high = first ? layer.mark.high : std::min(run.mark.high, layer.mark.high);
    run.mark.deletes_applied = first
                                   ? layer.mark.deletes_applied
                                   : std::min(run.mark.deletes_applied, layer.mark.deletes_applied);
    run.files.push_back(layer.file);
  }
  std::vector<TimeRange> taken;
  for (auto& [name, run] : runs) {
    const TimeRange within = {std::max(run.range.first, buckets_.range.first),
                              std::min(run.range.last, buckets_.range.last)};
    run.range = WholeBuckets(within, run.resolution_ns);
    if (run.range.empty()) continue;
    const TimeRange range = run.range;
    run.deletes = TombstonesFor(*view.tombstones, run.mark, range);
    AddStretches(std::move(run), taken);
    taken.push_back(range);
  }
  std::sort(stretches_.begin(), stretches_.end(),
            [](const Stretch& a, const Stretch& b) { return a.range.first < b.range.first; });
}

void RollupReader::AddStretches(Stretch run, const std::vector<TimeRange>& taken) {
  for (const TimeRange& left : Without(run.range, taken)) {
    run.range = WholeBuckets(left, run.resolution_ns);
    if (!run.range.empty()) stretches_.push_back(run);
  }
}

void RollupReader::DropAll() {
  raw_.DropAll();
  newer_.clear();
  chunks_ = {};
  guard_->Release(newer_reserved_bytes_);
  newer_reserved_bytes_ = 0;
  stretches_.clear();
  view_ = nullptr;
}

Status RollupReader::Open(const SeriesName& series) {
  series_ = series;
  if (stretches_.empty()) return raw_.Open(series, buckets_.range);
  NEXUS_RETURN_IF_ERROR(guard_->Check());
  complete_from_ = view_->complete_from ? view_->complete_from(series.canonical) : kMin;
  next_stretch_ = 0;
  ended_ = false;
  raw_from_ = buckets_.range.first;
  segments_.clear();
  next_segment_ = 0;
  raw_open_ = false;
  buckets_open_ = false;
  return OkStatus();
}

StatusOr<bool> RollupReader::Next(bool statistics, Piece* piece) {
  if (stretches_.empty()) return raw_.Next(statistics ? &buckets_ : nullptr, piece);
  for (;;) {
    *piece = {};
    if (raw_open_) {
      const Buckets within = {raw_range_, buckets_.step_ns};
      NEXUS_ASSIGN_OR_RETURN(raw_open_, raw_.Next(statistics ? &within : nullptr, piece));
      if (raw_open_) return true;
    }
    if (buckets_open_) {
      NEXUS_ASSIGN_OR_RETURN(buckets_open_, NextBucket(piece));
      if (buckets_open_) return true;
    }
    NEXUS_ASSIGN_OR_RETURN(const bool more, BeginSegment());
    if (!more) return false;
  }
}

StatusOr<bool> RollupReader::BeginSegment() {
  if (next_segment_ == segments_.size()) {
    if (ended_) return false;
    NEXUS_RETURN_IF_ERROR(PlanNext());
    return true;
  }
  const Segment segment = segments_[next_segment_++];
  if (segment.of_rollups) {
    bucket_range_ = segment.range;
    const auto at =
        std::lower_bound(loaded_.starts.begin(), loaded_.starts.end(), segment.range.first);
    next_bucket_ = static_cast<size_t>(at - loaded_.starts.begin());
    buckets_open_ = true;
    return true;
  }
  raw_range_ = segment.range;
  NEXUS_RETURN_IF_ERROR(raw_.Open(series_, raw_range_));
  raw_open_ = true;
  return true;
}

// Plans one stretch, or what is behind the last.
Status RollupReader::PlanNext() {
  segments_.clear();
  next_segment_ = 0;
  if (next_stretch_ == stretches_.size()) {
    ended_ = true;
    if (raw_from_.has_value()) segments_.push_back({{*raw_from_, buckets_.range.last}, false});
    return OkStatus();
  }
  const Stretch& stretch = stretches_[next_stretch_++];
  NEXUS_ASSIGN_OR_RETURN(const std::vector<TimeRange> usable, UsableOf(stretch));
  for (const TimeRange& range : usable) {
    EmitRaw(range.first);
    segments_.push_back({range, true});
    raw_from_.reset();
    if (range.last < buckets_.range.last) raw_from_ = range.last + 1;
  }
  return OkStatus();
}

// Samples before `to` that are not planned yet.
void RollupReader::EmitRaw(int64_t to) {
  if (raw_from_.has_value() && *raw_from_ < to) segments_.push_back({{*raw_from_, to - 1}, false});
}

// The parts of a stretch whose buckets are right, in ascending order; they are loaded then.
StatusOr<std::vector<TimeRange>> RollupReader::UsableOf(const Stretch& stretch) {
  const int64_t resolution_ns = stretch.resolution_ns;
  NEXUS_RETURN_IF_ERROR(Load(stretch, stretch.range));
  gone_.clear();
  // Buckets that begin before it are frozen.
  TimeRange open = stretch.range;
  bool has_open = true;
  std::vector<TimeRange> dirty;
  if (complete_from_ > stretch.range.first) {
    const int64_t cut = std::min(complete_from_, stretch.range.last);
    const int64_t start = BucketStart(cut, resolution_ns);
    // Of this bucket some samples are there for sure; if it was not made in time, they are all.
    const bool straddles = complete_from_ > start && complete_from_ <= stretch.range.last;
    if (straddles && !HasBucket(start)) dirty.push_back({start, BucketLast(start, resolution_ns)});
    const int64_t frozen_last = complete_from_ > stretch.range.last ? stretch.range.last
                                : complete_from_ > start ? BucketLast(start, resolution_ns)
                                                         : start - 1;
    has_open = frozen_last < stretch.range.last;
    if (has_open) open.first = frozen_last + 1;
    // Of what is before its first bucket none was made in time: there is what samples are left.
    const int64_t first = loaded_.size() > 0 ? loaded_.starts.front() : kMax;
    if (first > stretch.range.first) {
      dirty.push_back({stretch.range.first, std::min(frozen_last, first - 1)});
    }
  }
  if (!stretch.deletes.empty() && !NEXUS_PLANTED("rollup-ignores-deletes")) {
    gone_ = DeletedRanges(stretch.deletes, series_.canonical, stretch.range);
  }
  if (has_open) {
    for (const TimeRange& range : gone_) {
      if (range.Overlaps(open)) dirty.push_back(Outward(range, resolution_ns));
    }
    NEXUS_RETURN_IF_ERROR(AddNewer(stretch, open, &dirty));
    // What reaches into the frozen part leaves that as it is.
    for (TimeRange& range : dirty) {
      if (range.last >= open.first) range.first = std::max(range.first, open.first);
    }
  }
  return Without(stretch.range, std::move(dirty));
}

// Where sources that the run does not know have samples of the series.
Status RollupReader::AddNewer(const Stretch& stretch, TimeRange range,
                              std::vector<TimeRange>* dirty) {
  if (NEXUS_PLANTED("rollup-stale-after-late-data")) return OkStatus();
  for (Newer& newer : newer_) {
    if (newer.source->end() <= stretch.mark.high) continue;
    if (newer.source->range().empty() || !newer.source->range().Overlaps(range)) continue;
    if (newer.reader == nullptr) newer.reader = newer.source->NewReader();
    chunks_.clear();
    NEXUS_RETURN_IF_ERROR(newer.reader->Chunks(series_, range, &chunks_));
    for (const ChunkRef& chunk : chunks_) {
      dirty->push_back(Outward(chunk.range, stretch.resolution_ns));
    }
    NEXUS_RETURN_IF_ERROR(ReserveNewer(dirty->size()));
  }
  return OkStatus();
}

// For what the readers hold of the series, its chunks and as many ranges: the most that it was yet.
Status RollupReader::ReserveNewer(size_t ranges) {
  uint64_t bytes = chunks_.size() * sizeof(ChunkRef) + ranges * sizeof(TimeRange);
  for (const Newer& newer : newer_) {
    if (newer.reader != nullptr) bytes += newer.reader->held_bytes();
  }
  if (bytes <= newer_reserved_bytes_) return OkStatus();
  NEXUS_RETURN_IF_ERROR(guard_->Reserve(bytes - newer_reserved_bytes_, "newer chunks of a series"));
  newer_reserved_bytes_ = bytes;
  return OkStatus();
}

Status RollupReader::Load(const Stretch& stretch, TimeRange range) {
  if (!reserved_) {
    NEXUS_RETURN_IF_ERROR(guard_->Reserve(kLoadedBytes, "rollups of a series"));
    reserved_ = true;
  }
  loaded_resolution_ns_ = stretch.resolution_ns;
  loaded_.Clear();
  for (const LayerFilePtr& file : stretch.files) {
    NEXUS_RETURN_IF_ERROR(guard_->Check());
    NEXUS_RETURN_IF_ERROR(column_reader_.Read(*file, series_.id, range, columns_, &loaded_));
    loaded_file_ = file.get();
    if (loaded_.size() > 0) break;
  }
  if (loaded_.size() == 0) return OkStatus();
  if (std::find(used_.begin(), used_.end(), loaded_file_) == used_.end()) {
    used_.push_back(loaded_file_);
    statistics_->rollup_layers++;
  }
  return OkStatus();
}

bool RollupReader::HasBucket(int64_t start) const {
  return std::binary_search(loaded_.starts.begin(), loaded_.starts.end(), start);
}

StatusOr<bool> RollupReader::NextBucket(Piece* piece) {
  while (next_bucket_ < loaded_.size()) {
    const int64_t start = loaded_.starts[next_bucket_];
    if (start > bucket_range_.last) return false;
    const TimeRange whole = {start, BucketLast(start, loaded_resolution_ns_)};
    const size_t at = next_bucket_++;
    // Only frozen ones are still here where something is deleted.
    const bool is_gone = std::any_of(gone_.begin(), gone_.end(),
                                     [&](const TimeRange& range) { return range.Contains(whole); });
    if (is_gone) continue;
    StatusOr<compaction::RollupBucket> bucket = loaded_.At(at);
    if (!bucket.ok()) {
      return Annotate(bucket.status(), fmt::format("layer {}", loaded_file_->name().name));
    }
    bucket_ = *bucket;
    piece->bucket = &bucket_;
    statistics_->rollup_buckets++;
    return true;
  }
  return false;
}

}  // namespace nexus::engine
