// Link: the transport of a session - connects, moves bytes, and connects again.
//
// Reconnects with capped exponential backoff and jitter, for ever, until stopped or until the
// session says that no connection is worth while. At most two outputs are being sent at once, so
// that the next one is made while the first goes out, and batches wait in the session's window, not
// here.
//
// Works in any world: it is given an environment and a network and never asks which.
// Threading: the environment's loop.

#ifndef NEXUS_CLIENT_LINK_H_
#define NEXUS_CLIENT_LINK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/status.h"
#include "client/backoff.h"
#include "client/session.h"
#include "io/environment.h"
#include "io/stream.h"
#include "io/task.h"

namespace nexus::client {

class Link : io::StreamHandler {
 public:
  struct Options {
    std::string address;                         // "host:port"
    int64_t connect_timeout_ns = 5'000'000'000;  // of one attempt
    bool must_connect_first = false;             // a first attempt that fails ends the session
    uint64_t seed = 0;                           // of the jitter; random
    // See ClientOptions.
    std::function<void(const Status&)> on_change;
  };

  // All outlive it.
  Link(io::Environment* environment, io::Network* network, Session* session, Options options);
  ~Link() override;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Serves the session until Stop, or until the session has failed.
  io::Task<void> Run();
  // Beats the session's clock for as long as Run lasts.
  io::Task<void> Beat();
  // Run and Beat end soon. The session should have been shut down.
  void Stop();
  // The session may have something new to send.
  void Wake();

  // Why there is no connection; OK if there is one.
  const Status& status() const { return status_; }

 private:
  struct Sending;

  void OnReceive(Bytes bytes) override;
  void OnReceiveEnd(int error) override;
  io::Task<void> Serve(std::unique_ptr<io::Stream> stream);
  io::Task<void> Pause(int64_t ns);
  bool over() const { return stopping_ || !session_->failure().ok(); }
  void Drop(Status why);
  void TellChange();
  static void OnSent(io::SendOp* op);

  io::Environment* const environment_;
  io::Network* const network_;
  Session* const session_;
  const Options options_;
  Backoff backoff_;
  bool stopping_ = false;
  bool ended_ = false;  // Run has
  Status status_;
  bool told_lost_ = false;

  // Of the connection.
  std::unique_ptr<io::Stream> stream_;
  bool dropped_ = false;
  bool pumping_ = false;
  int sending_ = 0;
  io::Event changed_;  // dropped, or nothing is being sent
};

}  // namespace nexus::client

#endif  // NEXUS_CLIENT_LINK_H_
