// Network: the simulated network of a world - who listens, what is connected, which bytes are on
// their way. It outlives the processes that use it.
//
// One flat network in which every numeric host is the same machine: a port is found whatever the
// address in front of it. Bytes of one direction arrive in order and in pieces of any size, each
// after a delay; at most Options::network_window_bytes are on their way, and the rest waits with
// the sender. Everything open is decided by a choice (kNetworkStream, and a stream for each fault)
// and is in the trace.
//
// Ends: a reset lets any part of what was on its way arrive first. A killed process's kernel resets
// its connections; a power cut resets them late or never: then the other end waits for ever, as it
// does after Fault::kConnectionSilent. Only its own time limits help it.
// Threading: one thread.

#ifndef NEXUS_IO_SIM_NETWORK_H_
#define NEXUS_IO_SIM_NETWORK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/sim/choice.h"
#include "io/sim/fault_plan.h"
#include "io/sim/life.h"
#include "io/sim/lmdb_shadow.h"
#include "io/sim/scheduler.h"
#include "io/sim/trace.h"
#include "io/stream.h"

namespace nexus::sim {

class Network {
 public:
  Network(Scheduler* scheduler, ChoiceSource* choices, Trace* trace, const Options* options,
          FaultPlan* faults);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // ---- For the processes: see io/stream.h.
  io::ListenResult Listen(std::shared_ptr<Life> life, const std::string& address, int backlog,
                          io::AcceptHandler* handler);
  io::Task<io::ConnectResult> Connect(std::shared_ptr<Life> life, std::string address,
                                      int64_t timeout_ns);
  // REQUIRES: the scheduler has dropped everything of this process.
  void Died(const Life& life, CrashKind kind);

  // ---- For tests.

  // Resets every connection there is, as a router that restarts.
  void ResetAll();
  // From now on nothing arrives on any connection there is, and nobody is told.
  void SilenceAll();
  // Connections of which at least one end is open.
  size_t connections() const;
  // How much of what could happen did: connections made, pieces arrived, ends by a reset.
  uint64_t connected() const { return connected_; }
  uint64_t arrivals() const { return arrivals_; }
  uint64_t resets() const { return resets_; }

 private:
  class Endpoint;
  struct Connection;
  class Port;
  class Connecting;
  class StreamHandle;
  class ListenerHandle;

  int64_t Later() { return scheduler_->now() + scheduler_->Delay(options_->network); }
  Port* FindPort(uint16_t port) const;
  uint16_t FreePort();
  // Takes one step towards a connection: 1 if it has to wait, else 0 or -errno.
  int TryConnect(Connecting* connecting);
  Connection* Connected(Port* port, const Connecting& connecting);
  void Remove(Port* port);
  // Forgets connections that nobody can touch any more.
  void Sweep();

  Scheduler* const scheduler_;
  ChoiceSource* const choices_;
  Trace* const trace_;
  const Options* const options_;
  FaultPlan* const faults_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::vector<std::unique_ptr<Connection>> connections_;
  uint64_t next_connection_ = 1;
  uint16_t next_listening_port_;
  uint16_t next_client_port_;
  uint64_t connected_ = 0;
  uint64_t arrivals_ = 0;
  uint64_t resets_ = 0;
};

// The network as a process sees it.
class MountedNetwork : public io::Network {
 public:
  MountedNetwork(sim::Network* network, std::shared_ptr<Life> life)
      : network_(network), life_(std::move(life)) {}

  io::ListenResult Listen(const std::string& address, int backlog,
                          io::AcceptHandler* handler) override {
    return network_->Listen(life_, address, backlog, handler);
  }
  io::Task<io::ConnectResult> Connect(std::string address, int64_t timeout_ns) override {
    return network_->Connect(life_, std::move(address), timeout_ns);
  }

 private:
  sim::Network* const network_;
  const std::shared_ptr<Life> life_;
};

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_NETWORK_H_
