// SeriesMerge: joins one series of several inputs within one window, and cuts it into chunks.
//
// A chunk that stands alone - no other input has samples between its ends - is copied as it is, or
// decoded if it is small, cut by window or filter, or follows samples that are too few for a chunk.
// Chunks that overlap are decoded and joined in blocks that stay in the second-level cache: up to a
// bound before which every input's samples are at hand, and not more than kBlockSamples of them.
// Decoded samples are collected to chunks: of full length while there are two or more, and what is
// left at the end, or in front of a copied chunk, in two halves if it is more than one. So all
// chunks of a series but the last have at least `chunk_samples_good` samples.
// Memory: 0.5 MiB of collected samples, and 0.5 MiB of rows. Failure: as InputReader and
// LayerBuilder. Threading: one thread at a time.

#ifndef NEXUS_COMPACTION_SERIES_MERGE_H_
#define NEXUS_COMPACTION_SERIES_MERGE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "compaction/input_reader.h"
#include "compaction/layer_merge.h"
#include "compaction/merge_job.h"
#include "compaction/run_merge.h"
#include "layer/layer_builder.h"

namespace nexus::compaction {

// Samples joined at a time: rows of 16 bytes in two buffers are 512 KiB.
inline constexpr size_t kBlockSamples = 16384;
static_assert(kBlockSamples >= kMergeInputsMax);

// Where a series goes.
class SeriesSink {
 public:
  virtual ~SeriesSink() = default;
  // The layer under construction, with the series begun. Asked for before each chunk, so that a
  // series of which nothing is left never begins.
  virtual StatusOr<layer::LayerBuilder*> Builder() = 0;
};

class SeriesMerge {
 public:
  SeriesMerge(const MergeJob& job, SeriesSink* sink, MergeProgress* progress);

  // Starts on the series that all of `inputs` stand at; they are in write order.
  void Begin(std::span<InputReader* const> inputs);
  // Copies a chunk or joins a block. False when the series is done.
  StatusOr<bool> Step(WindowWalk* walk);

 private:
  Status FindHeads(WindowWalk* walk);
  InputReader* LoneHead() const;
  Status TakeHead(InputReader* input, WindowWalk* walk);
  StatusOr<bool> DecodeHeads(WindowWalk* walk);
  void JoinBlock();
  Status AddFullChunks();
  Status Flush();
  Status AddChunk(size_t count);
  void MakeRoom(size_t count);
  void Count(InputReader::Counts* counts);

  const uint32_t chunk_samples_max_;
  const uint32_t chunk_samples_good_;
  SeriesSink* const sink_;
  MergeProgress* const progress_;

  std::vector<InputReader*> inputs_;  // those not at their end
  std::vector<SampleRun> runs_;
  std::vector<size_t> taken_;
  RunMerger merger_;
  std::unique_ptr<uint64_t[]> scratch_;

  // Samples for the next chunks: those from begin_ on.
  const size_t capacity_;
  std::unique_ptr<int64_t[]> timestamps_;
  std::unique_ptr<double[]> values_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_SERIES_MERGE_H_
