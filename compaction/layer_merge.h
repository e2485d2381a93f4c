// LayerMerge: joins layers into layers, a bounded step at a time.
//
// A pure object but for reading its inputs: it gives out the bytes of the outputs, one output after
// the other, and the caller writes them.
//   for (;;) {
//     StatusOr<MergeStep> step = merge->Step(next_key);
//     if (!step.ok()) ...                       // drop all outputs
//     if (step->key_taken) next_key = another;  // step->bytes begin a file of that key
//     append step->bytes to the file of step->output
//     if (step->finished) that file is whole
//     if (step->done) break;
//   }
//
// What it promises: of each series and timestamp the outputs hold the sample of the latest input
// that has it and whose filter lets it pass, bit for bit, and nothing else. A series, window or job
// of which nothing is left makes no entry, no output. An output lies in one window.
//
// A chunk that overlaps no other sample, lies within the window, is not touched by a filter and is
// not small is copied as it is encoded (its page's checksum is checked, its values are not decoded;
// VerifyOutput decodes them all). Small neighbours are encoded anew together: all chunks of a
// series in an output but the last have at least MergeJob::chunk_samples_good samples.
//
// Windows: one walk over the inputs' series for each window that has samples. Chunks outside are
// passed by without decoding.
//
// Memory: at most kMergeMemoryMax, whatever the inputs' sizes; see layer_merge.cc. Not counted are
// the readers' footers, which their owner holds.
// Failure: DataLoss names the input's file, page and offset; errors of reading; InvalidArgument
// from Create for a job that contradicts itself. The first error is given again by every later
// step. Nothing of what was given out before an error may be published.
// Threading: one thread at a time, not a loop: it blocks on reading.

#ifndef NEXUS_COMPACTION_LAYER_MERGE_H_
#define NEXUS_COMPACTION_LAYER_MERGE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "compaction/merge_job.h"
#include "layer/layer.h"

namespace nexus::compaction {

// Heap that a job takes at most.
inline constexpr uint64_t kMergeMemoryMax = 64 << 20;
// A step ends when it has made this many bytes, or has done this much work: samples, and for each
// series and chunk, whatever its length, what takes as long as kSamplesPerCall of them. About 10
// ms.
inline constexpr uint64_t kStepBytes = 1 << 20;
inline constexpr uint64_t kStepWork = 1 << 20;
inline constexpr uint64_t kSamplesPerCall = 64;

// An output that is whole.
struct MergedLayer {
  layer::LayerSummary summary;
  // Ids of its series, ascending: as catalog::SeriesSet::AddSorted takes them.
  std::vector<uint64_t> series;
};

struct MergeStep {
  // Which output `bytes` belong to, counted from 0; they follow those of the steps before. May be
  // empty.
  uint32_t output = 0;
  std::string bytes;
  // `bytes` begin the file of output `output`, whose key is the `next_key` of this step.
  bool key_taken = false;
  // `bytes` end it.
  std::optional<MergedLayer> finished;
  // There is nothing more.
  bool done = false;
};

// Work so far. All of it counts what was seen in all windows.
struct MergeProgress {
  uint64_t samples_total = 0;       // of all inputs
  uint64_t samples_done = 0;        // copied, merged or dropped; samples_total in the end
  uint64_t samples_written = 0;     // to outputs
  uint64_t samples_filtered = 0;    // dropped by a filter
  uint64_t samples_superseded = 0;  // a later input has the same timestamp
  uint64_t chunks_copied = 0;
  uint64_t chunks_decoded = 0;  // one that reaches over windows counts in each
  uint64_t bytes_written = 0;
  uint32_t outputs = 0;  // finished
};

// What makes layers step by step, as told above: a merge, or a maker of rollups.
class LayerSteps {
 public:
  virtual ~LayerSteps() = default;

  // Does the next piece of the work. `next_key` names the next output, if one begins in this step;
  // it is not used otherwise. REQUIRES: no step before was done.
  virtual StatusOr<MergeStep> Step(layer::LayerKey next_key) = 0;
  virtual const MergeProgress& progress() const = 0;
};

class LayerMerge final : public LayerSteps {
 public:
  // InvalidArgument: no inputs or more than kMergeInputsMax, inputs of another database, tenant or
  // identity seed, a negative window, sizes out of range. Reads nothing.
  static StatusOr<std::unique_ptr<LayerMerge>> Create(MergeJob job);
  ~LayerMerge() override;
  LayerMerge(const LayerMerge&) = delete;
  LayerMerge& operator=(const LayerMerge&) = delete;

  StatusOr<MergeStep> Step(layer::LayerKey next_key) override;
  const MergeProgress& progress() const override;

 private:
  class Impl;
  explicit LayerMerge(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// An output in memory.
struct MergedFile {
  std::string bytes;
  MergedLayer layer;
};

// The whole job in one go, for tests and benchmarks. Outputs have the sequences from `first_key`
// on.
StatusOr<std::vector<MergedFile>> MergeLayers(MergeJob job, layer::LayerKey first_key,
                                              MergeProgress* progress = nullptr);

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_LAYER_MERGE_H_
