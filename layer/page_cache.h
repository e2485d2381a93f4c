// PageCache: verified, parsed pages of layers, shared by all queries, bounded in bytes.
//
// A page is in the cache only after its checksum was checked, so a hit costs no verification.
// Pages are immutable and reference-counted: eviction never disturbs a reader. Each shard evicts
// by second chance (clock): a page that was used since the hand last passed stays.
// Failure: none; a cache of capacity 0 holds nothing and every look-up misses.
// Threading: any thread. Locks are per shard and never held while reading.

#ifndef NEXUS_LAYER_PAGE_CACHE_H_
#define NEXUS_LAYER_PAGE_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"

namespace nexus::layer {

// What the cache holds: one parsed page of any kind.
class CachedPage {
 public:
  virtual ~CachedPage() = default;
  // Memory it keeps, in bytes.
  virtual uint64_t charge_bytes() const = 0;
};

class PageCache {
 public:
  // Keeps at most `capacity_bytes` of pages, split evenly over the shards; a page larger than a
  // shard is not kept.
  explicit PageCache(uint64_t capacity_bytes);
  PageCache(const PageCache&) = delete;
  PageCache& operator=(const PageCache&) = delete;

  // A number no one else in this process has, for the keys of one reader.
  static uint64_t NewOwner();

  // Null if absent.
  std::shared_ptr<const CachedPage> Find(uint64_t owner, uint32_t page);
  // Keeps `entry`, or leaves what another thread put there first.
  void Insert(uint64_t owner, uint32_t page, std::shared_ptr<const CachedPage> entry);
  // Drops all pages of an owner; its reader is going away. Costs a walk over the cache.
  void Erase(uint64_t owner);

  struct Counters {
    uint64_t hits = 0;
    uint64_t misses = 0;
    uint64_t pages = 0;
    uint64_t bytes = 0;
  };
  Counters counters() const;

 private:
  using Key = std::pair<uint64_t, uint32_t>;
  struct Entry {
    Key key;
    std::shared_ptr<const CachedPage> page;
    uint64_t bytes = 0;
    bool used = false;
  };
  struct Shard {
    mutable Mutex mutex;
    std::list<Entry> ring ABSL_GUARDED_BY(mutex);  // the hand stands at its front
    absl::flat_hash_map<Key, std::list<Entry>::iterator> index ABSL_GUARDED_BY(mutex);
    uint64_t bytes ABSL_GUARDED_BY(mutex) = 0;
    uint64_t hits ABSL_GUARDED_BY(mutex) = 0;
    uint64_t misses ABSL_GUARDED_BY(mutex) = 0;
  };
  // Few enough that a shard of the default 16 MiB cache holds a dozen of the largest pages.
  static constexpr size_t kShards = 8;

  Shard& ShardOf(const Key& key);
  void MakeRoom(Shard& shard, uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mutex);

  const uint64_t shard_capacity_bytes_;
  Shard shards_[kShards];
};

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_PAGE_CACHE_H_
