// Series by series, old buckets and new. See rollup_build.h.

#include "engine/rollup_build.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/planted.h"

namespace nexus::engine {
namespace {

using compaction::BucketLast;
using compaction::BucketStart;
using compaction::MergeStep;
using compaction::RollupBucket;

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
// Memory for labels ahead, of all inputs together, and for samples of one series.
constexpr uint64_t kLabelBytes = 4 << 20;
constexpr uint64_t kSampleBytes = 32 << 20;

QueryLimits Limits() {
  QueryLimits limits;
  limits.deadline_ms = 0;
  limits.memory_bytes = kSampleBytes;
  return limits;
}

// Calls visit(const RollupJob::Input&) for each that may hold samples of what is computed anew.
template <typename Visit>
void VisitStaleInputs(const RollupJob& job, Visit&& visit) {
  for (const RollupJob::Input& input : job.inputs) {
    if (input.source->range().Overlaps(job.stale)) visit(input);
  }
}

std::vector<std::shared_ptr<const SampleSource>> SourcesOf(const RollupJob& job) {
  std::vector<std::shared_ptr<const SampleSource>> sources;
  VisitStaleInputs(job, [&](const auto& input) { sources.push_back(input.source); });
  return sources;
}

layer::BuilderOptions BuilderOf(const RollupJob& job) {
  layer::BuilderOptions builder = job.builder;
  for (const RollupJob::Input& input : job.inputs) {
    builder.inputs.push_back(input.file->name().key);
  }
  for (const RollupView::Layer& old : job.old.layers) {
    builder.inputs.push_back(old.file->name().key);
  }
  return builder;
}

}  // namespace

RollupBuild::RollupBuild(RollupJob job)
    : job_(std::move(job)),
      guard_(Limits(), nullptr),
      samples_(SourcesOf(job_), job_.stale, &guard_, &statistics_),
      output_(BuilderOf(job_), job_.output_bytes_max) {
  for (const RollupJob::Input& input : job_.inputs) progress_.samples_total += input.samples;
}

RollupBuild::~RollupBuild() = default;

Status RollupBuild::OpenInputs() {
  if (open_) return OkStatus();
  std::vector<LayerFilePtr> files;
  VisitStaleInputs(job_, [&](const auto& input) { files.push_back(input.file); });
  for (const RollupView::Layer& old : job_.old.layers) files.push_back(old.file);
  for (const LayerFilePtr& file : files) {
    NEXUS_ASSIGN_OR_RETURN(LayerReaderPtr layer, HoldReader(file));
    auto cursor =
        std::make_unique<layer::SeriesCursor>(std::move(layer), 0, kLabelBytes / files.size());
    walks_.push_back({std::move(cursor), false});
  }
  open_ = true;
  return OkStatus();
}

StatusOr<MergeStep> RollupBuild::Step(layer::LayerKey next_key) {
  NEXUS_CHECK(!done_);
  NEXUS_RETURN_IF_ERROR(status_);
  MergeStep step;
  step.output = progress_.outputs;
  status_ = OpenInputs();
  NEXUS_RETURN_IF_ERROR(status_);
  status_ = Run(next_key, &step);
  NEXUS_RETURN_IF_ERROR(status_);
  output_.GiveBytes(&step);
  step.done = done_;
  progress_.bytes_written += step.bytes.size();
  return step;
}

Status RollupBuild::Run(layer::LayerKey next_key, MergeStep* step) {
  const uint64_t done_before = progress_.samples_done;
  uint64_t calls = 0;
  while (!step->finished.has_value()) {
    const uint64_t work =
        progress_.samples_done - done_before + calls * compaction::kSamplesPerCall;
    if (work >= compaction::kStepWork || output_.HasStepBytes()) return OkStatus();
    ++calls;
    NEXUS_ASSIGN_OR_RETURN(const bool more, FindSeries());
    if (!more) {
      if (output_.builder() != nullptr) NEXUS_RETURN_IF_ERROR(output_.Finish(step, &progress_));
      progress_.samples_done = progress_.samples_total;
      done_ = true;
      return OkStatus();
    }
    NEXUS_RETURN_IF_ERROR(Fold());
    if (columns_.size() == 0) continue;
    if (output_.builder() == nullptr) {
      layer::LayerIdentity identity = job_.identity;
      identity.columns = compaction::kRollupColumns;
      output_.Begin(identity, next_key);
      step->key_taken = true;
    }
    NEXUS_RETURN_IF_ERROR(AddRollupSeries(labels_, id_, columns_, output_.builder()));
    progress_.samples_written += columns_.size();
    output_.AddSeries(id_);
    if (output_.IsFull()) return output_.Finish(step, &progress_);
  }
  return OkStatus();
}

// Goes to the next series of any input; false at the end.
StatusOr<bool> RollupBuild::FindSeries() {
  NEXUS_RETURN_IF_ERROR(AdvanceWalks());
  const Walk* least = nullptr;
  for (const Walk& walk : walks_) {
    if (walk.ended) continue;
    if (least == nullptr || walk.cursor->labels() < least->cursor->labels()) least = &walk;
  }
  if (least == nullptr) return false;
  labels_.assign(least->cursor->labels());
  id_ = least->cursor->id();
  return true;
}

// Passes by the series at hand, wherever it is.
Status RollupBuild::AdvanceWalks() {
  for (Walk& walk : walks_) {
    if (walk.ended) continue;
    if (started_ && walk.cursor->labels() != labels_) continue;
    if (!walk.cursor->Next()) {
      NEXUS_RETURN_IF_ERROR(walk.cursor->status());
      walk.ended = true;
    }
  }
  started_ = true;
  return OkStatus();
}

// All buckets of the series at hand, in ascending order.
Status RollupBuild::Fold() {
  columns_.Clear();
  const int64_t resolution_ns = job_.identity.resolution_ns;
  int64_t cut = job_.old.complete_from ? job_.old.complete_from(labels_) : kMin;
  if (NEXUS_PLANTED("rollup-from-partial-raw")) cut = kMin;
  // The first bucket that may be computed.
  int64_t from = job_.stale.first;
  if (cut > from) {
    const int64_t start = BucketStart(cut, resolution_ns);
    const int64_t last = BucketLast(cut, resolution_ns);
    if (start == cut) {
      from = start;
    } else if (last == kMax) {
      return TakeOld(job_.window);
    } else {
      from = last + 1;
    }
  }
  if (from > job_.stale.last) return TakeOld(job_.window);
  if (from > job_.window.first) NEXUS_RETURN_IF_ERROR(TakeOld({job_.window.first, from - 1}));
  NEXUS_RETURN_IF_ERROR(Compute({from, job_.stale.last}));
  if (job_.stale.last == job_.window.last) return OkStatus();
  return TakeOld({job_.stale.last + 1, job_.window.last});
}

// Buckets of the old run that begin within `starts`, less those that are deleted whole.
Status RollupBuild::TakeOld(TimeRange starts) {
  for (const RollupView::Layer& old : job_.old.layers) {
    NEXUS_RETURN_IF_ERROR(
        column_reader_.Read(*old.file, id_, starts, compaction::RollupColumnSet::All(), &old_));
    if (old_.size() == 0) continue;
    const Tombstones deletes = TombstonesFor(*job_.old.tombstones, old.mark, job_.window);
    std::vector<TimeRange> gone;
    if (!deletes.empty() && !NEXUS_PLANTED("rollup-ignores-deletes")) {
      gone = DeletedRanges(deletes, labels_, job_.window);
    }
    for (size_t i = 0; i < old_.size(); ++i) {
      const TimeRange whole = {old_.starts[i],
                               BucketLast(old_.starts[i], job_.identity.resolution_ns)};
      const bool is_gone = std::any_of(
          gone.begin(), gone.end(), [&](const TimeRange& range) { return range.Contains(whole); });
      if (is_gone) continue;
      StatusOr<RollupBucket> bucket = old_.At(i);
      if (!bucket.ok()) {
        return Annotate(bucket.status(), fmt::format("layer {}", old.file->name().name));
      }
      columns_.Append(*bucket);
    }
    return OkStatus();
  }
  return OkStatus();
}

// The buckets within `range`, from samples.
Status RollupBuild::Compute(TimeRange range) {
  const int64_t resolution_ns = job_.identity.resolution_ns;
  NEXUS_RETURN_IF_ERROR(samples_.Open({id_, labels_}, range));
  RollupBucket bucket;
  int64_t last = 0;  // timestamp of the bucket
  for (;;) {
    Piece piece;
    NEXUS_ASSIGN_OR_RETURN(const bool more, samples_.Next(nullptr, &piece));
    if (!more) break;
    progress_.samples_done += piece.span.count;
    for (SampleSpan left = piece.span; !left.empty();) {
      if (bucket.count > 0 && left.front() > last) {
        columns_.Append(bucket);
        bucket = {};
      }
      if (bucket.count == 0) {
        bucket.start = BucketStart(left.front(), resolution_ns);
        last = BucketLast(left.front(), resolution_ns);
      }
      const size_t count = left.back() <= last ? left.count : left.CountBefore(last + 1);
      bucket.Add({left.timestamps, count}, {left.values, count});
      left = left.From(count);
    }
  }
  if (bucket.count > 0) columns_.Append(bucket);
  return OkStatus();
}

}  // namespace nexus::engine
