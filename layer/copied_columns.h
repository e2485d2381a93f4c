// CopiedColumns: which timestamp column of a layer under construction a column of another layer has
// become, so that a column which many copied chunks share is decoded and recognised once.
//
// A table in which each column has one place: of two that share it the later is remembered. A
// forgotten column is decoded again, which costs about 1 ns a sample and nothing else. Columns of
// one layer that are used one after the other have neighbouring ordinals and so different places.
// Threading: one thread.

#ifndef NEXUS_LAYER_COPIED_COLUMNS_H_
#define NEXUS_LAYER_COPIED_COLUMNS_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/planted.h"

namespace nexus::layer {

// 16,384 hosts whose chunks come metric by metric; 24 bytes each: 384 KiB.
inline constexpr size_t kCopiedColumnsKnown = 16384;
static_assert(std::has_single_bit(kCopiedColumnsKnown));

class CopiedColumns {
 public:
  struct Source {
    uint64_t owner = 0;  // the layer it is from; not 0
    uint32_t ordinal = 0;

    bool operator==(const Source&) const = default;
  };

  std::optional<uint32_t> Find(Source source) const {
    if (NEXUS_PLANTED("copied-column-mixed-up")) source.owner = 1;
    if (entries_.empty()) return std::nullopt;
    const Entry& entry = entries_[PlaceOf(source)];
    if (entry.source != source) return std::nullopt;
    return entry.ordinal;
  }

  void Insert(Source source, uint32_t ordinal) {
    if (NEXUS_PLANTED("copied-column-mixed-up")) source.owner = 1;
    if (entries_.empty()) entries_.resize(kCopiedColumnsKnown);
    entries_[PlaceOf(source)] = {source, ordinal};
  }

 private:
  struct Entry {
    Source source;
    uint32_t ordinal = 0;
  };

  // Layers begin at places far from each other.
  static size_t PlaceOf(Source source) {
    const uint64_t begin = (source.owner * 0x9e3779b97f4a7c15) >> 32;
    return (begin + source.ordinal) % kCopiedColumnsKnown;
  }

  std::vector<Entry> entries_;  // empty until the first one
};

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_COPIED_COLUMNS_H_
