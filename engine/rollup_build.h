// RollupBuild: makes the rollups of one window from its samples and the run that it replaces, a
// bounded step at a time, as compaction::LayerMerge makes layers from layers.
//
// Of each series, in label order: the buckets of the window that are stale are computed from
// samples, read as a query reads them - deletes carried out, of equal timestamps the later write.
// The others are taken from the old run. A bucket that begins before `complete_from` is never
// computed, since samples of it may be gone (DESIGN section 8): it is taken from the old run, less
// what deletes cover whole, or there is none.
// Memory: the readers of the inputs' pages and labels - of one window, kMergeInputsMax layers and a
// run at most -, one series' window as columns, the layer under construction as in layer_merge.cc.
// Failure: DataLoss names the input's file, page and offset; errors of opening and reading. Nothing
// of what was given out before an error may be published.
// Threading: one thread at a time, not a loop: it blocks on reading.

#ifndef NEXUS_ENGINE_ROLLUP_BUILD_H_
#define NEXUS_ENGINE_ROLLUP_BUILD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "compaction/layer_merge.h"
#include "compaction/layer_output.h"
#include "compaction/rollup_bucket.h"
#include "engine/layer_file.h"
#include "engine/merge.h"
#include "engine/query_guard.h"
#include "engine/rollup_reader.h"
#include "engine/sample_source.h"
#include "engine/tombstone.h"
#include "layer/layer_builder.h"
#include "layer/layer_reader.h"

namespace nexus::engine {

struct RollupJob {
  struct Input {
    LayerFilePtr file;
    std::shared_ptr<const SampleSource> source;  // the layer as queries of the branch see it
    uint64_t samples = 0;
  };
  std::vector<Input> inputs;  // in write order
  RollupView old;             // the run that is replaced, with the deletes of the branch
  TimeRange window;
  TimeRange stale;  // whole buckets of the window
  // Of the outputs, but for their keys; its resolution is that of the buckets.
  layer::LayerIdentity identity;
  uint64_t output_bytes_max = compaction::kOutputBytesDefault;
  layer::BuilderOptions builder;  // `inputs` is filled in
};

class RollupBuild final : public compaction::LayerSteps {
 public:
  // Opens nothing.
  explicit RollupBuild(RollupJob job);
  ~RollupBuild() override;

  StatusOr<compaction::MergeStep> Step(layer::LayerKey next_key) override;
  const compaction::MergeProgress& progress() const override { return progress_; }

 private:
  // The series of one input, in label order.
  struct Walk {
    std::unique_ptr<layer::SeriesCursor> cursor;
    bool ended = false;
  };

  // Before the first step.
  Status OpenInputs();
  Status Run(layer::LayerKey next_key, compaction::MergeStep* step);
  StatusOr<bool> FindSeries();
  Status AdvanceWalks();
  Status Fold();
  Status TakeOld(TimeRange starts);
  Status Compute(TimeRange range);

  RollupJob job_;
  compaction::MergeProgress progress_;
  Status status_;
  std::vector<Walk> walks_;
  bool open_ = false;     // walks_ are
  bool started_ = false;  // a series is at hand, or was
  bool done_ = false;

  // The series at hand.
  std::string labels_;
  SeriesId id_;
  compaction::RollupColumns columns_;

  QueryGuard guard_;
  QueryStatistics statistics_;
  SeriesReader samples_;
  RollupColumnReader column_reader_;
  compaction::RollupColumns old_;

  compaction::LayerOutput output_;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_ROLLUP_BUILD_H_
