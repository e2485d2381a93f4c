// Reading and writing of little-endian bytes: round trips, and that a reader never leaves its span.

#include "base/bytes.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <limits>
#include <string>

namespace nexus {
namespace {

std::string Encoded(uint64_t value) {
  std::string out;
  ByteWriter(&out).Varint(value);
  return out;
}

TEST(ByteReader, FixedFieldsComeBackInOrder) {
  std::string out;
  ByteWriter writer(&out);
  writer.U8(1);
  writer.U16(0x0203);
  writer.U32(0x04050607);
  writer.I64(-8);
  writer.F64(-0.0);
  writer.LengthPrefixed("name");
  writer.Zeros(3);
  EXPECT_EQ(out.substr(0, 3), "\x01\x03\x02");
  ByteReader reader(out);
  EXPECT_EQ(reader.U8(), 1);
  EXPECT_EQ(reader.U16(), 0x0203);
  EXPECT_EQ(reader.U32(), 0x04050607U);
  EXPECT_EQ(reader.I64(), -8);
  EXPECT_EQ(std::bit_cast<uint64_t>(reader.F64()), uint64_t{1} << 63);
  EXPECT_EQ(reader.LengthPrefixed(4), "name");
  EXPECT_EQ(reader.position(), out.size() - 3);
  reader.ExpectZeros(3);
  EXPECT_TRUE(reader.ok());
  EXPECT_TRUE(reader.done());
}

TEST(ByteReader, ReadingPastTheEndLatchesAndYieldsZeros) {
  ByteReader reader(std::string_view("\x01\x02\x03"));
  EXPECT_EQ(reader.U32(), 0U);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.U8(), 0);
  EXPECT_TRUE(reader.Take(1).empty());
  EXPECT_FALSE(reader.ok());
}

TEST(ByteReader, LengthAboveTheLimitIsRefusedThoughTheBytesAreThere) {
  std::string out;
  ByteWriter(&out).LengthPrefixed("four");
  ByteReader reader(out);
  EXPECT_EQ(reader.LengthPrefixed(3), "");
  EXPECT_FALSE(reader.ok());
}

TEST(ByteReader, LengthBeyondTheEndIsRefused) {
  std::string out = Encoded(std::numeric_limits<uint64_t>::max());
  ByteReader reader(out);
  EXPECT_EQ(reader.LengthPrefixed(std::numeric_limits<size_t>::max()), "");
  EXPECT_FALSE(reader.ok());
}

TEST(ByteReader, ReservedBytesMustBeZero) {
  ByteReader reader(std::string_view("\0\1", 2));
  reader.ExpectZeros(2);
  EXPECT_FALSE(reader.ok());
}

TEST(Varint, OverlongAndOverflowingFormsAreRefused) {
  ByteReader too_large(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"));
  EXPECT_EQ(too_large.Varint(), 0U);
  EXPECT_FALSE(too_large.ok());
  ByteReader endless(std::string_view("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"));
  EXPECT_EQ(endless.Varint(), 0U);
  EXPECT_FALSE(endless.ok());
  ByteReader cut(std::string_view("\x80"));
  EXPECT_EQ(cut.Varint(), 0U);
  EXPECT_FALSE(cut.ok());
}

TEST(Varint, WidthGrowsBySevenBits) {
  EXPECT_EQ(Encoded(0).size(), 1U);
  EXPECT_EQ(Encoded(127).size(), 1U);
  EXPECT_EQ(Encoded(128).size(), 2U);
  EXPECT_EQ(Encoded(std::numeric_limits<uint64_t>::max()).size(), 10U);
}

RC_GTEST_PROP(Varint, RoundTrips, (uint64_t value, uint8_t shift)) {
  value >>= shift % 64;
  std::string out = Encoded(value);
  ByteReader reader(out);
  RC_ASSERT(reader.Varint() == value);
  RC_ASSERT(reader.ok());
  RC_ASSERT(reader.done());
}

RC_GTEST_PROP(Varint, AnyBytesStayInsideTheSpan, (const std::string& bytes)) {
  ByteReader reader(bytes);
  while (reader.ok() && !reader.done()) reader.Varint();
  RC_ASSERT(reader.position() <= bytes.size());
}

RC_GTEST_PROP(ZigZag, RoundTripsAndKeepsSmallNumbersSmall, (int64_t value)) {
  RC_ASSERT(ZigZagDecode(ZigZagEncode(value)) == value);
  if (value >= -64 && value < 64) RC_ASSERT(ZigZagEncode(value) < 128U);
}

TEST(ZigZag, ExtremesRoundTrip) {
  for (int64_t v : {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(),
                    int64_t{0}, int64_t{-1}}) {
    EXPECT_EQ(ZigZagDecode(ZigZagEncode(v)), v);
  }
}

TEST(AlignUp, RoundsToTheNextMultiple) {
  EXPECT_EQ(AlignUp(0, 4096), 0U);
  EXPECT_EQ(AlignUp(1, 4096), 4096U);
  EXPECT_EQ(AlignUp(4096, 4096), 4096U);
}

}  // namespace
}  // namespace nexus
