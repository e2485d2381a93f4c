// LayerReaders: readers within their bound, those in use left alone, nothing kept of errors.

#include "engine/layer_readers.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "layer/layer_builder.h"
#include "tests/layer/memory_file.h"

namespace nexus::engine {
namespace {

class LayerReadersTest : public testing::Test {
 protected:
  // A layer of one sample, and its file.
  std::shared_ptr<LayerFile> MakeLayer(LayerReaders* readers, uint64_t sequence) {
    layer::LayerIdentity identity;
    identity.open_count = 1;
    identity.sequence = sequence;
    layer::LayerBuilder builder(identity, {});
    const int64_t timestamps[] = {static_cast<int64_t>(sequence)};
    const double values[] = {1};
    EXPECT_TRUE(builder.AddSeries("metric\xFF", SeriesId{1}, timestamps, values).ok());
    const layer::LayerSummary summary = *builder.Finish();
    bytes_[sequence] = builder.TakeOutput();
    catalog::LayerRecord record;
    record.open_count = 1;
    record.sequence = sequence;
    record.file_name = layer::LayerFileName(summary);
    record.range = summary.range;
    record.footer_hash = summary.footer_hash;
    return readers->Make(record);
  }
  LayerReaders::OpenFunction Opener(layer::PageCache* pages = nullptr) {
    return [this, pages](const LayerFile& file) -> StatusOr<LayerReaderPtr> {
      opened_.push_back(file.name().key.sequence);
      NEXUS_RETURN_IF_ERROR(std::exchange(error_, OkStatus()));
      return layer::LayerReader::Open(
          std::make_unique<layer::testing::MemoryFile>(bytes_.at(file.name().key.sequence)), pages,
          {}, file.pages_owner());
    };
  }
  // What one reader takes.
  uint64_t ReaderBytes() {
    LayerReaders readers(1 << 20, nullptr, Opener());
    const auto file = MakeLayer(&readers, 99);
    EXPECT_TRUE(file->Reader().ok());
    const uint64_t bytes = readers.counters().bytes;
    opened_.clear();
    return bytes;
  }

  std::map<uint64_t, std::string> bytes_;
  std::vector<uint64_t> opened_;
  Status error_;
};

using Sequences = std::vector<uint64_t>;

TEST_F(LayerReadersTest, AReaderIsMadeByTheFirstUseAndKeptWithinTheBound) {
  const uint64_t each = ReaderBytes();
  EXPECT_GT(each, 100u);
  LayerReaders readers(3 * each, nullptr, Opener());
  std::vector<std::shared_ptr<LayerFile>> files;
  for (uint64_t i = 0; i < 5; i++) files.push_back(MakeLayer(&readers, i));
  EXPECT_EQ(readers.counters().readers, 0u);
  for (const auto& file : files) {
    EXPECT_EQ((*file->Reader())->summary().range, file->range());
    EXPECT_LE(readers.counters().bytes, 3 * each);
  }
  EXPECT_EQ(readers.counters().readers, 3u);
  EXPECT_EQ(opened_, (Sequences{0, 1, 2, 3, 4}));
  for (uint64_t i = 2; i < 5; i++) ASSERT_TRUE(files[i]->Reader().ok());
  EXPECT_EQ(opened_.size(), 5u) << "these were in memory";
}

TEST_F(LayerReadersTest, TheOneUsedLongestAgoGoes) {
  LayerReaders readers(2 * ReaderBytes(), nullptr, Opener());
  const auto a = MakeLayer(&readers, 1), b = MakeLayer(&readers, 2), c = MakeLayer(&readers, 3);
  for (const auto& file : {a, b, a, c, a, b}) ASSERT_TRUE(file->Reader().ok());
  EXPECT_EQ(opened_, (Sequences{1, 2, 3, 2}));
}

TEST_F(LayerReadersTest, AReaderInUseIsLeftAndTheBoundIsMetOnceItIsNot) {
  const uint64_t each = ReaderBytes();
  LayerReaders readers(each, nullptr, Opener());
  const auto a = MakeLayer(&readers, 1), b = MakeLayer(&readers, 2), c = MakeLayer(&readers, 3);
  {
    const LayerReaderPtr in_use = *a->Reader();
    ASSERT_TRUE(b->Reader().ok());
    ASSERT_TRUE(a->Reader().ok());
    EXPECT_EQ(opened_, (Sequences{1, 2}));
    EXPECT_EQ(in_use->summary().range, a->range());
  }
  ASSERT_TRUE(c->Reader().ok());
  EXPECT_LE(readers.counters().bytes, each);
}

TEST_F(LayerReadersTest, WithoutRoomNothingIsKeptAndEverythingWorks) {
  LayerReaders readers(0, nullptr, Opener());
  const auto a = MakeLayer(&readers, 1);
  for (int i = 0; i < 3; i++) EXPECT_EQ((*a->Reader())->summary().range, a->range());
  // What was given last is let go with the next.
  const auto b = MakeLayer(&readers, 2);
  ASSERT_TRUE(b->Reader().ok());
  EXPECT_LE(readers.counters().readers, 1u);
}

TEST_F(LayerReadersTest, AnErrorIsGivenAndNotKept) {
  LayerReaders readers(1 << 20, nullptr, Opener());
  const auto a = MakeLayer(&readers, 1);
  error_ = Unavailable("not now");
  EXPECT_TRUE(absl::IsUnavailable(a->Reader().status()));
  EXPECT_EQ(readers.counters().readers, 0u);
  EXPECT_TRUE(a->Reader().ok());
}

TEST_F(LayerReadersTest, AReaderThatIsHeldHoldsItsFile) {
  LayerReaders readers(0, nullptr, Opener());
  std::shared_ptr<const LayerFile> a = MakeLayer(&readers, 1);
  const std::weak_ptr<const LayerFile> watch = a;
  LayerReaderPtr held = *HoldReader(std::move(a));
  EXPECT_FALSE(watch.expired());
  EXPECT_EQ(held->summary().range.first, 1);
  held.reset();
  EXPECT_TRUE(watch.expired());
  EXPECT_EQ(readers.counters().readers, 0u);
  EXPECT_EQ(readers.counters().bytes, 0u);
}

TEST_F(LayerReadersTest, PagesOutliveTheReaderAndGoWithTheFile) {
  layer::PageCache pages(1 << 20);
  LayerReaders readers(0, &pages, Opener(&pages));
  std::shared_ptr<const LayerFile> a = MakeLayer(&readers, 1);
  const auto other = MakeLayer(&readers, 2);
  auto chunks_of = [](const LayerFile& file) {
    std::vector<ChunkRef> chunks;
    EXPECT_TRUE(file.NewReader()->Chunks({SeriesId{1}, {}}, {}, &chunks).ok());
    return chunks;
  };
  EXPECT_EQ(chunks_of(*a).size(), 1u);
  const uint64_t of_one = pages.counters().pages;
  EXPECT_GT(of_one, 0u);
  // The other's takes the place of its reader.
  ASSERT_EQ(chunks_of(*other).size(), 1u);
  EXPECT_EQ(chunks_of(*other).front().range, other->range());
  EXPECT_EQ(pages.counters().pages, 2 * of_one);
  const uint64_t misses = pages.counters().misses;
  EXPECT_EQ(chunks_of(*a).front().range, a->range());
  EXPECT_EQ(pages.counters().misses, misses) << "a page that was verified is read anew";
  a.reset();
  EXPECT_EQ(pages.counters().pages, of_one);
}

TEST_F(LayerReadersTest, ManyThreadsUseFewReaders) {
  const uint64_t each = ReaderBytes();
  Mutex mutex;
  auto open = [&, opener = Opener()](const LayerFile& file) {
    MutexLock lock(&mutex);
    return opener(file);
  };
  LayerReaders readers(2 * each, nullptr, open);
  std::vector<std::shared_ptr<LayerFile>> files;
  for (uint64_t i = 0; i < 6; i++) files.push_back(MakeLayer(&readers, i));
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; t++) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 300; i++) {
        const LayerFile& file = *files[(i * (t + 1)) % files.size()];
        const auto reader = file.Reader();
        ASSERT_TRUE(reader.ok());
        ASSERT_EQ((*reader)->summary().range, file.range());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(files[0]->Reader().ok());
  files.resize(1);
  EXPECT_LE(readers.counters().bytes, each);
}

}  // namespace
}  // namespace nexus::engine
