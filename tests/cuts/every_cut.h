// WalkEveryCut: takes a small protocol through every instant at which a crash can strike it and, at
// each, through every outcome that the disk contract allows (D4, D5, D6, D7 for a power cut; what
// becomes of operations in flight for a kill).
//
// A dry run finds the cuts: the steps after which an operation was submitted or ended, or the
// protocol's own progress changed; between two of them a crash means the same. Each cut is then run
// again from the beginning for each outcome. Where there are more outcomes than
// WalkLimits::walked (a file of n unsynced sectors alone has 2^n) the first ones are walked, and
// the census says at how many cuts. At every cut some outcomes are drawn at random besides: they
// reach beyond the bound, and they have garbage in the sectors that were not durable. Outcomes that
// leave the same bytes and the same promises are recovered once. After the recovery everything that
// may be lost is lost at one more power cut, so that whoever built on what was not durable is
// found.
//
// The order in which operations end (D10) is that of their submission in the first schedule and
// random, but the same in every run, in the others. So a walk is a function of the code, and the
// number of states it visits is checked against a committed figure. Threading: one thread.

#ifndef NEXUS_TESTS_CUTS_EVERY_CUT_H_
#define NEXUS_TESTS_CUTS_EVERY_CUT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "io/sim/choice.h"
#include "io/sim/world.h"

namespace nexus::cuts {

// The choices of one run.
class CrashChoices : public sim::ChoiceSource {
 public:
  // Schedule 0 is the benign one.
  explicit CrashChoices(uint64_t schedule);
  uint64_t Choose(sim::Stream stream, uint64_t n) override;
  bool Chance(sim::Stream stream, uint32_t per_million) override;
  // From now on a crash leaves what `outcome` says; until then it is benign.
  void Follow(sim::ChoiceSource* outcome, bool garbage);
  // From now on a crash takes all it may.
  void LoseEverything();

 private:
  std::optional<sim::SeededChoices> order_;
  sim::ChoiceSource* outcome_ = nullptr;
  bool garbage_ = false;
  bool lose_everything_ = false;
};

// One protocol in a world of its own, prepared and about to begin.
class Protocol {
 public:
  virtual ~Protocol() = default;
  virtual sim::World* world() = 0;
  // Runs it to its end or to the crash.
  virtual void Run() = 0;
  // Changes whenever a crash would break a promise that it would not have broken before, and when
  // something beside the seam has changed.
  virtual uint64_t Progress() = 0;
  // The world has crashed: forgets the incarnation, boots the next one. Returns a hash of what
  // survived beside the seam.
  virtual uint64_t Reboot() = 0;
  // Recovers and holds what is there to what was promised; crashes and does so again. Failures are
  // GoogleTest's.
  virtual void Recover() = 0;
};

// For the world of the protocol. REQUIRES: it is used as it is, with these choices.
sim::Options WorldOptions(std::function<void(std::string_view)> sink);
using MakeProtocol = std::function<std::unique_ptr<Protocol>(sim::ChoiceSource*, sim::Options)>;

struct WalkLimits {
  uint64_t schedules = 3;
  uint64_t walked = 400;       // outcomes of one cut that are walked in order
  uint64_t drawn = 20;         // outcomes of one cut that are drawn at random besides,
  uint64_t drawn_beyond = 20;  // and where there are more than were walked
};

struct Census {
  uint64_t cuts = 0;
  uint64_t cuts_bounded = 0;  // of them, with more outcomes than were walked
  uint64_t outcomes = 0;
  uint64_t states = 0;  // different ones; each was recovered
};

// Stops at the first state that fails, after naming it. Prints the census under `name`.
Census WalkEveryCut(std::string_view name, const MakeProtocol& make, sim::CrashKind kind,
                    WalkLimits limits);

}  // namespace nexus::cuts

#endif  // NEXUS_TESTS_CUTS_EVERY_CUT_H_
