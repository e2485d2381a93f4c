// Pages: the unit of checksum and of I/O.
//
// A page's checksum is seeded with its layer and its number, so a page that was read from the wrong
// place or the wrong file is seen like one with a flipped bit. The footer keeps each page's
// checksum too, so the footer's hash stands for the whole file. Failure: ReadPage gives DataLoss
// with file, page and offset, or the error of reading. Threading: pure functions; ReadPage blocks.
// Format: layer/format.h.

#ifndef NEXUS_LAYER_PAGE_H_
#define NEXUS_LAYER_PAGE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/status.h"
#include "io/file.h"
#include "layer/format.h"

namespace nexus::layer {

// What the footer keeps of a page.
struct PageEntry {
  PageKind kind = PageKind::kChunks;
  uint64_t offset = 0;
  uint32_t bytes = 0;  // with header
  uint32_t items = 0;
  uint64_t checksum = 0;
  // Chunks: series of the first chunk. Timestamps: ordinal of the first column. Series: place of
  // the first series. Ids: the first id.
  uint64_t key = 0;

  bool operator==(const PageEntry&) const = default;
};

uint64_t PageSeed(uint64_t layer_seed, uint32_t number);

// Appends a page to `out` and tells its size and checksum in `entry`. Compressed if asked and if it
// helps. REQUIRES: payload.size() + kPageHeaderBytes <= kPageBytesMax.
void SealPage(uint32_t number, PageKind kind, PageTransform transform, uint64_t layer_seed,
              Bytes payload, std::string* out, PageEntry* entry);

// A payload in memory, with kReadSlackBytes of zeros behind it.
class PageBuffer {
 public:
  PageBuffer() = default;
  // Zero-filled.
  explicit PageBuffer(size_t bytes);
  Bytes bytes() const { return {bytes_.get() + skip_, size_ - skip_}; }
  MutableBytes writable() { return {bytes_.get() + skip_, size_ - skip_}; }
  // Leaves out bytes at the front.
  void SkipFront(size_t bytes) { skip_ += bytes; }
  size_t memory_bytes() const;

 private:
  std::unique_ptr<std::byte[]> bytes_;
  size_t size_ = 0;
  size_t skip_ = 0;
};

// Reads, verifies and undoes the transform of a page.
StatusOr<PageBuffer> ReadPage(const io::File& file, uint32_t number, const PageEntry& entry,
                              uint64_t layer_seed);

// "layer <path>: page <number> at offset <offset>": the front of messages about a page.
std::string PageName(const io::File& file, uint32_t number, const PageEntry& entry);

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_PAGE_H_
