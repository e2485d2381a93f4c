// Images: contents come back, every flipped bit and every cut is seen, version 0 stays readable.

#include "catalog/image.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/bytes.h"
#include "catalog/image_format.h"
#include "tests/catalog/catalog_fixture.h"

namespace nexus::catalog {
namespace {

ImageContents Small() {
  ImageContents contents;
  contents.database = kDatabase;
  contents.lsn = Lsn{0x1234};
  contents.open_count = 3;
  contents.next_series_id = 1'001;
  contents.tenants = {Tenant(0, "default"), Tenant(4, "acme", 77)};
  contents.tenants[1].settings = {{"retention", "30d"}};
  contents.branches = {Branch(kTenant, 0, "main", 0x1200), Branch(TenantId{4}, 1, "staging", 7)};
  contents.branches[1].kind = BranchKind::kSnapshot;
  contents.branches[1].created = Lsn{8};
  contents.branches[1].created_wall_ns = 1'700'000'000'000'000'000;
  contents.branches[1].inherited = {{BranchId{0}, Lsn{8}}};
  contents.layers = {Layer(1), Layer(2)};
  contents.layers[1].state = LayerState::kGarbage;
  contents.settings = {{"clock", "1735689600000000000"}};
  ProducerRecord producer;
  producer.id = {0x11, 0x22};
  producer.epoch = 3;
  producer.last_sequence = 44;
  producer.end = Lsn{0x1200};
  producer.active_wall_ns = 1'000'000'000;
  producer.rejected = {{43, {{1, 2}, {5, 1}}}};
  contents.producers = {producer};
  contents.unlayered = {{kTenant, SeriesId{999}, Labels::Make("up", {{"job", "a"}})->Canonical()},
                        {TenantId{4}, SeriesId{7}, Labels::Make("idle", {})->Canonical()}};
  contents.tombstones = {{kTenant, BranchId{0}, {0, Lsn{0x1100}}, {-1, 4096}, "cpu{host=\"a\"}"}};
  return contents;
}

Status DecodeStatus(std::string_view bytes) { return DecodeImage(bytes, "test.image").status(); }

TEST(ImageTest, EmptyContentsComeBack) {
  ImageContents contents;
  EXPECT_EQ(*DecodeImage(*EncodeImage(contents), "x"), contents);
}

RC_GTEST_PROP(ImageTest, AnyContentsComeBack, ()) {
  std::mt19937_64 random(*rc::gen::arbitrary<uint64_t>());
  auto name = [&] {
    std::string s(1 + random() % 20, ' ');
    for (char& c : s) c = static_cast<char>(random());
    return s;
  };
  ImageContents contents;
  contents.database = {random(), random()};
  contents.lsn.value = random();
  contents.open_count = random();
  contents.next_series_id = random();
  uint32_t id = 0;
  for (uint64_t i = random() % 5; i > 0; i--) {
    TenantRecord tenant{
        TenantId{id += 1 + static_cast<uint32_t>(random() % 9)}, name(), random(), {}};
    for (uint64_t k = random() % 3; k > 0; k--) tenant.settings.push_back({name(), name()});
    contents.tenants.push_back(tenant);
    contents.branches.push_back(
        Branch(tenant.id, static_cast<uint32_t>(random()), name(), random() >> 1));
    BranchRecord& branch = contents.branches.back();
    branch.kind = random() % 2 == 0 ? BranchKind::kBranch : BranchKind::kSnapshot;
    branch.parent.value = static_cast<uint32_t>(random());
    branch.created.value = random();
    branch.created_wall_ns = static_cast<int64_t>(random());
    Lsn until = branch.sealed;
    for (uint64_t k = random() % 3; k > 0; k--) {
      until.value += 1 + random() % 1000;
      branch.inherited.push_back({BranchId{static_cast<uint32_t>(random())}, until});
    }
  }
  for (uint64_t i = random() % 5; i > 0; i--) {
    LayerRecord layer;
    layer.tenant.value = id += 1;
    layer.branch.value = static_cast<uint32_t>(random());
    layer.open_count = random();
    layer.sequence = random();
    layer.file_name = name();
    layer.range = {static_cast<int64_t>(random()), static_cast<int64_t>(random())};
    layer.level = static_cast<uint32_t>(random());
    layer.low = {static_cast<uint32_t>(random()), Lsn{random()}};
    layer.high = {static_cast<uint32_t>(random()), Lsn{random()}};
    layer.deletes_applied = Lsn{random()};
    layer.series = random();
    layer.samples = random();
    layer.file_bytes = random();
    layer.footer_hash = random();
    layer.state = random() % 2 == 0 ? LayerState::kLive : LayerState::kGarbage;
    contents.layers.push_back(layer);
  }
  for (char c = 'a'; c < static_cast<char>('a' + random() % 5); c++) {
    contents.settings.push_back({std::string(1, c), name()});
  }
  for (uint64_t i = random() % 5, series = 0; i > 0; i--) {
    series += 1 + random() % 1000;
    contents.unlayered.push_back(
        {TenantId{9}, SeriesId{series}, Labels::Make("m", {{"l", "v"}})->Canonical()});
  }
  for (uint64_t i = random() % 5, lsn = 0; i > 0; i--) {
    lsn += 1 + random() % 1000;
    TimeRange range = {static_cast<int64_t>(random()), static_cast<int64_t>(random())};
    if (range.empty()) std::swap(range.first, range.last);
    contents.tombstones.push_back({TenantId{2}, BranchId{3}, {7, Lsn{lsn}}, range, name()});
  }
  auto bytes = EncodeImage(contents);
  RC_ASSERT(bytes.ok());
  auto decoded = DecodeImage(*bytes, "x");
  RC_ASSERT(decoded.ok());
  RC_ASSERT(*decoded == contents);
}

TEST(ImageTest, OrderOfTheRecordsDoesNotMatter) {
  ImageContents contents = Small();
  std::swap(contents.tenants[0], contents.tenants[1]);
  std::swap(contents.layers[0], contents.layers[1]);
  EXPECT_EQ(*EncodeImage(contents), *EncodeImage(Small()));
}

TEST(ImageTest, RecordsThatCannotBeReadBackAreRefused) {
  ImageContents contents = Small();
  contents.layers.push_back(contents.layers[0]);
  EXPECT_EQ(EncodeImage(contents).status().code(), absl::StatusCode::kInvalidArgument);
  contents = Small();
  contents.unlayered[0].canonical = "no separator";
  EXPECT_EQ(EncodeImage(contents).status().code(), absl::StatusCode::kInvalidArgument);
  contents = Small();
  contents.tenants[0].name = "";
  EXPECT_EQ(EncodeImage(contents).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ImageTest, EveryFlippedBitIsSeen) {
  const std::string good = *EncodeImage(Small());
  for (size_t bit = 0; bit < good.size() * 8; bit++) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    ASSERT_EQ(DecodeStatus(bad).code(), absl::StatusCode::kDataLoss) << "bit " << bit;
  }
}

TEST(ImageTest, EveryCutAndEveryExtensionIsSeen) {
  const std::string good = *EncodeImage(Small());
  for (size_t length = 0; length < good.size(); length++) {
    ASSERT_EQ(DecodeStatus(good.substr(0, length)).code(), absl::StatusCode::kDataLoss) << length;
  }
  EXPECT_EQ(DecodeStatus(good + '\0').code(), absl::StatusCode::kDataLoss);
}

TEST(ImageTest, SectionOfAnotherImageIsSeen) {
  ImageContents other = Small();
  other.lsn.value++;
  std::string mixed = *EncodeImage(Small());
  mixed.replace(kImageHeaderBytes, std::string::npos,
                EncodeImage(other)->substr(kImageHeaderBytes));
  Status status = DecodeStatus(mixed);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(status.ToString().find("test.image: damaged at offset 128"), std::string::npos)
      << status;
}

// With its header's checksum made right again.
std::string WithHeader(size_t at, uint64_t value, size_t bytes) {
  std::string image = *EncodeImage(Small());
  std::memcpy(image.data() + at, &value, bytes);
  StoreUnaligned(image.data() + kImageHeaderHashAt,
                 XxHash64(AsBytes(image.substr(0, kImageHeaderHashAt))));
  return image;
}

TEST(ImageTest, OtherVersionsAndUnknownFeaturesAreRefusedByName) {
  Status version = DecodeStatus(WithHeader(8, 1, 4));
  EXPECT_EQ(version.code(), absl::StatusCode::kFailedPrecondition) << version;
  EXPECT_NE(version.ToString().find("version 1"), std::string::npos) << version;
  Status features = DecodeStatus(WithHeader(16, 4, 8));
  EXPECT_EQ(features.code(), absl::StatusCode::kFailedPrecondition) << features;
  EXPECT_NE(features.ToString().find("0x4"), std::string::npos) << features;
  EXPECT_EQ(DecodeStatus(WithHeader(88, 1, 1)).code(), absl::StatusCode::kDataLoss)
      << "a reserved byte that is not zero";
}

TEST(ImageTest, FileNamesSortAsTheirLsnsAndParseBack) {
  EXPECT_EQ(ImageFileName(Lsn{0xabc}), "catalog-0000000000000abc.image");
  EXPECT_LT(ImageFileName(Lsn{0xff}), ImageFileName(Lsn{0x100}));
  EXPECT_EQ(ParseImageFileName(ImageFileName(Lsn{UINT64_MAX})), Lsn{UINT64_MAX});
  EXPECT_EQ(ParseImageFileName("catalog-0000000000000abc.image"), Lsn{0xabc});
  for (const char* other : {"", "catalog-.image", "catalog-0000000000000ABC.image",
                            "catalog-0000000000000abc.image.tmp", "catalog-000000000000abc.image",
                            "catalog+0000000000000abc.image", "xatalog-0000000000000abc.image"}) {
    EXPECT_EQ(ParseImageFileName(other), std::nullopt) << other;
  }
}

// The file was written by the first version of this code. If this fails, the format has changed:
// until the first tagged release that is allowed, on purpose only. Then write the file anew with
//   NEXUS_GOLDEN_WRITE=$PWD/tests/catalog/golden/image_v0.image bazel-bin/tests/catalog/image_test
// and say in the commit what changed.
TEST(ImageTest, GoldenFileOfVersionZeroReadsAndIsWrittenTheSame) {
  if (const char* path = std::getenv("NEXUS_GOLDEN_WRITE"); path != nullptr) {
    std::ofstream(path, std::ios::binary) << *EncodeImage(Small());
    return;
  }
  std::ifstream file("tests/catalog/golden/image_v0.image", std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  ASSERT_FALSE(bytes.empty()) << "tests/catalog/golden/image_v0.image is not there";
  auto decoded = DecodeImage(bytes, "image_v0.image");
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, Small());
  EXPECT_EQ(*EncodeImage(Small()), bytes);
}

}  // namespace
}  // namespace nexus::catalog
