// SeriesTable: finds the entry of a series by its id, without locks.
//
// Ids are given by a counter, so those of one tenant lie in dense stretches: entries stand in pages
// of 32 consecutive ids, and a hash directory maps page numbers to pages. Any id works; one alone
// in its stretch costs a page (768 bytes). Pages lie in the arena and do not move. A directory that
// is half full is replaced by one twice its size; the old one stays for readers that look at it, so
// directories together take at most 64 bytes a page.
// Threading: one writer; Find and AppendIds from any thread.

#ifndef NEXUS_ENGINE_SERIES_TABLE_H_
#define NEXUS_ENGINE_SERIES_TABLE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/types.h"
#include "engine/arena.h"
#include "engine/memtable_parts.h"

namespace nexus::engine {

class SeriesTable {
 public:
  explicit SeriesTable(Arena* arena);
  SeriesTable(const SeriesTable&) = delete;
  SeriesTable& operator=(const SeriesTable&) = delete;

  // The entry of a series, empty if it is new. Writer.
  SeriesEntry* FindOrAdd(SeriesId id) {
    uint64_t number = id.value / kPageEntries;
    Page* page = directories_.back()->Find(number);
    if (page == nullptr) page = AddPage(number);
    return &page->entries[id.value % kPageEntries];
  }

  // The entries of `count` series, and starts to fetch them. Writer.
  void FindOrAdd(const uint64_t* ids, size_t count, SeriesEntry** entries);

  // Null if the series has no entry.
  const SeriesEntry* Find(SeriesId id) const {
    const Directory* directory = directory_.load(std::memory_order_acquire);
    Page* page = directory->Find(id.value / kPageEntries);
    return page == nullptr ? nullptr : &page->entries[id.value % kPageEntries];
  }
  // Fetches what a Find that follows soon looks at first.
  void Prefetch(SeriesId id) const {
    const Directory* directory = directory_.load(std::memory_order_acquire);
    __builtin_prefetch(&directory->slots[directory->FirstSlot(id.value / kPageEntries)]);
  }

  // Appends the ids of all entries that are not empty, ascending.
  void AppendIds(std::vector<SeriesId>* ids) const;

  // Memory held beside the arena.
  uint64_t bytes() const { return bytes_; }

 private:
  static constexpr uint64_t kPageEntries = 32;

  struct Page {
    SeriesEntry entries[kPageEntries];
  };
  // Free while `key` is 0; else its page number is key - 1.
  struct Slot {
    std::atomic<uint64_t> key{0};
    Page* page = nullptr;  // published by `key`
  };
  struct Directory {
    explicit Directory(int slot_bits)
        : bits(slot_bits), slots(std::make_unique<Slot[]>(size_t{1} << slot_bits)) {}
    size_t slot_count() const { return size_t{1} << bits; }
    size_t FirstSlot(uint64_t number) const {
      // Fibonacci hashing: neighbouring numbers spread evenly over the top bits.
      return static_cast<size_t>((number * 0x9e3779b97f4a7c15ull) >> (64 - bits));
    }
    Page* Find(uint64_t number) const {
      const Slot* all = slots.get();
      const size_t mask = slot_count() - 1;
      for (size_t i = FirstSlot(number);; i = (i + 1) & mask) {
        uint64_t key = all[i].key.load(std::memory_order_acquire);
        if (key == number + 1) return all[i].page;
        if (key == 0) return nullptr;
      }
    }
    void Add(uint64_t number, Page* page);

    const int bits;
    const std::unique_ptr<Slot[]> slots;
  };

  Page* AddPage(uint64_t number);
  void AddDirectory(int bits);

  Arena* const arena_;
  std::atomic<const Directory*> directory_{nullptr};  // the last of directories_
  std::vector<std::unique_ptr<Directory>> directories_;
  size_t pages_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_SERIES_TABLE_H_
