// rapidcheck generators of columns: values and timestamps of the shapes telemetry has, and of those
// it should not have.

#ifndef NEXUS_TESTS_LAYER_GENERATORS_H_
#define NEXUS_TESTS_LAYER_GENERATORS_H_

#include <rapidcheck.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

namespace nexus::layer::testing {

// splitmix64: rapidcheck chooses the seed and the shape, this fills long columns quickly.
struct Mixer {
  uint64_t state;
  uint64_t Next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  uint64_t Below(uint64_t bound) { return Next() % bound; }
};

inline double SpecialValue(Mixer& mix) {
  static constexpr uint64_t kSpecials[] = {
      0x0000000000000000, 0x8000000000000000,  // zeros
      0x0000000000000001, 0x8000000000000001,  // smallest subnormals
      0x000fffffffffffff, 0x0010000000000000,  // around the smallest normal
      0x7fefffffffffffff, 0xffefffffffffffff,  // largest finite
      0x7ff0000000000000, 0xfff0000000000000,  // infinities
      0x7ff0000000000001, 0x7ff8000000000000,  // signalling and quiet NaN
      0xfff8000000000000, 0x7ff0000000000002,  // default NaN, Prometheus' stale marker
      0x7fffffffffffffff, 0xffffffffffffffff,  // all payload bits
      0x4320000000000000, 0x4340000000000000,  // 2^51, 2^53
      0x3fb999999999999a, 0xbfb999999999999a,  // 0.1, -0.1
  };
  return std::bit_cast<double>(kSpecials[mix.Below(std::size(kSpecials))]);
}

constexpr int kValueShapes = 12;

inline double ValueOfShape(int shape, Mixer& mix, int64_t& walk, size_t i) {
  static constexpr double kPowers[] = {1e0, 1e1, 1e2, 1e3, 1e6, 1e15, 1e22};
  switch (shape) {
    case 0:  // any bits
      return std::bit_cast<double>(mix.Next());
    case 1:  // small integers, walking
      return static_cast<double>(walk += static_cast<int64_t>(mix.Below(7)) - 3);
    case 2:  // counter with resets
      walk = mix.Below(100) == 0 ? 0 : walk + static_cast<int64_t>(mix.Below(1000));
      return static_cast<double>(walk);
    case 3:  // decimals of a few places
      return static_cast<double>(static_cast<int64_t>(mix.Below(200000)) - 100000) / 100.0;
    case 4:  // decimals with rare specials
      if (mix.Below(50) == 0) return SpecialValue(mix);
      return static_cast<double>(mix.Below(1000)) / 1000.0;
    case 5:  // specials only
      return SpecialValue(mix);
    case 6:  // constant, seldom changing
      if (mix.Below(200) == 0) walk = static_cast<int64_t>(mix.Below(5));
      return static_cast<double>(walk) / 10.0;
    case 7:  // floats widened
      return std::bit_cast<float>(static_cast<uint32_t>(mix.Next()));
    case 8:  // multiples of a page
      return static_cast<double>((walk += static_cast<int64_t>(mix.Below(9)) - 4) * 4096);
    case 9:  // smooth
      return static_cast<double>(i * i) * 0.5;
    case 10:  // any exponent of ten, mantissas up to the limit
      return static_cast<double>(static_cast<int64_t>(mix.Next()) >> (12 + mix.Below(40))) /
             kPowers[mix.Below(std::size(kPowers))];
    default:  // a narrow range of doubles with full mantissas
      return 50.0 + static_cast<double>(mix.Next() >> 11) * 0x1p-53;
  }
}

inline std::vector<double> ColumnOfShape(int shape, size_t count, uint64_t seed) {
  Mixer mix{seed};
  int64_t walk = static_cast<int64_t>(mix.Below(100000));
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = ValueOfShape(shape, mix, walk, i);
  return values;
}

// Lengths: mostly short, and those around the powers of two that code cares about.
inline rc::Gen<size_t> Length(size_t max) {
  return rc::gen::oneOf(rc::gen::inRange<size_t>(1, 40),
                        rc::gen::element<size_t>(1, 63, 64, 65, 255, 256, 257, 1024, max - 1, max),
                        rc::gen::inRange<size_t>(1, max + 1));
}

inline rc::Gen<std::vector<double>> Values(size_t max = 8192) {
  return rc::gen::map(rc::gen::tuple(rc::gen::inRange(0, kValueShapes), Length(max),
                                     rc::gen::arbitrary<uint64_t>()),
                      [](const std::tuple<int, size_t, uint64_t>& drawn) {
                        return ColumnOfShape(std::get<0>(drawn), std::get<1>(drawn),
                                             std::get<2>(drawn));
                      });
}

constexpr int kTimestampShapes = 8;

// Strictly ascending timestamps.
inline std::vector<int64_t> TimestampsOfShape(int shape, size_t count, uint64_t seed) {
  Mixer mix{seed};
  constexpr int64_t kFirst = std::numeric_limits<int64_t>::min();
  constexpr int64_t kLast = std::numeric_limits<int64_t>::max();
  std::vector<int64_t> out(count);
  uint64_t at = static_cast<uint64_t>(1735689600000000000 + static_cast<int64_t>(mix.Below(1000)));
  for (size_t i = 0; i < count; ++i) {
    out[i] = static_cast<int64_t>(at);
    switch (shape) {
      case 0:  // steady
        at += 10'000'000'000;
        break;
      case 1:  // jittered milliseconds around a steady tick
        out[i] = static_cast<int64_t>(at + mix.Below(16) * 1'000'000);
        at += 10'000'000'000;
        break;
      case 2:  // drifting
        at += 1'000'000'000 + i / 7;
        break;
      case 3:  // irregular nanoseconds
        at += 1 + mix.Below(1'000'000'000);
        break;
      case 4:  // gaps
        at += mix.Below(50) == 0 ? 86'400'000'000'000 : 15'000'000'000;
        break;
      case 5:  // back to back
        at += 1;
        break;
      case 6:  // the whole range of int64
        out[i] = static_cast<int64_t>((uint64_t{1} << 63) + (~uint64_t{0} / count) * i);
        break;
      default:  // both ends
        out[i] = i < count / 2 ? kFirst + static_cast<int64_t>(i)
                               : kLast - static_cast<int64_t>(count - 1 - i);
        break;
    }
  }
  return out;
}

inline rc::Gen<std::vector<int64_t>> Timestamps(size_t max = 8192) {
  return rc::gen::map(rc::gen::tuple(rc::gen::inRange(0, kTimestampShapes), Length(max),
                                     rc::gen::arbitrary<uint64_t>()),
                      [](const std::tuple<int, size_t, uint64_t>& drawn) {
                        return TimestampsOfShape(std::get<0>(drawn), std::get<1>(drawn),
                                                 std::get<2>(drawn));
                      });
}

}  // namespace nexus::layer::testing

#endif  // NEXUS_TESTS_LAYER_GENERATORS_H_
