// MemtableSource: a memtable as of an ordinal limit as a source of samples. See sample_source.h.
//
// A memtable keeps samples as they came, so a series is gathered and ordered once, when its chunks
// are asked for, and then shown in place. The chunks are cut at gaps in time: one sample that is a
// year late must not make everything since then look like overlap.

#ifndef NEXUS_ENGINE_MEMTABLE_SOURCE_H_
#define NEXUS_ENGINE_MEMTABLE_SOURCE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/memtable.h"
#include "engine/sample_source.h"

namespace nexus::engine {

class MemtableSource : public SampleSource {
 public:
  // `limit` is one that memtable->limit() has returned: the version's. The range is taken now; it
  // may cover more than what the limit shows.
  MemtableSource(std::shared_ptr<const Memtable> memtable, uint32_t limit)
      : memtable_(std::move(memtable)), limit_(limit), range_(memtable_->range()) {}

  Kind kind() const override { return Kind::kMemtable; }
  TimeRange range() const override { return range_; }
  bool asks_labels() const override { return memtable_->HasDeletes(limit_); }
  std::unique_ptr<SourceReader> NewReader() const override;

 private:
  const std::shared_ptr<const Memtable> memtable_;
  const uint32_t limit_;
  const TimeRange range_;
};

// Ends of the parts that a run of samples in ascending time is cut into: behind every gap that is
// many times the usual one and a good part of the whole, and after at most 8192 samples. For n
// samples at most 64 + n / 8192 parts. Public for its test.
std::vector<size_t> CutAtGaps(std::span<const int64_t> timestamps);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_MEMTABLE_SOURCE_H_
