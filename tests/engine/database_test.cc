// The embedded database as its users see it, on the real operating system.

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <fstream>
#include <limits>
#include <thread>

#include "tests/engine/database_fixture.h"

namespace nexus {
namespace {

double FromBits(uint64_t bits) { return std::bit_cast<double>(bits); }

TEST_F(DatabaseTest, AcknowledgedSamplesAreRead) {
  Open();
  ASSERT_TRUE(Append("a", {{1, 1.5}, {2, -2.5}}).ok());
  EXPECT_EQ(Read().at("a"), Bits({{1, 1.5}, {2, -2.5}}));
}

TEST_F(DatabaseTest, SamplesSurviveReopeningFlushedOrNot) {
  Open();
  ASSERT_TRUE(Append("a", {{1, 1.0}}).ok());
  ASSERT_TRUE(db_->Flush().ok());
  ASSERT_TRUE(Append("b", {{2, 2.0}}).ok());
  Reopen();
  EXPECT_EQ(Read().at("a"), Bits({{1, 1.0}}));
  EXPECT_EQ(Read().at("b"), Bits({{2, 2.0}}));
  EXPECT_EQ(GetStats().series, 2u);
}

TEST_F(DatabaseTest, EveryBitPatternComesBackAsItWentIn) {
  std::vector<std::pair<int64_t, double>> samples;
  const uint64_t patterns[] = {0,
                               0x8000000000000000,  // -0.0
                               1,                   // the smallest subnormal
                               0x000fffffffffffff,
                               0x7ff0000000000000,  // +Inf
                               0xfff0000000000000,  // -Inf
                               0x7ff8000000000000,  // NaN
                               0x7ff0000000000002,  // signalling NaN, Prometheus' stale marker
                               0xfff8deadbeef1234,  // NaN with sign and payload
                               0x7fefffffffffffff,
                               0x3ff0000000000001};
  int64_t timestamp = 0;
  for (uint64_t pattern : patterns) samples.push_back({timestamp++, FromBits(pattern)});
  Open();
  ASSERT_TRUE(Append("a", samples).ok());
  EXPECT_EQ(Read().at("a"), Bits(samples));
  ASSERT_TRUE(db_->Flush().ok());
  EXPECT_EQ(Read().at("a"), Bits(samples));
  Reopen();
  EXPECT_EQ(Read().at("a"), Bits(samples));
}

TEST_F(DatabaseTest, ExtremeTimestampsAreTimestamps) {
  constexpr int64_t kLow = std::numeric_limits<int64_t>::min();
  constexpr int64_t kHigh = std::numeric_limits<int64_t>::max();
  Open();
  ASSERT_TRUE(Append("a", {{kHigh, 1}, {kLow, 2}, {0, 3}}).ok());
  EXPECT_EQ(Read().at("a"), Bits({{kLow, 2}, {0, 3}, {kHigh, 1}}));
  ASSERT_TRUE(db_->Flush().ok());
  EXPECT_EQ(Read().at("a"), Bits({{kLow, 2}, {0, 3}, {kHigh, 1}}));
  EXPECT_EQ(Read("metric", {kLow, kLow}).at("a"), Bits({{kLow, 2}}));
}

TEST_F(DatabaseTest, LaterWriteOfAPlaceWinsWhereverTheEarlierOneIs) {
  Open();
  ASSERT_TRUE(Append("a", {{1, 1}, {2, 1}, {3, 1}}).ok());
  ASSERT_TRUE(db_->Flush().ok());
  ASSERT_TRUE(Append("a", {{2, 2}, {2, 3}}).ok());
  EXPECT_EQ(Read().at("a"), Bits({{1, 1}, {2, 3}, {3, 1}}));
  ASSERT_TRUE(db_->Flush().ok());
  EXPECT_EQ(Read().at("a"), Bits({{1, 1}, {2, 3}, {3, 1}}));
  ASSERT_TRUE(Append("a", {{3, 4}, {1, 5}}).ok());
  Reopen();
  EXPECT_EQ(Read().at("a"), Bits({{1, 5}, {2, 3}, {3, 4}}));
}

TEST_F(DatabaseTest, SeriesIdIsTheSameForTheSameLabelsInAnyOrder) {
  Open();
  StatusOr<SeriesId> one = db_->Series("m", {{"a", "1"}, {"b", "2"}});
  StatusOr<SeriesId> two = db_->Series("m", {{"b", "2"}, {"a", "1"}});
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(*one, *two);
  StatusOr<SeriesId> other = db_->Series("m", {{"a", "1"}});
  ASSERT_TRUE(other.ok());
  EXPECT_NE(*one, *other);
}

TEST_F(DatabaseTest, SeriesIdsAreNotGivenAgainAfterReopening) {
  Open();
  SeriesId first = Series("a");
  ASSERT_TRUE(Append("a", {{1, 1}}).ok());
  Reopen();
  EXPECT_EQ(Series("a"), first);
  EXPECT_NE(Series("b"), first);
}

TEST_F(DatabaseTest, CursorDoesNotSeeWhatIsAppendedOrFlushedLater) {
  Open();
  ASSERT_TRUE(Append("a", {{1, 1}}).ok());
  SelectQuery query;
  query.selector = "metric";
  StatusOr<std::unique_ptr<Cursor>> cursor = db_->Select(query);
  ASSERT_TRUE(cursor.ok());
  ASSERT_TRUE(Append("a", {{1, 9}, {2, 2}}).ok());
  ASSERT_TRUE(db_->Flush().ok());
  SeriesChunk chunk;
  ASSERT_TRUE(*(*cursor)->Next(&chunk));
  ASSERT_EQ(chunk.timestamps.size(), 1u);
  EXPECT_EQ(chunk.values[0], 1);
}

TEST_F(DatabaseTest, LatestLooksEverywhere) {
  Open();
  ASSERT_TRUE(Append("a", {{10, 1}}).ok());
  ASSERT_TRUE(db_->Flush().ok());
  ASSERT_TRUE(Append("a", {{5, 2}}).ok());
  auto latest = db_->Latest(Series("a"));
  ASSERT_TRUE(latest.ok() && latest->has_value());
  EXPECT_EQ((*latest)->timestamp, 10);
  ASSERT_TRUE(Append("a", {{10, 3}}).ok());
  latest = db_->Latest(Series("a"));
  ASSERT_TRUE(latest.ok() && latest->has_value());
  EXPECT_EQ((*latest)->value, 3);
  latest = db_->Latest(Series("nothing"));
  ASSERT_TRUE(latest.ok());
  EXPECT_FALSE(latest->has_value());
}

TEST_F(DatabaseTest, LabelsAreListed) {
  Open();
  ASSERT_TRUE(Append("a", {{1, 1}}).ok());
  ASSERT_TRUE(Append("b", {{1, 1}}).ok());
  EXPECT_EQ(*db_->LabelNames(), (std::vector<std::string>{"__name__", "name"}));
  EXPECT_EQ(*db_->LabelValues("name"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(*db_->LabelValues("name", "metric{name!=\"a\"}"), (std::vector<std::string>{"b"}));
  EXPECT_EQ(db_->SeriesLabels("metric")->size(), 2u);
}

TEST_F(DatabaseTest, AggregatesSpanLayersAndMemory) {
  Open();
  ASSERT_TRUE(Append("a", {{0, 1}, {5, 3}}).ok());
  ASSERT_TRUE(db_->Flush().ok());
  ASSERT_TRUE(Append("a", {{7, 5}, {10, 7}}).ok());
  AggregateQuery query;
  query.select.selector = "metric";
  query.select.range = {0, 19};
  query.step_ns = 10;
  StatusOr<std::unique_ptr<Cursor>> cursor = db_->Aggregate(query);
  ASSERT_TRUE(cursor.ok()) << cursor.status();
  SeriesChunk chunk;
  ASSERT_TRUE(*(*cursor)->Next(&chunk));
  ASSERT_EQ(chunk.values.size(), 2u);
  EXPECT_EQ(chunk.values[0], 3);
  EXPECT_EQ(chunk.values[1], 7);
}

TEST_F(DatabaseTest, AsyncAppendsAreAllAcknowledgedOnce) {
  Open();
  SeriesId id = Series("a");
  std::atomic<int> acked = 0;
  constexpr int kBatches = 500;
  for (int i = 0; i < kBatches; i++) {
    WriteBatch batch;
    batch.Add(id, i, i);
    db_->AppendAsync(std::move(batch), {},
                     [&](StatusOr<AppendOutcome> outcome) { acked += outcome.ok(); });
  }
  ASSERT_TRUE(db_->Sync().ok());
  EXPECT_EQ(acked, kBatches);
  EXPECT_EQ(Read().at("a").size(), static_cast<size_t>(kBatches));
}

TEST_F(DatabaseTest, ManyThreadsAppendFlushAndRead) {
  Options options = DefaultOptions();
  options.memtable_bytes = 1 << 20;
  Open(options);
  constexpr int kThreads = 4;
  constexpr int kBatches = 100;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++) {
    threads.emplace_back([this, t] {
      SeriesId id = Series(std::to_string(t));
      for (int i = 0; i < kBatches; i++) {
        WriteBatch batch;
        for (int k = 0; k < 100; k++) batch.Add(id, i * 100 + k, k);
        EXPECT_TRUE(db_->Append(std::move(batch)).ok());
        if (i % 25 == 0) {
          EXPECT_TRUE(db_->Flush().ok());
        }
        if (i % 10 == 0) Read("metric{name=\"0\"}");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  auto all = Read();
  for (int t = 0; t < kThreads; t++)
    EXPECT_EQ(all.at(std::to_string(t)).size(), size_t{kBatches * 100});
}

TEST_F(DatabaseTest, ABatchWithANewSeriesIsSeenWholeOrNotAtAll) {
  // A view takes the index of series and the samples at one instant: else a batch that lands in
  // between is seen without the series that is new with it.
  Open();
  constexpr int64_t kBatches = 1000;
  const SeriesId old = Series("old");
  std::atomic<int64_t> next = 0;
  std::thread writer([&] {
    for (int64_t i = 0; i < kBatches; i++) {
      next = i;
      WriteBatch batch;
      batch.Add(old, i, 1);
      batch.Add(Series("new" + std::to_string(i)), i, 1);
      EXPECT_TRUE(db_->Append(std::move(batch)).ok());
    }
    next = kBatches;
  });
  int64_t torn = 0;
  for (int64_t i = 0; (i = next) < kBatches;) {
    torn += Read("metric{name=~\"old|new" + std::to_string(i) + "\"}", {i, i}).size() == 1;
  }
  writer.join();
  EXPECT_EQ(torn, 0);
}

TEST_F(DatabaseTest, MemoryStaysWithinItsBudget) {
  Options options = DefaultOptions();
  options.memtable_bytes = 1 << 20;
  Open(options);
  SeriesId id = Series("a");
  for (int i = 0; i < 200; i++) {
    WriteBatch batch;
    for (int k = 0; k < 1000; k++) batch.Add(id, i * 1000 + k, k * 0.5);
    ASSERT_TRUE(db_->Append(std::move(batch)).ok());
    EXPECT_LE(GetStats().memtable_bytes, (1u << 20) + (1u << 19));
  }
  EXPECT_EQ(Read().at("a").size(), 200'000u);
  EXPECT_GT(GetStats().layers, 0u);
}

TEST_F(DatabaseTest, TenantsShareNothing) {
  Open();
  ASSERT_TRUE(db_->CreateTenant("other").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(db_->CreateTenant("other")));
  EXPECT_TRUE(absl::IsInvalidArgument(db_->CreateTenant("no/slash")));
  ASSERT_TRUE(Append("a", {{1, 1}}).ok());
  StatusOr<SeriesId> foreign = db_->Series("metric", {{"name", "b"}}, "other");
  ASSERT_TRUE(foreign.ok());
  WriteBatch batch;
  batch.Add(*foreign, 1, 2);
  AppendOptions options;
  options.tenant = "other";
  ASSERT_TRUE(db_->Append(std::move(batch), options).ok());
  EXPECT_FALSE(Read().contains("b"));
  Reopen();
  EXPECT_EQ(db_->Tenants(), (std::vector<std::string>{"default", "other"}));
  SelectQuery query;
  query.selector = "metric";
  query.tenant = "other";
  auto cursor = db_->Select(query);
  ASSERT_TRUE(cursor.ok());
  SeriesChunk chunk;
  ASSERT_TRUE(*(*cursor)->Next(&chunk));
  EXPECT_EQ(chunk.values[0], 2);
}

TEST_F(DatabaseTest, SeriesIdOfAnotherTenantIsRefused) {
  Open();
  ASSERT_TRUE(db_->CreateTenant("other").ok());
  StatusOr<SeriesId> foreign = db_->Series("m", {}, "other");
  ASSERT_TRUE(foreign.ok());
  WriteBatch batch;
  batch.Add(*foreign, 1, 1);
  Status refused = db_->Append(std::move(batch)).status();
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  WriteBatch invented;
  invented.Add(SeriesId{999'999}, 1, 1);
  EXPECT_TRUE(absl::IsInvalidArgument(db_->Append(std::move(invented)).status()));
}

TEST_F(DatabaseTest, BadInputIsNamed) {
  Open();
  EXPECT_TRUE(absl::IsInvalidArgument(db_->Append(WriteBatch()).status()));
  auto message_of = [&](std::string metric, std::vector<Label> labels) {
    Status status = db_->Series(std::move(metric), std::move(labels)).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  };
  EXPECT_NE(message_of("", {}).find("metric name"), std::string::npos);
  EXPECT_NE(message_of("m", {{"bad\xff", "x"}}).find("UTF-8"), std::string::npos);
  EXPECT_NE(message_of("m", {{"label_a", std::string(20'000, 'x')}}).find("label_a"),
            std::string::npos);
  EXPECT_NE(message_of("m", {{"twice", "1"}, {"twice", "2"}}).find("twice"), std::string::npos);
  std::vector<Label> many;
  for (int i = 0; i < 200; i++) many.push_back({"l" + std::to_string(i), "x"});
  EXPECT_NE(message_of("m", many).find("200"), std::string::npos);
  SelectQuery query;
  query.selector = "metric{name=";
  EXPECT_TRUE(absl::IsInvalidArgument(db_->Select(query).status()));
  query.selector = "metric";
  query.tenant = "nobody";
  EXPECT_TRUE(absl::IsNotFound(db_->Select(query).status()));
}

TEST_F(DatabaseTest, OverlargeBatchIsRefusedByName) {
  Open();
  SeriesId id = Series("a");
  std::vector<int64_t> timestamps(2'000'000);
  for (size_t i = 0; i < timestamps.size(); i++) timestamps[i] = static_cast<int64_t>(i);
  std::vector<double> values(timestamps.size(), 0.1);
  WriteBatch batch;
  batch.AddSeries(id, timestamps, values);
  Status refused = db_->Append(std::move(batch)).status();
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  EXPECT_NE(refused.message().find("split"), absl::string_view::npos);
}

TEST_F(DatabaseTest, FolderInUseNamesItsHolder) {
  Open();
  StatusOr<std::unique_ptr<Database>> second = Database::Open(DefaultOptions());
  ASSERT_FALSE(second.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_NE(second.status().message().find("in use"), absl::string_view::npos) << second.status();
}

TEST_F(DatabaseTest, MissingFolderIsNotFoundUnlessAskedToBeMade) {
  Options options = DefaultOptions();
  options.create = false;
  Status status = Database::Open(options).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_FALSE(std::filesystem::exists(directory_));
}

TEST_F(DatabaseTest, FolderWithOtherThingsIsLeftAlone) {
  std::filesystem::create_directories(directory_);
  std::ofstream(directory_ / "holiday.jpg") << "x";
  Status status = Database::Open(DefaultOptions()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("holiday.jpg"), absl::string_view::npos);
}

TEST_F(DatabaseTest, OptionOutOfRangeIsNamed) {
  Options options = DefaultOptions();
  options.memtable_bytes = 1;
  EXPECT_NE(Database::Open(options).status().message().find("memtable_bytes"),
            absl::string_view::npos);
}

TEST_F(DatabaseTest, CallsAfterCloseFail) {
  Open();
  ASSERT_TRUE(db_->Close().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(db_->Flush()));
  WriteBatch batch;
  batch.Add(SeriesId{1}, 1, 1);
  EXPECT_TRUE(absl::IsFailedPrecondition(db_->Append(std::move(batch)).status()));
}

TEST_F(DatabaseTest, MissingCatalogIsRefusedOnceTheLogWasTrimmed) {
  Open();
  for (int i = 0; i < 6; i++) {
    std::vector<std::pair<int64_t, double>> samples;
    for (int k = 0; k < 60'000; k++) samples.push_back({i * 100'000 + k, std::sqrt(k)});
    ASSERT_TRUE(Append("a", samples).ok());
    ASSERT_TRUE(db_->Flush().ok());
  }
  ASSERT_TRUE(db_->Close().ok());
  db_.reset();
  std::filesystem::remove_all(directory_ / "catalog");
  Status status = Database::Open(DefaultOptions()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("nexus catalog rebuild"), absl::string_view::npos) << status;
}

TEST_F(DatabaseTest, MissingCatalogIsRebuiltFromALogThatIsWhole) {
  Open();
  ASSERT_TRUE(Append("a", {{1, 1}}).ok());
  ASSERT_TRUE(db_->Close().ok());
  db_.reset();
  std::filesystem::remove_all(directory_ / "catalog");
  Open();
  EXPECT_EQ(Read().at("a"), Bits({{1, 1}}));
}

TEST_F(DatabaseTest, ForeignCatalogIsRefused) {
  Open();
  ASSERT_TRUE(Append("a", {{1, 1}}).ok());
  ASSERT_TRUE(db_->Close().ok());
  db_.reset();
  Options other = DefaultOptions();
  other.directory += ".other";
  std::filesystem::remove_all(other.directory);
  {
    StatusOr<std::unique_ptr<Database>> stranger = Database::Open(other);
    ASSERT_TRUE(stranger.ok());
    ASSERT_TRUE((*stranger)->Close().ok());
  }
  std::filesystem::copy(
      std::filesystem::path(other.directory) / "catalog", directory_ / "catalog",
      std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
  Status status = Database::Open(DefaultOptions()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  std::filesystem::remove_all(other.directory);
}

}  // namespace
}  // namespace nexus
