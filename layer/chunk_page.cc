// ChunkPage: the order of the header columns, and the checks that make a parsed page safe to use;
// see chunk_page.h. What Parse let through, no later step has to check again.

#include "layer/chunk_page.h"

#include <algorithm>
#include <limits>

#include "layer/codec/ordered_bits.h"
#include "layer/run_columns.h"

namespace nexus::layer {
namespace {

// What a chunk's columns take, with which a page's size is told before it is closed: 7-13 bytes of
// telemetry, seldom more than this.
constexpr size_t kHeaderBytesGuess = 24;
constexpr uint64_t kAny = ~uint64_t{0};
constexpr uint64_t kOrdinalMax = std::numeric_limits<uint32_t>::max();

void WriteHeaders(std::span<const ChunkHeader> chunks, ColumnWriter* columns, std::string* out) {
  auto write = [&](auto field) { WriteField(chunks, columns, out, field); };
  write([](const ChunkHeader& c) { return c.series; });
  write([](const ChunkHeader& c) { return c.timestamps; });
  write([](const ChunkHeader& c) { return c.count; });
  write([](const ChunkHeader& c) { return c.form_flags | static_cast<uint32_t>(c.values.form); });
  write([](const ChunkHeader& c) { return c.values.exponent; });
  WriteRunFields(chunks, columns, out,
                 [](const ChunkHeader& c) -> const IntegerRun& { return c.values.integers; });
  write([](const ChunkHeader& c) { return c.values.integers.parameters.first; });
  write([](const ChunkHeader& c) { return c.last; });
  write([](const ChunkHeader& c) { return c.sum; });
  write([](const ChunkHeader& c) { return c.values.exceptions; });
}

void ReadHeaders(ByteReader* reader, std::span<ChunkHeader> chunks) {
  auto read = [&](uint64_t max, auto set) { ReadField(reader, chunks, max, set); };
  read(kOrdinalMax, [](ChunkHeader& c, uint64_t v) { c.series = static_cast<uint32_t>(v); });
  read(kOrdinalMax, [](ChunkHeader& c, uint64_t v) { c.timestamps = static_cast<uint32_t>(v); });
  read(kRunMax, [](ChunkHeader& c, uint64_t v) { c.count = static_cast<uint32_t>(v); });
  read(kFormMask | kExplicitStatistics | kExplicitSum, [](ChunkHeader& c, uint64_t v) {
    c.values.form = static_cast<ValueForm>(v & kFormMask);
    c.form_flags = static_cast<uint32_t>(v & ~kFormMask);
  });
  read(kShiftMax, [](ChunkHeader& c, uint64_t v) { c.values.exponent = static_cast<uint8_t>(v); });
  ReadRunFields(reader, chunks, [](ChunkHeader& c) -> IntegerRun& { return c.values.integers; });
  read(kAny, [](ChunkHeader& c, uint64_t v) { c.values.integers.parameters.first = v; });
  read(kAny, [](ChunkHeader& c, uint64_t v) { c.last = v; });
  read(kAny, [](ChunkHeader& c, uint64_t v) { c.sum = v; });
  read(kRunMax, [](ChunkHeader& c, uint64_t v) { c.values.exceptions = static_cast<uint32_t>(v); });
}

bool IsSane(const ChunkHeader& chunk) {
  const bool decimal = chunk.values.form == ValueForm::kDecimal;
  return chunk.count > 0 && (decimal || chunk.values.form == ValueForm::kOrderedBits) &&
         chunk.values.exponent <= (decimal ? kExponentMax : kShiftMax) &&
         chunk.values.exceptions <= chunk.count;
}

}  // namespace

bool ChunkPageBuilder::MustClose(size_t chunk_bytes, uint32_t page_bytes) const {
  if (headers_.empty()) return false;
  const size_t with_it =
      kPageHeaderBytes + bytes_.size() + chunk_bytes + (headers_.size() + 1) * kHeaderBytesGuess;
  return headers_.size() == kChunksPerPageMax || with_it > page_bytes;
}

void ChunkPageBuilder::Add(ChunkHeader header, std::string_view bytes) {
  header.offset = static_cast<uint32_t>(bytes_.size());
  headers_.push_back(header);
  bytes_.append(bytes);
}

std::string ChunkPageBuilder::Take(ColumnWriter* columns) {
  std::string payload;
  ByteWriter(&payload).U32(size());
  WriteHeaders(headers_, columns, &payload);
  payload.append(bytes_);
  headers_.clear();
  bytes_.clear();
  return payload;
}

StatusOr<std::shared_ptr<const ChunkPage>> ChunkPage::Parse(PageBuffer buffer,
                                                            const PageEntry& entry) {
  auto page = std::make_shared<ChunkPage>();
  ByteReader reader(buffer.bytes());
  const uint32_t count = reader.U32();
  if (count != entry.items || count == 0 || count > kChunksPerPageMax) {
    return DataLoss("it has {} chunks, the footer says {}", count, entry.items);
  }
  page->chunks_.resize(count);
  ReadHeaders(&reader, page->chunks_);
  if (!reader.ok()) return DataLoss("its columns are malformed");
  uint64_t offset = reader.position();
  uint32_t series = static_cast<uint32_t>(entry.key);
  if (page->chunks_.front().series != entry.key) return DataLoss("its first series is wrong");
  for (ChunkHeader& chunk : page->chunks_) {
    if (!IsSane(chunk) || chunk.series < series) return DataLoss("a chunk's header is malformed");
    series = chunk.series;
    const uint64_t bytes = ChunkBytes(chunk);
    if (bytes > buffer.bytes().size() - offset) return DataLoss("a chunk leaves the page");
    chunk.offset = static_cast<uint32_t>(offset);
    chunk.bytes = static_cast<uint32_t>(bytes);
    offset += bytes;
  }
  if (offset != buffer.bytes().size()) return DataLoss("bytes are left behind its chunks");
  page->buffer_ = std::move(buffer);
  return page;
}

std::pair<uint32_t, uint32_t> ChunkPage::Find(uint32_t series) const {
  const auto first = std::partition_point(chunks_.begin(), chunks_.end(),
                                          [&](const ChunkHeader& c) { return c.series < series; });
  const auto last = std::partition_point(first, chunks_.end(),
                                         [&](const ChunkHeader& c) { return c.series == series; });
  return {static_cast<uint32_t>(first - chunks_.begin()),
          static_cast<uint32_t>(last - chunks_.begin())};
}

uint64_t ChunkPage::charge_bytes() const {
  return sizeof(*this) + buffer_.memory_bytes() + chunks_.capacity() * sizeof(ChunkHeader);
}

}  // namespace nexus::layer
