// LabelBatch: numbers stand for the strings and labels of each series, and nothing malformed gets
// in.

#include "catalog/label_batch.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <random>

#include "tests/catalog/catalog_fixture.h"

namespace nexus::catalog {
namespace {

std::string Rebuild(const LabelBatch& batch, size_t index) {
  std::string metric;
  std::vector<Label> labels;
  for (uint32_t number : batch.labels_of(index)) {
    std::string name(batch.string(batch.label(number).name));
    std::string value(batch.string(batch.label(number).value));
    if (name == kMetricNameLabel) {
      metric = value;
    } else {
      labels.push_back({name, value});
    }
  }
  return Canonical(metric, labels);
}

RC_GTEST_PROP(LabelBatchTest, SeriesAndPostingsComeBack, ()) {
  // Few names and values: neighbours share some labels at the same place, some elsewhere.
  std::mt19937_64 random(*rc::gen::arbitrary<uint64_t>());
  std::vector<std::string> canonicals;
  std::map<std::pair<std::string, std::string>, std::vector<uint64_t>> postings;
  uint64_t count = random() % 60;
  for (uint64_t id = 1; id <= count; id++) {
    std::map<std::string, std::string> labels;
    for (uint64_t i = random() % 6; i > 0; i--) {
      labels["n" + std::to_string(random() % 7)] = "v" + std::string(random() % 4, 'v');
    }
    std::string metric = "m" + std::to_string(random() % 3);
    std::vector<Label> list;
    for (const auto& [name, value] : labels) {
      list.push_back({name, value});
      postings[{name, value}].push_back(id * 10);
    }
    postings[{std::string(kMetricNameLabel), metric}].push_back(id * 10);
    canonicals.push_back(Canonical(metric, list));
  }
  LabelBatch batch(7);
  for (uint64_t i = 0; i < count; i++) RC_ASSERT(batch.Add(SeriesId{(i + 1) * 10}, canonicals[i]));
  batch.Finish();
  RC_ASSERT(batch.series() == count);
  for (size_t i = 0; i < count; i++) RC_ASSERT(Rebuild(batch, i) == canonicals[i]);
  RC_ASSERT(batch.labels() == postings.size());
  for (uint32_t i = 0; i < batch.labels(); i++) {
    std::string name(batch.string(batch.label(i).name));
    std::string value(batch.string(batch.label(i).value));
    auto ids = batch.ids_of(i);
    RC_ASSERT(std::vector<uint64_t>(ids.begin(), ids.end()) == postings.at({name, value}));
  }
}

TEST(LabelBatchTest, MalformedLabelsAreRefusedAndLeaveNoSeries) {
  LabelBatch batch(7);
  ASSERT_TRUE(batch.Add(SeriesId{1},
                        "cpu\xFFhost\xFE"
                        "a\xFF"));
  for (std::string bad :
       {std::string(), std::string("cpu"), std::string("\xFF"), std::string("cpu\xFFhost"),
        std::string("cpu\xFFhost\xFF"), std::string("cpu\xFFhost\xFE\xFF"),
        std::string("cpu\xFF\xFE"
                    "a\xFF"),
        std::string("cpu\xFFhost\xFE"
                    "a"),
        std::string("c\xFEpu\xFF"),
        std::string("cpu\xFFhost\xFE"
                    "a\xFE"
                    "b\xFF"),
        std::string(kLabelNameBytesMax + 1, 'n').insert(0, "cpu\xFF") + "\xFEv\xFF",
        "cpu\xFFn\xFE" + std::string(kLabelValueBytesMax + 1, 'v') + "\xFF"}) {
    EXPECT_FALSE(batch.Add(SeriesId{2}, bad));
  }
  std::string many = "cpu\xFF";
  for (size_t i = 0; i < kLabelsMax; i++) many += "n\xFEv\xFF";
  std::string too_many = many + "n\xFEv\xFF";
  EXPECT_TRUE(batch.Add(SeriesId{3}, many));
  EXPECT_FALSE(batch.Add(SeriesId{4}, too_many));
  batch.Finish();
  EXPECT_EQ(batch.series(), 2u);
}

}  // namespace
}  // namespace nexus::catalog
