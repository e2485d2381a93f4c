// LoadModel: a branch under load, for the measures of docs/compaction.md.
//
// A layer is the bytes it holds of each minute. Time runs by a script of arrivals; a memtable is
// flushed when it is full or old, and after each flush, and once a minute, the policy is asked and
// its jobs are done at once. A merge writes as many bytes as it reads, which real merges stay below
// (larger chunks compress better). Counted are bytes written and how many runs a query would read.

#ifndef NEXUS_TESTS_COMPACTION_LOAD_MODEL_H_
#define NEXUS_TESTS_COMPACTION_LOAD_MODEL_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/types.h"
#include "compaction/layer_map.h"
#include "compaction/pick_check.h"
#include "compaction/policy.h"

namespace nexus::compaction {

inline constexpr int64_t kMinute = 60 * kNanosPerSecond;
inline constexpr int64_t kHour = 60 * kMinute;
inline constexpr int64_t kDay = 24 * kHour;

// Bytes by minute since the epoch.
using MinuteBytes = std::map<int64_t, uint64_t>;

class LoadModel {
 public:
  explicit LoadModel(PolicyOptions options) : options_(std::move(options)) {}

  LayerMap map;
  PolicyOptions& options() { return options_; }

  // Bytes of a layer's samples arrive, of the minute of `ts`.
  void Arrive(int64_t ts, uint64_t bytes) {
    if (memtable_bytes_ == 0) memtable_since_ = map.now_ns;
    memtable_[WindowIndex(ts, kMinute)] += bytes;
    memtable_bytes_ += bytes;
  }

  // Flushes if the memtable holds `bytes_max` or is `age_max` old.
  void FlushIfDue(uint64_t bytes_max, int64_t age_max) {
    if (memtable_bytes_ == 0) return;
    if (memtable_bytes_ >= bytes_max || map.now_ns - memtable_since_ >= age_max) Flush();
  }

  void Flush() {
    if (memtable_bytes_ == 0) return;
    OrderRange order{{0, Lsn{lsn_}}, {0, Lsn{lsn_ + 1}}};
    lsn_++;
    Add(0, order, std::move(memtable_));
    memtable_.clear();
    flushed += memtable_bytes_;
    memtable_bytes_ = 0;
    flushes++;
  }

  // Lets time pass.
  void Pass(int64_t ns) {
    map.now_ns += ns;
    for (MapLayer& layer : map.layers) layer.age_ns += ns;
  }

  // Does jobs until there are none. Returns what a pick broke, or nothing.
  std::string Compact() {
    while (true) {
      std::vector<Job> jobs = PickJobs(map, options_, 1);
      if (jobs.empty()) break;
      Status status = CheckPick(map, options_, jobs[0]);
      if (!status.ok()) return std::string(status.message()) + " in " + jobs[0].reason;
      uint64_t before = JobsBound(map, options_);
      Publish(jobs[0]);
      if (JobsBound(map, options_) >= before) return "the bound was not lowered";
      jobs_done++;
    }
    Measure();
    return {};
  }

  double WriteAmplification() const {
    return static_cast<double>(flushed + merged) / static_cast<double>(flushed);
  }

  // Runs that overlap a range: what a query of one series there reads at most.
  size_t RunsWithin(TimeRange range) const {
    std::set<std::tuple<uint32_t, OrderRange, int64_t>> runs;
    for (const MapLayer& layer : map.layers) {
      if (!layer.range.Overlaps(range)) continue;
      int64_t window = layer.level == 0
                           ? layer.range.first
                           : WindowIndex(layer.range.first, options_.windows.width_ns(layer.level));
      runs.emplace(layer.level, layer.order, window);
    }
    return runs.size();
  }

  uint64_t flushed = 0;  // bytes
  uint64_t merged = 0;   // bytes that jobs wrote
  uint64_t flushes = 0;
  uint64_t jobs_done = 0;
  std::map<uint32_t, uint64_t> merged_to;  // by level
  // The most at rest.
  size_t depth_most = 0;              // runs at one instant
  size_t layers_most = 0;             // in all
  std::set<int64_t> written_windows;  // first timestamps of output windows from level 1 up

 private:
  void Add(uint32_t level, OrderRange order, MinuteBytes bytes) {
    MapLayer layer;
    layer.key = {1, ++sequence_};
    layer.level = level;
    layer.order = order;
    layer.range = {bytes.begin()->first * kMinute, bytes.rbegin()->first * kMinute + kMinute - 1};
    for (const auto& [minute, count] : bytes) layer.bytes += count;
    map.layers.push_back(layer);
    held_[sequence_] = std::move(bytes);
  }

  void Publish(const Job& job) {
    std::map<int64_t, std::pair<OutputWindow, MinuteBytes>> outputs;
    for (uint32_t input : job.inputs) {
      OutputWindow window;
      window.window = {0, -1};
      for (const auto& [minute, count] : held_[map.layers[input].key.sequence]) {
        int64_t ts = minute * kMinute;
        if (!window.window.Contains(ts)) window = OutputWindowAt(map, job, ts);
        auto at = outputs.try_emplace(window.window.first, window, MinuteBytes{}).first;
        at->second.second[minute] += count;
      }
    }
    std::vector<uint32_t> gone = job.inputs;
    std::sort(gone.begin(), gone.end());
    for (size_t i = gone.size(); i-- > 0;) {
      held_.erase(map.layers[gone[i]].key.sequence);
      map.layers.erase(map.layers.begin() + gone[i]);
    }
    for (auto& [first, output] : outputs) {
      auto& [window, bytes] = output;
      for (const auto& [minute, count] : bytes) {
        merged += count;
        merged_to[window.level] += count;
      }
      if (window.level > 0) written_windows.insert(first);
      Add(window.level, window.order, std::move(bytes));
    }
  }

  void Measure() {
    layers_most = std::max(layers_most, map.layers.size());
    std::vector<std::pair<int64_t, int>> ends;
    for (const MapLayer& layer : map.layers) {
      ends.emplace_back(layer.range.first, 0);
      ends.emplace_back(layer.range.last, 1);
    }
    std::sort(ends.begin(), ends.end());
    size_t depth = 0;
    for (const auto& [ts, leaves] : ends) {
      if (leaves == 0) {
        depth_most = std::max(depth_most, ++depth);
      } else {
        depth--;
      }
    }
  }

  PolicyOptions options_;
  uint64_t lsn_ = 1;
  uint64_t sequence_ = 0;
  MinuteBytes memtable_;
  uint64_t memtable_bytes_ = 0;
  int64_t memtable_since_ = 0;
  std::map<uint64_t, MinuteBytes> held_;  // by LayerKey::sequence
};

}  // namespace nexus::compaction

#endif  // NEXUS_TESTS_COMPACTION_LOAD_MODEL_H_
