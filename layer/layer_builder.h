// LayerBuilder: turns sorted series into the bytes of one layer file.
//
// A pure object: it neither reads nor writes files. The caller feeds series in label order and
// moves what TakeOutput() gives to the end of the file; a file without its last bytes (those after
// Finish) is not a layer and is refused by every reader.
// Memory: one open page of each kind (a label page up to 1 MiB before compression), one chunk of
// samples, the table of shared timestamp columns (at most 65,536 entries, 4 MiB), 16 bytes a series
// for the block list of ids, 32 bytes a page, and whatever output was not taken yet; 0.4 MiB more
// once a chunk was copied.
// Failure: InvalidArgument for input out of order, ResourceExhausted past 2^32 - 1 of anything;
// latched, and nothing useful can be made of the output then.
// Threading: one thread at a time; no suspension, no blocking. Costs 2-5 ns a sample.
// Format: docs/format/layer.md.

#ifndef NEXUS_LAYER_LAYER_BUILDER_H_
#define NEXUS_LAYER_LAYER_BUILDER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/status.h"
#include "base/types.h"
#include "layer/layer.h"

namespace nexus::layer {

struct EncodedChunk;

// The most samples of one chunk. A chunk is what a point read decodes: 8192 take about 6 us.
inline constexpr uint32_t kChunkSamplesMax = 8192;

struct BuilderOptions {
  // Samples after which a series starts its next chunk, 1..kChunkSamplesMax. Shorter chunks cost
  // 8-20 bytes of header each and make nothing faster; tests use them.
  uint32_t chunk_samples_max = kChunkSamplesMax;
  // Bytes at which a page is closed, 256..65536. A page may be larger if one chunk is.
  uint32_t page_bytes = 65536;
  // The layers this one was merged from, at most kLayerInputsMax.
  std::vector<LayerKey> inputs;
};

class LayerBuilder {
 public:
  explicit LayerBuilder(const LayerIdentity& identity, BuilderOptions options = {});
  ~LayerBuilder();
  LayerBuilder(const LayerBuilder&) = delete;
  LayerBuilder& operator=(const LayerBuilder&) = delete;

  // Adds one whole series: BeginSeries and AddSamples in one.
  Status AddSeries(std::string_view canonical_labels, SeriesId id, std::span<const int64_t> ts,
                   std::span<const double> values);

  // Starts a series. Series come in strictly ascending memcmp order of their canonical labels
  // (base/labels.h) and each has at least one sample; ids are unique within the layer (checked by
  // Finish) and not 0.
  Status BeginSeries(std::string_view canonical_labels, SeriesId id);
  // Appends samples to the series begun last: timestamps strictly ascending across all calls, any
  // double bits. Any count, also none.
  Status AddSamples(std::span<const int64_t> ts, std::span<const double> values);

  // Ends the column at hand of the series begun last, which has a value, and starts the next: each
  // series of a layer of columns has all of them. InvalidArgument if there are no more.
  Status BeginColumn();

  // Appends one chunk of exactly these samples, and ends the one that AddSamples has begun. Else as
  // AddSamples. REQUIRES: 1 <= ts.size() <= chunk_samples_max.
  Status AddChunk(std::span<const int64_t> ts, std::span<const double> values);

  // Appends a chunk of another layer as it is encoded there. `read_timestamps` gives its column
  // where this layer does not know yet that it has it: each column is read once, however many
  // chunks share it (of the columns seen last; kCopiedColumnsKnown). It writes chunk.header.count
  // timestamps that ascend strictly over chunk.range.
  Status CopyChunk(const EncodedChunk& chunk,
                   absl::FunctionRef<Status(int64_t* timestamps)> read_timestamps);

  // Gives out the bytes made since the last call, to be appended to the file: the file header or
  // whole pages. May be empty.
  std::string TakeOutput();
  // Bytes that TakeOutput would give.
  uint64_t pending_output_bytes() const;
  // Bytes of the file made so far, taken or not.
  uint64_t file_bytes() const;
  uint64_t samples() const;

  // Completes the layer; call TakeOutput once more afterwards. FailedPrecondition if no series was
  // added. Nothing may be added after it.
  StatusOr<LayerSummary> Finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_LAYER_BUILDER_H_
