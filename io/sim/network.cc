// Listening, connecting and dying on the simulated network. See network.h.

#include "io/sim/network.h"

#include <algorithm>
#include <cerrno>
#include <coroutine>
#include <utility>

#include "base/check.h"
#include "io/address.h"
#include "io/sim/endpoint.h"

namespace nexus::sim {
namespace {

constexpr uint16_t kFirstListeningPort = 40'000;
constexpr uint16_t kFirstClientPort = 50'000;
constexpr char kLoopback[] = "127.0.0.1";
// A step towards a connection that has to be taken again.
constexpr int kWait = 1;

}  // namespace

// ---- Who listens.

Network::Port::Port(Network* network, std::shared_ptr<Life> life, std::string address,
                    uint16_t number, int backlog, io::AcceptHandler* handler)
    : RunNode(&RunAccept),
      network_(network),
      life_(std::move(life)),
      address_(std::move(address)),
      number_(number),
      backlog_(static_cast<size_t>(std::max(backlog, 1))),
      handler_(handler) {}

void Network::Port::Add(Connection* connection) {
  waiting_.push_back(connection);
  ExpectAccept();
}

void Network::Port::ExpectAccept() {
  if (waiting_.empty() || std::exchange(scheduled_, true)) return;
  network_->scheduler_->At(network_->Later(), this, life_->owner);
}

void Network::Port::RunAccept(io::RunNode* node) {
  auto* port = static_cast<Port*>(node);
  port->scheduled_ = false;
  if (port->closed_) return port->network_->Remove(port);
  Connection* const connection = port->waiting_.front();
  port->waiting_.pop_front();
  port->ExpectAccept();
  // Last of all: the handler may destroy the listener.
  port->handler_->OnAccept(std::make_unique<StreamHandle>(
      &connection->server, connection->client_address, connection->server_address));
}

void Network::Port::Close() {
  closed_ = true;
  for (Connection* connection : std::exchange(waiting_, {})) connection->server.Close(true);
}

class Network::ListenerHandle : public io::Listener {
 public:
  ListenerHandle(Port* port, Network* network)
      : port_(port),
        network_(network),
        life_(port->shared_life()),
        address_(port->address()),
        number_(port->number()) {}
  ~ListenerHandle() override {
    if (!life_->alive) return;
    port_->Close();
    network_->Remove(port_);
  }
  const std::string& address() const override { return address_; }
  uint16_t port() const override { return number_; }

 private:
  Port* const port_;
  Network* const network_;
  const std::shared_ptr<Life> life_;
  const std::string address_;
  const uint16_t number_;
};

// ---- Connecting.

// Awaitable: connects, or gives up at the deadline. Lives in the awaiting frame.
class Network::Connecting : io::RunNode {
 public:
  Connecting(Network* on, std::shared_ptr<Life> by, const io::HostPort* to, int64_t deadline)
      : RunNode(&Run), network(on), life(std::move(by)), where(to), deadline_ns(deadline) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    Again();
  }
  int await_resume() const { return result_; }

  Network* const network;
  const std::shared_ptr<Life> life;
  const io::HostPort* const where;
  const int64_t deadline_ns;
  Connection* connection = nullptr;

 private:
  void Again() { network->scheduler_->At(network->Later(), this, life->owner); }
  static void Run(io::RunNode* node) {
    auto* self = static_cast<Connecting*>(node);
    self->result_ = self->network->TryConnect(self);
    if (self->result_ == kWait) return self->Again();
    self->waiter_.resume();
  }
  std::coroutine_handle<> waiter_;
  int result_ = 0;
};

int Network::TryConnect(Connecting* connecting) {
  Port* const port = FindPort(connecting->where->port);
  int result = 0;
  if (port == nullptr || faults_->Hits(Fault::kConnectRefused)) {
    result = -ECONNREFUSED;
  } else if (port->full()) {
    result = scheduler_->now() < connecting->deadline_ns ? kWait : -ETIMEDOUT;
  } else {
    connecting->connection = Connected(port, *connecting);
  }
  trace_->Event(TraceTag::kNetwork,
                {connecting->where->port, 3, static_cast<uint64_t>(int64_t{result})},
                "{} connect to {}: {}", scheduler_->now(), connecting->where->ToString(), result);
  return result;
}

Network::Connection* Network::Connected(Port* port, const Connecting& connecting) {
  connected_++;
  connections_.push_back(
      std::make_unique<Connection>(this, next_connection_++, connecting.life, port->shared_life()));
  Connection* const connection = connections_.back().get();
  io::HostPort client;
  client.host = kLoopback;
  client.port = next_client_port_;
  next_client_port_ =
      next_client_port_ == UINT16_MAX ? kFirstClientPort : static_cast<uint16_t>(client.port + 1);
  connection->client_address = client.ToString();
  connection->server_address = connecting.where->ToString();
  port->Add(connection);
  return connection;
}

io::Task<io::ConnectResult> Network::Connect(std::shared_ptr<Life> life, std::string address,
                                             int64_t timeout_ns) {
  NEXUS_CHECK(life->alive);
  StatusOr<io::HostPort> where = io::ParseHostPort(address);
  if (!where.ok()) co_return io::ConnectResult(-EINVAL, nullptr);
  if (where->host == "localhost") where->host = kLoopback;
  if (!io::IsNumericHost(where->host)) co_return io::ConnectResult(-ENXIO, nullptr);
  Connecting connecting(this, std::move(life), &*where, scheduler_->now() + timeout_ns);
  const int error = co_await connecting;
  if (error != 0) co_return io::ConnectResult(error, nullptr);
  Connection* const connection = connecting.connection;
  co_return io::ConnectResult(
      0, std::make_unique<StreamHandle>(&connection->client, connection->server_address,
                                        connection->client_address));
}

// ---- The network.

Network::Network(Scheduler* scheduler, ChoiceSource* choices, Trace* trace, const Options* options,
                 FaultPlan* faults)
    : scheduler_(scheduler),
      choices_(choices),
      trace_(trace),
      options_(options),
      faults_(faults),
      next_listening_port_(kFirstListeningPort),
      next_client_port_(kFirstClientPort) {}

Network::~Network() = default;

Network::Port* Network::FindPort(uint16_t port) const {
  for (const auto& each : ports_) {
    if (each->number() == port && !each->closed() && each->life().alive) return each.get();
  }
  return nullptr;
}

uint16_t Network::FreePort() {
  while (FindPort(next_listening_port_) != nullptr) next_listening_port_++;
  return next_listening_port_++;
}

io::ListenResult Network::Listen(std::shared_ptr<Life> life, const std::string& address,
                                 int backlog, io::AcceptHandler* handler) {
  NEXUS_CHECK(life->alive);
  StatusOr<io::HostPort> where = io::ParseHostPort(address);
  if (!where.ok()) return io::ListenResult(-EINVAL, nullptr);
  if (where->host == "localhost") where->host = kLoopback;
  if (!io::IsNumericHost(where->host)) return io::ListenResult(-EINVAL, nullptr);
  if (where->port == 0) where->port = FreePort();
  if (FindPort(where->port) != nullptr) return io::ListenResult(-EADDRINUSE, nullptr);
  ports_.push_back(std::make_unique<Port>(this, std::move(life), where->ToString(), where->port,
                                          backlog, handler));
  return io::ListenResult(0, std::make_unique<ListenerHandle>(ports_.back().get(), this));
}

void Network::Remove(Port* port) {
  if (!port->gone()) return;
  std::erase_if(ports_, [&](const auto& each) { return each.get() == port; });
}

void Network::Sweep() {
  std::erase_if(connections_,
                [](const auto& each) { return each->client.gone() && each->server.gone(); });
}

size_t Network::connections() const {
  return static_cast<size_t>(
      std::count_if(connections_.begin(), connections_.end(),
                    [](const auto& each) { return each->client.open() || each->server.open(); }));
}

void Network::Died(const Life& life, CrashKind kind) {
  NEXUS_CHECK(!life.alive);
  std::erase_if(ports_, [&](const auto& port) { return &port->life() == &life; });
  for (const auto& each : connections_) {
    Endpoint* left = nullptr;
    if (&each->client.life() == &life) left = &each->server;
    if (&each->server.life() == &life) left = &each->client;
    if (left == nullptr || !left->open()) continue;
    // A machine without power tells nobody; one that has rebooted answers those who ask.
    const bool silent = kind == CrashKind::kPowerCut && choices_->Choose(kNetworkStream, 2) == 1;
    if (silent) {
      left->Silence();
    } else {
      left->Reset();
    }
  }
  Sweep();
}

void Network::ResetAll() {
  for (const auto& each : connections_) {
    each->client.Reset();
    each->server.Reset();
  }
}

void Network::SilenceAll() {
  for (const auto& each : connections_) {
    each->client.Silence();
    each->server.Silence();
  }
}

}  // namespace nexus::sim
