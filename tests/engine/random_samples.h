// Random samples and chunkings for property tests, from a seed that rapidcheck draws.

#ifndef NEXUS_TESTS_ENGINE_RANDOM_SAMPLES_H_
#define NEXUS_TESTS_ENGINE_RANDOM_SAMPLES_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "tests/engine/fake_sources.h"

namespace nexus::engine {

class RandomSamples {
 public:
  explicit RandomSamples(uint64_t seed) : random_(seed) {}

  uint64_t Below(uint64_t n) { return std::uniform_int_distribution<uint64_t>(0, n - 1)(random_); }
  bool OneIn(uint64_t n) { return Below(n) == 0; }

  // Within `span` around 0 or, one time in four, at an end of time; 4,000 (200 steps of 20) below
  // the later one, so that Timestamps has room.
  int64_t Around(uint64_t span) {
    const auto offset = static_cast<int64_t>(Below(span));
    if (!OneIn(4)) return offset - static_cast<int64_t>(span / 2);
    constexpr int64_t kRoom = 4000;
    return OneIn(2) ? std::numeric_limits<int64_t>::min() + offset
                    : std::numeric_limits<int64_t>::max() - kRoom - offset;
  }

  // Timestamps ascend; some stand at the ends of int64.
  std::vector<int64_t> Timestamps(size_t count, int64_t from, uint64_t step_max) {
    std::set<int64_t> ts;
    for (int64_t at = from; ts.size() < count;) {
      at += static_cast<int64_t>(1 + Below(step_max));
      ts.insert(at);
    }
    if (OneIn(4)) ts.insert(std::numeric_limits<int64_t>::min());
    if (OneIn(4)) ts.insert(std::numeric_limits<int64_t>::max());
    if (OneIn(8)) ts.insert(std::numeric_limits<int64_t>::max() - 1);
    return {ts.begin(), ts.end()};
  }

  enum class Values { kOrdinary, kSpecial, kCounter };
  std::vector<double> Numbers(size_t count, Values kind) {
    std::vector<double> values;
    double counter = 0;
    for (size_t i = 0; i < count; i++) {
      double number = std::ldexp(static_cast<double>(static_cast<int64_t>(random_())),
                                 static_cast<int>(Below(40)) - 80);
      if (kind == Values::kCounter) {
        counter = OneIn(10) ? 0 : counter + static_cast<double>(Below(100)) / 8;
        number = counter;
      }
      if (kind != Values::kOrdinary && OneIn(6)) {
        constexpr double kSpecials[] = {0.0,
                                        -0.0,
                                        std::numeric_limits<double>::quiet_NaN(),
                                        -std::numeric_limits<double>::quiet_NaN(),
                                        std::numeric_limits<double>::infinity(),
                                        -std::numeric_limits<double>::infinity(),
                                        std::numeric_limits<double>::denorm_min(),
                                        1.0};
        number = kSpecials[Below(std::size(kSpecials))];
      }
      values.push_back(number);
    }
    return values;
  }

  // Cuts samples into chunks of random lengths.
  std::vector<FakeChunk> Cut(const std::vector<int64_t>& ts, const std::vector<double>& values,
                             size_t chunk_max) {
    std::vector<FakeChunk> chunks;
    for (size_t begin = 0; begin < ts.size();) {
      size_t count = std::min<size_t>(1 + Below(chunk_max), ts.size() - begin);
      auto at = static_cast<ptrdiff_t>(begin);
      auto end = static_cast<ptrdiff_t>(begin + count);
      chunks.push_back({{ts.begin() + at, ts.begin() + end},
                        {values.begin() + at, values.begin() + end},
                        !OneIn(3),
                        OneIn(2)});
      begin += count;
    }
    return chunks;
  }

 private:
  std::mt19937_64 random_;
};

}  // namespace nexus::engine

#endif  // NEXUS_TESTS_ENGINE_RANDOM_SAMPLES_H_
