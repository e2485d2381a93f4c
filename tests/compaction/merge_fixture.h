// The vocabulary of merge tests: inputs as plain maps with what is dropped of them, the sorted-map
// model of what a merge makes of them, and a check of outputs against it.

#ifndef NEXUS_TESTS_COMPACTION_MERGE_FIXTURE_H_
#define NEXUS_TESTS_COMPACTION_MERGE_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "compaction/layer_merge.h"
#include "compaction/verify_output.h"
#include "tests/layer/layer_fixture.h"

namespace nexus::compaction::testing {

using layer::LayerKey;
using layer::testing::CanonicalOf;
using layer::testing::LayerData;
using layer::testing::SeriesData;

// Drops the same ranges of a series whenever it is asked.
class MapFilter final : public SampleFilter {
 public:
  void Drop(const std::string& labels, TimeRange range) { dropped_[labels].push_back(range); }
  void AppendDropped(SeriesId series, std::string_view labels,
                     std::vector<TimeRange>* dropped) const override {
    EXPECT_NE(series.value, 0U);
    const auto found = dropped_.find(std::string(labels));
    if (found == dropped_.end()) return;
    dropped->insert(dropped->end(), found->second.begin(), found->second.end());
  }
  bool Drops(const std::string& labels, int64_t ts) const {
    const auto found = dropped_.find(labels);
    return found != dropped_.end() &&
           std::any_of(found->second.begin(), found->second.end(),
                       [&](const TimeRange& range) { return range.Contains(ts); });
  }

 private:
  std::map<std::string, std::vector<TimeRange>> dropped_;
};

struct ModelInput {
  LayerData data;  // series without samples are left out of the layer
  std::shared_ptr<MapFilter> filter;
  layer::BuilderOptions options;
};

inline layer::LayerIdentity InputIdentity(uint64_t number) {
  layer::LayerIdentity identity = layer::testing::TestIdentity();
  identity.level = 0;
  identity.sequence = 100 + number;
  identity.order_low = {0, {1000 * number}};
  identity.order_high = {0, {1000 * number + 999}};
  return identity;
}

inline MergeInput OpenInput(std::string bytes) {
  auto reader = layer::testing::Open(std::move(bytes));
  EXPECT_TRUE(reader.ok()) << reader.status();
  return {*reader, nullptr};
}

inline MergeJob JobOf(const std::vector<ModelInput>& inputs) {
  const layer::LayerIdentity identity = layer::testing::TestIdentity();
  MergeJob job;
  job.database = identity.database;
  job.tenant = identity.tenant;
  job.branch = {7};
  job.identity_seed = identity.identity_seed;
  job.level = 2;
  uint64_t number = 0;
  for (const ModelInput& input : inputs) {
    MergeInput opened =
        OpenInput(layer::testing::Build(input.data, input.options, InputIdentity(number)).bytes);
    opened.filter = input.filter;
    job.inputs.push_back(std::move(opened));
    ++number;
  }
  return job;
}

// What must come out, by window, series and time: bits of values.
struct ModelSeries {
  uint64_t id = 0;
  std::map<int64_t, uint64_t> samples;
};
using ModelWindow = std::map<std::string, ModelSeries>;

inline std::map<int64_t, ModelWindow> ModelOf(const std::vector<ModelInput>& inputs,
                                              int64_t window_ns) {
  std::map<int64_t, ModelWindow> model;  // by the window's first timestamp
  for (const ModelInput& input : inputs) {
    for (const auto& [labels, series] : input.data) {
      for (size_t i = 0; i < series.ts.size(); ++i) {
        const int64_t ts = series.ts[i];
        if (input.filter != nullptr && input.filter->Drops(labels, ts)) continue;
        ModelSeries& into = model[WindowOf(ts, window_ns).first][labels];
        into.id = series.id;
        into.samples[ts] = std::bit_cast<uint64_t>(series.values[i]);
      }
    }
  }
  return model;
}

// Adds what an output holds to `found`; a series that is there already fails.
inline void AddOutput(const LayerData& data, ModelWindow* found) {
  for (const auto& [labels, series] : data) {
    ASSERT_FALSE(found->contains(labels)) << "in two outputs of a window";
    // The outputs of a window follow each other in label order.
    ASSERT_TRUE(found->empty() || found->rbegin()->first < labels);
    ModelSeries& into = (*found)[labels];
    into.id = series.id;
    for (size_t i = 0; i < series.ts.size(); ++i) {
      into.samples[series.ts[i]] = std::bit_cast<uint64_t>(series.values[i]);
    }
    ASSERT_EQ(into.samples.size(), series.ts.size());
  }
}

inline void ExpectChunksGood(const layer::LayerReader& reader, const MergeJob& job) {
  layer::ReadContext context;
  std::vector<layer::ChunkInfo> chunks;
  for (uint32_t series = 0; series < reader.summary().series; ++series) {
    chunks.clear();
    ASSERT_TRUE(reader.Chunks(series, TimeRange(), &context, &chunks).ok());
    for (size_t i = 0; i + 1 < chunks.size(); ++i) {
      ASSERT_GE(chunks[i].count, job.chunk_samples_good);
    }
  }
}

// One output: what it says of itself, and its chunks. Its samples are added to `found`.
inline void ExpectOutput(const MergedFile& file, const MergeJob& job, uint64_t number,
                         std::map<int64_t, ModelWindow>* found) {
  const layer::LayerSummary& summary = file.layer.summary;
  auto reader = layer::testing::Open(file.bytes);
  ASSERT_TRUE(reader.ok()) << reader.status();
  const Status verdict = VerifyOutput(*reader, summary);
  ASSERT_TRUE(verdict.ok()) << verdict;
  ASSERT_EQ(summary.identity.sequence, 500 + number);
  ASSERT_EQ(summary.identity.branch, job.branch);
  ASSERT_EQ(summary.identity.level, job.level);
  ASSERT_EQ(summary.identity.order_low, InputIdentity(0).order_low);
  ASSERT_EQ(summary.identity.order_high, InputIdentity(job.inputs.size() - 1).order_high);
  ASSERT_EQ(summary.inputs.size(), job.inputs.size());
  for (size_t i = 0; i < summary.inputs.size(); ++i) {
    ASSERT_EQ(summary.inputs[i], InputIdentity(i).key());
  }
  const TimeRange window = WindowOf(summary.range.first, job.window_ns);
  ASSERT_TRUE(window.Contains(summary.range));
  auto data = layer::testing::ReadAll(*reader);
  ASSERT_TRUE(data.ok()) << data.status();
  std::vector<uint64_t> ids;
  for (const auto& [labels, series] : *data) ids.push_back(series.id);
  std::sort(ids.begin(), ids.end());
  ASSERT_EQ(ids, file.layer.series);
  ExpectChunksGood(**reader, job);
  AddOutput(*data, &(*found)[window.first]);
}

inline void ExpectProgress(const MergeProgress& progress,
                           const std::map<int64_t, ModelWindow>& model, size_t outputs) {
  uint64_t samples = 0;
  for (const auto& [first, window] : model) {
    for (const auto& [labels, series] : window) samples += series.samples.size();
  }
  ASSERT_EQ(progress.samples_written, samples);
  ASSERT_EQ(progress.samples_done, progress.samples_total);
  ASSERT_EQ(progress.samples_total,
            progress.samples_written + progress.samples_filtered + progress.samples_superseded);
  ASSERT_EQ(progress.outputs, outputs);
}

// Merges and compares with the model. The outputs are given to `files` if that is not null.
inline void ExpectMerged(const std::vector<ModelInput>& inputs, const MergeJob& job,
                         MergeProgress* progress = nullptr,
                         std::vector<MergedFile>* files = nullptr) {
  MergeProgress made;
  auto merged = MergeLayers(job, LayerKey{9, 500}, &made);
  ASSERT_TRUE(merged.ok()) << merged.status();
  std::map<int64_t, ModelWindow> found;
  uint64_t number = 0;
  for (const MergedFile& file : *merged) {
    ASSERT_NO_FATAL_FAILURE(ExpectOutput(file, job, number++, &found));
  }
  const std::map<int64_t, ModelWindow> model = ModelOf(inputs, job.window_ns);
  ASSERT_EQ(found.size(), model.size());
  auto wanted = model.begin();
  for (const auto& [first, window] : found) {
    ASSERT_EQ(first, wanted->first);
    ASSERT_EQ(window.size(), wanted->second.size());
    auto series = wanted->second.begin();
    for (const auto& [labels, got] : window) {
      ASSERT_EQ(labels, series->first);
      ASSERT_EQ(got.id, series->second.id);
      ASSERT_EQ(got.samples, series->second.samples);
      ++series;
    }
    ++wanted;
  }
  ASSERT_NO_FATAL_FAILURE(ExpectProgress(made, model, merged->size()));
  if (progress != nullptr) *progress = made;
  if (files != nullptr) *files = *std::move(merged);
}

}  // namespace nexus::compaction::testing

#endif  // NEXUS_TESTS_COMPACTION_MERGE_FIXTURE_H_
