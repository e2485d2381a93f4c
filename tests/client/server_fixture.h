// A database behind a port, in this process, and a folder that outlives it: what `nexus serve` is,
// without the command.

#ifndef NEXUS_TESTS_CLIENT_SERVER_FIXTURE_H_
#define NEXUS_TESTS_CLIENT_SERVER_FIXTURE_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "client/client.h"
#include "engine/core.h"
#include "io/real.h"
#include "server/server.h"
#include "server/service.h"

namespace nexus::client {

class ServerFixture : public testing::Test {
 protected:
  ServerFixture()
      : directory_(std::filesystem::path(testing::TempDir()) /
                   testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(directory_);
    StartServer("127.0.0.1:0");
  }
  ~ServerFixture() override {
    StopServer();
    std::filesystem::remove_all(directory_);
  }

  void StartServer(const std::string& listen) {
    environment_ = *io::RealEnvironment::Start({});
    Options options;
    options.directory = directory_;
    options.reserve_bytes = 0;
    options.catalog_bytes_max = 64 << 20;
    auto opened = environment_->BlockOn(
        engine::DatabaseCore::Open(environment_.get(), std::move(options), engine::CatalogHooks{}));
    ASSERT_TRUE(opened.ok()) << opened.status();
    core_ = *std::move(opened);
    environment_->RunOnLoop([&] {
      service_ = std::make_unique<server::Service>(core_.get(), environment_.get());
      server::ServerOptions server;
      server.listen = listen;
      server_ = std::make_unique<server::Server>(service_.get(), server, [](auto, auto) {});
      Status listening = server_->Listen();
      ASSERT_TRUE(listening.ok()) << listening;
      address_ = server_->address();
    });
  }
  // In order: what is under way is finished.
  void StopServer() {
    constexpr int64_t kPatienceNs = 1'000'000'000;
    Status closed = environment_->BlockOn(Stop(server_.get(), core_.get(), kPatienceNs));
    EXPECT_TRUE(closed.ok()) << closed;
    environment_->RunOnLoop([this] {
      server_.reset();
      service_.reset();
      core_.reset();
    });
    environment_->Stop();
  }
  void RestartServer() {
    StopServer();
    StartServer(address_);
  }

  std::unique_ptr<Client> Connect(bool crc32 = false) {
    ClientOptions options;
    options.address = address_;
    options.crc32 = crc32;
    StatusOr<std::unique_ptr<Client>> client = Client::Connect(options);
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }

  std::string address_;

 private:
  static io::Task<Status> Stop(server::Server* server, engine::DatabaseCore* core,
                               int64_t patience_ns) {
    co_await server->Stop(patience_ns);
    co_return co_await core->Close();
  }

  const std::string directory_;
  std::unique_ptr<io::RealEnvironment> environment_;
  std::unique_ptr<engine::DatabaseCore> core_;
  std::unique_ptr<server::Service> service_;
  std::unique_ptr<server::Server> server_;
};

}  // namespace nexus::client

#endif  // NEXUS_TESTS_CLIENT_SERVER_FIXTURE_H_
