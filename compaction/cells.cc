// From zones of time by age to windows with a target. See cells.h.

#include "compaction/cells.h"

#include <algorithm>
#include <limits>

namespace nexus::compaction {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

// The windows of one level within a stretch of time, with the bytes of the layers over each.
class Grid {
 public:
  // Wraps around, and is exact again when what was added is taken away; only a map of more than
  // 2^64 bytes would make it wrong, and then merely large cells small or small ones large.
  struct Load {
    uint64_t bytes = 0;
    uint64_t layers = 0;
    uint64_t settled = 0;  // layers that have the grid's level already

    void Add(const Load& other) {
      bytes += other.bytes;
      layers += other.layers;
      settled += other.settled;
    }
    void Remove(const Load& other) {
      bytes -= other.bytes;
      layers -= other.layers;
      settled -= other.settled;
    }
  };

  Grid(const std::vector<Covering>& coverings, TimeRange bounds, uint32_t level, int64_t width_ns)
      : width_ns_(width_ns) {
    for (const Covering& covering : coverings) {
      TimeRange range = Intersection(covering.range, bounds);
      ends_.push_back(WindowIndex(range.first, width_ns));
      ends_.push_back(WindowIndex(range.last, width_ns));
    }
    std::sort(ends_.begin(), ends_.end());
    ends_.erase(std::unique(ends_.begin(), ends_.end()), ends_.end());
    // Bytes that come and go at each of `ends_`; what lies between two of them has those that
    // passed the first and reach the second.
    come_.resize(ends_.size());
    go_.resize(ends_.size());
    for (const Covering& covering : coverings) {
      TimeRange range = Intersection(covering.range, bounds);
      size_t first = PlaceOf(range.first);
      size_t last = PlaceOf(range.last);
      const Load load{covering.bytes, 1, covering.level == level ? uint64_t{1} : 0};
      come_[first].Add(load);
      go_[last].Add(load);
    }
  }

  // Calls `emit(first index, last index, load)` for each window with an end of a layer in it, and
  // for each stretch of covered windows between two such.
  template <typename Emit>
  void ForEach(Emit emit) const {
    Load load;
    for (size_t i = 0; i < ends_.size(); i++) {
      load.Add(come_[i]);
      emit(ends_[i], ends_[i], load);
      load.Remove(go_[i]);
      if (load.layers > 0 && ends_[i + 1] - ends_[i] > 1) {
        emit(ends_[i] + 1, ends_[i + 1] - 1, load);
      }
    }
  }

 private:
  size_t PlaceOf(int64_t ts) const {
    auto found = std::lower_bound(ends_.begin(), ends_.end(), WindowIndex(ts, width_ns_));
    return static_cast<size_t>(found - ends_.begin());
  }

  int64_t width_ns_;
  std::vector<int64_t> ends_;
  std::vector<Load> come_;
  std::vector<Load> go_;
};

class CellMaker {
 public:
  explicit CellMaker(const PolicyOptions& options) : options_(options) {}

  // Cells of `target`, or of lower ones where windows of it hold too much. `coverings` are in order
  // of where they begin.
  void Make(const std::vector<Covering>& coverings, TimeRange bounds, uint32_t target) {
    std::vector<Covering> here;
    here.reserve(coverings.size());
    for (const Covering& covering : coverings) {
      if (covering.range.Overlaps(bounds)) here.push_back(covering);
    }
    if (here.empty()) return;
    const int64_t width_ns = options_.windows.width_ns(std::max(target, 1u));
    const Grid grid(here, bounds, target, width_ns);
    // Those that began and have not ended, in front of the window at hand.
    std::vector<Covering> open;
    size_t next = 0;
    grid.ForEach([&](int64_t first, int64_t last, const Grid::Load& load) {
      // An index times the width may lie below int64, where the window is cut.
      const TimeRange range{FirstOf(first, width_ns, bounds), LastOf(last, width_ns, bounds)};
      // A window that has its run keeps it, and takes what is added, though it has grown since.
      if (target > 1 && load.bytes > options_.job_bytes_max && load.settled == 0) {
        for (; next < here.size() && here[next].range.first <= range.last; next++) {
          open.push_back(here[next]);
        }
        std::erase_if(open, [&](const Covering& c) { return c.range.last < range.first; });
        Make(open, range, target - 1);
        return;
      }
      Cell cell;
      cell.range = range;
      cell.target = target;
      cell.width_ns = width_ns;
      cell.windows = static_cast<uint64_t>(last - first) + 1;
      cells_.push_back(std::move(cell));
    });
  }

  std::vector<Cell> Take() { return std::move(cells_); }

 private:
  static int64_t FirstOf(int64_t index, int64_t width_ns, TimeRange bounds) {
    int64_t first;
    if (__builtin_mul_overflow(index, width_ns, &first)) first = kMin;
    return std::max(first, bounds.first);
  }
  static int64_t LastOf(int64_t index, int64_t width_ns, TimeRange bounds) {
    int64_t first;
    // Only the lowest window begins out of reach, and it ends within.
    if (__builtin_mul_overflow(index, width_ns, &first)) {
      first = (index + 1) * width_ns;
      return std::min(first - 1, bounds.last);
    }
    int64_t last;
    if (__builtin_add_overflow(first, width_ns - 1, &last)) last = kMax;
    return std::min(last, bounds.last);
  }

  const PolicyOptions& options_;
  std::vector<Cell> cells_;
};

}  // namespace

int64_t PastHorizon(const LayerMap& map, const PolicyOptions& options) {
  int64_t newest = kMin;
  for (const MapLayer& layer : map.layers) newest = std::max(newest, layer.range.last);
  const WindowSettings& windows = options.windows;
  int64_t idle;
  if (__builtin_sub_overflow(map.now_ns, windows.width_ns(std::min(2u, windows.levels())), &idle)) {
    idle = kMin;
  }
  return std::clamp(newest, idle, map.now_ns);
}

std::vector<int64_t> PastBoundaries(const LayerMap& map, const PolicyOptions& options) {
  int64_t horizon = PastHorizon(map, options);
  std::vector<int64_t> before{kMax};
  for (uint32_t level = 1; level <= options.windows.levels(); level++) {
    before.push_back(WindowAt(horizon, options.windows.width_ns(level)).first);
  }
  return before;
}

std::vector<Cell> MakeCells(std::vector<Covering> coverings, const PolicyOptions& options,
                            const std::vector<int64_t>& past_before) {
  std::sort(coverings.begin(), coverings.end(),
            [](const Covering& a, const Covering& b) { return a.range.first < b.range.first; });
  CellMaker maker(options);
  // Windows nest, so the boundaries rise as levels fall: each level has what lies between the
  // boundary of the level above and its own.
  int64_t begin = kMin;
  for (uint32_t level = options.windows.levels(); level > 0; level--) {
    int64_t end = past_before[level];
    if (end > begin) maker.Make(coverings, {begin, end - 1}, level);
    begin = std::max(begin, end);
  }
  maker.Make(coverings, {begin, kMax}, 0);
  return maker.Take();
}

}  // namespace nexus::compaction
