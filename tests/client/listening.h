// A FakeServer behind a real socket, on a loop of its own.

#ifndef NEXUS_TESTS_CLIENT_LISTENING_H_
#define NEXUS_TESTS_CLIENT_LISTENING_H_

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/real.h"
#include "io/stream.h"
#include "tests/client/fake_server.h"

namespace nexus::client {

// A FakeServer that listens. All but the constructor and the destructor runs on its loop.
class Listening : io::AcceptHandler {
 public:
  Listening() {
    auto environment = io::RealEnvironment::Start({});
    NEXUS_CHECK(environment.ok());
    environment_ = *std::move(environment);
    Listen("127.0.0.1:0");
  }
  ~Listening() override {
    environment_->RunOnLoop([this] {
      listener_.reset();
      peers_.clear();
    });
    // Cancelled sends complete on the loop, and free themselves.
    while (sends_ > 0) environment_->RunOnLoop([] {});
    environment_->Stop();
  }

  std::string address() {
    std::string address;
    environment_->RunOnLoop([&] { address = address_; });
    return address;
  }
  void Listen(const std::string& address) {
    environment_->RunOnLoop([&] {
      io::ListenResult listening =
          environment_->network()->Listen(address, io::kListenBacklog, this);
      NEXUS_CHECK(listening.error == 0);
      listener_ = std::move(listening.listener);
      address_ = listener_->address();
    });
  }
  void StopListening() {
    environment_->RunOnLoop([this] { listener_.reset(); });
  }
  void BreakConnections() {
    environment_->RunOnLoop([this] { peers_.clear(); });
  }
  template <typename F>
  void With(F function) {
    environment_->RunOnLoop([&] { function(&server_); });
  }

 private:
  struct Sending : io::SendOp {
    Sending(std::string taken, std::atomic<int>* counted)
        : io::SendOp(&Done), bytes(std::move(taken)), count(counted) {
      Add(AsBytes(bytes));
      ++*count;
    }
    static void Done(io::SendOp* op) {
      auto* sending = static_cast<Sending*>(op);
      --*sending->count;
      delete sending;
    }
    std::string bytes;
    std::atomic<int>* count;
  };

  struct Peer : io::StreamHandler {
    Peer(Listening* listening, std::unique_ptr<io::Stream> accepted)
        : owner(listening), connection(&listening->server_), stream(std::move(accepted)) {
      stream->Start(this);
    }
    void OnReceive(Bytes bytes) override {
      if (!connection.Feed(bytes)) return stream->Abort();
      std::string replies = std::exchange(connection.replies, {});
      if (!replies.empty()) stream->Send(new Sending(std::move(replies), &owner->sends_));
      // A connection that breaks now and then, in the middle of things.
      if (owner->break_after_ > 0 && --owner->break_after_ == 0) {
        owner->break_after_ = 20;
        stream->Abort();
      }
    }
    void OnReceiveEnd(int) override { stream->Close(); }
    Listening* owner;
    FakeServer::Connection connection;
    std::unique_ptr<io::Stream> stream;
  };

  void OnAccept(std::unique_ptr<io::Stream> stream) override {
    peers_.push_back(std::make_unique<Peer>(this, std::move(stream)));
  }
  void OnAcceptError(int) override {}

 public:
  int break_after_ = 0;  // receives until a connection breaks; 0: none does

 private:
  std::unique_ptr<io::RealEnvironment> environment_;
  FakeServer server_;
  std::unique_ptr<io::Listener> listener_;
  std::string address_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::atomic<int> sends_ = 0;
};

}  // namespace nexus::client

#endif  // NEXUS_TESTS_CLIENT_LISTENING_H_
