// LmdbShadow: gives an LMDB data file, which lives in a real folder beside the seam, the fate that
// crashes have in the simulated world.
//
// It keeps in memory what data.mdb looked like at the last synced commit and at each commit since.
// A process kill keeps the latest commit; a power cut takes the file back to the last synced one
// or, by a choice, to any later commit, whole (TESTING section 2): under MDB_NOMETASYNC the pages
// of a commit are synced before the page that names them is written, so an unsynced commit is there
// or not, never in part. The next incarnation gets the surviving image in a folder of its own.
//
// Images share their equal 4 KiB pages, so a commit costs one read of the file and memory for what
// changed. Failure: reading or writing the real folder fails the program (it is /dev/shm, and the
// run is worth nothing without it). Threading: one thread.

#ifndef NEXUS_IO_SIM_LMDB_SHADOW_H_
#define NEXUS_IO_SIM_LMDB_SHADOW_H_

#include <cstdint>
#include <string>
#include <vector>

#include "io/sim/choice.h"
#include "io/sim/inode.h"

namespace nexus::sim {

enum class CrashKind : uint8_t { kProcessKill, kPowerCut };

class LmdbShadow {
 public:
  explicit LmdbShadow(ChoiceSource* choices) : choices_(choices) {}

  // A transaction has committed into `folder`/data.mdb.
  void OnCommit(const std::string& folder);
  // mdb_env_sync has returned OK: everything committed so far survives.
  void OnSynced(const std::string& folder);
  void Crash(CrashKind kind);
  // Writes the surviving data.mdb into the folder. False, and nothing written, if no commit
  // survived: the folder stays as it was after creation, empty.
  bool Restore(const std::string& folder) const;
  // Commits that a power cut could take back.
  size_t unsynced_commits() const { return images_.empty() ? 0 : images_.size() - 1; }

 private:
  using Image = std::vector<BlockRef>;  // a file's pages

  Image ReadImage(const std::string& folder) const;

  ChoiceSource* const choices_;
  // The last synced image - an empty one if nothing was synced - and those of the commits since.
  std::vector<Image> images_{Image()};
};

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_LMDB_SHADOW_H_
