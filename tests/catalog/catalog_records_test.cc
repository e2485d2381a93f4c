// Catalog: the records of an update - series, tenants, branches, layers, tombstones - as readers
// then see them, and those that are refused.

#include <algorithm>

#include "catalog/catalog.h"
#include "catalog/series_check.h"
#include "tests/catalog/catalog_fixture.h"

namespace nexus::catalog {
namespace {

TEST_F(CatalogTest, RecordsComeBackAsTheyWere) {
  Create();
  Update update;
  update.applied = Lsn{1000};
  update.tenants = {Tenant(0, "default"), Tenant(7, "acme", 99)};
  update.tenants[1].settings = {{"retention", "30d"}, {"empty", ""}};
  update.branches = {Branch(TenantId{7}, 2, "staging", 55)};
  update.branches[0].kind = BranchKind::kSnapshot;
  update.branches[0].parent = BranchId{1};
  update.branches[0].created = Lsn{60};
  update.branches[0].created_wall_ns = 1'700'000'000'000'000'000;
  update.branches[0].inherited = {{BranchId{0}, Lsn{56}}, {BranchId{1}, Lsn{60}}};
  update.tenants[1].next_branch = 3;
  update.settings = {{"clock", "17"}, {"b", "c"}};
  update.layers_added = {Layer(2), Layer(1), Layer(3, BranchId{1})};
  update.next_series_id = 500;
  update.open_count = 4;
  Commit(update);
  Open(OpenMode::kOpen);
  Reader reader = Read();
  EXPECT_EQ(*reader.Tenants(), update.tenants);
  EXPECT_EQ(reader.Branches()->at(1), update.branches[0]);
  EXPECT_EQ(*reader.Settings(), (std::vector<Setting>{{"b", "c"}, {"clock", "17"}}));
  EXPECT_EQ(*reader.Layers(), (std::vector{Layer(1), Layer(2), Layer(3, BranchId{1})}));
  EXPECT_EQ(*reader.Layer(Layer(2).key()), Layer(2));
  EXPECT_EQ(reader.Layer(LayerKey{}).status().code(), absl::StatusCode::kNotFound);
  Meta meta = *reader.GetMeta();
  EXPECT_EQ(meta.database, kDatabase);
  EXPECT_EQ(meta.applied, Lsn{1000});
  EXPECT_EQ(meta.next_series_id, 500u);
  EXPECT_EQ(meta.open_count, 4u);
}

TEST_F(CatalogTest, SeriesComeBackWithTheirLabelsAndPostings) {
  Create();
  Define({Series(1, "cpu", {{"host", "a"}, {"dc", "x"}}), Series(2, "cpu", {{"host", "b"}}),
          Series(3, "mem", {{"host", "a"}})});
  EXPECT_EQ(LabelsOf(1), Canonical("cpu", {{"host", "a"}, {"dc", "x"}}));
  EXPECT_EQ(LabelsOf(3), Canonical("mem", {{"host", "a"}}));
  EXPECT_EQ(Postings("__name__", "cpu"), (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(Postings("host", "a"), (std::vector<uint64_t>{1, 3}));
  EXPECT_EQ(Postings("dc", "x"), std::vector<uint64_t>{1});
  EXPECT_EQ(Postings("dc", "a"), std::vector<uint64_t>{}) << "a value of another name";
  EXPECT_EQ(Postings("nope", "x"), std::vector<uint64_t>{});
  EXPECT_EQ(catalog_->meta().next_series_id, 4u);
  EXPECT_EQ(Read().Canonical(kTenant, SeriesId{9}).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(CatalogTest, SeriesAreUnlayeredUntilALayerIsKnownToHoldThem) {
  Create();
  Update tenant;
  tenant.tenants = {Tenant(4, "acme", 77)};
  Commit(tenant);
  const std::vector<SeriesDefinition> series = {
      Series(1, "cpu", {{"host", "a"}}), Series(2, "cpu", {{"host", "b"}}),
      Series(3, "mem", {{"host", "a"}}), Series(4, "cpu", {{"host", "a"}}, TenantId{4})};
  Define(series);
  EXPECT_EQ(*Read().Unlayered(), series);
  EXPECT_EQ(Read().Image()->unlayered, series);

  Update flushed;
  flushed.series_layered.push_back({kTenant, {}});
  for (uint64_t id : std::initializer_list<uint64_t>{1, 3, 4})
    flushed.series_layered[0].ids.Add(SeriesId{id});
  Commit(flushed);
  EXPECT_EQ(*Read().Unlayered(), (std::vector{series[1], series[3]})) << "4 is another tenant's";
  // As replay does after a crash.
  Define(series);
  EXPECT_EQ(*Read().Unlayered(), (std::vector{series[1], series[3]}));
  // What a flush holds as soon as it is defined.
  Update both;
  both.series = {Series(5, "disk", {})};
  both.series_layered.push_back({kTenant, {}});
  both.series_layered[0].ids.Add(SeriesId{5});
  Commit(both);
  EXPECT_EQ(Read().Unlayered()->size(), 2u);
  // What lost its last layer, whatever else the update says of it.
  Update lost;
  lost.series_layered.push_back({kTenant, {}});
  lost.series_unlayered.push_back({kTenant, {}});
  lost.series_layered[0].ids.Add(SeriesId{3});
  lost.series_unlayered[0].ids.AddSorted(std::vector<uint64_t>{1, 3, 99});
  Commit(lost);
  EXPECT_EQ(*Read().Unlayered(), (std::vector{series[0], series[1], series[2], series[3]}))
      << "there is no series 99";
}

TEST_F(CatalogTest, ForgottenSeriesTakeAllTheirTracesWithThem) {
  Create();
  const std::vector<SeriesDefinition> stays = {Series(1, "cpu", {{"host", "a"}}),
                                               Series(3, "mem", {{"host", "a"}, {"peer", "b"}}),
                                               Series(5, "last", {{"host", "z"}})};
  Define({Series(2, "cpu", {{"host", "b"}, {"only", "here"}}), Series(4, "gone", {{"cpu", "b"}})});
  Define(stays);
  const CatalogStats before = *Read().Stats();
  Update update;
  update.series_forgotten.push_back({kTenant, {}});
  update.series_forgotten[0].ids.AddSorted(std::vector<uint64_t>{2, 4, 77});
  Commit(update);
  Commit(update);
  EXPECT_EQ(*Read().Unlayered(), stays);
  EXPECT_EQ(Read().Canonical(kTenant, SeriesId{2}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Postings("__name__", "cpu"), std::vector<uint64_t>{1});
  EXPECT_EQ(Postings("host", "b"), std::vector<uint64_t>{});
  EXPECT_EQ(Postings("peer", "b"), std::vector<uint64_t>{3});
  EXPECT_EQ(LabelsOf(3), stays[1].canonical);
  const CatalogStats after = *Read().Stats();
  EXPECT_EQ(after.series, 3u);
  // "only", "here" and "gone" go; "cpu" is a metric, "b" a value of another label.
  EXPECT_EQ(after.symbols, before.symbols - 3);
  EXPECT_EQ(after.posting_blocks, before.posting_blocks - 4);
  // The same labels under another id, and strings that had gone.
  Define({Series(9, "cpu", {{"host", "b"}, {"only", "here"}})});
  EXPECT_EQ(LabelsOf(9), Canonical("cpu", {{"host", "b"}, {"only", "here"}}));
  EXPECT_EQ(Postings("only", "here"), std::vector<uint64_t>{9});
  EXPECT_TRUE(CheckSeries(*catalog_).ok());
}

TEST_F(CatalogTest, StringsGoOnceNothingNamesThemAsNameOrValue) {
  Create();
  constexpr uint64_t kValues = 1'000;  // ids of series whose values differ
  constexpr uint64_t kNames = 2'000;   // and whose names do, of the same strings
  std::vector<SeriesDefinition> series;
  for (uint64_t i = 0; i < 300; i++) {
    const std::string varies = "s" + std::to_string(i);
    series.push_back(Series(kValues + i, "m", {{"same", varies}}));
    series.push_back(Series(kNames + i, "m", {{varies, "same"}}));
  }
  Define(series);
  const uint64_t all = Read().Stats()->symbols;
  // Strings that went; the one with the highest number stays so that it is not used again.
  auto forget = [&](uint64_t first, auto&& chosen) {
    Update update;
    update.series_forgotten.push_back({kTenant, {}});
    for (uint64_t i = 0; i < 300; i++) {
      if (chosen(i)) update.series_forgotten[0].ids.Add(SeriesId{first + i});
    }
    Commit(update);
    EXPECT_TRUE(CheckSeries(*catalog_).ok());
    return all - Read().Stats()->symbols;
  };
  EXPECT_EQ(forget(kNames, [](uint64_t i) { return i >= 2; }), 0u) << "they are values";
  // Few strings under few names are looked for, many are found by one walk.
  const uint64_t looked = forget(kValues, [](uint64_t i) { return i % 30 == 7; });
  EXPECT_GE(looked, 9u);
  EXPECT_LE(looked, 10u);
  const uint64_t walked = forget(kValues, [](uint64_t) { return true; });
  EXPECT_GE(walked, 297u);
  EXPECT_LE(walked, 298u) << "two are names";
  EXPECT_EQ(Postings("__name__", "m"), (std::vector<uint64_t>{kNames, kNames + 1}));
  EXPECT_EQ(Postings("s1", "same"), std::vector<uint64_t>{kNames + 1});
}

TEST_F(CatalogTest, TenantsDoNotSeeEachOther) {
  Create();
  Update update;
  update.tenants = {Tenant(1, "one", 11), Tenant(UINT32_MAX, "last", 12)};
  update.series = {Series(1, "cpu", {{"host", "a"}}, TenantId{1}),
                   Series(2, "cpu", {{"host", "a"}}, TenantId{UINT32_MAX}),
                   Series(3, "mem", {{"disk", "d"}})};
  Commit(update);
  EXPECT_EQ(Postings("host", "a", TenantId{1}), std::vector<uint64_t>{1});
  EXPECT_EQ(Postings("host", "a", TenantId{UINT32_MAX}), std::vector<uint64_t>{2});
  EXPECT_EQ(Postings("host", "a"), std::vector<uint64_t>{});
  EXPECT_EQ(Postings("host", "a", TenantId{5}), std::vector<uint64_t>{});
  std::vector<std::string> names;
  auto take = [&](std::string_view name) { names.emplace_back(name); };
  ASSERT_TRUE(Read().VisitLabelNames(TenantId{1}, take).ok());
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"__name__", "host"}));
  SeriesSet all;
  ASSERT_TRUE(Read().AddAllSeries(TenantId{UINT32_MAX}, &all).ok());
  EXPECT_EQ(Ids(all), std::vector<uint64_t>{2});
}

TEST_F(CatalogTest, RetiredLayerIsListedAsGarbageUntilItsUnlinkIsSynced) {
  Create();
  Update update;
  update.layers_added = {Layer(1), Layer(2)};
  Commit(update);
  Update retire;
  retire.layers_retired = {Layer(1).key(), Layer(77).key()};
  Commit(retire);
  ASSERT_EQ(Read().Layers()->size(), 2u);
  EXPECT_EQ(Read().Layers()->at(0).state, LayerState::kGarbage);
  EXPECT_EQ(Read().Layers()->at(1).state, LayerState::kLive);
  Update removed;
  removed.applied = Lsn{1};  // a fact about files: counts whatever the LSN
  removed.garbage_removed = {Layer(1).key()};
  ASSERT_TRUE(catalog_->Commit(removed).ok());
  EXPECT_EQ(*Read().Layers(), std::vector{Layer(2)});
}

TEST_F(CatalogTest, SealedLsnOfABranchNeverGoesBack) {
  Create();
  Update update;
  update.branches = {Branch(kTenant, 0, "main", 90)};
  Commit(update);
  update.branches[0].sealed = Lsn{40};
  Commit(update);
  EXPECT_EQ(Read().Branches()->at(0).sealed, Lsn{90});
}

TEST_F(CatalogTest, WhatIsSealedIsNotInheritedAnyMore) {
  Create();
  Update update;
  update.branches = {Branch(kTenant, 1, "child", 90)};
  Commit(update);
  update.branches[0].sealed = Lsn{40};
  update.branches[0].inherited = {{BranchId{0}, Lsn{80}}, {BranchId{3}, Lsn{95}}};
  Commit(update);
  const BranchRecord stored = Read().Branches()->at(1);
  EXPECT_EQ(stored.sealed, Lsn{90});
  EXPECT_EQ(stored.inherited, (std::vector<BranchRecord::Inherited>{{BranchId{3}, Lsn{95}}}));
}

TEST_F(CatalogTest, InheritedRangesOutOfOrderAreRefused) {
  Create();
  Update update;
  update.branches = {Branch(kTenant, 1, "child", 90)};
  update.branches[0].inherited = {{BranchId{0}, Lsn{95}}, {BranchId{3}, Lsn{95}}};
  update.applied = Lsn{99};
  EXPECT_TRUE(Says(catalog_->Commit(update), absl::StatusCode::kInvalidArgument, "out of order"));
}

TEST_F(CatalogTest, ADeletedBranchTakesItsProducersAndLeavesGarbage) {
  Create();
  Update update;
  update.branches = {Branch(kTenant, 1, "b", 1), Branch(kTenant, 2, "c", 1)};
  update.layers_added = {Layer(1, BranchId{1}), Layer(2, BranchId{1}), Layer(2, BranchId{2})};
  for (uint32_t branch : {0u, 1u, 2u}) {
    for (uint64_t id : {1u, 2u}) {
      ProducerRecord& producer = update.producers.emplace_back();
      producer.branch = BranchId{branch};
      producer.id = {0, id};
    }
  }
  Commit(update);
  Update deleted;
  deleted.branches_deleted = {{kTenant, BranchId{1}}};
  deleted.layers_retired = {Layer(1, BranchId{1}).key()};
  deleted.garbage_removed = {Layer(2, BranchId{1}).key()};
  // Once more changes nothing.
  for (int time = 0; time < 2; time++) {
    Commit(deleted);
    Reader reader = Read();
    ASSERT_EQ(reader.Branches()->size(), 2u);
    EXPECT_EQ(reader.Branches()->at(1).name, "c");
    const std::vector<ProducerRecord> producers = *reader.Producers();
    ASSERT_EQ(producers.size(), 4u);
    EXPECT_EQ(producers[1].branch, BranchId{0});
    EXPECT_EQ(producers[2].branch, BranchId{2});
    LayerRecord garbage = Layer(1, BranchId{1});
    garbage.state = LayerState::kGarbage;
    EXPECT_EQ(*reader.Layers(), (std::vector{garbage, Layer(2, BranchId{2})}));
  }
}

TEST_F(CatalogTest, TombstonesAreSetAndForgotten) {
  Create();
  const TombstoneRecord first = {kTenant, BranchId{0}, {0, Lsn{40}}, {1, 2}, "cpu"};
  const TombstoneRecord second = {kTenant, BranchId{0}, {1, Lsn{30}}, {}, "{}"};
  Update update;
  update.applied = Lsn{99};
  update.tombstones_added = {second, first};
  Commit(update);
  EXPECT_EQ(*Read().Tombstones(), (std::vector<TombstoneRecord>{first, second}));
  EXPECT_EQ(Read().Image()->tombstones, (std::vector<TombstoneRecord>{first, second}));
  // What was added and forgotten since the last commit is forgotten.
  const TombstoneRecord third = {kTenant, BranchId{0}, {2, Lsn{50}}, {}, "up"};
  update.applied = Lsn{100};
  update.tombstones_added = {first, third};
  update.tombstones_forgotten = {second.key(), third.key()};
  Commit(update);
  EXPECT_EQ(*Read().Tombstones(), (std::vector<TombstoneRecord>{first}));
  catalog_.reset();
  Open(OpenMode::kOpen);
  EXPECT_EQ(*Read().Tombstones(), (std::vector<TombstoneRecord>{first}));
}

TEST_F(CatalogTest, SeriesIdWithOtherLabelsIsDataLoss) {
  Create();
  Define({Series(1, "cpu", {{"host", "a"}})});
  Update update;
  update.applied = Lsn{99};
  update.series = {Series(1, "cpu", {{"host", "b"}})};
  EXPECT_TRUE(Says(catalog_->Commit(update), absl::StatusCode::kDataLoss,
                   "series id 1 of tenant 0 is defined twice, with different labels"));
  update.series = {Series(2, "cpu", {{"host", "b"}}), Series(2, "cpu", {{"host", "c"}})};
  EXPECT_TRUE(Says(catalog_->Commit(update), absl::StatusCode::kDataLoss, "series id 2"));
}

TEST_F(CatalogTest, UnfitRecordsAreRefusedByName) {
  Create();
  Update update;
  update.applied = Lsn{99};
  update.tenants = {Tenant(3, std::string(kNameBytesMax + 1, 'n'))};
  EXPECT_TRUE(Says(catalog_->Commit(update), absl::StatusCode::kInvalidArgument, "256 bytes"));
  update.tenants = {Tenant(0, "default", kSeed + 1)};
  EXPECT_TRUE(Says(catalog_->Commit(update), absl::StatusCode::kFailedPrecondition, "seed"));
  update.tenants.clear();
  update.tombstones_added = {{kTenant, BranchId{0}, {0, Lsn{1}}, {5, 4}, "cpu"}};
  EXPECT_TRUE(Says(catalog_->Commit(update), absl::StatusCode::kInvalidArgument, "a range"));
  update.tombstones_added[0] = {kTenant, BranchId{0}, {}, {}, std::string(4097, 'x')};
  EXPECT_TRUE(Says(catalog_->Commit(update), absl::StatusCode::kInvalidArgument, "4096 bytes"));
  update.tombstones_added.clear();
  update.series = {{kTenant, SeriesId{1}, "no end mark"}};
  EXPECT_TRUE(Says(catalog_->Commit(update), absl::StatusCode::kInvalidArgument, "malformed"));
  update.series = {Series(0, "cpu", {})};
  EXPECT_TRUE(Says(catalog_->Commit(update), absl::StatusCode::kInvalidArgument, "0 is no series"));
}

TEST_F(CatalogTest, ADeletedTenantIsPurgedInPiecesAndNothingOfItsNeighbours) {
  Open(OpenMode::kCreate);
  Update update;
  update.tenants = {Tenant(1, "one", 11), Tenant(2, "two", 12), Tenant(3, "three", 13)};
  for (uint32_t tenant = 1; tenant <= 3; tenant++) {
    for (uint64_t id = 1; id <= 50; id++) {
      update.series.push_back(
          Series(tenant * 1000 + id, "cpu", {{"n", std::to_string(id)}}, TenantId{tenant}));
    }
  }
  Commit(std::move(update));
  EXPECT_TRUE(absl::IsFailedPrecondition(catalog_->PurgeTenant(TenantId{2}, 10, true).status()));
  Update deletion;
  TenantRecord two = Tenant(2, "two", 12);
  two.deleted.value = 77;
  deletion.tenants = {two};
  Commit(std::move(deletion));
  int steps = 0;
  for (bool more = true; more; steps++) {
    StatusOr<bool> purged = catalog_->PurgeTenant(TenantId{2}, 10, false);
    ASSERT_TRUE(purged.ok()) << purged.status();
    more = *purged;
    // What is left of it in between is no damage.
    EXPECT_EQ(*CheckSeries(*catalog_), 100u);
    EXPECT_TRUE(catalog_->BeginRead()->Unlayered().ok());
  }
  EXPECT_GT(steps, 20);  // 50 unlayered, 51 labels, 50 rows, 53 strings twice
  auto all = [this](uint32_t tenant) {
    SeriesSet set;
    EXPECT_TRUE(catalog_->BeginRead()->AddAllSeries(TenantId{tenant}, &set).ok());
    return set.size();
  };
  EXPECT_EQ(all(1), 50u);
  EXPECT_EQ(all(2), 0u);
  EXPECT_EQ(all(3), 50u);
  EXPECT_EQ(catalog_->BeginRead()->Stats()->symbols, 2 * 53u);
  EXPECT_EQ(catalog_->BeginRead()->Tenants()->size(), 3u) << "the log may name it still";
  EXPECT_FALSE(*catalog_->PurgeTenant(TenantId{2}, 10, true));
  EXPECT_EQ(catalog_->BeginRead()->Tenants()->size(), 2u);
  // The highest number stays known.
  Update last;
  TenantRecord three = Tenant(3, "three", 13);
  three.deleted.value = 78;
  last.tenants = {three};
  Commit(std::move(last));
  while (*catalog_->PurgeTenant(TenantId{3}, 10, true)) {
  }
  EXPECT_EQ(catalog_->BeginRead()->Tenants()->size(), 2u);
  EXPECT_FALSE(*catalog_->PurgeTenant(TenantId{9}, 10, true)) << "one that is not listed";
}

}  // namespace
}  // namespace nexus::catalog
