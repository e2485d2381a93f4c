// Merging, writing and reading back. See compaction_job.h.

#include "engine/compaction_job.h"

#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "compaction/verify_output.h"
#include "engine/layer_writer.h"
#include "io/file_util.h"

namespace nexus::engine {
namespace {

// A wait is taken in parts, so that closing the database does not wait for a whole one.
constexpr int64_t kPausePartNs = 100'000'000;

// What ran on a worker, and for how long.
template <typename T>
struct Timed {
  StatusOr<T> result;
  int64_t busy_ns = 0;
};

template <typename Function>
auto Time(io::Environment* environment, Function&& function) {
  const int64_t begun = environment->MonotonicNanos();
  auto result = function();
  return Timed<typename decltype(result)::value_type>{std::move(result),
                                                      environment->MonotonicNanos() - begun};
}

}  // namespace

int64_t CompactionPace::PauseAfter(uint64_t bytes, int64_t busy_ns) const {
  // Writing takes its time beside the worker's.
  int64_t pause = busy_ns * (100 - cpu_percent_) / cpu_percent_;
  if (bytes_per_second_ > 0) {
    const double due_ns = static_cast<double>(bytes) * 1e9 / static_cast<double>(bytes_per_second_);
    pause = std::max(pause, static_cast<int64_t>(due_ns) - busy_ns);
  }
  return pause;
}

CompactionJob::CompactionJob(DatabaseState* state, std::unique_ptr<compaction::LayerSteps> maker,
                             CompactionPace pace, ProgressFunction progress, const bool* stopping)
    : state_(state),
      maker_(std::move(maker)),
      pace_(pace),
      tell_(std::move(progress)),
      stopping_(stopping) {}

Status CompactionJob::MayGoOn() const {
  return *stopping_ ? Cancelled("the compactor was stopped") : OkStatus();
}

io::Task<void> CompactionJob::Pause(uint64_t bytes, int64_t busy_ns) {
  io::Executor* executor = state_->environment->executor();
  int64_t left = pace_.PauseAfter(bytes, busy_ns);
  while (left > 0 && !*stopping_) {
    const int64_t part = std::min(left, kPausePartNs);
    co_await executor->Sleep(part);
    left -= part;
  }
}

io::Task<StatusOr<std::vector<OpenLayer>>> CompactionJob::Run() {
  Status status = co_await Make();
  if (status.ok()) status = co_await CheckOutputs();
  if (!status.ok()) {
    co_await Drop();
    co_return status;
  }
  co_return layers_;
}

io::Task<Status> CompactionJob::Make() {
  uint64_t sequence = state_->next_layer_sequence++;
  bool done = false;
  while (!done) {
    NEXUS_CO_RETURN_IF_ERROR(MayGoOn());
    auto step = [maker = maker_.get(), environment = state_->environment,
                 key = layer::LayerKey{state_->open_count, sequence}] {
      return Time(environment, [&] { return maker->Step(key); });
    };
    auto made = co_await state_->environment->executor()->Run(io::Lane::kWorker, step);
    NEXUS_CO_RETURN_IF_ERROR(made.result.status());
    progress_ = maker_->progress();
    tell_(progress_);
    done = made.result->done;
    const uint64_t bytes = made.result->bytes.size();
    const bool key_taken = made.result->key_taken;
    NEXUS_CO_RETURN_IF_ERROR(co_await Append(*std::move(made.result), sequence));
    if (key_taken) sequence = state_->next_layer_sequence++;
    co_await Pause(bytes, made.busy_ns);
  }
  co_return OkStatus();
}

io::Task<Status> CompactionJob::Append(compaction::MergeStep step, uint64_t sequence) {
  if (step.key_taken) {
    Output& output = outputs_.emplace_back();
    output.sequence = sequence;
    output.path = TemporaryLayerPath(*state_, sequence);
    io::OpenFlags flags;
    flags.write = true;
    flags.create = true;
    flags.truncate = true;
    auto file = co_await io::OpenFile(state_->environment->disk(), output.path, flags);
    NEXUS_CO_RETURN_IF_ERROR(file.status());
    outputs_.back().file = *std::move(file);
  }
  if (!step.bytes.empty()) {
    Output& output = outputs_.back();
    NEXUS_CO_RETURN_IF_ERROR(
        co_await io::WriteAll(output.file.get(), output.bytes, AsBytes(step.bytes)));
    outputs_.back().bytes += step.bytes.size();
  }
  if (!step.finished.has_value()) co_return OkStatus();
  co_return co_await FinishOutput(std::move(step.finished->summary));
}

io::Task<Status> CompactionJob::FinishOutput(layer::LayerSummary summary) {
  if (!NEXUS_PLANTED("compacted-layer-not-synced")) {
    NEXUS_CO_RETURN_IF_ERROR(co_await io::SyncFile(outputs_.back().file.get()));
  }
  outputs_.back().file.reset();
  OpenLayer layer;
  layer.record = LayerRecordOf(summary);
  outputs_.back().summary = std::move(summary);
  const std::string path = io::JoinPath(state_->folder.layers, layer.record.file_name);
  NEXUS_CO_RETURN_IF_ERROR(
      co_await io::Rename(state_->environment->disk(), outputs_.back().path, path));
  outputs_.back().path = path;
  layers_.push_back(std::move(layer));
  co_return OkStatus();
}

io::Task<Status> CompactionJob::CheckOutputs() {
  if (layers_.empty()) co_return OkStatus();
  if (!NEXUS_PLANTED("compacted-names-not-synced")) {
    NEXUS_CO_RETURN_IF_ERROR(
        co_await io::SyncDirectory(state_->environment->disk(), state_->folder.layers));
  }
  for (const Output& output : outputs_) {
    NEXUS_CO_RETURN_IF_ERROR(co_await Verify(output.summary));
  }
  for (OpenLayer& layer : layers_) layer.file = state_->layer_readers->Make(layer.record);
  co_return OkStatus();
}

// Past the page cache: what is read once would only drive out what queries use.
io::Task<Status> CompactionJob::Verify(const layer::LayerSummary& written) {
  const LayerFileName name(LayerRecordOf(written));
  auto open = [state = state_, &name] { return OpenLayerFile(*state, name, nullptr); };
  auto reader = co_await state_->environment->executor()->Run(io::Lane::kWorker, open);
  NEXUS_CO_RETURN_IF_ERROR(reader.status());
  compaction::OutputVerifier verifier(*std::move(reader), written);
  bool more = true;
  while (more) {
    NEXUS_CO_RETURN_IF_ERROR(MayGoOn());
    auto step = [&verifier, environment = state_->environment] {
      return Time(environment, [&] { return verifier.Step(); });
    };
    auto checked = co_await state_->environment->executor()->Run(io::Lane::kWorker, step);
    NEXUS_CO_RETURN_IF_ERROR(checked.result.status());
    more = *checked.result;
    co_await Pause(0, checked.busy_ns);
  }
  co_return OkStatus();
}

io::Task<void> CompactionJob::Drop() {
  layers_.clear();
  for (Output& output : outputs_) {
    output.file.reset();
    (co_await io::Unlink(state_->environment->disk(), output.path)).IgnoreError();
  }
  outputs_.clear();
}

}  // namespace nexus::engine
