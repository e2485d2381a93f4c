// Columns of doubles: chooses between decimal mantissas and ordered bits, by exact cost.
//
// Stream: the integers' stream; then, if there are exceptions (values that are no decimal of the
// exponent), their positions, packed with the bits that n - 1 needs, and their bits in eight bytes
// each.
// Guarantee: decode(encode(v)) has v's very bits, for all 2^64 of them.
// Threading: a ValueEncoder belongs to one thread. Format: docs/format/layer.md, "Value columns".

#ifndef NEXUS_LAYER_CODEC_VALUES_H_
#define NEXUS_LAYER_CODEC_VALUES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "layer/codec/decimal.h"
#include "layer/codec/integers.h"

namespace nexus::layer {

// How integers stand for doubles. On disk, never re-used.
enum class ValueForm : uint8_t {
  kDecimal = 0,      // value = integer / 10^exponent
  kOrderedBits = 1,  // layer/codec/ordered_bits.h; exponent is the shift
};

struct ValueRun {
  ValueForm form = ValueForm::kDecimal;
  uint8_t exponent = 0;     // 0..kExponentMax, or the shift: 0..kShiftMax
  uint32_t exceptions = 0;  // decimal only
  IntegerRun integers;

  bool operator==(const ValueRun&) const = default;
  // The double that an x of the integers stands for.
  double At(uint64_t x) const;
};

// Length of the stream of n values.
uint64_t ValueStreamBytes(const ValueRun& run, size_t n);

// About 390 KiB: keep one and use it again, best for one metric after the other, since it tries the
// exponent of the column before first.
class ValueEncoder {
 public:
  // REQUIRES: 1 <= values.size() <= kRunMax; `values` stay until Encode.
  ValueRun Plan(std::span<const double> values);
  // Appends the stream of the run planned last.
  void Encode(const ValueRun& run, std::string* out);
  // The integers of the run planned last.
  std::span<const uint64_t> x() const { return chosen_->x(); }

 private:
  bool PlanDecimal(ValueRun* run);
  void PlanOrdered(ValueRun* run);

  std::span<const double> values_;
  unsigned hint_ = 0;  // exponent of the column before, or kNotDecimal
  std::array<int64_t, kRunMax> integers_;
  std::vector<uint64_t> exceptions_;
  std::vector<uint64_t> retry_exceptions_;
  IntegerEncoder decimal_;
  IntegerEncoder ordered_;
  IntegerEncoder* chosen_ = &decimal_;
};

// Decodes n values; false if run and stream contradict each other. `x` has room for n integers and
// may be anything afterwards. REQUIRES: 1 <= n <= kRunMax; kReadSlackBytes are readable behind the
// stream.
bool DecodeValues(const ValueRun& run, Bytes stream, size_t n, uint64_t* x, double* values);

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_CODEC_VALUES_H_
