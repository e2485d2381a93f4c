// Reading of layers. See layer_source.h.

#include "engine/layer_source.h"

#include <optional>
#include <vector>

namespace nexus::engine {
namespace {

using layer::ChunkInfo;

class LayerSourceReader : public SourceReader {
 public:
  explicit LayerSourceReader(const layer::LayerReader* layer) : layer_(layer) {}

  Status Chunks(const SeriesName& series, TimeRange range, std::vector<ChunkRef>* chunks) override {
    NEXUS_ASSIGN_OR_RETURN(std::optional<uint32_t> found, layer_->FindSeries(series.id, &context_));
    if (!found) return OkStatus();
    found_.clear();
    NEXUS_RETURN_IF_ERROR(layer_->Chunks(*found, range, &context_, &found_));
    for (const ChunkInfo& info : found_) {
      ChunkRef ref;
      ref.range = info.range;
      ref.count = info.count;
      ref.has_statistics = true;
      ref.statistics = info.statistics;
      ref.buffer_samples = info.count;
      ref.place = static_cast<uint64_t>(info.page) << 32 | info.index_in_page;
      chunks->push_back(ref);
    }
    return OkStatus();
  }

  StatusOr<SampleSpan> Read(const ChunkRef& chunk, TimeRange range, SampleBuffer* buffer) override {
    ChunkInfo info;
    info.page = static_cast<uint32_t>(chunk.place >> 32);
    info.index_in_page = static_cast<uint32_t>(chunk.place);
    info.range = chunk.range;
    info.count = static_cast<uint32_t>(chunk.count);
    info.statistics = chunk.statistics;
    NEXUS_ASSIGN_OR_RETURN(
        size_t count,
        layer_->ReadChunk(info, range, &context_, {buffer->timestamps(), buffer->capacity()},
                          {buffer->values(), buffer->capacity()}));
    return SampleSpan{buffer->timestamps(), buffer->values(), count};
  }

 private:
  const layer::LayerReader* const layer_;
  layer::ReadContext context_;
  std::vector<ChunkInfo> found_;
};

}  // namespace

std::unique_ptr<SourceReader> LayerSource::NewReader() const {
  return std::make_unique<LayerSourceReader>(layer_.get());
}

}  // namespace nexus::engine
