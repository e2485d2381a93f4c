// PageCache: shards, each a ring with a clock hand; see page_cache.h.

#include "layer/page_cache.h"

#include <atomic>

namespace nexus::layer {

PageCache::PageCache(uint64_t capacity_bytes) : shard_capacity_bytes_(capacity_bytes / kShards) {}

uint64_t PageCache::NewOwner() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

PageCache::Shard& PageCache::ShardOf(const Key& key) {
  // Neighbouring pages of a layer go to different shards; owners are shifted against each other.
  return shards_[(key.first * 3 + key.second) % kShards];
}

std::shared_ptr<const CachedPage> PageCache::Find(uint64_t owner, uint32_t page) {
  const Key key{owner, page};
  Shard& shard = ShardOf(key);
  MutexLock lock(&shard.mutex);
  const auto found = shard.index.find(key);
  if (found == shard.index.end()) {
    ++shard.misses;
    return nullptr;
  }
  ++shard.hits;
  found->second->used = true;
  return found->second->page;
}

void PageCache::Insert(uint64_t owner, uint32_t page, std::shared_ptr<const CachedPage> entry) {
  const uint64_t bytes = entry->charge_bytes();
  if (bytes > shard_capacity_bytes_) return;
  const Key key{owner, page};
  Shard& shard = ShardOf(key);
  MutexLock lock(&shard.mutex);
  if (shard.index.contains(key)) return;
  MakeRoom(shard, bytes);
  shard.ring.push_back({key, std::move(entry), bytes, false});
  shard.index.emplace(key, std::prev(shard.ring.end()));
  shard.bytes += bytes;
}

void PageCache::MakeRoom(Shard& shard, uint64_t bytes) {
  while (shard.bytes + bytes > shard_capacity_bytes_) {
    const auto hand = shard.ring.begin();
    if (hand->used) {
      hand->used = false;
      shard.ring.splice(shard.ring.end(), shard.ring, hand);
      continue;
    }
    shard.bytes -= hand->bytes;
    shard.index.erase(hand->key);
    shard.ring.pop_front();
  }
}

void PageCache::Erase(uint64_t owner) {
  for (Shard& shard : shards_) {
    MutexLock lock(&shard.mutex);
    for (auto entry = shard.ring.begin(); entry != shard.ring.end();) {
      if (entry->key.first != owner) {
        ++entry;
        continue;
      }
      shard.bytes -= entry->bytes;
      shard.index.erase(entry->key);
      entry = shard.ring.erase(entry);
    }
  }
}

PageCache::Counters PageCache::counters() const {
  Counters counters;
  for (const Shard& shard : shards_) {
    MutexLock lock(&shard.mutex);
    counters.hits += shard.hits;
    counters.misses += shard.misses;
    counters.pages += shard.ring.size();
    counters.bytes += shard.bytes;
  }
  return counters;
}

}  // namespace nexus::layer
