// Runs of signed integers: brings them into the codecs' range, and chooses the codec by exact cost.
//
// value = origin + scale * x: the origin is the least value, the scale the greatest common divisor
// of the distances from it (nanoseconds that are all whole milliseconds, bytes that are all whole
// pages). So x is unsigned, starts at 0 and is as small as can be, whatever the values: distances
// are taken modulo 2^64 and cover the whole range of int64.
// Timestamps, values, header columns and id lists are all written this way.
// Threading: an IntegerEncoder belongs to one thread.

#ifndef NEXUS_LAYER_CODEC_INTEGERS_H_
#define NEXUS_LAYER_CODEC_INTEGERS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "layer/codec/integer_codec.h"

namespace nexus::layer {

struct IntegerRun {
  int64_t origin = 0;  // the least value
  uint64_t span = 0;   // the greatest value is origin + scale * span
  uint64_t scale = 1;  // at least 1
  IntegerParameters parameters;
  uint64_t stream_bytes = 0;

  bool operator==(const IntegerRun&) const = default;
  int64_t At(uint64_t x) const {
    return static_cast<int64_t>(static_cast<uint64_t>(origin) + scale * x);
  }
};

// About 130 KiB: keep one and use it again.
class IntegerEncoder {
 public:
  // Chooses how to write `values`. REQUIRES: 1 <= values.size() <= kRunMax.
  IntegerRun Plan(std::span<const int64_t> values);
  // Appends the stream of the run planned last.
  void Encode(const IntegerRun& run, std::string* out);

  // The x of the run planned last.
  std::span<const uint64_t> x() const { return {x_.data(), size_}; }

 private:
  std::array<uint64_t, kRunMax> x_;
  size_t size_ = 0;
  IntegerScratch scratch_;
};

// Decodes to x; false if the run contradicts itself or its stream. REQUIRES: as for
// IntegerCodec::Decode.
bool DecodeRun(const IntegerRun& run, Bytes stream, size_t n, uint64_t* x);

// Decodes to values.
bool DecodeRunValues(const IntegerRun& run, Bytes stream, size_t n, int64_t* values);

// The greatest common divisor of all x (0 if all are 0), and divides them by it. Without a division
// a value: by an odd number it is a multiplication with its inverse modulo 2^64.
// Source: Granlund and Montgomery, "Division by invariant integers using multiplication", 1994,
// section 9.
uint64_t DivideByCommonDivisor(std::span<uint64_t> x);

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_CODEC_INTEGERS_H_
