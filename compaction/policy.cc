// Candidates by class, the first ones that do not overlap. See policy.h.

#include "compaction/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <queue>
#include <span>
#include <tuple>

#include "base/check.h"
#include "base/time_text.h"
#include "compaction/job_builder.h"
#include "compaction/ripeness.h"
#include "compaction/survey.h"

namespace nexus::compaction {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

// A run that lies over several cells is cut after so many windows of level 2: by then the day that
// it came in is past, and it would have been taken along if it were only one of today's late.
constexpr int64_t kCutAgeWidths = 3;

// Enough that joining some of them always brings a map nearer to rest (JobBuilder::Thin).
constexpr size_t kJobInputsLeast = 16;
static_assert(kJobInputsLeast >= kWindowLevelsMax + 2);

// Heaps looked at in one call. Those left over are the lesser ones, and come up in a later call.
constexpr size_t kHeapsMax = 64;

std::string BytesText(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  for (const char* unit : {"KiB", "MiB", "GiB"}) {
    if (value < 1024) return fmt::format("{:.1f} {}", value, unit);
    value /= 1024;
  }
  return fmt::format("{:.1f} TiB", value);
}

class Picker {
 public:
  Picker(const LayerMap& map, const PolicyOptions& options, size_t max_jobs)
      : survey_(map, options),
        builder_(survey_),
        max_jobs_(max_jobs),
        taken_(survey_.runs().size()) {
    FindRunning();
  }

  std::vector<Job> Pick() {
    std::vector<RipeSpan> ripe = FindRipe(survey_);
    PickHeaps(ripe);
    // Within a class the spans that make the most layers fewer, the oldest first among equals.
    std::stable_sort(ripe.begin(), ripe.end(), [](const RipeSpan& a, const RipeSpan& b) {
      return std::tuple(a.span.level > 1, b.runs) < std::tuple(b.span.level > 1, a.runs);
    });
    for (const RipeSpan& span : ripe) {
      if (full()) break;
      Settle(span, span.span.level > 1 ? JobClass::kSettle : JobClass::kFlush);
    }
    PickCuts();
    for (uint32_t r = 0; r < survey_.runs().size() && !full(); r++) {
      if (!survey_.runs()[r].needs_rewrite || taken_[r]) continue;
      Take(builder_.Rewrite(r), JobClass::kRewrite);
    }
    return std::move(jobs_);
  }

 private:
  bool full() const { return jobs_.size() >= max_jobs_; }

  // The time that running jobs and picked ones cover: what they will write lies within.
  void FindRunning() {
    std::vector<std::pair<uint64_t, TimeRange>> running;
    for (const MapLayer& layer : survey_.map().layers) {
      if (layer.job != 0) running.emplace_back(layer.job, layer.range);
    }
    std::sort(running.begin(), running.end());
    for (size_t i = 0; i < running.size(); i++) {
      if (i == 0 || running[i].first != running[i - 1].first) {
        covered_.push_back(running[i].second);
      } else {
        covered_.back() = Hull(covered_.back(), running[i].second);
      }
    }
  }

  bool Covered(TimeRange range) const {
    return std::any_of(covered_.begin(), covered_.end(),
                       [&](TimeRange other) { return other.Overlaps(range); });
  }

  bool Settle(const RipeSpan& span, JobClass job_class) {
    // The time is looked at first: most spans of a busy branch fail by it.
    if (Covered({survey_.cells()[span.span.first].range.first,
                 survey_.cells()[span.span.last].range.last})) {
      return false;
    }
    return Take(builder_.Settle(span.span, span.late), job_class);
  }

  bool Take(std::optional<Draft> draft, JobClass job_class) {
    if (!draft.has_value() || Covered(draft->range)) return false;
    covered_.push_back(draft->range);
    for (uint32_t r : draft->runs) taken_[r] = 1;
    jobs_.push_back(JobOf(*draft, job_class));
    return true;
  }

  // Too many runs on each other: where the time has come they are settled, else the cheapest of
  // them are joined.
  void PickHeaps(const std::vector<RipeSpan>& ripe) {
    if (full()) return;
    for (const Heap& heap : FindHeaps(survey_, kHeapsMax)) {
      if (full()) return;
      if (Covered({heap.ts, heap.ts})) continue;
      auto span = std::find_if(ripe.begin(), ripe.end(), [&](const RipeSpan& s) {
        return s.span.first <= heap.cell && heap.cell <= s.span.last;
      });
      if (span != ripe.end() && Settle(*span, JobClass::kOverlap)) continue;
      Take(builder_.Join(RunsOf(survey_, heap)), JobClass::kOverlap);
    }
  }

  // Runs that lie over cells whose time has come, and went with none of them.
  void PickCuts() {
    const PolicyOptions& options = survey_.options();
    const int64_t width_ns = options.windows.width_ns(std::min(2u, options.windows.levels()));
    const int64_t age_ns = width_ns > kMax / kCutAgeWidths ? kMax : kCutAgeWidths * width_ns;
    for (uint32_t r = 0; r < survey_.runs().size() && !full(); r++) {
      const Run& run = survey_.runs()[r];
      if (run.level > 0 || taken_[r] || survey_.Windows(run.first_cell, run.last_cell) < 2) {
        continue;
      }
      if (!options.everything &&
          (run.age_ns < age_ns || survey_.cells()[run.first_cell].target == 0)) {
        continue;
      }
      Take(builder_.Cut(r), JobClass::kSettle);
    }
  }

  Job JobOf(const Draft& draft, JobClass job_class) const {
    Job job;
    job.kind = draft.kind;
    job.job_class = job_class;
    job.bytes = draft.bytes;
    job.outputs = draft.outputs;
    for (uint32_t r : draft.runs) {
      const std::span<const uint32_t> layers = survey_.LayersOf(survey_.runs()[r]);
      job.inputs.insert(job.inputs.end(), layers.begin(), layers.end());
    }
    job.reason = ReasonOf(draft);
    return job;
  }

  std::string ReasonOf(const Draft& draft) const {
    std::string what;
    if (draft.kind == JobKind::kCut) {
      what = "cut level 0 at windows";
    } else if (draft.kind == JobKind::kRewrite) {
      what = fmt::format("rewrite level {} without what was deleted", draft.level);
    } else if (draft.level == 0) {
      what = "join level 0";
    } else {
      uint32_t lowest = draft.level;
      for (uint32_t r : draft.runs) lowest = std::min(lowest, survey_.runs()[r].level);
      what = fmt::format("level {} -> {}", lowest, draft.level);
    }
    TimeRange shown = draft.level > 0 ? draft.goal : draft.range;
    return fmt::format("{}: {} layers, {}, {} to {}", what, draft.layers, BytesText(draft.bytes),
                       FormatTime(shown.first), FormatTime(shown.last));
  }

  const Survey survey_;
  JobBuilder builder_;
  const size_t max_jobs_;
  std::vector<TimeRange> covered_;
  std::vector<char> taken_;  // by run
  std::vector<Job> jobs_;
};

}  // namespace

std::vector<Job> PickJobs(const LayerMap& map, const PolicyOptions& options, size_t max_jobs) {
  NEXUS_CHECK(options.fan_in >= 2);
  NEXUS_CHECK(options.overlap_max >= 2);
  NEXUS_CHECK(options.job_runs_max >= kJobInputsLeast);
  NEXUS_CHECK(options.job_layers_max >= kJobInputsLeast);
  if (map.layers.empty() || max_jobs == 0) return {};
  return Picker(map, options, max_jobs).Pick();
}

uint64_t JobsBound(const LayerMap& map, const PolicyOptions& options) {
  if (map.layers.empty()) return 0;
  const Survey survey(map, options);
  uint64_t bound = 0;
  for (const Run& run : survey.runs()) {
    bound += survey.Weight(run) + (run.needs_rewrite ? 1 : 0);
  }
  return bound;
}

OutputWindow OutputWindowAt(const LayerMap& map, const Job& job, int64_t ts) {
  auto after =
      std::upper_bound(job.outputs.begin(), job.outputs.end(), ts,
                       [](int64_t t, const OutputSpan& span) { return t < span.bounds.first; });
  const OutputSpan& span = *(after - 1);
  OutputWindow output;
  output.level = span.level;
  output.window = span.bounds;
  if (span.width_ns > 0) {
    TimeRange window = WindowAt(ts, span.width_ns);
    output.window.first = std::max(window.first, span.bounds.first);
    output.window.last = std::min(window.last, span.bounds.last);
  }
  bool any = false;
  for (uint32_t input : job.inputs) {
    const MapLayer& layer = map.layers[input];
    if (!layer.range.Overlaps(output.window)) continue;
    output.order.low = any ? std::min(output.order.low, layer.order.low) : layer.order.low;
    output.order.high = any ? std::max(output.order.high, layer.order.high) : layer.order.high;
    any = true;
  }
  NEXUS_CHECK(any);
  return output;
}

std::vector<RankedJob> RankJobs(const std::vector<BranchJobs>& branches, size_t max_jobs) {
  struct Next {
    JobClass job_class;
    uint64_t served = 0;
    size_t branch = 0;
    size_t job = 0;

    bool operator>(const Next& other) const {
      return std::tie(job_class, served, branch, job) >
             std::tie(other.job_class, other.served, other.branch, other.job);
    }
  };
  std::priority_queue<Next, std::vector<Next>, std::greater<>> waiting;
  for (size_t b = 0; b < branches.size(); b++) {
    if (branches[b].jobs.empty()) continue;
    waiting.push({branches[b].jobs[0].job_class, branches[b].bytes_served, b, 0});
  }
  std::vector<RankedJob> ranked;
  while (!waiting.empty() && ranked.size() < max_jobs) {
    Next next = waiting.top();
    waiting.pop();
    const BranchJobs& branch = branches[next.branch];
    ranked.push_back({branch.branch, next.job});
    if (next.job + 1 < branch.jobs.size()) {
      waiting.push({branch.jobs[next.job + 1].job_class, next.served + branch.jobs[next.job].bytes,
                    next.branch, next.job + 1});
    }
  }
  return ranked;
}

}  // namespace nexus::compaction
