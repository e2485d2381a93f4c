// A session over a database in the simulated world, for fuzzing: bytes in, all that it wrote out.
//
// The database lives on from input to input, as a server's does, and is made anew after some, so
// that it does not grow without bound. Threading: one thread.

#ifndef NEXUS_FUZZ_SERVER_SESSION_WORLD_H_
#define NEXUS_FUZZ_SERVER_SESSION_WORLD_H_

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "engine/core.h"
#include "io/sim/world.h"
#include "server/service.h"
#include "server/session.h"

namespace nexus::server {

class SessionWorld {
 public:
  SessionWorld() {
    world_.Boot();
    engine::CatalogHooks hooks;
    hooks.directory = world_.ScratchDirectory();
    Options options;
    options.directory = "/db";
    options.reserve_bytes = 0;
    options.log_segment_bytes = 1 << 20;
    options.catalog_bytes_max = 64 << 20;
    auto opened = world_.RunTask(
        engine::DatabaseCore::Open(world_.environment(), std::move(options), std::move(hooks)));
    NEXUS_CHECK(opened.ok());
    core_ = *std::move(opened);
    service_ = std::make_unique<Service>(core_.get(), world_.environment());
  }
  ~SessionWorld() {
    world_.RunUntilIdle();
    service_.reset();
    NEXUS_CHECK(world_.RunTask(core_->Close()).ok());
    world_.RunOnLoop([this] { core_.reset(); });
    world_.Exit();
  }
  SessionWorld(const SessionWorld&) = delete;
  SessionWorld& operator=(const SessionWorld&) = delete;

  // A whole connection: the input in pieces, then its end. What the session wrote.
  template <typename SessionType>
  std::string Converse(std::string_view input, size_t piece) {
    KeptOutput transport;
    std::unique_ptr<Session> session = Begin<SessionType>(&transport);
    Feed(session.get(), &transport, input, piece);
    if (!transport.closed) {
      world_.RunOnLoop([&] { session->OnEnd(); });
      auto closed = [&transport] { return transport.closed; };
      if (!closed()) NEXUS_CHECK(world_.RunUntil(closed));
    }
    world_.RunOnLoop([&] { session.reset(); });
    return std::move(transport.output);
  }

  // A connection that breaks behind the input, with whatever the session has under way then.
  template <typename SessionType>
  void Abandon(std::string_view input, size_t piece) {
    auto transport = std::make_unique<KeptOutput>();
    std::unique_ptr<Session> session = Begin<SessionType>(transport.get());
    Feed(session.get(), transport.get(), input, piece);
    world_.RunOnLoop([&] { session.reset(); });
    transport.reset();
    world_.RunUntilIdle();
  }

 private:
  struct KeptOutput : Transport {
    void Write(std::string_view bytes) override {
      NEXUS_CHECK(!closed);
      output.append(bytes);
    }
    uint64_t queued_bytes() const override { return 0; }
    void Pause() override { paused = true; }
    void Resume() override { paused = false; }
    void ReceiveInto(MutableBytes buffer) override {
      NEXUS_CHECK(wanted.empty() && !buffer.empty());
      wanted = buffer;
    }
    void CloseAfterWrites(std::string_view) override {
      NEXUS_CHECK(!closed);
      closed = true;
    }
    const std::string& peer() const override { return output; }

    std::string output;
    bool paused = false;
    bool closed = false;
    MutableBytes wanted;  // the next bytes go there
  };

  template <typename SessionType>
  std::unique_ptr<Session> Begin(KeptOutput* transport) {
    std::unique_ptr<Session> session;
    world_.RunOnLoop([&] { session = std::make_unique<SessionType>(service_.get(), transport); });
    return session;
  }

  // As a connection does: nothing while it is paused, but for what a buffer waits for.
  void Feed(Session* session, KeptOutput* transport, std::string_view input, size_t piece) {
    auto reads = [transport] {
      return !transport->paused || transport->closed || !transport->wanted.empty();
    };
    while (!transport->closed) {
      if (!reads()) NEXUS_CHECK(world_.RunUntil(reads));
      if (input.empty() || transport->closed) return;
      std::string_view part = input.substr(0, piece);
      if (transport->wanted.empty()) {
        input.remove_prefix(part.size());
        world_.RunOnLoop([&] { session->OnBytes(AsBytes(part)); });
        continue;
      }
      part = part.substr(0, transport->wanted.size());
      input.remove_prefix(part.size());
      std::memcpy(transport->wanted.data(), part.data(), part.size());
      transport->wanted = transport->wanted.subspan(part.size());
      if (transport->wanted.empty()) world_.RunOnLoop([&] { session->OnReceived(); });
    }
  }

  sim::World world_{1};
  std::unique_ptr<engine::DatabaseCore> core_;
  std::unique_ptr<Service> service_;
};

// The world of the present input.
inline SessionWorld* WorldOfInput() {
  constexpr int kInputsPerWorld = 1000;
  static int inputs = 0;
  static std::unique_ptr<SessionWorld> world;
  if (inputs++ % kInputsPerWorld == 0) {
    world.reset();
    world = std::make_unique<SessionWorld>();
  }
  return world.get();
}

}  // namespace nexus::server

#endif  // NEXUS_FUZZ_SERVER_SESSION_WORLD_H_
