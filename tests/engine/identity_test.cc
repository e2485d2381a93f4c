// The file IDENTITY: comes back as it was, each damaged byte is refused by name.

#include "engine/identity.h"

#include <gtest/gtest.h>

#include <string>

#include "base/bytes.h"
#include "base/hash.h"

namespace nexus::engine {
namespace {

constexpr size_t kVersionAt = 8;
constexpr size_t kIncompatibleAt = 40;
constexpr size_t kReadOnlyAt = 48;
constexpr size_t kCompatibleAt = 56;
constexpr size_t kOriginAt = 64;
constexpr size_t kTimelineAt = 80;
constexpr size_t kReservedAt = 84;
constexpr size_t kHashAt = 96;

Identity Example() {
  return {DatabaseId{0x0123456789abcdef, 0x1122334455667788}, 1'000'000'000, {}, 0};
}

// The example with a byte changed, and a hash that fits it.
std::string Resealed(size_t at, char byte) {
  std::string bytes = EncodeIdentity(Example());
  bytes[at] = byte;
  StoreUnaligned(bytes.data() + kHashAt, XxHash64(AsBytes(bytes.substr(0, kHashAt))));
  return bytes;
}

// The worked example of docs/format/identity.md.
TEST(IdentityTest, WorkedExampleIsWhatIsWritten) {
  std::string hex;
  for (char c : EncodeIdentity(Example())) hex += fmt::format("{:02x}", static_cast<uint8_t>(c));
  EXPECT_EQ(hex,
            "4e584944454e540a0000000000000000"
            "efcdab89674523018877665544332211"
            "00ca9a3b00000000" +
                std::string(24 * 2 + 32 * 2, '0') + "468c48815ec7960c");
}

TEST(IdentityTest, ComesBack) {
  auto parsed = ParseIdentity(EncodeIdentity(Example()), "IDENTITY");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, Example());
}

TEST(IdentityTest, ARestoredDatabaseNamesItsOriginAndItsTimeline) {
  EXPECT_EQ(Example().layers(), Example().database);
  Identity restored = Example();
  restored.origin = {3, 4};
  restored.timeline = 2;
  const std::string bytes = EncodeIdentity(restored);
  EXPECT_EQ(bytes[kOriginAt], 3);
  EXPECT_EQ(bytes[kOriginAt + 8], 4);
  EXPECT_EQ(bytes[kTimelineAt], 2);
  auto parsed = ParseIdentity(bytes, "IDENTITY");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, restored);
  EXPECT_EQ(parsed->layers(), (DatabaseId{3, 4}));
}

TEST(IdentityTest, EveryFlippedBitIsRefusedWithThePath) {
  const std::string good = EncodeIdentity(Example());
  for (size_t bit = 0; bit < good.size() * 8; bit++) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    Status status = ParseIdentity(bad, "some/IDENTITY").status();
    const bool in_version = bit / 8 >= kVersionAt && bit / 8 < kVersionAt + 4;
    EXPECT_EQ(status.code(),
              in_version ? absl::StatusCode::kFailedPrecondition : absl::StatusCode::kDataLoss)
        << "bit " << bit;
    EXPECT_NE(status.ToString().find("some/IDENTITY"), std::string::npos) << status;
  }
}

TEST(IdentityTest, EveryOtherLengthIsDataLoss) {
  const std::string good = EncodeIdentity(Example());
  for (size_t size = 0; size < good.size(); size++) {
    EXPECT_EQ(ParseIdentity(good.substr(0, size), "IDENTITY").status().code(),
              absl::StatusCode::kDataLoss)
        << size;
  }
  EXPECT_EQ(ParseIdentity(good + '\0', "IDENTITY").status().code(), absl::StatusCode::kDataLoss);
}

TEST(IdentityTest, UnknownFeaturesRefuseUnlessCompatible) {
  for (size_t at : {kIncompatibleAt, kReadOnlyAt}) {
    Status status = ParseIdentity(Resealed(at, 4), "IDENTITY").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << at;
    EXPECT_NE(status.ToString().find("0x4"), std::string::npos) << status;
  }
  auto parsed = ParseIdentity(Resealed(kCompatibleAt, 4), "IDENTITY");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, Example());
}

TEST(IdentityTest, ReservedBytesThatAreNotZeroAreDataLoss) {
  for (size_t at : {kVersionAt + 4, kReservedAt, kHashAt - 1}) {
    EXPECT_EQ(ParseIdentity(Resealed(at, 1), "IDENTITY").status().code(),
              absl::StatusCode::kDataLoss)
        << at;
  }
}

}  // namespace
}  // namespace nexus::engine
