// `nexus serve` as it is run: how it ends, and what keeps it from beginning. How it is killed is
// the kill loop's: tests/kill_loop.

#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "client/client.h"
#include "tests/server/nexus_process.h"

namespace nexus::server {
namespace {

class ServeTest : public NexusCommandTest {
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

TEST_F(ServeTest, StopSignalEndsInOrder) {
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

TEST_F(ServeTest, PortInUseIsNamedWithTheWayOut) {
  StartServer();
  Connect();
  Result second = Nexus({"serve", "--data", Path("other"), "--listen", address_});
  EXPECT_EQ(second.exit, 2) << second.error;
  EXPECT_NE(second.error.find("port is in use"), std::string::npos) << second.error;
  EXPECT_NE(second.error.find("--listen"), std::string::npos) << second.error;
}

TEST_F(ServeTest, ListeningBeyondLoopbackNeedsToBeAskedFor) {
  Result result = Nexus({"serve", "--data", data_, "--listen", "0.0.0.0:0"});
  EXPECT_EQ(result.exit, 2);
  EXPECT_NE(result.error.find("--insecure"), std::string::npos) << result.error;
}

TEST_F(ServeTest, FolderInUseNamesTheAddressToConnectTo) {
  StartServer();
  Connect();
  Result result = Nexus({"stats", "--data", data_});
  EXPECT_EQ(result.exit, 1);
  EXPECT_NE(result.error.find("--connect " + address_), std::string::npos) << result.error;
}

}  // namespace
}  // namespace nexus::server
