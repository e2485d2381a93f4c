// A second, naive decoder of value and integer columns, written from docs/format/layer.md alone:
// one bit at a time, one value at a time. Tests hold the real decoders against it.

#ifndef NEXUS_TESTS_LAYER_REFERENCE_DECODER_H_
#define NEXUS_TESTS_LAYER_REFERENCE_DECODER_H_

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "layer/codec/values.h"

namespace nexus::layer::reference {

class Bits {
 public:
  explicit Bits(Bytes bytes) : bytes_(bytes) {}
  uint64_t Take(unsigned width) {
    uint64_t value = 0;
    for (unsigned i = 0; i < width; ++i, ++at_) {
      value |= static_cast<uint64_t>(static_cast<uint8_t>(bytes_[at_ / 8]) >> (at_ % 8) & 1) << i;
    }
    return value;
  }
  void NextByte() { at_ = (at_ + 7) / 8 * 8; }

 private:
  Bytes bytes_;
  size_t at_ = 0;
};

inline unsigned WidthOf(uint64_t value) {
  unsigned width = 0;
  for (; value != 0; value >>= 1) ++width;
  return width;
}

inline std::vector<uint64_t> Residuals(const PatchedShape& shape, Bits& bits, size_t n) {
  std::vector<uint64_t> out(n);
  for (uint64_t& value : out) value = shape.base + bits.Take(shape.width);
  bits.NextByte();
  std::vector<size_t> positions(shape.patches);
  for (size_t& position : positions) position = bits.Take(n == 0 ? 0 : WidthOf(n - 1));
  bits.NextByte();
  for (size_t position : positions) {
    const uint64_t zigzag = bits.Take(shape.patch_width);
    const uint64_t high = zigzag % 2 == 0 ? zigzag / 2 : ~(zigzag / 2);
    for (uint64_t i = 0, step = high; i <= shape.width; ++i, step *= 2) {
      if (i == shape.width) out[position] += step;
    }
  }
  bits.NextByte();
  return out;
}

inline std::vector<uint64_t> Integers(const IntegerParameters& parameters, Bits& bits, size_t n) {
  const PatchedShape& shape = parameters.residuals;
  switch (parameters.codec) {
    case IntegerCodecId::kConstant:
      return std::vector<uint64_t>(n, parameters.first);
    case IntegerCodecId::kFrameOfReference:
      return Residuals(shape, bits, n);
    case IntegerCodecId::kDelta: {
      std::vector<uint64_t> out = {parameters.first};
      for (uint64_t step : Residuals(shape, bits, n - 1)) out.push_back(out.back() + step);
      return out;
    }
    case IntegerCodecId::kDeltaOfDelta: {
      std::vector<uint64_t> out = {parameters.first, parameters.first + parameters.slope};
      uint64_t step = parameters.slope;
      for (uint64_t change : Residuals(shape, bits, n - 2))
        out.push_back(out.back() + (step += change));
      return out;
    }
    case IntegerCodecId::kLinear: {
      std::vector<uint64_t> out = Residuals(shape, bits, n);
      for (uint64_t i = 0; i < n; ++i) out[i] += i * parameters.slope >> parameters.fraction;
      return out;
    }
    case IntegerCodecId::kRaw: {
      std::vector<uint64_t> out(n);
      for (uint64_t& value : out) value = bits.Take(64);
      return out;
    }
  }
  return {};
}

inline std::vector<double> Values(const ValueRun& run, Bytes stream, size_t n) {
  Bits bits(stream);
  std::vector<double> out;
  for (uint64_t x : Integers(run.integers.parameters, bits, n)) {
    const auto integer =
        static_cast<int64_t>(static_cast<uint64_t>(run.integers.origin) + run.integers.scale * x);
    if (run.form == ValueForm::kDecimal) {
      out.push_back(static_cast<double>(integer) / std::pow(10.0, run.exponent));
    } else {
      const bool negative = integer < 0;
      const uint64_t magnitude = static_cast<uint64_t>(negative ? ~integer : integer)
                                 << run.exponent;
      out.push_back(std::bit_cast<double>(magnitude + (negative ? uint64_t{1} << 63 : 0)));
    }
  }
  bits.NextByte();
  std::vector<size_t> positions(run.exceptions);
  for (size_t& position : positions) position = bits.Take(WidthOf(n - 1));
  bits.NextByte();
  for (size_t position : positions) out[position] = std::bit_cast<double>(bits.Take(64));
  return out;
}

}  // namespace nexus::layer::reference

#endif  // NEXUS_TESTS_LAYER_REFERENCE_DECODER_H_
