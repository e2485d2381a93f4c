// Backups of the database under test, and what is restored from them.
//
// A backup is judged by a copy of the oracle of main as it was when the backup began: everything
// that was acknowledged is in it, what was in flight may be, and nothing that came later is. Only
// the embedded writer's series are looked at; clients write on while a backup is made. The last one
// is restored at the end of the run, beside the database, and written to; that is backed up and
// restored again: what is written to a restored database wins over what was restored, each time.
// Retention ends with the backup: the restored databases keep everything.
// Threading: one thread.

#ifndef NEXUS_TESTS_SIM_BACKUPS_H_
#define NEXUS_TESTS_SIM_BACKUPS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "engine/core.h"
#include "io/sim/world.h"
#include "tests/sim/oracle.h"

namespace nexus::sim_test {

class Backups {
 public:
  explicit Backups(sim::World* world) : world_(world) {}

  // Makes a backup of the open database, in the folder of the last one. Its error may be one that
  // the world explains; then the last one is what there is.
  Status Make(engine::DatabaseCore* core, const Oracle& main);
  // Restores the last one. What is wrong, or nothing. REQUIRES: no faults; the world is alive, and
  // no crash is scheduled.
  std::optional<std::string> Judge(const Options& tuned);

  // That of the last backup; null if there is none.
  Oracle* oracle() { return oracle_.get(); }
  uint64_t made() const { return made_; }
  uint64_t restored() const { return restored_; }

 private:
  Status Restore(const std::string& source, const std::string& directory, const Options& tuned);
  Status Open(const std::string& directory, const Options& tuned);
  Status KeepEverything();
  Status Close();
  std::optional<std::string> CheckAll();
  Status WriteOver();
  std::optional<std::string> JudgeLife(const std::string& what);

  sim::World* const world_;
  std::unique_ptr<Oracle> oracle_;  // null: there is no backup
  std::unique_ptr<engine::DatabaseCore> core_;
  uint64_t made_ = 0;
  uint64_t restored_ = 0;
};

}  // namespace nexus::sim_test

#endif  // NEXUS_TESTS_SIM_BACKUPS_H_
