// Definition and edit records: what is encoded decodes to the same; damage is refused by name.

#include "engine/record.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/labels.h"

namespace nexus::engine {
namespace {

std::string Canonical(std::string metric, std::vector<Label> labels) {
  return Labels::Make(std::move(metric), std::move(labels))->Canonical();
}

std::vector<catalog::SeriesDefinition> SomeDefinitions() {
  return {{TenantId{0}, SeriesId{1}, Canonical("cpu", {{"host", "a"}, {"core", "0"}})},
          {TenantId{7}, SeriesId{~0ull}, Canonical("up", {})}};
}

catalog::LayerRecord SomeLayer(uint64_t sequence) {
  catalog::LayerRecord layer;
  layer.tenant = TenantId{7};
  layer.branch = BranchId{2};
  layer.open_count = 3;
  layer.sequence = sequence;
  layer.file_name = "8000000000000000-9000000000000000-0-3-" + std::to_string(sequence) + ".nxl";
  layer.range = {-5, 1'000'000};
  layer.level = 1;
  layer.low = {1, Lsn{4096}};
  layer.high = {2, Lsn{8192}};
  layer.deletes_applied = Lsn{9000};
  layer.series = 10;
  layer.samples = 1000;
  layer.file_bytes = 12345;
  layer.footer_hash = 0xfeedfacecafebeefull;
  return layer;
}

std::vector<Edit> SomeEdits() {
  PublishLayers publish{TenantId{7},
                        BranchId{2},
                        Lsn{9000},
                        {SomeLayer(4), SomeLayer(5)},
                        {SomeLayer(1).key(), SomeLayer(2).key()}};
  return {publish,
          CreateTenant{TenantId{8}, "acme", 0x0123456789abcdefull},
          CreateBranch{TenantId{8}, BranchId{1}, "what-if", BranchId{0},
                       catalog::BranchKind::kSnapshot, -5},
          DeleteBranch{TenantId{8}, BranchId{1}},
          DeleteTenant{TenantId{8}},
          SetTenant{TenantId{8}, {{"quota.series_max", "5"}, {"quota.bytes_max", ""}}},
          GarbageRemoved{{SomeLayer(1).key()}},
          PublishLayers{},
          OpenProducer{TenantId{1}, BranchId{2}, ProducerId{3, 4}, 5, -6},
          ForgetProducers{TenantId{1}, BranchId{2}, {{ProducerId{3, 4}, 5, 6}}},
          DeleteSamples{TenantId{1}, BranchId{2}, {-7, 8}, "cpu{host=~\"a.*\"}"},
          TombstonesForgotten{TenantId{1}, BranchId{2}, {{0, Lsn{77}}, {1, Lsn{99}}}},
          SetRetention{TenantId{1}, -9, {{"{job=\"dev\"}", 7}, {"{}", 400}}},
          SetRetention{TenantId{1}, 9, {}},
          AcceptClock{-5},
          ForgetSeries{TenantId{1}, {{SeriesId{7}, Hash128{8, 9}}, {SeriesId{10}, Hash128{1, 2}}}}};
}

TEST(DefinitionsRecord, RoundTrips) {
  std::string body = EncodeDefinitions(SomeDefinitions());
  auto decoded = DecodeDefinitions(AsBytes(body));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, SomeDefinitions());
  EXPECT_TRUE(DecodeDefinitions(AsBytes(EncodeDefinitions({})))->empty());
}

// The worked example of docs/format/record.md.
TEST(DefinitionsRecord, BytesAreAsDocumented) {
  catalog::SeriesDefinition one{TenantId{1}, SeriesId{5}, Canonical("up", {{"job", "n"}})};
  EXPECT_EQ(EncodeDefinitions(std::span(&one, 1)), std::string("\x01\0\0\0"
                                                               "\x01\0\0\0"
                                                               "\x05\0\0\0\0\0\0\0"
                                                               "\x09"
                                                               "up\xFF"
                                                               "job\xFE"
                                                               "n\xFF",
                                                               26));
}

TEST(DefinitionsRecord, EveryPrefixIsRefused) {
  std::string body = EncodeDefinitions(SomeDefinitions());
  for (size_t size = 0; size < body.size(); size++) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeDefinitions(AsBytes(body.substr(0, size))).status()))
        << size;
  }
}

TEST(DefinitionsRecord, DamageIsNamed) {
  auto error = [](std::string body) {
    return std::string(FromAbsl(DecodeDefinitions(AsBytes(body)).status().message()));
  };
  std::string good = EncodeDefinitions(SomeDefinitions());
  EXPECT_EQ(error(good), "");
  EXPECT_NE(error(good + '\0').find("trailing"), std::string::npos);
  std::string many = good;
  many[3] = '\x7f';
  EXPECT_NE(error(many).find("count"), std::string::npos);
  std::string id_zero = good;
  id_zero[8] = '\0';
  EXPECT_NE(error(id_zero).find("series id 0"), std::string::npos);
  std::string no_metric = good;
  no_metric[17] = '\xFF';
  EXPECT_NE(error(no_metric).find("canonical"), std::string::npos);
}

TEST(EditRecord, RoundTrips) {
  std::string body = EncodeEdits(SomeEdits());
  auto decoded = DecodeEdits(AsBytes(body));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, SomeEdits());
}

TEST(EditRecord, SeriesToForgetAscendAndAreBounded) {
  ForgetSeries edit{TenantId{1}, {{SeriesId{7}, {}}, {SeriesId{8}, {}}}};
  const std::string good = EncodeEdits(std::vector<Edit>{edit});
  ASSERT_TRUE(DecodeEdits(AsBytes(good)).ok());
  constexpr size_t kFirstId = 4 + kEditHeaderBytes + 4 + 4;
  for (const char id : {'\0', '\x08', '\x09'}) {
    std::string bad = good;
    bad[kFirstId] = id;
    EXPECT_TRUE(absl::IsDataLoss(DecodeEdits(AsBytes(bad)).status())) << int{id};
  }
  edit.series.clear();
  for (uint64_t id = 1; id <= kForgottenSeriesMax; id++) edit.series.push_back({SeriesId{id}, {}});
  const std::string most = EncodeEdits(std::vector<Edit>{edit});
  EXPECT_TRUE(DecodeEdits(AsBytes(most)).ok());
}

// The worked example of docs/format/record.md.
TEST(EditRecord, BytesAreAsDocumented) {
  std::vector<Edit> edits = {CreateTenant{TenantId{8}, "acme", 0x0123456789abcdefull}};
  EXPECT_EQ(EncodeEdits(edits), std::string("\x01\0\0\0"
                                            "\x02\0\0\0"
                                            "\x11\0\0\0"
                                            "\x08\0\0\0"
                                            "\xef\xcd\xab\x89\x67\x45\x23\x01"
                                            "\x04"
                                            "acme",
                                            29));
}

TEST(EditRecord, PublishBytesDoNotChangeByAccident) {
  std::string body = EncodeEdits(SomeEdits());
  EXPECT_EQ(body.size(), 966u);
  EXPECT_EQ(XxHash64(AsBytes(body)), 17685115439587824669u);
}

TEST(EditRecord, EveryPrefixIsRefused) {
  std::string body = EncodeEdits(SomeEdits());
  for (size_t size = 0; size < body.size(); size++) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeEdits(AsBytes(body.substr(0, size))).status())) << size;
  }
}

TEST(EditRecord, AnUnknownKindAsksForANewerRelease) {
  std::string body = EncodeEdits(SomeEdits());
  body[4] = '\x63';
  Status status = DecodeEdits(AsBytes(body)).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("99"), absl::string_view::npos);
}

TEST(EditRecord, ALengthThatDisagreesWithTheEditIsRefused) {
  std::vector<Edit> edits = {CreateTenant{TenantId{8}, "acme", 1}};
  std::string longer = EncodeEdits(edits) + '\0';
  longer[8]++;
  EXPECT_TRUE(absl::IsDataLoss(DecodeEdits(AsBytes(longer)).status()));
}

// The worked example of docs/format/record.md.
TEST(EditRecord, ADeleteIsAsDocumented) {
  std::vector<Edit> edits = {DeleteSamples{TenantId{1}, BranchId{0}, {16, 255}, "up"}};
  EXPECT_EQ(EncodeEdits(edits), std::string("\x01\0\0\0"
                                            "\x07\0\0\0"
                                            "\x1b\0\0\0"
                                            "\x01\0\0\0\0\0\0\0"
                                            "\x10\0\0\0\0\0\0\0"
                                            "\xff\0\0\0\0\0\0\0"
                                            "\x02up",
                                            39));
}

TEST(EditRecord, ASecondDeleteADeleteOfNothingAndAnEmptyRangeAreRefused) {
  const std::vector<Edit> one = {DeleteSamples{TenantId{1}, BranchId{0}, {16, 255}, "up"}};
  const std::string record = EncodeEdits(one);
  ASSERT_TRUE(DecodeEdits(AsBytes(record)).ok());
  std::string twice = record + record.substr(4);
  twice[0] = '\x02';
  EXPECT_TRUE(absl::IsDataLoss(DecodeEdits(AsBytes(twice)).status()));
  std::string nothing = record.substr(0, record.size() - 2);
  nothing[8] = '\x19';
  nothing.back() = '\0';
  EXPECT_TRUE(absl::IsDataLoss(DecodeEdits(AsBytes(nothing)).status()));
  std::string empty_range = record;
  empty_range[12 + 8 + 1] = '\x01';  // it begins at 272
  EXPECT_TRUE(absl::IsDataLoss(DecodeEdits(AsBytes(empty_range)).status()));
}

TEST(EditRecord, ACountBeyondTheBodyAllocatesNothing) {
  std::vector<Edit> edits = {PublishLayers{}};
  std::string body = EncodeEdits(edits);
  body[4 + 8 + 16 + 3] = '\x7f';  // two thousand million layers
  EXPECT_TRUE(absl::IsDataLoss(DecodeEdits(AsBytes(body)).status()));
}

}  // namespace
}  // namespace nexus::engine
