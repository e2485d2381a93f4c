// Accepting, sweeping, stopping. See server.h.

#include "server/server.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "client/protocol/frame.h"
#include "client/protocol/write.h"
#include "server/binary_session.h"
#include "server/http_session.h"
#include "server/text_session.h"

namespace nexus::server {
namespace {

// Long for a person with a terminal, short for a peer that only holds a connection open.
constexpr int64_t kFirstBytesNs = 30'000'000'000;
constexpr std::string_view kPortInUse = "the port is in use";
// Connections above the bound that are told so, and not only closed.
constexpr uint64_t kTurnedAwayMax = 64;
constexpr int64_t kSweepPauseNs = 5'000'000'000;

Status ListenError(int error, const std::string& address) {
  switch (-error) {
    case EADDRINUSE:
      return FailedPrecondition(
          "{}: the port is in use by another program; stop it, or choose another port with "
          "--listen "
          "HOST:PORT",
          address);
    case EADDRNOTAVAIL:
      return InvalidArgument("{}: this machine does not have that address; choose one that it has",
                             address);
    case EINVAL:
      return InvalidArgument(
          "{}: not an address to listen on; give a numeric one with a port, like 127.0.0.1:8080",
          address);
    default:
      return ErrnoStatus(-error, "listen on", address);
  }
}

}  // namespace

bool IsPortInUse(const Status& status) {
  return absl::IsFailedPrecondition(status) &&
         FromAbsl(status.message()).find(kPortInUse) != std::string_view::npos;
}

Server::Server(Service* service, ServerOptions options, Log log)
    : service_(service),
      options_(std::move(options)),
      log_(std::move(log)),
      factory_([this](Protocol protocol, Transport* transport) {
        return MakeSession(protocol, transport);
      }),
      sweep_(this, [](io::RunNode* node) {
        auto* timer = static_cast<SweepTimer*>(static_cast<io::Timer*>(node));
        timer->server->Sweep();
      }) {}

Server::~Server() { service_->environment()->executor()->CancelTimer(&sweep_); }

Status Server::Listen() {
  io::ListenResult result =
      service_->environment()->network()->Listen(options_.listen, io::kListenBacklog, this);
  if (result.error != 0) return ListenError(result.error, options_.listen);
  listener_ = std::move(result.listener);
  ArmSweep();
  return OkStatus();
}

void Server::OnAccept(std::unique_ptr<io::Stream> stream) {
  if (connections_.size() >= uint64_t{options_.connections_max} + kTurnedAwayMax) {
    service_->metrics()->connections_refused++;
    log_(LogLevel::kWarning,
         fmt::format("{}: refused: {} connections are open, the most that are allowed "
                     "(connections_max)",
                     stream->peer(), connections_.size()));
    return;
  }
  const uint64_t number = next_connection_++;
  auto gone = [this, number](Connection*, std::string_view why) { OnGone(number, why); };
  auto connection = std::make_unique<Connection>(service_, std::move(stream), &factory_, gone);
  Connection* added = connection.get();
  connections_.emplace(number, std::move(connection));
  added->Start();
}

void Server::OnAcceptError(int error) {
  log_(LogLevel::kWarning, fmt::format("a connection could not be accepted: {}", strerror(-error)));
}

void Server::TurnAway(Protocol protocol, Transport* transport) {
  service_->metrics()->connections_refused++;
  const std::string why =
      fmt::format("too many connections: {} are allowed (connections_max); connect again later",
                  options_.connections_max);
  log_(LogLevel::kWarning, fmt::format("{}: {}", transport->peer(), why));
  if (protocol == Protocol::kBinary) {
    protocol::ErrorReply error = protocol::ToErrorReply(ResourceExhausted("{}", why));
    error.error_class = protocol::ErrorClass::kFatal;
    error.retry_after_ms = 1000;
    std::string body, frame;
    protocol::Encode(error, &body);
    protocol::FrameHeader header;
    header.opcode = protocol::Opcode::kError;
    protocol::AppendFrame(header, AsBytes(body), &frame);
    transport->Write(frame);
  } else if (protocol == Protocol::kHttp) {
    transport->Write(fmt::format(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n"
        "Retry-After: 1\r\nConnection: close\r\n\r\n{}\n",
        why.size() + 1, why));
  } else if (protocol != Protocol::kTls) {
    transport->Write(fmt::format("error {}\n", why));
  }
  transport->CloseAfterWrites(why);
}

std::unique_ptr<Session> Server::MakeSession(Protocol protocol, Transport* transport) {
  if (connections_.size() > options_.connections_max) {
    TurnAway(protocol, transport);
    return nullptr;
  }
  switch (protocol) {
    case Protocol::kBinary:
      return std::make_unique<BinarySession>(service_, transport);
    case Protocol::kHttp:
      return std::make_unique<HttpSession>(service_, transport);
    case Protocol::kTls:
      service_->metrics()->CountParseError("tls");
      transport->CloseAfterWrites("TLS is not spoken here");
      return nullptr;
    case Protocol::kJson:
      service_->metrics()->CountParseError("json");
      transport->Write(
          "error JSON over plain TCP is not taken by this release; send line protocol, or POST "
          "/write\n");
      transport->CloseAfterWrites("JSON is not spoken here");
      return nullptr;
    default:
      return std::make_unique<TextSession>(service_, transport);
  }
}

void Server::OnGone(uint64_t number, std::string_view why) {
  auto gone = connections_.find(number);
  log_(LogLevel::kDebug, fmt::format("{}: closed: {}", gone->second->peer(), why));
  connections_.erase(gone);
  if (connections_.empty()) empty_.Pulse();
}

void Server::ArmSweep() {
  io::Executor* executor = service_->environment()->executor();
  executor->StartTimer(&sweep_, executor->MonotonicNanos() + kSweepPauseNs);
}

void Server::Sweep() {
  const int64_t now = service_->environment()->MonotonicNanos();
  for (auto& [key, connection] : connections_) {
    const int64_t silent = now - connection->active_ns();
    if (auto since = connection->lingering_since_ns(); since.has_value()) {
      if (now - *since > kSweepPauseNs) connection->Abort("it did not end its side");
    } else if (connection->undecided() && silent > kFirstBytesNs) {
      connection->Abort("it did not say what it wants");
    } else if (silent > options_.idle_timeout_ns) {
      connection->Abort("it was silent too long");
    }
  }
  ArmSweep();
}

io::Task<void> Server::Stop(int64_t patience_ns) {
  io::Executor* executor = service_->environment()->executor();
  executor->CancelTimer(&sweep_);
  listener_.reset();
  service_->set_stopping();
  // A session that stops may end its connection, which leaves the map later.
  for (auto& [key, connection] : connections_) connection->Stop();
  const int64_t deadline = executor->MonotonicNanos() + patience_ns;
  constexpr int64_t kLookNs = 10'000'000;
  while (!connections_.empty() && executor->MonotonicNanos() < deadline) {
    co_await executor->Sleep(kLookNs);
  }
  for (auto& [key, connection] : connections_) connection->Abort("the server has stopped");
  while (!connections_.empty()) co_await empty_.Wait();
  co_await service_->Drain();
}

}  // namespace nexus::server
