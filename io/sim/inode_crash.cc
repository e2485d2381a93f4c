// What a failed sync and a power cut make of a simulated file: D3, D5, D6, D7. See inode.h.
//
// A file's changes since its last sync, those in flight included, are grouped by sector; of each
// sector one version survives, or none. Choice 0 is everywhere the newest.

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "io/sim/inode.h"

namespace nexus::sim {
namespace {

using io::kSectorBytes;

// Disks promise at best that these bytes are written whole; a torn sector mixes runs of them.
constexpr uint64_t kTornBytes = 512;
static_assert(kSectorBytes % kTornBytes == 0);

constexpr uint64_t kModes = 4;

}  // namespace

// Makes what is in flight the newest changes, without making it visible.
void Inode::AddInFlight(std::span<const InFlightWrite> writes) {
  uint64_t end = size_;
  for (const InFlightWrite& write : writes) {
    if (write.bytes.empty()) continue;
    const uint64_t sequence = next_sequence_++;
    for (uint64_t done = 0; done < write.bytes.size();) {
      const uint64_t s = (write.offset + done) / kSectorBytes;
      const uint64_t within = (write.offset + done) % kSectorBytes;
      const uint64_t n = std::min(write.bytes.size() - done, kSectorBytes - within);
      TakeSpace(s);
      // Over what was visible: two writes in flight to parts of one sector do not both survive.
      BlockRef block = Overlay(sectors_[s].visible, within, write.bytes.subspan(done, n));
      changes_.push_back({sequence, s, std::move(block), /*in_flight=*/true});
      done += n;
    }
    if (write.offset + write.bytes.size() > end) {
      end = write.offset + write.bytes.size();
      size_changes_.push_back({sequence, end, /*zeroed=*/false});
    }
  }
}

// D6: the size survives apart from the data.
void Inode::SurviveSize(Mode mode, ChoiceSource* choices) {
  const uint64_t n = size_changes_.size();
  if (n == 0 || mode == Mode::kNothing) return;
  const uint64_t lost = mode == Mode::kAll ? 0 : choices->Choose(Stream::kCrash, n + 1);
  if (lost < n) SetDurableSize(size_changes_[n - 1 - lost]);
}

BlockRef Inode::Garbage(const BlockRef& before, const BlockRef& after,
                        const Survival& survival) const {
  auto block = std::make_shared<Block>();
  switch (survival.choices->Choose(StreamOf(Fault::kGarbageSector), 3)) {
    case 0:  // torn inside: each part is old or new
      for (uint64_t at = 0; at < kSectorBytes; at += kTornBytes) {
        const BlockRef& from = survival.garbage->Below(2) == 0 ? before : after;
        if (from != nullptr) std::memcpy(&block->bytes[at], &from->bytes[at], kTornBytes);
      }
      return block;
    case 1:  // an older life of some other place
      return sectors_[survival.garbage->Below(sectors_.size())].durable;
    default:
      for (uint64_t at = 0; at < kSectorBytes; at += sizeof(uint64_t)) {
        StoreUnaligned(&block->bytes[at], survival.garbage->Next());
      }
      return block;
  }
}

// D7 for one sector: `versions` are its changes by rising sequence.
void Inode::SurviveSector(std::span<const Change> versions, const Survival& survival) {
  const uint64_t n = versions.size();
  const uint64_t lost = survival.choices->Choose(Stream::kCrash, n + 1);
  Sector& sector = sectors_[versions[0].sector];
  const BlockRef before = sector.durable;
  if (lost < n) SetDurable(versions[n - 1 - lost]);
  // The kernel may be writing any page back when the power goes, so garbage is not for writes in
  // flight alone; but a lost write leaves what was durable unharmed.
  const bool unwritten = lost == n && sector.durable_sequence == 0 &&
                         versions[0].sector * kSectorBytes >= durable_zeroed_bytes_;
  if (lost == n && !unwritten) return;
  if (survival.choices->Chance(StreamOf(Fault::kGarbageSector), survival.garbage_per_million)) {
    sector.durable = Garbage(before, versions[n - 1].block, survival);
  }
}

void Inode::SurviveSectors(Mode mode, const Survival& survival) {
  if (mode == Mode::kNothing) return;
  if (mode == Mode::kPrefix) {
    const uint64_t lost = survival.choices->Choose(Stream::kCrash, changes_.size() + 1);
    changes_.resize(changes_.size() - lost);
  }
  if (mode != Mode::kEach) {
    for (const Change& change : changes_) SetDurable(change);
    return;
  }
  std::stable_sort(changes_.begin(), changes_.end(),
                   [](const Change& a, const Change& b) { return a.sector < b.sector; });
  for (size_t begin = 0; begin < changes_.size();) {
    size_t end = begin + 1;
    while (end < changes_.size() && changes_[end].sector == changes_[begin].sector) end++;
    SurviveSector({&changes_[begin], end - begin}, survival);
    begin = end;
  }
}

// Cuts the file to its durable size and makes what is durable all there is.
void Inode::ForgetTheRest() {
  const uint64_t tail = durable_size_ % kSectorBytes;
  sectors_.resize(
      std::min<uint64_t>(sectors_.size(), AlignUp(durable_size_, kSectorBytes) / kSectorBytes));
  if (tail != 0 && durable_size_ / kSectorBytes < sectors_.size()) {
    BlockRef& last = sectors_.back().durable;
    if (last != nullptr) {
      const std::array<std::byte, kSectorBytes> zeros{};
      last = Overlay(last, tail, Bytes(zeros.data(), kSectorBytes - tail));
    }
  }
  allocated_sectors_ = 0;
  for (Sector& sector : sectors_) {
    sector.visible = sector.durable;
    if (sector.durable != nullptr) sector.allocated = true;
    allocated_sectors_ += sector.allocated;
  }
  changes_.clear();
  size_changes_.clear();
  size_ = durable_size_;
  durable_zeroed_bytes_ = durable_size_;  // whatever it reads as now stays
}

void Inode::PowerCut(std::span<const InFlightWrite> in_flight, const Survival& survival) {
  AddInFlight(in_flight);
  if (pending()) {
    const auto mode = static_cast<Mode>(survival.choices->Choose(Stream::kCrash, kModes));
    SurviveSize(mode, survival.choices);
    SurviveSectors(mode, survival);
  }
  ForgetTheRest();
}

void Inode::LoseUnsynced(ChoiceSource* choices) {
  if (!pending()) return;
  const auto mode = static_cast<Mode>(choices->Choose(Stream::kCrash, kModes));
  SurviveSize(mode, choices);
  const std::vector<Change> lost = changes_;
  SurviveSectors(mode, Survival{choices, nullptr, 0});
  // The kernel marked the pages clean; it may drop them from its cache, or not, at any time.
  for (const Change& change : lost) {
    Sector& sector = sectors_[change.sector];
    if (choices->Choose(Stream::kCrash, 2) == 1) sector.visible = sector.durable;
  }
  changes_.clear();
  size_changes_.clear();
}

}  // namespace nexus::sim
