// LayerReader::Impl: the pages of one open layer file, found, read, verified and parsed. What
// reader, cursor and scan have in common.
//
// Failure: DataLoss with file, page and offset, or the error of reading. Threading: immutable but
// for the cache, which has its own locks; a Pin belongs to one thread.

#ifndef NEXUS_LAYER_LAYER_READER_IMPL_H_
#define NEXUS_LAYER_LAYER_READER_IMPL_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/status_place.h"
#include "io/file.h"
#include "layer/chunk_page.h"
#include "layer/footer.h"
#include "layer/format.h"
#include "layer/layer_reader.h"
#include "layer/page.h"
#include "layer/page_cache.h"
#include "layer/timestamp_page.h"

namespace nexus::layer {

// A page held, and which one it is.
template <typename Page>
struct Pin {
  uint64_t owner = 0;
  uint32_t number = 0;
  std::shared_ptr<const Page> page;
  // For a walk over a whole layer, which would drop from the cache what queries need.
  bool past_cache = false;

  void Drop() {
    owner = 0;
    page.reset();
  }
};

// Room for columns. Grows to what is asked for and is never cleared: most layers of a query have
// short chunks of its series, and their contexts stay small.
template <typename T>
class Scratch {
 public:
  T* Reserve(size_t count) {
    if (count > capacity_) {
      room_ = std::make_unique_for_overwrite<T[]>(count);
      capacity_ = count;
    }
    return room_.get();
  }
  const T* data() const { return room_.get(); }

 private:
  std::unique_ptr<T[]> room_;
  size_t capacity_ = 0;
};

class LayerReader::Impl {
 public:
  // `owner`: see LayerReader::Open.
  Impl(std::unique_ptr<io::File> file, PageCache* cache, uint64_t owner, uint64_t layer_seed,
       Footer footer)
      : file_(std::move(file)),
        cache_(cache),
        owns_pages_(owner == 0),
        owner_(owns_pages_ ? PageCache::NewOwner() : owner),
        layer_seed_(layer_seed),
        footer_(std::move(footer)) {}
  ~Impl() {
    if (cache_ != nullptr && owns_pages_) cache_->Erase(owner_);
  }

  const io::File& file() const { return *file_; }
  const Footer& footer() const { return footer_; }
  // No other file's in this process.
  uint64_t owner() const { return owner_; }

  // Reads, verifies and parses a page.
  template <typename Page>
  StatusOr<std::shared_ptr<const Page>> ReadAndParse(uint32_t number) const {
    const PageEntry& entry = footer_.pages[number];
    NEXUS_ASSIGN_OR_RETURN(PageBuffer buffer, ReadPage(*file_, number, entry, layer_seed_));
    auto page = Page::Parse(std::move(buffer), entry);
    if (page.ok()) return page;
    return AtOffset(Annotate(page.status(), PageName(*file_, number, entry)), entry.offset);
  }

  // The same by way of the cache.
  template <typename Page>
  StatusOr<std::shared_ptr<const Page>> Load(uint32_t number) const {
    if (cache_ != nullptr) {
      if (auto cached = cache_->Find(owner_, number)) {
        return std::static_pointer_cast<const Page>(std::move(cached));
      }
    }
    NEXUS_ASSIGN_OR_RETURN(auto page, ReadAndParse<Page>(number));
    if (cache_ != nullptr) cache_->Insert(owner_, number, page);
    return page;
  }

  // The same by way of a pin, which then holds the page.
  template <typename Page>
  StatusOr<const Page*> Load(uint32_t number, Pin<Page>* pin) const {
    if (pin->owner != owner_ || pin->number != number) {
      // Let go first: never two pages at a time.
      pin->Drop();
      NEXUS_ASSIGN_OR_RETURN(pin->page,
                             pin->past_cache ? ReadAndParse<Page>(number) : Load<Page>(number));
      pin->owner = owner_;
      pin->number = number;
    }
    return pin->page.get();
  }

  // Damage that shows only when pages are compared.
  template <typename... Args>
  Status DamageIn(uint32_t number, fmt::format_string<Args...> format, Args&&... args) const {
    const PageEntry& entry = footer_.pages[number];
    return AtOffset(
        Annotate(DataLoss(format, std::forward<Args>(args)...), PageName(*file_, number, entry)),
        entry.offset);
  }

  // The last page of a kind whose key is not above `key`, as an index into OfKind, or none.
  std::optional<size_t> PageAt(PageKind kind, uint64_t key) const {
    const std::vector<uint32_t>& numbers = footer_.OfKind(kind);
    const auto after = std::partition_point(numbers.begin(), numbers.end(), [&](uint32_t number) {
      return footer_.pages[number].key <= key;
    });
    if (after == numbers.begin()) return std::nullopt;
    return static_cast<size_t>(after - numbers.begin()) - 1;
  }

  // The first page of chunks that may hold a series, as an index into OfKind. There is always one:
  // the first page begins with series 0, or the search ends at its front.
  size_t FirstChunkPageOf(uint32_t series) const {
    const std::vector<uint32_t>& numbers = footer_.OfKind(PageKind::kChunks);
    const auto begins = std::partition_point(numbers.begin(), numbers.end(), [&](uint32_t number) {
      return footer_.pages[number].key < series;
    });
    // The series may begin within the page before the first one that begins with it.
    return begins == numbers.begin() ? 0 : static_cast<size_t>(begins - numbers.begin()) - 1;
  }

  struct TimestampColumn {
    const TimestampPage* page = nullptr;
    uint32_t number = 0;  // of the page
    uint32_t index = 0;
    const TimestampHeader& header() const { return page->header(index); }
  };

  // The timestamp column of a chunk in page `number`; the pin holds its page.
  StatusOr<TimestampColumn> TimestampsOf(const ChunkHeader& chunk, uint32_t number,
                                         Pin<TimestampPage>* pin) const {
    if (chunk.timestamps >= footer_.timestamp_columns) {
      return DamageIn(number, "a chunk refers to timestamp column {} of {}", chunk.timestamps,
                      footer_.timestamp_columns);
    }
    const size_t at = *PageAt(PageKind::kTimestamps, chunk.timestamps);
    TimestampColumn column;
    column.number = footer_.OfKind(PageKind::kTimestamps)[at];
    NEXUS_ASSIGN_OR_RETURN(column.page, Load(column.number, pin));
    column.index = chunk.timestamps - static_cast<uint32_t>(footer_.pages[column.number].key);
    if (column.header().count != chunk.count) {
      return DamageIn(number, "a chunk has {} values and {} timestamps", chunk.count,
                      column.header().count);
    }
    return column;
  }

  Status DecodeTimestamps(uint32_t ordinal, const TimestampColumn& column, int64_t* into) const {
    if (column.page->Decode(column.index, into)) return OkStatus();
    return DamageIn(column.number, "timestamp column {} cannot be decoded", ordinal);
  }

 private:
  const std::unique_ptr<io::File> file_;
  PageCache* const cache_;
  const bool owns_pages_;
  const uint64_t owner_;
  const uint64_t layer_seed_;
  const Footer footer_;
};

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_LAYER_READER_IMPL_H_
