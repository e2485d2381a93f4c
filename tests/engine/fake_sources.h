// In-memory stand-ins for what the query half reads: an index of labels, and sources of samples
// with any chunking. And the model that answers are compared with.

#ifndef NEXUS_TESTS_ENGINE_FAKE_SOURCES_H_
#define NEXUS_TESTS_ENGINE_FAKE_SOURCES_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/double_double.h"
#include "base/labels.h"
#include "engine/cursors.h"
#include "engine/sample_source.h"
#include "engine/series_index.h"
#include "layer/statistics.h"

namespace nexus::engine {

inline bool SameBits(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

// Labels by id.
class FakeIndex : public SeriesIndex {
 public:
  explicit FakeIndex(std::map<SeriesId, std::string> canonical)
      : canonical_(std::move(canonical)) {}

  StatusOr<catalog::SeriesSet> AllSeries() override {
    catalog::SeriesSet set;
    for (const auto& [id, canonical] : canonical_) set.Add(id);
    return set;
  }
  StatusOr<catalog::SeriesSet> Postings(std::string_view name, std::string_view value) override {
    return PostingsWhere(name, [value](std::string_view v) { return v == value; });
  }
  StatusOr<catalog::SeriesSet> PostingsWhere(
      std::string_view name, absl::FunctionRef<bool(std::string_view value)> accept) override {
    catalog::SeriesSet set;
    for (const auto& [id, canonical] : canonical_) {
      SeriesId series = id;
      VisitCanonical(canonical, [&](std::string_view n, std::string_view v) {
        if (n == name && accept(v)) set.Add(series);
      });
    }
    return set;
  }
  StatusOr<std::vector<std::string>> LabelNames() override {
    return Collect([](std::string_view n, std::string_view) { return std::string(n); });
  }
  StatusOr<std::vector<std::string>> LabelValues(std::string_view name, uint64_t limit) override {
    auto values = Collect([name](std::string_view n, std::string_view v) {
      return n == name ? std::string(v) : std::string();
    });
    if (values.size() > limit) return ResourceExhausted("more than {} values", limit);
    return values;
  }
  StatusOr<std::string> Canonical(SeriesId series) override {
    auto found = canonical_.find(series);
    if (found == canonical_.end()) return NotFound("series {}", series.value);
    return found->second;
  }

 private:
  template <typename Pick>
  std::vector<std::string> Collect(Pick&& pick) {
    std::set<std::string> found;
    for (const auto& [id, canonical] : canonical_) {
      VisitCanonical(canonical, [&](std::string_view n, std::string_view v) {
        std::string picked = pick(n, v);
        if (!picked.empty()) found.insert(std::move(picked));
      });
    }
    return {found.begin(), found.end()};
  }

  const std::map<SeriesId, std::string> canonical_;
};

// The statistics of a chunk by their definition, one value at a time.
inline layer::Statistics NaiveStatistics(const std::vector<double>& values) {
  layer::Statistics s;
  DoubleDouble sum;
  bool any = false;
  s.first = values.front();
  s.last = values.back();
  s.minimum = s.maximum = values.front();
  for (double v : values) {
    if (std::isnan(v)) {
      s.nan_count++;
      continue;
    }
    if (std::isinf(v)) (v > 0 ? s.positive_infinity_count : s.negative_infinity_count)++;
    if (std::isfinite(v)) sum.Add(v);
    auto below = [](double a, double b) {
      return a < b || (a == b && std::signbit(a) > std::signbit(b));
    };
    if (!any || below(v, s.minimum)) s.minimum = v;
    if (!any || below(s.maximum, v)) s.maximum = v;
    any = true;
  }
  s.sum = sum;
  return s;
}

struct FakeChunk {
  std::vector<int64_t> timestamps;
  std::vector<double> values;
  bool has_statistics = false;
  bool in_place = false;  // shown where it lies, not decoded
};

// A source of chunks as they are given.
class FakeSource : public SampleSource {
 public:
  using Chunks = std::map<SeriesId, std::vector<FakeChunk>>;

  explicit FakeSource(Chunks chunks, Kind kind = Kind::kLayer)
      : chunks_(std::move(chunks)), kind_(kind) {
    for (const auto& [id, list] : chunks_) {
      for (const FakeChunk& chunk : list) {
        if (range_.empty()) range_ = {chunk.timestamps.front(), chunk.timestamps.back()};
        range_.first = std::min(range_.first, chunk.timestamps.front());
        range_.last = std::max(range_.last, chunk.timestamps.back());
      }
    }
  }

  Kind kind() const override { return kind_; }
  TimeRange range() const override { return range_; }
  std::unique_ptr<SourceReader> NewReader() const override {
    return std::make_unique<Reader>(this);
  }
  // Fails every read from now on.
  void Damage() { damaged_ = true; }

 private:
  class Reader : public SourceReader {
   public:
    explicit Reader(const FakeSource* source) : source_(source) {}

    Status Chunks(const SeriesName& series, TimeRange range,
                  std::vector<ChunkRef>* chunks) override {
      auto found = source_->chunks_.find(series.id);
      if (found == source_->chunks_.end()) return OkStatus();
      for (const FakeChunk& chunk : found->second) {
        ChunkRef ref;
        ref.range = {chunk.timestamps.front(), chunk.timestamps.back()};
        if (!ref.range.Overlaps(range)) continue;
        ref.count = chunk.timestamps.size();
        ref.has_statistics = chunk.has_statistics;
        if (chunk.has_statistics) ref.statistics = NaiveStatistics(chunk.values);
        ref.buffer_samples = chunk.in_place ? 0 : ref.count;
        ref.place = reinterpret_cast<uint64_t>(&chunk);
        chunks->push_back(ref);
      }
      return OkStatus();
    }

    StatusOr<SampleSpan> Read(const ChunkRef& ref, TimeRange range, SampleBuffer* buffer) override {
      if (source_->damaged_) return DataLoss("fake source is damaged");
      const auto& chunk = *reinterpret_cast<const FakeChunk*>(ref.place);
      SampleSpan all{chunk.timestamps.data(), chunk.values.data(), chunk.timestamps.size()};
      SampleSpan cut = all.Cut(range);
      if (chunk.in_place) return cut;
      std::copy(cut.timestamps, cut.timestamps + cut.count, buffer->timestamps());
      std::copy(cut.values, cut.values + cut.count, buffer->values());
      return SampleSpan{buffer->timestamps(), buffer->values(), cut.count};
    }

   private:
    const FakeSource* const source_;
  };

  const Chunks chunks_;
  const Kind kind_;
  TimeRange range_{1, 0};
  bool damaged_ = false;
};

// What a series holds: later sources overwrite earlier ones.
using ModelSeries = std::map<int64_t, double>;

inline ModelSeries ModelOf(const std::vector<FakeSource::Chunks>& sources, SeriesId series,
                           TimeRange range) {
  ModelSeries model;
  for (const FakeSource::Chunks& chunks : sources) {
    auto found = chunks.find(series);
    if (found == chunks.end()) continue;
    for (const FakeChunk& chunk : found->second) {
      for (size_t i = 0; i < chunk.timestamps.size(); i++) {
        if (range.Contains(chunk.timestamps[i])) model[chunk.timestamps[i]] = chunk.values[i];
      }
    }
  }
  return model;
}

inline std::string Canonical(std::string metric, std::vector<Label> labels) {
  return Labels::Make(std::move(metric), std::move(labels))->Canonical();
}

inline ReadView MakeView(const std::map<SeriesId, std::string>& canonical,
                         const std::vector<FakeSource::Chunks>& sources) {
  ReadView view;
  view.index = std::make_unique<FakeIndex>(canonical);
  for (const FakeSource::Chunks& chunks : sources) {
    view.sources.push_back(std::make_shared<FakeSource>(chunks));
  }
  return view;
}

// Everything a cursor gives: rows by the labels shown, in the order of the chunks.
struct Answer {
  struct Series {
    std::string labels;  // metric{a="b"}
    std::vector<Sample> samples;
  };
  std::vector<Series> series;
  Status status;
  uint64_t chunks = 0;
};

inline std::string ShowLabels(std::string_view metric, const std::vector<Label>& labels) {
  std::string shown(metric);
  shown += '{';
  for (const Label& label : labels) shown += label.name + "=" + label.value + ",";
  return shown + '}';
}

inline Answer Drain(Cursor* cursor) {
  Answer answer;
  SeriesChunk chunk;
  for (;;) {
    StatusOr<bool> more = cursor->Next(&chunk);
    answer.status = more.status();
    if (!more.ok() || !*more) return answer;
    answer.chunks++;
    if (chunk.series_index == answer.series.size()) {
      answer.series.push_back({ShowLabels(chunk.metric, *chunk.labels), {}});
    }
    if (chunk.series_index + 1 != answer.series.size()) {
      answer.status = DataLoss("series_index {} out of turn", chunk.series_index);
      return answer;
    }
    for (size_t i = 0; i < chunk.timestamps.size(); i++) {
      answer.series.back().samples.push_back({chunk.timestamps[i], chunk.values[i]});
    }
  }
}

}  // namespace nexus::engine

#endif  // NEXUS_TESTS_ENGINE_FAKE_SOURCES_H_
