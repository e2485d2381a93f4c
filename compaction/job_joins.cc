// Joining runs at level 0: which of many, and when a window has more than a job may read. See
// job_builder.h.

#include <algorithm>
#include <limits>
#include <utility>

#include "compaction/job_builder.h"

namespace nexus::compaction {
namespace {

// The group of consecutive runs whose joining costs the fewest bytes for each run that it takes
// away, and has at most `job_bytes_max` if it is more than two.
std::vector<uint32_t> CheapestGroup(const Survey& survey, const std::vector<uint32_t>& heap) {
  const std::vector<Run>& runs = survey.runs();
  std::vector<uint64_t> before{0};
  for (uint32_t r : heap) before.push_back(before.back() + runs[r].bytes);
  size_t best_first = 0;
  size_t best_size = 0;
  uint64_t best_bytes = 0;
  auto try_size = [&](size_t size) {
    for (size_t first = 0; first + size <= heap.size(); first++) {
      uint64_t bytes = before[first + size] - before[first];
      if (size > 2 && bytes > survey.options().job_bytes_max) continue;
      // bytes / (size - 1), compared without dividing; of equals the larger group.
      if (best_size == 0 || static_cast<__uint128_t>(bytes) * (best_size - 1) <=
                                static_cast<__uint128_t>(best_bytes) * (size - 1)) {
        best_first = first;
        best_size = size;
        best_bytes = bytes;
      }
    }
  };
  const size_t most = std::min(heap.size(), survey.options().job_runs_max);
  for (size_t size = 2; size <= most; size = size < 16 ? size + 1 : size * 2) try_size(size);
  if (most > 16) try_size(most);
  auto first = heap.begin() + static_cast<ptrdiff_t>(best_first);
  return {first, first + static_cast<ptrdiff_t>(best_size)};
}

}  // namespace

size_t JobBuilder::Excess(const std::vector<uint32_t>& runs) const {
  const PolicyOptions& options = survey_.options();
  size_t layers = 0;
  for (uint32_t r : runs) layers += survey_.LayersOf(runs_[r]).size();
  return std::max(runs.size() - std::min(runs.size(), options.job_runs_max),
                  layers - std::min(layers, options.job_layers_max));
}

std::vector<uint32_t> JobBuilder::CheapestOf(const std::vector<uint32_t>& runs,
                                             size_t count) const {
  uint64_t bytes = 0;
  uint64_t least = std::numeric_limits<uint64_t>::max();
  size_t best = 0;
  for (size_t i = 0; i < runs.size(); i++) {
    bytes += runs_[runs[i]].bytes;
    if (i + 1 < count) continue;
    if (bytes < least) {
      least = bytes;
      best = i + 1 - count;
    }
    bytes -= runs_[runs[i + 1 - count]].bytes;
  }
  const auto first = runs.begin() + static_cast<ptrdiff_t>(best);
  std::vector<uint32_t> cheapest(first, first + static_cast<ptrdiff_t>(count));
  while (cheapest.size() > 2 && Excess(cheapest) > 0) cheapest.pop_back();
  return cheapest;
}

std::optional<Draft> JobBuilder::Thin(std::vector<uint32_t> runs) {
  const PolicyOptions& options = survey_.options();
  // A joined run weighs as much as levels + 1 runs of the highest level (JobsBound).
  const size_t least = options.windows.levels() + 2;
  const size_t wanted = std::clamp(Excess(runs) + 1, least, options.job_runs_max);
  std::vector<uint32_t> flushed;
  std::vector<uint32_t> settled;
  std::sort(runs.begin(), runs.end());
  for (uint32_t r : runs) (runs_[r].level == 0 ? flushed : settled).push_back(r);
  std::sort(settled.begin(), settled.end(),
            [this](uint32_t a, uint32_t b) { return runs_[a].range < runs_[b].range; });
  // The kind that has enough of them, level 0 if both have: it has been written less often.
  const bool flushed_first = flushed.size() >= std::min(wanted, settled.size());
  const std::vector<uint32_t>* const lists[] = {flushed_first ? &flushed : &settled,
                                                flushed_first ? &settled : &flushed};
  for (const std::vector<uint32_t>* list : lists) {
    if (list->size() < 2) continue;
    std::optional<Obstacle> obstacle;
    const std::vector<uint32_t> group = CheapestOf(*list, std::min(wanted, list->size()));
    for (bool by_cell : {false, true}) {
      if (std::optional<Draft> draft = JoinGroup(group, by_cell, &obstacle); draft.has_value()) {
        return draft;
      }
    }
  }
  return std::nullopt;
}

std::optional<Draft> JobBuilder::JoinGroup(const std::vector<uint32_t>& group, bool by_cell,
                                           std::optional<Obstacle>* obstacle) {
  std::vector<uint32_t> taken = group;
  if (!Trim(&taken)) return std::nullopt;
  while (taken.size() > 2 && Excess(taken) > 0) taken.pop_back();
  if (taken.size() < 2) return std::nullopt;
  Goal goal;
  goal.by_cell = by_cell;
  Plan plan = EmptyPlan(goal);
  for (uint32_t r : taken) Add(r, &plan);
  Obstacle between;
  const Closing closing = Close(&plan, &between);
  if (closing == Closing::kObstacle) *obstacle = between;
  if (closing != Closing::kClosed) return std::nullopt;
  return Finish(JobKind::kMerge, goal, std::move(plan));
}

std::optional<Draft> JobBuilder::Join(const std::vector<uint32_t>& heap) {
  std::vector<std::vector<uint32_t>> waiting{heap};
  while (!waiting.empty()) {
    std::vector<uint32_t> part = std::move(waiting.back());
    waiting.pop_back();
    if (part.size() < 2) continue;
    std::vector<uint32_t> group = CheapestGroup(survey_, part);
    std::optional<Obstacle> obstacle;
    std::optional<Draft> draft = JoinGroup(group, false, &obstacle);
    if (draft.has_value()) return draft;
    if (!obstacle.has_value()) continue;
    // Finer pieces do not reach over the run between; they are more files.
    draft = JoinGroup(group, true, &obstacle);
    if (draft.has_value()) return draft;
    // No group may hold runs from before and from after it.
    const OrderRange& between = runs_[obstacle->run].order;
    auto after = std::find_if(part.begin(), part.end(),
                              [&](uint32_t r) { return between.high < runs_[r].order.high; });
    if (after == part.begin() || after == part.end()) continue;
    waiting.emplace_back(part.begin(), after);
    waiting.emplace_back(after, part.end());
  }
  return std::nullopt;
}

}  // namespace nexus::compaction
