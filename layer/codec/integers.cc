// Choice of the codec, and exact division by the common divisor; see integers.h.
//
// The codecs that can win are told by a sample of 64 neighbours, then each of them is costed
// exactly: a full scan is cheaper than clever sampling, a hopeless full scan is not.

#include "layer/codec/integers.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "base/bytes.h"
#include "base/check.h"
#include "layer/codec/bitpack.h"
#include "layer/codec/extremes.h"

namespace nexus::layer {
namespace {

// Below this all codecs are tried; above it a sample drops those that have no chance.
constexpr size_t kSampledMin = 256;
// A codec is dropped if the sample sees it this many bits a value behind the best.
constexpr uint64_t kHopelessBits = 2;

// Exact division of many values by one divisor.
class ExactDivisor {
 public:
  explicit ExactDivisor(uint64_t divisor)
      : shift_(static_cast<unsigned>(std::countr_zero(divisor))) {
    const uint64_t odd = divisor >> shift_;
    // Newton's iteration doubles the right bits: 3, 6, 12, 24, 48, 96.
    inverse_ = odd;
    for (int i = 0; i < 5; ++i) inverse_ *= 2 - odd * inverse_;
    quotient_max_ = ~uint64_t{0} / odd;
  }
  bool Divides(uint64_t value) const {
    return (value & ((uint64_t{1} << shift_) - 1)) == 0 && Quotient(value) <= quotient_max_;
  }
  // REQUIRES: Divides(value).
  uint64_t Quotient(uint64_t value) const { return (value >> shift_) * inverse_; }

 private:
  unsigned shift_;
  uint64_t inverse_;
  uint64_t quotient_max_;
};

bool DividesAll(const ExactDivisor& divisor, std::span<const uint64_t> x) {
  bool all = true;
  for (uint64_t value : x) all &= divisor.Divides(value);
  return all;
}

// Bits that each codec would take for a few short runs of neighbours.
struct SampledBits {
  uint64_t frame = 0;
  uint64_t delta = 0;
  uint64_t delta_of_delta = 0;
  uint64_t linear = 0;
};
class SignsSeen {
 public:
  void Add(int64_t value) {
    negative_ |= value < 0;
    positive_ |= value > 0;
  }
  bool both() const { return negative_ && positive_; }

 private:
  bool negative_ = false;
  bool positive_ = false;
};
constexpr size_t kSampleRuns = 4;
constexpr size_t kSampleRunLength = 16;
constexpr size_t kSampled = kSampleRuns * kSampleRunLength;

SampledBits Sample(std::span<const uint64_t> x) {
  SampledBits bits;
  // The line through the ends; what strays from it furthest bounds the linear codec's width.
  const uint64_t slope = (x.back() - x.front()) / (x.size() - 1);
  int64_t under = 0;
  int64_t over = 0;
  // What never falls, or never rises, needs no sign: the frame of reference takes it away.
  SignsSeen differences;
  SignsSeen changes;
  for (size_t run = 0; run < kSampleRuns; ++run) {
    const size_t begin = 2 + run * (x.size() - kSampleRunLength - 2) / (kSampleRuns - 1);
    for (size_t i = begin; i < begin + kSampleRunLength; ++i) {
      const auto difference = static_cast<int64_t>(x[i] - x[i - 1]);
      const auto change = static_cast<int64_t>((x[i] - x[i - 1]) - (x[i - 1] - x[i - 2]));
      const auto stray = static_cast<int64_t>(x[i] - x.front() - i * slope);
      differences.Add(difference);
      changes.Add(change);
      bits.frame += BitWidth(x[i]);
      bits.delta += BitWidth(ZigZagEncode(difference));
      bits.delta_of_delta += BitWidth(ZigZagEncode(change));
      under = std::min(under, stray);
      over = std::max(over, stray);
    }
  }
  if (!differences.both()) bits.delta -= std::min<uint64_t>(bits.delta, kSampled);
  if (!changes.both()) bits.delta_of_delta -= std::min<uint64_t>(bits.delta_of_delta, kSampled);
  bits.linear = kSampled * BitWidth(static_cast<uint64_t>(over) - static_cast<uint64_t>(under));
  return bits;
}

// The cheapest plan so far. Ties keep the first, which is the simpler: the caller tries in that
// order.
struct Choice {
  IntegerPlan best;
  bool found = false;

  void Try(const IntegerCodec& codec, std::span<const uint64_t> x, IntegerScratch* scratch) {
    IntegerPlan plan;
    if (!codec.Plan(x, scratch, &plan)) return;
    if (found && plan.cost_bytes >= best.cost_bytes) return;
    best = plan;
    found = true;
  }
};

IntegerPlan Choose(std::span<const uint64_t> x, IntegerScratch* scratch) {
  SampledBits bits;
  if (x.size() >= kSampledMin) bits = Sample(x);
  const uint64_t enough = std::min({bits.frame, bits.delta, bits.delta_of_delta, bits.linear}) +
                          kHopelessBits * kSampled;
  Choice choice;
  if (bits.frame <= enough) choice.Try(FrameOfReferenceCodec(), x, scratch);
  if (bits.delta <= enough) choice.Try(DeltaCodec(), x, scratch);
  // A steady step: nothing is shorter than no stream.
  if (choice.found && choice.best.stream_bytes == 0) return choice.best;
  // Differences of independent numbers only grow, so these two are for what is visibly smooth.
  if (bits.delta_of_delta <= bits.delta) choice.Try(DeltaOfDeltaCodec(), x, scratch);
  if (bits.linear <= bits.delta) choice.Try(LinearCodec(), x, scratch);
  if (choice.best.cost_bytes > x.size_bytes()) choice.Try(RawCodec(), x, scratch);
  return choice.best;
}

}  // namespace

uint64_t DivideByCommonDivisor(std::span<uint64_t> x) {
  // A few values bring most runs down to 1 at once.
  constexpr size_t kSamples = 32;
  constexpr size_t kBlock = 256;
  uint64_t divisor = 0;
  const size_t samples = std::min(kSamples, x.size());
  for (size_t i = 0; i < samples && divisor != 1; ++i) {
    divisor = std::gcd(divisor, x[i * x.size() / samples]);
  }
  for (size_t i = 0; divisor == 0 && i < x.size(); ++i) divisor = x[i];
  if (divisor == 0) return 0;
  for (size_t i = 0; i < x.size() && divisor != 1; i += kBlock) {
    const auto block = x.subspan(i, std::min(kBlock, x.size() - i));
    if (DividesAll(ExactDivisor(divisor), block)) continue;
    // A divisor of this one divides all blocks before.
    for (uint64_t value : block) divisor = std::gcd(divisor, value);
  }
  if (divisor == 1) return 1;
  const ExactDivisor exact(divisor);
  for (uint64_t& value : x) value = exact.Quotient(value);
  return divisor;
}

IntegerRun IntegerEncoder::Plan(std::span<const int64_t> values) {
  NEXUS_CHECK(!values.empty() && values.size() <= kRunMax);
  const size_t n = values.size();
  size_ = n;
  const Extremes extremes = FindExtremes(values);
  const auto low = static_cast<uint64_t>(extremes.low);
  IntegerRun run;
  run.origin = extremes.low;
  const int64_t* __restrict from = values.data();
  uint64_t* __restrict to = x_.data();
  for (size_t i = 0; i < n; ++i) to[i] = static_cast<uint64_t>(from[i]) - low;
  if (extremes.low == extremes.high) return run;  // constant
  run.scale = DivideByCommonDivisor({x_.data(), n});
  run.span = (static_cast<uint64_t>(extremes.high) - low) / run.scale;
  const IntegerPlan plan = Choose(x(), &scratch_);
  run.parameters = plan.parameters;
  run.stream_bytes = plan.stream_bytes;
  return run;
}

void IntegerEncoder::Encode(const IntegerRun& run, std::string* out) {
  const IntegerCodec* codec = FindIntegerCodec(static_cast<uint8_t>(run.parameters.codec));
  codec->Encode(x(), run.parameters, &scratch_, out);
}

bool DecodeRun(const IntegerRun& run, Bytes stream, size_t n, uint64_t* x) {
  const IntegerCodec* codec = FindIntegerCodec(static_cast<uint8_t>(run.parameters.codec));
  return codec != nullptr && codec->Decode(run.parameters, stream, n, x);
}

bool DecodeRunValues(const IntegerRun& run, Bytes stream, size_t n, int64_t* values) {
  // int64_t and uint64_t may alias each other.
  auto* x = reinterpret_cast<uint64_t*>(values);
  if (!DecodeRun(run, stream, n, x)) return false;
  for (size_t i = 0; i < n; ++i) values[i] = run.At(x[i]);
  return true;
}

}  // namespace nexus::layer
