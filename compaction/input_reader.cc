// One input: chunks passed by, cut and decoded. See input_reader.h.

#include "compaction/input_reader.h"

#include <algorithm>
#include <limits>
#include <span>

#include "base/check.h"
#include "base/planted.h"

namespace nexus::compaction {

StatusOr<bool> InputReader::NextSeries() {
  NEXUS_ASSIGN_OR_RETURN(const bool more, scan_.NextSeries());
  if (!more) {
    scan_.Release();
    capacity_ = 0;
    timestamps_.reset();
    values_.reset();
  }
  return more;
}

void InputReader::BeginSeries() {
  dropped_.clear();
  if (filter_ != nullptr) filter_->AppendDropped(id(), labels(), &dropped_);
  for (size_t i = 0; i < dropped_.size(); ++i) {
    NEXUS_CHECK(!dropped_[i].empty());
    NEXUS_CHECK(i == 0 || dropped_[i - 1].last < dropped_[i].first);
  }
  state_ = State::kUnknown;
}

Status InputReader::Advance(WindowWalk* walk, Counts* counts) {
  for (;;) {
    NEXUS_ASSIGN_OR_RETURN(const bool more, scan_.NextChunk());
    if (!more) break;
    const TimeRange range = head().range;
    if (range.last < walk->window.first) continue;
    if (IsDropped(range)) {
      if (walk->window.Contains(range.first)) counts->filtered += head().count;
      continue;
    }
    if (range.first <= walk->window.last) {
      state_ = State::kHead;
      return OkStatus();
    }
    // Later chunks are later still.
    const std::optional<int64_t> kept = FirstKept(range.first);
    if (kept.has_value()) walk->Saw(*kept);
    break;
  }
  state_ = State::kEnd;
  return OkStatus();
}

bool InputReader::HeadIsWhole(const WindowWalk& walk) const {
  return walk.window.Contains(head().range) && !IsTouched(head().range);
}

Status InputReader::DecodeWhole(uint64_t* scratch, int64_t* timestamps, double* values) {
  state_ = State::kUnknown;
  NEXUS_RETURN_IF_ERROR(scan_.ReadTimestamps(timestamps));
  return scan_.ReadValues(values, scratch);
}

Status InputReader::Copy(layer::LayerBuilder* into) {
  state_ = State::kUnknown;
  return scan_.CopyChunk(into);
}

Status InputReader::Decode(uint64_t* scratch, WindowWalk* walk, Counts* counts) {
  const size_t count = head().count;
  const bool touched = IsTouched(head().range);
  if (count > capacity_) {
    capacity_ = 0;
    timestamps_ = std::make_unique_for_overwrite<int64_t[]>(count);
    values_ = std::make_unique_for_overwrite<double[]>(count);
    capacity_ = count;
  }
  NEXUS_RETURN_IF_ERROR(DecodeWhole(scratch, timestamps_.get(), values_.get()));
  const int64_t* const begin = timestamps_.get();
  const int64_t* const end = begin + count;
  const int64_t* const first = std::lower_bound(begin, end, walk->window.first);
  const int64_t* const last = std::upper_bound(first, end, walk->window.last);
  for (const int64_t* behind = last; behind != end;) {
    const std::optional<int64_t> kept = FirstKept(*behind);
    if (!kept.has_value()) break;
    behind = std::lower_bound(behind, end, *kept);
    if (behind == end || *behind != *kept) continue;
    if (!NEXUS_PLANTED("window-rest-forgotten")) walk->Saw(*kept);
    break;
  }
  run_begin_ = static_cast<size_t>(first - begin);
  run_end_ = static_cast<size_t>(last - begin);
  if (touched) counts->filtered += RemoveDropped();
  if (run_begin_ != run_end_) state_ = State::kRun;
  return OkStatus();
}

// Closes the gaps that dropped samples leave in the run. Returns how many there were.
size_t InputReader::RemoveDropped() {
  const size_t before = run_end_ - run_begin_;
  int64_t* const timestamps = timestamps_.get();
  size_t kept = run_begin_;  // end of what stays
  size_t at = run_begin_;
  const auto keep_up_to = [&](size_t end) {
    std::copy(timestamps + at, timestamps + end, timestamps + kept);
    std::copy(values_.get() + at, values_.get() + end, values_.get() + kept);
    kept += end - at;
  };
  Dropped range = before == 0 ? dropped_.end() : DroppedFrom(timestamps[run_begin_]);
  for (; range != dropped_.end() && at != run_end_; ++range) {
    const int64_t* const end = timestamps + run_end_;
    const int64_t* const first =
        std::lower_bound<const int64_t*>(timestamps + at, end, range->first);
    const auto behind = static_cast<size_t>(std::upper_bound(first, end, range->last) - timestamps);
    keep_up_to(static_cast<size_t>(first - timestamps));
    at = behind;
  }
  keep_up_to(run_end_);
  run_end_ = kept;
  return before - (run_end_ - run_begin_);
}

void InputReader::Consume(size_t count) {
  run_begin_ += count;
  if (run_begin_ == run_end_) state_ = State::kUnknown;
}

// The first range that does not end before `ts`.
InputReader::Dropped InputReader::DroppedFrom(int64_t ts) const {
  return std::partition_point(dropped_.begin(), dropped_.end(),
                              [&](const TimeRange& range) { return range.last < ts; });
}

// One range drops all of `range`. Several that do so together are found when it is decoded.
bool InputReader::IsDropped(TimeRange range) const {
  const Dropped at = DroppedFrom(range.first);
  return at != dropped_.end() && at->Contains(range);
}

bool InputReader::IsTouched(TimeRange range) const {
  const Dropped at = DroppedFrom(range.first);
  return at != dropped_.end() && at->Overlaps(range);
}

// The first timestamp from `ts` on that is not dropped, whether there is a sample or not.
std::optional<int64_t> InputReader::FirstKept(int64_t ts) const {
  for (Dropped at = DroppedFrom(ts); at != dropped_.end() && at->Contains(ts); ++at) {
    if (at->last == std::numeric_limits<int64_t>::max()) return std::nullopt;
    ts = at->last + 1;
  }
  return ts;
}

}  // namespace nexus::compaction
