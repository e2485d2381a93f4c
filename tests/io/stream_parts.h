// The vocabulary of the stream tests: who accepts, who receives, operations that watch themselves,
// and waiting for what comes about.
//
// Threading: the loop's.

#ifndef NEXUS_TESTS_IO_STREAM_PARTS_H_
#define NEXUS_TESTS_IO_STREAM_PARTS_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/stream.h"
#include "io/task.h"

namespace nexus::io {

inline constexpr int64_t kConnectTimeoutNs = 20'000'000'000;

// Text in which every place looks different from its neighbours'.
inline std::string Pattern(size_t bytes, uint64_t seed) {
  std::string text(bytes, '\0');
  uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
  for (char& c : text) {
    state = state * 6364136223846793005 + 1442695040888963407;
    c = static_cast<char>(state >> 56);
  }
  return text;
}

// Returns when the condition holds; `changed` pulses whenever it may.
inline Task<void> Until(Event* changed, std::function<bool()> condition) {
  while (!condition()) co_await changed->Wait();
}

// Takes in connections.
class Doorman : public AcceptHandler {
 public:
  void OnAccept(std::unique_ptr<Stream> stream) override {
    streams.push_back(std::move(stream));
    changed.Pulse();
  }
  void OnAcceptError(int error) override {
    errors.push_back(error);
    changed.Pulse();
  }
  Task<std::unique_ptr<Stream>> Next() {
    co_await Until(&changed, [this] { return !streams.empty(); });
    std::unique_ptr<Stream> stream = std::move(streams.front());
    streams.pop_front();
    co_return stream;
  }

  std::deque<std::unique_ptr<Stream>> streams;
  std::vector<int> errors;
  Event changed;
};

// Keeps what a stream brings; `then` runs after each piece.
class Ear : public StreamHandler {
 public:
  void OnReceive(Bytes bytes) override {
    EXPECT_FALSE(bytes.empty());
    EXPECT_FALSE(ended) << "bytes after the end";
    text += AsString(bytes);
    pieces++;
    changed.Pulse();
    if (then) then();
  }
  void OnReceiveEnd(int with) override {
    EXPECT_FALSE(ended) << "a second end";
    ended = true;
    error = with;
    changed.Pulse();
    if (then) then();
  }
  Task<void> WaitFor(size_t bytes) {
    return Until(&changed, [this, bytes] { return text.size() >= bytes || ended; });
  }
  Task<void> WaitForEnd() {
    return Until(&changed, [this] { return ended; });
  }

  std::string text;
  int pieces = 0;
  bool ended = false;
  int error = 1;
  Event changed;
  std::function<void()> then;
};

// Operations that count their completions and know whether one came inside the call.
struct WatchedSend : SendOp {
  WatchedSend() : SendOp(&Complete) {}
  explicit WatchedSend(Bytes bytes) : SendOp(bytes, &Complete) {}
  void To(Stream* stream) {
    inside = true;
    stream->Send(this);
    inside = false;
  }
  static void Complete(SendOp* op) {
    auto* self = static_cast<WatchedSend*>(op);
    EXPECT_FALSE(self->inside);
    self->completions++;
    self->done.Set();
    if (self->then) self->then();
  }
  Event done;
  int completions = 0;
  bool inside = false;
  std::function<void()> then;
};

struct WatchedReceive : ReceiveOp {
  explicit WatchedReceive(MutableBytes into) : ReceiveOp(into, &Complete) {}
  void From(Stream* stream) {
    inside = true;
    stream->ReceiveInto(this);
    inside = false;
  }
  static void Complete(ReceiveOp* op) {
    auto* self = static_cast<WatchedReceive*>(op);
    EXPECT_FALSE(self->inside);
    self->completions++;
    self->done.Set();
    if (self->then) self->then();
  }
  Event done;
  int completions = 0;
  bool inside = false;
  std::function<void()> then;
};

inline MutableBytes Writable(std::string* text) { return std::as_writable_bytes(std::span(*text)); }

// Two connected streams and the listener between them.
struct Connected {
  explicit Connected(Network* on) : network(on) {}
  // The client's end and the server's; both are there afterwards.
  Task<void> Join() {
    if (listener == nullptr) {
      ListenResult listening = network->Listen("127.0.0.1:0", kListenBacklog, &doorman);
      EXPECT_EQ(listening.error, 0);
      NEXUS_CHECK(listening.error == 0);
      listener = std::move(listening.listener);
    }
    ConnectResult connected = co_await network->Connect(listener->address(), kConnectTimeoutNs);
    EXPECT_EQ(connected.error, 0);
    NEXUS_CHECK(connected.error == 0);
    client = std::move(connected.stream);
    server = co_await doorman.Next();
  }
  Network* const network;
  Doorman doorman;
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Stream> client;
  std::unique_ptr<Stream> server;
};

}  // namespace nexus::io

#endif  // NEXUS_TESTS_IO_STREAM_PARTS_H_
