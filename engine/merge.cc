// The k-way merge of overlapping runs. See merge.h.

#include "engine/merge.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/planted.h"

namespace nexus::engine {
namespace {

// Merged samples that are copied together before they are handed on: 128 KiB, within the
// second-level cache.
constexpr size_t kMergedSamplesMax = 8192;
// A stretch of one run from this length on is handed on where it lies. Shorter ones cost less to
// copy (about 0.3 ns a sample) than to hand on by themselves (about 50 ns).
constexpr size_t kStretchInPlaceMin = 256;
// Samples that a mix of two runs is merged at a time: as many as a stretch, so that one that begins
// within a block is seen behind it.
constexpr size_t kMergeBlock = kStretchInPlaceMin;

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

void SeriesReader::DropLayers() {
  std::erase_if(sources_, [](const Source& source) {
    return source.source->kind() == SampleSource::Kind::kLayer;
  });
}

Status SeriesReader::Open(const SeriesName& series, TimeRange range) {
  part_ = range;
  entries_.clear();
  next_entry_ = 0;
  runs_.clear();
  free_runs_.clear();
  heads_.clear();
  merged_any_ = false;
  shown_buffers_.clear();
  free_buffers_.clear();
  for (size_t i = 0; i < buffers_.size(); i++) free_buffers_.push_back(i);

  NEXUS_RETURN_IF_ERROR(guard_->Check());
  size_t sources_with_chunks = 0;
  uint64_t bytes = 0;
  for (size_t i = 0; i < sources_.size(); i++) {
    scratch_.clear();
    NEXUS_RETURN_IF_ERROR(sources_[i].reader->Chunks(series, part_, &scratch_));
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
  while (heads_.empty()) {
    merged_any_ = false;
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
  return sources_[entry.source].reader->Read(entry.chunk, part_, &room);
}

// Reads the chunks that begin at or before the present place, so that no sample is passed by.
Status SeriesReader::Activate() {
  while (next_entry_ < entries_.size() &&
         (heads_.empty() || entries_[next_entry_].chunk.range.first <= heads_.front().timestamp)) {
    const Entry& entry = entries_[next_entry_++];
    size_t buffer = TakeBuffer();
    NEXUS_ASSIGN_OR_RETURN(SampleSpan span, Read(entry, buffer));
    if (span.empty()) {
      free_buffers_.push_back(buffer);
      continue;
    }
    if (free_runs_.empty()) {
      free_runs_.push_back(static_cast<uint32_t>(runs_.size()));
      runs_.emplace_back();
    }
    uint32_t run = free_runs_.back();
    free_runs_.pop_back();
    runs_[run] = {span, entry.source, buffer};
    heads_.push_back({span.front(), entry.source, run});
    std::push_heap(heads_.begin(), heads_.end(),
                   [](const Head& a, const Head& b) { return Before(b, a); });
  }
  return OkStatus();
}

// Earlier time first; of equal times the one that wins first.
bool SeriesReader::Before(const Head& a, const Head& b) {
  if (a.timestamp != b.timestamp) return a.timestamp < b.timestamp;
  return a.source > b.source;
}

void SeriesReader::SiftDown() {
  const Head sifted = heads_.front();
  size_t at = 0;
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= heads_.size()) break;
    if (child + 1 < heads_.size() && Before(heads_[child + 1], heads_[child])) child++;
    if (!Before(heads_[child], sifted)) break;
    heads_[at] = heads_[child];
    at = child;
  }
  heads_[at] = sifted;
}

// How many samples of the first run come before everything else, at least one.
size_t SeriesReader::Stretch() const {
  const SampleSpan& first = runs_[heads_.front().run].left;
  bool bounded = false;
  int64_t bound = std::numeric_limits<int64_t>::max();
  for (size_t child = 1; child <= 2 && child < heads_.size(); child++) {
    bound = std::min(bound, heads_[child].timestamp);
    bounded = true;
  }
  if (next_entry_ < entries_.size()) {
    bound = std::min(bound, entries_[next_entry_].chunk.range.first);
    bounded = true;
  }
  if (!bounded) return first.count;
  if (first.count == 1 || first.timestamps[1] >= bound) return 1;
  return first.CountBefore(bound);
}

// Passes by `count` samples of the first run. If that ends it, its buffer goes to `done`.
void SeriesReader::Advance(size_t count, std::vector<size_t>* done) {
  Head& head = heads_.front();
  SampleSpan& left = runs_[head.run].left;
  left = left.From(count);
  if (!left.empty()) {
    head.timestamp = left.front();
  } else {
    done->push_back(runs_[head.run].buffer);
    free_runs_.push_back(head.run);
    head = heads_.back();
    heads_.pop_back();
    if (heads_.empty()) return;
  }
  SiftDown();
}

// The case that matters most, a fine mix of two runs: appends up to kMergeBlock samples to merged_
// behind the `used` ones, without a branch that depends on the data. Returns how many; 0 where a
// stretch of one run can be handed on in place, or one run must wait for a chunk not yet read.
size_t SeriesReader::MergeTwo(size_t used) {
  Run& older = runs_[heads_[heads_[0].source < heads_[1].source ? 0 : 1].run];
  Run& newer = runs_[heads_[heads_[0].source < heads_[1].source ? 1 : 0].run];
  SampleSpan a = older.left.First(std::min(older.left.count, kMergeBlock));
  SampleSpan b = newer.left.First(std::min(newer.left.count, kMergeBlock));
  if (next_entry_ < entries_.size()) {
    // Samples of the newer run are taken only up to those of the older: one cut is enough.
    int64_t bound = entries_[next_entry_].chunk.range.first;
    if (a.back() >= bound) a = a.First(a.CountBefore(bound));
  }
  if (a.empty() || a.back() < b.front() || b.back() < a.front()) return 0;

  const size_t room = std::min(kMergeBlock, kMergedSamplesMax - used);
  int64_t* timestamps = merged_.timestamps() + used;
  double* values = merged_.values() + used;
  size_t at_a = 0;
  size_t at_b = 0;
  size_t count = 0;
  while (at_a < a.count && at_b < b.count && count < room) {
    int64_t time_a = a.timestamps[at_a];
    int64_t time_b = b.timestamps[at_b];
    bool take_b = time_b <= time_a;  // of equal times the newer wins
    if (NEXUS_PLANTED("older-wins")) take_b = time_b < time_a;
    timestamps[count] = take_b ? time_b : time_a;
    values[count] = take_b ? b.values[at_b] : a.values[at_a];
    at_a += time_a <= time_b;
    at_b += take_b;
    count++;
  }
  last_merged_ = timestamps[count - 1];
  merged_any_ = true;
  older.left = older.left.From(at_a);
  newer.left = newer.left.From(at_b);
  ReplaceTwoHeads();
  return count;
}

// Makes the heap anew from the two runs it has, of which one may be finished.
void SeriesReader::ReplaceTwoHeads() {
  std::array<Head, 2> heads = {heads_[0], heads_[1]};
  heads_.clear();
  for (Head& head : heads) {
    const Run& run = runs_[head.run];
    if (run.left.empty()) {
      free_buffers_.push_back(run.buffer);
      free_runs_.push_back(head.run);
      continue;
    }
    head.timestamp = run.left.front();
    heads_.push_back(head);
  }
  if (heads_.size() == 2 && Before(heads_[1], heads_[0])) std::swap(heads_[0], heads_[1]);
}

StatusOr<bool> SeriesReader::NextMerged(Piece* piece) {
  if (merged_.capacity() == 0) {
    NEXUS_RETURN_IF_ERROR(
        guard_->Reserve(SampleBuffer::BytesFor(kMergedSamplesMax), "merged samples"));
    merged_.Reserve(kMergedSamplesMax);
  }
  size_t used = 0;
  while (used < kMergedSamplesMax) {
    // An unread chunk behind a finished group may stand alone: left to the next call.
    if (heads_.empty() && used > 0) break;
    NEXUS_RETURN_IF_ERROR(Activate());
    if (heads_.empty()) break;
    if (merged_any_ && heads_.front().timestamp == last_merged_) {
      Advance(1, &free_buffers_);
      continue;
    }
    if (heads_.size() == 2) {
      size_t count = MergeTwo(used);
      used += count;
      if (count > 0) continue;
    }
    const SampleSpan first = runs_[heads_.front().run].left;
    size_t count = Stretch();
    if (count >= kStretchInPlaceMin) {
      if (used > 0) break;
      piece->span = first.First(count);
      last_merged_ = piece->span.back();
      merged_any_ = true;
      Advance(count, &shown_buffers_);
      return true;
    }
    count = std::min(count, kMergedSamplesMax - used);
    for (size_t i = 0; i < count; i++) {
      merged_.timestamps()[used + i] = first.timestamps[i];
      merged_.values()[used + i] = first.values[i];
    }
    used += count;
    last_merged_ = merged_.timestamps()[used - 1];
    merged_any_ = true;
    Advance(count, &free_buffers_);
  }
  piece->span = {merged_.timestamps(), merged_.values(), used};
  return used > 0;
}

}  // namespace nexus::engine
