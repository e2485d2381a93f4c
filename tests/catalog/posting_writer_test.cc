// Posting blocks of one label after inserts in any order: the set is right and the blocks are full
// enough.

#include "catalog/posting_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "catalog/lmdb_env.h"
#include "catalog/posting_block.h"
#include "tests/catalog/catalog_fixture.h"

namespace nexus::catalog {
namespace {

constexpr LabelSymbols kLabel{5, 9};

class PostingWriterTest : public CatalogTest {
 protected:
  PostingWriterTest() {
    auto env = LmdbEnv::Open({options_.directory, kTestMapBytes, 16, false});
    EXPECT_TRUE(env.ok()) << env.status();
    env_ = *env;
    EXPECT_TRUE(*env_->OpenTrees(/*create=*/true));
  }

  void Add(std::vector<uint64_t> ids, LabelSymbols label = kLabel) { AddEach({ids}, label); }
  // One call of the writer for each batch, in one transaction.
  void AddEach(const std::vector<std::vector<uint64_t>>& batches, LabelSymbols label = kLabel) {
    auto txn = LmdbTxn::Begin(env_, LmdbTxn::Kind::kWrite);
    ASSERT_TRUE(txn.ok());
    for (const auto& ids : batches) {
      Status status = PostingWriter(*txn, kTenant).Add(label, ids, /*fresh=*/false);
      ASSERT_TRUE(status.ok()) << status;
    }
    ASSERT_EQ(txn->Commit(), 0);
  }

  struct Block {
    LabelSymbols label;
    std::vector<uint64_t> ids;
  };
  std::vector<Block> Blocks() {
    std::vector<Block> blocks;
    auto txn = LmdbTxn::Begin(env_, LmdbTxn::Kind::kRead);
    LmdbCursor cursor(*txn, Tree::kPostings);
    for (bool here = *cursor.First(); here; here = *cursor.Next()) {
      KeyReader key(cursor.key());
      EXPECT_EQ(key.U32(), kTenant.value);
      Block& block = blocks.emplace_back();
      block.label.name = key.U32();
      block.label.value = key.U32();
      EXPECT_TRUE(DecodePostingBlock(key.U64(), *cursor.Payload(), &block.ids));
    }
    return blocks;
  }
  std::vector<uint64_t> All(LabelSymbols label = kLabel) {
    std::vector<uint64_t> ids;
    for (const Block& block : Blocks()) {
      if (block.label == label) ids.insert(ids.end(), block.ids.begin(), block.ids.end());
    }
    return ids;
  }

  std::shared_ptr<LmdbEnv> env_;
};

std::vector<uint64_t> Range(uint64_t first, uint64_t count) {
  std::vector<uint64_t> ids(count);
  for (uint64_t i = 0; i < count; i++) ids[i] = first + i;
  return ids;
}

TEST_F(PostingWriterTest, AscendingIdsFillWholeBlocks) {
  for (uint64_t batch = 0; batch < 40; batch++) Add(Range(1 + batch * 100, 100));
  EXPECT_EQ(All(), Range(1, 4'000));
  std::vector<Block> blocks = Blocks();
  ASSERT_EQ(blocks.size(), 5u);
  for (size_t i = 0; i < 4; i++) EXPECT_EQ(blocks[i].ids.size(), 900u);
}

TEST_F(PostingWriterTest, DescendingIdsDoNotLeaveTinyBlocks) {
  for (uint64_t batch = 40; batch-- > 0;) Add(Range(1 + batch * 100, 100));
  EXPECT_EQ(All(), Range(1, 4'000));
  EXPECT_LE(Blocks().size(), 10u);
}

TEST_F(PostingWriterTest, InsertsIntoTheMiddleSplitEvenly) {
  std::vector<uint64_t> even;
  for (uint64_t i = 0; i < 2'000; i++) even.push_back(2 + 2 * i);
  Add(even);
  std::vector<std::vector<uint64_t>> odd;
  for (uint64_t i = 0; i < 2'000; i++) odd.push_back({1 + 2 * i});
  AddEach(odd);
  EXPECT_EQ(All(), Range(1, 4'000));
  EXPECT_LE(Blocks().size(), 10u);
}

TEST_F(PostingWriterTest, NeighbouringLabelsAreLeftAlone) {
  const LabelSymbols before{5, 8};
  const LabelSymbols after{5, 10};
  const LabelSymbols next_name{6, 0};
  Add(Range(100, 10), before);
  Add(Range(100, 10), after);
  Add(Range(100, 10), next_name);
  Add(Range(1, 2'000));
  Add({50, 5'000});
  EXPECT_EQ(All(before), Range(100, 10));
  EXPECT_EQ(All(after), Range(100, 10));
  EXPECT_EQ(All(next_name), Range(100, 10));
  EXPECT_EQ(All().size(), 2'001u);
}

TEST_F(PostingWriterTest, IdsAlreadyThereChangeNothing) {
  Add(Range(1, 1'000));
  size_t blocks = Blocks().size();
  Add(Range(1, 1'000));
  Add({1, 500, 1'000});
  EXPECT_EQ(All(), Range(1, 1'000));
  EXPECT_EQ(Blocks().size(), blocks);
}

TEST_F(PostingWriterTest, AnyOrderGivesTheSameSet) {
  std::mt19937_64 random(4711);
  std::set<uint64_t> model;
  std::vector<std::vector<uint64_t>> batches;
  for (int batch = 0; batch < 300; batch++) {
    std::set<uint64_t> ids;
    // From dense to far beyond 32 bits, so that all encodings and both limits of a block take part.
    const uint64_t span = 1ull << (4 + random() % 44);
    const uint64_t base = 1 + random() % span;
    const size_t count = 1 + random() % 400;
    for (size_t i = 0; i < count; i++) ids.insert(base + random() % span);
    batches.emplace_back(ids.begin(), ids.end());
    model.insert(ids.begin(), ids.end());
    if (batches.size() == 30) AddEach(std::exchange(batches, {}));
  }
  EXPECT_EQ(All(), std::vector<uint64_t>(model.begin(), model.end()));
}

TEST_F(PostingWriterTest, RemovedIdsAreGoneAndOthersStay) {
  std::mt19937_64 random(7);
  constexpr LabelSymbols kNext{5, 10};
  Add({1, 2, 3}, kNext);
  std::set<uint64_t> model;
  for (int round = 0; round < 60; round++) {
    std::vector<uint64_t> added = Range(1 + random() % 20'000, 1 + random() % 400);
    Add(added);
    model.insert(added.begin(), added.end());
    std::set<uint64_t> removed;
    for (int i = 0; i < 150; i++) removed.insert(random() % 20'500);
    // Whole blocks go, too.
    if (round % 10 == 9) {
      for (uint64_t id : Range(1 + random() % 10'000, 5'000)) removed.insert(id);
    }
    auto txn = LmdbTxn::Begin(env_, LmdbTxn::Kind::kWrite);
    ASSERT_TRUE(txn.ok());
    const std::vector<uint64_t> ids(removed.begin(), removed.end());
    const Status status = PostingWriter(*txn, kTenant).Remove(kLabel, ids);
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_EQ(txn->Commit(), 0);
    for (uint64_t id : removed) model.erase(id);
    ASSERT_EQ(All(), std::vector<uint64_t>(model.begin(), model.end()));
  }
  auto txn = LmdbTxn::Begin(env_, LmdbTxn::Kind::kWrite);
  ASSERT_TRUE(txn.ok());
  PostingWriter writer(*txn, kTenant);
  EXPECT_TRUE(*writer.HasIds(kLabel));
  ASSERT_TRUE(writer.Remove(kLabel, std::vector<uint64_t>(model.begin(), model.end())).ok());
  EXPECT_FALSE(*writer.HasIds(kLabel));
  EXPECT_TRUE(*writer.HasIds(kNext));
  ASSERT_EQ(txn->Commit(), 0);
  EXPECT_EQ(All(), std::vector<uint64_t>());
  EXPECT_EQ(All(kNext), (std::vector<uint64_t>{1, 2, 3}));
}

TEST_F(PostingWriterTest, DamagedBlockIsReportedNotMergedInto) {
  Add(Range(1, 10));
  {
    auto txn = LmdbTxn::Begin(env_, LmdbTxn::Kind::kWrite);
    const Key key = PostingKey(kTenant, kLabel.name, kLabel.value, {1});
    MDB_val k{key.view().size(), const_cast<char*>(key.view().data())};
    MDB_val v{};
    ASSERT_EQ(mdb_get(txn->get(), env_->dbi(Tree::kPostings), &k, &v), 0);
    std::string bytes(static_cast<char*>(v.mv_data), v.mv_size);
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    v = {bytes.size(), bytes.data()};
    ASSERT_EQ(mdb_put(txn->get(), env_->dbi(Tree::kPostings), &k, &v, 0), 0);
    ASSERT_EQ(txn->Commit(), 0);
  }
  auto txn = LmdbTxn::Begin(env_, LmdbTxn::Kind::kWrite);
  std::vector<uint64_t> ids = {20};
  Status status = PostingWriter(*txn, kTenant).Add(kLabel, ids, /*fresh=*/false);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(FromAbsl(status.message()).find("postings value with key"), std::string_view::npos)
      << status;
}

}  // namespace
}  // namespace nexus::catalog
