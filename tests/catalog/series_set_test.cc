// SeriesSet: against std::set, below and above 2^32.

#include "catalog/series_set.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>

namespace nexus::catalog {
namespace {

using Model = std::set<uint64_t>;

Model ModelOf(const SeriesSet& set) {
  Model model;
  set.ForEach([&](SeriesId id) { model.insert(id.value); });
  return model;
}

rc::Gen<Model> AnyIds() {
  // Clusters around both sides of 2^32 and 2^33, so that parts come and go.
  auto id =
      rc::gen::map(rc::gen::tuple(rc::gen::element<uint64_t>(1, (1ull << 32) - 50, 1ull << 33),
                                  rc::gen::inRange<uint64_t>(0, 100)),
                   [](const auto& t) { return std::get<0>(t) + std::get<1>(t); });
  return rc::gen::container<Model>(id);
}

SeriesSet SetOf(const Model& model) {
  SeriesSet set;
  set.AddSorted(std::vector<uint64_t>(model.begin(), model.end()));
  return set;
}

RC_GTEST_PROP(SeriesSetTest, IsASet, ()) {
  const Model a = *AnyIds();
  const Model b = *AnyIds();
  SeriesSet one_by_one;
  for (uint64_t id : a) one_by_one.Add(SeriesId{id});
  RC_ASSERT(one_by_one == SetOf(a));
  RC_ASSERT(ModelOf(SetOf(a)) == a);
  RC_ASSERT(SetOf(a).size() == a.size());
  RC_ASSERT(SetOf(a).empty() == a.empty());
  RC_ASSERT((SetOf(a) == SetOf(b)) == (a == b));
  for (uint64_t id : b) RC_ASSERT(SetOf(a).Contains(SeriesId{id}) == a.contains(id));

  Model expected = a;
  expected.insert(b.begin(), b.end());
  SeriesSet set = SetOf(a);
  set.UnionWith(SetOf(b));
  RC_ASSERT(set == SetOf(expected));

  expected.clear();
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(),
                        std::inserter(expected, expected.end()));
  set = SetOf(a);
  set.IntersectWith(SetOf(b));
  RC_ASSERT(set == SetOf(expected));
  RC_ASSERT(set.empty() == expected.empty());

  expected.clear();
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(),
                      std::inserter(expected, expected.end()));
  set = SetOf(a);
  set.Subtract(SetOf(b));
  RC_ASSERT(set == SetOf(expected));
  RC_ASSERT(set.empty() == expected.empty());

  Roaring64Map roaring;
  SetOf(a).AddTo(&roaring);
  SetOf(b).AddTo(&roaring);
  expected = a;
  expected.insert(b.begin(), b.end());
  RC_ASSERT(roaring.cardinality() == expected.size());
  for (uint64_t id : expected) RC_ASSERT(roaring.contains(id));
}

TEST(SeriesSetTest, LongRunsAreAddedWhole) {
  std::vector<uint64_t> ids;
  for (uint64_t i = 0; i < 100'000; i++) ids.push_back((1ull << 32) - 50'000 + i);
  SeriesSet set;
  set.AddSorted(ids);
  EXPECT_EQ(set.size(), ids.size());
  EXPECT_EQ(set.ToVector().back(), SeriesId{ids.back()});
  EXPECT_FALSE(set.Contains(SeriesId{ids.front() - 1}));
}

}  // namespace
}  // namespace nexus::catalog
