// Session: one connection's protocol as a state machine - bytes in, calls on the database, bytes
// out.
//
// A session knows no socket: it is driven by a Connection (connection.h) in the server, and by
// tests, fuzzers and the simulator directly. It may be destroyed at any time between two calls;
// what it has under way in the database ends by itself and is dropped. Bounds: a session keeps at
// most one incomplete message, and stops reading (Transport::Pause) while what it asked for is more
// than kSessionBytesMax. Threading: the loop, all of it.

#ifndef NEXUS_SERVER_SESSION_H_
#define NEXUS_SERVER_SESSION_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"

namespace nexus::server {

// Bytes of requests that one session may have in the database at once, unacknowledged; beyond it
// the peer has to wait. Four of the largest batches.
inline constexpr uint64_t kSessionBytesMax = 64ull << 20;
// Bytes of replies not yet taken by the peer at which a session stops making more.
inline constexpr uint64_t kOutputBytesMax = 1ull << 20;

// What a session sees of its connection. Owned by the connection, outlives the session.
class Transport {
 public:
  virtual ~Transport() = default;

  // Queues bytes for the peer. They go out at the end of the loop's present turn, many writes as
  // one send.
  virtual void Write(std::string_view bytes) = 0;
  // Written and not yet taken by the system.
  virtual uint64_t queued_bytes() const = 0;
  // No more OnBytes until Resume: what was handed to the present OnBytes still counts as taken.
  virtual void Pause() = 0;
  virtual void Resume() = 0;
  // The next bytes of the stream go into `buffer`, and OnReceived follows when it is full (or
  // OnEnd, if the stream ends before). For bodies of 16 KiB and more. REQUIRES: called from OnBytes
  // or OnReceived, which return at once.
  virtual void ReceiveInto(MutableBytes buffer) = 0;
  // Closes once everything written has gone out; OnBytes comes no more. `why` is for the log.
  virtual void CloseAfterWrites(std::string_view why) = 0;
  // "127.0.0.1:50123".
  virtual const std::string& peer() const = 0;
};

class Session {
 public:
  virtual ~Session() = default;
  // The next bytes of the peer, at least one. All of them count as taken.
  virtual void OnBytes(Bytes bytes) = 0;
  // The buffer of ReceiveInto is full.
  virtual void OnReceived() {}
  // The peer has ended its direction in order; replies can still be written.
  virtual void OnEnd() = 0;
  // What was queued has fallen below kOutputBytesMax / 2 after it was above kOutputBytesMax.
  virtual void OnWritable() {}
  // The server is stopping: take no new request, finish what is under way, then CloseAfterWrites.
  virtual void OnStopping() = 0;
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_SESSION_H_
