// Look-up of series entries. See series_table.h.

#include "engine/series_table.h"

#include <algorithm>
#include <new>
#include <utility>

namespace nexus::engine {
namespace {

constexpr int kFirstDirectoryBits = 3;

}  // namespace

SeriesTable::SeriesTable(Arena* arena) : arena_(arena) { AddDirectory(kFirstDirectoryBits); }

// REQUIRES: a free slot, and that the number is not there.
void SeriesTable::Directory::Add(uint64_t number, Page* page) {
  size_t i = FirstSlot(number);
  while (slots[i].key.load(std::memory_order_relaxed) != 0) i = (i + 1) & (slot_count() - 1);
  slots[i].page = page;
  slots[i].key.store(number + 1, std::memory_order_release);
}

void SeriesTable::AddDirectory(int bits) {
  auto larger = std::make_unique<Directory>(bits);
  if (!directories_.empty()) {
    const Directory& old = *directories_.back();
    for (size_t i = 0; i < old.slot_count(); i++) {
      uint64_t key = old.slots[i].key.load(std::memory_order_relaxed);
      if (key != 0) larger->Add(key - 1, old.slots[i].page);
    }
  }
  bytes_ += larger->slot_count() * sizeof(Slot);
  directory_.store(larger.get(), std::memory_order_release);
  directories_.push_back(std::move(larger));
}

SeriesTable::Page* SeriesTable::AddPage(uint64_t number) {
  auto* page = new (arena_->At<Page>(arena_->Allocate(sizeof(Page)))) Page();
  if (2 * ++pages_ > directories_.back()->slot_count()) {
    AddDirectory(directories_.back()->bits + 1);
  }
  directories_.back()->Add(number, page);
  return page;
}

void SeriesTable::FindOrAdd(const uint64_t* ids, size_t count, SeriesEntry** entries) {
  const Directory* directory = directories_.back().get();
  for (size_t i = 0; i < count; i++) {
    uint64_t number = ids[i] / kPageEntries;
    Page* page = directory->Find(number);
    if (page == nullptr) {
      page = AddPage(number);
      directory = directories_.back().get();
    }
    entries[i] = &page->entries[ids[i] % kPageEntries];
    __builtin_prefetch(entries[i], 1);
  }
}

void SeriesTable::AppendIds(std::vector<SeriesId>* ids) const {
  const Directory* directory = directory_.load(std::memory_order_acquire);
  std::vector<std::pair<uint64_t, const Page*>> pages;
  for (size_t i = 0; i < directory->slot_count(); i++) {
    uint64_t key = directory->slots[i].key.load(std::memory_order_acquire);
    if (key != 0) pages.emplace_back(key - 1, directory->slots[i].page);
  }
  std::sort(pages.begin(), pages.end());
  for (const auto& [number, page] : pages) {
    for (uint64_t i = 0; i < kPageEntries; i++) {
      if (!page->entries[i].empty()) ids->push_back({number * kPageEntries + i});
    }
  }
}

}  // namespace nexus::engine
