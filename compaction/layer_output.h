// LayerOutput: the file that one who makes layers step by step (LayerSteps) is writing.
//
// There is one at a time, or none between two. Threading: none.

#ifndef NEXUS_COMPACTION_LAYER_OUTPUT_H_
#define NEXUS_COMPACTION_LAYER_OUTPUT_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "compaction/layer_merge.h"
#include "layer/layer_builder.h"

namespace nexus::compaction {

class LayerOutput {
 public:
  // A file is full at `bytes_max` or kOutputSeriesMax series, whichever comes first.
  LayerOutput(layer::BuilderOptions options, uint64_t bytes_max)
      : options_(std::move(options)), bytes_max_(bytes_max) {}

  // The layer under construction; null: none.
  layer::LayerBuilder* builder() const { return builder_.get(); }
  // REQUIRES: none is.
  void Begin(layer::LayerIdentity identity, layer::LayerKey key);
  // A series of it, besides what the builder is told.
  void AddSeries(SeriesId id) { series_.push_back(id.value); }
  bool IsFull() const;
  // There is as much to be written as a step gives.
  bool HasStepBytes() const;
  // What is there to be written goes into the step.
  void GiveBytes(MergeStep* step);
  // Ends the file. The errors of LayerBuilder::Finish.
  Status Finish(MergeStep* step, MergeProgress* progress);

 private:
  const layer::BuilderOptions options_;
  const uint64_t bytes_max_;
  std::unique_ptr<layer::LayerBuilder> builder_;
  std::vector<uint64_t> series_;
};

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_LAYER_OUTPUT_H_
