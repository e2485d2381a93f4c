// ListenerCore: one listening socket of the real world behind its handle. A backend brings the
// accepting.
//
// Like StreamCore it outlives its handle until the backend has nothing in flight. What the machine
// lacks for another connection (descriptors, memory) makes it pause for kAcceptPauseNs.
// Threading: the loop's.

#ifndef NEXUS_IO_REAL_LISTENER_CORE_H_
#define NEXUS_IO_REAL_LISTENER_CORE_H_

#include <memory>
#include <string>

#include "io/real/loop.h"
#include "io/stream.h"

namespace nexus::io {

class ListenerCore : RunNode {
 public:
  // Takes over the listening socket. Destroys itself after Close.
  ListenerCore(RealLoop* loop, int fd, AcceptHandler* handler);
  // Begins to accept, soon.
  void Kick();
  void Close();
  int fd() const { return fd_; }

 protected:
  virtual ~ListenerCore() = default;

  // Accepts, or arms the accepting if it is not. Called from the loop.
  virtual void Drive() = 0;
  virtual void CancelInFlight() = 0;
  virtual bool InFlight() const = 0;
  virtual std::unique_ptr<Stream> Adopt(int fd) = 0;

  // A connection, or the -errno of an attempt.
  void Accepted(int fd_or_error);
  // True while accepting should go on.
  bool WantsAccept() const { return !closed_ && !pause_.armed; }
  bool closed() const { return closed_; }
  RealLoop* loop() const { return loop_; }

 private:
  struct Pause : Timer {
    explicit Pause(ListenerCore* waiting) : Timer(&Over), core(waiting) {}
    static void Over(RunNode* node);
    ListenerCore* core;
  };
  static void RunAdvance(RunNode* node) { static_cast<ListenerCore*>(node)->Advance(); }
  void Advance();

  RealLoop* const loop_;
  const int fd_;
  AcceptHandler* const handler_;
  Pause pause_{this};
  bool kicked_ = false;
  bool closed_ = false;
};

// The handle.
class RealListener : public Listener {
 public:
  explicit RealListener(ListenerCore* core);
  ~RealListener() override { core_->Close(); }
  RealListener(const RealListener&) = delete;
  RealListener& operator=(const RealListener&) = delete;

  const std::string& address() const override { return address_; }
  uint16_t port() const override { return port_; }

 private:
  ListenerCore* const core_;
  const std::string address_;
  const uint16_t port_;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_REAL_LISTENER_CORE_H_
