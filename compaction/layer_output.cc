// One file after the other. See layer_output.h.

#include "compaction/layer_output.h"

#include <algorithm>

#include "base/check.h"

namespace nexus::compaction {

void LayerOutput::Begin(layer::LayerIdentity identity, layer::LayerKey key) {
  NEXUS_CHECK(builder_ == nullptr);
  identity.open_count = key.open_count;
  identity.sequence = key.sequence;
  builder_ = std::make_unique<layer::LayerBuilder>(identity, options_);
}

bool LayerOutput::IsFull() const {
  if (builder_ == nullptr) return false;
  return builder_->file_bytes() >= bytes_max_ || series_.size() >= kOutputSeriesMax;
}

bool LayerOutput::HasStepBytes() const {
  return builder_ != nullptr && builder_->pending_output_bytes() >= kStepBytes;
}

void LayerOutput::GiveBytes(MergeStep* step) {
  if (builder_ != nullptr) step->bytes = builder_->TakeOutput();
}

Status LayerOutput::Finish(MergeStep* step, MergeProgress* progress) {
  MergedLayer made;
  NEXUS_ASSIGN_OR_RETURN(made.summary, builder_->Finish());
  made.series = std::exchange(series_, {});
  std::sort(made.series.begin(), made.series.end());
  step->bytes = builder_->TakeOutput();
  step->finished = std::move(made);
  builder_.reset();
  ++progress->outputs;
  return OkStatus();
}

}  // namespace nexus::compaction
