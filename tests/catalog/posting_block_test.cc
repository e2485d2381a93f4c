// Posting blocks: every set of ids comes back, in the encoding that is smallest; wrong bytes do not
// pass.

#include "catalog/posting_block.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <random>

#include "base/bytes.h"
#include "catalog/format.h"

namespace nexus::catalog {
namespace {

std::vector<uint64_t> RoundTrip(const std::vector<uint64_t>& ids, size_t* bytes = nullptr,
                                int* encoding = nullptr) {
  std::vector<uint64_t> out;
  std::span<const uint64_t> rest(ids);
  while (!rest.empty()) {
    std::string block;
    size_t count = EncodePostingBlock(rest, &block);
    EXPECT_LE(count, kPostingBlockIdsMax);
    EXPECT_LE(block.size(), kPostingBlockBytesMax);
    EXPECT_EQ(FitsPostingBlock(rest), count == rest.size());
    EXPECT_TRUE(DecodePostingBlock(rest.front(), block, &out));
    if (bytes != nullptr) *bytes = block.size();
    if (encoding != nullptr) *encoding = block[0];
    rest = rest.subspan(count);
  }
  return out;
}

std::vector<uint64_t> Every(uint64_t step, uint64_t count, uint64_t first = 1) {
  std::vector<uint64_t> ids(count);
  for (uint64_t i = 0; i < count; i++) ids[i] = first + i * step;
  return ids;
}

TEST(PostingBlockTest, OneIdTakesOneByte) {
  size_t bytes = 0;
  EXPECT_EQ(RoundTrip({77}, &bytes), std::vector<uint64_t>{77});
  EXPECT_EQ(bytes, 1u);
}

TEST(PostingBlockTest, EachShapeGetsItsSmallestEncoding) {
  size_t bytes = 0;
  int encoding = -1;
  RoundTrip(Every(1, 900), &bytes, &encoding);
  EXPECT_EQ(encoding, 2) << "a run";
  EXPECT_EQ(bytes, 3u);
  std::vector<uint64_t> two_of_three;
  for (uint64_t id = 1; two_of_three.size() < 900; id++) {
    if (id % 3 != 0) two_of_three.push_back(id);
  }
  RoundTrip(two_of_three, &bytes, &encoding);
  EXPECT_EQ(encoding, 1) << "a bitmap";
  EXPECT_EQ(bytes, 1u + 1348 / 8 + 1);
  RoundTrip(Every(100, 900), &bytes, &encoding);
  EXPECT_EQ(encoding, 0) << "deltas";
  EXPECT_EQ(bytes, 1u + 899);
}

TEST(PostingBlockTest, NineHundredIdsFillABlock) {
  std::string block;
  EXPECT_EQ(EncodePostingBlock(Every(1, 901), &block), 900u);
  EXPECT_EQ(RoundTrip(Every(1, 1'801)), Every(1, 1'801));
}

TEST(PostingBlockTest, SparseIdsEndABlockByBytes) {
  std::vector<uint64_t> ids = Every(1ull << 40, 1'000);
  std::string block;
  EXPECT_EQ(EncodePostingBlock(ids, &block), 1 + (kPostingBlockBytesMax - 1) / 6);
  EXPECT_EQ(RoundTrip(ids), ids);
}

RC_GTEST_PROP(PostingBlockTest, AnyAscendingIdsComeBack, ()) {
  // Gaps of all magnitudes up to a bound, runs among them.
  std::mt19937_64 random(*rc::gen::arbitrary<uint64_t>());
  const uint64_t count = 1 + random() % 3'000;
  const uint64_t bits = random() % 44;
  const uint64_t run_share = random() % 101;
  std::vector<uint64_t> ids = {1 + random() % 1'000};
  while (ids.size() < count) {
    const uint64_t gap = random() % 100 < run_share ? 0 : random() >> (63 - random() % (bits + 1));
    ids.push_back(ids.back() + 1 + gap);
  }
  RC_ASSERT(RoundTrip(ids) == ids);
}

bool Decodes(std::string payload, uint64_t first = 5) {
  std::vector<uint64_t> ids = {1, 2, 3};
  bool decoded = DecodePostingBlock(first, payload, &ids);
  EXPECT_TRUE(decoded || ids.size() == 3) << "a malformed block must add nothing";
  return decoded;
}

std::string Varint(uint64_t v) {
  std::string out;
  ByteWriter(&out).Varint(v);
  return out;
}

TEST(PostingBlockTest, MalformedBlocksAreRefused) {
  const std::string deltas(1, '\0');
  const std::string bitmap(1, '\1');
  const std::string runs(1, '\2');
  EXPECT_TRUE(Decodes(deltas));
  EXPECT_FALSE(Decodes("")) << "no encoding";
  EXPECT_FALSE(Decodes("\3")) << "unknown encoding";
  EXPECT_FALSE(Decodes(deltas + "\x80")) << "cut varint";
  EXPECT_FALSE(Decodes(deltas + std::string(900, '\0'))) << "901 ids";
  EXPECT_TRUE(Decodes(deltas + std::string(899, '\0'))) << "900 ids";
  EXPECT_FALSE(Decodes(deltas + Varint(UINT64_MAX))) << "overflow";
  EXPECT_FALSE(Decodes(deltas, UINT64_MAX)) << "no series has this id";
  EXPECT_FALSE(Decodes(bitmap)) << "empty bitmap";
  EXPECT_FALSE(Decodes(bitmap + '\2')) << "first id not in it";
  EXPECT_FALSE(Decodes(bitmap + '\1' + '\0')) << "zero at the end";
  EXPECT_FALSE(Decodes(bitmap + std::string(113, '\xff'))) << "904 ids";
  EXPECT_FALSE(Decodes(bitmap + "\x81", UINT64_MAX - 3)) << "overflow";
  EXPECT_FALSE(Decodes(runs)) << "no run";
  EXPECT_FALSE(Decodes(runs + Varint(900))) << "901 ids";
  EXPECT_FALSE(Decodes(runs + Varint(UINT64_MAX))) << "overflow";
  EXPECT_FALSE(Decodes(runs + Varint(1) + Varint(3))) << "a gap and no run";
  EXPECT_FALSE(Decodes(runs + Varint(1) + Varint(UINT64_MAX) + Varint(1))) << "overflow";
  EXPECT_FALSE(Decodes(runs + Varint(1) + Varint(1) + Varint(UINT64_MAX))) << "overflow";
  EXPECT_FALSE(Decodes(std::string(kPostingBlockBytesMax + 1, '\0'))) << "longer than any block";
}

}  // namespace
}  // namespace nexus::catalog
