// Columns of doubles: decimals first, ordered bits where decimals are impossible or wide; see
// values.h.

#include "layer/codec/values.h"

#include <bit>

#include "base/check.h"
#include "layer/codec/bitpack.h"
#include "layer/codec/ordered_bits.h"

namespace nexus::layer {
namespace {

// Finite values looked at to find an exponent; fewer where the column before was no decimal either.
constexpr size_t kExponentSamples = 48;
constexpr size_t kDoubtfulSamples = 12;
// A decimal column whose mantissas need this many bits each may be shorter as ordered bits, which
// know of binary fractions.
constexpr uint64_t kWideMantissaBits = 32;

uint64_t ExceptionBytes(uint64_t exceptions, size_t n) {
  return PackedBytes(exceptions, BitWidth(n - 1)) + exceptions * sizeof(double);
}

uint64_t CostOf(const ValueRun& run, size_t n) {
  return run.integers.stream_bytes + ExceptionBytes(run.exceptions, n);
}

// Mantissas that all end in 0 belong to a smaller exponent: the same quotients, so the same
// doubles.
void DropTrailingZeros(ValueRun* run) {
  IntegerRun& integers = run->integers;
  if (integers.span == 0) return;
  while (run->exponent > 0 && integers.scale % 10 == 0 && integers.origin % 10 == 0) {
    --run->exponent;
    integers.scale /= 10;
    integers.origin /= 10;
  }
}

}  // namespace

double ValueRun::At(uint64_t x) const {
  const int64_t integer = integers.At(x);
  return form == ValueForm::kDecimal ? FromMantissa(integer, exponent)
                                     : FromOrdered(integer, exponent);
}

uint64_t ValueStreamBytes(const ValueRun& run, size_t n) {
  const IntegerCodec* codec = FindIntegerCodec(static_cast<uint8_t>(run.integers.parameters.codec));
  return codec->StreamBytes(run.integers.parameters, n) + ExceptionBytes(run.exceptions, n);
}

bool ValueEncoder::PlanDecimal(ValueRun* run) {
  const size_t n = values_.size();
  // Above this the exceptions alone, of more than 64 bits each, outweigh what decimals can save.
  const size_t exceptions_max = n / 2;
  unsigned exponent = hint_;
  bool fits = exponent != kNotDecimal &&
              ToMantissas(values_, exponent, exceptions_max, integers_.data(), &exceptions_);
  if (!fits || exceptions_.size() > n / 64) {
    const unsigned found =
        FindExponent(values_, hint_ == kNotDecimal ? kDoubtfulSamples : kExponentSamples);
    if (found != kNotDecimal && (!fits || found != exponent)) {
      const size_t kept = fits ? exceptions_.size() : exceptions_max;
      if (ToMantissas(values_, found, kept, integers_.data(), &retry_exceptions_)) {
        exponent = found;
        exceptions_.swap(retry_exceptions_);
        fits = true;
      } else if (fits) {
        fits = ToMantissas(values_, exponent, exceptions_max, integers_.data(), &exceptions_);
      }
    }
  }
  if (!fits) return false;
  run->form = ValueForm::kDecimal;
  run->exponent = static_cast<uint8_t>(exponent);
  run->exceptions = static_cast<uint32_t>(exceptions_.size());
  run->integers = decimal_.Plan({integers_.data(), n});
  DropTrailingZeros(run);
  return true;
}

void ValueEncoder::PlanOrdered(ValueRun* run) {
  const unsigned shift = CommonShift(values_);
  ToOrdered(values_, shift, integers_.data());
  run->form = ValueForm::kOrderedBits;
  run->exponent = static_cast<uint8_t>(shift);
  run->exceptions = 0;
  run->integers = ordered_.Plan({integers_.data(), values_.size()});
}

ValueRun ValueEncoder::Plan(std::span<const double> values) {
  NEXUS_CHECK(!values.empty() && values.size() <= kRunMax);
  values_ = values;
  ValueRun decimal;
  const bool is_decimal = PlanDecimal(&decimal);
  const uint64_t narrow = values.size() * kWideMantissaBits / 8;
  if (is_decimal && decimal.exceptions == 0 && decimal.integers.stream_bytes <= narrow) {
    hint_ = decimal.exponent;
    chosen_ = &decimal_;
    return decimal;
  }
  ValueRun ordered;
  PlanOrdered(&ordered);
  if (is_decimal && CostOf(decimal, values.size()) <= CostOf(ordered, values.size())) {
    hint_ = decimal.exponent;
    chosen_ = &decimal_;
    return decimal;
  }
  hint_ = kNotDecimal;
  chosen_ = &ordered_;
  return ordered;
}

void ValueEncoder::Encode(const ValueRun& run, std::string* out) {
  chosen_->Encode(run.integers, out);
  if (run.exceptions == 0) return;
  PackBits(exceptions_.data(), exceptions_.size(), BitWidth(values_.size() - 1), 0, out);
  ByteWriter writer(out);
  for (uint64_t position : exceptions_) writer.F64(values_[position]);
}

bool DecodeValues(const ValueRun& run, Bytes stream, size_t n, uint64_t* x, double* values) {
  const bool decimal = run.form == ValueForm::kDecimal;
  if (!decimal && run.form != ValueForm::kOrderedBits) return false;
  if (run.exponent > (decimal ? kExponentMax : kShiftMax)) return false;
  if (run.exceptions > (decimal ? n : 0)) return false;
  const uint64_t exception_bytes = ExceptionBytes(run.exceptions, n);
  if (stream.size() < exception_bytes) return false;
  const size_t integer_bytes = stream.size() - exception_bytes;
  if (!DecodeRun(run.integers, stream.first(integer_bytes), n, x)) return false;
  const IntegerRun& integers = run.integers;
  if (!decimal) {
    FromOrdered({x, n}, integers.origin, integers.scale, run.exponent, values);
    return true;
  }
  FromMantissas({x, n}, integers.origin, integers.scale, run.exponent, values);
  if (run.exceptions == 0) return true;
  const std::byte* positions = stream.data() + integer_bytes;
  const std::byte* bits = stream.data() + stream.size() - run.exceptions * sizeof(double);
  UnpackBits(positions, run.exceptions, BitWidth(n - 1), 0, x);
  for (uint32_t i = 0; i < run.exceptions; ++i) {
    if (x[i] >= n) return false;
    values[x[i]] = LoadUnaligned<double>(bits + i * sizeof(double));
  }
  return true;
}

}  // namespace nexus::layer
