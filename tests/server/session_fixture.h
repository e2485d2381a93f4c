// Sessions without connections, over a database in the simulated world: what goes in, what comes
// out, what is stored.

#ifndef NEXUS_TESTS_SERVER_SESSION_FIXTURE_H_
#define NEXUS_TESTS_SERVER_SESSION_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/service.h"
#include "server/session.h"
#include "tests/engine/sim_fixture.h"

namespace nexus::server {

// Keeps what is written.
class FakeTransport : public Transport {
 public:
  void Write(std::string_view bytes) override {
    EXPECT_FALSE(closed) << "written after CloseAfterWrites: " << bytes;
    output.append(bytes);
  }
  uint64_t queued_bytes() const override { return queued; }
  void Pause() override { paused = true; }
  void Resume() override { paused = false; }
  void ReceiveInto(MutableBytes) override { ADD_FAILURE() << "text needs no buffer of its own"; }
  void CloseAfterWrites(std::string_view) override {
    EXPECT_FALSE(closed) << "closed twice";
    closed = true;
  }
  const std::string& peer() const override { return peer_; }

  std::string output;
  uint64_t queued = 0;
  bool paused = false;
  bool closed = false;

 private:
  std::string peer_ = "127.0.0.1:50123";
};

class SessionTest : public engine::SimDatabaseTest {
 protected:
  SessionTest() {
    // Room for full batches.
    options_.log_segment_bytes = 1 << 20;
    options_.memtable_bytes = 64 << 20;
  }
  void SetUp() override {
    ASSERT_TRUE(Open().ok());
    service_ = std::make_unique<Service>(core_.get(), world_.environment());
  }
  void TearDown() override {
    world_.RunUntilIdle();
    service_.reset();
  }

  engine::PublishedState::Found Target() {
    return *core_->state()->published.Find("default", "main");
  }

  // Gives the session the text in pieces of `piece` bytes, each when it wants more. False if the
  // session closed before the end.
  bool Feed(Session* session, FakeTransport* transport, std::string_view text, size_t piece) {
    for (size_t at = 0; at < text.size(); at += piece) {
      if (transport->paused) world_.RunUntil([transport] { return !transport->paused; });
      if (transport->closed) return false;
      EXPECT_FALSE(transport->paused) << "the session wants no more bytes, ever";
      std::string_view part = text.substr(at, piece);
      world_.RunOnLoop([&] { session->OnBytes(AsBytes(part)); });
    }
    return true;
  }

  // Metric and labels -> timestamp -> value, of what a query finds now.
  std::map<std::string, std::map<int64_t, double>> Stored(const std::string& selector) {
    auto view = core_->View("default", "main");
    EXPECT_TRUE(view.ok());
    SelectQuery query;
    query.selector = selector;
    auto cursor = engine::MakeSelectCursor(*std::move(view), query);
    EXPECT_TRUE(cursor.ok()) << cursor.status();
    std::map<std::string, std::map<int64_t, double>> found;
    SeriesChunk chunk;
    while (true) {
      StatusOr<bool> more = (*cursor)->Next(&chunk);
      EXPECT_TRUE(more.ok()) << more.status();
      if (!more.ok() || !*more) return found;
      auto& samples = found[Labels::Make(std::string(chunk.metric), *chunk.labels)->ToString()];
      for (size_t i = 0; i < chunk.timestamps.size(); i++) {
        samples[chunk.timestamps[i]] = chunk.values[i];
      }
    }
  }

  std::unique_ptr<Service> service_;
};

}  // namespace nexus::server

#endif  // NEXUS_TESTS_SERVER_SESSION_FIXTURE_H_
