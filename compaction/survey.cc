// Layers into runs, runs into cells. See survey.h.

#include "compaction/survey.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "compaction/cells.h"

namespace nexus::compaction {
namespace {

// The level of a run if it keeps that level's windows, else 0.
uint32_t FittingLevel(uint32_t level, TimeRange range, const WindowSettings& windows) {
  if (level == 0 || level > windows.levels()) return 0;
  return WithinOneWindow(range, windows.width_ns(level)) ? level : 0;
}

size_t CellOf(const std::vector<Cell>& cells, int64_t ts) {
  auto after = std::upper_bound(cells.begin(), cells.end(), ts,
                                [](int64_t t, const Cell& cell) { return t < cell.range.first; });
  return static_cast<size_t>(after - cells.begin()) - 1;
}

}  // namespace

Survey::Survey(const LayerMap& map, const PolicyOptions& options)
    : map_(map), options_(options), past_before_(PastBoundaries(map, options)) {
  const std::vector<Part> parts = SortedParts();
  std::vector<Covering> coverings;
  coverings.reserve(parts.size());
  for (const Part& part : parts) {
    const MapLayer& layer = map.layers[part.layer];
    coverings.push_back({layer.range, layer.bytes, part.level});
  }
  cells_ = MakeCells(std::move(coverings), options, past_before_);
  windows_before_.push_back(0);
  for (const Cell& cell : cells_) {
    windows_before_.push_back(windows_before_.back() + cell.windows);
  }
  MakeRuns(parts);
  FindBodies();
  FillCells();
}

std::vector<Survey::Part> Survey::SortedParts() const {
  std::vector<Part> parts;
  parts.reserve(map_.layers.size());
  for (uint32_t i = 0; i < map_.layers.size(); i++) parts.push_back({i, 0});
  auto place = [this](const Part& part) {
    const MapLayer& layer = map_.layers[part.layer];
    return std::tuple(layer.order.high, layer.order.low, layer.level, layer.range, layer.key);
  };
  std::sort(parts.begin(), parts.end(),
            [&](const Part& a, const Part& b) { return place(a) < place(b); });
  // Parts that overlap are of one merge and fit their windows together or not at all.
  size_t begin = 0;
  while (begin < parts.size()) {
    const MapLayer& first = map_.layers[parts[begin].layer];
    TimeRange range = first.range;
    size_t end = begin + 1;
    for (; end < parts.size(); end++) {
      const MapLayer& next = map_.layers[parts[end].layer];
      if (next.order != first.order || next.level != first.level || !next.range.Overlaps(range)) {
        break;
      }
      range = Hull(range, next.range);
    }
    const uint32_t level = FittingLevel(first.level, range, options_.windows);
    for (; begin < end; begin++) parts[begin].level = level;
  }
  return parts;
}

bool Survey::Continues(const Run& run, const Part& part) const {
  const MapLayer& layer = map_.layers[part.layer];
  // Parts of a run were written at one level; parts come here by level, then by time.
  if (run.order != layer.order || map_.layers[layers_.back()].level != layer.level ||
      run.level != part.level) {
    return false;
  }
  if (run.level == 0) {
    if (run.range.Overlaps(layer.range)) return true;
    // Pieces of level 0 that share no cell come from different windows of the job that made them,
    // and so do those with another of its outputs between them.
    if (CellOf(cells_, layer.range.first) > run.last_cell) return false;
    const TimeRange gap{run.range.last, layer.range.first};
    return std::none_of(map_.layers.begin(), map_.layers.end(), [&](const MapLayer& other) {
      return other.range.Overlaps(gap) && other.order.Intersects(run.order) &&
             (other.order != run.order || other.level != layer.level);
    });
  }
  return WithinOneWindow(Hull(run.range, layer.range), options_.windows.width_ns(run.level));
}

void Survey::MakeRuns(const std::vector<Part>& parts) {
  runs_.reserve(parts.size());
  layers_.reserve(parts.size());
  for (const Part& part : parts) {
    const MapLayer& layer = map_.layers[part.layer];
    if (runs_.empty() || !Continues(runs_.back(), part)) {
      Run run;
      run.range = layer.range;
      run.order = layer.order;
      run.level = part.level;
      run.age_ns = layer.age_ns;
      run.first_cell = CellOf(cells_, layer.range.first);
      run.layers_begin = static_cast<uint32_t>(layers_.size());
      runs_.push_back(run);
    }
    Run& run = runs_.back();
    run.layers_count++;
    layers_.push_back(part.layer);
    run.range.last = std::max(run.range.last, layer.range.last);
    run.last_cell = CellOf(cells_, run.range.last);
    run.bytes += layer.bytes;
    run.age_ns = std::min(run.age_ns, layer.age_ns);
    run.needs_rewrite |= layer.needs_rewrite;
    run.busy |= layer.job != 0;
  }
  for (Run& run : runs_) {
    for (const MapMemtable& memtable : map_.memtables) {
      if (memtable.range.Overlaps(run.range) && memtable.order.low < run.order.high) {
        run.pinned = true;
      }
    }
  }
}

void Survey::FindBodies() {
  // Runs are sorted by where their order ends. A sample beyond the clock says nothing of where
  // the others are.
  int64_t newest = std::numeric_limits<int64_t>::min();
  for (Run& run : runs_) {
    run.body = run.range;
    const int64_t last = std::min(run.range.last, map_.now_ns);
    if (newest < last) {
      const TimeRange fresh{std::max(run.range.first, newest + 1), last};
      if (!fresh.empty()) run.body = fresh;
    }
    if (run.range.last <= map_.now_ns) newest = std::max(newest, run.range.last);
  }
}

void Survey::FillCells() {
  std::vector<std::vector<uint32_t>> begin(cells_.size());
  for (uint32_t i = 0; i < runs_.size(); i++) {
    const Run& run = runs_[i];
    Cell& cell = cells_[run.first_cell];
    if (run.level > 0) {
      if (run.level <= cell.level()) cell.settled.push_back(i);
    } else if (run.first_cell == run.last_cell && cell.windows == 1) {
      cell.flushed.push_back(i);
    } else {
      begin[run.first_cell].push_back(i);
    }
  }
  std::vector<uint32_t> active;
  for (size_t c = 0; c < cells_.size(); c++) {
    active.insert(active.end(), begin[c].begin(), begin[c].end());
    cells_[c].crowded = active.size() > kCrossingMax;
    if (!cells_[c].crowded) {
      cells_[c].crossing = active;
      std::sort(cells_[c].crossing.begin(), cells_[c].crossing.end());
    }
    std::erase_if(active, [&](uint32_t run) { return runs_[run].last_cell == c; });
  }
}

uint64_t Survey::Weight(const Run& run) const {
  uint64_t levels = options_.windows.levels();
  if (run.level > 0) return levels + 1 - run.level;
  return (levels + 2) * Windows(run.first_cell, run.last_cell) - 1;
}

}  // namespace nexus::compaction
