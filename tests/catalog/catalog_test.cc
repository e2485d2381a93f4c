// Catalog: opening, committing and syncing, and what is left of a commit that fails.

#include "catalog/catalog.h"

#include <lmdb.h>
#include <sys/resource.h>

#include <csignal>

#include "tests/catalog/catalog_fixture.h"

namespace nexus::catalog {
namespace {

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

}  // namespace
}  // namespace nexus::catalog
