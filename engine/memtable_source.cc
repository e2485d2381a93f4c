// Reading of memtables. See memtable_source.h.

#include "engine/memtable_source.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <vector>

namespace nexus::engine {
namespace {

// A gap ends a part if it is more than so many times the median interval ...
constexpr uint64_t kGapIntervals = 8;
// ... and more than this fraction of the run's time, which bounds the number of parts.
constexpr uint64_t kGapPartsMax = 64;
constexpr size_t kPartSamplesMax = 8192;
// Intervals that the median is taken of: enough for "8 times", few enough to cost nothing.
constexpr size_t kIntervalsProbed = 15;

uint64_t Distance(int64_t from, int64_t to) {
  return static_cast<uint64_t>(to) - static_cast<uint64_t>(from);
}

// The lower median of some intervals, evenly chosen. REQUIRES: at least two timestamps.
uint64_t TypicalInterval(std::span<const int64_t> timestamps) {
  const size_t intervals = timestamps.size() - 1;
  const size_t probes = std::min(intervals, kIntervalsProbed);
  std::array<uint64_t, kIntervalsProbed> probed;
  for (size_t i = 0; i < probes; i++) {
    size_t at = i * intervals / probes;
    probed[i] = Distance(timestamps[at], timestamps[at + 1]);
  }
  auto median = probed.begin() + static_cast<ptrdiff_t>((probes - 1) / 2);
  std::nth_element(probed.begin(), median, probed.begin() + static_cast<ptrdiff_t>(probes));
  return *median;
}

class MemtableSourceReader : public SourceReader {
 public:
  MemtableSourceReader(const Memtable* memtable, uint32_t limit)
      : memtable_(memtable), limit_(limit), has_deletes_(memtable->HasDeletes(limit)) {}

  Status Chunks(const SeriesName& series, TimeRange range, std::vector<ChunkRef>* chunks) override {
    timestamps_.clear();
    values_.clear();
    memtable_->Read(series.id, range, limit_, &timestamps_, &values_, DeletedOf(series));
    size_t begin = 0;
    for (size_t end : CutAtGaps(timestamps_)) {
      ChunkRef ref;
      ref.range = {timestamps_[begin], timestamps_[end - 1]};
      ref.count = end - begin;
      ref.place = begin;
      chunks->push_back(ref);
      begin = end;
    }
    return OkStatus();
  }

  StatusOr<SampleSpan> Read(const ChunkRef& chunk, TimeRange range, SampleBuffer*) override {
    return SampleSpan{timestamps_.data() + chunk.place, values_.data() + chunk.place, chunk.count}
        .Cut(range);
  }

  StatusOr<std::optional<Sample>> Latest(const SeriesName& series, TimeRange range) override {
    return memtable_->Latest(series.id, limit_, range, DeletedOf(series));
  }

  uint64_t held_bytes() const override {
    return timestamps_.capacity() * sizeof(int64_t) + values_.capacity() * sizeof(double);
  }

 private:
  std::vector<DeletedRows> DeletedOf(const SeriesName& series) const {
    if (!has_deletes_) return {};
    return memtable_->DeletedRowsOf(series.canonical, limit_);
  }

  const Memtable* const memtable_;
  const uint32_t limit_;
  const bool has_deletes_;
  // The series whose chunks were asked for last.
  std::vector<int64_t> timestamps_;
  std::vector<double> values_;
};

}  // namespace

std::vector<size_t> CutAtGaps(std::span<const int64_t> timestamps) {
  if (timestamps.empty()) return {};
  if (timestamps.size() == 1) return {1};
  const uint64_t span = Distance(timestamps.front(), timestamps.back());
  const uint64_t typical = TypicalInterval(timestamps);
  const uint64_t gap = std::max(typical > span / kGapIntervals ? span : typical * kGapIntervals,
                                span / kGapPartsMax);
  std::vector<size_t> ends;
  size_t begin = 0;
  for (size_t i = 1; i < timestamps.size(); i++) {
    if (Distance(timestamps[i - 1], timestamps[i]) <= gap && i - begin < kPartSamplesMax) continue;
    ends.push_back(i);
    begin = i;
  }
  ends.push_back(timestamps.size());
  return ends;
}

std::unique_ptr<SourceReader> MemtableSource::NewReader() const {
  return std::make_unique<MemtableSourceReader>(memtable_.get(), limit_);
}

}  // namespace nexus::engine
