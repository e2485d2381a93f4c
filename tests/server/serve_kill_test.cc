// kill -9 of a real server under clients that retry: what they saw acknowledged is there, once.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "client/client.h"
#include "tests/server/nexus_process.h"

namespace nexus::server {
namespace {

constexpr int kRounds = 6;
constexpr size_t kClients = 2;
constexpr int kSamples = 50;  // of a batch

// A port that nobody has at the moment.
int FreePort() {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

class ServeKillTest : public NexusCommandTest {
 protected:
  void StartServer() {
    server_.reset();
    server_ = std::make_unique<NexusProcess>(
        directory_, std::vector<std::string>{"serve", "--data", data_, "--listen", address_}, "");
  }
  std::unique_ptr<client::Client> Connect() {
    client::ClientOptions options;
    options.address = address_;
    options.connect_timeout_ms = 20'000;
    options.wait_for_server = true;
    auto client = client::Client::Connect(options);
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }

  const std::string address_ = "127.0.0.1:" + std::to_string(FreePort());
  std::unique_ptr<NexusProcess> server_;
};

// Appends batches of its own series until told to stop; every one must be acknowledged in the end.
struct Writer {
  void Run(client::Client* to, size_t number, const std::atomic<bool>* stop) {
    SeriesId series = *to->Series("written", {{"client", std::to_string(number)}});
    client::AppendOptions options;
    options.scope.timeout_ms = 60'000;
    while (!*stop) {
      client::WriteBatch batch;
      for (int i = 0; i < kSamples; i++) {
        const int64_t at = static_cast<int64_t>(sent) * kSamples + i;
        batch.Add(series, at, static_cast<double>(at));
      }
      sent++;
      to->AppendAsync(std::move(batch), options, [this](StatusOr<client::WriteOutcome> outcome) {
        if (outcome.ok() && outcome->accepted == kSamples) {
          acknowledged++;
        } else {
          failed++;
        }
      });
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    to->Sync();
  }
  uint64_t sent = 0;
  std::atomic<uint64_t> acknowledged = 0;
  std::atomic<uint64_t> failed = 0;
};

TEST_F(ServeKillTest, RetryingClientsLoseNothingAndCountNothingTwice) {
  StartServer();
  std::vector<std::unique_ptr<client::Client>> clients;
  for (size_t i = 0; i < kClients; i++) clients.push_back(Connect());
  std::vector<Writer> writers(kClients);
  std::vector<std::thread> threads;
  std::atomic<bool> stop = false;
  for (size_t i = 0; i < kClients; i++) {
    threads.emplace_back([&, i] { writers[i].Run(clients[i].get(), i, &stop); });
  }
  std::mt19937 random(std::random_device{}());
  for (int round = 0; round < kRounds; round++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100 + random() % 300));
    server_->Signal(SIGKILL);
    server_->Wait();
    StartServer();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  stop = true;
  for (std::thread& thread : threads) thread.join();

  uint64_t batches = 0;
  for (const Writer& writer : writers) {
    EXPECT_EQ(writer.failed, 0u);
    EXPECT_EQ(writer.acknowledged, writer.sent);
    EXPECT_GT(writer.sent, 100u);
    batches += writer.sent;
  }
  auto reader = Connect();
  client::SelectQuery query;
  query.selector = "written";
  auto cursor = reader->Select(query);
  ASSERT_TRUE(cursor.ok()) << cursor.status();
  uint64_t found = 0;
  client::SeriesChunk chunk;
  std::vector<int64_t> next(kClients, 0);
  while (true) {
    StatusOr<bool> more = (*cursor)->Next(&chunk);
    ASSERT_TRUE(more.ok()) << more.status();
    if (!*more) break;
    int64_t& expected = next[chunk.series_index];
    for (size_t i = 0; i < chunk.timestamps.size(); i++) {
      ASSERT_EQ(chunk.timestamps[i], expected++);
      ASSERT_EQ(chunk.values[i], static_cast<double>(chunk.timestamps[i]));
    }
    found += chunk.timestamps.size();
  }
  EXPECT_EQ(found, batches * kSamples);
  // A batch that was applied twice counts twice until layers are merged.
  auto stats = reader->GetStats();
  ASSERT_TRUE(stats.ok()) << stats.status();
  for (const protocol::Stat& stat : *stats) {
    if (stat.name != "samples") continue;
    EXPECT_EQ(std::get<uint64_t>(stat.value), batches * kSamples);
  }
}

TEST_F(ServeKillTest, StopSignalEndsInOrder) {
  StartServer();
  auto client = Connect();
  SeriesId series = *client->Series("one", {});
  client::WriteBatch batch;
  batch.Add(series, 1, 2.0);
  ASSERT_TRUE(client->Append(std::move(batch)).ok());
  server_->Signal(SIGTERM);
  Result result = server_->Wait();
  EXPECT_EQ(result.exit, 0) << result.error;
  EXPECT_NE(result.error.find("everything acknowledged is durable"), std::string::npos)
      << result.error;
  EXPECT_NE(Query("one").find("[1,2]"), std::string::npos);
}

TEST_F(ServeKillTest, PortInUseIsNamedWithTheWayOut) {
  StartServer();
  Connect();
  Result second = Nexus({"serve", "--data", Path("other"), "--listen", address_});
  EXPECT_EQ(second.exit, 2) << second.error;
  EXPECT_NE(second.error.find("port is in use"), std::string::npos) << second.error;
  EXPECT_NE(second.error.find("--listen"), std::string::npos) << second.error;
}

TEST_F(ServeKillTest, ListeningBeyondLoopbackNeedsToBeAskedFor) {
  Result result = Nexus({"serve", "--data", data_, "--listen", "0.0.0.0:0"});
  EXPECT_EQ(result.exit, 2);
  EXPECT_NE(result.error.find("--insecure"), std::string::npos) << result.error;
}

TEST_F(ServeKillTest, FolderInUseNamesTheAddressToConnectTo) {
  StartServer();
  Connect();
  Result result = Nexus({"stats", "--data", data_});
  EXPECT_EQ(result.exit, 1);
  EXPECT_NE(result.error.find("--connect " + address_), std::string::npos) << result.error;
}

}  // namespace
}  // namespace nexus::server
