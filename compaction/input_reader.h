// InputReader: one input of a merge, as the merge of a series and window sees it.
//
// Walks the series of its layer in label order. Of each it gives those chunks that may have samples
// in the window which its filter lets pass: as a head - known by its header, read on demand - or
// decoded, as a run.
// Memory: what layer::LayerScan holds, and one decoded chunk (128 KiB). Failure: as LayerScan.
// Threading: one thread at a time; blocks on reading.

#ifndef NEXUS_COMPACTION_INPUT_READER_H_
#define NEXUS_COMPACTION_INPUT_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "compaction/merge_job.h"
#include "compaction/run_merge.h"
#include "layer/layer_builder.h"
#include "layer/layer_scan.h"

namespace nexus::compaction {

// The window at hand, and the first sample behind it that was seen.
struct WindowWalk {
  TimeRange window;
  std::optional<int64_t> next;

  void Saw(int64_t ts) {
    if (!next.has_value() || ts < *next) next = ts;
  }
};

class InputReader {
 public:
  // Samples that were passed by.
  struct Counts {
    uint64_t filtered = 0;
  };

  InputReader(const MergeInput& input, uint64_t label_bytes_max)
      : filter_(input.filter), scan_(input.layer, label_bytes_max) {}

  const layer::LayerReader& layer() const { return scan_.layer(); }

  void Restart() { scan_.Restart(); }
  // At the end, frees what it holds.
  StatusOr<bool> NextSeries();
  std::string_view labels() const { return scan_.labels(); }
  SeriesId id() const { return scan_.id(); }

  // What of the present series comes next.
  enum class State : uint8_t {
    kUnknown,  // Advance() finds out
    kHead,     // a chunk, not decoded
    kRun,      // samples
    kEnd,
  };
  State state() const { return state_; }

  // Starts on the chunks of the present series.
  void BeginSeries();
  // Goes to the next chunk of which something may remain: kHead or kEnd. REQUIRES: kUnknown.
  Status Advance(WindowWalk* walk, Counts* counts);

  // REQUIRES: kHead, for all of these.
  const layer::LayerScan::Chunk& head() const { return scan_.chunk(); }
  // Every sample of the head is of the window and none is dropped.
  bool HeadIsWhole(const WindowWalk& walk) const;
  // Decodes the head to kRun; to kUnknown if nothing of it remains.
  Status Decode(uint64_t* scratch, WindowWalk* walk, Counts* counts);
  // Decodes a whole head to the columns given; kUnknown afterwards.
  Status DecodeWhole(uint64_t* scratch, int64_t* timestamps, double* values);
  // Copies a whole head as it is encoded; kUnknown afterwards.
  Status Copy(layer::LayerBuilder* into);

  // What is left of the samples decoded last. REQUIRES: kRun.
  SampleRun run() const {
    return {timestamps_.get() + run_begin_, values_.get() + run_begin_, run_end_ - run_begin_};
  }
  // Passes by samples of the run; kUnknown behind the last.
  void Consume(size_t count);

 private:
  using Dropped = std::vector<TimeRange>::const_iterator;
  Dropped DroppedFrom(int64_t ts) const;
  bool IsDropped(TimeRange range) const;
  bool IsTouched(TimeRange range) const;
  std::optional<int64_t> FirstKept(int64_t ts) const;
  size_t RemoveDropped();

  const std::shared_ptr<const SampleFilter> filter_;
  layer::LayerScan scan_;

  std::vector<TimeRange> dropped_;  // of the present series
  State state_ = State::kEnd;
  size_t capacity_ = 0;
  std::unique_ptr<int64_t[]> timestamps_;
  std::unique_ptr<double[]> values_;
  size_t run_begin_ = 0;
  size_t run_end_ = 0;
};

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_INPUT_READER_H_
