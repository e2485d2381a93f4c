// LayerScan: a series cursor, and a place in the pages of chunks that follows it. See layer_scan.h.

#include "layer/layer_scan.h"

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"
#include "layer/chunk_page.h"
#include "layer/encoded_chunk.h"
#include "layer/layer_reader_impl.h"

namespace nexus::layer {

class LayerScan::Impl {
 public:
  Impl(std::shared_ptr<const LayerReader> layer, uint64_t label_bytes_max)
      : layer_(std::move(layer)),
        file_(*layer_->impl_),
        label_bytes_max_(label_bytes_max),
        cursor_(std::in_place, layer_, 0U, label_bytes_max) {
    chunks_.past_cache = true;
    timestamps_.past_cache = true;
  }

  const LayerReader& layer() const { return *layer_; }
  const SeriesCursor& cursor() const { return *cursor_; }
  const Chunk& chunk() const { return chunk_; }

  void Restart() {
    cursor_.emplace(layer_, 0, label_bytes_max_);
    page_at_ = 0;
    next_in_page_ = 0;
  }

  StatusOr<bool> NextSeries() {
    series_begun_ = true;
    if (cursor_->Next()) return true;
    NEXUS_RETURN_IF_ERROR(cursor_->status());
    return false;
  }

  StatusOr<bool> NextChunk();
  Status ReadTimestamps(int64_t* timestamps);
  Status ReadValues(double* values, uint64_t* scratch);
  Status CopyChunk(LayerBuilder* into);

  void Release() {
    chunks_.Drop();
    timestamps_.Drop();
  }

 private:
  // The page that has the present chunk.
  StatusOr<const ChunkPage*> Page() { return file_.Load(page_number_, &chunks_); }

  const std::shared_ptr<const LayerReader> layer_;
  const LayerReader::Impl& file_;  // of layer_
  const uint64_t label_bytes_max_;
  std::optional<SeriesCursor> cursor_;

  size_t page_at_ = 0;  // where the next chunk is: index into the pages of chunks
  uint32_t next_in_page_ = 0;

  bool series_begun_ = false;  // no chunk of the present series was visited
  Chunk chunk_;                // the present one
  uint32_t page_number_ = 0;
  uint32_t index_ = 0;  // in that page
  Pin<ChunkPage> chunks_;
  Pin<TimestampPage> timestamps_;
};

StatusOr<bool> LayerScan::Impl::NextChunk() {
  const uint32_t series = cursor_->ordinal();
  const Footer& footer = file_.footer();
  const std::vector<uint32_t>& numbers = footer.OfKind(PageKind::kChunks);
  for (; page_at_ < numbers.size(); ++page_at_, next_in_page_ = 0) {
    if (footer.pages[numbers[page_at_]].key > series) return false;
    // All chunks of this page are of series before: it is not even read.
    if (page_at_ + 1 < numbers.size() && footer.pages[numbers[page_at_ + 1]].key < series) continue;
    const uint32_t number = numbers[page_at_];
    NEXUS_ASSIGN_OR_RETURN(const ChunkPage* page, file_.Load(number, &chunks_));
    const std::span<const ChunkHeader> headers = page->chunks();
    while (next_in_page_ < headers.size() && headers[next_in_page_].series < series) {
      ++next_in_page_;
    }
    if (next_in_page_ == headers.size()) continue;
    const ChunkHeader& header = headers[next_in_page_];
    if (header.series > series) return false;
    NEXUS_ASSIGN_OR_RETURN(const LayerReader::Impl::TimestampColumn column,
                           file_.TimestampsOf(header, number, &timestamps_));
    const TimeRange range = column.header().range();
    if (!series_begun_ && range.first <= chunk_.range.last) {
      return file_.DamageIn(number, "chunk {} begins before the one before ends", next_in_page_);
    }
    series_begun_ = false;
    chunk_ = {range, header.count};
    page_number_ = number;
    index_ = next_in_page_++;
    return true;
  }
  return false;
}

Status LayerScan::Impl::ReadTimestamps(int64_t* timestamps) {
  NEXUS_ASSIGN_OR_RETURN(const ChunkPage* page, Page());
  const ChunkHeader& header = page->chunks()[index_];
  NEXUS_ASSIGN_OR_RETURN(const LayerReader::Impl::TimestampColumn column,
                         file_.TimestampsOf(header, page_number_, &timestamps_));
  NEXUS_RETURN_IF_ERROR(file_.DecodeTimestamps(header.timestamps, column, timestamps));
  // Bits instead of a truth value, so that the loop vectorises.
  uint64_t wrong = timestamps[0] == chunk_.range.first ? 0 : 1;
  for (uint32_t i = 1; i < header.count; ++i) wrong |= timestamps[i - 1] < timestamps[i] ? 0 : 1;
  wrong |= timestamps[header.count - 1] == chunk_.range.last ? 0 : 1;
  if (wrong == 0) return OkStatus();
  return file_.DamageIn(column.number, "timestamp column {} does not ascend as its header tells",
                        header.timestamps);
}

Status LayerScan::Impl::ReadValues(double* values, uint64_t* scratch) {
  NEXUS_ASSIGN_OR_RETURN(const ChunkPage* page, Page());
  const ChunkHeader& header = page->chunks()[index_];
  if (DecodeChunk(header, page->bytes(header), scratch, values)) return OkStatus();
  return file_.DamageIn(page_number_, "chunk {} cannot be decoded", index_);
}

Status LayerScan::Impl::CopyChunk(LayerBuilder* into) {
  NEXUS_ASSIGN_OR_RETURN(const ChunkPage* page, Page());
  EncodedChunk chunk;
  chunk.header = page->chunks()[index_];
  chunk.bytes = page->bytes(chunk.header);
  chunk.range = chunk_.range;
  chunk.owner = file_.owner();
  return into->CopyChunk(chunk, [this](int64_t* timestamps) { return ReadTimestamps(timestamps); });
}

LayerScan::LayerScan(std::shared_ptr<const LayerReader> layer, uint64_t label_bytes_max)
    : impl_(std::make_unique<Impl>(std::move(layer), label_bytes_max)) {}
LayerScan::~LayerScan() = default;

const LayerReader& LayerScan::layer() const { return impl_->layer(); }
void LayerScan::Restart() { impl_->Restart(); }
StatusOr<bool> LayerScan::NextSeries() { return impl_->NextSeries(); }
std::string_view LayerScan::labels() const { return impl_->cursor().labels(); }
SeriesId LayerScan::id() const { return impl_->cursor().id(); }
StatusOr<bool> LayerScan::NextChunk() { return impl_->NextChunk(); }
const LayerScan::Chunk& LayerScan::chunk() const { return impl_->chunk(); }
Status LayerScan::ReadTimestamps(int64_t* timestamps) { return impl_->ReadTimestamps(timestamps); }
Status LayerScan::ReadValues(double* values, uint64_t* scratch) {
  return impl_->ReadValues(values, scratch);
}
Status LayerScan::CopyChunk(LayerBuilder* into) { return impl_->CopyChunk(into); }
void LayerScan::Release() { impl_->Release(); }

}  // namespace nexus::layer
