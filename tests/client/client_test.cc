// The client over real sockets, against a server in memory that breaks connections.

#include "client/client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/client/listening.h"

namespace nexus::client {
namespace {

class ClientTest : public testing::Test {
 protected:
  std::unique_ptr<Client> Connect(ClientOptions options = {}) {
    options.address = server_.address();
    StatusOr<std::unique_ptr<Client>> client = Client::Connect(std::move(options));
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }
  static WriteBatch Batch(SeriesId series, double value) {
    WriteBatch batch;
    batch.Add(series, 1, value);
    return batch;
  }
  std::map<double, int> Kept() {
    std::map<double, int> kept;
    server_.With([&](FakeServer* server) {
      for (const client::Kept& sample : server->kept) kept[sample.value]++;
    });
    return kept;
  }

  Listening server_;
};

TEST_F(ClientTest, SaysWhoIsThere) {
  std::unique_ptr<Client> client = Connect();
  EXPECT_EQ(client->server().server, "fake");
  EXPECT_EQ(client->server().database, (DatabaseId{7, 7}));
  EXPECT_TRUE(client->Ping().ok());
}

TEST_F(ClientTest, SaysWhyNobodyIsThere) {
  std::string address = server_.address();
  server_.StopListening();
  ClientOptions options;
  options.address = address;
  Status status = Client::Connect(options).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(FromAbsl(status.message()).find(address), std::string::npos) << status;
  options.address = "nonsense";
  EXPECT_TRUE(absl::IsInvalidArgument(Client::Connect(options).status()));
}

TEST_F(ClientTest, AnotherDatabaseIsRefused) {
  ClientOptions options;
  options.address = server_.address();
  options.expected = {1, 2};
  EXPECT_TRUE(absl::IsFailedPrecondition(Client::Connect(options).status()));
}

TEST_F(ClientTest, AppendsAreAcknowledged) {
  std::unique_ptr<Client> client = Connect();
  StatusOr<SeriesId> series = client->Series("cpu", {{"host", "a"}});
  ASSERT_TRUE(series.ok());
  StatusOr<WriteOutcome> outcome = client->Append(Batch(*series, 42));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->accepted, 1u);
  EXPECT_EQ(Kept(), (std::map<double, int>{{42, 1}}));
}

TEST_F(ClientTest, BadBatchesAreRefusedHere) {
  std::unique_ptr<Client> client = Connect();
  EXPECT_TRUE(absl::IsInvalidArgument(client->Append(WriteBatch()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(client->Append(Batch({9}, 1)).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(client->Append(Batch({0}, 1)).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(client->Series("", {}).status()));
}

TEST_F(ClientTest, BigBatchesArriveWhole) {
  std::unique_ptr<Client> client = Connect();
  SeriesId series = *client->Series("cpu", {});
  std::vector<int64_t> timestamps;
  std::vector<double> values;
  for (int i = 0; i < 500'000; i++) {
    timestamps.push_back(i * int64_t{1'000'000'000});
    values.push_back(i);
  }
  WriteBatch batch;
  batch.AddSeries(series, timestamps, values);
  StatusOr<WriteOutcome> outcome = client->Append(std::move(batch));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->accepted, 500'000u);
  EXPECT_EQ(Kept().size(), 500'000u);
}

TEST_F(ClientTest, ManyAppendsOverBreakingConnectionsAreCountedOnce) {
  std::unique_ptr<Client> client = Connect();
  SeriesId series = *client->Series("cpu", {});
  server_.With([&](FakeServer*) { server_.break_after_ = 5; });
  std::atomic<int> acked = 0;
  constexpr int kBatches = 2000;
  for (int i = 0; i < kBatches; i++) {
    client->AppendAsync(Batch(series, i), {}, [&](StatusOr<WriteOutcome> outcome) {
      if (outcome.ok()) acked++;
    });
  }
  client->Sync();
  EXPECT_EQ(acked, kBatches);
  std::map<double, int> kept = Kept();
  EXPECT_EQ(kept.size(), static_cast<size_t>(kBatches));
  for (const auto& [value, times] : kept) EXPECT_EQ(times, 1) << value;
}

TEST_F(ClientTest, AServerThatComesBackIsFoundAgain) {
  std::string address = server_.address();
  std::unique_ptr<Client> client = Connect();
  SeriesId series = *client->Series("cpu", {});
  server_.StopListening();
  server_.BreakConnections();
  AppendOptions options;
  options.scope.timeout_ms = 100;
  EXPECT_TRUE(absl::IsDeadlineExceeded(client->Append(Batch(series, 1), options).status()));
  server_.Listen(address);
  EXPECT_TRUE(client->Append(Batch(series, 2)).ok());
}

TEST_F(ClientTest, AnswersStreamHoweverLong) {
  server_.With([](FakeServer* server) { server->result_frames = 500; });
  std::unique_ptr<Client> client = Connect();
  SelectQuery query;
  query.selector = "up";
  StatusOr<std::unique_ptr<Cursor>> cursor = client->Select(query);
  ASSERT_TRUE(cursor.ok());
  SeriesChunk chunk;
  int chunks = 0;
  while (true) {
    StatusOr<bool> more = (*cursor)->Next(&chunk);
    ASSERT_TRUE(more.ok()) << more.status();
    if (!*more) break;
    chunks++;
    EXPECT_EQ(chunk.metric, "up");
    EXPECT_EQ(chunk.timestamps.size(), 1u);
  }
  EXPECT_EQ(chunks, 500);
  EXPECT_EQ((*cursor)->statistics().items, 1u);
}

TEST_F(ClientTest, ACursorThatIsNotReadHoldsUpNobody) {
  server_.With([](FakeServer* server) { server->result_frames = 500; });
  std::unique_ptr<Client> client = Connect();
  StatusOr<std::unique_ptr<Cursor>> cursor = client->Select({});
  EXPECT_TRUE(client->Append(Batch(*client->Series("cpu", {}), 1)).ok());
  SeriesChunk chunk;
  EXPECT_TRUE(*(*cursor)->Next(&chunk));
  EXPECT_TRUE(client->Append(Batch(*client->Series("cpu", {}), 2)).ok());
  cursor->reset();
  EXPECT_TRUE(client->Ping().ok());
}

TEST_F(ClientTest, ListsComeBack) {
  server_.With([](FakeServer* server) { server->strings = {"host", "job"}; });
  std::unique_ptr<Client> client = Connect();
  EXPECT_EQ(*client->LabelNames(), (std::vector<std::string>{"host", "job"}));
  EXPECT_EQ(client->LabelValues("x")->size(), 2u);
  server_.With([](FakeServer* server) {
    server->strings = {
        "up\xff"
        "job\xfe"
        "n\xff"};
  });
  StatusOr<std::vector<Labels>> series = client->SeriesLabels("up");
  ASSERT_TRUE(series.ok()) << series.status();
  EXPECT_EQ((*series)[0].ToString(), "up{job=\"n\"}");
}

TEST_F(ClientTest, FiguresComeBack) {
  std::unique_ptr<Client> client = Connect();
  StatusOr<std::vector<protocol::Stat>> stats = client->GetStats();
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(ToJson(*stats), "{\"series\":3}");
  EXPECT_TRUE(client->Flush().ok());
}

TEST(StatsJson, SaysWhatJsonLacksInStrings) {
  std::vector<protocol::Stat> stats = {
      {"a", 0.1}, {"b", std::numeric_limits<double>::infinity()}, {"c\"", std::string("x\n")}};
  EXPECT_EQ(ToJson(stats), "{\"a\":0.1,\"b\":\"+Inf\",\"c\\\"\":\"x\\u000a\"}");
}

TEST_F(ClientTest, ClosingEndsWhatIsUnderWay) {
  std::unique_ptr<Client> client = Connect();
  SeriesId series = *client->Series("cpu", {});
  server_.StopListening();
  server_.BreakConnections();
  Status told;
  client->AppendAsync(Batch(series, 1), {},
                      [&](StatusOr<WriteOutcome> outcome) { told = outcome.status(); });
  client.reset();
  EXPECT_TRUE(absl::IsCancelled(told)) << told;
}

}  // namespace
}  // namespace nexus::client
