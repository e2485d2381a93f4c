// ChunkEncoder and its decoder: which statistics the integers tell and which are written out; see
// chunk.h. The choice is made here once, so that reader and verifier need not know it.

#include "layer/chunk.h"

#include <bit>
#include <cmath>

#include "layer/format.h"

namespace nexus::layer {
namespace {

// A sum of whole numbers is kept as an integer below 2^62, so that splitting it into two doubles
// cannot overflow.
constexpr int64_t kWholeSumMax = int64_t{1} << 62;
// 8192 integers below this sum up without overflow.
constexpr uint64_t kSpanMax = uint64_t{1} << 50;

using Wide = unsigned __int128;

// origin * count + scale * sum modulo 2^128, as a signed number; false if it is not a whole sum.
bool WholeSum(const ChunkHeader& header, int64_t* sum) {
  const IntegerRun& integers = header.values.integers;
  const auto total = static_cast<__int128>(static_cast<Wide>(integers.origin) * header.count +
                                           static_cast<Wide>(integers.scale) * header.sum);
  *sum = static_cast<int64_t>(total);
  return total > -kWholeSumMax && total < kWholeSumMax;
}

DoubleDouble SplitSum(int64_t sum) {
  DoubleDouble split;
  split.high = static_cast<double>(sum);
  split.low = static_cast<double>(sum - static_cast<int64_t>(split.high));
  return split;
}

bool AreWhole(const ValueRun& values) {
  return values.form == ValueForm::kDecimal && values.exponent == 0 && values.exceptions == 0;
}

// Sets the header's sum of integers if it tells the sum of the values.
bool SumIntegers(std::span<const uint64_t> x, ChunkHeader* header) {
  if (!AreWhole(header->values) || header->values.integers.span >= kSpanMax) return false;
  uint64_t sum = 0;
  for (uint64_t value : x) sum += value;
  header->sum = sum;
  int64_t whole = 0;
  if (WholeSum(*header, &whole)) return true;
  header->sum = 0;
  return false;
}

// True if all values are finite and in the order of their integers, so that extremes, first and
// last can be told from these. NaN and infinities are the ends of the order of bits.
bool AreOrderedByInteger(const ValueRun& values) {
  return values.exceptions == 0 && std::isfinite(values.At(0)) &&
         std::isfinite(values.At(values.integers.span));
}

void AppendStatistics(const Statistics& statistics, uint32_t flags, std::string* out) {
  ByteWriter writer(out);
  if ((flags & kExplicitStatistics) != 0) {
    writer.F64(statistics.minimum);
    writer.F64(statistics.maximum);
    writer.F64(statistics.first);
    writer.F64(statistics.last);
    writer.U16(static_cast<uint16_t>(statistics.nan_count));
    writer.U16(static_cast<uint16_t>(statistics.positive_infinity_count));
    writer.U16(static_cast<uint16_t>(statistics.negative_infinity_count));
  }
  if ((flags & kExplicitSum) != 0) {
    writer.F64(statistics.sum.high);
    writer.F64(statistics.sum.low);
  }
}

size_t StatisticsBytes(uint32_t flags) {
  return ((flags & kExplicitStatistics) != 0 ? kExplicitStatisticsBytes : 0) +
         ((flags & kExplicitSum) != 0 ? kExplicitSumBytes : 0);
}

}  // namespace

uint64_t ChunkBytes(const ChunkHeader& header) {
  return StatisticsBytes(header.form_flags) + ValueStreamBytes(header.values, header.count);
}

ChunkHeader ChunkEncoder::Encode(std::span<const double> values, std::string* out) {
  const size_t begin = out->size();
  ChunkHeader header;
  header.count = static_cast<uint32_t>(values.size());
  header.values = values_.Plan(values);
  header.last = values_.x().back();
  if (!SumIntegers(values_.x(), &header)) {
    Statistics statistics;
    header.form_flags = kExplicitSum;
    if (AreOrderedByInteger(header.values)) {
      statistics.sum = SumFinite(values);
    } else {
      header.form_flags |= kExplicitStatistics;
      statistics = ComputeStatistics(values);
    }
    AppendStatistics(statistics, header.form_flags, out);
  }
  values_.Encode(header.values, out);
  header.bytes = static_cast<uint32_t>(out->size() - begin);
  return header;
}

bool ReadStatistics(const ChunkHeader& header, Bytes bytes, Statistics* statistics) {
  ByteReader reader(bytes);
  *statistics = {};
  if ((header.form_flags & kExplicitStatistics) != 0) {
    statistics->minimum = reader.F64();
    statistics->maximum = reader.F64();
    statistics->first = reader.F64();
    statistics->last = reader.F64();
    statistics->nan_count = reader.U16();
    statistics->positive_infinity_count = reader.U16();
    statistics->negative_infinity_count = reader.U16();
  } else {
    const ValueRun& values = header.values;
    statistics->minimum = values.At(0);
    statistics->maximum = values.At(values.integers.span);
    statistics->first = values.At(values.integers.parameters.first);
    statistics->last = values.At(header.last);
  }
  if ((header.form_flags & kExplicitSum) != 0) {
    statistics->sum.high = reader.F64();
    statistics->sum.low = reader.F64();
    return reader.ok();
  }
  int64_t whole = 0;
  if (!WholeSum(header, &whole)) return false;
  statistics->sum = SplitSum(whole);
  return reader.ok();
}

bool DecodeChunk(const ChunkHeader& header, Bytes bytes, uint64_t* x, double* values) {
  const size_t skip = StatisticsBytes(header.form_flags);
  if (bytes.size() < skip) return false;
  return DecodeValues(header.values, bytes.subspan(skip), header.count, x, values);
}

}  // namespace nexus::layer
