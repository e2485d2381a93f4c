// ChoiceSource: where every decision of the simulated world comes from.
//
// One call, Choose(stream, n), stands behind scheduling, delays, faults and what survives a crash;
// 0 is always the benign outcome (run in order, no delay, no fault, everything survives). So one
// world runs from a seed (SeededChoices), through all outcomes of a small protocol
// (EnumeratedChoices), or from a fuzzer's bytes (ByteChoices). Streams are independent: drawing
// more from one never shifts another. Threading: values of one world, one thread.

#ifndef NEXUS_IO_SIM_CHOICE_H_
#define NEXUS_IO_SIM_CHOICE_H_

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "base/bytes.h"
#include "io/sim/fault.h"

namespace nexus::sim {

// xoshiro256** (Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", 2021),
// seeded by splitmix64 as its authors advise.
class Rng {
 public:
  explicit Rng(uint64_t seed);
  uint64_t Next();
  // Uniform in [0, n). REQUIRES: n > 0.
  uint64_t Below(uint64_t n);

 private:
  std::array<uint64_t, 4> state_;
};

// splitmix64's finaliser: a bijection that spreads every bit over all.
uint64_t MixBits(uint64_t value);

enum class Stream : uint8_t {
  kSchedule,    // which ready node runs next
  kLatency,     // how long operations and work take
  kCrash,       // what survives a power cut, a process kill, a failed sync
  kWorkload,    // for the driver of the world: what to do next
  kTunable,     // for the driver of the world: settings of the system under test
  kFirstFault,  // one stream for each class of Fault from here on
};
// How bytes are cut into pieces on the simulated network, and what of them survives a reset. Behind
// the faults, so that it shifted no stream that was there before it.
inline constexpr Stream kNetworkStream =
    static_cast<Stream>(static_cast<size_t>(Stream::kFirstFault) + kFaultCount);
inline constexpr size_t kStreamCount = static_cast<size_t>(kNetworkStream) + 1;

constexpr Stream StreamOf(Fault fault) {
  return static_cast<Stream>(static_cast<size_t>(Stream::kFirstFault) + static_cast<size_t>(fault));
}

class ChoiceSource {
 public:
  virtual ~ChoiceSource() = default;
  // A number in [0, n); 0 is the benign one. REQUIRES: n > 0.
  virtual uint64_t Choose(Stream stream, uint64_t n) = 0;
  // True in `per_million` of a million cases; never draws for 0.
  virtual bool Chance(Stream stream, uint32_t per_million);
};

// From a seed: each stream is a generator of its own.
class SeededChoices : public ChoiceSource {
 public:
  explicit SeededChoices(uint64_t seed);
  uint64_t Choose(Stream stream, uint64_t n) override;

 private:
  std::vector<Rng> streams_;
};

// Walks all outcomes of the chosen streams, depth first; all other streams are benign.
//
//   EnumeratedChoices choices({Stream::kCrash});
//   do {
//     World world(&choices, seed, options);
//     ... the protocol, a crash, recovery, the check ...
//   } while (choices.Advance());
//
// REQUIRES: the run is a function of the choices (a world is). A chance of any rate but 0 is a
// choice of two.
class EnumeratedChoices : public ChoiceSource {
 public:
  EnumeratedChoices(std::initializer_list<Stream> streams);
  uint64_t Choose(Stream stream, uint64_t n) override;
  bool Chance(Stream stream, uint32_t per_million) override;
  // Goes to the next run; false if the last one was the last.
  bool Advance();
  // Runs begun, this one included.
  uint64_t runs() const { return runs_; }

 private:
  struct Branch {
    uint64_t chosen;
    uint64_t ways;
  };
  std::bitset<kStreamCount> enumerated_;
  std::vector<Branch> path_;
  size_t depth_ = 0;
  uint64_t runs_ = 1;
};

// From bytes, two a choice, in the order the choices are made; benign once they are used up.
class ByteChoices : public ChoiceSource {
 public:
  explicit ByteChoices(Bytes bytes) : reader_(bytes) {}
  uint64_t Choose(Stream stream, uint64_t n) override;

 private:
  ByteReader reader_;
};

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_CHOICE_H_
