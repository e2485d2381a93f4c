// Damage: no flipped bit, no cut and no foreign file is ever taken for data.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/hash.h"
#include "layer/file_header.h"
#include "layer/format.h"
#include "tests/layer/generators.h"
#include "tests/layer/layer_fixture.h"

namespace nexus::layer {
namespace {

using testing::Build;
using testing::Built;
using testing::CanonicalOf;
using testing::LayerData;
using testing::MemoryFile;
using testing::Open;
using testing::ReadAll;
using testing::TestIdentity;

using absl::StatusCode;

// All page kinds and codecs in a few kilobytes.
LayerData SmallData() {
  LayerData data;
  for (int shape = 0; shape < testing::kValueShapes; ++shape) {
    const auto ts = testing::TimestampsOfShape(shape % testing::kTimestampShapes, 12, 1);
    data[CanonicalOf("m" + std::to_string(shape), "h")] = {static_cast<uint64_t>(shape) + 1, ts,
                                                           testing::ColumnOfShape(shape, 12, 5)};
  }
  return data;
}

BuilderOptions SmallPages() {
  BuilderOptions options;
  options.chunk_samples_max = 8;
  options.page_bytes = 512;
  return options;
}

class DamageTest : public ::testing::Test {
 protected:
  const LayerData data_ = SmallData();
  const Built built_ = Build(data_, SmallPages());
};

// The first error met by opening and reading everything.
Status ReadWhole(std::string bytes) {
  auto reader = Open(std::move(bytes));
  if (!reader.ok()) return reader.status();
  auto all = ReadAll(*reader);
  if (!all.ok()) return all.status();
  NEXUS_ASSIGN_OR_RETURN(const VerifyReport report, VerifyLayer(*reader));
  return report.ToStatus();
}

TEST_F(DamageTest, TheUndamagedLayerIsSound) {
  ASSERT_GE((*Open(built_.bytes))->page_count(), 6U);
  EXPECT_TRUE(ReadWhole(built_.bytes).ok());
}

TEST_F(DamageTest, EverySingleFlippedBitIsDataLoss) {
  for (size_t bit = 0; bit < built_.bytes.size() * 8; ++bit) {
    std::string bytes = built_.bytes;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
    const Status status = ReadWhole(std::move(bytes));
    ASSERT_EQ(status.code(), StatusCode::kDataLoss) << "bit " << bit << ": " << status;
    ASSERT_NE(FromAbsl(status.message()).find("memory.layer"), std::string_view::npos);
  }
}

TEST_F(DamageTest, EveryCutIsDataLoss) {
  for (size_t bytes = 0; bytes < built_.bytes.size(); ++bytes) {
    const Status status = Open(built_.bytes.substr(0, bytes)).status();
    ASSERT_EQ(status.code(), StatusCode::kDataLoss) << "cut at " << bytes << ": " << status;
  }
}

TEST_F(DamageTest, BytesBehindTheEndAreDataLoss) {
  EXPECT_EQ(Open(built_.bytes + '\0').status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(Open(built_.bytes + built_.bytes).status().code(), StatusCode::kDataLoss);
}

TEST_F(DamageTest, APageOfTheWrongPlaceIsDataLoss) {
  auto reader = *Open(built_.bytes);
  int swapped = 0;
  for (uint32_t a = 0; a < reader->page_count(); ++a) {
    for (uint32_t b = a + 1; b < reader->page_count(); ++b) {
      const auto one = reader->page(a);
      const auto other = reader->page(b);
      std::string bytes = built_.bytes;
      const uint32_t n = std::min(one.bytes, other.bytes);
      std::copy_n(built_.bytes.begin() + static_cast<int64_t>(other.offset), n,
                  bytes.begin() + static_cast<int64_t>(one.offset));
      ASSERT_EQ(ReadWhole(std::move(bytes)).code(), StatusCode::kDataLoss);
      ++swapped;
    }
  }
  EXPECT_GE(swapped, 15);
}

TEST_F(DamageTest, APageOfAnotherLayerIsDataLoss) {
  LayerIdentity identity = TestIdentity();
  ++identity.sequence;
  const Built other = Build(data_, SmallPages(), identity);
  std::string bytes = built_.bytes;
  const auto page = (*Open(bytes))->page(0);
  ASSERT_EQ((*Open(other.bytes))->page(0).bytes, page.bytes);
  std::copy_n(other.bytes.begin() + static_cast<int64_t>(page.offset), page.bytes,
              bytes.begin() + static_cast<int64_t>(page.offset));
  EXPECT_EQ(ReadWhole(std::move(bytes)).code(), StatusCode::kDataLoss);
}

TEST_F(DamageTest, MessagesNameFilePageAndOffset) {
  std::string bytes = built_.bytes;
  const auto page = (*Open(bytes))->page(2);
  bytes[page.offset + kPageHeaderBytes + 1] ^= 1;
  const Status status = ReadWhole(std::move(bytes));
  EXPECT_EQ(FromAbsl(status.message()).substr(0, 60),
            ("layer memory.layer: page 2 at offset " + std::to_string(page.offset) +
             ": its checksum is wrong")
                .substr(0, 60));
}

TEST_F(DamageTest, VerificationGoesOnBehindDamageAndNamesTheSeries) {
  auto sound = *Open(built_.bytes);
  std::vector<uint32_t> damaged;
  std::string bytes = built_.bytes;
  for (uint32_t i = 0; i < sound->page_count(); ++i) {
    if (sound->page(i).kind != static_cast<uint8_t>(PageKind::kChunks)) continue;
    damaged.push_back(i);
    bytes[sound->page(i).offset + 100] ^= 4;
    if (damaged.size() == 2) break;
  }
  ASSERT_EQ(damaged.size(), 2U);
  auto report = VerifyLayer(*Open(bytes));
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->damage[0].page, damaged[0]);
  EXPECT_EQ(report->damage[0].offset, sound->page(damaged[0]).offset);
  EXPECT_EQ(report->damage[1].page, damaged[1]);
  EXPECT_GT(report->damage_count, 2U);
  EXPECT_EQ(report->damage[2].series, "m0{host=\"h\",job=\"test\"}");
  EXPECT_GT(report->samples, 0U);
  EXPECT_LT(report->samples, built_.summary.samples);
  EXPECT_EQ(report->ToStatus().code(), StatusCode::kDataLoss);
}

TEST_F(DamageTest, VerificationTellsProgressAndCanBeCancelled) {
  uint64_t last = 0;
  uint64_t total = 0;
  ASSERT_TRUE(VerifyLayer(*Open(built_.bytes), [&](VerifyProgress progress) {
                EXPECT_GE(progress.bytes_done, last);
                last = progress.bytes_done;
                total = progress.bytes_total;
                return true;
              }).ok());
  EXPECT_EQ(last, total);
  EXPECT_GT(total, 0U);
  const auto cancelled = VerifyLayer(*Open(built_.bytes), [](VerifyProgress) { return false; });
  EXPECT_EQ(cancelled.status().code(), StatusCode::kCancelled);
}

TEST_F(DamageTest, AFailingReadIsAnErrorWhereverItHappens) {
  for (int read = 0;; ++read) {
    auto file = std::make_unique<MemoryFile>(built_.bytes);
    file->FailReadsFrom(read);
    auto reader = LayerReader::Open(std::move(file), nullptr);
    if (!reader.ok()) {
      EXPECT_EQ(reader.status().code(), StatusCode::kDataLoss) << reader.status();
      continue;
    }
    const auto all = ReadAll(*reader);
    if (all.ok()) break;  // there were no more reads
    EXPECT_EQ(all.status().code(), StatusCode::kDataLoss) << all.status();
  }
}

// ---- A sound file that is not ours to read.

// The layer with another header, whose checksum is right.
std::string WithHeader(const std::string& bytes, size_t offset, char value) {
  std::string changed = bytes;
  changed[offset] = value;
  const uint64_t hash = XxHash64(AsBytes(changed).first(kHeaderHashOffset));
  StoreUnaligned(changed.data() + kHeaderHashOffset, hash);
  return changed;
}

TEST_F(DamageTest, UnknownIncompatibleFeaturesAreRefusedByName) {
  const Status status = Open(WithHeader(built_.bytes, 17, 0x01)).status();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(FromAbsl(status.message()).find("0x100"), std::string_view::npos) << status;
}

TEST_F(DamageTest, UnknownCompatibleFeaturesAreReadOver) {
  EXPECT_TRUE(Open(WithHeader(built_.bytes, 24, 0x01)).ok());
  EXPECT_TRUE(Open(WithHeader(built_.bytes, 32, 0x01)).ok());
}

TEST_F(DamageTest, ANewerVersionIsRefusedByName) {
  const Status status = Open(WithHeader(built_.bytes, 8, 7)).status();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(FromAbsl(status.message()).find("version 7"), std::string_view::npos) << status;
}

TEST_F(DamageTest, ReservedBytesThatAreNotZeroAreDataLoss) {
  for (size_t offset = kHeaderReservedOffset; offset < kHeaderHashOffset; ++offset) {
    EXPECT_EQ(Open(WithHeader(built_.bytes, offset, 1)).status().code(), StatusCode::kDataLoss);
  }
}

TEST_F(DamageTest, LayersOfOthersAreRefused) {
  const auto open = [&](const LayerExpectation& expected) {
    return Open(built_.bytes, nullptr, expected).status().code();
  };
  const LayerIdentity identity = TestIdentity();
  LayerExpectation right;
  right.database = identity.database;
  right.tenant = identity.tenant;
  right.branch = identity.branch;
  right.key = identity.key();
  right.footer_hash = built_.summary.footer_hash;
  EXPECT_EQ(open(right), StatusCode::kOk);
  LayerExpectation wrong = right;
  wrong.database->low ^= 1;
  EXPECT_EQ(open(wrong), StatusCode::kFailedPrecondition);
  wrong = right;
  wrong.tenant = TenantId{4};
  EXPECT_EQ(open(wrong), StatusCode::kFailedPrecondition);
  wrong = right;
  wrong.branch = BranchId{0};
  EXPECT_EQ(open(wrong), StatusCode::kFailedPrecondition);
  wrong = right;
  wrong.key = LayerKey{9, 43};
  EXPECT_EQ(open(wrong), StatusCode::kFailedPrecondition);
  wrong = right;
  wrong.footer_hash = built_.summary.footer_hash ^ 1;
  EXPECT_EQ(open(wrong), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace nexus::layer
