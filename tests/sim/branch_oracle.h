// BranchOracle: which branches and snapshots there must be, and what each must answer.
//
// A branch begins as a copy of what its parent's oracle says when it is about to be made; from then
// on the two are judged apart. Whether a branch whose creation or deletion was in doubt is there,
// the next opening shows, and that holds for ever. `main` is always there.
// Threading: one thread.

#ifndef NEXUS_TESTS_SIM_BRANCH_ORACLE_H_
#define NEXUS_TESTS_SIM_BRANCH_ORACLE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/nexus.h"
#include "tests/sim/oracle.h"

namespace nexus::sim_test {

class BranchOracle {
 public:
  explicit BranchOracle(uint64_t seed);

  Oracle* main() const { return branches_.at("main").oracle.get(); }
  // Null if there is none of this name, for sure. It outlives the branch.
  std::shared_ptr<Oracle> Find(const std::string& name) const;
  bool IsSnapshot(const std::string& name) const;
  // Every one that may be there and is no snapshot.
  std::vector<Oracle*> Writable() const;
  // Those that are there for sure, main among them.
  std::vector<std::string> Names() const;

  // ---- What happens to them; a call without an answer leaves it in doubt.

  // REQUIRES: `from` is there; the name is free.
  void Creating(const std::string& name, BranchKind kind, const std::string& from);
  void Deleting(const std::string& name);
  // The answers: `done` of a definite yes or no.
  void Created(const std::string& name, bool done);
  void Deleted(const std::string& name, bool done);
  // A life of the database is over.
  void EndLife();

  // What the database lists, checked; an error or nothing. After an opening, with `decides`, it
  // tells what was in doubt.
  std::optional<std::string> Check(const std::vector<BranchInfo>& listed, bool decides);

 private:
  enum class There : uint8_t { kYes, kPerhapsCreated, kPerhapsDeleted };
  struct Branch {
    std::shared_ptr<Oracle> oracle;
    BranchKind kind = BranchKind::kBranch;
    There there = There::kYes;
  };

  const uint64_t seed_;
  uint64_t forks_ = 0;
  std::map<std::string, Branch> branches_;
};

}  // namespace nexus::sim_test

#endif  // NEXUS_TESTS_SIM_BRANCH_ORACLE_H_
