// Codecs: every pattern of bits comes back, every length of stream is the planned one, and the real
// decoders agree with a naive one written from the format's description.

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "layer/codec/bitpack.h"
#include "layer/codec/decimal.h"
#include "layer/codec/integers.h"
#include "layer/codec/patched.h"
#include "layer/codec/values.h"
#include "tests/layer/generators.h"
#include "tests/layer/reference_decoder.h"

namespace nexus::layer {
namespace {

using testing::Mixer;

// A stream with exactly the slack that decoders may read, so that a sanitizer sees any byte more.
class Stream {
 public:
  explicit Stream(const std::string& bytes)
      : size_(bytes.size()), bytes_(new std::byte[bytes.size() + kReadSlackBytes]) {
    std::memcpy(bytes_.get(), bytes.data(), size_);
    std::memset(bytes_.get() + size_, 0xA5, kReadSlackBytes);
  }
  Bytes get() const { return {bytes_.get(), size_}; }

 private:
  size_t size_;
  std::unique_ptr<std::byte[]> bytes_;
};

std::vector<uint64_t> BitsOf(const std::vector<double>& values) {
  std::vector<uint64_t> bits;
  for (double value : values) bits.push_back(std::bit_cast<uint64_t>(value));
  return bits;
}

uint64_t MaskOf(unsigned width) { return width == 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1; }

TEST(BitPack, EveryWidthAndLengthComesBackAndAgreesWithOneBitAtATime) {
  constexpr size_t kLengths[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 64, 65, 129};
  Mixer mix{1};
  for (unsigned width = 0; width <= 64; ++width) {
    for (const size_t n : kLengths) {
      std::vector<uint64_t> values(n);
      for (uint64_t& value : values) value = mix.Next() & MaskOf(width);
      std::string packed;
      const uint64_t subtract = mix.Next();
      std::vector<uint64_t> lifted;
      for (uint64_t value : values) lifted.push_back(value + subtract);
      PackBits(lifted.data(), n, width, subtract, &packed);
      ASSERT_EQ(packed.size(), PackedBytes(n, width));
      const Stream stream(packed);
      std::vector<uint64_t> out(n);
      UnpackBits(stream.get().data(), n, width, 0, out.data());
      EXPECT_EQ(out, values) << "width " << width;
      reference::Bits bits(stream.get());
      for (uint64_t value : values) ASSERT_EQ(bits.Take(width), value);
      const uint64_t add = mix.Next();
      uint64_t sum = mix.Next();
      UnpackSums(stream.get().data(), n, width, add, sum, out.data());
      for (size_t i = 0; i < n; ++i) ASSERT_EQ(out[i], sum += add + values[i]) << "width " << width;
    }
  }
}

TEST(BitPack, AppendsBehindWhatIsThere) {
  std::string out = "ab";
  const uint64_t values[] = {5, 2, 7};
  PackBits(values, 3, 3, 0, &out);
  EXPECT_EQ(out, std::string("ab\xD5\x01", 4));
}

TEST(BitWidth, IsZeroForZeroAndCountsBitsOtherwise) {
  EXPECT_EQ(BitWidth(0), 0U);
  for (unsigned i = 0; i < 64; ++i) {
    EXPECT_EQ(BitWidth(uint64_t{1} << i), i + 1);
    EXPECT_EQ(BitWidth(MaskOf(i + 1)), i + 1);
  }
}

void ExpectPatchedRoundTrip(const std::vector<uint64_t>& residuals) {
  const PatchedShape shape = PlanPatched(residuals.data(), residuals.size());
  std::string out;
  EncodePatched(shape, residuals.data(), residuals.size(), &out);
  ASSERT_EQ(out.size(), PatchedBytes(shape, residuals.size()));
  const Stream stream(out);
  std::vector<uint64_t> back(residuals.size());
  ASSERT_TRUE(DecodePatched(shape, stream.get(), back.size(), back.data()));
  ASSERT_EQ(back, residuals);
  ASSERT_TRUE(DecodePatchedSums(shape, stream.get(), back.size(), 17, back.data()));
  uint64_t sum = 17;
  for (size_t i = 0; i < back.size(); ++i) ASSERT_EQ(back[i], sum += residuals[i]);
}

RC_GTEST_PROP(Patched, AnyResidualsComeBack, (const std::vector<uint64_t>& residuals)) {
  ExpectPatchedRoundTrip(residuals);
}

RC_GTEST_PROP(Patched, NarrowResidualsWithAnyOutliersComeBack, (uint64_t seed)) {
  Mixer mix{seed};
  const size_t n = *testing::Length(kRunMax);
  const unsigned width = *rc::gen::inRange(0U, 20U);
  const uint64_t base = mix.Next() >> mix.Below(64);
  std::vector<uint64_t> residuals(n);
  for (uint64_t& residual : residuals) {
    residual = base + (mix.Next() & MaskOf(width));
    if (mix.Below(60) == 0) residual = mix.Next() >> mix.Below(64);
    if (mix.Below(60) == 0) residual = base - (mix.Next() >> mix.Below(64));
  }
  ExpectPatchedRoundTrip(residuals);
}

TEST(Patched, OutliersOnEitherSideCostPatchesAndNotWidth) {
  Mixer mix{3};
  for (const uint64_t outlier : {uint64_t{1} << 40, uint64_t{0} - (uint64_t{1} << 40)}) {
    std::vector<uint64_t> residuals(4096);
    for (uint64_t& residual : residuals) residual = 1000 + mix.Below(16);
    for (size_t i = 100; i < residuals.size(); i += 1000) residuals[i] = outlier;
    const PatchedShape shape = PlanPatched(residuals.data(), residuals.size());
    EXPECT_EQ(shape.width, 4);
    EXPECT_EQ(shape.patches, 4U);
    EXPECT_LE(PatchedBytes(shape, residuals.size()), 4096 / 2 + 40U);
    ExpectPatchedRoundTrip(residuals);
  }
}

TEST(Patched, ExtremesOfTheWholeRangeComeBack) {
  const uint64_t low = uint64_t{1} << 63;
  const uint64_t high = low - 1;
  ExpectPatchedRoundTrip({low, high});
  ExpectPatchedRoundTrip({high, low, 0, ~uint64_t{0}});
  std::vector<uint64_t> mostly(1000, high - 3);
  mostly[10] = low;
  mostly[20] = high;
  ExpectPatchedRoundTrip(mostly);
}

TEST(Patched, RefusesWhatContradictsItself) {
  std::vector<uint64_t> out(8);
  const Stream stream(std::string(20, '\xFF'));
  const PatchedShape right{.base = 0, .width = 16, .patch_width = 5, .patches = 2};
  ASSERT_EQ(PatchedBytes(right, 8), 16U + 1 + 2);
  EXPECT_TRUE(DecodePatched(right, stream.get().first(19), 8, out.data()));
  EXPECT_FALSE(DecodePatched(right, stream.get().first(18), 8, out.data()));
  EXPECT_FALSE(DecodePatched(right, stream.get().first(20), 8, out.data()));
  // Of five values a position needs three bits, and 7 is none of them.
  const PatchedShape far{.base = 0, .width = 8, .patch_width = 8, .patches = 1};
  EXPECT_FALSE(DecodePatched(far, stream.get().first(7), 5, out.data()));
  const PatchedShape wide{.base = 0, .width = 65, .patch_width = 0, .patches = 0};
  EXPECT_FALSE(DecodePatched(wide, stream.get(), 2, out.data()));
  const PatchedShape many{.base = 0, .width = 0, .patch_width = 0, .patches = 9};
  EXPECT_FALSE(DecodePatched(many, stream.get().first(4), 8, out.data()));
}

// Every codec that will take a run gives it back, whether or not it would be chosen.
void ExpectAllCodecsRoundTrip(const std::vector<uint64_t>& x) {
  auto scratch = std::make_unique<IntegerScratch>();
  for (unsigned id = 0; id < kIntegerCodecs; ++id) {
    const IntegerCodec* codec = FindIntegerCodec(static_cast<uint8_t>(id));
    ASSERT_NE(codec, nullptr);
    ASSERT_EQ(static_cast<unsigned>(codec->id()), id);
    IntegerPlan plan;
    if (!codec->Plan(x, scratch.get(), &plan)) continue;
    std::string out;
    codec->Encode(x, plan.parameters, scratch.get(), &out);
    ASSERT_EQ(out.size(), plan.stream_bytes) << codec->name();
    ASSERT_EQ(out.size(), codec->StreamBytes(plan.parameters, x.size())) << codec->name();
    ASSERT_EQ(plan.parameters.first, x[0]) << codec->name();
    const Stream stream(out);
    std::vector<uint64_t> back(x.size());
    ASSERT_TRUE(codec->Decode(plan.parameters, stream.get(), x.size(), back.data()));
    ASSERT_EQ(back, x) << codec->name();
    reference::Bits bits(stream.get());
    ASSERT_EQ(reference::Integers(plan.parameters, bits, x.size()), x) << codec->name();
  }
}

RC_GTEST_PROP(IntegerCodecs, AnyIntegersComeBack, ()) {
  ExpectAllCodecsRoundTrip(*rc::gen::nonEmpty<std::vector<uint64_t>>());
}

RC_GTEST_PROP(IntegerCodecs, TimestampsComeBack, ()) {
  std::vector<uint64_t> x;
  for (int64_t ts : *testing::Timestamps()) x.push_back(static_cast<uint64_t>(ts));
  ExpectAllCodecsRoundTrip(x);
}

RC_GTEST_PROP(IntegerCodecs, BitsOfValuesComeBack, ()) {
  ExpectAllCodecsRoundTrip(BitsOf(*testing::Values()));
}

TEST(IntegerCodecs, UnknownIdsAreNobody) {
  for (unsigned id = kIntegerCodecs; id < 256; ++id) {
    EXPECT_EQ(FindIntegerCodec(static_cast<uint8_t>(id)), nullptr);
  }
}

class IntegersTest : public ::testing::Test {
 protected:
  // Encodes, decodes, compares; returns the run.
  IntegerRun RoundTrip(const std::vector<int64_t>& values) {
    const IntegerRun run = encoder_->Plan(values);
    std::string out;
    encoder_->Encode(run, &out);
    EXPECT_EQ(out.size(), run.stream_bytes);
    const Stream stream(out);
    std::vector<int64_t> back(values.size());
    EXPECT_TRUE(DecodeRunValues(run, stream.get(), back.size(), back.data()));
    EXPECT_EQ(back, values);
    EXPECT_EQ(run.origin, *std::min_element(values.begin(), values.end()));
    EXPECT_EQ(run.At(run.span), *std::max_element(values.begin(), values.end()));
    return run;
  }
  std::unique_ptr<IntegerEncoder> encoder_ = std::make_unique<IntegerEncoder>();
};

RC_GTEST_FIXTURE_PROP(IntegersTest, AnyRunComesBack, ()) {
  RoundTrip(*rc::gen::nonEmpty<std::vector<int64_t>>());
}

RC_GTEST_FIXTURE_PROP(IntegersTest, AnyTimestampsComeBack, ()) {
  RoundTrip(*testing::Timestamps());
}

RC_GTEST_FIXTURE_PROP(IntegersTest, ACommonDivisorIsFoundAndComesBack, (uint64_t seed)) {
  Mixer mix{seed};
  const uint64_t divisor = 1 + (mix.Next() >> (8 + mix.Below(56)));
  const uint64_t bound = std::numeric_limits<uint64_t>::max() / divisor;
  const auto origin = static_cast<int64_t>(mix.Next());
  std::vector<int64_t> values(*testing::Length(kRunMax));
  for (int64_t& value : values) {
    value = static_cast<int64_t>(static_cast<uint64_t>(origin) + divisor * mix.Below(bound));
  }
  const IntegerRun run = RoundTrip(values);
  // Distances from the least are multiples only if nothing wrapped around.
  const auto spread = static_cast<uint64_t>(run.At(run.span)) - static_cast<uint64_t>(run.origin);
  RC_CLASSIFY(spread % divisor == 0);
}

TEST_F(IntegersTest, ScalesAreTakenOut) {
  std::vector<int64_t> milliseconds;
  std::vector<int64_t> all_but_one;
  for (int64_t i = 0; i < 2000; ++i) {
    milliseconds.push_back(1735689600123000000 + i * 10'000'000'000 + (i * i % 16) * 1'000'000);
  }
  EXPECT_EQ(RoundTrip(milliseconds).scale, 1'000'000U);
  all_but_one = milliseconds;
  all_but_one[1337] += 500;
  EXPECT_EQ(RoundTrip(all_but_one).scale, 500U);
  all_but_one[1500] += 1;
  EXPECT_EQ(RoundTrip(all_but_one).scale, 1U);
}

TEST_F(IntegersTest, SteadyTimestampsTakeNoBytes) {
  std::vector<int64_t> ts;
  for (int64_t i = 0; i < 8192; ++i) ts.push_back(-5'000 + i * 15'000'000'000);
  EXPECT_EQ(RoundTrip(ts).stream_bytes, 0U);
}

TEST_F(IntegersTest, JitteredTicksAreTakenAgainstALine) {
  Mixer mix{5};
  std::vector<int64_t> ts;
  for (int64_t i = 0; i < 4096; ++i) {
    const auto jitter = static_cast<int64_t>(mix.Below(4) == 0 ? mix.Below(16) : 0);
    ts.push_back(1735689600000000000 + i * 10'000'000'000 + jitter * 1'000'000);
  }
  const IntegerRun run = RoundTrip(ts);
  EXPECT_EQ(run.parameters.codec, IntegerCodecId::kLinear);
  EXPECT_LE(run.stream_bytes, 4096U / 2);  // four bits a tick
}

TEST_F(IntegersTest, ExtremesOfInt64ComeBack) {
  constexpr int64_t kLow = std::numeric_limits<int64_t>::min();
  constexpr int64_t kHigh = std::numeric_limits<int64_t>::max();
  RoundTrip({kLow});
  RoundTrip({kHigh});
  RoundTrip({kLow, kHigh});
  RoundTrip({kHigh, kLow});
  RoundTrip({kLow, -1, 0, 1, kHigh});
  RoundTrip(std::vector<int64_t>(300, kLow));
}

TEST(CommonDivisor, IsTheGreatest) {
  std::vector<uint64_t> x = {0, 12, 18, 30};
  EXPECT_EQ(DivideByCommonDivisor(x), 6U);
  EXPECT_EQ(x, (std::vector<uint64_t>{0, 2, 3, 5}));
  std::vector<uint64_t> zeros(5, 0);
  EXPECT_EQ(DivideByCommonDivisor(zeros), 0U);
  std::vector<uint64_t> huge = {0, uint64_t{1} << 63};
  EXPECT_EQ(DivideByCommonDivisor(huge), uint64_t{1} << 63);
  EXPECT_EQ(huge[1], 1U);
}

class ValuesTest : public ::testing::Test {
 protected:
  ValueRun RoundTrip(const std::vector<double>& values) {
    const ValueRun run = encoder_->Plan(values);
    stream_.clear();
    encoder_->Encode(run, &stream_);
    EXPECT_EQ(stream_.size(), ValueStreamBytes(run, values.size()));
    const Stream stream(stream_);
    std::vector<double> back(values.size());
    std::vector<uint64_t> x(values.size());
    EXPECT_TRUE(DecodeValues(run, stream.get(), back.size(), x.data(), back.data()));
    EXPECT_EQ(BitsOf(back), BitsOf(values));
    EXPECT_EQ(BitsOf(reference::Values(run, stream.get(), values.size())), BitsOf(values));
    // Never much worse than not encoding at all.
    EXPECT_LE(stream_.size(), values.size() * sizeof(double));
    return run;
  }
  std::unique_ptr<ValueEncoder> encoder_ = std::make_unique<ValueEncoder>();
  std::string stream_;
};

RC_GTEST_FIXTURE_PROP(ValuesTest, AnyBitsComeBack, (const std::vector<uint64_t>& bits)) {
  RC_PRE(!bits.empty());
  std::vector<double> values;
  for (uint64_t pattern : bits) values.push_back(std::bit_cast<double>(pattern));
  RoundTrip(values);
}

RC_GTEST_FIXTURE_PROP(ValuesTest, ColumnsOfAllShapesComeBack, ()) { RoundTrip(*testing::Values()); }

// The exponent of one column is tried first on the next; it must only be a hint.
RC_GTEST_FIXTURE_PROP(ValuesTest, ColumnsComeBackWhateverCameBefore, ()) {
  const auto columns =
      *rc::gen::container<std::vector<std::vector<double>>>(4, testing::Values(300));
  for (const auto& column : columns) RoundTrip(column);
}

TEST_F(ValuesTest, EveryShapeAtEveryLengthUpTo300ComesBack) {
  for (int shape = 0; shape < testing::kValueShapes; ++shape) {
    for (size_t n = 1; n <= 300; n += 1 + n / 8) RoundTrip(testing::ColumnOfShape(shape, n, n));
  }
}

TEST_F(ValuesTest, EachSpecialAloneAndAmongDecimalsComesBack) {
  Mixer mix{9};
  for (int i = 0; i < 200; ++i) {
    const double special = testing::SpecialValue(mix);
    RoundTrip({special});
    RoundTrip(std::vector<double>(100, special));
    std::vector<double> among(100, 0.25);
    among[mix.Below(100)] = special;
    among[0] = 0.5;
    RoundTrip(among);
  }
}

TEST(Decimal, NumbersOfUpToFifteenDigitsHaveNoExceptions) {
  Mixer mix{11};
  for (unsigned digits = 1; digits <= 15; ++digits) {
    for (unsigned places = 0; places <= kExponentMax; ++places) {
      std::vector<double> values;
      std::vector<int64_t> mantissas;
      const auto bound = static_cast<uint64_t>(std::pow(10.0, digits));
      for (int i = 0; i < 100; ++i) {
        mantissas.push_back(static_cast<int64_t>(mix.Below(bound)));
        values.push_back(static_cast<double>(mantissas.back()) / kPowersOfTen[places]);
      }
      std::vector<int64_t> found(values.size());
      std::vector<uint64_t> exceptions;
      ASSERT_TRUE(ToMantissas(values, places, 0, found.data(), &exceptions));
      EXPECT_EQ(found, mantissas) << digits << " digits, " << places << " places";
    }
  }
}

TEST(Decimal, MantissasAtTheLimitAreTakenAndBeyondItAreExceptions) {
  const auto limit = static_cast<double>(kMantissaLimit);
  const std::vector<double> values = {limit - 1, 1 - limit, limit, -limit, 2 * limit, 1e300};
  std::vector<int64_t> found(values.size());
  std::vector<uint64_t> exceptions;
  ASSERT_TRUE(ToMantissas(values, 0, values.size(), found.data(), &exceptions));
  EXPECT_EQ(exceptions, (std::vector<uint64_t>{2, 3, 4, 5}));
  EXPECT_EQ(found[0], kMantissaLimit - 1);
  EXPECT_EQ(found[1], 1 - kMantissaLimit);
  EXPECT_FALSE(ToMantissas(values, 0, 3, found.data(), &exceptions));
}

TEST_F(ValuesTest, NegativeZeroIsAnExceptionAmongDecimals) {
  std::vector<double> values;
  for (int i = 0; i < 1000; ++i) values.push_back(i % 10 / 10.0);
  values[500] = -0.0;
  const ValueRun run = RoundTrip(values);
  EXPECT_EQ(run.form, ValueForm::kDecimal);
  EXPECT_EQ(run.exceptions, 1U);
}

TEST_F(ValuesTest, ConstantsTakeNoBytesWhateverTheirBits) {
  Mixer mix{13};
  for (int i = 0; i < 100; ++i) {
    RoundTrip(std::vector<double>(
        1000, i % 2 == 0 ? testing::SpecialValue(mix) : std::bit_cast<double>(mix.Next())));
    EXPECT_EQ(stream_.size(), 0U);
  }
}

TEST_F(ValuesTest, WidenedFloatsLoseTheirZeroBits) {
  Mixer mix{15};
  std::vector<double> values;
  for (int i = 0; i < 1000; ++i) {
    values.push_back(1.0F + static_cast<float>(mix.Below(1 << 23)) * 0x1p-23F);
  }
  const ValueRun run = RoundTrip(values);
  EXPECT_EQ(run.form, ValueForm::kOrderedBits);
  EXPECT_GE(run.exponent, 29);
  EXPECT_LE(stream_.size(), 1000U * 23 / 8 + 1);
}

TEST_F(ValuesTest, ASmallerExponentIsFoundAgainAfterALargerOne) {
  std::vector<double> thousandths;
  std::vector<double> tenths;
  for (int i = 0; i < 500; ++i) {
    thousandths.push_back(i * i % 1013 / 1000.0);
    tenths.push_back(i * i % 101 / 10.0);
  }
  EXPECT_EQ(RoundTrip(thousandths).exponent, 3);
  EXPECT_EQ(RoundTrip(tenths).exponent, 1);
  EXPECT_EQ(RoundTrip(thousandths).exponent, 3);
}

// Untrusted parameters over untrusted bytes: any answer, but no byte outside (a sanitizer looks).
RC_GTEST_PROP(ValuesDecoder, NoParametersMakeItLeaveItsBuffers, (uint64_t seed)) {
  Mixer mix{seed};
  ValueRun run;
  run.form = static_cast<ValueForm>(mix.Below(3));
  run.exponent = static_cast<uint8_t>(mix.Below(70));
  run.exceptions = mix.Below(3) == 0 ? static_cast<uint32_t>(mix.Below(40)) : 0;
  run.integers.origin = static_cast<int64_t>(mix.Next());
  run.integers.scale = mix.Next();
  IntegerParameters& parameters = run.integers.parameters;
  parameters.codec = static_cast<IntegerCodecId>(mix.Below(kIntegerCodecs + 1));
  parameters.residuals = {.base = mix.Next(),
                          .width = static_cast<uint8_t>(mix.Below(68)),
                          .patch_width = static_cast<uint8_t>(mix.Below(68)),
                          .patches = mix.Below(2) == 0 ? static_cast<uint32_t>(mix.Below(30)) : 0};
  parameters.slope = mix.Next();
  parameters.fraction = static_cast<uint8_t>(mix.Below(20));
  const size_t n = 1 + mix.Below(40);
  const IntegerCodec* codec = FindIntegerCodec(static_cast<uint8_t>(parameters.codec));
  size_t bytes = mix.Below(400);
  // Mostly the length that the parameters ask for, since any other is refused at once.
  if (codec != nullptr && mix.Below(8) != 0)
    bytes = std::min<size_t>(4096, ValueStreamBytes(run, n));
  std::string noise(bytes, '\0');
  for (char& c : noise) c = static_cast<char>(mix.Next());
  const Stream stream(noise);
  const std::unique_ptr<uint64_t[]> x(new uint64_t[n]);
  const std::unique_ptr<double[]> values(new double[n]);
  RC_CLASSIFY(DecodeValues(run, stream.get(), n, x.get(), values.get()));
}

}  // namespace
}  // namespace nexus::layer
