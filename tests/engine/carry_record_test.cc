// Carry records: what is encoded is read back the same; damage is refused by name.

#include "engine/carry_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/labels.h"
#include "engine/record.h"

namespace nexus::engine {
namespace {

using testing::HasSubstr;

constexpr TenantId kTenant{3};
constexpr BranchId kBranch{2};

Bytes BodyOf(const std::vector<uint64_t>& words) { return std::as_bytes(std::span(words)); }

std::vector<catalog::SeriesDefinition> SomeDefinitions() {
  return {{kTenant, SeriesId{7}, Labels::Make("up", {{"job", "a"}})->Canonical()},
          {kTenant, SeriesId{9}, Labels::Make("down", {})->Canonical()}};
}

std::vector<uint64_t> SomeCarry() {
  BatchEncoder batch(kTenant, kBranch);
  batch.AddSeries(SeriesId{7}, std::vector<int64_t>{1, 2, 5}, std::vector<double>{1, -0.0, 3});
  batch.Add(std::vector<SeriesSample>{{SeriesId{9}, -4, 2}});
  return EncodeCarry(Lsn{4096}, Lsn{9000}, SomeDefinitions(), batch.Finish());
}

std::string Refusal(const std::vector<uint64_t>& words) {
  const Status status = CarryView::Parse(BodyOf(words)).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  return std::string(status.message());
}

TEST(CarryRecordTest, IsReadAsItWasWritten) {
  const std::vector<uint64_t> words = SomeCarry();
  StatusOr<CarryView> carry = CarryView::Parse(BodyOf(words));
  ASSERT_TRUE(carry.ok()) << carry.status();
  EXPECT_EQ(carry->since, Lsn{4096});
  EXPECT_EQ(carry->until, Lsn{9000});
  EXPECT_EQ(*DecodeDefinitions(carry->definitions), SomeDefinitions());
  EXPECT_EQ(carry->batch.tenant(), kTenant);
  EXPECT_EQ(carry->batch.branch(), kBranch);
  EXPECT_EQ(carry->batch.sample_count(), 4u);
}

// The worked example of docs/format/record.md.
TEST(CarryRecordTest, HasTheBytesThatAreWrittenUp) {
  BatchEncoder batch(TenantId{1}, BranchId{2});
  batch.Add(std::vector<SeriesSample>{{SeriesId{5}, 1'000'000'000, 1.0}});
  const std::vector<catalog::SeriesDefinition> definitions = {
      {TenantId{1}, SeriesId{5}, Labels::Make("up", {{"job", "n"}})->Canonical()}};
  const std::vector<uint64_t> expected = {0x1000,
                                          9000,
                                          26,
                                          0x0000000100000001,
                                          5,
                                          0xfe626f6aff707509,
                                          0x000000000000ff6e,
                                          0x0000000200000001,
                                          0x0000000100000000,
                                          1,
                                          0,
                                          0,
                                          0,
                                          0,
                                          0,
                                          0x0000000100020202,
                                          0,
                                          1'000'000'000,
                                          1'000'000'000,
                                          5,
                                          0,
                                          0x3ff0000000000000};
  EXPECT_EQ(EncodeCarry(Lsn{4096}, Lsn{9000}, definitions, batch.Finish()), expected);
}

TEST(CarryRecordTest, CutAnywhereIsRefused) {
  const std::vector<uint64_t> words = SomeCarry();
  const Bytes whole = BodyOf(words);
  for (size_t bytes = 0; bytes < whole.size(); bytes++) {
    const Status status = CarryView::Parse(whole.first(bytes)).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << bytes << ": " << status;
  }
}

TEST(CarryRecordTest, RecordsThatEndBeforeTheyBeginAreRefused) {
  std::vector<uint64_t> words = SomeCarry();
  std::swap(words[0], words[1]);
  EXPECT_THAT(Refusal(words), HasSubstr("an empty range of records at byte 0"));
  words[0] = words[1];
  EXPECT_THAT(Refusal(words), HasSubstr("an empty range of records at byte 0"));
}

TEST(CarryRecordTest, DefinitionsBeyondTheBodyAndPaddingAreRefused) {
  const std::vector<uint64_t> good = SomeCarry();
  for (const uint64_t bytes : {good.size() * 8 - 23, ~uint64_t{0}, ~uint64_t{0} - 7}) {
    std::vector<uint64_t> words = good;
    words[2] = bytes;
    EXPECT_THAT(Refusal(words), HasSubstr("cut definitions at byte 16"));
  }
  std::vector<uint64_t> words = good;
  ASSERT_NE(words[2] % 8, 0u);
  words[3 + words[2] / 8] |= uint64_t{1} << 63;
  EXPECT_THAT(Refusal(words), HasSubstr("padding that is not zero before"));
}

TEST(CarryRecordTest, ABatchThatNobodyCarriesIsRefused) {
  const int64_t timestamp = 1;
  const double value = 2;
  BatchEncoder batch(kTenant, kBranch);
  EXPECT_THAT(Refusal(EncodeCarry(Lsn{1}, Lsn{2}, {}, batch.Finish())),
              HasSubstr("no samples at byte 32"));
  batch.AddSeries(SeriesId{7}, std::span(&timestamp, 1), std::span(&value, 1));
  batch.SetExactlyOnce({1, 2, 3, 4});
  EXPECT_THAT(Refusal(EncodeCarry(Lsn{1}, Lsn{2}, {}, batch.Finish())),
              HasSubstr("a numbered batch at byte 32"));
  batch.Reset(kTenant, kBranch);
  batch.AddSeries(SeriesId{7}, std::span(&timestamp, 1), std::span(&value, 1));
  batch.Reject(0, 1);
  EXPECT_THAT(Refusal(EncodeCarry(Lsn{1}, Lsn{2}, {}, batch.Finish())),
              HasSubstr("rejected samples at byte 32"));
}

TEST(CarryRecordTest, AMisalignedBodyIsTheReadersMistake) {
  const std::vector<uint64_t> words = SomeCarry();
  std::array<uint64_t, 64> moved = {};
  ASSERT_LT(words.size(), moved.size());
  std::memcpy(reinterpret_cast<std::byte*>(moved.data()) + 4, words.data(), words.size() * 8);
  const Status status =
      CarryView::Parse(std::as_bytes(std::span(moved)).subspan(4, words.size() * 8)).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
}

}  // namespace
}  // namespace nexus::engine
