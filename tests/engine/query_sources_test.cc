// Tests of the query half over the real thing: layers, a memtable, the catalog and its delta.

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catalog/delta.h"
#include "engine/batch.h"
#include "engine/catalog_index.h"
#include "engine/layer_readers.h"
#include "engine/memtable_source.h"
#include "engine/resolve.h"
#include "layer/layer_builder.h"
#include "layer/layer_reader.h"
#include "tests/catalog/catalog_fixture.h"
#include "tests/engine/aggregate_model.h"
#include "tests/engine/fake_sources.h"
#include "tests/engine/random_samples.h"
#include "tests/layer/memory_file.h"

namespace nexus::engine {
namespace {

using SharedSource = std::shared_ptr<const SampleSource>;

// The samples of a fake source as a layer with chunks of at most `chunk_samples_max`.
StatusOr<std::shared_ptr<const layer::LayerReader>> MakeLayer(const Database& db,
                                                              const FakeSource::Chunks& chunks,
                                                              uint32_t chunk_samples_max) {
  layer::LayerIdentity identity;
  identity.open_count = 1;
  identity.sequence = 1;
  layer::BuilderOptions options;
  options.chunk_samples_max = chunk_samples_max;
  options.page_bytes = 256;
  layer::LayerBuilder builder(identity, options);
  std::map<std::string, SeriesId> by_label;
  for (const auto& [id, list] : chunks) by_label[db.canonical.at(id)] = id;
  for (const auto& [canonical, id] : by_label) {
    NEXUS_RETURN_IF_ERROR(builder.BeginSeries(canonical, id));
    for (const FakeChunk& chunk : chunks.at(id)) {
      NEXUS_RETURN_IF_ERROR(builder.AddSamples(chunk.timestamps, chunk.values));
    }
  }
  NEXUS_RETURN_IF_ERROR(builder.Finish().status());
  auto file = std::make_unique<layer::testing::MemoryFile>(builder.TakeOutput());
  return layer::LayerReader::Open(std::move(file), /*cache=*/nullptr);
}

// A layer file of its own, whose reader no cache keeps.
struct OwnedLayer {
  explicit OwnedLayer(LayerReaderPtr reader)
      : readers(0, nullptr, [reader](const LayerFile&) { return reader; }) {
    catalog::LayerRecord record;
    record.range = reader->summary().range;
    file = readers.Make(record);
  }
  LayerReaders readers;
  std::shared_ptr<LayerFile> file;
};

SharedSource SourceOf(LayerReaderPtr reader) {
  auto layer = std::make_shared<OwnedLayer>(std::move(reader));
  const SampleSource* const source = layer->file.get();
  return SharedSource(std::move(layer), source);
}

StatusOr<SharedSource> MakeMemtable(const FakeSource::Chunks& chunks) {
  auto memtable = std::make_shared<Memtable>(std::make_shared<MemtablePool>());
  for (const auto& [id, list] : chunks) {
    for (const FakeChunk& chunk : list) {
      BatchEncoder encoder(TenantId{0}, BranchId{0});
      encoder.AddSeries(id, chunk.timestamps, chunk.values);
      NEXUS_ASSIGN_OR_RETURN(BatchView batch, BatchView::Parse(encoder.Finish()));
      memtable->Apply(batch);
    }
  }
  uint32_t limit = memtable->limit();
  return SharedSource(std::make_shared<MemtableSource>(std::move(memtable), limit));
}

// The newest source is a memtable, the others are layers.
ReadView RealView(const Database& db, RandomSamples* random) {
  ReadView view;
  view.index = std::make_unique<FakeIndex>(db.canonical);
  for (size_t i = 0; i < db.sources.size(); i++) {
    if (i + 1 == db.sources.size()) {
      view.sources.push_back(*MakeMemtable(db.sources[i]));
    } else if (!db.sources[i].empty()) {
      auto chunk_samples_max = static_cast<uint32_t>(1 + random->Below(60));
      view.sources.push_back(SourceOf(*MakeLayer(db, db.sources[i], chunk_samples_max)));
    }
  }
  return view;
}

RC_GTEST_PROP(QuerySources, AggregatesOverLayersAndMemtableAreAsDefined, (uint64_t seed)) {
  constexpr AggregateFunction kFunctions[] = {
      AggregateFunction::kAvg,  AggregateFunction::kMin,   AggregateFunction::kMax,
      AggregateFunction::kSum,  AggregateFunction::kCount, AggregateFunction::kFirst,
      AggregateFunction::kLast, AggregateFunction::kRate,  AggregateFunction::kPercentile,
  };
  CheckFunction(kFunctions[seed % std::size(kFunctions)], seed, RealView);
}

RC_GTEST_PROP(QuerySources, SelectAndLatestOverLayersAndMemtableAreTheModel, (uint64_t seed)) {
  RandomSamples random(seed);
  Database db = RandomDatabase(&random, AggregateFunction::kLast);
  SelectQuery query;
  query.selector = "{}";
  if (random.OneIn(2)) query.range = {static_cast<int64_t>(random.Below(600)) - 300, 500};
  Answer all = Drain(MakeSelectCursor(RealView(db, &random), query)->get());
  Answer latest = Drain(MakeLatestCursor(RealView(db, &random), query)->get());
  RC_ASSERT(all.status.ok());
  RC_ASSERT(latest.status.ok());
  std::map<std::string, SeriesId> by_label;
  for (const auto& [id, canonical] : db.canonical) by_label[canonical] = id;
  size_t at = 0;
  for (const auto& [canonical, id] : by_label) {
    ModelSeries model = ModelOf(db.sources, id, query.range);
    if (model.empty()) continue;
    RC_ASSERT(at < all.series.size());
    RC_ASSERT(at < latest.series.size());
    RC_ASSERT(all.series[at].labels == Shown(canonical));
    RC_ASSERT(all.series[at].samples.size() == model.size());
    auto row = all.series[at].samples.begin();
    for (auto [ts, value] : model) {
      RC_ASSERT(row->timestamp == ts);
      RC_ASSERT(SameBits(row->value, value));
      ++row;
    }
    RC_ASSERT(latest.series[at].samples.size() == 1u);
    RC_ASSERT(latest.series[at].samples[0].timestamp == model.rbegin()->first);
    RC_ASSERT(SameBits(latest.series[at].samples[0].value, model.rbegin()->second));
    at++;
  }
  RC_ASSERT(at == all.series.size());
}

TEST(QuerySources, AnAggregateOfWholeChunksDecodesNothing) {
  Database db;
  db.canonical[SeriesId{1}] = Canonical("m", {});
  db.sources.resize(2);
  FakeChunk chunk;
  for (int64_t i = 0; i < 1000; i++) {
    chunk.timestamps.push_back(i);
    chunk.values.push_back(static_cast<double>(i));
  }
  db.sources[0][SeriesId{1}] = {chunk};
  ReadView view;
  view.index = std::make_unique<FakeIndex>(db.canonical);
  view.sources = {SourceOf(*MakeLayer(db, db.sources[0], 100))};
  AggregateQuery query;
  query.select.selector = "m";
  query.step_ns = 500;
  auto cursor = *MakeAggregateCursor(std::move(view), query);
  Answer answer = Drain(cursor.get());
  ASSERT_EQ(answer.series.size(), 1u);
  ASSERT_EQ(answer.series[0].samples.size(), 2u);
  EXPECT_EQ(answer.series[0].samples[0].value, 249.5);
  EXPECT_EQ(answer.series[0].samples[1].value, 749.5);
  EXPECT_EQ(cursor->statistics().chunks_decoded, 0u);
  EXPECT_EQ(cursor->statistics().chunks_by_statistics, 10u);
}

// ---- The catalog.

class CatalogIndexTest : public catalog::CatalogTest {};

std::string RandomSelector(RandomSamples* random) {
  constexpr const char* kLabels[] = {"__name__", "a", "b", "absent"};
  constexpr const char* kOperators[] = {"=", "!=", "=~", "!~"};
  constexpr const char* kTexts[] = {"",    "x",  "y1", "m",     "x1|y2", "x1|",
                                    "x.*", ".*", ".+", "(m|n)", ".*2",   "[xz].?"};
  std::string text = "{";
  for (uint64_t i = random->Below(4); i > 0; i--) {
    text += kLabels[random->Below(std::size(kLabels))];
    text += kOperators[random->Below(std::size(kOperators))];
    text += std::string("\"") + kTexts[random->Below(std::size(kTexts))] + "\",";
  }
  return text + "}";
}

TEST_F(CatalogIndexTest, ResolvesOverCatalogAndDeltaAsDefined) {
  RandomSamples random(20240601);
  Create();
  catalog::CatalogDelta delta;
  std::vector<std::pair<std::string, SeriesId>> all;
  std::vector<catalog::SeriesDefinition> committed;
  for (uint64_t id = 1; id <= 200; id++) {
    auto word = [&](const char* first) {
      return random.OneIn(4) ? "" : first + std::to_string(random.Below(3));
    };
    catalog::SeriesDefinition series = catalog::Series(
        id, random.OneIn(2) ? "m" : "n",
        {{"a", word("x")}, {"b", word(random.OneIn(2) ? "x" : "y")}, {"id", std::to_string(id)}});
    all.emplace_back(series.canonical, series.id);
    // A third each: committed, in the delta, in both.
    if (id % 3 != 0) committed.push_back(series);
    if (id % 3 != 1) delta.Add(series);
  }
  Define(committed);
  std::sort(all.begin(), all.end());

  for (int round = 0; round < 300; round++) {
    std::string text = RandomSelector(&random);
    Selector selector = *Selector::Parse(text);
    std::vector<std::pair<std::string, SeriesId>> expected;
    std::copy_if(all.begin(), all.end(), std::back_inserter(expected),
                 [&](const auto& series) { return selector.Matches(series.first); });
    CatalogIndex index(catalog::kTenant, Read(), delta.View());
    QueryGuard guard({}, nullptr);
    ResolveOptions options;
    options.filter_by_labels_max = random.OneIn(2) ? 0 : 1000;
    StatusOr<SeriesList> list = ResolveSelector(&index, selector, &guard, options);
    ASSERT_TRUE(list.ok()) << text << list.status();
    ASSERT_EQ(list->size(), expected.size()) << text;
    for (size_t i = 0; i < expected.size(); i++) {
      ASSERT_EQ(list->canonical(i), expected[i].first) << text;
      ASSERT_EQ(list->id(i), expected[i].second) << text;
    }
  }
}

TEST_F(CatalogIndexTest, LabelsOfCatalogAndDeltaAreListedOnce) {
  Create();
  Define({catalog::Series(1, "m", {{"a", "x"}}), catalog::Series(2, "m", {{"a", "y"}})});
  catalog::CatalogDelta delta;
  delta.Add(catalog::Series(2, "m", {{"a", "y"}}));
  delta.Add(catalog::Series(3, "n", {{"b", "z"}}));
  CatalogIndex index(catalog::kTenant, Read(), delta.View());
  EXPECT_EQ(*LabelNames(&index, ""), (std::vector<std::string>{"__name__", "a", "b"}));
  EXPECT_EQ(*LabelValues(&index, "a", ""), (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(*LabelValues(&index, "__name__", R"({a=""})"), (std::vector<std::string>{"n"}));
  EXPECT_EQ(SeriesLabels(&index, "", 10)->size(), 3u);
}

}  // namespace
}  // namespace nexus::engine
