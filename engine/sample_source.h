// SampleSource: a place that holds samples of series - a layer or a memtable cut at an ordinal - as
// the query half sees it.
//
// A source is immutable: what it answers never changes while a query holds it. For each series it
// lists its chunks: runs in strictly ascending time that do not overlap within one source. Sources
// of a version stand in write order; of two samples of one series and timestamp the one of the
// later source wins (DESIGN section 7), so overlap between sources is what merging is about.
//
// Failure: DataLoss names file and offset. Threading: a SampleSource may be shared by any number of
// threads, a SourceReader belongs to one; reads of layers block on the disk.

#ifndef NEXUS_ENGINE_SAMPLE_SOURCE_H_
#define NEXUS_ENGINE_SAMPLE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "engine/query.h"
#include "layer/statistics.h"

namespace nexus::engine {

// A series as a source is asked for it.
struct SeriesName {
  SeriesId id;
  // Its labels in canonical form, by which deletes choose it. May be empty where no source
  // asks_labels().
  std::string_view canonical;
};

// A run of samples of one series in one source: `count` of them, the first at range.first, the last
// at range.last.
struct ChunkRef {
  TimeRange range;
  uint64_t count = 0;
  bool has_statistics = false;
  layer::Statistics statistics;
  // Samples of room that Read needs in its buffer; 0 if the source shows them in place.
  uint64_t buffer_samples = 0;
  // The source's own: where the chunk is.
  uint64_t place = 0;
};

// Samples in strictly ascending time.
struct SampleSpan {
  const int64_t* timestamps = nullptr;
  const double* values = nullptr;
  size_t count = 0;

  bool empty() const { return count == 0; }
  SampleSpan First(size_t n) const { return {timestamps, values, n}; }
  SampleSpan From(size_t n) const { return {timestamps + n, values + n, count - n}; }
  int64_t front() const { return timestamps[0]; }
  int64_t back() const { return timestamps[count - 1]; }
  // The samples within `range`.
  SampleSpan Cut(TimeRange range) const;
  // How many samples stand before `bound`, found by doubling steps: cheap if they are few.
  size_t CountBefore(int64_t bound) const;
};

// Columns to decode into. Grows, never shrinks and is never cleared: a vector would write each
// sample's place twice.
class SampleBuffer {
 public:
  // Makes room for `count` samples. What was there is lost if it has to grow.
  void Reserve(size_t count) {
    if (count <= capacity_) return;
    timestamps_ = std::make_unique_for_overwrite<int64_t[]>(count);
    values_ = std::make_unique_for_overwrite<double[]>(count);
    capacity_ = count;
  }
  int64_t* timestamps() { return timestamps_.get(); }
  double* values() { return values_.get(); }
  size_t capacity() const { return capacity_; }
  static constexpr uint64_t BytesFor(uint64_t count) {
    return count * (sizeof(int64_t) + sizeof(double));
  }
  uint64_t bytes() const { return BytesFor(capacity_); }

 private:
  std::unique_ptr<int64_t[]> timestamps_;
  std::unique_ptr<double[]> values_;
  size_t capacity_ = 0;
};

// One query's way through a source: may keep the page at hand.
class SourceReader {
 public:
  virtual ~SourceReader() = default;

  // Appends the chunks of a series that may hold samples within `range`, in ascending time. A
  // chunk that reaches beyond the range is given whole.
  virtual Status Chunks(const SeriesName& series, TimeRange range,
                        std::vector<ChunkRef>* chunks) = 0;

  // The samples of a chunk that lie within `range`, maybe none. They lie in `buffer` or in the
  // source itself: valid until `buffer` is next used and while the source lives.
  // REQUIRES: `buffer` has room for chunk.buffer_samples.
  virtual StatusOr<SampleSpan> Read(const ChunkRef& chunk, TimeRange range,
                                    SampleBuffer* buffer) = 0;

  // The newest sample of a series within `range`. The default looks at the last chunk.
  virtual StatusOr<std::optional<Sample>> Latest(const SeriesName& series, TimeRange range);

  // Memory that the reader keeps for the series whose chunks it was asked for last, unless that is
  // bounded by a constant.
  virtual uint64_t held_bytes() const { return 0; }
};

class SampleSource {
 public:
  enum class Kind : uint8_t { kLayer, kMemtable };

  virtual ~SampleSource() = default;
  virtual Kind kind() const = 0;
  // Covers all its samples; empty if there are none. Queries skip sources outside their range.
  virtual TimeRange range() const = 0;
  // The write order below which all it holds was written: what a rollup knows up to there, it
  // knows. The default is for what rollups never know.
  virtual WriteOrder end() const {
    return {std::numeric_limits<uint32_t>::max(), Lsn{std::numeric_limits<uint64_t>::max()}};
  }
  // Whether some of its samples are deleted by selectors.
  virtual bool asks_labels() const { return false; }
  // The reader refers to this source, which must outlive it.
  virtual std::unique_ptr<SourceReader> NewReader() const = 0;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_SAMPLE_SOURCE_H_
