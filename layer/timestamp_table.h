// TimestampTable: remembers which timestamp columns a layer already has, so that series scraped
// together share one.
//
// A column is recognised by its 128-bit hash and its length. The hash is seeded with the tenant's
// random identity seed, so that nobody who sends samples can build two columns that collide.
// Bounded: with kSharedColumnsMax columns remembered, the oldest is forgotten; if it comes again it
// is stored again, which costs bytes and nothing else.
// Threading: one thread.

#ifndef NEXUS_LAYER_TIMESTAMP_TABLE_H_
#define NEXUS_LAYER_TIMESTAMP_TABLE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/bytes.h"
#include "base/hash.h"

namespace nexus::layer {

class TimestampTable {
 public:
  TimestampTable(uint64_t seed, size_t columns_max) : seed_(seed), columns_max_(columns_max) {}

  // The ordinal under which this column was remembered, or none; then it is remembered as
  // `ordinal`.
  std::optional<uint32_t> FindOrInsert(std::span<const int64_t> timestamps, uint32_t ordinal) {
    const Key key{XxHash128(std::as_bytes(timestamps), seed_), timestamps.size()};
    const auto [entry, inserted] = ordinals_.try_emplace(key, ordinal);
    if (!inserted) return entry->second;
    if (order_.size() < columns_max_) {
      order_.push_back(key);
    } else {
      ordinals_.erase(std::exchange(order_[oldest_], key));
      oldest_ = (oldest_ + 1) % columns_max_;
    }
    return std::nullopt;
  }

 private:
  using Key = std::pair<Hash128, size_t>;

  const uint64_t seed_;
  const size_t columns_max_;  // at least 1
  absl::flat_hash_map<Key, uint32_t> ordinals_;
  std::vector<Key> order_;  // a ring once it is full
  size_t oldest_ = 0;
};

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_TIMESTAMP_TABLE_H_
