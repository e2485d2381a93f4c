// Generators behind the choices of a world. See choice.h.

#include "io/sim/choice.h"

#include <bit>

#include "base/check.h"

namespace nexus::sim {
namespace {

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;  // splitmix64's increment: 2^64 / phi
constexpr uint64_t kMillion = 1'000'000;

}  // namespace

uint64_t MixBits(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

Rng::Rng(uint64_t seed) {
  for (uint64_t& word : state_) {
    seed += kGolden;
    word = MixBits(seed);
  }
}

uint64_t Rng::Next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

uint64_t Rng::Below(uint64_t n) {
  // The high half of a 128-bit product; its bias, n / 2^64, shows in no test.
  return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * n) >> 64);
}

const char* FaultName(Fault fault) {
  static constexpr std::array<const char*, kFaultCount> kNames = {"write_error",
                                                                  "no_space",
                                                                  "quota",
                                                                  "read_only_error",
                                                                  "short_write",
                                                                  "short_read",
                                                                  "interrupted",
                                                                  "read_error",
                                                                  "bit_rot",
                                                                  "misdirected_read",
                                                                  "sync_error",
                                                                  "directory_sync_error",
                                                                  "metadata",
                                                                  "slow",
                                                                  "garbage_sector",
                                                                  "clock_jump",
                                                                  "connect_refused",
                                                                  "connection_reset",
                                                                  "connection_silent"};
  return kNames[static_cast<size_t>(fault)];
}

bool ChoiceSource::Chance(Stream stream, uint32_t per_million) {
  if (per_million == 0) return false;
  return Choose(stream, kMillion) + per_million >= kMillion;
}

SeededChoices::SeededChoices(uint64_t seed) {
  streams_.reserve(kStreamCount);
  for (size_t i = 0; i < kStreamCount; i++) {
    streams_.emplace_back(MixBits(seed + kGolden * (i + 1)));
  }
}

uint64_t SeededChoices::Choose(Stream stream, uint64_t n) {
  return streams_[static_cast<size_t>(stream)].Below(n);
}

EnumeratedChoices::EnumeratedChoices(std::initializer_list<Stream> streams) {
  for (Stream stream : streams) enumerated_.set(static_cast<size_t>(stream));
}

uint64_t EnumeratedChoices::Choose(Stream stream, uint64_t n) {
  if (n == 1 || !enumerated_.test(static_cast<size_t>(stream))) return 0;
  if (depth_ == path_.size()) path_.push_back({0, n});
  const Branch& branch = path_[depth_++];
  // A run that differs from the one before it with the same choices is no function of them.
  NEXUS_CHECK(branch.ways == n);
  return branch.chosen;
}

bool EnumeratedChoices::Chance(Stream stream, uint32_t per_million) {
  return per_million > 0 && Choose(stream, 2) == 1;
}

bool EnumeratedChoices::Advance() {
  while (!path_.empty() && path_.back().chosen + 1 == path_.back().ways) path_.pop_back();
  if (path_.empty()) return false;
  path_.back().chosen++;
  depth_ = 0;
  runs_++;
  return true;
}

uint64_t ByteChoices::Choose(Stream, uint64_t n) {
  if (n == 1 || reader_.remaining() < 2) return 0;
  // Two bytes scaled to [0, n): the fuzzer reaches every choice that tests make, and zero bytes are
  // benign.
  return reader_.U16() * n >> 16;
}

}  // namespace nexus::sim
