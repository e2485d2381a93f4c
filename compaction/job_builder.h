// JobBuilder: turns a wish - these windows to that level, these runs into one - into inputs and
// outputs that keep the order rule.
//
// The rule: every output gets the hull of its inputs' write orders, so no other layer or memtable
// that overlaps an output in time may lie within that hull, or one comparison would no longer
// decide who wins. Runs of level 0 that do are taken in as well, until none is left; where a run of
// a window lies between, the wish grows to that window, or the run that reaches out to it is cut
// first. Samples of inputs outside the windows aimed at stay at level 0, cut so that no piece
// reaches over the windows of its time. A wish that cannot be had now - a memtable lies between, a
// running job has an input - gives no job; one of too many runs gives a job that joins some of
// them. Threading: one thread.

#ifndef NEXUS_COMPACTION_JOB_BUILDER_H_
#define NEXUS_COMPACTION_JOB_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "compaction/policy.h"
#include "compaction/survey.h"

namespace nexus::compaction {

// A job before it is described for the engine.
struct Draft {
  JobKind kind = JobKind::kMerge;
  std::vector<uint32_t> runs;  // in write order
  TimeRange range;             // hull of the inputs
  uint64_t bytes = 0;
  uint64_t layers = 0;
  // The windows aimed at; level 0: none.
  uint32_t level = 0;
  TimeRange goal;
  std::vector<OutputSpan> outputs;
};

// Adjacent cells of one level.
struct CellSpan {
  size_t first = 0;
  size_t last = 0;
  uint32_t level = 0;
};

class JobBuilder {
 public:
  explicit JobBuilder(const Survey& survey);

  // All runs of the cells, or of the first ones, into one run a window, of `span.level`. Runs that
  // reach into the cells with late samples only are taken if `late`.
  std::optional<Draft> Settle(CellSpan span, bool late);
  // The cheapest group of consecutive runs of `heap` into one, cut where windows of their time end.
  // The runs are of level 0, in write order, and all overlap at an instant or share a cell.
  std::optional<Draft> Join(const std::vector<uint32_t>& heap);
  // One run of level 0 into a piece for each cell it reaches into.
  std::optional<Draft> Cut(uint32_t run);
  // One run again as it is.
  std::optional<Draft> Rewrite(uint32_t run);

 private:
  // Where outputs end: every cell belongs to the output window `region`, and regions are in order
  // of time. Runs are added one by one.
  struct Plan {
    struct Region {
      TimeRange range;  // of the inputs in it
      OrderRange order;
      bool in_goal = false;
      bool used = false;  // an input overlaps it
    };
    std::vector<uint32_t> region_of;  // by cell
    std::vector<Region> regions;
    std::vector<char> member;    // by run
    std::vector<uint32_t> runs;  // members
    // Hulls over all of them, and the cells they reach into.
    TimeRange range;
    OrderRange order;
    size_t first_cell = 0;
    size_t last_cell = 0;
  };
  struct Goal {
    TimeRange range{0, -1};
    uint32_t level = 0;
    bool one_window = false;  // its cells are windows of a lower level
    bool by_cell = false;     // pieces outside of it do not go over their cell
  };
  struct Obstacle {
    uint32_t run = 0;
    uint32_t region = 0;
  };
  enum class Closing { kClosed, kObstacle, kImpossible };

  bool InGoal(const Goal& goal, const Cell& cell) const {
    return goal.level > 0 && goal.range.Contains(cell.range);
  }
  // Width of the pieces of level 0 in a cell outside the goal.
  int64_t PieceWidth(const Goal& goal, const Cell& cell) const;
  Plan EmptyPlan(const Goal& goal) const;
  void Add(uint32_t r, Plan* plan) const;
  // The region in which the order of a run or memtable meets that of the inputs.
  std::optional<uint32_t> Meets(const Plan& plan, const Run& run) const;
  bool MeetsMemtable(const Plan& plan) const;
  // Adds what lies between the members in write order.
  Closing Close(Plan* plan, Obstacle* obstacle) const;
  // Takes away what cannot be an input now and what is later than that. False if nothing is left or
  // a run of a window is an input elsewhere.
  bool Trim(std::vector<uint32_t>* runs) const;
  // How many runs or layers there are more than a job may have.
  size_t Excess(const std::vector<uint32_t>& runs) const;
  // Joins some of them, at level 0, so that the rest of them fit into one job with the result.
  std::optional<Draft> Thin(std::vector<uint32_t> runs);
  // The `count` runs that follow each other in the list with the fewest bytes; of them as many as a
  // job may have.
  std::vector<uint32_t> CheapestOf(const std::vector<uint32_t>& runs, size_t count) const;
  std::optional<Draft> Finish(JobKind kind, const Goal& goal, Plan plan) const;
  std::vector<OutputSpan> Outputs(const Goal& goal, const Plan& plan) const;
  std::optional<Draft> SettleWindow(TimeRange window, uint32_t level);
  std::optional<Draft> Reach(const Goal& goal, std::vector<uint32_t> runs);
  // Sets `obstacle` if that is why there is no draft.
  std::optional<Draft> JoinGroup(const std::vector<uint32_t>& group, bool by_cell,
                                 std::optional<Obstacle>* obstacle);
  bool Lowers(const Goal& goal, const Plan& plan) const;

  const Survey& survey_;
  const std::vector<Run>& runs_;
  const std::vector<Cell>& cells_;
};

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_JOB_BUILDER_H_
