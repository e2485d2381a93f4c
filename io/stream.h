// Network, Listener and Stream: the seam to byte streams (TCP).
//
// A stream moves bytes in order, whole or not at all, in pieces of any size; it may end early at
// any point. Raw results cross the seam: -ECONNRESET, -EPIPE, -EADDRINUSE, never a Status.
//
// Receiving is by callback (StreamHandler), so that an idle connection holds no buffer: the bytes
// of OnReceive lie in a buffer of the backend's that is reused when the call returns. A big body is
// received straight into its final place (ReceiveInto). Sending and ReceiveInto are operations
// (SendOp, ReceiveOp) that the caller owns and keeps pinned until `done` is called, as with FileOp:
// nothing is allocated for one, and none completes inside the call that submitted it.
//
// Ends: each direction ends by itself. The peer's orderly end is OnReceiveEnd(0), and sending may
// go on; ShutdownSend is ours. Close, Abort and the destructor end both at once and silence the
// handler; operations in flight then complete with -ECANCELED, later, from the loop, also after the
// stream is gone, so their memory must wait for that. All three may be called from any callback of
// the stream itself, the destructor too.
//
// Memory: a backend holds at most a fixed pool of receive buffers for all streams, plus what
// arrived between PauseReceive and the kernel's hearing of it.
//
// Threading: loop thread, all of it. Streams and listeners are destroyed before the environment
// stops (in the simulator: or after their incarnation has crashed; that does nothing then).

#ifndef NEXUS_IO_STREAM_H_
#define NEXUS_IO_STREAM_H_

#include <array>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "io/task.h"

namespace nexus::io {

// Sends the pieces one after the other, as if they were one. The bytes must stay as they are until
// `done`.
struct SendOp {
  using Done = void (*)(SendOp*);
  // Header, columns, trailer; what has more pieces takes several operations, which the backend
  // gathers into one system call anyway.
  static constexpr size_t kPiecesMax = 4;

  explicit SendOp(Done completed) : done(completed) {}
  SendOp(Bytes bytes, Done completed) : done(completed) { Add(bytes); }
  SendOp(const SendOp&) = delete;
  SendOp& operator=(const SendOp&) = delete;

  // REQUIRES: fewer than kPiecesMax pieces so far; not in flight.
  void Add(Bytes bytes) {
    NEXUS_CHECK(piece_count < kPiecesMax);
    pieces[piece_count++] = bytes;
  }
  // Empties the operation for its next use. REQUIRES: not in flight.
  void Clear() { piece_count = 0; }
  uint64_t size() const {
    uint64_t bytes = 0;
    for (size_t i = 0; i < piece_count; i++) bytes += pieces[i].size();
    return bytes;
  }

  std::array<Bytes, kPiecesMax> pieces;
  size_t piece_count = 0;
  Done done;
  // The whole size, when the system has taken all of it (the peer may have none of it yet); else
  // -EPIPE, -ECONNRESET, ..., or -ECANCELED: some of the bytes may have been sent.
  int64_t result = 0;
  SendOp* next = nullptr;  // the backend's
};

// Receives the stream's next bytes into the buffer.
struct ReceiveOp {
  using Done = void (*)(ReceiveOp*);
  ReceiveOp(MutableBytes into, Done completed) : buffer(into), done(completed) {}
  ReceiveOp(const ReceiveOp&) = delete;
  ReceiveOp& operator=(const ReceiveOp&) = delete;

  MutableBytes buffer;
  Done done;
  // The buffer's size; fewer bytes if the stream ended before (OnReceiveEnd follows); -ECANCELED
  // after Close or Abort.
  int64_t result = 0;
};

// What happens to a stream. Calls come from the loop, never inside a call to the stream.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // The next bytes, at least one. Valid during the call only; all of them count as taken.
  virtual void OnReceive(Bytes bytes) = 0;
  // No more bytes will come. 0: the peer ended its direction in order. Else a negative errno:
  // the connection is gone both ways. Comes at most once, and not while receiving is paused.
  virtual void OnReceiveEnd(int error) = 0;
};

class Stream {
 public:
  // As Abort() if the stream was not closed.
  virtual ~Stream() = default;

  // "127.0.0.1:50123": the other end's address, and ours.
  virtual const std::string& peer() const = 0;
  virtual const std::string& local() const = 0;

  // Begins to receive. Called once; `handler` must outlive the stream or its Close.
  virtual void Start(StreamHandler* handler) = 0;
  // After this no OnReceive and no OnReceiveEnd comes until ResumeReceive. What the peer sends
  // fills its send window and ours, and then it must wait. Pausing twice is pausing once. Both may
  // be called before Start. A ReceiveInto is not held back.
  virtual void PauseReceive() = 0;
  virtual void ResumeReceive() = 0;
  // The next bytes of the stream - those after the last that OnReceive was given, if called from
  // there - go into op->buffer and OnReceive is not called until it is full; bytes behind it go to
  // OnReceive again, unless `done` asks for them by another ReceiveInto. Worth it from 16 KiB on.
  // REQUIRES: started, the buffer is not empty, no other ReceiveOp in flight, OnReceiveEnd was not
  // called.
  virtual void ReceiveInto(ReceiveOp* op) = 0;
  // Sends behind everything sent before; operations complete in order. After a failure every
  // further one fails too. Sending nothing completes with 0. REQUIRES: ShutdownSend was not called.
  virtual void Send(SendOp* op) = 0;
  // Ends our direction once everything sent before has gone out.
  virtual void ShutdownSend() = 0;
  // Ends both directions. In order: what was sent is still delivered - unless a send is in flight,
  // then as Abort, so that the peer does not take a part for the whole. Bytes of the peer's that
  // were not received are answered by a reset, as TCP does: to answer before the peer has finished,
  // ShutdownSend, receive until the end, then close. After it only Close, Abort and the destructor
  // may be called.
  virtual void Close() = 0;
  // Ends both directions by a reset: the peer sees -ECONNRESET, maybe ahead of bytes sent before.
  virtual void Abort() = 0;
};

class AcceptHandler {
 public:
  virtual ~AcceptHandler() = default;
  // A new connection, to be started - or destroyed, which refuses it.
  virtual void OnAccept(std::unique_ptr<Stream> stream) = 0;
  // A connection could not be accepted: -EMFILE, -ENFILE, -ENOMEM, ... Accepting goes on, after a
  // pause of kAcceptPauseNs where the machine lacks something.
  virtual void OnAcceptError(int error) = 0;
};

// Long enough not to spin on what another process must give back, short for a person.
inline constexpr int64_t kAcceptPauseNs = 100'000'000;

class Listener {
 public:
  // Stops listening and frees the port at once or, in the real world, within some milliseconds; no
  // callback comes after. May be called from OnAccept.
  virtual ~Listener() = default;
  // Where it listens, with the port that was given for port 0.
  virtual const std::string& address() const = 0;
  virtual uint16_t port() const = 0;
};

struct ListenResult {
  ListenResult(int failed, std::unique_ptr<Listener> made)
      : error(failed), listener(std::move(made)) {}
  int error;  // 0, -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EINVAL (not a numeric address), ...
  std::unique_ptr<Listener> listener;
};

struct ConnectResult {
  ConnectResult(int failed, std::unique_ptr<Stream> made)
      : error(failed), stream(std::move(made)) {}
  // 0, -ECONNREFUSED, -ETIMEDOUT, -EHOSTUNREACH, -EINVAL (not host:port), -ENXIO (unknown host),
  // ...
  int error;
  std::unique_ptr<Stream> stream;
};

// Connections that the system holds ready for accepting. A client that meets a full queue tries
// again by itself; Linux's own limit is 4,096 (net.core.somaxconn).
inline constexpr int kListenBacklog = 1024;

// Every stream sends small pieces at once (TCP_NODELAY).
class Network {
 public:
  virtual ~Network() = default;
  // Listens at "host:port" (io/address.h): a numeric address or localhost, which is 127.0.0.1. A
  // port whose last connections are still dying is taken over (SO_REUSEADDR). Does not wait.
  // `handler` must outlive the listener.
  virtual ListenResult Listen(const std::string& address, int backlog, AcceptHandler* handler) = 0;
  // Connects to "host:port". A name is looked up on a worker (the resolver's time counts extra),
  // and its addresses are tried in turn. -ETIMEDOUT after `timeout_ns` without a connection.
  virtual Task<ConnectResult> Connect(std::string address, int64_t timeout_ns) = 0;
};

// Awaitable of one send: `int64_t n = co_await Send(stream, bytes);` The operation lives in the
// awaiting frame, so that frame must stay until it ends.
class SendAwaiter : SendOp {
 public:
  SendAwaiter(Stream* stream, Bytes bytes) : SendOp(bytes, &Complete), stream_(stream) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    stream_->Send(this);
  }
  int64_t await_resume() const { return result; }

 private:
  static void Complete(SendOp* op) { static_cast<SendAwaiter*>(op)->waiter_.resume(); }
  Stream* stream_;
  std::coroutine_handle<> waiter_;
};

// The same of one ReceiveInto.
class ReceiveAwaiter : ReceiveOp {
 public:
  ReceiveAwaiter(Stream* stream, MutableBytes into) : ReceiveOp(into, &Complete), stream_(stream) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    stream_->ReceiveInto(this);
  }
  int64_t await_resume() const { return result; }

 private:
  static void Complete(ReceiveOp* op) { static_cast<ReceiveAwaiter*>(op)->waiter_.resume(); }
  Stream* stream_;
  std::coroutine_handle<> waiter_;
};

inline SendAwaiter Send(Stream* stream, Bytes bytes) { return SendAwaiter(stream, bytes); }
inline ReceiveAwaiter ReceiveInto(Stream* stream, MutableBytes into) {
  return ReceiveAwaiter(stream, into);
}

}  // namespace nexus::io

#endif  // NEXUS_IO_STREAM_H_
