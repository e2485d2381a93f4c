// The client and the server together: what goes in over the wire comes out of it, once.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "client/client.h"
#include "tests/client/server_fixture.h"

namespace nexus::client {
namespace {

struct Series {
  std::string name;
  std::vector<int64_t> timestamps;
  std::vector<uint64_t> bits;
};

class ServerTest : public ServerFixture {
 protected:
  static std::vector<Series> ReadAll(StatusOr<std::unique_ptr<Cursor>> cursor) {
    std::vector<Series> all;
    SeriesChunk chunk;
    while (true) {
      StatusOr<bool> more = (*cursor)->Next(&chunk);
      EXPECT_TRUE(more.ok()) << more.status();
      if (!more.ok() || !*more) return all;
      if (chunk.series_index >= all.size()) {
        std::string name(chunk.metric);
        for (const Label& label : *chunk.labels) name += " " + label.name + "=" + label.value;
        all.push_back({std::move(name), {}, {}});
      }
      for (size_t i = 0; i < chunk.values.size(); i++) {
        all.back().timestamps.push_back(chunk.timestamps[i]);
        all.back().bits.push_back(std::bit_cast<uint64_t>(chunk.values[i]));
      }
    }
  }
  static SelectQuery Everything(std::string selector) {
    SelectQuery query;
    query.selector = std::move(selector);
    return query;
  }
};

TEST_F(ServerTest, ValuesComeBackBitForBit) {
  for (bool crc32 : {false, true}) {
    std::unique_ptr<Client> client = Connect(crc32);
    std::string metric = crc32 ? "with_crc" : "with_xxh3";
    SeriesId a = *client->Series(metric, {{"host", "a"}});
    SeriesId b = *client->Series(metric, {{"host", "b"}});
    WriteBatch batch;
    batch.AddRow(-5, std::vector<SeriesId>{a, b}, std::vector<double>{1.5, -0.0});
    batch.Add(a, std::numeric_limits<int64_t>::max(),
              std::bit_cast<double>(uint64_t{0x7ff4dead0000beef}));
    StatusOr<WriteOutcome> outcome = client->Append(std::move(batch));
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_EQ(outcome->accepted, 3u);
    EXPECT_GT(outcome->end.value, 0u);
    std::vector<Series> all = ReadAll(client->Select(Everything(metric)));
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].name, metric + " host=a");
    EXPECT_EQ(all[0].timestamps, (std::vector<int64_t>{-5, std::numeric_limits<int64_t>::max()}));
    EXPECT_EQ(all[0].bits[1], 0x7ff4dead0000beefu);
    EXPECT_EQ(all[1].bits, (std::vector<uint64_t>{0x8000000000000000}));
  }
}

TEST_F(ServerTest, QuestionsOfEveryKindAreAnswered) {
  std::unique_ptr<Client> client = Connect();
  WriteBatch batch;
  for (int host = 0; host < 3; host++) {
    SeriesId series = *client->Series("cpu", {{"host", std::to_string(host)}, {"dc", "x"}});
    for (int i = 0; i < 10; i++) batch.Add(series, i, host * 100 + i);
  }
  ASSERT_TRUE(client->Append(std::move(batch)).ok());
  Aggregate sum;
  sum.function = protocol::Function::kSum;
  sum.grouped = true;
  sum.by = {"dc"};
  std::vector<Series> grouped = ReadAll(client->SelectAggregate(Everything("cpu"), sum));
  ASSERT_EQ(grouped.size(), 1u);
  EXPECT_EQ(std::bit_cast<double>(grouped[0].bits[0]), 45 * 3 + 10 * (100 + 200));
  std::vector<Series> latest = ReadAll(client->Latest(Everything("cpu{host=\"2\"}")));
  ASSERT_EQ(latest.size(), 1u);
  EXPECT_EQ(std::bit_cast<double>(latest[0].bits[0]), 209);
  EXPECT_EQ(*client->LabelNames(), (std::vector<std::string>{"__name__", "dc", "host"}));
  EXPECT_EQ(*client->LabelValues("host"), (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_EQ(client->SeriesLabels("cpu")->size(), 3u);
  EXPECT_TRUE(absl::IsResourceExhausted(client->SeriesLabels("cpu", 2).status()));
  ASSERT_TRUE(client->Flush().ok());
  EXPECT_EQ(ReadAll(client->Select(Everything("cpu"))).size(), 3u);
  StatusOr<std::vector<protocol::Stat>> stats = client->GetStats();
  ASSERT_TRUE(stats.ok());
  auto series = std::find_if(stats->begin(), stats->end(),
                             [](const protocol::Stat& stat) { return stat.name == "series"; });
  ASSERT_NE(series, stats->end());
  EXPECT_EQ(std::get<uint64_t>(series->value), 3u);
}

TEST_F(ServerTest, BranchesAreMadeWrittenReadAndDeleted) {
  std::unique_ptr<Client> client = Connect();
  const SeriesId series = *client->Series("cpu", {{"host", "a"}});
  auto append = [&](int64_t timestamp, const std::string& branch) {
    WriteBatch batch;
    batch.Add(series, timestamp, static_cast<double>(timestamp));
    AppendOptions options;
    options.scope.branch = branch;
    return client->Append(std::move(batch), options).status();
  };
  auto samples = [&](const std::string& branch, const std::string& as_of) {
    SelectQuery query = Everything("cpu");
    query.scope.branch = branch;
    query.as_of = as_of;
    const std::vector<Series> all = ReadAll(client->Select(query));
    return all.empty() ? size_t{0} : all[0].timestamps.size();
  };
  ASSERT_TRUE(append(1, "main").ok());
  Scope snap;
  snap.branch = "snap";
  ASSERT_TRUE(client->CreateBranch("snap", protocol::BranchKind::kSnapshot).ok());
  ASSERT_TRUE(client->CreateBranch("copy", protocol::BranchKind::kBranch, snap).ok());
  ASSERT_TRUE(append(2, "main").ok());
  ASSERT_TRUE(append(3, "copy").ok());
  ASSERT_TRUE(append(4, "copy").ok());
  EXPECT_EQ(samples("main", ""), 2u);
  EXPECT_EQ(samples("copy", ""), 3u);
  EXPECT_EQ(samples("main", "snap"), 1u);
  Status refused = append(5, "snap");
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  refused = client->CreateBranch("copy", protocol::BranchKind::kBranch);
  EXPECT_TRUE(absl::IsAlreadyExists(refused)) << refused;
  const auto branches = *client->Branches();
  ASSERT_EQ(branches.size(), 3u);
  EXPECT_EQ(branches[1].name, "snap");
  EXPECT_EQ(branches[1].kind, protocol::BranchKind::kSnapshot);
  EXPECT_EQ(branches[2].parent, "snap");
  // The connection's target of a branch that is deleted, and then made again.
  ASSERT_TRUE(client->DeleteBranch("copy", protocol::BranchKind::kBranch).ok());
  refused = append(6, "copy");
  EXPECT_TRUE(absl::IsNotFound(refused)) << refused;
  ASSERT_TRUE(client->CreateBranch("copy", protocol::BranchKind::kBranch).ok());
  ASSERT_TRUE(append(7, "copy").ok());
  EXPECT_EQ(samples("copy", ""), 3u);
  SeriesChunk chunk;
  SelectQuery as_of_branch = Everything("cpu");
  as_of_branch.as_of = "copy";
  refused = (*client->Select(as_of_branch))->Next(&chunk).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
}

TEST_F(ServerTest, TenantsAreMadeBoundedAndListed) {
  std::unique_ptr<Client> client = Connect();
  protocol::Tenants change;
  change.action = protocol::TenantAction::kCreate;
  change.name = "acme";
  change.quotas[0] = 2;  // series_max
  ASSERT_TRUE(client->ChangeTenant(change).ok());
  Status refused = client->ChangeTenant(change);
  EXPECT_TRUE(absl::IsAlreadyExists(refused)) << refused;

  AppendOptions options;
  options.scope.tenant = "acme";
  auto append = [&](const std::vector<std::string>& hosts) {
    WriteBatch batch;
    for (const std::string& host : hosts) {
      batch.Add(*client->Series("cpu", {{"host", host}}, "acme"), 1, 1);
    }
    return client->Append(std::move(batch), options);
  };
  // Of three series two are within the quota: their samples are kept, the other is named.
  StatusOr<WriteOutcome> outcome = append({"a", "b", "c"});
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->accepted, 2u);
  ASSERT_EQ(outcome->rejected.size(), 1u);
  EXPECT_NE(outcome->reason.find("tenant \"acme\" has 2 series"), std::string::npos)
      << outcome->reason;
  refused = append({"c"}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_EQ(append({"a", "b"})->accepted, 2u);

  change = {};
  change.action = protocol::TenantAction::kSet;
  change.name = "acme";
  change.quotas[0] = 1;
  refused = client->ChangeTenant(change);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  change.quotas[0] = protocol::kNoQuota;
  change.quotas[4] = 0;  // concurrent_queries
  ASSERT_TRUE(client->ChangeTenant(change).ok());
  SelectQuery query = Everything("cpu");
  query.scope.tenant = "acme";
  SeriesChunk chunk;
  refused = (*client->Select(query))->Next(&chunk).status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_EQ(ReadAll(client->Select(Everything("cpu"))).size(), 0u);

  const auto tenants = *client->Tenants();
  ASSERT_EQ(tenants.size(), 2u);
  EXPECT_EQ(tenants[0].name, "default");
  EXPECT_EQ(tenants[1].name, "acme");
  EXPECT_EQ(tenants[1].series, 2u);
  EXPECT_EQ(tenants[1].samples, 4u);
  EXPECT_GE(tenants[1].refused, 2u);
  EXPECT_EQ(tenants[1].quotas[0], protocol::kNoQuota);
  EXPECT_EQ(tenants[1].quotas[4], 0u);
  Scope scope;
  scope.tenant = "acme";
  const protocol::CardinalityReply report = *client->Cardinality(10, scope);
  EXPECT_EQ(report.series, 2u);
  ASSERT_EQ(report.lists[0].size(), 1u);
  EXPECT_EQ(report.lists[0][0], (protocol::CardinalityReply::Entry{"cpu", "", 2, 2}));
  EXPECT_EQ(report.lists[2].size(), 2u);
}

TEST_F(ServerTest, ABatchAheadOfItsRateComesThroughLater) {
  std::unique_ptr<Client> client = Connect();
  protocol::Tenants change;
  change.action = protocol::TenantAction::kSet;
  change.name = "default";
  change.quotas[1] = 1000;  // samples_per_second
  ASSERT_TRUE(client->ChangeTenant(change).ok());
  const SeriesId series = *client->Series("cpu", {});
  // The second one is refused with the time to wait, and sent again by the client.
  for (int i = 0; i < 3; i++) {
    WriteBatch batch;
    for (int64_t k = 0; k < 1100; k++) batch.Add(series, i * 10'000 + k, 1);
    const Status status = client->Append(std::move(batch)).status();
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(ReadAll(client->Select(Everything("cpu")))[0].timestamps.size(), 3300u);
  EXPECT_GT((*client->Tenants())[0].refused, 0u);
}

TEST_F(ServerTest, ADeleteTakesWhatTheClientWasGivenBefore) {
  std::unique_ptr<Client> client = Connect();
  const SeriesId series = *client->Series("cpu", {});
  for (int i = 0; i < 20; i++) {
    WriteBatch batch;
    batch.Add(series, i, 1);
    client->AppendAsync(std::move(batch), {}, [](StatusOr<WriteOutcome> outcome) {
      EXPECT_TRUE(outcome.ok()) << outcome.status();
    });
  }
  DeleteRequest request;
  request.selector = "cpu";
  request.range = {5, 99};
  request.dry_run = true;
  StatusOr<protocol::Count> count = client->Delete(request);
  ASSERT_TRUE(count.ok()) << count.status();
  EXPECT_EQ(*count, (protocol::Count{1, 15, 1}));
  request.dry_run = false;
  ASSERT_TRUE(client->Delete(request).ok());
  EXPECT_EQ(ReadAll(client->Select(Everything("cpu")))[0].timestamps,
            (std::vector<int64_t>{0, 1, 2, 3, 4}));
  request.selector = "cpu{";
  EXPECT_TRUE(absl::IsInvalidArgument(client->Delete(request).status()));
  request.selector = "cpu";
  request.scope.branch = "nowhere";
  EXPECT_TRUE(absl::IsNotFound(client->Delete(request).status()));
}

TEST_F(ServerTest, BadQuestionsAreRefusedByName) {
  std::unique_ptr<Client> client = Connect();
  SeriesChunk chunk;
  Status status = (*client->Select(Everything("cpu{")))->Next(&chunk).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  SelectQuery elsewhere = Everything("cpu");
  elsewhere.scope.tenant = "nobody";
  status = (*client->Select(elsewhere))->Next(&chunk).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  AppendOptions options;
  options.scope.tenant = "nobody";
  WriteBatch batch;
  batch.Add(*client->Series("cpu", {}, "nobody"), 1, 1);
  status = client->Append(std::move(batch), options).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_TRUE(client->Ping().ok());
}

TEST_F(ServerTest, ALongAnswerComesWhole) {
  std::unique_ptr<Client> client = Connect();
  SeriesId series = *client->Series("long", {});
  constexpr int kSamples = 1'500'000;
  for (int begin = 0; begin < kSamples; begin += 500'000) {
    std::vector<int64_t> timestamps;
    std::vector<double> values;
    for (int i = begin; i < begin + 500'000; i++) {
      timestamps.push_back(i);
      values.push_back(i * 0.37);
    }
    WriteBatch batch;
    batch.AddSeries(series, timestamps, values);
    StatusOr<WriteOutcome> outcome = client->Append(std::move(batch));
    ASSERT_TRUE(outcome.ok()) << outcome.status();
  }
  StatusOr<std::unique_ptr<Cursor>> cursor = client->Select(Everything("long"));
  SeriesChunk chunk;
  int64_t next = 0;
  while (true) {
    StatusOr<bool> more = (*cursor)->Next(&chunk);
    ASSERT_TRUE(more.ok()) << more.status();
    if (!*more) break;
    for (size_t i = 0; i < chunk.values.size(); i++) {
      ASSERT_EQ(chunk.timestamps[i], next);
      ASSERT_EQ(std::bit_cast<uint64_t>(chunk.values[i]),
                std::bit_cast<uint64_t>(static_cast<double>(next) * 0.37));
      next++;
    }
  }
  EXPECT_EQ(next, kSamples);
  EXPECT_EQ((*cursor)->statistics().samples, static_cast<uint64_t>(kSamples));
}

TEST_F(ServerTest, RestartsUnderAWritingClientLoseAndRepeatNothing) {
  std::unique_ptr<Client> client = Connect();
  SeriesId series = *client->Series("counted", {});
  constexpr int kBatches = 3000;
  std::atomic<int> acked = 0;
  std::thread writer([&] {
    for (int i = 0; i < kBatches; i++) {
      WriteBatch batch;
      batch.Add(series, i, i);
      client->AppendAsync(std::move(batch), {}, [&, i](StatusOr<WriteOutcome> outcome) {
        EXPECT_TRUE(outcome.ok()) << i << ": " << outcome.status();
        acked++;
      });
      if (i % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  for (int i = 0; i < 3; i++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    RestartServer();
  }
  writer.join();
  client->Sync();
  EXPECT_EQ(acked, kBatches);
  Aggregate count;
  count.function = protocol::Function::kCount;
  std::vector<Series> counted = ReadAll(client->SelectAggregate(Everything("counted"), count));
  ASSERT_EQ(counted.size(), 1u);
  EXPECT_EQ(std::bit_cast<double>(counted[0].bits[0]), kBatches);
  // Twice would not show in samples of the same time: the server's own count of them does.
  StatusOr<std::vector<protocol::Stat>> stats = client->GetStats();
  ASSERT_TRUE(stats.ok());
  auto samples = std::find_if(stats->begin(), stats->end(),
                              [](const protocol::Stat& stat) { return stat.name == "samples"; });
  ASSERT_NE(samples, stats->end());
  EXPECT_EQ(std::get<uint64_t>(samples->value), static_cast<uint64_t>(kBatches));
}

}  // namespace
}  // namespace nexus::client
