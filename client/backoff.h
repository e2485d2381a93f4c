// Backoff: how long to wait before trying again - twice as long each time, up to a cap, with
// jitter, so that clients that lost one server do not come back as one.
//
// Threading: values.

#ifndef NEXUS_CLIENT_BACKOFF_H_
#define NEXUS_CLIENT_BACKOFF_H_

#include <algorithm>
#include <cstdint>

namespace nexus::client {

class Backoff {
 public:
  // 20 ms: a server that restarts needs longer, a dropped connection does not. 5 s: a person who
  // brings a server back should not wait for its clients.
  static constexpr int64_t kFirstNs = 20'000'000;
  static constexpr int64_t kCapNs = 5'000'000'000;

  explicit Backoff(uint64_t seed) : state_(seed) {}

  // Between half of the current step and all of it; the step then doubles.
  int64_t Next() {
    int64_t step = step_ns_;
    step_ns_ = std::min(2 * step_ns_, kCapNs);
    // splitmix64.
    uint64_t mixed = state_ += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    mixed ^= mixed >> 31;
    return step / 2 + static_cast<int64_t>(mixed % static_cast<uint64_t>(step / 2 + 1));
  }
  // What was tried worked.
  void Reset() { step_ns_ = kFirstNs; }

 private:
  int64_t step_ns_ = kFirstNs;
  uint64_t state_;
};

}  // namespace nexus::client

#endif  // NEXUS_CLIENT_BACKOFF_H_
