// The bytes of catalog values: the worked example of docs/format/catalog.md, byte for byte.
//
// If this fails, the format has changed: until the first tagged release that is allowed, on purpose
// only, and the page changes with it.

#include "catalog/format.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "catalog/lmdb_env.h"
#include "catalog/record_codec.h"
#include "tests/catalog/catalog_fixture.h"

namespace nexus::catalog {
namespace {

std::string Hex(std::string_view bytes) {
  std::string out;
  for (char c : bytes) out += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return out;
}

// Hex without the spaces that make it readable.
std::string operator""_hex(const char* text, size_t size) {
  std::string hex(text, size);
  std::erase(hex, ' ');
  return hex;
}

class FormatTest : public CatalogTest {
 protected:
  FormatTest() {
    Open(OpenMode::kCreate);
    Update update;
    update.tenants = {Tenant(0, "default", 42)};
    update.series = {Series(1, "cpu", {{"host", "a"}}), Series(2, "cpu", {{"host", "b"}})};
    Commit(std::move(update));
    catalog_.reset();
    auto env = LmdbEnv::Open({options_.directory, kTestMapBytes, 16, true});
    EXPECT_TRUE(env.ok()) << env.status();
    env_ = *env;
    EXPECT_TRUE(*env_->OpenTrees(/*create=*/false));
  }

  // "key value" in hex, of each entry in order.
  std::vector<std::string> Entries(Tree tree) {
    std::vector<std::string> entries;
    auto txn = LmdbTxn::Begin(env_, LmdbTxn::Kind::kRead);
    LmdbCursor cursor(*txn, tree);
    for (bool here = *cursor.First(); here; here = *cursor.Next()) {
      std::string_view payload = *cursor.Payload();
      std::string_view value(payload.data() - kChecksumBytes, payload.size() + kChecksumBytes);
      entries.push_back(Hex(cursor.key()) + " " + Hex(value));
    }
    return entries;
  }

  std::shared_ptr<LmdbEnv> env_;
};

TEST_F(FormatTest, WorkedExampleIsWhatIsWritten) {
  EXPECT_EQ(Entries(Tree::kSeries)[0],
            "000000000000000000000001 "
            "86dcbde969a332f883aa414f00c9ccbdd42d8e26e37111300201020304");
  EXPECT_EQ(Entries(Tree::kSymbols)[1], "0000000000000002 d66fa23dec010af4637075");
  EXPECT_EQ(Entries(Tree::kSymbolIds)[4],
            "00000000958a06280f25d2cd598f8a9035e1a9b9 8cd459ab9e00a2a102000000");
  EXPECT_EQ(Entries(Tree::kPostings)[0],
            "0000000000000001000000020000000000000001 9fdf5bb6b59e7ae50000");
  EXPECT_EQ(Entries(Tree::kPostings)[1],
            "0000000000000003000000040000000000000001 08dfa8a8201ed26800");
  EXPECT_EQ(Entries(Tree::kTenants)[0],
            "00000000 "
            "6a7e37e51fd58782000000002a000000000000000100000000000000000000000764656661756c7400");
}

template <typename Record>
std::string EncodedHex(const Record& record) {
  std::string bytes;
  ByteWriter out(&bytes);
  Encode(record, &out);
  return Hex(bytes);
}

// Written by hand from the grammar of the page.
TEST(RecordFormatTest, SmallRecordsAreWhatThePageSays) {
  EXPECT_EQ(EncodedHex(Setting{"a", "xyz"}), "01610378797a");
  EXPECT_EQ(EncodedHex(TenantRecord{TenantId{3}, "ab", 0x5eed, {{"k", ""}}}),
            "03000000 ed5e000000000000 01000000 0000000000000000 026162 01 016b00"_hex);
  BranchRecord branch = Branch(TenantId{1}, 2, "snap", 0x1200);
  branch.kind = BranchKind::kSnapshot;
  branch.parent = BranchId{1};
  branch.created = Lsn{0x1300};
  branch.created_wall_ns = -2;
  branch.inherited = {{BranchId{1}, Lsn{0x1300}}};
  EXPECT_EQ(EncodedHex(branch),
            "01000000 02000000 01 01000000 0013000000000000 feffffffffffffff 0012000000000000"
            "04736e6170 01 01000000 0013000000000000"_hex);
  LayerRecord layer = Layer(2, BranchId{5});
  layer.state = LayerState::kGarbage;
  EXPECT_EQ(EncodedHex(layer),
            "00000000 05000000 0300000000000000 0200000000000000 01 01000000 0000000000000000"
            "fbffffffffffffff 0200000000000000 00000000 0a00000000000000 01000000 1600000000000000"
            "2000000000000000 0700000000000000 bc02000000000000 0010000000000000 efcdab0000000000"
            "07 6c617965722d32"_hex);
}

TEST(RecordFormatTest, MetaRecordIsWhatThePageSays) {
  Meta meta;
  meta.features = {1, 2, 3};
  meta.database = kDatabase;
  meta.applied = Lsn{0x1234};
  meta.open_count = 5;
  meta.next_series_id = 6;
  EXPECT_EQ(
      EncodedHex(meta),
      "4e584341544c470a 00000000 00000000 0100000000000000 0200000000000000 0300000000000000"
      "efcdab8967452301 1032547698badcfe 3412000000000000 0500000000000000 0600000000000000"_hex +
          std::string(40 * 2, '0'));
}

TEST_F(FormatTest, KeysSortAsTheirNumbers) {
  EXPECT_LT(SeriesKey(TenantId{1}, SeriesId{255}).view(),
            SeriesKey(TenantId{1}, SeriesId{256}).view());
  EXPECT_LT(SeriesKey(TenantId{1}, SeriesId{UINT64_MAX}).view(),
            SeriesKey(TenantId{256}, SeriesId{0}).view());
  EXPECT_LT(PostingKey(TenantId{1}, 2, UINT32_MAX, SeriesId{9}).view(),
            PostingKey(TenantId{1}, 3, 0, SeriesId{0}).view());
}

}  // namespace
}  // namespace nexus::catalog
