// SeriesSet: a set of series ids in memory, compressed (CRoaring bitmaps).
//
// Never stored or sent: Debian's CRoaring 0.2.66 does not validate serialized bitmaps.
// Threading: a value; concurrent reads are fine.

#ifndef NEXUS_CATALOG_SERIES_SET_H_
#define NEXUS_CATALOG_SERIES_SET_H_

#include <cstdint>
#include <map>
#include <roaring/roaring64map.hh>
#include <span>
#include <vector>

#include "base/types.h"

namespace nexus::catalog {

class SeriesSet {
 public:
  void Add(SeriesId id);
  // Ids ascending, without repetition: much cheaper than one by one.
  void AddSorted(std::span<const uint64_t> ids);

  void UnionWith(const SeriesSet& other);
  void IntersectWith(const SeriesSet& other);
  void Subtract(const SeriesSet& other);

  bool Contains(SeriesId id) const;
  bool empty() const { return parts_.empty(); }
  uint64_t size() const;

  // Calls visit(SeriesId) for each id, ascending.
  template <typename Visit>
  void ForEach(Visit&& visit) const {
    for (const auto& [high, part] : parts_) {
      for (uint32_t low : part) visit(SeriesId{static_cast<uint64_t>(high) << 32 | low});
    }
  }
  // All ids, ascending: 8 bytes each.
  std::vector<SeriesId> ToVector() const;
  // Adds all ids to CRoaring's own 64-bit set. Whole containers at a time for ids below 2^32, about
  // 30 ns an id above.
  void AddTo(Roaring64Map* into) const;

  bool operator==(const SeriesSet& other) const;

 private:
  // The low halves of ids by their high half. No part is empty.
  std::map<uint32_t, Roaring> parts_;
};

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_SERIES_SET_H_
