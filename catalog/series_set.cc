// Sets of series ids as CRoaring bitmaps of their halves. See series_set.h.

#include "catalog/series_set.h"

#include <algorithm>
#include <array>

namespace nexus::catalog {
namespace {

uint32_t HighOf(uint64_t id) { return static_cast<uint32_t>(id >> 32); }

}  // namespace

void SeriesSet::Add(SeriesId id) { parts_[HighOf(id.value)].add(static_cast<uint32_t>(id.value)); }

void SeriesSet::AddSorted(std::span<const uint64_t> ids) {
  // One posting block at a time fits; longer runs are added in steps.
  std::array<uint32_t, 1024> lows;
  while (!ids.empty()) {
    uint32_t high = HighOf(ids.front());
    size_t count = 0;
    while (count < ids.size() && count < lows.size() && HighOf(ids[count]) == high) {
      lows[count] = static_cast<uint32_t>(ids[count]);
      count++;
    }
    Roaring& part = parts_[high];
    bool run = lows[count - 1] - lows[0] == count - 1;
    if (run) {
      part.addRange(lows[0], static_cast<uint64_t>(lows[count - 1]) + 1);
    } else {
      part.addMany(count, lows.data());
    }
    ids = ids.subspan(count);
  }
}

void SeriesSet::UnionWith(const SeriesSet& other) {
  for (const auto& [high, part] : other.parts_) parts_[high] |= part;
}

void SeriesSet::IntersectWith(const SeriesSet& other) {
  for (auto it = parts_.begin(); it != parts_.end();) {
    auto found = other.parts_.find(it->first);
    if (found != other.parts_.end()) it->second &= found->second;
    bool empty = found == other.parts_.end() || it->second.isEmpty();
    it = empty ? parts_.erase(it) : std::next(it);
  }
}

void SeriesSet::Subtract(const SeriesSet& other) {
  for (auto it = parts_.begin(); it != parts_.end();) {
    auto found = other.parts_.find(it->first);
    if (found != other.parts_.end()) it->second -= found->second;
    it = it->second.isEmpty() ? parts_.erase(it) : std::next(it);
  }
}

bool SeriesSet::Contains(SeriesId id) const {
  auto found = parts_.find(HighOf(id.value));
  return found != parts_.end() && found->second.contains(static_cast<uint32_t>(id.value));
}

uint64_t SeriesSet::size() const {
  uint64_t total = 0;
  for (const auto& [high, part] : parts_) total += part.cardinality();
  return total;
}

std::vector<SeriesId> SeriesSet::ToVector() const {
  std::vector<SeriesId> ids;
  ids.reserve(size());
  ForEach([&](SeriesId id) { ids.push_back(id); });
  return ids;
}

void SeriesSet::AddTo(Roaring64Map* into) const {
  for (const auto& [high, part] : parts_) {
    if (high == 0) {
      *into |= Roaring64Map(part);
      continue;
    }
    for (uint32_t low : part) into->add(static_cast<uint64_t>(high) << 32 | low);
  }
}

bool SeriesSet::operator==(const SeriesSet& other) const {
  return std::equal(
      parts_.begin(), parts_.end(), other.parts_.begin(), other.parts_.end(),
      [](const auto& a, const auto& b) { return a.first == b.first && a.second == b.second; });
}

}  // namespace nexus::catalog
