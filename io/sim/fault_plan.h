// FaultPlan: which operation on the simulated disk fails, and how.
//
// Two sources: rules written by a test (the next, the nth, all from the nth on), and the random
// classes of Fault. A rule wins. The decision falls when the operation is submitted, so that it
// depends on the order of submissions alone. Threading: one thread.

#ifndef NEXUS_IO_SIM_FAULT_PLAN_H_
#define NEXUS_IO_SIM_FAULT_PLAN_H_

#include <array>
#include <bitset>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/sim/choice.h"
#include "io/sim/options.h"
#include "io/sim/trace.h"

namespace nexus::sim {

// What is asked of the disk. A write with a linked sync is a write and then a sync.
enum class Op : uint8_t {
  kRead,
  kWrite,
  kSync,
  kOpen,
  kCreate,  // an open that may create
  kAllocate,
  kTruncate,
  kRename,
  kUnlink,
  kMakeDirectory,
  kRemoveDirectory,
  kSyncDirectory,
  kList,
  kLock,
  kFreeSpace,
  kLink,
};
inline constexpr size_t kOpCount = static_cast<size_t>(Op::kLink) + 1;

const char* OpName(Op op);

// Which operations a rule is for: of these kinds, on paths that contain `path_part`.
class OpFilter {
 public:
  // Every operation.
  OpFilter() { kinds_.set(); }
  OpFilter(std::initializer_list<Op> kinds, std::string path_part = "")
      : path_part_(std::move(path_part)) {
    for (Op kind : kinds) kinds_.set(static_cast<size_t>(kind));
  }
  bool Matches(Op kind, std::string_view path) const {
    return kinds_.test(static_cast<size_t>(kind)) &&
           path.find(path_part_) != std::string_view::npos;
  }

 private:
  std::bitset<kOpCount> kinds_;
  std::string path_part_;
};

struct Verdict {
  int error = 0;                      // 0 or a negative errno: the operation's result
  Fault fault{};                      // with an error or damage of a random class
  bool random = false;                // a random class hit; `fault` says which
  std::optional<uint64_t> bytes_max;  // the most that is read or written
  uint64_t damaged_byte = 0;          // of the range read: where damage at rest hits
  uint64_t damage = 0;                // which damage it is: a bit, a distance; below 8
};

class FaultPlan {
 public:
  FaultPlan(ChoiceSource* choices, Trace* trace, const Options* options)
      : choices_(choices), trace_(trace), options_(options) {}

  // The nth operation (from 1) that matches, counted from now, fails with `error` (a negative
  // errno), and with `from_then_on` every one after it.
  void Fail(OpFilter filter, uint64_t nth, int error, bool from_then_on);
  // The nth read or write that matches, likewise, moves at most `bytes`.
  void Shorten(OpFilter filter, uint64_t nth, uint64_t bytes, bool from_then_on);
  void ClearRules() { rules_.clear(); }
  // How often a rule made an operation fail or fall short.
  uint64_t rules_hit() const { return rules_hit_; }
  uint64_t hits(Fault fault) const { return hits_[static_cast<size_t>(fault)]; }

  // Decides about an operation; `bytes` of a read or write. `direct` files fall short by sectors.
  Verdict Decide(Op op, std::string_view path, uint64_t bytes, bool direct);
  // True if the class hits now; counts it.
  bool Hits(Fault fault);

 private:
  struct Rule {
    OpFilter filter;
    uint64_t skip;
    bool from_then_on;
    int error;
    std::optional<uint64_t> bytes_max;
  };

  bool DecideByRule(Op op, std::string_view path, Verdict* verdict);
  bool Draw(Fault fault);
  void Count(Fault fault);
  void Random(Fault fault, int error, Verdict* verdict);
  void Take(Fault fault, int error, Verdict* verdict);
  void Damaged(Fault fault, uint64_t bytes, Verdict* verdict);
  void DecideRead(uint64_t bytes, bool direct, Verdict* verdict);
  void DecideWrite(uint64_t bytes, bool direct, Verdict* verdict);
  void Shortened(Fault fault, uint64_t bytes, bool direct, Verdict* verdict);

  ChoiceSource* const choices_;
  Trace* const trace_;
  const Options* const options_;
  std::vector<Rule> rules_;
  uint64_t rules_hit_ = 0;
  std::array<uint64_t, kFaultCount> hits_{};
};

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_FAULT_PLAN_H_
