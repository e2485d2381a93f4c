// Sums over the runs of a cell, and a sweep over their ends. See ripeness.h.

#include "compaction/ripeness.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

namespace nexus::compaction {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

// A window that has its run is written again only for at least this share of its bytes: half, so
// that late data costs at most three bytes for each of its own (itself, and the run at most twice).
constexpr uint64_t kBaseShare = 2;
// What is left over of the last flush and goes back to level 0 is written once more: at most this
// share of a job's bytes.
constexpr uint64_t kRemainderShare = 16;
// A window is still being written to if more than this share of what is new in it is fresh.
constexpr uint64_t kFreshShare = 8;

// How long what is too small to be worth its window's rewriting waits. Below the top the window
// above takes it along when it is past, which is within three of its widths also where nothing is
// written any more (PastHorizon); so only what that cannot take gets here.
int64_t AgeLimit(const Survey& survey, uint32_t level) {
  const WindowSettings& windows = survey.options().windows;
  if (level == windows.levels()) return windows.width_ns(level);
  const int64_t width_ns = windows.width_ns(level + 1);
  return width_ns > kMax / 3 ? kMax : 3 * width_ns;
}

double Length(TimeRange range) {
  return static_cast<double>(static_cast<uint64_t>(range.last) -
                             static_cast<uint64_t>(range.first)) +
         1.0;
}

// The bytes that a run has within `range`, if they are even over its body.
uint64_t BytesWithin(const Run& run, TimeRange range) {
  TimeRange common = Intersection(run.body, range);
  if (common.empty()) return 0;
  return static_cast<uint64_t>(static_cast<double>(run.bytes) * Length(common) / Length(run.body));
}

struct Ripe {
  bool ripe = false;
  bool aged = false;
  size_t fewer = 0;  // runs
};

class RipeFinder {
 public:
  explicit RipeFinder(const Survey& survey)
      : survey_(survey),
        options_(survey.options()),
        runs_(survey.runs()),
        cells_(survey.cells()),
        counted_(runs_.size()) {}

  std::vector<RipeSpan> Find() {
    std::vector<RipeSpan> found;
    size_t first = 0;
    while (first < cells_.size()) {
      Ripe ripe = Look(cells_[first]);
      if (!ripe.ripe) {
        first++;
        continue;
      }
      RipeSpan span{{first, first, cells_[first].level()}, ripe.aged, ripe.fewer};
      uint64_t bytes = BytesOf(cells_[first]);
      size_t runs = RunsOf(cells_[first]) + cells_[first].crossing.size();
      size_t next = first + 1;
      for (; next < cells_.size() && Connected(next); next++) {
        bytes += BytesOf(cells_[next]);
        runs += RunsOf(cells_[next]);
        if (bytes > options_.job_bytes_max || runs > options_.job_runs_max) break;
        ripe = Look(cells_[next]);
        if (!ripe.ripe) break;
        span.span.last = next;
        span.late |= ripe.aged;
        span.runs += ripe.fewer;
      }
      if (span.span.level > 1 || options_.everything || span.late || FlushesEnough(span.span)) {
        found.push_back(span);
      }
      first = next;
    }
    return found;
  }

 private:
  // The run that the others are merged into: the largest of the level.
  std::optional<uint32_t> BaseOf(const Cell& cell) const {
    std::optional<uint32_t> base;
    for (uint32_t r : cell.settled) {
      if (runs_[r].level == cell.level() &&
          (!base.has_value() || runs_[r].bytes > runs_[*base].bytes)) {
        base = r;
      }
    }
    return base;
  }

  Ripe Look(const Cell& cell) const {
    Ripe result;
    if (cell.crowded || (cell.target == 0 && !options_.everything)) return result;
    std::optional<uint32_t> base = BaseOf(cell);
    uint64_t added = 0;
    uint64_t fresh = 0;
    auto count = [&](uint32_t r, uint64_t bytes) {
      added += bytes;
      if (runs_[r].age_ns < options_.quiet_ns) fresh += bytes;
      result.fewer++;
    };
    for (const std::vector<uint32_t>* list : {&cell.settled, &cell.flushed}) {
      for (uint32_t r : *list) {
        if (base == r) continue;
        count(r, runs_[r].bytes);
        result.aged |= runs_[r].age_ns >= AgeLimit(survey_, cell.level());
      }
    }
    // A run that reaches over other cells too may hold nothing of this one: what is there is not
    // written again for it. If it does not go with a neighbour it is cut in time.
    if (!base.has_value()) {
      for (uint32_t r : cell.crossing) {
        if (runs_[r].body.Overlaps(cell.range)) count(r, BytesWithin(runs_[r], cell.range));
      }
    }
    if (result.fewer == 0) return result;
    result.aged |= options_.everything;
    const bool worth = !base.has_value() || added >= runs_[*base].bytes / kBaseShare;
    const bool quiet = cell.level() == 1 || fresh <= added / kFreshShare;
    result.ripe = result.aged || (worth && quiet);
    return result;
  }

  // Those that lie over cells before it are counted with them.
  size_t RunsOf(const Cell& cell) const {
    const auto c = static_cast<size_t>(&cell - cells_.data());
    size_t runs = cell.settled.size() + cell.flushed.size();
    for (uint32_t r : cell.crossing) runs += runs_[r].first_cell == c;
    return runs;
  }

  uint64_t BytesOf(const Cell& cell) const {
    uint64_t bytes = 0;
    for (uint32_t r : cell.settled) bytes += runs_[r].bytes;
    for (uint32_t r : cell.flushed) bytes += runs_[r].bytes;
    for (uint32_t r : cell.crossing) bytes += BytesWithin(runs_[r], cell.range);
    return bytes;
  }

  // True if the cell goes into one job with the one before it: windows of level 1 are small, those
  // above only if a run lies over both.
  bool Connected(size_t cell) const {
    const Cell& before = cells_[cell - 1];
    if (before.level() != cells_[cell].level() ||
        before.range.last + 1 != cells_[cell].range.first) {
      return false;
    }
    if (before.level() == 1) return true;
    for (uint32_t r : before.crossing) {
      if (runs_[r].last_cell >= cell && runs_[r].body.Overlaps(before.range) &&
          runs_[r].body.Overlaps(cells_[cell].range)) {
        return true;
      }
    }
    return false;
  }

  // Level 0 goes to level 1 some windows at a time, so that little goes back.
  bool FlushesEnough(CellSpan span) {
    TimeRange goal{cells_[span.first].range.first, cells_[span.last].range.last};
    uint64_t flushes = 0;
    uint64_t bytes = 0;
    uint64_t back = 0;
    epoch_++;
    auto count = [&](uint32_t r) {
      if (counted_[r] == epoch_) return;
      counted_[r] = epoch_;
      flushes++;
      bytes += runs_[r].bytes;
      back += runs_[r].bytes - std::min(runs_[r].bytes, BytesWithin(runs_[r], goal));
    };
    for (size_t c = span.first; c <= span.last; c++) {
      for (uint32_t r : cells_[c].flushed) count(r);
      for (uint32_t r : cells_[c].crossing) {
        if (runs_[r].body.Overlaps(goal)) count(r);
      }
    }
    if (flushes < options_.fan_in) return false;
    return back <= bytes / kRemainderShare || flushes >= 2 * options_.fan_in;
  }

  const Survey& survey_;
  const PolicyOptions& options_;
  const std::vector<Run>& runs_;
  const std::vector<Cell>& cells_;
  std::vector<uint32_t> counted_;  // by run: the last span that counted it
  uint32_t epoch_ = 0;
};

}  // namespace

std::vector<RipeSpan> FindRipe(const Survey& survey) { return RipeFinder(survey).Find(); }

std::vector<Heap> FindHeaps(const Survey& survey, size_t heaps_max) {
  const std::vector<Run>& runs = survey.runs();
  struct End {
    int64_t ts = 0;
    bool leaves = false;  // after ts; those that come at ts are counted before
    uint32_t run = 0;
  };
  std::vector<End> ends;
  for (uint32_t r = 0; r < runs.size(); r++) {
    if (runs[r].level > 0) continue;
    ends.push_back({runs[r].range.first, false, r});
    ends.push_back({runs[r].range.last, true, r});
  }
  std::sort(ends.begin(), ends.end(), [](const End& a, const End& b) {
    return std::tie(a.ts, a.leaves, a.run) < std::tie(b.ts, b.leaves, b.run);
  });
  std::vector<Heap> heaps;
  size_t depth = 0;
  bool rising = false;
  for (const End& end : ends) {
    if (end.leaves) {
      if (rising && depth > survey.options().overlap_max) {
        heaps.push_back({depth, runs[end.run].last_cell, end.ts, false});
      }
      depth--;
    } else {
      depth++;
    }
    rising = !end.leaves;
  }
  const size_t cell_runs_max = kCellRunsPerFanIn * survey.options().fan_in;
  for (size_t c = 0; c < survey.cells().size(); c++) {
    const Cell& cell = survey.cells()[c];
    const size_t count = cell.flushed.size() + cell.crossing.size();
    if (cell.crowded || count <= cell_runs_max) continue;
    heaps.push_back({count, c, cell.range.first, true});
  }
  std::stable_sort(heaps.begin(), heaps.end(),
                   [](const Heap& a, const Heap& b) { return a.runs > b.runs; });
  if (heaps.size() > heaps_max) heaps.resize(heaps_max);
  return heaps;
}

std::vector<uint32_t> RunsOf(const Survey& survey, const Heap& heap) {
  std::vector<uint32_t> found;
  if (heap.whole_cell) {
    const Cell& cell = survey.cells()[heap.cell];
    found = cell.flushed;
    found.insert(found.end(), cell.crossing.begin(), cell.crossing.end());
    std::sort(found.begin(), found.end());
    return found;
  }
  for (uint32_t r = 0; r < survey.runs().size(); r++) {
    const Run& run = survey.runs()[r];
    if (run.level == 0 && run.range.Contains(heap.ts)) found.push_back(r);
  }
  return found;
}

}  // namespace nexus::compaction
