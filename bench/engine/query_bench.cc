// Speed of the query half over sources in memory: delivery, merge, aggregates. Samples a second of
// one core; what layers cost to decode is measured in bench/layer.
//
// Sources show columns in place, so that the numbers are those of cursors, merge and arithmetic.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/labels.h"
#include "engine/cursors.h"

namespace nexus::engine {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr size_t kChunkSamples = 8192;

// `series` series "m{i=...}", in groups of ten.
class BenchIndex : public SeriesIndex {
 public:
  explicit BenchIndex(uint64_t series) : series_(series) {}
  StatusOr<catalog::SeriesSet> AllSeries() override {
    catalog::SeriesSet set;
    for (uint64_t i = 1; i <= series_; i++) set.Add(SeriesId{i});
    return set;
  }
  StatusOr<catalog::SeriesSet> Postings(std::string_view, std::string_view) override {
    return AllSeries();
  }
  StatusOr<catalog::SeriesSet> PostingsWhere(std::string_view,
                                             absl::FunctionRef<bool(std::string_view)>) override {
    return AllSeries();
  }
  StatusOr<std::vector<std::string>> LabelNames() override { return std::vector<std::string>(); }
  StatusOr<std::vector<std::string>> LabelValues(std::string_view, uint64_t) override {
    return std::vector<std::string>();
  }
  StatusOr<std::string> Canonical(SeriesId id) override {
    NEXUS_ASSIGN_OR_RETURN(Labels labels,
                           Labels::Make("m", {{"group", std::to_string(id.value / 10)},
                                              {"i", std::to_string(id.value)}}));
    return labels.Canonical();
  }

 private:
  const uint64_t series_;
};

// Every series has the same samples: those of `timestamps`, in chunks.
class ColumnSource : public SampleSource {
 public:
  ColumnSource(std::vector<int64_t> timestamps, bool statistics)
      : timestamps_(std::move(timestamps)), statistics_(statistics) {
    uint64_t state = 1;
    double value = 0;
    for (size_t i = 0; i < timestamps_.size(); i++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      value += static_cast<double>(state >> 60) / 4;
      values_.push_back(value);
    }
  }
  Kind kind() const override { return Kind::kLayer; }
  TimeRange range() const override { return {timestamps_.front(), timestamps_.back()}; }
  std::unique_ptr<SourceReader> NewReader() const override {
    return std::make_unique<Reader>(this);
  }

 private:
  class Reader : public SourceReader {
   public:
    explicit Reader(const ColumnSource* source) : source_(source) {}
    Status Chunks(const SeriesName&, TimeRange range, std::vector<ChunkRef>* chunks) override {
      const std::vector<int64_t>& ts = source_->timestamps_;
      for (size_t begin = 0; begin < ts.size(); begin += kChunkSamples) {
        size_t end = std::min(begin + kChunkSamples, ts.size());
        ChunkRef ref;
        ref.range = {ts[begin], ts[end - 1]};
        if (!ref.range.Overlaps(range)) continue;
        ref.count = end - begin;
        ref.has_statistics = source_->statistics_;
        ref.place = begin;
        chunks->push_back(ref);
      }
      return OkStatus();
    }
    StatusOr<SampleSpan> Read(const ChunkRef& chunk, TimeRange range, SampleBuffer*) override {
      return SampleSpan{source_->timestamps_.data() + chunk.place,
                        source_->values_.data() + chunk.place, chunk.count}
          .Cut(range);
    }

   private:
    const ColumnSource* const source_;
  };

  const std::vector<int64_t> timestamps_;
  const bool statistics_;
  std::vector<double> values_;
};

std::vector<int64_t> Seconds(int64_t from, int64_t count, int64_t step) {
  std::vector<int64_t> ts;
  for (int64_t i = 0; i < count; i++) ts.push_back((from + i * step) * kSecond);
  return ts;
}

using Sources = std::vector<std::shared_ptr<const SampleSource>>;

std::shared_ptr<const SampleSource> Source(std::vector<int64_t> ts, bool statistics = false) {
  return std::make_shared<ColumnSource>(std::move(ts), statistics);
}

uint64_t Drain(Cursor* cursor) {
  SeriesChunk chunk;
  uint64_t rows = 0;
  for (;;) {
    StatusOr<bool> more = cursor->Next(&chunk);
    NEXUS_CHECK(more.ok());
    if (!*more) return rows;
    rows += chunk.timestamps.size();
    benchmark::DoNotOptimize(chunk.values.data());
  }
}

constexpr uint64_t kSeries = 100;
constexpr int64_t kSamples = 100'000;  // of a series: a day and some at one a second

void RunSelect(benchmark::State& state, const Sources& sources, uint64_t samples) {
  for (auto _ : state) {
    ReadView view{std::make_unique<BenchIndex>(kSeries), sources, {}, {}};
    SelectQuery query;
    query.selector = "m";
    Drain(MakeSelectCursor(std::move(view), query)->get());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kSeries * samples));
}

void SelectInPlace(benchmark::State& state) {
  RunSelect(state, {Source(Seconds(0, kSamples, 1))}, kSamples);
}
BENCHMARK(SelectInPlace);

// Two sources take turns: every stretch is one sample.
void MergeInterleaved(benchmark::State& state) {
  RunSelect(state, {Source(Seconds(0, kSamples, 2)), Source(Seconds(1, kSamples, 2))},
            2 * kSamples);
}
BENCHMARK(MergeInterleaved);

// The second source overwrites the first.
void MergeDuplicates(benchmark::State& state) {
  RunSelect(state, {Source(Seconds(0, kSamples, 1)), Source(Seconds(0, kSamples, 1))},
            2 * kSamples);
}
BENCHMARK(MergeDuplicates);

// A late sample for every thousand.
void MergeFewLate(benchmark::State& state) {
  RunSelect(state, {Source(Seconds(0, kSamples, 2)), Source(Seconds(1, kSamples / 1000, 2000))},
            kSamples + kSamples / 1000);
}
BENCHMARK(MergeFewLate);

void MergeSixteenWays(benchmark::State& state) {
  Sources sources;
  for (int64_t i = 0; i < 16; i++) sources.push_back(Source(Seconds(i, kSamples / 16, 16)));
  RunSelect(state, sources, kSamples / 16 * 16);
}
BENCHMARK(MergeSixteenWays);

void RunAggregate(benchmark::State& state, AggregateFunction function, int64_t step_seconds,
                  bool statistics = false, bool grouped = false) {
  Sources sources = {Source(Seconds(0, kSamples, 1), statistics)};
  for (auto _ : state) {
    AggregateQuery query;
    query.select.selector = "m";
    query.function = function;
    query.percentile = 99;
    query.step_ns = step_seconds * kSecond;
    query.grouped = grouped;
    if (grouped) query.by = {"group"};
    ReadView view{std::make_unique<BenchIndex>(kSeries), sources, {}, {}};
    Drain(MakeAggregateCursor(std::move(view), query)->get());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kSeries * kSamples));
}

void AggregateByStep(benchmark::State& state) {
  RunAggregate(state, static_cast<AggregateFunction>(state.range(0)), state.range(1));
}
BENCHMARK(AggregateByStep)
    ->ArgNames({"function", "step"})
    ->ArgsProduct({{0, 1, 4, 6, 7, 8}, {10, 3600}});

void AggregateFromStatistics(benchmark::State& state) {
  RunAggregate(state, AggregateFunction::kAvg, 0, /*statistics=*/true);
}
BENCHMARK(AggregateFromStatistics);

void AggregateGrouped(benchmark::State& state) {
  RunAggregate(state, AggregateFunction::kAvg, state.range(0), false, /*grouped=*/true);
}
BENCHMARK(AggregateGrouped)->ArgName("step")->Arg(10)->Arg(3600);

}  // namespace
}  // namespace nexus::engine
