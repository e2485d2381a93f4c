// Tests of selector resolution: the look-up agrees with the definition, in label order, within
// bounds.

#include "engine/resolve.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "tests/engine/fake_sources.h"

namespace nexus::engine {
namespace {

std::string Word() { return *rc::gen::element<std::string>("", "x", "y", "xy", "yx", "xx", "z"); }

std::map<SeriesId, std::string> SomeSeries() {
  std::map<SeriesId, std::string> all;
  std::set<std::string> seen;
  size_t count = *rc::gen::inRange<size_t>(0, 60);
  for (size_t i = 0; i < count; i++) {
    std::string metric = *rc::gen::element<std::string>("m", "n", "mn");
    std::string canonical = Canonical(metric, {{"a", Word()}, {"b", Word()}, {"c", Word()}});
    // Ids on both sides of 2^32, in no order of labels.
    SeriesId id{*rc::gen::inRange<uint64_t>(1, 200) + (i % 3 == 0 ? 1ull << 32 : 0)};
    if (!all.contains(id) && seen.insert(canonical).second) all.emplace(id, canonical);
  }
  return all;
}

std::string SomeMatcher() {
  std::string label = *rc::gen::element<std::string>("__name__", "a", "b", "c", "absent");
  std::string op = *rc::gen::element<std::string>("=", "!=", "=~", "!~");
  std::string text = *rc::gen::element<std::string>("", "x", "y", "m", "x|y", "x|", "x.*", ".*",
                                                    ".+", "(m|n)", ".*y", "[xz]", "m.?");
  return label + op + "\"" + text + "\"";
}

RC_GTEST_PROP(Resolve, AgreesWithTheDefinition, ()) {
  std::map<SeriesId, std::string> all = SomeSeries();
  std::string text = "{";
  size_t matchers = *rc::gen::inRange<size_t>(0, 5);
  for (size_t i = 0; i < matchers; i++) text += SomeMatcher() + ",";
  text += "}";
  Selector selector = *Selector::Parse(text);

  std::vector<std::pair<std::string, SeriesId>> expected;
  for (const auto& [id, canonical] : all) {
    if (selector.Matches(canonical)) expected.emplace_back(canonical, id);
  }
  std::sort(expected.begin(), expected.end());

  FakeIndex index(all);
  QueryGuard guard({}, nullptr);
  ResolveOptions options;
  options.filter_by_labels_max = *rc::gen::element<uint64_t>(0, 5, 1000);
  StatusOr<SeriesList> list = ResolveSelector(&index, selector, &guard, options);
  RC_ASSERT(list.ok());
  RC_ASSERT(list->size() == expected.size());
  for (size_t i = 0; i < expected.size(); i++) {
    RC_ASSERT(list->canonical(i) == expected[i].first);
    RC_ASSERT(list->id(i) == expected[i].second);
  }
  RC_ASSERT(guard.reserved_bytes() == list->bytes());
}

std::map<SeriesId, std::string> Hosts(uint64_t count) {
  std::map<SeriesId, std::string> all;
  for (uint64_t i = 1; i <= count; i++) {
    all[SeriesId{i}] = Canonical("cpu", {{"host", "h" + std::to_string(i)}});
  }
  return all;
}

TEST(Resolve, MoreThanSeriesMaxIsRefused) {
  FakeIndex index(Hosts(10));
  QueryLimits limits;
  limits.series_max = 10;
  QueryGuard enough(limits, nullptr);
  EXPECT_EQ(ResolveSelector(&index, *Selector::Parse("cpu"), &enough)->size(), 10u);
  limits.series_max = 9;
  QueryGuard tight(limits, nullptr);
  for (const char* selector : {"cpu", R"(cpu{host=~"h.*"})", R"(cpu{host!="x"})"}) {
    Status status = ResolveSelector(&index, *Selector::Parse(selector), &tight).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << selector << status;
  }
}

TEST(Resolve, LabelsCountAgainstTheMemoryOfTheQuery) {
  FakeIndex index(Hosts(5000));
  QueryLimits limits;
  limits.memory_bytes = 60'000;
  QueryGuard guard(limits, nullptr);
  Status status = ResolveSelector(&index, *Selector::Parse("cpu"), &guard).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  limits.memory_bytes = 1'000'000;
  QueryGuard enough(limits, nullptr);
  EXPECT_TRUE(ResolveSelector(&index, *Selector::Parse("cpu"), &enough).ok());
}

TEST(Resolve, StopsWhenCancelledOrLate) {
  FakeIndex index(Hosts(10));
  std::atomic<bool> cancel = true;
  QueryLimits limits;
  limits.cancel = &cancel;
  QueryGuard cancelled(limits, nullptr);
  EXPECT_EQ(ResolveSelector(&index, *Selector::Parse("cpu"), &cancelled).status().code(),
            absl::StatusCode::kCancelled);

  int64_t now = 0;
  limits.cancel = nullptr;
  limits.deadline_ms = 5;
  QueryGuard timed(limits, [&now] { return now; });
  now = 4'999'999;
  EXPECT_TRUE(ResolveSelector(&index, *Selector::Parse("cpu"), &timed).ok());
  now = 5'000'000;
  EXPECT_EQ(ResolveSelector(&index, *Selector::Parse("cpu"), &timed).status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST(Resolve, OfSeriesWithTheSameLabelsTheHighestIdStays) {
  SeriesList series;
  series.Add(SeriesId{4}, "b");
  series.Add(SeriesId{5}, "a");
  series.Add(SeriesId{9}, "b");
  series.Add(SeriesId{7}, "b");
  series.Sort();
  ASSERT_EQ(series.size(), 2u);
  EXPECT_EQ(series.id(0), SeriesId{5});
  EXPECT_EQ(series.id(1), SeriesId{9});
  EXPECT_EQ(series.canonical(1), "b");
}

// Postings that name a series which the catalog does not have.
class TornIndex : public FakeIndex {
 public:
  TornIndex() : FakeIndex(Hosts(1)) {}
  StatusOr<catalog::SeriesSet> Postings(std::string_view, std::string_view) override {
    catalog::SeriesSet set;
    set.Add(SeriesId{77});
    return set;
  }
};

TEST(Resolve, APostingWithoutItsSeriesIsDamage) {
  TornIndex index;
  QueryGuard guard({}, nullptr);
  Status status = ResolveSelector(&index, *Selector::Parse("cpu"), &guard).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace nexus::engine
