// Catalog: opening, committing, syncing, and what readers then see.

#include "catalog/catalog.h"

#include <lmdb.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <thread>

#include "catalog/series_check.h"
#include "tests/catalog/catalog_fixture.h"

namespace nexus::catalog {
namespace {

bool Says(const Status& status, absl::StatusCode code, std::string_view text) {
  EXPECT_EQ(status.code(), code) << status;
  bool said = FromAbsl(status.message()).find(text) != std::string_view::npos;
  EXPECT_TRUE(said) << status << "\ndoes not say: " << text;
  return status.code() == code && said;
}

// ---- Opening.

TEST_F(CatalogTest, ProbeTellsMissingFromEmptyFromPresent) {
  EXPECT_EQ(*Catalog::Probe((root_ / "nowhere").string()), Presence::kMissing);
  EXPECT_EQ(*Catalog::Probe(options_.directory), Presence::kMissing);
  EXPECT_FALSE(std::filesystem::exists(DataFile())) << "probing must not make the file";
  Create();
  catalog_.reset();
  EXPECT_EQ(*Catalog::Probe(options_.directory), Presence::kPresent);
}

TEST_F(CatalogTest, FileOfNoBytesIsEmptyAndCanBeCreatedOver) {
  std::ofstream(DataFile()).flush();
  EXPECT_EQ(*Catalog::Probe(options_.directory), Presence::kEmpty);
  EXPECT_TRUE(Says(TryOpen(OpenMode::kOpen).status(), absl::StatusCode::kFailedPrecondition,
                   "catalog missing"));
  Create();
}

TEST_F(CatalogTest, FileWithoutACommitIsEmptyAndCanBeCreatedOver) {
  {
    MDB_env* env = nullptr;
    ASSERT_EQ(mdb_env_create(&env), 0);
    ASSERT_EQ(mdb_env_open(env, options_.directory.c_str(), 0, 0644), 0);
    mdb_env_close(env);
  }
  EXPECT_EQ(*Catalog::Probe(options_.directory), Presence::kEmpty);
  Create();
  EXPECT_EQ(catalog_->meta().applied, Lsn{1});
}

TEST_F(CatalogTest, MissingCatalogIsRefusedAndNamesTheWayOut) {
  Status status = TryOpen(OpenMode::kOpen).status();
  EXPECT_TRUE(Says(status, absl::StatusCode::kFailedPrecondition,
                   "catalog missing, run nexus catalog rebuild " + root_.string()));
}

TEST_F(CatalogTest, CreatingOverACatalogIsRefused) {
  Create();
  EXPECT_EQ(TryOpen(OpenMode::kCreate).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(CatalogTest, ForeignDatabaseIsRefusedAndBothIdsAreNamed) {
  Create();
  options_.database = DatabaseId{1, 2};
  Status status = TryOpen(OpenMode::kOpen).status();
  EXPECT_TRUE(Says(status, absl::StatusCode::kFailedPrecondition,
                   "belongs to database 0123456789abcdeffedcba9876543210"));
  EXPECT_TRUE(Says(status, absl::StatusCode::kFailedPrecondition,
                   "not to 00000000000000010000000000000002"));
}

TEST_F(CatalogTest, AnyDatabaseIsTakenWhenNoneIsExpected) {
  Create();
  options_.database.reset();
  Open(OpenMode::kOpen);
  EXPECT_EQ(catalog_->meta().database, kDatabase);
}

TEST_F(CatalogTest, GarbageForAFileIsDataLoss) {
  std::ofstream(DataFile()) << std::string(8192, 'x');
  EXPECT_EQ(TryOpen(OpenMode::kOpen).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(CatalogTest, ReadOnlyReadsButRefusesToWrite) {
  Create();
  Define({Series(1, "cpu", {{"host", "a"}})});
  Open(OpenMode::kReadOnly);
  EXPECT_EQ(Postings("host", "a"), std::vector<uint64_t>{1});
  EXPECT_TRUE(Says(catalog_->Commit({}), absl::StatusCode::kFailedPrecondition, "read-only"));
  EXPECT_TRUE(Says(catalog_->Sync(), absl::StatusCode::kFailedPrecondition, "read-only"));
  EXPECT_EQ(catalog_->meta().synced, Lsn{0});
}

// ---- Committing and syncing.

TEST_F(CatalogTest, CommitIsVisibleAtOnceAndSyncedOnlyAfterSync) {
  Create();
  Update update;
  update.applied = Lsn{100};
  Commit(update);
  EXPECT_EQ(catalog_->meta().applied, Lsn{100});
  EXPECT_EQ(catalog_->meta().synced, Lsn{0}) << "an unsynced commit must not count as safe";
  ASSERT_TRUE(catalog_->Sync().ok());
  EXPECT_EQ(catalog_->meta().synced, Lsn{100});
  update.applied = Lsn{200};
  Commit(update);
  EXPECT_EQ(catalog_->meta().synced, Lsn{100});
}

TEST_F(CatalogTest, OpeningSyncsSoWhatIsFoundIsSafe) {
  Create();
  Update update;
  update.applied = Lsn{100};
  Commit(update);
  Open(OpenMode::kOpen);
  EXPECT_EQ(catalog_->meta().applied, Lsn{100});
  EXPECT_EQ(catalog_->meta().synced, Lsn{100});
}

TEST_F(CatalogTest, HooksFollowEachCommitAndEachSync) {
  std::vector<std::string> calls;
  options_.after_commit = [&](Lsn lsn) { calls.push_back(fmt::format("commit {}", lsn.value)); };
  options_.after_sync = [&](Lsn lsn) { calls.push_back(fmt::format("sync {}", lsn.value)); };
  Open(OpenMode::kCreate);
  Update update;
  update.applied = Lsn{5};
  Commit(update);
  ASSERT_TRUE(catalog_->Sync().ok());
  ASSERT_TRUE(catalog_->Sync().ok()) << "nothing to sync is fine";
  // Opening syncs what an earlier process may have left in the page cache alone.
  EXPECT_EQ(calls, (std::vector<std::string>{"sync 0", "commit 5", "sync 5"}));
  calls.clear();
  Open(OpenMode::kOpen);
  EXPECT_EQ(calls, (std::vector<std::string>{"sync 5"}));
}

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

TEST_F(CatalogTest, CommittingTheSameUpdateAgainChangesNothing) {
  Create();
  Update update;
  update.applied = Lsn{50};
  update.tenants = {Tenant(1, "one", 5)};
  update.series = {Series(1, "cpu", {{"host", "a"}}), Series(2, "cpu", {{"host", "b"}}),
                   Series(3, "cpu", {{"host", "b"}}, TenantId{1})};
  update.layers_added = {Layer(1), Layer(2)};
  update.layers_retired = {Layer(1).key()};
  Commit(update);
  std::string once = Dump();
  Commit(update);
  EXPECT_EQ(Dump(), once);
  Open(OpenMode::kOpen);
  Commit(update);
  EXPECT_EQ(Dump(), once) << "with cold caches too";
}

TEST_F(CatalogTest, UpdateBelowTheAppliedLsnIsKnownToBeContained) {
  Create();
  Update add;
  add.applied = Lsn{50};
  add.layers_added = {Layer(1)};
  Commit(add);
  Update retire;
  retire.applied = Lsn{60};
  retire.layers_retired = {Layer(1).key()};
  Commit(retire);
  Update removed;
  removed.applied = Lsn{60};
  removed.garbage_removed = {Layer(1).key()};
  Commit(removed);
  Commit(add);
  EXPECT_EQ(Read().Layers()->size(), 0u) << "replaying an old record must not bring a layer back";
  EXPECT_EQ(catalog_->meta().applied, Lsn{60});
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

TEST_F(CatalogTest, FailedCommitChangesNothing) {
  Create();
  Define({Series(1, "cpu", {{"host", "a"}})});
  std::string before = Dump();
  Update update;
  update.applied = Lsn{99};
  update.layers_added = {Layer(1)};
  update.series = {Series(2, "fresh", {{"host", "new"}}),
                   Series(3, "cpu", {{"host", "b"}}, TenantId{4})};
  EXPECT_TRUE(Says(catalog_->Commit(update), absl::StatusCode::kFailedPrecondition,
                   "tenant 4 is not in the catalog"));
  EXPECT_EQ(Dump(), before);
  EXPECT_NE(catalog_->meta().applied, Lsn{99});
  // Symbols made for the failed update must not be believed to exist.
  update.series.pop_back();
  Commit(update);
  EXPECT_EQ(Postings("host", "new"), std::vector<uint64_t>{2});
  EXPECT_EQ(LabelsOf(2), Canonical("fresh", {{"host", "new"}}));
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

TEST_F(CatalogTest, FullMapIsResourceExhaustedAndALargerOneHeals) {
  options_.map_bytes = 1 << 20;
  Create();
  Define({Series(1, "cpu", {{"host", "a"}})});
  std::string before = Dump();
  Update update;
  update.applied = Lsn{99};
  for (uint64_t id = 2; id < 10'000; id++) {
    update.series.push_back(Series(id, "cpu", {{"host", "host" + std::to_string(id)}}));
  }
  EXPECT_TRUE(Says(catalog_->Commit(update), absl::StatusCode::kResourceExhausted,
                   "the map of 1048576 bytes is full"));
  EXPECT_EQ(Dump(), before);
  Define({Series(2, "cpu", {{"host", "host2"}})});
  options_.map_bytes = kTestMapBytes;
  Open(OpenMode::kOpen);
  Commit(update);
  EXPECT_EQ(Postings("__name__", "cpu").size(), 9'999u);
}

// Bounds how large a file may grow: a write across the bound is short, as on a disk that fills up.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(uint64_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &before_), 0);
    const rlimit limit = {bytes, before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~FileSizeLimit() { EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &before_), 0); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_ = {};
};

TEST_F(CatalogTest, ShortWriteIsAFullDiskAndMayBeTriedAgain) {
  Create();
  std::string before = Dump();
  Update update;
  update.applied = Lsn{99};
  for (uint64_t id = 1; id < 2'000; id++) {
    update.series.push_back(Series(id, "cpu", {{"host", "host" + std::to_string(id)}}));
  }
  {
    FileSizeLimit limit(std::filesystem::file_size(DataFile()) + 3 * 4096 + 100);
    EXPECT_TRUE(Says(catalog_->Commit(update), absl::StatusCode::kResourceExhausted,
                     "No space left on device"));
  }
  EXPECT_EQ(Dump(), before);
  Commit(update);
  EXPECT_EQ(Postings("__name__", "cpu").size(), 1'999u);
}

// ---- Labels.

TEST_F(CatalogTest, LongestStringsComeBack) {
  Create();
  std::string name(kLabelNameBytesMax, 'n');
  std::string value(kLabelValueBytesMax, 'v');
  std::string other = value;
  other.back() = 'w';
  Define({Series(1, "cpu", {{name, value}}), Series(2, "cpu", {{name, other}})});
  EXPECT_EQ(Postings(name, value), std::vector<uint64_t>{1});
  EXPECT_EQ(Postings(name, other), std::vector<uint64_t>{2});
  EXPECT_EQ(LabelsOf(2), Canonical("cpu", {{name, other}}));
}

TEST_F(CatalogTest, ThousandsOfValuesAreListedOnceEach) {
  Create();
  std::vector<SeriesDefinition> series;
  std::vector<std::string> expected;
  for (uint64_t i = 0; i < 5'000; i++) {
    expected.push_back(fmt::format("host{:05}", i));
    series.push_back(Series(2 * i + 1, "cpu", {{"host", expected.back()}, {"dc", "x"}}));
    series.push_back(Series(2 * i + 2, "mem", {{"host", expected.back()}}));
  }
  Define(std::move(series));
  std::vector<std::string> values;
  auto take = [&](std::string_view value) {
    values.emplace_back(value);
    return true;
  };
  ASSERT_TRUE(Read().VisitLabelValues(kTenant, "host", take).ok());
  std::sort(values.begin(), values.end());
  EXPECT_EQ(values, expected);
  values.clear();
  auto first_three = [&](std::string_view value) {
    values.emplace_back(value);
    return values.size() < 3;
  };
  ASSERT_TRUE(Read().VisitLabelValues(kTenant, "host", first_three).ok());
  EXPECT_EQ(values.size(), 3u);
}

TEST_F(CatalogTest, PostingsWhereTakesWhatIsAccepted) {
  Create();
  std::vector<SeriesDefinition> series;
  for (uint64_t id = 1; id <= 3'000; id++) {
    series.push_back(Series(id, "cpu", {{"host", "h" + std::to_string(id % 3)}}));
  }
  Define(std::move(series));
  SeriesSet set;
  std::vector<std::string> asked;
  auto accept = [&](std::string_view value) {
    asked.emplace_back(value);
    return value != "h1";
  };
  ASSERT_TRUE(Read().AddPostingsWhere(kTenant, "host", accept, &set).ok());
  std::sort(asked.begin(), asked.end());
  EXPECT_EQ(asked, (std::vector<std::string>{"h0", "h1", "h2"}));
  std::vector<uint64_t> expected;
  for (uint64_t id = 1; id <= 3'000; id++) {
    if (id % 3 != 1) expected.push_back(id);
  }
  EXPECT_EQ(Ids(set), expected);
}

TEST_F(CatalogTest, ScansContinueWhereTheLastOneStopped) {
  Create();
  std::vector<SeriesDefinition> series;
  for (uint64_t id = 1; id <= 25; id++) series.push_back(Series(id * 3, "cpu", {{"i", "x"}}));
  for (auto& s : series) s.canonical = Canonical("cpu", {{"i", std::to_string(s.id.value)}});
  Define(series);
  std::vector<uint64_t> seen;
  SeriesId from{0};
  uint64_t rows = 10;
  while (rows == 10) {
    auto visit = [&](const SeriesDefinition& s) {
      EXPECT_EQ(s, series[seen.size()]);
      seen.push_back(s.id.value);
      from.value = s.id.value + 1;
    };
    rows = *Read().VisitSeries(kTenant, from, 10, visit);
  }
  EXPECT_EQ(seen.size(), 25u);
}

TEST_F(CatalogTest, ReaderSeesOneMomentWhileCommitsGoOn) {
  Create();
  Define({Series(1, "cpu", {{"host", "a"}})});
  Reader old = Read();
  Define({Series(2, "cpu", {{"host", "a"}})});
  SeriesSet set;
  ASSERT_TRUE(old.AddPostings(kTenant, "host", "a", &set).ok());
  EXPECT_EQ(Ids(set), std::vector<uint64_t>{1});
  EXPECT_EQ(Postings("host", "a"), (std::vector<uint64_t>{1, 2}));
  catalog_.reset();
  EXPECT_TRUE(old.Canonical(kTenant, SeriesId{1}).ok()) << "a reader may outlive the catalog";
}

TEST_F(CatalogTest, TooManyReadersAreRefused) {
  options_.readers_max = 2;
  Create();
  Reader one = Read();
  Reader two = Read();
  EXPECT_TRUE(Says(catalog_->BeginRead().status(), absl::StatusCode::kResourceExhausted,
                   "2 queries read it at once"));
}

TEST_F(CatalogTest, ReadersOfOtherThreadsSeeWholeCommits) {
  Create();
  constexpr uint64_t kBatches = 100;
  std::atomic<bool> done = false;
  std::thread reading([&] {
    while (!done) {
      Reader reader = Read();
      SeriesSet by_name;
      SeriesSet by_host;
      EXPECT_TRUE(reader.AddPostings(kTenant, "__name__", "cpu", &by_name).ok());
      EXPECT_TRUE(reader.AddPostings(kTenant, "dc", "x", &by_host).ok());
      EXPECT_EQ(by_name.size() % 10, 0u);
      EXPECT_EQ(by_name, by_host);
    }
  });
  for (uint64_t batch = 0; batch < kBatches; batch++) {
    std::vector<SeriesDefinition> series;
    for (uint64_t i = 0; i < 10; i++) {
      uint64_t id = batch * 10 + i + 1;
      series.push_back(Series(id, "cpu", {{"dc", "x"}, {"host", std::to_string(id)}}));
    }
    Define(std::move(series));
  }
  done = true;
  reading.join();
  EXPECT_EQ(Postings("dc", "x").size(), kBatches * 10);
}

TEST_F(CatalogTest, IdentitiesLoadIntoTheMap) {
  Create();
  Update update;
  update.tenants = {Tenant(1, "one", 77)};
  for (uint64_t id = 1; id <= 100; id++) {
    update.series.push_back(
        Series(id, "cpu", {{"host", std::to_string(id)}}, TenantId{static_cast<uint32_t>(id % 2)}));
  }
  Commit(update);
  IdentityMap map;
  ASSERT_TRUE(LoadIdentities(*catalog_, &map).ok());
  EXPECT_EQ(map.size(), 100u);
  for (const SeriesDefinition& s : update.series) {
    uint64_t seed = s.tenant.value == 0 ? kSeed : 77;
    EXPECT_EQ(map.Find(s.tenant, SeriesIdentity(seed, s.canonical)), s.id);
  }
}

TEST_F(CatalogTest, StatsCountWhatIsThere) {
  Create();
  Define({Series(1, "cpu", {{"host", "a"}}), Series(2, "cpu", {{"host", "b"}})});
  Update update;
  update.layers_added = {Layer(1)};
  Commit(update);
  CatalogStats stats = *Read().Stats();
  EXPECT_EQ(stats.series, 2u);
  EXPECT_EQ(stats.symbols, 5u);  // __name__, cpu, host, a, b
  EXPECT_EQ(stats.posting_blocks, 3u);
  EXPECT_EQ(stats.layers, 1u);
  EXPECT_GE(stats.bytes_in_file, stats.bytes_in_use);
  EXPECT_LE(stats.bytes_in_file, std::filesystem::file_size(DataFile()));
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
