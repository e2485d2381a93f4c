// Damage in an input never reaches an output: every merge ends with the right output or an error
// that names the place. And damage of an output is found before anyone relies on it.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/compaction/merge_fixture.h"
#include "tests/layer/generators.h"

namespace nexus::compaction {
namespace {

using layer::testing::MemoryFile;
using testing::CanonicalOf;
using testing::InputIdentity;
using testing::JobOf;
using testing::ModelInput;
using testing::OpenInput;

// Two inputs that overlap in part, with chunks that are copied and chunks that are joined.
class MergeDamageTest : public ::testing::Test {
 protected:
  MergeDamageTest() {
    for (int number = 0; number < 2; ++number) {
      ModelInput input;
      for (int shape = 0; shape < layer::testing::kValueShapes; ++shape) {
        const uint64_t seed = static_cast<uint64_t>(shape * 2 + number);
        auto ts = layer::testing::TimestampsOfShape(shape % 6, 24, 1);
        const int64_t later = number * 10 * (ts[1] - ts[0]);
        for (int64_t& at : ts) at += later;
        input.data[CanonicalOf("m" + std::to_string(shape), "h")] = {
            static_cast<uint64_t>(shape) + 1, ts, layer::testing::ColumnOfShape(shape, 24, seed)};
      }
      input.options.chunk_samples_max = 6;
      input.options.page_bytes = 512;
      bytes_.push_back(layer::testing::Build(input.data, input.options,
                                             InputIdentity(static_cast<uint64_t>(number)))
                           .bytes);
      inputs_.push_back(std::move(input));
    }
    sound_ = JobOf(inputs_);
    sound_.chunk_samples_good = 5;
    sound_.builder.chunk_samples_max = 12;
    MergeProgress progress;
    outputs_ = BytesOf(MergeLayers(sound_, {9, 500}, &progress));
    EXPECT_GT(progress.chunks_copied, 10U);
    EXPECT_GT(progress.chunks_decoded, 10U);
  }

  static std::vector<std::string> BytesOf(const StatusOr<std::vector<MergedFile>>& merged) {
    EXPECT_TRUE(merged.ok()) << merged.status();
    std::vector<std::string> outputs;
    for (const MergedFile& file : merged.value()) outputs.push_back(file.bytes);
    return outputs;
  }

  // Merges with `file` as the second input. True if that gave the right outputs; else an error.
  bool MergesRight(std::unique_ptr<MemoryFile> file, Status* status) {
    auto reader = layer::LayerReader::Open(std::move(file), nullptr);
    *status = reader.status();
    if (!reader.ok()) return false;
    MergeJob job = sound_;
    job.inputs[1].layer = *reader;
    const auto merged = MergeLayers(job, {9, 500});
    *status = merged.status();
    if (!merged.ok()) return false;
    EXPECT_EQ(BytesOf(merged), outputs_);
    return true;
  }

  std::vector<ModelInput> inputs_;
  std::vector<std::string> bytes_;
  MergeJob sound_;
  std::vector<std::string> outputs_;
};

TEST_F(MergeDamageTest, NoFlippedBitOfAnInputMakesAWrongOutput) {
  size_t found = 0;
  for (size_t at = 0; at < bytes_[1].size(); ++at) {
    std::string damaged = bytes_[1];
    damaged[at] = static_cast<char>(damaged[at] ^ 1 << at % 8);
    Status status;
    if (MergesRight(std::make_unique<MemoryFile>(std::move(damaged)), &status)) continue;
    ++found;
    ASSERT_TRUE(absl::IsDataLoss(status)) << "byte " << at << ": " << status;
    ASSERT_NE(FromAbsl(status.message()).find("memory.layer"), std::string_view::npos) << status;
  }
  // Pages of ids are not read by a merge; everything else is.
  EXPECT_GT(found * 10, bytes_[1].size() * 9);
}

TEST_F(MergeDamageTest, NoFailingReadMakesAWrongOutput) {
  bool right = false;
  int reads = 0;
  for (; !right; ++reads) {
    auto file = std::make_unique<MemoryFile>(bytes_[1]);
    file->FailReadsFrom(reads);
    Status status;
    right = MergesRight(std::move(file), &status);
    ASSERT_TRUE(right || !status.ok());
  }
  EXPECT_GT(reads, 10);
}

TEST_F(MergeDamageTest, AnErrorIsGivenAgainByEveryStep) {
  auto file = std::make_unique<MemoryFile>(bytes_[1]);
  file->FailReadsFrom(6);
  auto reader = layer::LayerReader::Open(std::move(file), nullptr);
  ASSERT_TRUE(reader.ok());
  MergeJob job = sound_;
  job.inputs[1].layer = *reader;
  auto merge = LayerMerge::Create(job);
  ASSERT_TRUE(merge.ok());
  Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) status = (*merge)->Step({9, 500}).status();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ((*merge)->Step({9, 500}).status(), status);
}

TEST_F(MergeDamageTest, EveryFlippedBitOfAnOutputIsFoundByVerification) {
  const auto sound = MergeLayers(sound_, {9, 500});
  ASSERT_TRUE(sound.ok());
  const MergedFile& output = sound->front();
  for (size_t at = 0; at < output.bytes.size(); ++at) {
    std::string damaged = output.bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 1 << at % 8);
    auto reader = layer::testing::Open(std::move(damaged));
    const Status status =
        reader.ok() ? VerifyOutput(*reader, output.layer.summary) : reader.status();
    ASSERT_TRUE(absl::IsDataLoss(status)) << "byte " << at << ": " << status;
  }
}

TEST_F(MergeDamageTest, ASoundFileThatIsNotTheOutputIsFoundByVerification) {
  const auto merged = MergeLayers(sound_, {9, 500});
  ASSERT_TRUE(merged.ok());
  auto reader = layer::testing::Open(merged->front().bytes);
  ASSERT_TRUE(reader.ok());
  const layer::LayerSummary written = merged->front().layer.summary;
  EXPECT_TRUE(VerifyOutput(*reader, written).ok());
  layer::LayerSummary other = written;
  ++other.samples;
  EXPECT_TRUE(absl::IsDataLoss(VerifyOutput(*reader, other)));
  other = written;
  other.footer_hash ^= 1;
  EXPECT_TRUE(absl::IsDataLoss(VerifyOutput(*reader, other)));
  other = written;
  other.inputs.pop_back();
  EXPECT_TRUE(absl::IsDataLoss(VerifyOutput(*reader, other)));
}

}  // namespace
}  // namespace nexus::compaction
