// LayerReader: searches over the footer's pages, and decoding from pages that a context pins; see
// layer_reader.h.

#include "layer/layer_reader.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "base/status_place.h"
#include "io/file_util.h"
#include "layer/checksum.h"
#include "layer/chunk_page.h"
#include "layer/file_header.h"
#include "layer/footer.h"
#include "layer/format.h"
#include "layer/layer_reader_impl.h"
#include "layer/page.h"
#include "layer/series_page.h"
#include "layer/timestamp_page.h"

namespace nexus::layer {

struct ReadContext::Pins {
  Pin<ChunkPage> chunks;
  Pin<TimestampPage> timestamps;
  Pin<IdPage> ids;
  // The timestamp column decoded last: chunks of series scraped together ask for the same one
  // again and again.
  uint64_t column_owner = 0;
  uint32_t column_ordinal = 0;
  Scratch<int64_t> column;
  // Where integers are decoded, and values of which only a part is asked for.
  Scratch<uint64_t> integers;
  Scratch<double> values;
};

ReadContext::ReadContext() : pins_(std::make_unique<Pins>()) {}
ReadContext::~ReadContext() = default;

namespace {

Status CheckExpected(const LayerSummary& summary, const LayerExpectation& expected,
                     std::string_view path) {
  const LayerIdentity& identity = summary.identity;
  if (expected.database.has_value() && *expected.database != identity.database) {
    return FailedPrecondition("layer {}: belongs to database {:016x}{:016x}, not to {:016x}{:016x}",
                              path, identity.database.high, identity.database.low,
                              expected.database->high, expected.database->low);
  }
  if (expected.tenant.has_value() && *expected.tenant != identity.tenant) {
    return FailedPrecondition("layer {}: belongs to tenant {}, not to {}", path,
                              identity.tenant.value, expected.tenant->value);
  }
  if (expected.branch.has_value() && *expected.branch != identity.branch) {
    return FailedPrecondition("layer {}: belongs to branch {}, not to {}", path,
                              identity.branch.value, expected.branch->value);
  }
  if (expected.key.has_value() && *expected.key != identity.key()) {
    return FailedPrecondition("layer {}: is layer {}-{}, not {}-{}", path, identity.open_count,
                              identity.sequence, expected.key->open_count, expected.key->sequence);
  }
  if (expected.footer_hash.has_value() && *expected.footer_hash != summary.footer_hash) {
    return DataLoss("layer {}: its footer's hash is {:016x}, published was {:016x}", path,
                    summary.footer_hash, *expected.footer_hash);
  }
  return OkStatus();
}

StatusOr<PageBuffer> ReadBytes(const io::File& file, uint64_t offset, uint64_t bytes) {
  PageBuffer buffer(bytes);
  NEXUS_RETURN_IF_ERROR(io::ReadExactlyBlocking(file, offset, buffer.writable()));
  return buffer;
}

StatusOr<FileHeader> ReadHeader(const io::File& file) {
  NEXUS_ASSIGN_OR_RETURN(const PageBuffer buffer, ReadBytes(file, 0, kHeaderBytes));
  return ParseFileHeader(buffer.bytes(), file.path());
}

StatusOr<FileTail> ReadTail(const io::File& file, uint64_t layer_seed, uint64_t file_bytes) {
  NEXUS_ASSIGN_OR_RETURN(const PageBuffer buffer,
                         ReadBytes(file, file_bytes - kTailBytes, kTailBytes));
  return ParseFileTail(buffer.bytes(), layer_seed, file_bytes, file.path());
}

StatusOr<Footer> ReadFooter(const io::File& file, const FileHeader& header, const FileTail& tail) {
  NEXUS_ASSIGN_OR_RETURN(const PageBuffer buffer,
                         ReadBytes(file, tail.footer_offset, tail.footer_bytes));
  if (!ChecksumMatches(XxHash64(buffer.bytes(), header.LayerSeed()), tail.footer_hash)) {
    return DataLoss("layer {}: footer at offset {}: its checksum is wrong", file.path(),
                    tail.footer_offset);
  }
  auto footer = ParseFooter(buffer.bytes(), header, tail);
  if (footer.ok()) return footer;
  return Annotate(footer.status(),
                  fmt::format("layer {}: footer at offset {}", file.path(), tail.footer_offset));
}

}  // namespace

LayerReader::LayerReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LayerReader::~LayerReader() = default;

StatusOr<std::shared_ptr<const LayerReader>> LayerReader::Open(std::unique_ptr<io::File> file,
                                                               PageCache* cache,
                                                               const LayerExpectation& expected,
                                                               uint64_t owner) {
  const int64_t size = file->Size();
  if (size < 0) return ErrnoStatus(static_cast<int>(-size), "size of", file->path());
  const auto file_bytes = static_cast<uint64_t>(size);
  if (file_bytes < kHeaderBytes + kTailBytes) {
    return DataLoss("layer {}: {} bytes are too few for a layer; the file is cut off or unfinished",
                    file->path(), file_bytes);
  }
  const StatusOr<FileHeader> header = ReadHeader(*file);
  if (!header.ok()) return AtOffset(header.status(), 0);
  const StatusOr<FileTail> tail = ReadTail(*file, header->LayerSeed(), file_bytes);
  if (!tail.ok()) return AtOffset(tail.status(), file_bytes - kTailBytes);
  StatusOr<Footer> read = ReadFooter(*file, *header, *tail);
  if (!read.ok()) return AtOffset(read.status(), tail->footer_offset);
  Footer& footer = *read;
  NEXUS_RETURN_IF_ERROR(CheckExpected(footer.summary, expected, file->path()));
  auto impl =
      std::make_unique<Impl>(std::move(file), cache, owner, header->LayerSeed(), std::move(footer));
  return std::shared_ptr<const LayerReader>(new LayerReader(std::move(impl)));
}

const LayerSummary& LayerReader::summary() const { return impl_->footer().summary; }

const std::string& LayerReader::path() const { return impl_->file().path(); }

uint64_t LayerReader::resident_bytes() const {
  const Footer& footer = impl_->footer();
  uint64_t numbers = 0;
  for (const std::vector<uint32_t>& of_kind : footer.of_kind) numbers += of_kind.capacity();
  return sizeof(LayerReader) + sizeof(Impl) + footer.pages.capacity() * sizeof(PageEntry) +
         numbers * sizeof(uint32_t) + footer.summary.inputs.capacity() * sizeof(LayerKey);
}

StatusOr<std::optional<uint32_t>> LayerReader::FindSeries(SeriesId id, ReadContext* context) const {
  const auto at = impl_->PageAt(PageKind::kIds, id.value);
  if (!at.has_value()) return std::optional<uint32_t>();
  const uint32_t number = impl_->footer().OfKind(PageKind::kIds)[*at];
  NEXUS_ASSIGN_OR_RETURN(const IdPage* page, impl_->Load(number, &context->pins_->ids));
  const std::optional<uint32_t> place = page->Find(id);
  if (place.has_value() && *place >= summary().series) {
    return impl_->DamageIn(number, "id {} is series {} of {}", id.value, *place, summary().series);
  }
  return place;
}

Status LayerReader::ColumnChunks(uint32_t series, uint32_t column_number, TimeRange range,
                                 ReadContext* context, std::vector<ChunkInfo>* chunks) const {
  NEXUS_CHECK(series < summary().series);
  const uint32_t columns = summary().identity.columns;
  NEXUS_CHECK(column_number < columns);
  const uint32_t place = series * columns + column_number;
  const Footer& footer = impl_->footer();
  const std::vector<uint32_t>& numbers = footer.OfKind(PageKind::kChunks);
  const size_t before = chunks->size();
  for (size_t at = impl_->FirstChunkPageOf(place);
       at < numbers.size() && footer.pages[numbers[at]].key <= place; ++at) {
    const uint32_t number = numbers[at];
    NEXUS_ASSIGN_OR_RETURN(const ChunkPage* page, impl_->Load(number, &context->pins_->chunks));
    const auto [first, last] = page->Find(place);
    for (uint32_t i = first; i < last; ++i) {
      const ChunkHeader& header = page->chunks()[i];
      NEXUS_ASSIGN_OR_RETURN(const Impl::TimestampColumn column,
                             impl_->TimestampsOf(header, number, &context->pins_->timestamps));
      ChunkInfo info;
      info.range = column.header().range();
      if (!info.range.Overlaps(range)) continue;
      info.page = number;
      info.index_in_page = i;
      info.count = header.count;
      if (!ReadStatistics(header, page->bytes(header), &info.statistics)) {
        return impl_->DamageIn(number, "the statistics of chunk {} are malformed", i);
      }
      if (chunks->size() > before && chunks->back().range.last >= info.range.first) {
        return impl_->DamageIn(number, "chunk {} begins before the one before ends", i);
      }
      chunks->push_back(info);
    }
  }
  return OkStatus();
}

StatusOr<size_t> LayerReader::ReadChunk(const ChunkInfo& chunk, TimeRange range,
                                        ReadContext* context, std::span<int64_t> timestamps,
                                        std::span<double> values) const {
  ReadContext::Pins* pins = context->pins_.get();
  NEXUS_ASSIGN_OR_RETURN(const ChunkPage* page, impl_->Load(chunk.page, &pins->chunks));
  NEXUS_CHECK(chunk.index_in_page < page->chunks().size());
  const ChunkHeader& header = page->chunks()[chunk.index_in_page];
  NEXUS_CHECK(timestamps.size() >= header.count && values.size() >= header.count);
  NEXUS_ASSIGN_OR_RETURN(const Impl::TimestampColumn column,
                         impl_->TimestampsOf(header, chunk.page, &pins->timestamps));
  if (pins->column_owner != impl_->owner() || pins->column_ordinal != header.timestamps) {
    pins->column_owner = 0;
    NEXUS_RETURN_IF_ERROR(
        impl_->DecodeTimestamps(header.timestamps, column, pins->column.Reserve(header.count)));
    pins->column_owner = impl_->owner();
    pins->column_ordinal = header.timestamps;
  }
  const int64_t* const begin = pins->column.data();
  const int64_t* const end = begin + header.count;
  const int64_t* const first = std::lower_bound(begin, end, range.first);
  const int64_t* const last = std::upper_bound(first, end, range.last);
  if (first == last) return size_t{0};
  std::copy(first, last, timestamps.data());
  // A part of the values is copied out of the whole.
  const bool whole = first == begin && last == end;
  double* const decoded = whole ? values.data() : pins->values.Reserve(header.count);
  if (!DecodeChunk(header, page->bytes(header), pins->integers.Reserve(header.count), decoded)) {
    return impl_->DamageIn(chunk.page, "chunk {} cannot be decoded", chunk.index_in_page);
  }
  if (!whole) std::copy(decoded + (first - begin), decoded + (last - begin), values.data());
  return static_cast<size_t>(last - first);
}

uint32_t LayerReader::page_count() const {
  return static_cast<uint32_t>(impl_->footer().pages.size());
}

LayerReader::PageInfo LayerReader::page(uint32_t number) const {
  NEXUS_CHECK(number < page_count());
  const PageEntry& entry = impl_->footer().pages[number];
  return {static_cast<uint8_t>(entry.kind), entry.offset, entry.bytes, entry.key, entry.items};
}

Status LayerReader::CheckPage(uint32_t number) const {
  NEXUS_CHECK(number < page_count());
  switch (impl_->footer().pages[number].kind) {
    case PageKind::kChunks:
      return impl_->ReadAndParse<ChunkPage>(number).status();
    case PageKind::kTimestamps:
      return impl_->ReadAndParse<TimestampPage>(number).status();
    case PageKind::kSeries:
      return impl_->ReadAndParse<SeriesPage>(number).status();
    case PageKind::kIds:
      return impl_->ReadAndParse<IdPage>(number).status();
  }
  return impl_->DamageIn(number, "its kind is unknown");
}

// ---- SeriesCursor

class SeriesCursor::Impl {
 public:
  Impl(std::shared_ptr<const LayerReader> reader, uint32_t first, uint64_t memory_bytes_max)
      : reader_(std::move(reader)), memory_bytes_max_(memory_bytes_max), next_(first) {}

  bool Next() {
    if (!status_.ok() || next_ >= reader_->summary().series) return false;
    if (page_ == nullptr || index_ + 1 == page_->size()) {
      status_ = LoadPageOf(next_);
      if (!status_.ok()) return false;
    } else {
      page_->Advance(++index_, &labels_);
    }
    ++next_;
    return true;
  }

  const Status& status() const { return status_; }
  std::string_view labels() const { return labels_; }
  SeriesId id() const { return page_->id(index_); }
  uint32_t ordinal() const { return next_ - 1; }

 private:
  // Loads the page of a series and walks to it.
  Status LoadPageOf(uint32_t series) {
    const LayerReader::Impl& impl = *reader_->impl_;
    const size_t at = *impl.PageAt(PageKind::kSeries, series);
    const uint32_t number = impl.footer().OfKind(PageKind::kSeries)[at];
    // Not by way of the cache: a walk over all series would drop from it what queries need.
    page_.reset();
    NEXUS_ASSIGN_OR_RETURN(page_, impl.ReadAndParse<SeriesPage>(number));
    const auto wanted = static_cast<uint32_t>(series - impl.footer().pages[number].key);
    for (index_ = 0; index_ < wanted; ++index_) page_->Advance(index_, &labels_);
    page_->Advance(wanted, &labels_);
    if (page_->memory_bytes() > memory_bytes_max_) {
      page_ = page_->Part(wanted, labels_, memory_bytes_max_);
      index_ = 0;
    }
    return OkStatus();
  }

  const std::shared_ptr<const LayerReader> reader_;
  const uint64_t memory_bytes_max_;
  std::shared_ptr<const SeriesPage> page_;  // or a part of one
  uint32_t index_ = 0;                      // in it
  uint32_t next_;
  std::string labels_;
  Status status_;
};

SeriesCursor::SeriesCursor(std::shared_ptr<const LayerReader> reader, uint32_t first,
                           uint64_t memory_bytes_max)
    : impl_(std::make_unique<Impl>(std::move(reader), first, memory_bytes_max)) {}
SeriesCursor::~SeriesCursor() = default;

bool SeriesCursor::Next() { return impl_->Next(); }
const Status& SeriesCursor::status() const { return impl_->status(); }
std::string_view SeriesCursor::labels() const { return impl_->labels(); }
SeriesId SeriesCursor::id() const { return impl_->id(); }
uint32_t SeriesCursor::ordinal() const { return impl_->ordinal(); }

}  // namespace nexus::layer
