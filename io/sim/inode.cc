// Contents of simulated files in normal life. What a crash leaves: inode_crash.cc. See inode.h.

#include "io/sim/inode.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace nexus::sim {
namespace {

using io::kSectorBytes;

constexpr std::array<std::byte, kSectorBytes> kZeroSector{};

bool IsZero(Bytes bytes) {
  return std::memcmp(bytes.data(), kZeroSector.data(), bytes.size()) == 0;
}

BlockRef NewBlock(Bytes sector) {
  if (IsZero(sector)) return nullptr;
  auto block = std::make_shared_for_overwrite<Block>();
  std::memcpy(block->bytes.data(), sector.data(), kSectorBytes);
  return block;
}

uint64_t SectorsOf(uint64_t bytes) { return (bytes + kSectorBytes - 1) / kSectorBytes; }

}  // namespace

BlockRef Inode::Overlay(const BlockRef& base, uint64_t from, Bytes bytes) const {
  if (bytes.size() == kSectorBytes) return NewBlock(bytes);
  auto block = std::make_shared<Block>();
  if (base != nullptr) block->bytes = base->bytes;
  std::memcpy(block->bytes.data() + from, bytes.data(), bytes.size());
  return block;
}

uint64_t Inode::MissingSectors(uint64_t offset, uint64_t bytes) const {
  uint64_t missing = 0;
  for (uint64_t s = offset / kSectorBytes; s < SectorsOf(offset + bytes); s++) {
    if (s >= sectors_.size() || !sectors_[s].allocated) missing++;
  }
  return missing;
}

uint64_t Inode::Read(uint64_t offset, MutableBytes into) const {
  if (offset >= size_) return 0;
  const uint64_t bytes = std::min<uint64_t>(into.size(), size_ - offset);
  for (uint64_t done = 0; done < bytes;) {
    const uint64_t s = (offset + done) / kSectorBytes;
    const uint64_t within = (offset + done) % kSectorBytes;
    const uint64_t n = std::min(bytes - done, kSectorBytes - within);
    const Block* block = s < sectors_.size() ? sectors_[s].visible.get() : nullptr;
    if (block != nullptr) {
      std::memcpy(into.data() + done, block->bytes.data() + within, n);
    } else {
      std::memset(into.data() + done, 0, n);
    }
    done += n;
  }
  return bytes;
}

std::string Inode::Content(BlockRef Sector::*version, uint64_t size) const {
  std::string content(size, '\0');
  for (uint64_t s = 0; s < std::min<uint64_t>(sectors_.size(), SectorsOf(size)); s++) {
    const BlockRef& block = sectors_[s].*version;
    if (block == nullptr) continue;
    const uint64_t n = std::min(kSectorBytes, size - s * kSectorBytes);
    std::memcpy(content.data() + s * kSectorBytes, block->bytes.data(), n);
  }
  return content;
}

std::string Inode::VisibleContent() const { return Content(&Sector::visible, size_); }
std::string Inode::DurableContent() const { return Content(&Sector::durable, durable_size_); }

void Inode::TakeSpace(uint64_t sector) {
  if (sector >= sectors_.size()) sectors_.resize(sector + 1);
  if (sectors_[sector].allocated) return;
  sectors_[sector].allocated = true;
  allocated_sectors_++;
}

void Inode::SetVisible(uint64_t sector, BlockRef block, uint64_t sequence) {
  sectors_[sector].visible = block;
  changes_.push_back({sequence, sector, std::move(block)});
}

uint64_t Inode::Write(uint64_t offset, Bytes from) {
  const uint64_t sequence = next_sequence_++;
  if (from.empty()) return sequence;  // does not extend the file
  for (uint64_t done = 0; done < from.size();) {
    const uint64_t s = (offset + done) / kSectorBytes;
    const uint64_t within = (offset + done) % kSectorBytes;
    const uint64_t n = std::min(from.size() - done, kSectorBytes - within);
    TakeSpace(s);
    SetVisible(s, Overlay(sectors_[s].visible, within, from.subspan(done, n)), sequence);
    if (!unreadable_.empty()) unreadable_.erase(s);
    done += n;
  }
  if (offset + from.size() > size_) {
    size_ = offset + from.size();
    size_changes_.push_back({sequence, size_, /*zeroed=*/false});
  }
  return sequence;
}

void Inode::Allocate(uint64_t bytes) {
  const uint64_t sequence = next_sequence_++;
  for (uint64_t s = 0; s < SectorsOf(bytes); s++) TakeSpace(s);
  if (bytes <= size_) return;
  size_ = bytes;
  size_changes_.push_back({sequence, size_, /*zeroed=*/true});
}

void Inode::Truncate(uint64_t bytes) {
  const uint64_t sequence = next_sequence_++;
  for (uint64_t s = SectorsOf(bytes); s < sectors_.size(); s++) {
    if (sectors_[s].allocated) allocated_sectors_--;
    sectors_[s].allocated = false;
    if (sectors_[s].visible != nullptr) SetVisible(s, nullptr, sequence);
  }
  const uint64_t tail = bytes % kSectorBytes;
  const uint64_t last = bytes / kSectorBytes;
  if (tail != 0 && last < sectors_.size() && sectors_[last].visible != nullptr && bytes < size_) {
    const Bytes zeros(kZeroSector.data(), kSectorBytes - tail);
    SetVisible(last, Overlay(sectors_[last].visible, tail, zeros), sequence);
  }
  if (bytes == size_) return;
  size_changes_.push_back({sequence, bytes, /*zeroed=*/bytes > size_});
  size_ = bytes;
}

void Inode::SetDurable(const Change& change) {
  Sector& sector = sectors_[change.sector];
  if (change.sequence < sector.durable_sequence) return;
  sector.durable = change.block;
  sector.durable_sequence = change.sequence;
}

void Inode::SetDurableSize(const SizeChange& change) {
  if (change.zeroed) durable_zeroed_bytes_ = std::max(durable_zeroed_bytes_, change.size);
  if (change.sequence < durable_size_sequence_) return;
  durable_size_ = change.size;
  durable_size_sequence_ = change.sequence;
  durable_zeroed_bytes_ = std::min(durable_zeroed_bytes_, durable_size_);
}

void Inode::MakeDurable(uint64_t before, uint64_t own) {
  auto covered = [&](uint64_t sequence) { return sequence < before || sequence == own; };
  for (const Change& change : changes_) {
    if (covered(change.sequence)) SetDurable(change);
  }
  for (const SizeChange& change : size_changes_) {
    if (covered(change.sequence)) SetDurableSize(change);
  }
  // What is older than the durable content of its place can no longer come back.
  std::erase_if(changes_, [&](const Change& change) {
    return covered(change.sequence) || change.sequence < sectors_[change.sector].durable_sequence;
  });
  std::erase_if(size_changes_, [&](const SizeChange& change) {
    return covered(change.sequence) || change.sequence < durable_size_sequence_;
  });
}

bool Inode::AtRest(uint64_t sector) const {
  if (sector >= sectors_.size() || sector >= SectorsOf(size_)) return false;
  return sectors_[sector].visible == sectors_[sector].durable;
}

void Inode::FlipBit(uint64_t offset, int bit) {
  const uint64_t s = offset / kSectorBytes;
  NEXUS_CHECK(offset < size_);
  if (s >= sectors_.size()) sectors_.resize(s + 1);
  Sector& sector = sectors_[s];
  const bool at_rest = sector.visible == sector.durable;
  auto block = std::make_shared<Block>();
  if (sector.durable != nullptr) block->bytes = sector.durable->bytes;
  block->bytes[offset % kSectorBytes] ^= std::byte{1} << bit;
  sector.durable = std::move(block);
  if (at_rest) sector.visible = sector.durable;
}

void Inode::Misdirect(uint64_t sector, uint64_t from_sector) {
  NEXUS_CHECK(sector < sectors_.size());
  const bool at_rest = AtRest(sector);
  sectors_[sector].durable =
      from_sector < sectors_.size() ? sectors_[from_sector].durable : nullptr;
  if (at_rest) sectors_[sector].visible = sectors_[sector].durable;
}

bool Inode::Unreadable(uint64_t offset, uint64_t bytes) const {
  if (unreadable_.empty() || bytes == 0) return false;
  auto it = unreadable_.lower_bound(offset / kSectorBytes);
  return it != unreadable_.end() && *it <= (offset + bytes - 1) / kSectorBytes;
}

}  // namespace nexus::sim
