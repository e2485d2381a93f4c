// The file BACKUP: comes back as it was, each damaged byte is refused by name.

#include "engine/backup_manifest.h"

#include <gtest/gtest.h>

#include <string>

#include "base/bytes.h"
#include "base/hash.h"

namespace nexus::engine {
namespace {

constexpr size_t kVersionAt = 8;
constexpr size_t kIncompatibleAt = 16;
constexpr size_t kReadOnlyAt = 24;
constexpr size_t kCompatibleAt = 32;
constexpr size_t kReservedAt = 104;
constexpr size_t kHashAt = 136;

BackupManifest Example() {
  BackupManifest manifest;
  manifest.identity.database = {0x0123456789abcdef, 0x1122334455667788};
  manifest.identity.origin = {0x99, 0xaa};
  manifest.identity.timeline = 1;
  manifest.identity.created_wall_ns = 1'000'000'000;
  manifest.lsn = Lsn{0x10000};
  manifest.made_wall_ns = 2'000'000'000;
  return manifest;
}

// The example with a byte changed, and a hash that fits it.
std::string Resealed(size_t at, char byte) {
  std::string bytes = EncodeBackupManifest(Example());
  bytes[at] = byte;
  StoreUnaligned(bytes.data() + kHashAt, XxHash64(AsBytes(bytes.substr(0, kHashAt))));
  return bytes;
}

// The worked example of docs/format/backup.md.
TEST(BackupManifestTest, WorkedExampleIsWhatIsWritten) {
  std::string hex;
  for (char c : EncodeBackupManifest(Example())) {
    hex += fmt::format("{:02x}", static_cast<uint8_t>(c));
  }
  EXPECT_EQ(hex, "4e584241434b55500000000000000000" + std::string(24 * 2, '0') +
                     "efcdab89674523018877665544332211"
                     "9900000000000000aa00000000000000"
                     "0100000000000000"
                     "00ca9a3b00000000"
                     "0000010000000000"
                     "0094357700000000" +
                     std::string(32 * 2, '0') + "7277c08453575a32");
}

TEST(BackupManifestTest, ComesBack) {
  auto parsed = ParseBackupManifest(EncodeBackupManifest(Example()), "BACKUP");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, Example());
  EXPECT_TRUE(parsed->complete());
  BackupManifest begun = Example();
  begun.lsn = Lsn{};
  EXPECT_FALSE(ParseBackupManifest(EncodeBackupManifest(begun), "BACKUP")->complete());
}

TEST(BackupManifestTest, EveryFlippedBitIsRefusedWithThePath) {
  const std::string good = EncodeBackupManifest(Example());
  for (size_t bit = 0; bit < good.size() * 8; bit++) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    const Status status = ParseBackupManifest(bad, "some/BACKUP").status();
    const bool in_version = bit / 8 >= kVersionAt && bit / 8 < kVersionAt + 4;
    EXPECT_EQ(status.code(),
              in_version ? absl::StatusCode::kFailedPrecondition : absl::StatusCode::kDataLoss)
        << "bit " << bit;
    EXPECT_NE(status.ToString().find("some/BACKUP"), std::string::npos) << status;
  }
}

TEST(BackupManifestTest, EveryOtherLengthIsDataLoss) {
  const std::string good = EncodeBackupManifest(Example());
  for (size_t size = 0; size < good.size(); size++) {
    EXPECT_EQ(ParseBackupManifest(good.substr(0, size), "BACKUP").status().code(),
              absl::StatusCode::kDataLoss)
        << size;
  }
  EXPECT_EQ(ParseBackupManifest(good + '\0', "BACKUP").status().code(),
            absl::StatusCode::kDataLoss);
}

TEST(BackupManifestTest, UnknownFeaturesRefuseUnlessCompatible) {
  for (size_t at : {kIncompatibleAt, kReadOnlyAt}) {
    const Status status = ParseBackupManifest(Resealed(at, 4), "BACKUP").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << at;
    EXPECT_NE(status.ToString().find("0x4"), std::string::npos) << status;
  }
  EXPECT_TRUE(ParseBackupManifest(Resealed(kCompatibleAt, 4), "BACKUP").ok());
}

TEST(BackupManifestTest, ReservedBytesThatAreNotZeroAreDataLoss) {
  for (size_t at : {kVersionAt + 4, size_t{76}, kReservedAt, kHashAt - 1}) {
    EXPECT_EQ(ParseBackupManifest(Resealed(at, 1), "BACKUP").status().code(),
              absl::StatusCode::kDataLoss)
        << at;
  }
}

}  // namespace
}  // namespace nexus::engine
