// Clients: writers on another machine that speak the protocol's real bytes to the server under test
// over the simulated network, and retry for ever, each batch exactly once.
//
// They live outside the world's crashes. Each writes series of its own. What a client was told goes
// to the oracle; a batch that is not answered is in flight, over any number of server crashes.
// Failure: violation() says what no server may answer. Threading: one thread.

#ifndef NEXUS_TESTS_SIM_CLIENTS_H_
#define NEXUS_TESTS_SIM_CLIENTS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/link.h"
#include "client/session.h"
#include "io/sim/world.h"
#include "io/task.h"
#include "tests/sim/oracle.h"

namespace nexus::sim_test {

inline constexpr char kServerAddress[] = "127.0.0.1:8080";

class Clients {
 public:
  Clients(sim::World* world, Oracle* oracle, int64_t count);
  ~Clients();
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  int64_t count() const { return static_cast<int64_t>(clients_.size()); }
  // Sends a batch at these places of the client's series.
  void Append(int64_t client, std::vector<Place> places);
  // Batches without an answer.
  uint64_t waiting() const { return waiting_; }
  uint64_t acknowledged() const { return acknowledged_; }
  // Acknowledgements that said that the server had the batch already.
  uint64_t duplicates() const { return duplicates_; }
  // Timestamps of samples that servers rejected for their age, since the last call.
  std::vector<int64_t> TakeRejected() { return std::exchange(rejected_, {}); }
  std::optional<std::string> violation() const;

 private:
  struct Client {
    std::unique_ptr<client::Session> session;
    std::unique_ptr<client::Link> link;
    std::unique_ptr<io::TaskScope> scope;
    uint32_t target = 0;
  };
  void OnOutcome(uint64_t number, size_t samples, const StatusOr<client::WriteOutcome>& outcome);

  sim::World* const world_;
  Oracle* const oracle_;
  std::vector<Client> clients_;
  uint64_t waiting_ = 0;
  uint64_t acknowledged_ = 0;
  uint64_t duplicates_ = 0;
  std::vector<int64_t> rejected_;
  std::optional<std::string> violation_;
};

}  // namespace nexus::sim_test

#endif  // NEXUS_TESTS_SIM_CLIENTS_H_
