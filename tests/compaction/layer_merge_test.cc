// Merging layers against a sorted map: every shape of overlap, window, filter and size.

#include "compaction/layer_merge.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/compaction/merge_fixture.h"
#include "tests/layer/generators.h"

namespace nexus::compaction {
namespace {

using layer::testing::Mixer;
using testing::CanonicalOf;
using testing::ExpectMerged;
using testing::JobOf;
using testing::MapFilter;
using testing::ModelInput;
using testing::SeriesData;

constexpr int64_t kFirst = std::numeric_limits<int64_t>::min();
constexpr int64_t kLast = std::numeric_limits<int64_t>::max();

// How inputs of a random job look.
struct Shape {
  uint64_t base = 0;      // around here are the timestamps
  uint64_t spread = 0;    // an input begins up to this far from the base
  uint64_t step = 1;      // between samples, at most
  size_t samples = 0;     // of a series, at most
  size_t series = 1;      // there are
  uint64_t filtered = 0;  // one in so many series of inputs has dropped ranges; 0: none
};

Shape AnyShape() {
  Shape shape;
  shape.base = *rc::gen::element<uint64_t>(0, 1'735'689'600'000'000'000, ~uint64_t{0} - 500,
                                           static_cast<uint64_t>(kFirst),
                                           static_cast<uint64_t>(kLast) - 40'000);
  shape.spread = *rc::gen::element<uint64_t>(1, 100, 3000);
  shape.step = *rc::gen::element<uint64_t>(1, 2, 50);
  shape.samples = *rc::gen::element<size_t>(3, 60, 400);
  shape.series = *rc::gen::inRange<size_t>(1, 7);
  shape.filtered = *rc::gen::element<uint64_t>(0, 0, 1, 3);
  return shape;
}

std::string LabelsOf(size_t series) {
  return CanonicalOf("m" + std::to_string(series % 2), "h" + std::to_string(series));
}

SeriesData AnySeries(uint64_t id, const Shape& shape, Mixer& mix) {
  SeriesData series;
  series.id = id;
  uint64_t at = shape.base + mix.Below(shape.spread);
  const size_t count = 1 + mix.Below(shape.samples);
  for (size_t i = 0; i < count; ++i) {
    series.ts.push_back(static_cast<int64_t>(at));
    series.values.push_back(mix.Below(3) == 0 ? layer::testing::SpecialValue(mix)
                                              : std::bit_cast<double>(mix.Next()));
    const uint64_t gap = mix.Below(40) == 0 ? 30 * shape.step : 1 + mix.Below(shape.step);
    if (static_cast<uint64_t>(kLast) - at < gap) break;
    at += gap;
  }
  return series;
}

void DropSome(const std::string& labels, const SeriesData& series, Mixer& mix, MapFilter* filter) {
  int64_t begin = series.ts.front();
  if (mix.Below(4) == 0) return filter->Drop(labels, TimeRange());
  for (uint64_t i = 0, ranges = mix.Below(4); i < ranges && begin < series.ts.back(); ++i) {
    const auto length = static_cast<uint64_t>(series.ts.back()) - static_cast<uint64_t>(begin);
    const int64_t first = begin + static_cast<int64_t>(mix.Below(length + 1));
    const int64_t last = first + static_cast<int64_t>(mix.Below(length / 2 + 1));
    if (last < first || last >= kLast - 1) return;
    filter->Drop(labels, {first, last});
    begin = last + 1 + static_cast<int64_t>(mix.Below(2));
  }
}

std::vector<ModelInput> AnyInputs(size_t count, const Shape& shape, Mixer& mix) {
  std::vector<ModelInput> inputs(count);
  for (ModelInput& input : inputs) {
    input.filter = std::make_shared<MapFilter>();
    for (size_t i = 0; i < shape.series; ++i) {
      if (mix.Below(4) == 0 && !(i + 1 == shape.series && input.data.empty())) continue;
      const SeriesData series = AnySeries(i * 5 + 1, shape, mix);
      if (shape.filtered > 0 && mix.Below(shape.filtered) == 0) {
        DropSome(LabelsOf(i), series, mix, input.filter.get());
      }
      input.data[LabelsOf(i)] = series;
    }
    input.options.chunk_samples_max = 1 + static_cast<uint32_t>(mix.Below(200));
    input.options.page_bytes = 256 + static_cast<uint32_t>(mix.Below(4000));
  }
  return inputs;
}

RC_GTEST_PROP(LayerMerge, OutputsAreWhatASortedMapHolds, ()) {
  const Shape shape = AnyShape();
  Mixer mix{*rc::gen::arbitrary<uint64_t>()};
  const size_t count = *rc::gen::element<size_t>(1, 2, 3, 7, 20);
  const std::vector<ModelInput> inputs = AnyInputs(count, shape, mix);
  MergeJob job = JobOf(inputs);
  job.window_ns = *rc::gen::element<int64_t>(0, 0, 64, 1000, 7200, kLast);
  job.output_bytes_max = *rc::gen::element<uint64_t>(1, 2000, uint64_t{1} << 30);
  job.builder.chunk_samples_max = *rc::gen::element<uint32_t>(1, 2, 50, 300, 8192);
  job.builder.page_bytes = *rc::gen::element<uint32_t>(256, 2048, 65536);
  const uint32_t good_max = (job.builder.chunk_samples_max + 1) / 2;
  job.chunk_samples_good = *rc::gen::inRange<uint32_t>(0, good_max + 1);
  ExpectMerged(inputs, job);
}

// A series of `count` samples, one each `step` from `begin` on.
SeriesData Steady(uint64_t id, int64_t begin, int64_t step, size_t count, double value) {
  SeriesData series;
  series.id = id;
  for (size_t i = 0; i < count; ++i) {
    series.ts.push_back(begin + static_cast<int64_t>(i) * step);
    series.values.push_back(value + static_cast<double>(i));
  }
  return series;
}

std::vector<ModelInput> InputsOf(const std::vector<SeriesData>& series) {
  std::vector<ModelInput> inputs;
  for (const SeriesData& one : series) {
    ModelInput input;
    input.data[CanonicalOf("m", "h")] = one;
    inputs.push_back(std::move(input));
  }
  return inputs;
}

TEST(LayerMerge, LongChunksThatOverlapNothingAreCopied) {
  const auto inputs = InputsOf({Steady(1, 0, 10, 20'000, 0), Steady(1, 200'000, 10, 20'000, 5)});
  MergeProgress progress;
  ExpectMerged(inputs, JobOf(inputs), &progress);
  EXPECT_EQ(progress.chunks_copied, 6U);
  EXPECT_EQ(progress.chunks_decoded, 0U);
}

TEST(LayerMerge, ChunksThatMeetInOneTimestampAreNotCopied) {
  // The first input's last sample is the second's first.
  const auto inputs = InputsOf({Steady(1, 0, 10, 8192, 0), Steady(1, 81'910, 10, 8192, 0.5)});
  MergeProgress progress;
  ExpectMerged(inputs, JobOf(inputs), &progress);
  EXPECT_EQ(progress.chunks_copied, 0U);
  EXPECT_EQ(progress.samples_superseded, 1U);
}

TEST(LayerMerge, SmallChunksBecomeLongOnes) {
  std::vector<SeriesData> day;
  for (int i = 0; i < 12; ++i) day.push_back(Steady(1, i * 7200, 10, 720, i));
  const auto inputs = InputsOf(day);
  MergeProgress progress;
  std::vector<MergedFile> files;
  ExpectMerged(inputs, JobOf(inputs), &progress, &files);
  ASSERT_EQ(files.size(), 1U);
  // 8,640 samples are two chunks of half as many each.
  EXPECT_EQ(files.front().layer.summary.chunks, 2U);
  EXPECT_EQ(progress.chunks_copied, 0U);
}

TEST(LayerMerge, AShortRestJoinsTheNextChunk) {
  const auto inputs = InputsOf({Steady(1, 0, 1, 100, 0), Steady(1, 1000, 1, 8192, 0),
                                Steady(1, 10'000, 1, 8192, 0), Steady(1, 20'000, 1, 50, 0)});
  MergeProgress progress;
  std::vector<MergedFile> files;
  ExpectMerged(inputs, JobOf(inputs), &progress, &files);
  // 100 and 8,192 in halves, the next 8,192 as they are, the last 50 alone.
  EXPECT_EQ(progress.chunks_copied, 1U);
  EXPECT_EQ(files.front().layer.summary.chunks, 4U);
}

TEST(LayerMerge, CopiedChunksShareTheirTimestampColumns) {
  constexpr int kSeries = 30;
  ModelInput input;
  ModelInput other;
  for (int i = 0; i < kSeries; ++i) {
    const std::string labels = CanonicalOf("m" + std::to_string(i), "h");
    input.data[labels] = Steady(static_cast<uint64_t>(i) + 1, 0, 10, 4000, i);
    other.data[labels] = Steady(static_cast<uint64_t>(i) + 1, 40'000, 17, 4000, i);
  }
  const std::vector<ModelInput> inputs = {input, other};
  std::vector<MergedFile> files;
  MergeProgress progress;
  ExpectMerged(inputs, JobOf(inputs), &progress, &files);
  EXPECT_EQ(progress.chunks_copied, 2U * kSeries);
  auto reader = layer::testing::Open(files.front().bytes);
  ASSERT_TRUE(reader.ok());
  uint64_t columns = 0;
  for (uint32_t i = 0; i < (*reader)->page_count(); ++i) {
    if ((*reader)->page(i).kind == 2) columns += (*reader)->page(i).items;
  }
  EXPECT_EQ(columns, 2U);
}

TEST(LayerMerge, TheLaterInputWinsWhateverItsTime) {
  const auto inputs = InputsOf({Steady(1, 0, 10, 3000, 1), Steady(1, 0, 10, 3000, 2),
                                Steady(1, 5, 5, 2000, 3), Steady(1, 0, 10, 1, 4)});
  ExpectMerged(inputs, JobOf(inputs));
}

TEST(LayerMerge, ADroppedSampleHidesNoOlderOne) {
  auto inputs = InputsOf({Steady(1, 0, 10, 100, 1), Steady(1, 0, 10, 100, 2)});
  inputs[1].filter = std::make_shared<MapFilter>();
  inputs[1].filter->Drop(CanonicalOf("m", "h"), {200, 399});
  MergeProgress progress;
  ExpectMerged(inputs, JobOf(inputs), &progress);
  EXPECT_EQ(progress.samples_filtered, 20U);
  EXPECT_EQ(progress.samples_superseded, 80U);
}

TEST(LayerMerge, ASeriesOfWhichAllIsDroppedIsGone) {
  ModelInput input;
  input.data[CanonicalOf("a", "h")] = Steady(1, 0, 1, 5000, 0);
  input.data[CanonicalOf("b", "h")] = Steady(2, 0, 1, 5000, 0);
  input.filter = std::make_shared<MapFilter>();
  input.filter->Drop(CanonicalOf("a", "h"), {0, 4999});
  std::vector<MergedFile> files;
  MergeProgress progress;
  ExpectMerged({input}, JobOf({input}), &progress, &files);
  ASSERT_EQ(files.size(), 1U);
  EXPECT_EQ(files.front().layer.series, std::vector<uint64_t>{2});
  EXPECT_EQ(progress.chunks_decoded, 0U);
  EXPECT_EQ(progress.samples_filtered, 5000U);
}

TEST(LayerMerge, NothingLeftIsNoOutput) {
  auto inputs = InputsOf({Steady(1, 0, 10, 100, 1), Steady(1, 5000, 10, 100, 2)});
  for (ModelInput& input : inputs) {
    input.filter = std::make_shared<MapFilter>();
    // Two ranges that drop a chunk together.
    input.filter->Drop(CanonicalOf("m", "h"), {kFirst, 300});
    input.filter->Drop(CanonicalOf("m", "h"), {301, kLast});
  }
  MergeJob job = JobOf(inputs);
  job.window_ns = 400;
  std::vector<MergedFile> files;
  ExpectMerged(inputs, job, nullptr, &files);
  EXPECT_TRUE(files.empty());
}

TEST(LayerMerge, WindowsFarApartAreFoundWithoutVisitingThoseBetween) {
  SeriesData series;
  series.id = 1;
  series.ts = {kFirst, kFirst + 1, -7201, -7200, -1, 0, 7199, 7200, kLast - 1, kLast};
  for (size_t i = 0; i < series.ts.size(); ++i) series.values.push_back(static_cast<double>(i));
  const auto inputs = InputsOf({series, Steady(1, 1000, 1, 10, 0)});
  MergeJob job = JobOf(inputs);
  job.window_ns = 7200;
  std::vector<MergedFile> files;
  ExpectMerged(inputs, job, nullptr, &files);
  EXPECT_EQ(files.size(), 6U);
}

TEST(LayerMerge, SixtyFourInputsAreJoined) {
  std::vector<SeriesData> series;
  for (int i = 0; i < 64; ++i) series.push_back(Steady(1, i * 10, 640, 300, i));
  const auto inputs = InputsOf(series);
  ExpectMerged(inputs, JobOf(inputs));
}

TEST(LayerMerge, OutputsAreSplitBySizeBetweenSeries) {
  ModelInput input;
  Mixer mix{5};
  for (uint64_t i = 1; i <= 100; ++i) {
    SeriesData& series = input.data[CanonicalOf("m", "h" + std::to_string(i))];
    series = Steady(i, 0, 10, 200, 0);
    for (double& value : series.values) value = std::bit_cast<double>(mix.Next());
  }
  MergeJob job = JobOf({input});
  job.output_bytes_max = 20'000;
  job.builder.page_bytes = 1024;
  std::vector<MergedFile> files;
  ExpectMerged({input}, job, nullptr, &files);
  EXPECT_GT(files.size(), 3U);
  for (size_t i = 0; i + 1 < files.size(); ++i) {
    EXPECT_GE(files[i].bytes.size(), job.output_bytes_max);
    EXPECT_LT(files[i].bytes.size(), 2 * job.output_bytes_max);
  }
}

TEST(LayerMerge, AStepIsBounded) {
  std::vector<SeriesData> series;
  Mixer mix{4};
  for (int i = 0; i < 3; ++i) {
    series.push_back(Steady(1, i, 3, 2'000'000, 0));
    for (double& value : series.back().values) value = std::bit_cast<double>(mix.Next());
  }
  const auto inputs = InputsOf(series);
  auto merge = LayerMerge::Create(JobOf(inputs));
  ASSERT_TRUE(merge.ok()) << merge.status();
  uint64_t steps = 0;
  for (bool done = false; !done; ++steps) {
    const uint64_t before = (*merge)->progress().samples_done;
    auto step = (*merge)->Step({9, 500});
    ASSERT_TRUE(step.ok()) << step.status();
    // At most one block, and what it makes, more than the limit.
    EXPECT_LT(step->bytes.size(), kStepBytes + 4 * 8192 * 9 + 65536);
    EXPECT_LT((*merge)->progress().samples_done - before, kStepWork + 3 * 8192);
    done = step->done;
  }
  EXPECT_GT(steps, 40U);
}

TEST(LayerMerge, OneSeriesUnderTwoIdsIsDamage) {
  const auto inputs = InputsOf({Steady(1, 0, 10, 10, 1), Steady(2, 5, 10, 10, 1)});
  const auto merged = MergeLayers(JobOf(inputs), {9, 500});
  EXPECT_TRUE(absl::IsDataLoss(merged.status())) << merged.status();
}

TEST(LayerMerge, TwoSeriesUnderOneIdAreDamage) {
  ModelInput one;
  one.data[CanonicalOf("a", "h")] = Steady(3, 0, 10, 10, 1);
  ModelInput other;
  other.data[CanonicalOf("b", "h")] = Steady(3, 0, 10, 10, 1);
  const auto merged = MergeLayers(JobOf({one, other}), {9, 500});
  EXPECT_TRUE(absl::IsDataLoss(merged.status())) << merged.status();
}

TEST(LayerMerge, AJobThatContradictsItselfIsRefused) {
  const auto inputs = InputsOf({Steady(1, 0, 10, 10, 1)});
  const MergeJob good = JobOf(inputs);
  const auto expect_refused = [](const MergeJob& job) {
    EXPECT_TRUE(absl::IsInvalidArgument(LayerMerge::Create(job).status()));
  };
  MergeJob job = good;
  job.inputs.clear();
  expect_refused(job);
  job = good;
  job.inputs.assign(kMergeInputsMax + 1, good.inputs.front());
  expect_refused(job);
  job = good;
  job.window_ns = -1;
  expect_refused(job);
  job = good;
  job.tenant = {99};
  expect_refused(job);
  job = good;
  job.identity_seed = 1;
  expect_refused(job);
  job = good;
  job.database.high ^= 1;
  expect_refused(job);
  job = good;
  job.chunk_samples_good = 5000;
  expect_refused(job);
}

TEST(WindowOf, EveryTimestampIsInItsWindowAndWindowsTouch) {
  for (int64_t width : {int64_t{1}, int64_t{7}, int64_t{7200}, kLast - 1, kLast}) {
    for (int64_t ts :
         {kFirst, kFirst + 1, kFirst + 7200, int64_t{-7201}, int64_t{-7200}, int64_t{-1},
          int64_t{0}, int64_t{1}, int64_t{7199}, int64_t{7200}, kLast - 7200, kLast - 1, kLast}) {
      const TimeRange window = WindowOf(ts, width);
      EXPECT_TRUE(window.Contains(ts)) << ts << " of " << width;
      EXPECT_EQ(WindowOf(window.first, width), window);
      EXPECT_EQ(WindowOf(window.last, width), window);
      if (window.last != kLast) {
        EXPECT_EQ(WindowOf(window.last + 1, width).first, window.last + 1);
      }
      if (window.first != kFirst && window.last != kLast) {
        EXPECT_EQ(window.last - window.first, width - 1);
      }
    }
  }
  EXPECT_EQ(WindowOf(-1, 7200), (TimeRange{-7200, -1}));
  EXPECT_EQ(WindowOf(5, 0), TimeRange());
}

}  // namespace
}  // namespace nexus::compaction
