// MergeJob: what a compaction joins, and how its outputs are cut.
//
// Inputs stand in write order: of two samples of one series and timestamp that no filter drops, the
// one of the later input is kept. Outputs are cut at windows of sample time, and by size between
// two series; the outputs of one window follow each other in label order.
// Threading: values.

#ifndef NEXUS_COMPACTION_MERGE_JOB_H_
#define NEXUS_COMPACTION_MERGE_JOB_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "base/types.h"
#include "compaction/sample_filter.h"
#include "layer/layer_builder.h"
#include "layer/layer_reader.h"

namespace nexus::compaction {

// Inputs of one job. Each costs up to 650 KiB while it is read (layer_merge.h has the arithmetic);
// more of them are joined by several jobs.
inline constexpr size_t kMergeInputsMax = 64;

// Series of one output: it begins another one where it has as many. 24 bytes each are held until
// the output is finished.
inline constexpr uint64_t kOutputSeriesMax = 128 << 10;

// Chunks from this length on are worth copying as they are: longer ones would save less than 3 % of
// their bytes (CODECS.md).
inline constexpr uint32_t kChunkSamplesGood = 1440;

inline constexpr uint64_t kOutputBytesDefault = 1 << 30;

struct MergeInput {
  std::shared_ptr<const layer::LayerReader> layer;
  std::shared_ptr<const SampleFilter> filter;  // null: nothing is dropped
};

// Where samples of a stretch of time go.
struct OutputPlace {
  TimeRange window;    // those that go to the same outputs
  uint32_t level = 0;  // of these outputs
  WriteOrder order_low;
  WriteOrder order_high;
};

struct MergeJob {
  // In write order, oldest first, 1..kMergeInputsMax. All of one database, tenant and identity
  // seed.
  std::vector<MergeInput> inputs;

  // Width of the time windows that outputs are cut at, by floor division of the timestamp: a window
  // is [k * w, (k + 1) * w - 1] for any integer k, negative ones too. 0: no cut.
  int64_t window_ns = 0;
  // If set, in place of `window_ns` and `level`, and of the hull of all inputs' orders: the place
  // of the samples at `ts`. Windows do not overlap, and each timestamp in a window gets this
  // window.
  std::function<OutputPlace(int64_t ts)> place;
  // An output that has this many bytes ends with the series at hand. An output is larger by at most
  // that series.
  uint64_t output_bytes_max = kOutputBytesDefault;

  // Whose the outputs are. A branch may compact layers that it inherited, so theirs may differ.
  DatabaseId database;
  TenantId tenant;
  BranchId branch;
  uint64_t identity_seed = 0;
  uint32_t level = 0;
  // Every delete of the branch below it is in the inputs' filters, where it concerns them.
  Lsn deletes_applied;

  // Sizes of chunks and pages; `inputs` is filled in by the merge.
  layer::BuilderOptions builder;
  // Chunks of fewer samples are encoded anew together with their neighbours. At most half of
  // builder.chunk_samples_max, rounded up, so that two halves of what is too long for one chunk are
  // long enough.
  uint32_t chunk_samples_good = kChunkSamplesGood;
};

// The window that a timestamp lies in: windows of `window_ns` from the epoch, cut off at the ends
// of int64. 0 gives all of time. REQUIRES: window_ns >= 0.
constexpr TimeRange WindowOf(int64_t ts, int64_t window_ns) {
  if (window_ns == 0) return {};
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  int64_t into = ts % window_ns;
  if (into < 0) into += window_ns;
  TimeRange window;
  if (__builtin_sub_overflow(ts, into, &window.first)) window.first = kMin;
  // Counted from the timestamp, not from the first: that may have been cut off.
  if (__builtin_add_overflow(ts, window_ns - 1 - into, &window.last)) window.last = kMax;
  return window;
}

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_MERGE_JOB_H_
