// Which runs overlap, and what of them is joined. See merge.h.

#include "engine/merge.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace nexus::engine {
namespace {

// Samples that are joined before they are handed on: 128 KiB, within the second-level cache. More
// where so many runs overlap that this would be few of each: looking at all of them for a few
// samples takes longer than the joining.
constexpr size_t kMergedSamples = 8192;
constexpr size_t kMergedOfARunMin = 16;
// A stretch of one run from this length on is handed on where it lies. Shorter ones cost less to
// join (a few ns a sample) than to hand on by themselves (about 50 ns).
constexpr size_t kStretchInPlaceMin = 256;
// Samples of a run that are joined at a time: as many as a stretch, so that one that begins within
// a block is seen behind it.
constexpr size_t kJoinedOfARun = kStretchInPlaceMin;
// Among more runs than these long stretches of one are rare.
constexpr size_t kFewRuns = 16;

}  // namespace

SeriesReader::SeriesReader(std::vector<std::shared_ptr<const SampleSource>> sources,
                           TimeRange range, QueryGuard* guard, QueryStatistics* statistics)
    : range_(range), guard_(guard), statistics_(statistics) {
  for (std::shared_ptr<const SampleSource>& source : sources) {
    std::unique_ptr<SourceReader> reader = source->NewReader();
    sources_.push_back({std::move(source), std::move(reader)});
  }
}

SeriesReader::~SeriesReader() = default;

Status SeriesReader::Open(SeriesId series) {
  entries_.clear();
  next_entry_ = 0;
  runs_.clear();
  shown_buffers_.clear();
  free_buffers_.clear();
  for (size_t i = 0; i < buffers_.size(); i++) free_buffers_.push_back(i);

  NEXUS_RETURN_IF_ERROR(guard_->Check());
  size_t sources_with_chunks = 0;
  uint64_t bytes = 0;
  for (size_t i = 0; i < sources_.size(); i++) {
    scratch_.clear();
    NEXUS_RETURN_IF_ERROR(sources_[i].reader->Chunks(series, range_, &scratch_));
    bytes += sources_[i].reader->held_bytes();
    sources_with_chunks += !scratch_.empty();
    for (const ChunkRef& chunk : scratch_) entries_.push_back({chunk, static_cast<uint32_t>(i)});
  }
  bytes += entries_.size() * sizeof(Entry);
  if (bytes > series_reserved_bytes_) {
    NEXUS_RETURN_IF_ERROR(guard_->Reserve(bytes - series_reserved_bytes_, "chunks of a series"));
    series_reserved_bytes_ = bytes;
  }
  if (sources_with_chunks > 1) {
    std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
      return a.chunk.range.first < b.chunk.range.first;
    });
  }
  return OkStatus();
}

StatusOr<bool> SeriesReader::Next(const Buckets* buckets, Piece* piece) {
  free_buffers_.insert(free_buffers_.end(), shown_buffers_.begin(), shown_buffers_.end());
  shown_buffers_.clear();
  *piece = {};
  while (runs_.empty()) {
    if (next_entry_ == entries_.size()) return false;
    if (!StandsAlone(next_entry_)) break;
    const Entry& entry = entries_[next_entry_++];
    if (buckets != nullptr && entry.chunk.has_statistics && buckets->HoldInOne(entry.chunk.range)) {
      statistics_->chunks_by_statistics++;
      piece->chunk = &entry.chunk;
      return true;
    }
    size_t buffer = TakeBuffer();
    shown_buffers_.push_back(buffer);
    NEXUS_ASSIGN_OR_RETURN(piece->span, Read(entry, buffer));
    if (!piece->span.empty()) return true;
    free_buffers_.push_back(buffer);
    shown_buffers_.clear();
  }
  return NextMerged(piece);
}

// True if no later chunk begins before this one ends. With no run being merged, no earlier one
// reaches into it.
bool SeriesReader::StandsAlone(size_t entry) const {
  return entry + 1 == entries_.size() ||
         entries_[entry + 1].chunk.range.first > entries_[entry].chunk.range.last;
}

size_t SeriesReader::TakeBuffer() {
  if (free_buffers_.empty()) {
    buffers_.emplace_back();
    return buffers_.size() - 1;
  }
  size_t buffer = free_buffers_.back();
  free_buffers_.pop_back();
  return buffer;
}

StatusOr<SampleSpan> SeriesReader::Read(const Entry& entry, size_t buffer) {
  NEXUS_RETURN_IF_ERROR(guard_->Check());
  SampleBuffer& room = buffers_[buffer];
  if (entry.chunk.buffer_samples > room.capacity()) {
    uint64_t bytes = SampleBuffer::BytesFor(entry.chunk.buffer_samples) - room.bytes();
    NEXUS_RETURN_IF_ERROR(guard_->Reserve(bytes, "decoded samples"));
    room.Reserve(entry.chunk.buffer_samples);
  }
  statistics_->chunks_decoded++;
  return sources_[entry.source].reader->Read(entry.chunk, range_, &room);
}

// Reads the chunks that begin at or before the present place, so that no sample is passed by.
Status SeriesReader::Activate() {
  int64_t front = runs_.empty() ? 0 : runs_[FirstRun()].left.front();
  bool added = false;
  while (next_entry_ < entries_.size() &&
         (runs_.empty() || entries_[next_entry_].chunk.range.first <= front)) {
    const Entry& entry = entries_[next_entry_++];
    size_t buffer = TakeBuffer();
    NEXUS_ASSIGN_OR_RETURN(SampleSpan span, Read(entry, buffer));
    if (span.empty()) {
      free_buffers_.push_back(buffer);
      continue;
    }
    front = runs_.empty() ? span.front() : std::min(front, span.front());
    runs_.push_back({span, entry.source, buffer});
    added = true;
  }
  if (added) {
    std::sort(runs_.begin(), runs_.end(),
              [](const Run& a, const Run& b) { return a.source < b.source; });
  }
  return OkStatus();
}

// The run that begins first. REQUIRES: there are runs.
size_t SeriesReader::FirstRun() const {
  size_t first = 0;
  for (size_t i = 1; i < runs_.size(); i++) {
    if (runs_[i].left.front() < runs_[first].left.front()) first = i;
  }
  return first;
}

// How many samples of the first run come before everything else.
size_t SeriesReader::Stretch(size_t first) const {
  const SampleSpan& span = runs_[first].left;
  bool bounded = false;
  int64_t bound = std::numeric_limits<int64_t>::max();
  for (size_t i = 0; i < runs_.size(); i++) {
    if (i == first) continue;
    bound = std::min(bound, runs_[i].left.front());
    bounded = true;
  }
  if (next_entry_ < entries_.size()) {
    bound = std::min(bound, entries_[next_entry_].chunk.range.first);
    bounded = true;
  }
  return bounded ? span.CountBefore(bound) : span.count;
}

// Joins the next samples of all runs to merged_, behind the `used` ones, up to a bound that no
// unread chunk begins at or before. Returns how many there are now. REQUIRES: room for one of each
// run.
size_t SeriesReader::Join(size_t used) {
  const size_t share = std::min(kJoinedOfARun, (merged_.capacity() - used) / runs_.size());
  int64_t bound = std::numeric_limits<int64_t>::max();
  for (const Run& run : runs_) {
    // What is behind one that is taken whole is an unread chunk, so it need not be the bound. It is
    // where runs are few: then a stretch of another may begin behind it.
    if (run.left.count <= share && runs_.size() > kFewRuns) continue;
    bound = std::min(bound, run.left.timestamps[std::min(run.left.count, share) - 1]);
  }
  if (next_entry_ < entries_.size()) {
    // Some run begins before it, so it is not the least timestamp there is.
    bound = std::min(bound, entries_[next_entry_].chunk.range.first - 1);
  }
  joined_runs_.clear();
  for (Run& run : runs_) {
    const SampleSpan near = run.left.First(std::min(run.left.count, share));
    const int64_t* const end =
        std::upper_bound(near.timestamps, near.timestamps + near.count, bound);
    const auto count = static_cast<size_t>(end - near.timestamps);
    if (count == 0) continue;
    joined_runs_.push_back({near.timestamps, near.values, count});
    run.left = run.left.From(count);
  }
  used += merger_.Merge(joined_runs_, merged_.timestamps() + used, merged_.values() + used);
  std::erase_if(runs_, [this](const Run& run) {
    if (run.left.empty()) free_buffers_.push_back(run.buffer);
    return run.left.empty();
  });
  return used;
}

// Makes room in merged_ for at least `count` samples, and counts what joining them takes.
Status SeriesReader::ReserveMerged(size_t count) {
  if (count <= merged_.capacity()) return OkStatus();
  // A run has one row more than it has samples.
  const uint64_t bytes = SampleBuffer::BytesFor(count) - merged_.bytes() +
                         2 * (count - merged_.capacity()) * compaction::RunMerger::kBytesPerSample;
  NEXUS_RETURN_IF_ERROR(guard_->Reserve(bytes, "merged samples"));
  merged_.Reserve(count);
  return OkStatus();
}

StatusOr<bool> SeriesReader::NextMerged(Piece* piece) {
  size_t used = 0;
  for (;;) {
    // An unread chunk behind a finished group may stand alone: left to the next call.
    if (runs_.empty() && used > 0) break;
    NEXUS_RETURN_IF_ERROR(Activate());
    if (runs_.empty()) break;
    const size_t first = FirstRun();
    const size_t count = Stretch(first);
    if (count >= kStretchInPlaceMin) {
      if (used > 0) break;
      Run& run = runs_[first];
      piece->span = run.left.First(count);
      run.left = run.left.From(count);
      if (run.left.empty()) {
        shown_buffers_.push_back(run.buffer);
        runs_.erase(runs_.begin() + static_cast<int64_t>(first));
      }
      return true;
    }
    if (used == 0) {
      NEXUS_RETURN_IF_ERROR(
          ReserveMerged(std::max(kMergedSamples, kMergedOfARunMin * runs_.size())));
    }
    if (merged_.capacity() - used < runs_.size()) break;
    used = Join(used);
  }
  piece->span = {merged_.timestamps(), merged_.values(), used};
  return used > 0;
}

}  // namespace nexus::engine
