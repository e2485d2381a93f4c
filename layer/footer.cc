// Encoding and checking of the footer; see footer.h.
//
// Pages are checked to fill the file and to cover all series, chunks, timestamp columns and ids, so
// that the searches of the reader always end at a page.

#include "layer/footer.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <span>

#include "layer/column.h"
#include "layer/run_columns.h"

namespace nexus::layer {
namespace {

void WriteOrder(nexus::WriteOrder order, ByteWriter* writer) {
  writer->U32(order.timeline);
  writer->U64(order.lsn.value);
}

nexus::WriteOrder ReadOrder(ByteReader* reader) {
  nexus::WriteOrder order;
  order.timeline = reader->U32();
  order.lsn.value = reader->U64();
  return order;
}

void WritePages(std::span<const PageEntry> pages, std::string* out) {
  const auto columns = std::make_unique<ColumnWriter>();
  for (size_t begin = 0; begin < pages.size(); begin += kRunMax) {
    const auto run = pages.subspan(begin, std::min(kRunMax, pages.size() - begin));
    auto write = [&](auto field) { WriteField(run, columns.get(), out, field); };
    write([](const PageEntry& p) { return p.kind; });
    write([](const PageEntry& p) { return p.bytes; });
    write([](const PageEntry& p) { return p.items; });
    write([](const PageEntry& p) { return p.key; });
    write([](const PageEntry& p) { return p.checksum; });
  }
}

void ReadPages(ByteReader* reader, std::span<PageEntry> pages) {
  constexpr uint64_t kAny = ~uint64_t{0};
  for (size_t begin = 0; begin < pages.size() && reader->ok(); begin += kRunMax) {
    const auto run = pages.subspan(begin, std::min(kRunMax, pages.size() - begin));
    auto read = [&](uint64_t max, auto set) { ReadField(reader, run, max, set); };
    read(kPageKinds, [](PageEntry& p, uint64_t v) { p.kind = static_cast<PageKind>(v); });
    read(kPageBytesMax, [](PageEntry& p, uint64_t v) { p.bytes = static_cast<uint32_t>(v); });
    read(kSeriesPerPageMax, [](PageEntry& p, uint64_t v) { p.items = static_cast<uint32_t>(v); });
    read(kAny, [](PageEntry& p, uint64_t v) { p.key = v; });
    read(kAny, [](PageEntry& p, uint64_t v) { p.checksum = v; });
  }
}

// Gives pages their offsets and sorts them by kind; false if they do not fill the file.
bool PlacePages(const FileTail& tail, Footer* footer) {
  uint64_t offset = kHeaderBytes;
  for (size_t i = 0; i < footer->pages.size(); ++i) {
    PageEntry& page = footer->pages[i];
    const auto kind = static_cast<size_t>(page.kind);
    if (kind == 0 || page.bytes < kPageHeaderBytes || page.items == 0) return false;
    page.offset = offset;
    offset += page.bytes;
    footer->of_kind[kind - 1].push_back(static_cast<uint32_t>(i));
  }
  return offset == tail.footer_offset;
}

// Pages of a kind whose keys count their items: each begins where the one before ends.
bool IsCounted(const Footer& footer, PageKind kind, uint64_t items) {
  uint64_t next = 0;
  for (uint32_t number : footer.OfKind(kind)) {
    const PageEntry& page = footer.pages[number];
    if (page.key != next) return false;
    next += page.items;
  }
  return next == items;
}

// Pages of a kind whose keys ascend, or stay.
bool IsOrdered(const Footer& footer, PageKind kind, uint64_t items, bool strictly) {
  uint64_t sum = 0;
  const PageEntry* before = nullptr;
  for (uint32_t number : footer.OfKind(kind)) {
    const PageEntry& page = footer.pages[number];
    if (before != nullptr && page.key < before->key + (strictly ? 1 : 0)) return false;
    before = &page;
    sum += page.items;
  }
  return sum == items;
}

// Samples stand in one column; the places of all columns fit their type.
bool HasColumns(const LayerSummary& summary) {
  const LayerIdentity& identity = summary.identity;
  constexpr uint64_t kOrdinals = std::numeric_limits<uint32_t>::max();
  return identity.resolution_ns >= 0 && identity.columns >= 1 &&
         identity.columns <= kLayerColumnsMax &&
         (identity.resolution_ns > 0 || identity.columns == 1) &&
         summary.series <= kOrdinals / identity.columns;
}

bool IsConsistent(const Footer& footer) {
  const LayerSummary& summary = footer.summary;
  constexpr uint64_t kOrdinals = std::numeric_limits<uint32_t>::max();
  return summary.series > 0 && summary.series <= kOrdinals && summary.chunks <= kOrdinals &&
         summary.identity.level <= kLayerLevelMax &&
         summary.identity.order_low <= summary.identity.order_high && !summary.range.empty() &&
         HasColumns(summary) && IsCounted(footer, PageKind::kSeries, summary.series) &&
         IsCounted(footer, PageKind::kTimestamps, footer.timestamp_columns) &&
         IsOrdered(footer, PageKind::kChunks, summary.chunks, false) &&
         IsOrdered(footer, PageKind::kIds, summary.series, true);
}

}  // namespace

std::string EncodeFooter(const Footer& footer) {
  const LayerSummary& summary = footer.summary;
  std::string out;
  ByteWriter writer(&out);
  writer.U32(summary.identity.level);
  writer.I64(summary.identity.resolution_ns);
  writer.U32(summary.identity.columns);
  WriteOrder(summary.identity.order_low, &writer);
  WriteOrder(summary.identity.order_high, &writer);
  writer.U64(summary.identity.deletes_applied.value);
  writer.I64(summary.range.first);
  writer.I64(summary.range.last);
  writer.U64(summary.series);
  writer.U64(summary.samples);
  writer.U64(summary.chunks);
  writer.U64(footer.timestamp_columns);
  writer.Varint(summary.inputs.size());
  for (const LayerKey& input : summary.inputs) {
    writer.Varint(input.open_count);
    writer.Varint(input.sequence);
  }
  writer.U32(static_cast<uint32_t>(footer.pages.size()));
  WritePages(footer.pages, &out);
  return out;
}

StatusOr<Footer> ParseFooter(Bytes bytes, const FileHeader& header, const FileTail& tail) {
  Footer footer;
  LayerSummary& summary = footer.summary;
  LayerIdentity& identity = summary.identity;
  identity.database = header.database;
  identity.tenant = header.tenant;
  identity.branch = header.branch;
  identity.identity_seed = header.identity_seed;
  identity.open_count = header.key.open_count;
  identity.sequence = header.key.sequence;
  ByteReader reader(bytes);
  identity.level = reader.U32();
  identity.resolution_ns = reader.I64();
  identity.columns = reader.U32();
  identity.order_low = ReadOrder(&reader);
  identity.order_high = ReadOrder(&reader);
  identity.deletes_applied.value = reader.U64();
  summary.range.first = reader.I64();
  summary.range.last = reader.I64();
  summary.series = reader.U64();
  summary.samples = reader.U64();
  summary.chunks = reader.U64();
  footer.timestamp_columns = reader.U64();
  summary.file_bytes = tail.file_bytes;
  summary.footer_hash = tail.footer_hash;
  const uint64_t inputs = reader.Varint();
  if (inputs > kLayerInputsMax) return DataLoss("it names {} inputs", inputs);
  for (uint64_t i = 0; i < inputs && reader.ok(); ++i) {
    const uint64_t open_count = reader.Varint();
    summary.inputs.push_back({open_count, reader.Varint()});
  }
  // No page is smaller than its header, so the file's size bounds what is made room for.
  const uint32_t pages = reader.U32();
  if (pages > (tail.footer_offset - kHeaderBytes) / kPageHeaderBytes) {
    return DataLoss("it names {} pages", pages);
  }
  footer.pages.resize(pages);
  ReadPages(&reader, footer.pages);
  if (!reader.ok() || !reader.done()) return DataLoss("it is malformed");
  if (!PlacePages(tail, &footer)) return DataLoss("its pages do not fill the file");
  if (!IsConsistent(footer)) return DataLoss("it contradicts itself");
  return footer;
}

}  // namespace nexus::layer
