// MapModel: a branch whose layers hold real samples, for tests of the policy.
//
// Flushes and merges are done by their definition on maps of (series, timestamp) to write order.
// Read() answers as a query does: of the layers that hold a sample the one later in write order
// wins, judged by the layers' orders alone. So a job that breaks the order rule gives a wrong
// answer here, whatever the checker thinks of it.

#ifndef NEXUS_TESTS_COMPACTION_MAP_MODEL_H_
#define NEXUS_TESTS_COMPACTION_MAP_MODEL_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/types.h"
#include "compaction/layer_map.h"
#include "compaction/policy.h"

namespace nexus::compaction {

struct ModelKey {
  int series = 0;
  int64_t ts = 0;
  auto operator<=>(const ModelKey&) const = default;
};
// To the LSN that wrote it.
using ModelSamples = std::map<ModelKey, uint64_t>;

class MapModel {
 public:
  // What the policy sees; keys are positions in `held` + 1.
  LayerMap map;

  // The LSN of the next write.
  uint64_t lsn() const { return lsn_; }

  // Writes samples, one LSN each, and flushes them as one layer of level 0. Empty: nothing.
  void Flush(const std::vector<ModelKey>& samples) { Finish(Begin(samples)); }

  // A memtable that is sealed, and flushed later, behind others.
  struct Sealed {
    ModelSamples samples;
    OrderRange order;
  };
  Sealed Begin(const std::vector<ModelKey>& samples) {
    Sealed sealed;
    sealed.order.low = OrderAt(lsn_);
    for (const ModelKey& key : samples) {
      sealed.samples[key] = lsn_;
      truth_[key] = lsn_++;
    }
    sealed.order.high = OrderAt(lsn_);
    return sealed;
  }
  void Finish(const Sealed& sealed) {
    if (!sealed.samples.empty()) Add(0, sealed.order, sealed.samples);
  }

  // A layer as it may lie in a folder: any level.
  void Add(uint32_t level, OrderRange order, const ModelSamples& samples) {
    MapLayer layer;
    layer.key = {1, ++sequence_};
    layer.level = level;
    layer.order = order;
    layer.range = {samples.begin()->first.ts, samples.begin()->first.ts};
    int series = -1;
    for (const auto& [key, lsn] : samples) {
      layer.range.first = std::min(layer.range.first, key.ts);
      layer.range.last = std::max(layer.range.last, key.ts);
      layer.series += key.series != series;
      series = key.series;
    }
    layer.samples = samples.size();
    layer.bytes = samples.size() * 16;
    map.layers.push_back(layer);
    held_[sequence_] = samples;
    for (const auto& [key, lsn] : samples) {
      auto [at, added] = truth_.try_emplace(key, lsn);
      if (!added) at->second = std::max(at->second, lsn);
    }
  }
  // LSNs up to here are used.
  void UseLsns(uint64_t end) { lsn_ = std::max(lsn_, end); }

  // What merging writes: per output window its samples, the later of two.
  struct Output {
    OutputWindow window;
    ModelSamples samples;
  };
  std::vector<Output> Merge(const Job& job) const {
    std::vector<Output> outputs;
    std::map<int64_t, size_t> by_window;
    for (uint32_t input : job.inputs) {  // oldest first
      for (const auto& [key, lsn] : held_.at(map.layers[input].key.sequence)) {
        OutputWindow window = OutputWindowAt(map, job, key.ts);
        auto [at, added] = by_window.try_emplace(window.window.first, outputs.size());
        if (added) outputs.push_back({window, {}});
        outputs[at->second].samples[key] = lsn;
      }
    }
    return outputs;
  }

  // Takes the inputs away and puts the outputs in, each window in as many parts as its series
  // allow, at most `parts`.
  void Publish(const Job& job, int parts) {
    std::vector<Output> outputs = Merge(job);
    std::vector<uint32_t> gone = job.inputs;
    std::sort(gone.begin(), gone.end());
    for (size_t i = gone.size(); i-- > 0;) {
      held_.erase(map.layers[gone[i]].key.sequence);
      map.layers.erase(map.layers.begin() + gone[i]);
    }
    for (const Output& output : outputs) {
      for (int part = 0; part < parts; part++) {
        ModelSamples samples;
        for (const auto& [key, lsn] : output.samples) {
          if (key.series % parts == part) samples[key] = lsn;
        }
        if (!samples.empty()) Add(output.window.level, output.window.order, samples);
      }
    }
  }

  // Empty if every sample reads as it was written last, else what does not.
  std::string Read() const {
    std::map<ModelKey, std::pair<const MapLayer*, uint64_t>> read;
    for (const MapLayer& layer : map.layers) {
      for (const auto& [key, lsn] : held_.at(layer.key.sequence)) {
        auto [at, added] = read.try_emplace(key, &layer, lsn);
        if (added) continue;
        const MapLayer& other = *at->second.first;
        if (layer.order.Intersects(other.order)) return "two layers of one order hold a sample";
        if (other.order.high <= layer.order.low) at->second = {&layer, lsn};
      }
    }
    if (read.size() != truth_.size()) return "samples are missing";
    for (const auto& [key, lsn] : truth_) {
      if (read[key].second != lsn) return "an older sample won";
    }
    return {};
  }

  static WriteOrder OrderAt(uint64_t lsn) { return {0, Lsn{lsn}}; }

 private:
  uint64_t lsn_ = 1;
  uint64_t sequence_ = 0;
  std::map<uint64_t, ModelSamples> held_;  // by LayerKey::sequence
  ModelSamples truth_;
};

}  // namespace nexus::compaction

#endif  // NEXUS_TESTS_COMPACTION_MAP_MODEL_H_
