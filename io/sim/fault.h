// Fault: the classes of faults the simulated world can inject, each with a rate and a mask bit.
//
// Rates are in events per million opportunities and zero by default: a world is benign unless told
// otherwise. Each class draws from a random stream of its own, so masking one out leaves the others
// as they were. Numbers D1-D10 are those of the disk contract (TESTING section 2).

#ifndef NEXUS_IO_SIM_FAULT_H_
#define NEXUS_IO_SIM_FAULT_H_

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>

namespace nexus::sim {

enum class Fault : uint8_t {
  kWriteError,          // D9: EIO; any of the write's sectors may have been written
  kNoSpace,             // D9: ENOSPC though there is room; nothing written
  kQuota,               // D9: EDQUOT; nothing written
  kReadOnlyError,       // D9: EROFS, this once; nothing written
  kShortWrite,          // D9: a prefix is written
  kShortRead,           // a prefix is read
  kInterrupted,         // EINTR from a read or a write; nothing happened
  kReadError,           // D8: a sector at rest becomes unreadable for good, until it is overwritten
  kBitRot,              // D8: a bit of a sector at rest flips for good
  kMisdirectedRead,     // D8: a sector at rest reads as another sector of the file, for good
  kSyncError,           // D3: EIO; what was not durable is unknown for ever, the handle is dead
  kDirectorySyncError,  // EIO; nothing became durable
  kMetadataError,     // EIO from open, rename, unlink, mkdir, rmdir, allocate, truncate; no effect
  kSlowOperation,     // an operation takes up to Options::slow_ns longer
  kGarbageSector,     // D6, D7: what was in flight or lost at a power cut may read as garbage
  kClockJump,         // the wall clock jumps when it is read
  kConnectRefused,    // ECONNREFUSED though somebody listens
  kConnectionReset,   // both ends of a connection are reset
  kConnectionSilent,  // nothing arrives on a connection any more, and neither end is told
};
inline constexpr size_t kFaultCount = static_cast<size_t>(Fault::kConnectionSilent) + 1;

const char* FaultName(Fault fault);

struct FaultRates {
  std::array<uint32_t, kFaultCount> per_million{};

  uint32_t& operator[](Fault fault) { return per_million[static_cast<size_t>(fault)]; }
  uint32_t operator[](Fault fault) const { return per_million[static_cast<size_t>(fault)]; }
};

// Which classes may hit at all.
class FaultMask {
 public:
  static FaultMask All() {
    FaultMask mask;
    mask.bits_.set();
    return mask;
  }
  static FaultMask None() { return FaultMask(); }
  FaultMask& Set(Fault fault, bool on) {
    bits_.set(static_cast<size_t>(fault), on);
    return *this;
  }
  bool Has(Fault fault) const { return bits_.test(static_cast<size_t>(fault)); }

 private:
  std::bitset<kFaultCount> bits_;
};

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_FAULT_H_
