// Columns: runs of integers that carry their own parameters, for page headers, id lists and the
// footer.
//
//   column      tag u8, origin zigzag varint, [scale varint], parameters by codec, stream
//   tag         codec in bits 0-3; bit 4: a scale other than 1 follows; bit 5: patches follow;
//               bit 6: a base other than 0 follows
//   parameters  not constant, not raw: width u8, [base zigzag varint], [patches varint,
//               patch width u8]; delta, delta of delta: first varint; delta of delta, linear: slope
//               zigzag varint; linear: fraction u8
// A column of equal values takes two bytes or a few more. How many values there are stands in front
// of the columns, once.
// Failure: the reader latches like ByteReader. Threading: values.

#ifndef NEXUS_LAYER_COLUMN_H_
#define NEXUS_LAYER_COLUMN_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "layer/codec/integers.h"

namespace nexus::layer {

class ColumnWriter {
 public:
  // Appends a column. REQUIRES: 1 <= values.size() <= kRunMax.
  void Write(std::span<const int64_t> values, std::string* out);
  // The same for unsigned values; they need not be small.
  void Write(std::span<const uint64_t> values, std::string* out);

 private:
  IntegerEncoder encoder_;
};

// Reads the next column of values.size() values and returns false, with the reader failed, if it is
// malformed. REQUIRES: 1 <= values.size() <= kRunMax; kReadSlackBytes are readable behind the
// reader's bytes.
bool ReadColumn(ByteReader* reader, std::span<int64_t> values);
bool ReadColumn(ByteReader* reader, std::span<uint64_t> values);

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_COLUMN_H_
