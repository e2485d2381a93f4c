// Damage to the catalog's file: a flipped bit in a value is DataLoss or is not read; never data.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "catalog/format.h"
#include "catalog/lmdb_env.h"
#include "tests/catalog/catalog_fixture.h"

namespace nexus::catalog {
namespace {

// Where a value lies in the file, found by its bytes (checksums make them unique).
struct Place {
  Tree tree;
  std::string key;
  size_t offset = 0;
  size_t bytes = 0;
};

class DamageTest : public CatalogTest {
 protected:
  void Fill() {
    Create();
    Update update;
    update.settings = {{"clock", "17"}};
    update.layers_added = {Layer(1), Layer(2)};
    for (uint64_t id = 1; id <= 40; id++) {
      update.series.push_back(Series(id, "cpu", {{"host", "h" + std::to_string(id % 7)}}));
    }
    Commit(std::move(update));
    good_dump_ = Dump();
    catalog_.reset();
    std::ifstream file(DataFile(), std::ios::binary);
    good_ = std::string{std::istreambuf_iterator<char>(file), {}};
    FindValues();
  }

  void FindValues() {
    auto env = LmdbEnv::Open({options_.directory, kTestMapBytes, 16, true});
    ASSERT_TRUE(env.ok());
    ASSERT_TRUE(*(*env)->OpenTrees(/*create=*/false));
    auto txn = LmdbTxn::Begin(*env, LmdbTxn::Kind::kRead);
    for (size_t tree = 1; tree <= kTrees; tree++) {
      LmdbCursor cursor(*txn, static_cast<Tree>(tree));
      for (bool here = *cursor.First(); here; here = *cursor.Next()) {
        std::string_view payload = *cursor.Payload();
        std::string_view value(payload.data() - kChecksumBytes, payload.size() + kChecksumBytes);
        // Stale copies of the page may hold it too: those are found, flipped, and not read.
        for (size_t at = good_.find(value); at != std::string::npos;
             at = good_.find(value, at + 1)) {
          places_.push_back({static_cast<Tree>(tree), std::string(cursor.key()), at, value.size()});
        }
      }
    }
    ASSERT_GT(places_.size(), 60u);
  }

  void WriteFile(const std::string& bytes) {
    std::ofstream(DataFile(), std::ios::binary) << bytes;
    std::filesystem::remove(std::filesystem::path(options_.directory) / "lock.mdb");
  }

  // Every call of a reader, each of which must give what was written or DataLoss. Returns the
  // errors met.
  std::vector<Status> ReadEverything();

  std::string good_;
  std::string good_dump_;
  std::vector<Place> places_;
};

std::vector<Status> DamageTest::ReadEverything() {
  std::vector<Status> errors;
  auto opened = TryOpen(OpenMode::kReadOnly);
  if (!opened.ok()) return {opened.status()};
  catalog_ = std::move(*opened);
  Reader reader = Read();
  auto check = [&](const Status& status) {
    if (!status.ok()) errors.push_back(status);
    return status.ok();
  };
  auto tenants = reader.Tenants();
  if (check(tenants.status())) {
    EXPECT_EQ(tenants->at(0), Tenant(0, "default"));
  }
  auto branches = reader.Branches();
  if (check(branches.status())) {
    EXPECT_EQ(branches->at(0).name, "main");
  }
  auto settings = reader.Settings();
  if (check(settings.status())) {
    EXPECT_EQ(settings->at(0), (Setting{"clock", "17"}));
  }
  auto layers = reader.Layers();
  if (check(layers.status())) {
    EXPECT_EQ(*layers, (std::vector{Layer(1), Layer(2)}));
  }
  auto unlayered = reader.Unlayered();
  if (check(unlayered.status())) {
    EXPECT_EQ(unlayered->size(), 40u);
  }
  for (uint64_t id = 1; id <= 40; id++) {
    auto canonical = reader.Canonical(kTenant, SeriesId{id});
    if (check(canonical.status())) {
      EXPECT_EQ(*canonical, Canonical("cpu", {{"host", "h" + std::to_string(id % 7)}}));
    }
  }
  for (uint64_t host = 0; host < 7; host++) {
    SeriesSet set;
    if (!check(reader.AddPostings(kTenant, "host", "h" + std::to_string(host), &set))) continue;
    std::vector<uint64_t> expected;
    for (uint64_t id = 1; id <= 40; id++) {
      if (id % 7 == host) expected.push_back(id);
    }
    EXPECT_EQ(Ids(set), expected);
  }
  std::vector<std::string> values;
  auto take = [&](std::string_view value) {
    values.emplace_back(value);
    return true;
  };
  if (check(reader.VisitLabelValues(kTenant, "host", take))) {
    EXPECT_EQ(values.size(), 7u);
  }
  uint64_t identities = 0;
  auto identity = [&](const SeriesIdentityRow& row) {
    identities++;
    std::string canonical = Canonical("cpu", {{"host", "h" + std::to_string(row.id.value % 7)}});
    EXPECT_EQ(row.identity, SeriesIdentity(kSeed, canonical));
  };
  if (check(reader.VisitIdentities(kTenant, SeriesId{0}, UINT64_MAX, identity).status())) {
    EXPECT_EQ(identities, 40u);
  }
  return errors;
}

TEST_F(DamageTest, FlippedBitOfAnyValueIsDataLossOrNotRead) {
  Fill();
  std::mt19937_64 random(7);
  size_t detected = 0;
  size_t flips = 0;
  for (const Place& place : places_) {
    // One bit of the checksum's eight bytes and one of the payload, if there is one.
    const size_t payload = place.bytes - kChecksumBytes;
    std::vector<size_t> bytes = {random() % kChecksumBytes};
    if (payload > 0) bytes.push_back(kChecksumBytes + random() % payload);
    for (size_t byte : bytes) {
      std::string bad = good_;
      bad[place.offset + byte] = static_cast<char>(bad[place.offset + byte] ^ (1 << random() % 8));
      WriteFile(bad);
      std::vector<Status> errors = ReadEverything();
      flips++;
      if (!errors.empty()) detected++;
      for (const Status& error : errors) {
        EXPECT_EQ(error.code(), absl::StatusCode::kDataLoss) << error;
        EXPECT_NE(error.ToString().find("run nexus catalog rebuild " + root_.string()),
                  std::string::npos)
            << error;
      }
    }
  }
  // Copies on pages that are no longer in use are not read; all others must be seen.
  EXPECT_GT(detected * 2, flips) << detected << " of " << flips;
  WriteFile(good_);
  EXPECT_TRUE(ReadEverything().empty());
  EXPECT_EQ(Dump(), good_dump_);
}

TEST_F(DamageTest, ErrorNamesTheKindOfValueAndItsKey) {
  Fill();
  const std::string key(SeriesKey(kTenant, SeriesId{5}).view());
  std::string bad = good_;
  for (const Place& place : places_) {
    if (place.tree != Tree::kSeries || place.key != key) continue;
    bad[place.offset + 20] = static_cast<char>(bad[place.offset + 20] ^ 1);
  }
  ASSERT_NE(bad, good_);
  WriteFile(bad);
  Open(OpenMode::kReadOnly);
  Status status = Read().Canonical(kTenant, SeriesId{5}).status();
  EXPECT_NE(status.ToString().find("series value with key 000000000000000000000005 is damaged"),
            std::string::npos)
      << status;
  EXPECT_EQ(LabelsOf(6), Canonical("cpu", {{"host", "h6"}})) << "its neighbours stay readable";
}

TEST_F(DamageTest, ValueInAnotherPlaceIsDataLoss) {
  Fill();
  // Swaps the rows of two series: each is whole, but not where it belongs.
  std::vector<Place> rows;
  for (uint64_t id : {5U, 6U}) {
    const std::string key(SeriesKey(kTenant, SeriesId{id}).view());
    auto found = std::find_if(places_.begin(), places_.end(), [&](const Place& place) {
      return place.tree == Tree::kSeries && place.key == key;
    });
    ASSERT_NE(found, places_.end());
    rows.push_back(*found);
  }
  ASSERT_EQ(rows[0].bytes, rows[1].bytes);
  std::string bad = good_;
  bad.replace(rows[0].offset, rows[0].bytes, good_.substr(rows[1].offset, rows[1].bytes));
  bad.replace(rows[1].offset, rows[1].bytes, good_.substr(rows[0].offset, rows[0].bytes));
  WriteFile(bad);
  Open(OpenMode::kReadOnly);
  for (uint64_t id : {5U, 6U}) {
    EXPECT_EQ(Read().Canonical(kTenant, SeriesId{id}).status().code(), absl::StatusCode::kDataLoss);
  }
}

TEST_F(DamageTest, CommitThatMeetsDamageFailsAndChangesNothing) {
  Fill();
  std::string bad = good_;
  for (const Place& place : places_) {
    if (place.tree != Tree::kPostings) continue;
    bad[place.offset + place.bytes - 1] =
        static_cast<char>(bad[place.offset + place.bytes - 1] ^ 1);
  }
  WriteFile(bad);
  Open(OpenMode::kOpen);
  Update update;
  update.applied = Lsn{99};
  update.series = {Series(50, "cpu", {{"host", "h1"}})};
  EXPECT_EQ(catalog_->Commit(update).code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(catalog_->meta().applied, Lsn{99});
  EXPECT_EQ(Read().Canonical(kTenant, SeriesId{50}).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace nexus::catalog
