// Reading of layers. See layer_file.h.

#include "engine/layer_file.h"

#include <optional>
#include <utility>
#include <vector>

#include "base/planted.h"
#include "engine/layer_readers.h"
#include "layer/page_cache.h"

namespace nexus::engine {
namespace {

using layer::ChunkInfo;

class LayerFileReader : public SourceReader {
 public:
  explicit LayerFileReader(const LayerFile* file) : file_(file) {}

  Status Chunks(const SeriesName& series, TimeRange range, std::vector<ChunkRef>* chunks) override {
    return file_->Told(FindChunks(series, range, chunks));
  }

  StatusOr<SampleSpan> Read(const ChunkRef& chunk, TimeRange range, SampleBuffer* buffer) override {
    const StatusOr<size_t> count = ReadInto(chunk, range, buffer);
    if (!count.ok()) return file_->Told(count.status());
    return SampleSpan{buffer->timestamps(), buffer->values(), *count};
  }

 private:
  Status FindChunks(const SeriesName& series, TimeRange range, std::vector<ChunkRef>* chunks) {
    NEXUS_ASSIGN_OR_RETURN(const LayerReaderPtr layer, file_->Reader());
    NEXUS_ASSIGN_OR_RETURN(std::optional<uint32_t> found, layer->FindSeries(series.id, &context_));
    if (!found) return OkStatus();
    found_.clear();
    NEXUS_RETURN_IF_ERROR(layer->Chunks(*found, range, &context_, &found_));
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

  // What a chunk's page is in one reader of the file, it is in every other.
  StatusOr<size_t> ReadInto(const ChunkRef& chunk, TimeRange range, SampleBuffer* buffer) {
    NEXUS_ASSIGN_OR_RETURN(const LayerReaderPtr layer, file_->Reader());
    ChunkInfo info;
    info.page = static_cast<uint32_t>(chunk.place >> 32);
    info.index_in_page = static_cast<uint32_t>(chunk.place);
    info.range = chunk.range;
    info.count = static_cast<uint32_t>(chunk.count);
    info.statistics = chunk.statistics;
    return layer->ReadChunk(info, range, &context_, {buffer->timestamps(), buffer->capacity()},
                            {buffer->values(), buffer->capacity()});
  }

  const LayerFile* const file_;
  layer::ReadContext context_;
  std::vector<ChunkInfo> found_;
};

uint64_t OwnerOf(const catalog::LayerRecord& record) {
  if (NEXUS_PLANTED("pages-known-by-sequence")) return record.sequence;
  return layer::PageCache::NewOwner();
}

}  // namespace

LayerFile::LayerFile(LayerReaders* readers, const catalog::LayerRecord& record)
    : readers_(readers),
      name_(record),
      range_(record.range),
      end_(record.high),
      pages_owner_(OwnerOf(record)),
      place_(1, this),
      at_(place_.begin()) {}

LayerFile::~LayerFile() { readers_->Forget(this); }

std::unique_ptr<SourceReader> LayerFile::NewReader() const {
  return std::make_unique<LayerFileReader>(this);
}

StatusOr<LayerReaderPtr> LayerFile::Reader() const { return readers_->ReaderOf(this); }

// A file that went while its reader was in memory.
Status LayerFile::Told(Status status) const {
  if (!absl::IsNotFound(status)) return status;
  return DataLoss("layer {}: it was there and is missing; restore it from a backup: {}", name_.name,
                  FromAbsl(status.message()));
}

uint64_t LayerFile::memory_bytes() const {
  // With the control block of a shared pointer and the node of place_.
  constexpr uint64_t kAround = 16 + 3 * sizeof(void*);
  return sizeof(LayerFile) + kAround + name_.name.capacity();
}

StatusOr<LayerReaderPtr> HoldReader(LayerFilePtr file) {
  struct Held {
    LayerFilePtr file;
    LayerReaderPtr reader;  // goes first
  };
  NEXUS_ASSIGN_OR_RETURN(LayerReaderPtr reader, file->Reader());
  auto held = std::make_shared<Held>(std::move(file), std::move(reader));
  const layer::LayerReader* const shown = held->reader.get();
  return LayerReaderPtr(std::move(held), shown);
}

}  // namespace nexus::engine
