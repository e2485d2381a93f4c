// Catalog: its readers - labels, postings, scans, identities, statistics -, each of which sees one
// moment, beside commits and on other threads.

#include <algorithm>
#include <atomic>
#include <thread>

#include "catalog/catalog.h"
#include "tests/catalog/catalog_fixture.h"

namespace nexus::catalog {
namespace {

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

}  // namespace
}  // namespace nexus::catalog
