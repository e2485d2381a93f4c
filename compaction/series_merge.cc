// One series of one window. See series_merge.h.

#include "compaction/series_merge.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace nexus::compaction {

SeriesMerge::SeriesMerge(const MergeJob& job, SeriesSink* sink, MergeProgress* progress)
    : chunk_samples_max_(job.builder.chunk_samples_max),
      chunk_samples_good_(job.chunk_samples_good),
      sink_(sink),
      progress_(progress),
      scratch_(std::make_unique_for_overwrite<uint64_t[]>(layer::kChunkSamplesMax)),
      // Fewer than two chunks are left when a block, or one decoded chunk, is added.
      capacity_(2 * size_t{chunk_samples_max_} +
                std::max<size_t>(kBlockSamples, layer::kChunkSamplesMax)),
      timestamps_(std::make_unique_for_overwrite<int64_t[]>(capacity_)),
      values_(std::make_unique_for_overwrite<double[]>(capacity_)) {}

void SeriesMerge::Begin(std::span<InputReader* const> inputs) {
  NEXUS_CHECK(begin_ == end_);
  inputs_.assign(inputs.begin(), inputs.end());
  for (InputReader* input : inputs_) input->BeginSeries();
}

StatusOr<bool> SeriesMerge::Step(WindowWalk* walk) {
  NEXUS_RETURN_IF_ERROR(FindHeads(walk));
  if (inputs_.empty()) {
    NEXUS_RETURN_IF_ERROR(Flush());
    return false;
  }
  if (InputReader* lone = LoneHead(); lone != nullptr) {
    NEXUS_RETURN_IF_ERROR(TakeHead(lone, walk));
  } else {
    NEXUS_ASSIGN_OR_RETURN(const bool all_known, DecodeHeads(walk));
    if (all_known) JoinBlock();
  }
  NEXUS_RETURN_IF_ERROR(AddFullChunks());
  return true;
}

// Finds out what comes next of each input, and leaves out those that are at their end.
Status SeriesMerge::FindHeads(WindowWalk* walk) {
  InputReader::Counts counts;
  for (InputReader* input : inputs_) {
    if (input->state() != InputReader::State::kUnknown) continue;
    NEXUS_RETURN_IF_ERROR(input->Advance(walk, &counts));
  }
  Count(&counts);
  std::erase_if(
      inputs_, [](const InputReader* input) { return input->state() == InputReader::State::kEnd; });
  return OkStatus();
}

// The head that comes first, if it ends before anything else begins; else null.
InputReader* SeriesMerge::LoneHead() const {
  InputReader* first = nullptr;
  int64_t second = std::numeric_limits<int64_t>::max();
  for (InputReader* input : inputs_) {
    if (input->state() == InputReader::State::kRun) return nullptr;
    const int64_t begin = input->head().range.first;
    if (first == nullptr || begin < first->head().range.first) {
      if (first != nullptr) second = std::min(second, first->head().range.first);
      first = input;
    } else {
      second = std::min(second, begin);
    }
  }
  const bool alone = inputs_.size() == 1 || first->head().range.last < second;
  return alone ? first : nullptr;
}

Status SeriesMerge::TakeHead(InputReader* input, WindowWalk* walk) {
  const uint32_t count = input->head().count;
  if (!input->HeadIsWhole(*walk)) {
    InputReader::Counts counts;
    NEXUS_RETURN_IF_ERROR(input->Decode(scratch_.get(), walk, &counts));
    Count(&counts);
    ++progress_->chunks_decoded;
    if (input->state() == InputReader::State::kRun) JoinBlock();
    return OkStatus();
  }
  progress_->samples_done += count;
  const size_t pending = end_ - begin_;
  const bool follows = pending == 0 || pending >= chunk_samples_good_;
  if (follows && count >= chunk_samples_good_ && count <= chunk_samples_max_) {
    NEXUS_RETURN_IF_ERROR(Flush());
    NEXUS_ASSIGN_OR_RETURN(layer::LayerBuilder* const builder, sink_->Builder());
    NEXUS_RETURN_IF_ERROR(input->Copy(builder));
    ++progress_->chunks_copied;
    progress_->samples_written += count;
    return OkStatus();
  }
  MakeRoom(count);
  NEXUS_RETURN_IF_ERROR(
      input->DecodeWhole(scratch_.get(), timestamps_.get() + end_, values_.get() + end_));
  end_ += count;
  ++progress_->chunks_decoded;
  return OkStatus();
}

// Decodes the heads that begin where the earliest of all begins, or before the runs at hand. False
// if nothing is left of one: the chunk behind it may begin before what is at hand.
StatusOr<bool> SeriesMerge::DecodeHeads(WindowWalk* walk) {
  int64_t front = std::numeric_limits<int64_t>::max();
  for (const InputReader* input : inputs_) {
    const bool is_run = input->state() == InputReader::State::kRun;
    front = std::min(front, is_run ? input->run().front() : input->head().range.first);
  }
  InputReader::Counts counts;
  bool all_known = true;
  for (InputReader* input : inputs_) {
    if (input->state() != InputReader::State::kHead || input->head().range.first > front) continue;
    NEXUS_RETURN_IF_ERROR(input->Decode(scratch_.get(), walk, &counts));
    ++progress_->chunks_decoded;
    all_known &= input->state() == InputReader::State::kRun;
  }
  Count(&counts);
  return all_known;
}

// Joins the samples of all runs up to a bound that no head begins at or before.
void SeriesMerge::JoinBlock() {
  const auto runs = std::count_if(inputs_.begin(), inputs_.end(), [](const InputReader* input) {
    return input->state() == InputReader::State::kRun;
  });
  if (runs == 0) return;
  const size_t share = kBlockSamples / static_cast<size_t>(runs);
  int64_t bound = std::numeric_limits<int64_t>::max();
  for (const InputReader* input : inputs_) {
    if (input->state() == InputReader::State::kRun) {
      const SampleRun run = input->run();
      bound = std::min(bound, run.timestamps[std::min(run.count, share) - 1]);
    } else if (input->state() == InputReader::State::kHead) {
      // Not the least timestamp there is: DecodeHeads would have decoded it.
      bound = std::min(bound, input->head().range.first - 1);
    }
  }
  runs_.clear();
  taken_.clear();
  size_t samples = 0;
  for (const InputReader* input : inputs_) {
    size_t count = 0;
    if (input->state() == InputReader::State::kRun) {
      SampleRun run = input->run();
      const int64_t* const end = run.timestamps + std::min(run.count, share);
      count = static_cast<size_t>(std::upper_bound(run.timestamps, end, bound) - run.timestamps);
      run.count = count;
      if (count > 0) runs_.push_back(run);
      samples += count;
    }
    taken_.push_back(count);
  }
  MakeRoom(samples);
  const size_t joined = merger_.Merge(runs_, timestamps_.get() + end_, values_.get() + end_);
  end_ += joined;
  progress_->samples_done += samples;
  progress_->samples_superseded += samples - joined;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (taken_[i] > 0) inputs_[i]->Consume(taken_[i]);
  }
}

Status SeriesMerge::AddFullChunks() {
  while (end_ - begin_ >= 2 * size_t{chunk_samples_max_}) {
    NEXUS_RETURN_IF_ERROR(AddChunk(chunk_samples_max_));
  }
  return OkStatus();
}

Status SeriesMerge::Flush() {
  const size_t pending = end_ - begin_;
  if (pending > chunk_samples_max_) NEXUS_RETURN_IF_ERROR(AddChunk((pending + 1) / 2));
  if (pending > 0) NEXUS_RETURN_IF_ERROR(AddChunk(end_ - begin_));
  return OkStatus();
}

Status SeriesMerge::AddChunk(size_t count) {
  NEXUS_ASSIGN_OR_RETURN(layer::LayerBuilder* const builder, sink_->Builder());
  NEXUS_RETURN_IF_ERROR(
      builder->AddChunk({timestamps_.get() + begin_, count}, {values_.get() + begin_, count}));
  begin_ += count;
  progress_->samples_written += count;
  return OkStatus();
}

// Makes room for `count` samples at end_.
void SeriesMerge::MakeRoom(size_t count) {
  if (end_ + count <= capacity_) return;
  std::copy(timestamps_.get() + begin_, timestamps_.get() + end_, timestamps_.get());
  std::copy(values_.get() + begin_, values_.get() + end_, values_.get());
  end_ -= begin_;
  begin_ = 0;
  NEXUS_CHECK(end_ + count <= capacity_);
}

void SeriesMerge::Count(InputReader::Counts* counts) {
  progress_->samples_filtered += counts->filtered;
  progress_->samples_done += counts->filtered;
  *counts = {};
}

}  // namespace nexus::compaction
