// Closure under the order rule, and the spans of the output. See job_builder.h.

#include "compaction/job_builder.h"

#include <algorithm>
#include <limits>

namespace nexus::compaction {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

// Appends a span; time between it and the one before goes to the one of level 0, whose windows
// need not be whole.
void Append(std::vector<OutputSpan>* spans, OutputSpan span) {
  if (!spans->empty()) {
    OutputSpan& before = spans->back();
    if (before.level == 0) {
      before.bounds.last = span.bounds.first - 1;
    } else if (span.level == 0) {
      span.bounds.first = before.bounds.last + 1;
    }
    if (before.level == span.level && before.width_ns == span.width_ns) {
      before.bounds.last = span.bounds.last;
      return;
    }
  }
  spans->push_back(span);
}

}  // namespace

JobBuilder::JobBuilder(const Survey& survey)
    : survey_(survey), runs_(survey.runs()), cells_(survey.cells()) {}

int64_t JobBuilder::PieceWidth(const Goal& goal, const Cell& cell) const {
  const WindowSettings& windows = survey_.options().windows;
  // Late samples of today would make a piece for each two hours; one for the day will do, since
  // the day's windows are merged together when it ends.
  if (!goal.by_cell && cell.target < 2 && windows.levels() >= 2) return windows.width_ns(2);
  return cell.width_ns;
}

JobBuilder::Plan JobBuilder::EmptyPlan(const Goal& goal) const {
  Plan plan;
  plan.member.resize(runs_.size());
  plan.region_of.reserve(cells_.size());
  int64_t window = 0;     // the last of the piece width of the cell before
  int64_t width_ns = -1;  // of that cell's pieces
  for (const Cell& cell : cells_) {
    const bool in_goal = InGoal(goal, cell);
    const int64_t width_before = width_ns;
    width_ns = PieceWidth(goal, cell);
    bool joined = false;
    if (!plan.regions.empty() && plan.regions.back().in_goal == in_goal) {
      joined = in_goal ? goal.one_window
                       : width_ns != cell.width_ns && width_ns == width_before &&
                             WindowIndex(cell.range.first, width_ns) == window;
    }
    if (!joined) {
      plan.regions.emplace_back();
      plan.regions.back().in_goal = in_goal;
    }
    window = WindowIndex(cell.range.last, width_ns);
    plan.region_of.push_back(static_cast<uint32_t>(plan.regions.size() - 1));
  }
  return plan;
}

void JobBuilder::Add(uint32_t r, Plan* plan) const {
  const Run& run = runs_[r];
  auto join = [](OrderRange a, OrderRange b) {
    return OrderRange{std::min(a.low, b.low), std::max(a.high, b.high)};
  };
  const bool first = plan->runs.empty();
  plan->runs.push_back(r);
  plan->member[r] = 1;
  plan->range = first ? run.range : Hull(plan->range, run.range);
  plan->order = first ? run.order : join(plan->order, run.order);
  plan->first_cell = first ? run.first_cell : std::min(plan->first_cell, run.first_cell);
  plan->last_cell = first ? run.last_cell : std::max(plan->last_cell, run.last_cell);
  for (size_t c = run.first_cell; c <= run.last_cell; c++) {
    Plan::Region& region = plan->regions[plan->region_of[c]];
    const TimeRange range = Intersection(run.range, cells_[c].range);
    region.range = region.used ? Hull(region.range, range) : range;
    region.order = region.used ? join(region.order, run.order) : run.order;
    region.used = true;
  }
}

std::optional<uint32_t> JobBuilder::Meets(const Plan& plan, const Run& run) const {
  if (!plan.range.Overlaps(run.range) || !plan.order.Intersects(run.order)) return std::nullopt;
  for (uint32_t i = plan.region_of[run.first_cell]; i <= plan.region_of[run.last_cell]; i++) {
    const Plan::Region& region = plan.regions[i];
    if (region.used && region.range.Overlaps(run.range) && region.order.Intersects(run.order)) {
      return i;
    }
  }
  return std::nullopt;
}

bool JobBuilder::MeetsMemtable(const Plan& plan) const {
  for (const MapMemtable& memtable : survey_.map().memtables) {
    if (!plan.range.Overlaps(memtable.range) || !plan.order.Intersects(memtable.order)) continue;
    for (const Plan::Region& region : plan.regions) {
      if (region.used && region.range.Overlaps(memtable.range) &&
          region.order.Intersects(memtable.order)) {
        return true;
      }
    }
  }
  return false;
}

JobBuilder::Closing JobBuilder::Close(Plan* plan, Obstacle* obstacle) const {
  bool grown = true;
  while (grown) {
    grown = false;
    for (uint32_t r = 0; r < runs_.size(); r++) {
      if (plan->member[r]) continue;
      const std::optional<uint32_t> region = Meets(*plan, runs_[r]);
      if (!region.has_value()) continue;
      if (runs_[r].busy || (runs_[r].level == 0 && runs_[r].pinned)) return Closing::kImpossible;
      if (runs_[r].level > 0) {
        *obstacle = {r, *region};
        return Closing::kObstacle;
      }
      Add(r, plan);
      grown = true;
    }
  }
  return MeetsMemtable(*plan) ? Closing::kImpossible : Closing::kClosed;
}

bool JobBuilder::Trim(std::vector<uint32_t>* runs) const {
  std::sort(runs->begin(), runs->end());
  runs->erase(std::unique(runs->begin(), runs->end()), runs->end());
  bool stopped = false;
  bool busy = false;
  std::erase_if(*runs, [&](uint32_t r) {
    const Run& run = runs_[r];
    if (run.level > 0) {
      busy |= run.busy;
      return false;
    }
    stopped |= run.busy || run.pinned;
    return stopped;
  });
  return !busy && !runs->empty();
}

bool JobBuilder::Lowers(const Goal& goal, const Plan& plan) const {
  const uint64_t levels = survey_.options().windows.levels();
  uint64_t before = 0;
  for (uint32_t r : plan.runs) before += survey_.Weight(runs_[r]);
  uint64_t after = 0;
  size_t c = plan.first_cell;
  while (c <= plan.last_cell) {
    const uint32_t r = plan.region_of[c];
    const Plan::Region& region = plan.regions[r];
    uint64_t windows = 0;
    for (; c <= plan.last_cell && plan.region_of[c] == r; c++) {
      if (region.used && cells_[c].range.Overlaps(region.range)) windows += cells_[c].windows;
    }
    if (windows == 0) continue;
    if (region.in_goal) {
      after += (goal.one_window ? 1 : windows) * (levels + 1 - goal.level);
    } else {
      after += (levels + 2) * windows - 1;
    }
  }
  return after < before;
}

std::vector<OutputSpan> JobBuilder::Outputs(const Goal& goal, const Plan& plan) const {
  const WindowSettings& windows = survey_.options().windows;
  std::vector<OutputSpan> spans;
  bool goal_done = goal.level == 0;
  auto append_goal = [&] {
    goal_done = true;
    Append(&spans, {goal.range, goal.level, windows.width_ns(goal.level)});
  };
  for (size_t c = plan.first_cell; c <= plan.last_cell; c++) {
    const Cell& cell = cells_[c];
    if (!goal_done && cell.range.first >= goal.range.first) append_goal();
    if (InGoal(goal, cell)) continue;
    Append(&spans, {cell.range, 0, PieceWidth(goal, cell)});
  }
  if (!goal_done) append_goal();
  if (spans.front().level == 0) {
    spans.front().bounds.first = kMin;
  } else if (spans.front().bounds.first > kMin) {
    spans.insert(spans.begin(), OutputSpan{{kMin, spans.front().bounds.first - 1}, 0, 0});
  }
  if (spans.back().level == 0) {
    spans.back().bounds.last = kMax;
  } else if (spans.back().bounds.last < kMax) {
    spans.push_back({{spans.back().bounds.last + 1, kMax}, 0, 0});
  }
  return spans;
}

std::optional<Draft> JobBuilder::Finish(JobKind kind, const Goal& goal, Plan plan) const {
  if (!Lowers(goal, plan)) return std::nullopt;
  Draft draft;
  draft.kind = kind;
  draft.level = goal.level;
  draft.goal = goal.range;
  draft.range = plan.range;
  draft.outputs = Outputs(goal, plan);
  draft.runs = std::move(plan.runs);
  std::sort(draft.runs.begin(), draft.runs.end());
  for (uint32_t r : draft.runs) {
    draft.bytes += runs_[r].bytes;
    draft.layers += survey_.LayersOf(runs_[r]).size();
  }
  if (Excess(draft.runs) > 0) return std::nullopt;
  return draft;
}

std::optional<Draft> JobBuilder::Settle(CellSpan span, bool late) {
  Goal goal;
  goal.level = span.level;
  goal.range = {cells_[span.first].range.first, cells_[span.last].range.last};
  std::vector<uint32_t> runs;
  for (size_t c = span.first; c <= span.last; c++) {
    const Cell& cell = cells_[c];
    runs.insert(runs.end(), cell.settled.begin(), cell.settled.end());
    runs.insert(runs.end(), cell.flushed.begin(), cell.flushed.end());
    for (uint32_t r : cell.crossing) {
      if (late || runs_[r].body.Overlaps(goal.range)) runs.push_back(r);
    }
  }
  if (span.first < span.last) {
    std::vector<uint32_t> counted = runs;
    if (Trim(&counted) && Excess(counted) > 0) {
      span.last = span.first + (span.last - span.first) / 2;
      return Settle(span, late);
    }
  }
  return Reach(goal, std::move(runs));
}

std::optional<Draft> JobBuilder::SettleWindow(TimeRange window, uint32_t level) {
  Goal goal;
  goal.level = level;
  goal.range = window;
  goal.one_window = true;
  std::vector<uint32_t> runs;
  for (uint32_t r = 0; r < runs_.size(); r++) {
    const Run& run = runs_[r];
    if (!run.range.Overlaps(window)) continue;
    if (run.level == 0 ? run.body.Overlaps(window) : run.level <= level) runs.push_back(r);
  }
  return Reach(goal, std::move(runs));
}

std::optional<Draft> JobBuilder::Reach(const Goal& goal, std::vector<uint32_t> runs) {
  if (!Trim(&runs)) return std::nullopt;
  if (Excess(runs) > 0) return Thin(std::move(runs));
  Plan plan = EmptyPlan(goal);
  for (uint32_t r : runs) Add(r, &plan);
  Obstacle obstacle;
  const Closing closing = Close(&plan, &obstacle);
  if (closing == Closing::kImpossible) return std::nullopt;
  if (closing == Closing::kClosed) {
    if (Excess(plan.runs) > 0) return Thin(std::move(plan.runs));
    return Finish(JobKind::kMerge, goal, std::move(plan));
  }
  const Run& between = runs_[obstacle.run];
  const Plan::Region& region = plan.regions[obstacle.region];
  if (region.in_goal && between.level > goal.level) {
    return SettleWindow(
        WindowAt(between.range.first, survey_.options().windows.width_ns(between.level)),
        between.level);
  }
  // An input that reaches out to it is cut at the windows' ends, and will not be in the way again.
  std::sort(plan.runs.begin(), plan.runs.end());
  for (uint32_t r : plan.runs) {
    if (runs_[r].level > 0 || !runs_[r].range.Overlaps(region.range)) continue;
    if (std::optional<Draft> cut = Cut(r); cut.has_value()) return cut;
  }
  return std::nullopt;
}

std::optional<Draft> JobBuilder::Cut(uint32_t run) {
  if (runs_[run].busy) return std::nullopt;
  Goal goal;
  goal.by_cell = true;
  Plan plan = EmptyPlan(goal);
  Add(run, &plan);
  return Finish(JobKind::kCut, goal, std::move(plan));
}

std::optional<Draft> JobBuilder::Rewrite(uint32_t run) {
  const Run& rewritten = runs_[run];
  if (rewritten.busy) return std::nullopt;
  Draft draft;
  draft.kind = JobKind::kRewrite;
  draft.runs = {run};
  draft.range = rewritten.range;
  draft.bytes = rewritten.bytes;
  draft.layers = survey_.LayersOf(rewritten).size();
  if (Excess(draft.runs) > 0) return std::nullopt;
  draft.level = rewritten.level;
  draft.goal = rewritten.range;
  if (rewritten.level == 0) {
    draft.outputs.push_back({{kMin, kMax}, 0, 0});
    return draft;
  }
  int64_t width_ns = survey_.options().windows.width_ns(rewritten.level);
  TimeRange window = WindowAt(rewritten.range.first, width_ns);
  if (window.first > kMin) draft.outputs.push_back({{kMin, window.first - 1}, 0, 0});
  draft.outputs.push_back({window, rewritten.level, width_ns});
  if (window.last < kMax) draft.outputs.push_back({{window.last + 1, kMax}, 0, 0});
  return draft;
}

}  // namespace nexus::compaction
