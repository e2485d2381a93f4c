// The catalog's verifiers: a sound catalog is found sound while it is written; trees that
// contradict each other, each under good checksums, are found and named.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "catalog/agreement_verifier.h"
#include "catalog/format.h"
#include "catalog/lmdb_env.h"
#include "catalog/posting_block.h"
#include "catalog/record_codec.h"
#include "tests/catalog/catalog_fixture.h"

namespace nexus::catalog {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class VerifierTest : public CatalogTest {
 protected:
  PageVerifierOptions PageOptions(std::vector<CatalogDamage>* damage) const {
    PageVerifierOptions options;
    options.read = [path = DataFile()](uint64_t offset, MutableBytes into) -> StatusOr<uint64_t> {
      std::ifstream file(path, std::ios::binary);
      file.seekg(static_cast<std::streamoff>(offset));
      file.read(reinterpret_cast<char*>(into.data()), static_cast<std::streamsize>(into.size()));
      return static_cast<uint64_t>(file.gcount());
    };
    options.damage = [damage](CatalogDamage found) { damage->push_back(std::move(found)); };
    return options;
  }
  // What is wrong with the pages, in words; `between` is called between the steps.
  std::vector<std::string> VerifyPages(const std::function<void()>& between = [] {}) {
    std::vector<CatalogDamage> damage;
    auto verifier = catalog_->VerifyPages(PageOptions(&damage));
    for (bool more = true; more; between()) {
      StatusOr<bool> step = verifier->Step();
      EXPECT_TRUE(step.ok()) << step.status();
      more = step.ok() && *step;
    }
    EXPECT_EQ(verifier->sound(), damage.empty());
    pages_ = verifier->pages();
    values_ = verifier->values();
    return Words(damage);
  }
  std::vector<std::string> VerifyAgreement(const std::function<void()>& between = [] {}) {
    std::vector<CatalogDamage> damage;
    series_.clear();
    AgreementVisitor visitor;
    visitor.damage = [&](CatalogDamage found) { damage.push_back(std::move(found)); };
    visitor.series = [&](const SeriesIdentityRow& row, std::string_view) {
      series_.push_back(row.id.value);
    };
    AgreementVerifier verifier(catalog_.get(), std::move(visitor));
    for (bool more = true; more; between()) {
      StatusOr<bool> step = verifier.Step();
      EXPECT_TRUE(step.ok()) << step.status();
      more = step.ok() && *step;
    }
    return Words(damage);
  }
  static std::vector<std::string> Words(const std::vector<CatalogDamage>& damage) {
    std::vector<std::string> words;
    for (const CatalogDamage& one : damage) words.push_back(one.description + " / " + one.series);
    return words;
  }

  // Forty series of a metric, with seven hosts.
  void Fill() {
    Create();
    Update update;
    update.settings = {{"clock", "17"}};
    update.layers_added = {Layer(1), Layer(2)};
    for (uint64_t id = 1; id <= 40; id++) {
      update.series.push_back(Series(
          id, "cpu", {{"host", "h" + std::to_string(id % 7)}, {"core", std::to_string(id)}}));
    }
    Commit(std::move(update));
  }
  // Changes the trees behind the catalog's back, under good checksums.
  void Tamper(const std::function<void(const LmdbTxn& txn)>& change) {
    catalog_.reset();
    auto env = LmdbEnv::Open({options_.directory, kTestMapBytes, 16, false, false});
    ASSERT_TRUE(env.ok()) << env.status();
    ASSERT_TRUE(*(*env)->OpenTrees(/*create=*/false));
    auto txn = LmdbTxn::Begin(*env, LmdbTxn::Kind::kWrite);
    ASSERT_TRUE(txn.ok());
    change(*txn);
    ASSERT_EQ(txn->Commit(), MDB_SUCCESS);
    env->reset();
    Open(OpenMode::kOpen);
    EXPECT_THAT(VerifyPages(), IsEmpty()) << "the pages themselves are sound";
  }
  // The key of the first entry of a tree that has `part` in its payload.
  static std::string KeyOf(const LmdbTxn& txn, Tree tree, std::string_view part = {}) {
    LmdbCursor cursor(txn, tree);
    for (bool here = *cursor.First(); here; here = *cursor.Next()) {
      if (cursor.Payload()->find(part) != std::string_view::npos) return std::string(cursor.key());
    }
    ADD_FAILURE() << "no such entry";
    return {};
  }

  uint64_t pages_ = 0;
  uint64_t values_ = 0;
  std::vector<uint64_t> series_;
};

TEST_F(VerifierTest, ASoundCatalogIsFoundSound) {
  Fill();
  EXPECT_THAT(VerifyPages(), IsEmpty());
  EXPECT_GT(pages_, 8u);
  EXPECT_GT(values_, 100u);
  EXPECT_THAT(VerifyAgreement(), IsEmpty());
  EXPECT_EQ(series_.size(), 40u);
}

TEST_F(VerifierTest, CommitsBetweenThePiecesAreNoDamage) {
  Create();
  uint64_t next = 1;
  auto commit = [&](uint64_t count) {
    Update update;
    for (uint64_t i = 0; i < count; i++, next++) {
      update.series.push_back(Series(next, "m" + std::to_string(next % 50),
                                     {{"host", "h" + std::to_string(next % 777)},
                                      {"unique", std::string(20, 'u') + std::to_string(next)}}));
    }
    Commit(std::move(update));
  };
  commit(20'000);
  int steps = 0;
  auto between = [&] {
    if (steps++ % 3 == 0 && steps < 60) commit(100);
  };
  EXPECT_THAT(VerifyPages(between), IsEmpty());
  EXPECT_GT(steps, 2) << "in several pieces";
  EXPECT_GT(pages_, 1'000u);
  steps = 0;
  EXPECT_THAT(VerifyAgreement(between), IsEmpty());
  EXPECT_GT(steps, 10);
  EXPECT_GE(series_.size(), 20'000u);
}

TEST_F(VerifierTest, APostingThatIsMissingIsFoundWithItsSeries) {
  Fill();
  Tamper([](const LmdbTxn& txn) {
    // The posting of a core, which one series has.
    const std::string symbol = KeyOf(txn, Tree::kSymbols, "17");
    KeyReader fields(symbol);
    fields.U32();
    const Symbol value = fields.U32();
    LmdbCursor cursor(txn, Tree::kPostings);
    for (bool here = *cursor.First(); here; here = *cursor.Next()) {
      KeyReader key(cursor.key());
      key.U32();
      key.U32();
      if (key.U32() != value) continue;
      ASSERT_TRUE(cursor.DeleteHere().ok());
      return;
    }
    ADD_FAILURE() << "no posting";
  });
  const std::vector<std::string> found = VerifyAgreement();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found[0], HasSubstr("is not in its postings"));
  EXPECT_THAT(found[0], HasSubstr("core=\"17\""));
  EXPECT_THAT(found[0], HasSubstr("host=\"h3\""));
}

TEST_F(VerifierTest, APostingThatHoldsAStrangerIsFound) {
  Fill();
  Tamper([](const LmdbTxn& txn) {
    const std::string key = KeyOf(txn, Tree::kPostings);
    KeyReader fields(key);
    fields.U32();
    fields.U32();
    fields.U32();
    const std::vector<uint64_t> ids = {fields.U64(), 4000};
    ValueBuilder value;
    EncodePostingBlock(ids, value.bytes());
    ASSERT_TRUE(txn.Put(Tree::kPostings, key, &value).ok());
  });
  const std::vector<std::string> found = VerifyAgreement();
  ASSERT_GE(found.size(), 1u);
  EXPECT_THAT(found.back(), HasSubstr("it holds id 4000, which is no series"));
}

TEST_F(VerifierTest, ARowWithAnotherIdentityOrAMissingSymbolIsFound) {
  Fill();
  Tamper([](const LmdbTxn& txn) {
    const Key key = SeriesKey(kTenant, SeriesId{5});
    Hash128 identity;
    std::vector<LabelSymbols> labels;
    ASSERT_TRUE(DecodeSeriesRow(**txn.Get(Tree::kSeries, key.view()), &identity, &labels));
    identity.low ^= 1;
    ValueBuilder value;
    ByteWriter writer = value.writer();
    EncodeSeriesRow(identity, labels, &writer);
    ASSERT_TRUE(txn.Put(Tree::kSeries, key.view(), &value).ok());
    ASSERT_TRUE(txn.Delete(Tree::kSymbols, KeyOf(txn, Tree::kSymbols, "23")).ok());
  });
  const std::vector<std::string> found = VerifyAgreement();
  ASSERT_EQ(found.size(), 3u);
  EXPECT_THAT(found[0], HasSubstr("its identity is not that of its labels"));
  EXPECT_THAT(found[0], HasSubstr("core=\"5\""));
  EXPECT_THAT(found[1], HasSubstr("which is missing"));
  EXPECT_THAT(found[1], HasSubstr("series id 23"));
  EXPECT_THAT(found[2], HasSubstr("has not the string that leads to it"));
}

TEST_F(VerifierTest, AnUnlayeredSeriesThatIsNoneIsFound) {
  Fill();
  Tamper([](const LmdbTxn& txn) {
    ValueBuilder value;
    const Key key = SeriesKey(kTenant, SeriesId{1'000'000});
    ASSERT_TRUE(txn.Put(Tree::kUnlayered, key.view(), &value).ok());
  });
  const std::vector<std::string> found = VerifyAgreement();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found[0], HasSubstr("tree unlayered"));
  EXPECT_THAT(found[0], HasSubstr("there is no such series"));
}

TEST_F(VerifierTest, RecordsOfABranchThatIsNotThereAreFound) {
  Fill();
  Tamper([](const LmdbTxn& txn) {
    LayerRecord layer = Layer(9, BranchId{7});
    ValueBuilder value;
    ByteWriter writer = value.writer();
    Encode(layer, &writer);
    ASSERT_TRUE(txn.Put(Tree::kLayers, KeyOfLayer(layer.key()).view(), &value).ok());
    const TombstoneRecord tombstone = {kTenant, BranchId{7}, {0, Lsn{1}}, {}, "cpu"};
    value.Clear();
    ByteWriter tombstone_writer = value.writer();
    Encode(tombstone, &tombstone_writer);
    ASSERT_TRUE(txn.Put(Tree::kTombstones, KeyOfTombstone(tombstone.key()).view(), &value).ok());
  });
  EXPECT_THAT(VerifyAgreement(),
              ElementsAre(testing::AllOf(HasSubstr("tree layers"),
                                         HasSubstr("it belongs to a branch that is not there")),
                          testing::AllOf(HasSubstr("tree tombstones"),
                                         HasSubstr("it belongs to a branch that is not there"))));
}

// A commit of a living catalog may overwrite a meta page while it is read.
TEST_F(VerifierTest, AMetaPageThatIsBeingWrittenIsReadAgain) {
  Fill();
  std::vector<CatalogDamage> damage;
  PageVerifierOptions options = PageOptions(&damage);
  int reads = 0;
  options.read = [&reads, read = options.read](uint64_t offset,
                                               MutableBytes into) -> StatusOr<uint64_t> {
    StatusOr<uint64_t> got = read(offset, into);
    const bool of_meta = offset <= 4096 && into.size() < 4096;
    if (of_meta && reads++ % 2 == 0 && reads < 8) into[into.size() / 2] ^= std::byte{1};
    return got;
  };
  auto verifier = catalog_->VerifyPages(std::move(options));
  while (*verifier->Step()) {
  }
  EXPECT_THAT(Words(damage), IsEmpty());
  EXPECT_GE(reads, 8);
}

TEST_F(VerifierTest, AStoppedCatalogIsVerifiedWithoutItsLibrary) {
  Fill();
  catalog_.reset();
  std::filesystem::remove(std::filesystem::path(options_.directory) / "lock.mdb");
  std::vector<CatalogDamage> damage;
  PageVerifier verifier(options_.directory, PageOptions(&damage));
  while (*verifier.Step()) {
  }
  EXPECT_THAT(Words(damage), IsEmpty());
  EXPECT_TRUE(verifier.sound());
  EXPECT_GT(verifier.values(), 100u);
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(options_.directory) / "lock.mdb"));
}

}  // namespace
}  // namespace nexus::catalog
