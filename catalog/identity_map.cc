// The table from identities to ids. See identity_map.h.

#include "catalog/identity_map.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace nexus::catalog {
namespace {

// Look-ups whose cache misses FindMany overlaps: beyond the fill buffers of a core it gains
// nothing.
constexpr size_t kBatch = 32;

}  // namespace

IdentityMap::IdentityMap() : table_(1ull << kInitialBits) {}
IdentityMap::~IdentityMap() = default;

// The identity with the tenant mixed in: tenants may have the same seed (one restored from
// another's backup), and their series must not meet. Multiplication by an odd number is one to one,
// so equal identities of two tenants always differ in `high`.
Hash128 IdentityMap::KeyOf(TenantId tenant, Hash128 identity) {
  uint64_t mixed = tenant.value * 0x9e3779b97f4a7c15;
  return {identity.high ^ mixed, identity.low ^ std::rotl(mixed, 32)};
}

// The tag's top bits, so that tags ascend along the table (but for what probing displaced) and
// growing keeps their order.
uint64_t IdentityMap::HomeOf(uint32_t tag) const { return tag >> (32 - bits_); }

const IdentityMap::Chunk& IdentityMap::ChunkOf(uint32_t slot) const {
  return *chunks_[(slot >> kChunkBits) - 1];
}

IdentityMap::Chunk& IdentityMap::ChunkOf(uint32_t slot) {
  return *chunks_[(slot >> kChunkBits) - 1];
}

SeriesId IdentityMap::IdAt(uint32_t slot) const {
  const Chunk& chunk = ChunkOf(slot);
  return {static_cast<uint64_t>(chunk.id_high) << 32 | chunk.id_lows[slot % kChunkSlots]};
}

uint32_t IdentityMap::SlotOf(Hash128 key, uint64_t* at) const {
  const uint32_t tag = TagOf(key);
  const uint64_t mask = table_.size() - 1;
  for (*at = HomeOf(tag); table_[*at].slot != 0; *at = (*at + 1) & mask) {
    if (table_[*at].tag != tag) continue;
    const uint32_t slot = table_[*at].slot;
    if (ChunkOf(slot).identities[slot % kChunkSlots] == key) return slot;
  }
  return 0;
}

SeriesId IdentityMap::FindKey(Hash128 key) const {
  uint64_t at = 0;
  const uint32_t slot = SlotOf(key, &at);
  return slot == 0 ? SeriesId{} : IdAt(slot);
}

SeriesId IdentityMap::Find(TenantId tenant, Hash128 identity) const {
  MutexLock lock(&mutex_);
  return FindKey(KeyOf(tenant, identity));
}

SeriesId IdentityMap::FindAndTouch(TenantId tenant, Hash128 identity) {
  MutexLock lock(&mutex_);
  uint64_t at = 0;
  const uint32_t slot = SlotOf(KeyOf(tenant, identity), &at);
  if (slot == 0) return {};
  ChunkOf(slot).touched.set(slot % kChunkSlots);
  return IdAt(slot);
}

void IdentityMap::Untouch(TenantId tenant, Hash128 identity) {
  MutexLock lock(&mutex_);
  uint64_t at = 0;
  const uint32_t slot = SlotOf(KeyOf(tenant, identity), &at);
  if (slot != 0) ChunkOf(slot).touched.reset(slot % kChunkSlots);
}

bool IdentityMap::WasTouched(TenantId tenant, Hash128 identity) const {
  MutexLock lock(&mutex_);
  uint64_t at = 0;
  const uint32_t slot = SlotOf(KeyOf(tenant, identity), &at);
  return slot == 0 || ChunkOf(slot).touched.test(slot % kChunkSlots);
}

void IdentityMap::FindMany(TenantId tenant, std::span<const Hash128> identities,
                           std::span<SeriesId> ids) const {
  NEXUS_CHECK(identities.size() == ids.size());
  for (size_t begin = 0; begin < identities.size(); begin += kBatch) {
    const size_t end = std::min(begin + kBatch, identities.size());
    MutexLock lock(&mutex_);
    for (size_t i = begin; i < end; i++) {
      __builtin_prefetch(&table_[HomeOf(TagOf(KeyOf(tenant, identities[i])))]);
    }
    for (size_t i = begin; i < end; i++) {
      const Entry& home = table_[HomeOf(TagOf(KeyOf(tenant, identities[i])))];
      if (home.slot != 0) {
        __builtin_prefetch(&ChunkOf(home.slot).identities[home.slot % kChunkSlots]);
      }
    }
    for (size_t i = begin; i < end; i++) ids[i] = FindKey(KeyOf(tenant, identities[i]));
  }
}

StatusOr<SeriesId> IdentityMap::Insert(TenantId tenant, Hash128 identity, SeriesId id) {
  NEXUS_CHECK(id.value != 0);
  const Hash128 key = KeyOf(tenant, identity);
  MutexLock lock(&mutex_);
  uint64_t at = 0;
  if (const uint32_t known = SlotOf(key, &at); known != 0) {
    ChunkOf(known).touched.set(known % kChunkSlots);
    return IdAt(known);
  }
  if (size_ == kSeriesMax) return ResourceExhausted("{} series are in use; no more fit", size_);
  NEXUS_ASSIGN_OR_RETURN(uint32_t slot, AddSlot(key, id));
  if ((size_ + 1) * 8 > table_.size() * 7) Grow();
  Place({TagOf(key), slot});
  size_++;
  return id;
}

void IdentityMap::Remove(TenantId tenant, Hash128 identity, SeriesId id) {
  MutexLock lock(&mutex_);
  uint64_t hole = 0;
  const uint32_t slot = SlotOf(KeyOf(tenant, identity), &hole);
  if (slot == 0 || IdAt(slot) != id) return;
  // Probing must not end at the hole (Knuth, The Art of Computer Programming, vol. 3, 6.4, R): what
  // stands behind it and may stand in it moves there.
  const uint64_t mask = table_.size() - 1;
  for (uint64_t at = (hole + 1) & mask; table_[at].slot != 0; at = (at + 1) & mask) {
    const uint64_t home = HomeOf(table_[at].tag);
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    table_[hole] = table_[at];
    hole = at;
  }
  table_[hole] = Entry{};
  free_slots_[static_cast<uint32_t>(id.value >> 32)].push_back(slot);
  freed_++;
  size_--;
}

void IdentityMap::Place(Entry entry) {
  const uint64_t mask = table_.size() - 1;
  uint64_t at = HomeOf(entry.tag);
  while (table_[at].slot != 0) at = (at + 1) & mask;
  table_[at] = entry;
}

void IdentityMap::Grow() {
  std::vector<Entry> old(table_.size() * 2);
  old.swap(table_);
  bits_++;
  for (const Entry& entry : old) {
    if (entry.slot != 0) Place(entry);
  }
}

StatusOr<uint32_t> IdentityMap::AddSlot(Hash128 key, SeriesId id) {
  const uint32_t high = static_cast<uint32_t>(id.value >> 32);
  if (auto freed = free_slots_.find(high); freed != free_slots_.end()) {
    const uint32_t slot = freed->second.back();
    freed->second.pop_back();
    if (freed->second.empty()) free_slots_.erase(freed);
    freed_--;
    FillSlot(slot, key, id);
    return slot;
  }
  auto open = open_chunks_.find(high);
  if (open == open_chunks_.end() || chunks_[open->second]->used == kChunkSlots) {
    if (chunks_.size() == kChunksMax) {
      return ResourceExhausted("{} series are in use; no more fit", size_);
    }
    open = open_chunks_.insert_or_assign(high, static_cast<uint32_t>(chunks_.size())).first;
    chunks_.push_back(std::make_unique<Chunk>(high));
  }
  Chunk& chunk = *chunks_[open->second];
  const uint32_t slot = (open->second + 1) << kChunkBits | chunk.used++;
  FillSlot(slot, key, id);
  return slot;
}

void IdentityMap::FillSlot(uint32_t slot, Hash128 key, SeriesId id) {
  Chunk& chunk = ChunkOf(slot);
  const uint32_t index = slot % kChunkSlots;
  chunk.id_lows[index] = static_cast<uint32_t>(id.value);
  chunk.identities[index] = key;
  chunk.touched.set(index);
}

uint64_t IdentityMap::size() const {
  MutexLock lock(&mutex_);
  return size_;
}

uint64_t IdentityMap::memory_bytes() const {
  MutexLock lock(&mutex_);
  return table_.capacity() * sizeof(Entry) + chunks_.size() * sizeof(Chunk) +
         chunks_.capacity() * sizeof(std::unique_ptr<Chunk>) +
         open_chunks_.capacity() * (sizeof(std::pair<uint32_t, uint32_t>) + 1) +
         freed_ * sizeof(uint32_t);
}

}  // namespace nexus::catalog
