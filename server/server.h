// Server: one port, its connections, and their graceful end.
//
// The engine's loop is the reactor: sockets, sessions and the log's ring are on one thread, so
// nothing crosses a thread between receive and acknowledgement.
//
// Bounds: connections_max connections - some more are told so, in what they speak, and closed, the
// rest unheard; a peer that does not say what it speaks within 30 s, or is silent for
// idle_timeout_ns, is closed. Threading: loop.

#ifndef NEXUS_SERVER_SERVER_H_
#define NEXUS_SERVER_SERVER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "io/stream.h"
#include "server/connection.h"
#include "server/logger.h"
#include "server/service.h"

namespace nexus::server {

struct ServerOptions {
  std::string listen = "127.0.0.1:8080";
  uint32_t connections_max = 10'000;
  int64_t idle_timeout_ns = 3'600'000'000'000;
};

// Whether Listen failed because another program has the port.
bool IsPortInUse(const Status& status);

class Server : private io::AcceptHandler {
 public:
  // What happens, for the log.
  using Log = std::function<void(LogLevel level, std::string_view message)>;

  // All outlive it.
  Server(Service* service, ServerOptions options, Log log);
  ~Server() override;

  // Errors: FailedPrecondition - the port is in use; InvalidArgument - no address;
  // PermissionDenied.
  Status Listen();
  // "127.0.0.1:8080": where it listens, with the port that was given for port 0.
  const std::string& address() const { return listener_->address(); }

  // Stops accepting, lets what is under way finish, closes. Connections that are not done within
  // `patience_ns` are ended.
  io::Task<void> Stop(int64_t patience_ns);

  // Takes effect at once.
  void set_connections_max(uint32_t connections) { options_.connections_max = connections; }
  void set_idle_timeout_ns(int64_t idle) { options_.idle_timeout_ns = idle; }

 private:
  struct SweepTimer : io::Timer {
    SweepTimer(Server* s, Function f) : Timer(f), server(s) {}
    Server* server;
  };

  void OnAccept(std::unique_ptr<io::Stream> stream) override;
  void OnAcceptError(int error) override;
  // Says in the peer's protocol that there are too many connections.
  void TurnAway(Protocol protocol, Transport* transport);
  std::unique_ptr<Session> MakeSession(Protocol protocol, Transport* transport);
  void OnGone(uint64_t number, std::string_view why);
  void Sweep();
  void ArmSweep();

  Service* const service_;
  ServerOptions options_;
  const Log log_;
  const SessionFactory factory_;
  std::unique_ptr<io::Listener> listener_;
  // In the order they came, which is the order they are ended in.
  std::map<uint64_t, std::unique_ptr<Connection>> connections_;
  uint64_t next_connection_ = 1;
  SweepTimer sweep_;
  io::Event empty_;
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_SERVER_H_
