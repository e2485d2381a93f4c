// LayerMerge: walks over windows, series and steps. See layer_merge.h.
//
// Memory, at worst, in MiB. An input: page of chunks 0.21, page of timestamps 0.24, one decoded
// chunk 0.125 (layer_scan.h, input_reader.h); kMergeInputsMax of them 37, and labels ahead 4 for
// all together. The output: pages under construction and their encoders 2.5, kSharedColumnsMax
// timestamp columns 8, kCopiedColumnsKnown 0.4, kOutputSeriesMax series 4.5, a step's bytes 2.5.
// Collected samples, rows and scratch 1.1. Reading one page of series 1.5, once at a time. In sum
// 61.5 of kMergeMemoryMax = 64.

#include "compaction/layer_merge.h"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "base/check.h"
#include "compaction/input_reader.h"
#include "compaction/layer_output.h"
#include "compaction/series_merge.h"
#include "layer/layer_builder.h"

namespace nexus::compaction {
namespace {

// Memory for labels ahead, of all inputs together: half a millisecond of reading and unpacking for
// each 64 KiB where there are kMergeInputsMax, whole pages where there are few.
constexpr uint64_t kLabelBytes = 4 << 20;

Status CheckJob(const MergeJob& job) {
  if (job.inputs.empty() || job.inputs.size() > kMergeInputsMax) {
    return InvalidArgument("a merge takes 1 to {} layers, not {}", kMergeInputsMax,
                           job.inputs.size());
  }
  if (job.window_ns < 0) return InvalidArgument("a window of {} ns", job.window_ns);
  const uint32_t samples = job.builder.chunk_samples_max;
  if (samples < 1 || samples > layer::kChunkSamplesMax) {
    return InvalidArgument("chunks of at most {} samples", samples);
  }
  if (job.chunk_samples_good > (samples + 1) / 2) {
    return InvalidArgument("chunks of at least {} samples and at most {}", job.chunk_samples_good,
                           samples);
  }
  for (const MergeInput& input : job.inputs) {
    const layer::LayerIdentity& identity = input.layer->summary().identity;
    if (identity.columns != 1) {
      return InvalidArgument("layer {} holds rollups, not samples", input.layer->path());
    }
    if (identity.database != job.database || identity.tenant != job.tenant ||
        identity.identity_seed != job.identity_seed) {
      return InvalidArgument("layer {} is of another database or tenant than its merge",
                             input.layer->path());
    }
  }
  return OkStatus();
}

layer::LayerIdentity IdentityOf(const MergeJob& job) {
  layer::LayerIdentity identity;
  identity.database = job.database;
  identity.tenant = job.tenant;
  identity.branch = job.branch;
  identity.identity_seed = job.identity_seed;
  identity.level = job.level;
  identity.deletes_applied = job.deletes_applied;
  identity.order_low = job.inputs.front().layer->summary().identity.order_low;
  identity.order_high = job.inputs.front().layer->summary().identity.order_high;
  for (const MergeInput& input : job.inputs) {
    const layer::LayerIdentity& of = input.layer->summary().identity;
    identity.order_low = std::min(identity.order_low, of.order_low);
    identity.order_high = std::max(identity.order_high, of.order_high);
  }
  return identity;
}

layer::BuilderOptions BuilderOf(const MergeJob& job) {
  layer::BuilderOptions builder = job.builder;
  for (const MergeInput& input : job.inputs) {
    builder.inputs.push_back(input.layer->summary().identity.key());
  }
  return builder;
}

}  // namespace

class LayerMerge::Impl final : public SeriesSink {
 public:
  explicit Impl(MergeJob job)
      : job_(std::move(job)),
        identity_(IdentityOf(job_)),
        series_merge_(job_, this, &progress_),
        output_(BuilderOf(job_), job_.output_bytes_max) {
    for (const MergeInput& input : job_.inputs) {
      inputs_.push_back(std::make_unique<InputReader>(input, kLabelBytes / job_.inputs.size()));
      const layer::LayerSummary& summary = input.layer->summary();
      progress_.samples_total += summary.samples;
      walk_.Saw(summary.range.first);
    }
  }

  StatusOr<MergeStep> Step(layer::LayerKey next_key);
  const MergeProgress& progress() const { return progress_; }

  // Of SeriesSink.
  StatusOr<layer::LayerBuilder*> Builder() override;

 private:
  enum class Phase : uint8_t {
    kWindow,    // between windows
    kSeries,    // between series of a window
    kInSeries,  // within one
    kDone,
  };

  Status Run(MergeStep* step);
  Status BeginWindow();
  Status BeginSeries();
  Status NextSeriesOf(uint32_t input);
  Status EndSeries(MergeStep* step);
  Status EndWindow(MergeStep* step);

  // Order of the heap: the input in front has the least labels, and is the oldest of those alike.
  bool After(uint32_t a, uint32_t b) const {
    const int order = inputs_[a]->labels().compare(inputs_[b]->labels());
    return order != 0 ? order > 0 : a > b;
  }

  MergeJob job_;
  const layer::LayerIdentity identity_;  // of the outputs, but for key and place
  OutputPlace place_;                    // of the window at hand
  MergeProgress progress_;
  Status status_;
  Phase phase_ = Phase::kWindow;

  std::vector<std::unique_ptr<InputReader>> inputs_;
  WindowWalk walk_;
  std::vector<uint32_t> waiting_;      // a heap of inputs by the series they stand at
  std::vector<uint32_t> at_series_;    // inputs that have the series at hand, oldest first
  std::vector<InputReader*> readers_;  // the same
  SeriesMerge series_merge_;

  LayerOutput output_;
  bool series_begun_ = false;  // it has samples of the series at hand
  layer::LayerKey next_key_;
  bool key_taken_ = false;
};

StatusOr<MergeStep> LayerMerge::Impl::Step(layer::LayerKey next_key) {
  NEXUS_CHECK(phase_ != Phase::kDone);
  NEXUS_RETURN_IF_ERROR(status_);
  next_key_ = next_key;
  key_taken_ = false;
  MergeStep step;
  step.output = progress_.outputs;
  status_ = Run(&step);
  if (absl::IsInvalidArgument(status_)) {
    // The builder refuses what only damaged inputs can make of it.
    status_ =
        DataLoss("layers {} to {} contradict each other: {}", job_.inputs.front().layer->path(),
                 job_.inputs.back().layer->path(), FromAbsl(status_.message()));
  }
  NEXUS_RETURN_IF_ERROR(status_);
  output_.GiveBytes(&step);
  step.key_taken = key_taken_;
  step.done = phase_ == Phase::kDone;
  progress_.bytes_written += step.bytes.size();
  return step;
}

Status LayerMerge::Impl::Run(MergeStep* step) {
  uint64_t calls = 0;
  const uint64_t done_before = progress_.samples_done;
  while (phase_ != Phase::kDone && !step->finished.has_value()) {
    const uint64_t work = progress_.samples_done - done_before + calls * kSamplesPerCall;
    if (work >= kStepWork) break;
    if (output_.HasStepBytes()) break;
    ++calls;
    switch (phase_) {
      case Phase::kWindow:
        NEXUS_RETURN_IF_ERROR(BeginWindow());
        break;
      case Phase::kSeries:
        if (waiting_.empty()) {
          NEXUS_RETURN_IF_ERROR(EndWindow(step));
        } else {
          NEXUS_RETURN_IF_ERROR(BeginSeries());
        }
        break;
      case Phase::kInSeries: {
        NEXUS_ASSIGN_OR_RETURN(const bool more, series_merge_.Step(&walk_));
        if (!more) NEXUS_RETURN_IF_ERROR(EndSeries(step));
        break;
      }
      case Phase::kDone:
        break;
    }
  }
  return OkStatus();
}

// Goes to the first window that may have a sample behind the one before.
Status LayerMerge::Impl::BeginWindow() {
  place_ = job_.place ? job_.place(*walk_.next)
                      : OutputPlace{WindowOf(*walk_.next, job_.window_ns), job_.level,
                                    identity_.order_low, identity_.order_high};
  walk_.window = place_.window;
  walk_.next.reset();
  phase_ = Phase::kSeries;
  for (uint32_t i = 0; i < inputs_.size(); ++i) {
    const TimeRange range = inputs_[i]->layer().summary().range;
    if (range.first > walk_.window.last) walk_.Saw(range.first);
    if (!range.Overlaps(walk_.window)) continue;
    inputs_[i]->Restart();
    NEXUS_RETURN_IF_ERROR(NextSeriesOf(i));
  }
  return OkStatus();
}

Status LayerMerge::Impl::NextSeriesOf(uint32_t input) {
  NEXUS_ASSIGN_OR_RETURN(const bool more, inputs_[input]->NextSeries());
  if (!more) return OkStatus();
  waiting_.push_back(input);
  std::push_heap(waiting_.begin(), waiting_.end(),
                 [this](uint32_t a, uint32_t b) { return After(a, b); });
  return OkStatus();
}

Status LayerMerge::Impl::BeginSeries() {
  at_series_.clear();
  readers_.clear();
  do {
    std::pop_heap(waiting_.begin(), waiting_.end(),
                  [this](uint32_t a, uint32_t b) { return After(a, b); });
    at_series_.push_back(waiting_.back());
    readers_.push_back(inputs_[waiting_.back()].get());
    waiting_.pop_back();
  } while (!waiting_.empty() && inputs_[waiting_.front()]->labels() == readers_.front()->labels());
  for (const InputReader* reader : readers_) {
    if (reader->id() == readers_.front()->id()) continue;
    return DataLoss("layers {} and {} have one series under the ids {} and {}",
                    readers_.front()->layer().path(), reader->layer().path(),
                    readers_.front()->id().value, reader->id().value);
  }
  series_merge_.Begin(readers_);
  series_begun_ = false;
  phase_ = Phase::kInSeries;
  return OkStatus();
}

StatusOr<layer::LayerBuilder*> LayerMerge::Impl::Builder() {
  if (output_.builder() == nullptr) {
    layer::LayerIdentity identity = identity_;
    identity.level = place_.level;
    identity.order_low = place_.order_low;
    identity.order_high = place_.order_high;
    key_taken_ = true;
    output_.Begin(identity, next_key_);
  }
  if (!series_begun_) {
    series_begun_ = true;
    const InputReader& reader = *readers_.front();
    NEXUS_RETURN_IF_ERROR(output_.builder()->BeginSeries(reader.labels(), reader.id()));
    output_.AddSeries(reader.id());
  }
  return output_.builder();
}

Status LayerMerge::Impl::EndSeries(MergeStep* step) {
  for (uint32_t input : at_series_) NEXUS_RETURN_IF_ERROR(NextSeriesOf(input));
  phase_ = Phase::kSeries;
  return output_.IsFull() ? output_.Finish(step, &progress_) : OkStatus();
}

Status LayerMerge::Impl::EndWindow(MergeStep* step) {
  if (output_.builder() != nullptr) NEXUS_RETURN_IF_ERROR(output_.Finish(step, &progress_));
  phase_ = Phase::kWindow;
  if (walk_.next.has_value()) return OkStatus();
  phase_ = Phase::kDone;
  // Chunks that a filter drops whole were not seen in windows where there was nothing else.
  progress_.samples_done = progress_.samples_total;
  progress_.samples_filtered =
      progress_.samples_total - progress_.samples_written - progress_.samples_superseded;
  return OkStatus();
}

LayerMerge::LayerMerge(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LayerMerge::~LayerMerge() = default;

StatusOr<std::unique_ptr<LayerMerge>> LayerMerge::Create(MergeJob job) {
  NEXUS_RETURN_IF_ERROR(CheckJob(job));
  return std::unique_ptr<LayerMerge>(new LayerMerge(std::make_unique<Impl>(std::move(job))));
}

StatusOr<MergeStep> LayerMerge::Step(layer::LayerKey next_key) { return impl_->Step(next_key); }

const MergeProgress& LayerMerge::progress() const { return impl_->progress(); }

StatusOr<std::vector<MergedFile>> MergeLayers(MergeJob job, layer::LayerKey first_key,
                                              MergeProgress* progress) {
  NEXUS_ASSIGN_OR_RETURN(const std::unique_ptr<LayerMerge> merge,
                         LayerMerge::Create(std::move(job)));
  std::vector<MergedFile> files;
  layer::LayerKey key = first_key;
  for (bool done = false; !done;) {
    NEXUS_ASSIGN_OR_RETURN(MergeStep step, merge->Step(key));
    if (step.key_taken) {
      ++key.sequence;
      files.emplace_back();
    }
    if (!step.bytes.empty()) files[step.output].bytes += step.bytes;
    if (step.finished.has_value()) files[step.output].layer = *std::move(step.finished);
    done = step.done;
  }
  if (progress != nullptr) *progress = merge->progress();
  return files;
}

}  // namespace nexus::compaction
