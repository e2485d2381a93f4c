// Sealing and opening of pages; see page.h.

#include "layer/page.h"

#include <zstd.h>

#include <cstring>

#include "base/check.h"
#include "base/hash.h"
#include "base/status_place.h"
#include "io/file_util.h"
#include "layer/checksum.h"
#include "layer/codec/bitpack.h"

namespace nexus::layer {
namespace {

constexpr size_t kChecksumBytes = sizeof(uint64_t);
constexpr size_t kNonceAndReservedBytes = 24;
// The library's default: three to seven times the labels' size for 3 ns a byte.
constexpr int kZstdLevel = 3;

// Empty if compression does not help.
std::string Compress(Bytes payload) {
  std::string out(ZSTD_compressBound(payload.size()), '\0');
  const size_t bytes =
      ZSTD_compress(out.data(), out.size(), payload.data(), payload.size(), kZstdLevel);
  if (ZSTD_isError(bytes) != 0 || bytes >= payload.size()) return {};
  out.resize(bytes);
  return out;
}

StatusOr<PageBuffer> Decompress(Bytes stored, uint32_t payload_bytes) {
  PageBuffer payload(payload_bytes);
  const size_t bytes =
      ZSTD_decompress(payload.writable().data(), payload_bytes, stored.data(), stored.size());
  if (ZSTD_isError(bytes) != 0 || bytes != payload_bytes) {
    return DataLoss("its compressed payload cannot be decompressed");
  }
  return payload;
}

// Checks the header against the footer's entry; the checksum has been verified.
Status CheckHeader(ByteReader header, uint32_t number, const PageEntry& entry,
                   PageTransform* transform, uint32_t* payload_bytes) {
  header.Take(kChecksumBytes);
  const uint32_t bytes = header.U32();
  const uint32_t stored_number = header.U32();
  const auto kind = static_cast<PageKind>(header.U8());
  *transform = static_cast<PageTransform>(header.U8());
  header.ExpectZeros(sizeof(uint16_t));
  *payload_bytes = header.U32();
  header.ExpectZeros(kNonceAndReservedBytes);
  if (!header.ok()) return DataLoss("reserved bytes are not zero");
  if (bytes != entry.bytes || stored_number != number || kind != entry.kind) {
    return DataLoss("its header does not agree with the footer");
  }
  if (*payload_bytes > kPageBytesMax) return DataLoss("its payload is too large");
  return OkStatus();
}

StatusOr<PageBuffer> OpenPage(PageBuffer page, uint32_t number, const PageEntry& entry,
                              uint64_t layer_seed) {
  const Bytes all = page.bytes();
  const uint64_t stored = LoadUnaligned<uint64_t>(all.data());
  const uint64_t computed = XxHash64(all.subspan(kChecksumBytes), PageSeed(layer_seed, number));
  if (!ChecksumMatches(computed, stored) || !ChecksumMatches(stored, entry.checksum)) {
    return DataLoss("its checksum is wrong");
  }
  PageTransform transform;
  uint32_t payload_bytes = 0;
  NEXUS_RETURN_IF_ERROR(CheckHeader(ByteReader(all), number, entry, &transform, &payload_bytes));
  const Bytes payload = all.subspan(kPageHeaderBytes);
  switch (transform) {
    case PageTransform::kNone:
      if (payload.size() != payload_bytes) return DataLoss("its payload's length is wrong");
      page.SkipFront(kPageHeaderBytes);
      return page;
    case PageTransform::kZstd:
      return Decompress(payload, payload_bytes);
  }
  return DataLoss("transform {} is unknown", static_cast<int>(transform));
}

}  // namespace

uint64_t PageSeed(uint64_t layer_seed, uint32_t number) {
  // An odd multiple of the number: distinct for all pages of a layer.
  return layer_seed + (uint64_t{number} + 1) * 0x9e3779b97f4a7c15;
}

void SealPage(uint32_t number, PageKind kind, PageTransform transform, uint64_t layer_seed,
              Bytes payload, std::string* out, PageEntry* entry) {
  NEXUS_CHECK(payload.size() + kPageHeaderBytes <= kPageBytesMax);
  std::string compressed;
  if (transform == PageTransform::kZstd) compressed = Compress(payload);
  if (compressed.empty()) transform = PageTransform::kNone;
  const Bytes stored = compressed.empty() ? payload : AsBytes(compressed);
  const size_t begin = out->size();
  const auto bytes = static_cast<uint32_t>(kPageHeaderBytes + stored.size());
  ByteWriter writer(out);
  writer.U64(0);
  writer.U32(bytes);
  writer.U32(number);
  writer.U8(static_cast<uint8_t>(kind));
  writer.U8(static_cast<uint8_t>(transform));
  writer.U16(0);
  writer.U32(static_cast<uint32_t>(payload.size()));
  writer.Zeros(kNonceAndReservedBytes);
  writer.Raw(stored);
  const Bytes covered = AsBytes(*out).subspan(begin + kChecksumBytes);
  entry->kind = kind;
  entry->bytes = bytes;
  entry->checksum = XxHash64(covered, PageSeed(layer_seed, number));
  StoreUnaligned(out->data() + begin, entry->checksum);
}

PageBuffer::PageBuffer(size_t bytes)
    : bytes_(std::make_unique<std::byte[]>(bytes + kReadSlackBytes)), size_(bytes) {}

size_t PageBuffer::memory_bytes() const { return size_ + kReadSlackBytes; }

StatusOr<PageBuffer> ReadPage(const io::File& file, uint32_t number, const PageEntry& entry,
                              uint64_t layer_seed) {
  PageBuffer page(entry.bytes);
  Status status = io::ReadExactlyBlocking(file, entry.offset, page.writable());
  if (status.ok()) {
    StatusOr<PageBuffer> opened = OpenPage(std::move(page), number, entry, layer_seed);
    if (opened.ok()) return opened;
    status = opened.status();
  }
  return AtOffset(Annotate(status, PageName(file, number, entry)), entry.offset);
}

std::string PageName(const io::File& file, uint32_t number, const PageEntry& entry) {
  return fmt::format("layer {}: page {} at offset {}", file.path(), number, entry.offset);
}

}  // namespace nexus::layer
