// Measures streams on the real kernel over loopback: a small question and answer, and bodies of
// 1 MiB received in place. Client and server have an environment (a loop thread) each.
//
// usage: [NEXUS_IO=uring|posix] stream_bench

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/real.h"
#include "io/stream.h"

namespace nexus::io {
namespace {

constexpr int kRounds = 20'000;
constexpr int kWarmUpRounds = 1'000;
constexpr size_t kQuestionBytes = 100;
constexpr size_t kBodyBytes = 1 << 20;
constexpr int kBodies = 4'000;
constexpr int64_t kConnectTimeoutNs = 5'000'000'000;

// Answers every question, or receives bodies in place for ever.
class Server : public AcceptHandler, public StreamHandler {
 public:
  explicit Server(bool bodies)
      : bodies_(bodies), body_(kBodyBytes), receive_(this), answer_([](SendOp*) {}) {}
  void OnAccept(std::unique_ptr<Stream> stream) override {
    stream_ = std::move(stream);
    stream_->Start(this);
    if (bodies_) stream_->ReceiveInto(&receive_);
  }
  void OnAcceptError(int) override {}
  void OnReceive(Bytes bytes) override {
    text_ = AsString(bytes);
    answer_.Clear();
    answer_.Add(AsBytes(text_));
    stream_->Send(&answer_);
  }
  void OnReceiveEnd(int) override { stream_->Close(); }

 private:
  struct Body : ReceiveOp {
    explicit Body(Server* of) : ReceiveOp(of->body_, &Again), server(of) {}
    static void Again(ReceiveOp* op) {
      auto* self = static_cast<Body*>(op);
      if (op->result == static_cast<int64_t>(kBodyBytes)) self->server->stream_->ReceiveInto(op);
    }
    Server* server;
  };
  const bool bodies_;
  std::vector<std::byte> body_;
  Body receive_;
  SendOp answer_;
  std::string text_;
  std::unique_ptr<Stream> stream_;
};

class Answers : public StreamHandler {
 public:
  void OnReceive(Bytes bytes) override {
    received += bytes.size();
    came.Pulse();
  }
  void OnReceiveEnd(int) override {}
  size_t received = 0;
  Event came;
};

Task<std::vector<int64_t>> Ask(Network* network, std::string address) {
  Answers answers;
  ConnectResult connected = co_await network->Connect(address, kConnectTimeoutNs);
  NEXUS_CHECK(connected.error == 0);
  connected.stream->Start(&answers);
  std::string question(kQuestionBytes, 'q');
  std::vector<int64_t> samples;
  for (int round = 0; round < kRounds; round++) {
    int64_t before = RealMonotonicNanos();
    answers.received = 0;
    co_await Send(connected.stream.get(), AsBytes(question));
    while (answers.received < kQuestionBytes) co_await answers.came.Wait();
    if (round >= kWarmUpRounds) samples.push_back(RealMonotonicNanos() - before);
  }
  connected.stream->Close();
  co_return samples;
}

Task<int64_t> SendBodies(Network* network, std::string address) {
  ConnectResult connected = co_await network->Connect(address, kConnectTimeoutNs);
  NEXUS_CHECK(connected.error == 0);
  std::vector<std::byte> body(kBodyBytes);
  int64_t before = RealMonotonicNanos();
  for (int i = 0; i < kBodies; i++) {
    int64_t sent = co_await Send(connected.stream.get(), body);
    NEXUS_CHECK(sent == static_cast<int64_t>(kBodyBytes));
  }
  int64_t took = RealMonotonicNanos() - before;
  connected.stream->Close();
  co_return took;
}

double CpuSeconds() {
  rusage used;
  getrusage(RUSAGE_SELF, &used);
  auto seconds = [](timeval t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// Runs the client's task against a server of its own; its value.
template <typename T>
T Against(bool bodies, Task<T> (*client)(Network*, std::string)) {
  StatusOr<std::unique_ptr<RealEnvironment>> here = RealEnvironment::Start({});
  StatusOr<std::unique_ptr<RealEnvironment>> there = RealEnvironment::Start({});
  NEXUS_CHECK(here.ok() && there.ok());
  auto server = std::make_unique<Server>(bodies);
  std::unique_ptr<Listener> listener;
  (*there)->RunOnLoop([&] {
    ListenResult listening = (*there)->network()->Listen("127.0.0.1:0", 8, server.get());
    NEXUS_CHECK(listening.error == 0);
    listener = std::move(listening.listener);
  });
  T value = (*here)->BlockOn(client((*here)->network(), listener->address()));
  (*there)->RunOnLoop([&] { listener.reset(); });
  // The operations in flight complete before the loop ends; their memory must outlast that.
  (*there)->RunOnLoop([&] { server->OnReceiveEnd(0); });
  (*there)->Stop();
  return value;
}

void Report() {
  StatusOr<std::unique_ptr<RealEnvironment>> started = RealEnvironment::Start({});
  NEXUS_CHECK(started.ok());
  fmt::print("backend {}\n", (*started)->name());
  started->reset();
  double cpu = CpuSeconds();
  std::vector<int64_t> samples = Against(false, &Ask);
  std::sort(samples.begin(), samples.end());
  auto at = [&](size_t percent) {
    return static_cast<double>(samples[(samples.size() - 1) * percent / 100]) / 1e3;
  };
  fmt::print("question and answer of 100 B: p50 {:.1f} us, p99 {:.1f} us, {:.1f} us of cpu\n",
             at(50), at(99), (CpuSeconds() - cpu) / kRounds * 1e6);
  cpu = CpuSeconds();
  double seconds = static_cast<double>(Against(true, &SendBodies)) / 1e9;
  fmt::print("bodies of 1 MiB received in place: {:.2f} GB/s, {:.2f} s of cpu per GB\n",
             kBodies * static_cast<double>(kBodyBytes) / seconds / 1e9,
             (CpuSeconds() - cpu) / (kBodies * static_cast<double>(kBodyBytes) / 1e9));
}

}  // namespace
}  // namespace nexus::io

int main() {
  nexus::io::Report();
  return 0;
}
