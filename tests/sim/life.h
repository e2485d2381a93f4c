// Life: one incarnation of the database under test, with its server, from opening to its end.
//
// Failure: Open gives what DatabaseCore::Open gave. After the world has crashed only the destructor
// may be called. Threading: one thread.

#ifndef NEXUS_TESTS_SIM_LIFE_H_
#define NEXUS_TESTS_SIM_LIFE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/status.h"
#include "engine/core.h"
#include "io/sim/world.h"
#include "io/task.h"
#include "server/server.h"
#include "server/service.h"

namespace nexus::sim_test {

class Life {
 public:
  // REQUIRES: the world has booted.
  explicit Life(sim::World* world) : world_(world) {}
  // REQUIRES: the world has crashed, or nothing was opened.
  ~Life();
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  // nullopt if the world crashed on the way. With `serve` a server listens at kServerAddress. With
  // `check_catalog` the layers that it lists must be there before the log is replayed.
  std::optional<Status> Open(const Options& options, bool serve, bool check_catalog);
  // Gives the series that have none their ids; nullopt if the world crashed.
  std::optional<Status> Intern(const std::vector<uint32_t>& series);
  // REQUIRES: interned.
  SeriesId IdOf(uint32_t series) const { return ids_.at(series); }
  // Some of them are no ids any more: asks for all anew.
  void ForgetIds() { ids_.clear(); }
  void FlushInBackground();
  void SyncInBackground();
  void CompactInBackground();
  // Ends the server and the database in order, then the process. REQUIRES: no crash is scheduled.
  Status Close();

  engine::DatabaseCore* core() { return core_.get(); }
  // Batches that this life put into the database; also after the crash or Close().
  uint64_t appended_batches() const;
  // Jobs of the compactor in this life, likewise.
  uint64_t compactions() const;
  // Memtables that this life carried, likewise.
  uint64_t carries() const;
  // Series that it forgot for want of samples, likewise.
  uint64_t forgotten_series() const;
  // The log has failed and the database must be opened again.
  bool log_failed() const;

 private:
  void Serve();

  sim::World* const world_;
  std::unique_ptr<engine::DatabaseCore> core_;
  std::unique_ptr<server::Service> service_;
  std::unique_ptr<server::Server> server_;
  std::unique_ptr<io::TaskScope> background_;
  std::map<uint32_t, SeriesId> ids_;
  uint64_t appended_before_close_ = 0;
  uint64_t compactions_before_close_ = 0;
  uint64_t carries_before_close_ = 0;
  uint64_t forgotten_before_close_ = 0;
};

}  // namespace nexus::sim_test

#endif  // NEXUS_TESTS_SIM_LIFE_H_
