// The rules from their definition: windows one by one, pairs of layers. See pick_check.h.

#include "compaction/pick_check.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/time_text.h"

namespace nexus::compaction {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

std::string Shown(const OrderRange& order) {
  return fmt::format("[{}/{}, {}/{})", order.low.timeline, order.low.lsn.value, order.high.timeline,
                     order.high.lsn.value);
}

std::string Shown(const MapLayer& layer) {
  return fmt::format("layer {:x}-{:x} (level {}, order {}, {} to {})", layer.key.open_count,
                     layer.key.sequence, layer.level, Shown(layer.order),
                     FormatTime(layer.range.first), FormatTime(layer.range.last));
}

// Same level and same order: parts of one run, of different series.
bool SameRun(const MapLayer& a, const MapLayer& b) {
  return a.level == b.level && a.order == b.order;
}

Status CheckInputs(const LayerMap& map, const PolicyOptions& options, const Job& job) {
  if (job.inputs.empty()) return FailedPrecondition("job without inputs");
  if (job.inputs.size() > std::min<size_t>(options.job_layers_max, layer::kLayerInputsMax)) {
    return FailedPrecondition("job with {} inputs, more than {}", job.inputs.size(),
                              options.job_layers_max);
  }
  std::set<std::tuple<uint32_t, OrderRange, TimeRange>> runs;
  std::set<uint32_t> seen;
  for (size_t i = 0; i < job.inputs.size(); i++) {
    uint32_t input = job.inputs[i];
    if (input >= map.layers.size()) return FailedPrecondition("input {} is no layer", input);
    const MapLayer& layer = map.layers[input];
    if (!seen.insert(input).second) return FailedPrecondition("{} is input twice", Shown(layer));
    if (layer.job != 0) {
      return FailedPrecondition("{} is an input of running job {}", Shown(layer), layer.job);
    }
    if (i > 0 && layer.order.high < map.layers[job.inputs[i - 1]].order.high) {
      return FailedPrecondition("{} comes behind a later one", Shown(layer));
    }
    // Parts of a run of level 0 are told by their order alone: fewer than there are, at most.
    TimeRange window;
    if (layer.level > 0 && layer.level <= options.windows.levels()) {
      window = WindowAt(layer.range.first, options.windows.width_ns(layer.level));
    }
    runs.emplace(layer.level, layer.order, window);
  }
  if (runs.size() > options.job_runs_max) {
    return FailedPrecondition("job with inputs of {} runs, more than {}", runs.size(),
                              options.job_runs_max);
  }
  return OkStatus();
}

Status CheckSpans(const PolicyOptions& options, const Job& job) {
  if (job.outputs.empty() || job.outputs.front().bounds.first != kMin ||
      job.outputs.back().bounds.last != kMax) {
    return FailedPrecondition("outputs do not cover all of time");
  }
  for (size_t i = 0; i < job.outputs.size(); i++) {
    const OutputSpan& span = job.outputs[i];
    if (span.bounds.empty() || span.width_ns < 0) {
      return FailedPrecondition("output {} is empty", i);
    }
    if (i > 0 && job.outputs[i - 1].bounds.last + 1 != span.bounds.first) {
      return FailedPrecondition("outputs {} and {} are not adjacent", i - 1, i);
    }
    if (span.level == 0) continue;
    if (span.level > options.windows.levels() ||
        span.width_ns != options.windows.width_ns(span.level)) {
      return FailedPrecondition("output {} has not the windows of level {}", i, span.level);
    }
    if (WindowAt(span.bounds.first, span.width_ns).first != span.bounds.first ||
        WindowAt(span.bounds.last, span.width_ns).last != span.bounds.last) {
      return FailedPrecondition("output {} breaks a window of level {}", i, span.level);
    }
  }
  return OkStatus();
}

// A timestamp of every output window that inputs begin or end in, and one of the windows between
// two such: all windows in which the set of overlapping inputs differs.
std::set<int64_t> Places(const LayerMap& map, const Job& job) {
  std::set<int64_t> places;
  for (const OutputSpan& span : job.outputs) {
    std::set<int64_t> ends;
    for (const MapLayer& layer : map.layers) {
      TimeRange cut = Intersection(layer.range, span.bounds);
      if (cut.empty()) continue;
      ends.insert(cut.first);
      ends.insert(cut.last);
    }
    for (int64_t end : ends) {
      places.insert(end);
      if (span.width_ns == 0) continue;
      TimeRange window = WindowAt(end, span.width_ns);
      if (window.last < span.bounds.last) places.insert(window.last + 1);
    }
  }
  return places;
}

// By layer, whether it keeps the windows of its level. Parts of a run do so together or not at all.
std::vector<char> KeepsWindows(const LayerMap& map, const WindowSettings& windows) {
  std::set<std::pair<uint32_t, OrderRange>> across;
  for (const MapLayer& layer : map.layers) {
    if (layer.level == 0 || layer.level > windows.levels() ||
        !WithinOneWindow(layer.range, windows.width_ns(layer.level))) {
      across.emplace(layer.level, layer.order);
    }
  }
  std::vector<char> keeps;
  for (const MapLayer& layer : map.layers) {
    keeps.push_back(!across.contains({layer.level, layer.order}));
  }
  return keeps;
}

// One output window: its order, and that nothing else lies in it.
Status CheckOutput(const LayerMap& map, const std::vector<char>& is_input,
                   const std::vector<char>& keeps_windows, const Job& job,
                   const OutputWindow& output) {
  TimeRange range{kMax, kMin};
  for (uint32_t input : job.inputs) {
    const MapLayer& layer = map.layers[input];
    if (!layer.range.Overlaps(output.window)) continue;
    range = Hull(range, Intersection(layer.range, output.window));
  }
  for (uint32_t i = 0; i < map.layers.size(); i++) {
    if (is_input[i]) continue;
    const MapLayer& layer = map.layers[i];
    if (layer.range.Overlaps(range) && layer.order.Intersects(output.order)) {
      return FailedPrecondition("{} is no input and lies within the order {} of the output from {}",
                                Shown(layer), Shown(output.order), FormatTime(range.first));
    }
    // What is written again in place may lie beside others that are to be joined with it.
    if (output.level > 0 && job.kind != JobKind::kRewrite && layer.level == output.level &&
        keeps_windows[i] && output.window.Contains(layer.range)) {
      return FailedPrecondition("{} is no input and lies in the window of an output", Shown(layer));
    }
  }
  for (const MapMemtable& memtable : map.memtables) {
    if (memtable.range.Overlaps(range) && memtable.order.Intersects(output.order)) {
      return FailedPrecondition("a memtable of order {} lies within that of the output, {}",
                                Shown(memtable.order), Shown(output.order));
    }
  }
  return OkStatus();
}

Status CheckRunning(const LayerMap& map, const Job& job) {
  TimeRange range{kMax, kMin};
  for (uint32_t input : job.inputs) range = Hull(range, map.layers[input].range);
  std::map<uint64_t, TimeRange> running;
  for (const MapLayer& layer : map.layers) {
    if (layer.job == 0) continue;
    auto [job_range, added] = running.try_emplace(layer.job, layer.range);
    if (!added) job_range->second = Hull(job_range->second, layer.range);
  }
  for (const auto& [number, job_range] : running) {
    if (job_range.Overlaps(range)) {
      return FailedPrecondition("overlaps running job {}, {} to {}", number,
                                FormatTime(job_range.first), FormatTime(job_range.last));
    }
  }
  return OkStatus();
}

// Parts of a run share series between none of them, so either all go or none.
Status CheckWhole(const LayerMap& map, const std::vector<char>& is_input, const Job& job) {
  for (uint32_t input : job.inputs) {
    const MapLayer& part = map.layers[input];
    for (uint32_t i = 0; i < map.layers.size(); i++) {
      const MapLayer& other = map.layers[i];
      if (!is_input[i] && SameRun(part, other) && part.range.Overlaps(other.range)) {
        return FailedPrecondition("{} is an input and {}, of the same run, is not", Shown(part),
                                  Shown(other));
      }
    }
  }
  return OkStatus();
}

}  // namespace

Status CheckMap(const LayerMap& map) {
  std::vector<const MapLayer*> sorted;
  for (const MapLayer& layer : map.layers) {
    if (layer.range.empty()) return FailedPrecondition("{} is empty", Shown(layer));
    if (layer.order.high < layer.order.low) {
      return FailedPrecondition("{} ends before it begins in write order", Shown(layer));
    }
    sorted.push_back(&layer);
  }
  std::sort(sorted.begin(), sorted.end(), [](const MapLayer* a, const MapLayer* b) {
    return std::tie(a->range, a->key) < std::tie(b->range, b->key);
  });
  for (size_t i = 0; i < sorted.size(); i++) {
    const MapLayer& a = *sorted[i];
    for (size_t j = i + 1; j < sorted.size() && sorted[j]->range.first <= a.range.last; j++) {
      const MapLayer& b = *sorted[j];
      if (a.order.Intersects(b.order) && !SameRun(a, b)) {
        return FailedPrecondition("{} and {} overlap in time and in write order", Shown(a),
                                  Shown(b));
      }
    }
    for (const MapMemtable& memtable : map.memtables) {
      if (memtable.range.Overlaps(a.range) && memtable.order.Intersects(a.order)) {
        return FailedPrecondition("{} and a memtable of order {} overlap in time and write order",
                                  Shown(a), Shown(memtable.order));
      }
    }
  }
  return OkStatus();
}

Status CheckPick(const LayerMap& map, const PolicyOptions& options, const Job& job) {
  NEXUS_RETURN_IF_ERROR(CheckInputs(map, options, job));
  NEXUS_RETURN_IF_ERROR(CheckSpans(options, job));
  std::vector<char> is_input(map.layers.size());
  for (uint32_t input : job.inputs) is_input[input] = 1;
  NEXUS_RETURN_IF_ERROR(CheckWhole(map, is_input, job));
  NEXUS_RETURN_IF_ERROR(CheckRunning(map, job));
  const std::vector<char> keeps_windows = KeepsWindows(map, options.windows);
  for (int64_t ts : Places(map, job)) {
    bool any = false;
    // The same windows as a merge finds.
    auto span = std::find_if(job.outputs.begin(), job.outputs.end(),
                             [&](const OutputSpan& s) { return s.bounds.Contains(ts); });
    TimeRange window = span->bounds;
    if (span->width_ns > 0) {
      window = Intersection(window, WindowAt(ts, span->width_ns));
    }
    for (uint32_t input : job.inputs) any |= map.layers[input].range.Overlaps(window);
    if (!any) continue;
    OutputWindow output = OutputWindowAt(map, job, ts);
    if (output.window != window) {
      return FailedPrecondition("the output window at {} is not that of its span", FormatTime(ts));
    }
    NEXUS_RETURN_IF_ERROR(CheckOutput(map, is_input, keeps_windows, job, output));
  }
  return OkStatus();
}

}  // namespace nexus::compaction
