// Property tests: whatever the map, every pick keeps the order rule, changes no answer, lowers the
// bound, and the map comes to rest.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "compaction/pick_check.h"
#include "compaction/policy.h"
#include "tests/compaction/map_model.h"

namespace nexus::compaction {
namespace {

constexpr int64_t kSecond = kNanosPerSecond;

int64_t OneOf(std::vector<int64_t> values) { return *rc::gen::elementOf(values); }

PolicyOptions AnyOptions() {
  PolicyOptions options;
  options.windows = *WindowSettings::Parse(*rc::gen::element<std::string>(
      "4s", "4s,12s", "4s,12s,48s", "3s,15s", "5s,10s,20s,40s", "2s,48s"));
  options.fan_in = *rc::gen::inRange<uint32_t>(2, 5);
  options.overlap_max = *rc::gen::inRange<uint32_t>(2, 6);
  options.quiet_ns = OneOf({0, 5 * kSecond, 50 * kSecond});
  options.job_bytes_max = *rc::gen::element<uint64_t>(100, 1'000, 1 << 30);
  options.job_layers_max = *rc::gen::element<size_t>(16, 24, 10'000);
  options.job_runs_max = *rc::gen::element<size_t>(16, 20, 64);
  options.everything = *rc::gen::weightedElement<bool>({{3, false}, {1, true}});
  return options;
}

// Mostly in order, now and then late, early or far away.
std::vector<ModelKey> AnySamples(int64_t newest) {
  std::vector<ModelKey> samples;
  int64_t from = *rc::gen::weightedOneOf<int64_t>(
      {{4, rc::gen::just(newest)},
       {2, rc::gen::inRange<int64_t>(-100 * kSecond, newest + 10 * kSecond)}});
  int64_t width = OneOf({kSecond, 4 * kSecond, 30 * kSecond, 200 * kSecond});
  int count = *rc::gen::inRange(1, 12);
  for (int i = 0; i < count; i++) {
    int64_t ts = from + *rc::gen::inRange<int64_t>(0, width);
    if (*rc::gen::inRange(0, 60) == 0) ts = *rc::gen::arbitrary<int64_t>();
    samples.push_back({*rc::gen::inRange(0, 4), ts - ts % (kSecond / 2)});
  }
  return samples;
}

void Age(MapModel* model, int64_t by_ns) {
  model->map.now_ns += by_ns;
  for (MapLayer& layer : model->map.layers) layer.age_ns += by_ns;
}

std::string Shown(const LayerMap& map) {
  std::string text = fmt::format("now {}", map.now_ns / (kSecond / 2));
  for (const MapLayer& layer : map.layers) {
    text += fmt::format("\n{} level {} time {}..{} order {}..{} bytes {} age {} job {}",
                        layer.key.sequence, layer.level, layer.range.first / (kSecond / 2),
                        layer.range.last / (kSecond / 2), layer.order.low.lsn.value,
                        layer.order.high.lsn.value, layer.bytes, layer.age_ns / (kSecond / 2),
                        layer.job);
  }
  return text;
}

void CheckAll(const MapModel& model, const PolicyOptions& options, const std::vector<Job>& jobs) {
  for (const Job& job : jobs) {
    Status status = CheckPick(model.map, options, job);
    if (!status.ok()) RC_FAIL(std::string(status.message()) + " in " + job.reason);
  }
}

// One job of one pick, published; false if there was none.
bool Step(MapModel* model, const PolicyOptions& options) {
  std::vector<Job> jobs = PickJobs(model->map, options, 3);
  CheckAll(*model, options, jobs);
  if (jobs.empty()) return false;
  const Job& job = jobs[*rc::gen::inRange<size_t>(0, jobs.size())];
  uint64_t before = JobsBound(model->map, options);
  std::string shown = Shown(model->map);
  model->Publish(job, *rc::gen::inRange(1, 4));
  uint64_t after = JobsBound(model->map, options);
  if (after >= before) {
    RC_FAIL("bound not lowered by " + job.reason + "\n" + shown + "\nthen " + Shown(model->map));
  }
  Status status = CheckMap(model->map);
  if (!status.ok()) RC_FAIL(std::string(status.message()) + " after " + job.reason);
  RC_ASSERT(model->Read() == "");
  return true;
}

void Rest(MapModel* model, const PolicyOptions& options) {
  uint64_t bound = JobsBound(model->map, options);
  for (uint64_t steps = 0; Step(model, options); steps++) RC_ASSERT(steps < bound);
}

// Runs of level 0 at one instant, the most.
size_t Depth(const LayerMap& map) {
  size_t deepest = 0;
  for (const MapLayer& at : map.layers) {
    std::set<OrderRange> orders;
    for (const MapLayer& layer : map.layers) {
      if (layer.level == 0 && layer.range.Contains(at.range.first)) orders.insert(layer.order);
    }
    deepest = std::max(deepest, orders.size());
  }
  return deepest;
}

RC_GTEST_PROP(PolicyModel, PicksKeepOrderAndAnswersWhileDataComes, ()) {
  PolicyOptions options = AnyOptions();
  MapModel model;
  int64_t newest = 0;
  int flushes = *rc::gen::inRange(1, 60);
  for (int i = 0; i < flushes; i++) {
    newest += *rc::gen::inRange<int64_t>(0, 6 * kSecond);
    model.map.now_ns = std::max(model.map.now_ns, newest);
    model.Flush(AnySamples(newest));
    Age(&model, OneOf({0, kSecond, 20 * kSecond}));
    if (*rc::gen::inRange(0, 3) == 0) Step(&model, options);
    if (*rc::gen::inRange(0, 10) == 0) options = AnyOptions();
  }
  RC_ASSERT(CheckMap(model.map).ok());
  Rest(&model, options);
  RC_ASSERT(Depth(model.map) <= options.overlap_max);
}

RC_GTEST_PROP(PolicyModel, EverythingLeavesOneRunAWindow, ()) {
  PolicyOptions options = AnyOptions();
  MapModel model;
  int64_t newest = 0;
  for (int i = *rc::gen::inRange(1, 20); i > 0; i--) {
    newest += *rc::gen::inRange<int64_t>(0, 6 * kSecond);
    model.map.now_ns = std::max(model.map.now_ns, newest);
    model.Flush(AnySamples(newest));
    if (*rc::gen::inRange(0, 6) == 0) Step(&model, options);
  }
  options.everything = true;
  Rest(&model, options);
  std::set<std::pair<OrderRange, uint32_t>> runs;
  for (const MapLayer& layer : model.map.layers) {
    RC_ASSERT(layer.level > 0u);
    for (const MapLayer& other : model.map.layers) {
      if (layer.range.Overlaps(other.range)) {
        RC_ASSERT(layer.level == other.level);
        RC_ASSERT(layer.order == other.order);
      }
    }
  }
}

RC_GTEST_PROP(PolicyModel, JobsThatRunTogetherMayEndInAnyOrder, ()) {
  PolicyOptions options = AnyOptions();
  MapModel model;
  int64_t newest = 0;
  std::vector<std::pair<uint64_t, Job>> running;  // inputs as keys are found by their job's number
  uint64_t number = 0;
  auto publish = [&](size_t which) {
    auto [id, job] = running[which];
    running.erase(running.begin() + static_cast<ptrdiff_t>(which));
    // Positions have moved since it was picked.
    job.inputs.clear();
    for (uint32_t i = 0; i < model.map.layers.size(); i++) {
      if (model.map.layers[i].job == id) job.inputs.push_back(i);
    }
    std::sort(job.inputs.begin(), job.inputs.end(), [&](uint32_t a, uint32_t b) {
      return model.map.layers[a].order.high < model.map.layers[b].order.high;
    });
    model.Publish(job, *rc::gen::inRange(1, 3));
    RC_ASSERT(CheckMap(model.map).ok());
    RC_ASSERT(model.Read() == "");
  };
  int events = *rc::gen::inRange(1, 50);
  for (int i = 0; i < events; i++) {
    newest += *rc::gen::inRange<int64_t>(0, 6 * kSecond);
    model.map.now_ns = std::max(model.map.now_ns, newest);
    model.Flush(AnySamples(newest));
    Age(&model, OneOf({0, kSecond, 20 * kSecond}));
    std::vector<Job> jobs = PickJobs(model.map, options, 2);
    CheckAll(model, options, jobs);
    for (const Job& job : jobs) {
      running.emplace_back(++number, job);
      for (uint32_t input : job.inputs) model.map.layers[input].job = number;
    }
    while (!running.empty() && *rc::gen::inRange(0, 2) == 0) {
      publish(*rc::gen::inRange<size_t>(0, running.size()));
    }
  }
  while (!running.empty()) publish(running.size() - 1);
  Rest(&model, options);
}

// A branch sees its parent's sealed memtable flushed after layers of its own.
RC_GTEST_PROP(PolicyModel, MemtablesFlushedLateFindTheirPlace, ()) {
  PolicyOptions options = AnyOptions();
  MapModel model;
  int64_t newest = 0;
  std::vector<MapModel::Sealed> sealed;
  auto set_memtables = [&] {
    model.map.memtables.clear();
    for (const MapModel::Sealed& memtable : sealed) {
      TimeRange range{INT64_MAX, INT64_MIN};
      for (const auto& [key, lsn] : memtable.samples) {
        range.first = std::min(range.first, key.ts);
        range.last = std::max(range.last, key.ts);
      }
      model.map.memtables.push_back({range, memtable.order});
    }
  };
  auto step = [&] {
    set_memtables();
    std::vector<Job> jobs = PickJobs(model.map, options, 2);
    CheckAll(model, options, jobs);
    if (!jobs.empty()) model.Publish(jobs[0], *rc::gen::inRange(1, 3));
    RC_ASSERT(CheckMap(model.map).ok());
  };
  for (int i = *rc::gen::inRange(1, 40); i > 0; i--) {
    newest += *rc::gen::inRange<int64_t>(0, 6 * kSecond);
    model.map.now_ns = std::max(model.map.now_ns, newest);
    sealed.push_back(model.Begin(AnySamples(newest)));
    if (*rc::gen::inRange(0, 3) > 0) {
      auto flushed = sealed.begin() + *rc::gen::inRange<ptrdiff_t>(0, std::ssize(sealed));
      model.Finish(*flushed);
      sealed.erase(flushed);
    }
    Age(&model, OneOf({0, kSecond, 20 * kSecond}));
    step();
  }
  while (!sealed.empty()) {
    model.Finish(sealed.back());
    sealed.pop_back();
    step();
  }
  set_memtables();
  RC_ASSERT(model.Read() == "");
  Rest(&model, options);
}

// Layers of any level in any order, as no compactor of ours leaves them.
RC_GTEST_PROP(PolicyModel, AnyLawfulMapComesToRest, ()) {
  PolicyOptions options = AnyOptions();
  MapModel model;
  int layers = *rc::gen::inRange(1, 60);
  uint64_t lsn = 1;
  for (int i = 0; i < layers; i++) {
    int64_t from = *rc::gen::inRange<int64_t>(-20, 60) * kSecond;
    int64_t width = OneOf({kSecond, 3 * kSecond, 12 * kSecond, 70 * kSecond});
    ModelSamples samples;
    uint64_t low = lsn;
    for (int s = *rc::gen::inRange(1, 6); s > 0; s--) {
      int64_t ts = from + *rc::gen::inRange<int64_t>(0, width);
      samples[{*rc::gen::inRange(0, 3), ts - ts % (kSecond / 2)}] = lsn++;
    }
    model.Add(*rc::gen::inRange<uint32_t>(0, 6), {MapModel::OrderAt(low), MapModel::OrderAt(lsn)},
              samples);
    model.map.layers.back().age_ns = *rc::gen::inRange<int64_t>(0, 100) * kSecond;
    model.map.layers.back().needs_rewrite = *rc::gen::inRange(0, 4) == 0;
  }
  model.UseLsns(lsn);
  model.map.now_ns = *rc::gen::inRange<int64_t>(-20, 200) * kSecond;
  RC_ASSERT(CheckMap(model.map).ok());
  Rest(&model, options);
  for (const MapLayer& layer : model.map.layers) RC_ASSERT(!layer.needs_rewrite);
  // With time, all that is past goes to the top.
  options.job_bytes_max = 1 << 30;
  Age(&model, 10'000 * kSecond);
  while (Step(&model, options)) {
    for (MapLayer& layer : model.map.layers) layer.age_ns = std::max(layer.age_ns, 100 * kSecond);
  }
  for (const MapLayer& layer : model.map.layers) {
    RC_ASSERT(layer.level == options.windows.levels());
  }
}

}  // namespace
}  // namespace nexus::compaction
