// The definitions of aggregate.h as a reference, one bucket at a time, and random databases and
// queries to hold cursors to them.

#ifndef NEXUS_TESTS_ENGINE_AGGREGATE_MODEL_H_
#define NEXUS_TESTS_ENGINE_AGGREGATE_MODEL_H_

#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/aggregate.h"
#include "engine/buckets.h"
#include "engine/cursors.h"
#include "tests/engine/fake_sources.h"
#include "tests/engine/random_samples.h"

namespace nexus::engine {

inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

// ---- The reference: the definitions of aggregate.h, one bucket at a time.

struct Placed {
  int64_t timestamp;
  size_t series;  // in label order
  double value;
};

// Below in the order that has -0.0 below +0.0.
inline bool Below(double a, double b) {
  return a < b || (a == b && std::signbit(a) && !std::signbit(b));
}

// 113 bits: exact for the sums of these tests' ordinary values.
struct ExactSum {
  __float128 sum = 0;
  __float128 magnitude = 0;
  void Add(double v) {
    sum += v;
    magnitude += std::abs(v);
  }
  // Within 2 ulp, or below what cancellation leaves.
  bool Near(double got, __float128 scale) const {
    auto wanted = static_cast<double>(sum / scale);
    double ulp = std::nextafter(std::abs(wanted), kInfinity) - std::abs(wanted);
    auto error = std::abs(static_cast<double>(got - sum / scale));
    return error <= 2 * ulp || error <= static_cast<double>(magnitude / scale) * 0x1p-100;
  }
};

inline bool Near(const ExactSum& exact, double scale, double got) {
  return std::isfinite(got) && exact.Near(got, scale);
}

// True if `got` is the sum or average of the values.
inline bool IsSum(const std::vector<Placed>& samples, double count, double got) {
  ExactSum exact;
  bool nan = false, up = false, down = false;
  for (const Placed& s : samples) {
    nan |= std::isnan(s.value);
    up |= s.value == kInfinity;
    down |= s.value == -kInfinity;
    if (std::isfinite(s.value)) exact.Add(s.value);
  }
  if (nan || (up && down)) return SameBits(got, kNaN);
  if (up || down) return SameBits(got, up ? kInfinity : -kInfinity);
  return Near(exact, count, got);
}

// The increase of one series within a bucket, `before` being its samples in front of it.
inline ExactSum Increase(const std::vector<Placed>& before, const std::vector<Placed>& samples) {
  std::optional<double> previous;
  for (const Placed& s : before) {
    if (std::isfinite(s.value)) previous = s.value;
  }
  ExactSum exact;
  for (const Placed& s : samples) {
    if (!std::isfinite(s.value)) continue;
    if (previous && s.value < *previous) {
      exact.Add(s.value);
    } else if (previous) {
      exact.sum += static_cast<__float128>(s.value) - *previous;
      exact.magnitude += std::abs(s.value) + std::abs(*previous);
    }
    previous = s.value;
  }
  return exact;
}

// True if `got` is the result of a function other than rate over a bucket's samples, which are in
// the order (timestamp, series).
inline bool IsResult(const AggregateSpec& spec, const std::vector<Placed>& samples, double got) {
  std::vector<double> numbers;
  for (const Placed& s : samples) {
    if (!std::isnan(s.value)) numbers.push_back(s.value);
  }
  std::sort(numbers.begin(), numbers.end(), Below);
  switch (spec.function) {
    case AggregateFunction::kCount:
      return SameBits(got, static_cast<double>(samples.size()));
    case AggregateFunction::kFirst:
      return SameBits(got, samples.front().value);
    case AggregateFunction::kLast:
      return SameBits(got, samples.back().value);
    case AggregateFunction::kMin:
      return SameBits(got, numbers.empty() ? kNaN : numbers.front());
    case AggregateFunction::kMax:
      return SameBits(got, numbers.empty() ? kNaN : numbers.back());
    case AggregateFunction::kSum:
      return IsSum(samples, 1, got);
    case AggregateFunction::kAvg:
      return IsSum(samples, static_cast<double>(samples.size()), got);
    case AggregateFunction::kPercentile: {
      if (numbers.empty()) return SameBits(got, kNaN);
      size_t rank = 1;
      // Tests use percentiles of one decimal: exact in integers.
      auto tenths = static_cast<size_t>(std::llround(spec.percentile * 10));
      while (rank * 1000 < tenths * numbers.size()) rank++;
      return SameBits(got, numbers[rank - 1]);
    }
    case AggregateFunction::kRate:
      break;
  }
  return false;
}

// ---- Random databases.

struct Database {
  std::map<SeriesId, std::string> canonical;
  std::vector<FakeSource::Chunks> sources;
};

inline Database RandomDatabase(RandomSamples* random, AggregateFunction function) {
  Database db;
  size_t series = 1 + random->Below(5);
  for (size_t i = 0; i < series; i++) {
    // Ids descend while labels ascend; dc and host group the series differently.
    db.canonical[SeriesId{100 - i}] =
        Canonical(i % 2 == 0 ? "cpu" : "mem", {{"dc", i < 3 ? "eu" : "us"},
                                               {"host", "h" + std::to_string(i)},
                                               {"rack", i % 2 == 0 ? "r1" : ""}});
  }
  auto kind = function == AggregateFunction::kRate ? RandomSamples::Values::kCounter
              : random->OneIn(3)                   ? RandomSamples::Values::kOrdinary
                                                   : RandomSamples::Values::kSpecial;
  db.sources.resize(1 + random->Below(3));
  for (auto& chunks : db.sources) {
    for (const auto& [id, canonical] : db.canonical) {
      const int64_t from = random->Around(400);
      auto ts = random->Timestamps(random->Below(200), from, random->OneIn(2) ? 2 : 20);
      if (ts.empty()) continue;
      chunks[id] = random->Cut(ts, random->Numbers(ts.size(), kind), 1 + random->Below(40));
    }
  }
  return db;
}

// The samples of a group of series in each bucket, in the order (timestamp, series).
using BucketModel = std::map<int64_t, std::vector<Placed>>;

struct GroupModel {
  std::vector<std::string> members;  // canonical, in label order
  BucketModel buckets;
};

// Groups by their canonical labels.
inline std::map<std::string, GroupModel> ModelGroups(const Database& db,
                                                     const AggregateQuery& query) {
  std::map<std::string, SeriesId> by_label;
  for (const auto& [id, canonical] : db.canonical) by_label[canonical] = id;
  std::map<std::string, GroupModel> groups;
  Buckets buckets{query.select.range, query.step_ns};
  for (const auto& [canonical, id] : by_label) {
    Labels labels = *Labels::FromCanonical(canonical);
    std::string key = canonical;
    if (query.grouped) {
      auto by = [&](const std::string& name) {
        return std::find(query.by.begin(), query.by.end(), name) != query.by.end();
      };
      key = by("__name__") ? labels.metric() : "";
      key += '\xFF';
      for (const Label& label : labels.labels()) {
        if (by(label.name)) key += label.name + '\xFE' + label.value + '\xFF';
      }
    }
    GroupModel& group = groups[key];
    for (auto [ts, value] : ModelOf(db.sources, id, query.select.range)) {
      group.buckets[buckets.IndexOf(ts)].push_back({ts, group.members.size(), value});
    }
    group.members.push_back(canonical);
  }
  std::erase_if(groups, [](const auto& group) { return group.second.buckets.empty(); });
  for (auto& [key, group] : groups) {
    for (auto& [bucket, samples] : group.buckets) {
      std::sort(samples.begin(), samples.end(), [](const Placed& a, const Placed& b) {
        return std::pair(a.timestamp, a.series) < std::pair(b.timestamp, b.series);
      });
    }
  }
  return groups;
}

inline bool IsRate(const GroupModel& group, int64_t bucket, double seconds, double got) {
  ExactSum total;
  for (size_t member = 0; member < group.members.size(); member++) {
    std::vector<Placed> before, within;
    for (const auto& [index, samples] : group.buckets) {
      for (const Placed& s : samples) {
        if (s.series == member && index <= bucket) (index < bucket ? before : within).push_back(s);
      }
    }
    ExactSum one = Increase(before, within);
    total.sum += one.sum;
    total.magnitude += one.magnitude;
  }
  return Near(total, seconds, got);
}

inline std::string Shown(std::string_view key) {
  std::string_view metric;
  std::vector<Label> labels;
  VisitCanonical(key, [&](std::string_view name, std::string_view value) {
    if (name == kMetricNameLabel) {
      metric = value;
    } else {
      labels.push_back({std::string(name), std::string(value)});
    }
  });
  return ShowLabels(metric, labels);
}

inline AggregateQuery RandomQuery(RandomSamples* random, AggregateFunction function) {
  AggregateQuery query;
  query.select.selector = "{}";
  query.function = function;
  query.percentile = static_cast<double>(1 + random->Below(1000)) / 10;
  constexpr int64_t kSteps[] = {0, 1, 7, 100, 5000, std::numeric_limits<int64_t>::max()};
  query.step_ns = kSteps[random->Below(std::size(kSteps))];
  if (random->OneIn(2)) {
    query.select.range.first = random->Around(600);
    const auto span = static_cast<int64_t>(random->Below(900));
    if (__builtin_add_overflow(query.select.range.first, span, &query.select.range.last)) {
      query.select.range.last = std::numeric_limits<int64_t>::max();
    }
  }
  query.grouped = random->OneIn(2);
  if (query.grouped) {
    for (const char* label : {"__name__", "dc", "rack", "absent", "another"}) {
      if (random->OneIn(2)) query.by.push_back(label);
    }
  }
  return query;
}

// Runs a random query over a random database, shown by `make_view`, and compares the answer with
// the definition. To be called from a property.
using MakeViewFunction = ReadView (*)(const Database&, RandomSamples*);

inline ReadView FakeView(const Database& db, RandomSamples*) {
  return MakeView(db.canonical, db.sources);
}

inline void CheckFunction(AggregateFunction function, uint64_t seed, MakeViewFunction make_view) {
  RandomSamples random(seed);
  Database db = RandomDatabase(&random, function);
  AggregateQuery query = RandomQuery(&random, function);
  StatusOr<std::unique_ptr<Cursor>> cursor = MakeAggregateCursor(make_view(db, &random), query);
  RC_ASSERT(cursor.ok());
  Answer answer = Drain(cursor->get());
  RC_ASSERT(answer.status.ok());

  Buckets buckets{query.select.range, query.step_ns};
  AggregateSpec spec{query.function, query.percentile, buckets.seconds()};
  std::map<std::string, GroupModel> groups = ModelGroups(db, query);
  RC_ASSERT(answer.series.size() == groups.size());
  auto series = answer.series.begin();
  for (const auto& [key, group] : groups) {
    RC_ASSERT(series->labels == Shown(key));
    RC_ASSERT(series->samples.size() == group.buckets.size());
    auto row = series->samples.begin();
    for (const auto& [bucket, samples] : group.buckets) {
      RC_ASSERT(row->timestamp == buckets.StampOf(bucket));
      bool right = function == AggregateFunction::kRate
                       ? IsRate(group, bucket, spec.seconds, row->value)
                       : IsResult(spec, samples, row->value);
      RC_ASSERT(right);
      ++row;
    }
    ++series;
  }
}

}  // namespace nexus::engine

#endif  // NEXUS_TESTS_ENGINE_AGGREGATE_MODEL_H_
