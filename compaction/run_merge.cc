// Joining runs: rows of (timestamp, value), joined level by level between two buffers, and columns
// again at the end. See run_merge.h.

#include "compaction/run_merge.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "base/planted.h"

namespace nexus::compaction {
namespace {

using Sample = RunMerger::Sample;

// Parts of a pair that are joined side by side: with four the loop is bound by its instructions and
// no more by what they wait for (1.3 ns a sample, one alone takes 5.5).
constexpr size_t kLanes = 4;
// Shorter pairs are not worth finding where to cut.
constexpr size_t kLanesMin = 64;

// The sentinel.
constexpr Sample kBehindAll = {std::numeric_limits<int64_t>::max(), 0};

bool SameTimestamps(const SampleRun& a, const SampleRun& b) {
  return a.count == b.count && a.front() == b.front() && a.back() == b.back() &&
         std::memcmp(a.timestamps, b.timestamps, a.count * sizeof(int64_t)) == 0;
}

// A place in both runs of a pair: what is before it comes out first.
struct Place {
  const Sample* a = nullptr;
  const Sample* b = nullptr;
};

// Where joined samples go: rows while there are more runs to join, columns in the end.
struct Rows {
  Sample* rows;

  void Put(size_t i, const Sample& sample) const { rows[i] = sample; }
  Rows From(size_t i) const { return {rows + i}; }
};
struct Columns {
  int64_t* timestamps;
  double* values;

  void Put(size_t i, const Sample& sample) const {
    timestamps[i] = sample.timestamp;
    values[i] = sample.value;
  }
  Columns From(size_t i) const { return {timestamps + i, values + i}; }
};

template <typename Out>
void Copy(std::span<const Sample> samples, Out out) {
  for (size_t i = 0; i < samples.size(); ++i) out.Put(i, samples[i]);
}

// Of equal timestamps a's comes first. Behind the end of b stands a timestamp that no other is
// above; a is not asked behind its end. The choice is a mask: of one that is written as a choice,
// compilers make a branch where lanes are many.
template <typename Out>
inline void Emit(Place* place, size_t i, Out out) {
  const auto take_b = static_cast<ptrdiff_t>(place->b->timestamp < place->a->timestamp);
  out.Put(i, place->a[(place->b - place->a) & -take_b]);
  place->a += 1 - take_b;
  place->b += take_b;
}

// The place with `before` samples before it.
Place PlaceAt(std::span<const Sample> a, std::span<const Sample> b, size_t before) {
  size_t low = before > b.size() ? before - b.size() : 0;
  size_t high = std::min(before, a.size());
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (a[middle].timestamp <= b[before - middle - 1].timestamp) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return {a.data() + low, b.data() + (before - low)};
}

// Joins a and b where a's last sample is behind all of b.
template <typename Out>
void JoinInterleaved(std::span<const Sample> a, std::span<const Sample> b, Out out) {
  const size_t count = a.size() + b.size();
  if (count < kLanesMin) {
    Place place{a.data(), b.data()};
    for (size_t i = 0; i < count; ++i) Emit(&place, i, out);
    return;
  }
  const size_t lane = count / kLanes;
  std::array<Place, kLanes> places;
  for (size_t i = 0; i < kLanes; ++i) places[i] = PlaceAt(a, b, i * lane);
  for (size_t i = 0; i < lane; ++i) {
    for (size_t j = 0; j < kLanes; ++j) Emit(&places[j], j * lane + i, out);
  }
  for (size_t i = kLanes * lane; i < count; ++i) Emit(&places.back(), i, out);
}

// Joins two parts of which `b` is later in write order.
template <typename Out>
void Join(std::span<const Sample> a, std::span<const Sample> b, Out out) {
  if (b.back().timestamp < a.front().timestamp) {
    Copy(b, out);
    Copy(a, out.From(b.size()));
    return;
  }
  // What of b is not before a's last sample follows it.
  const auto before = [](const Sample& sample, int64_t ts) { return sample.timestamp < ts; };
  const auto tail = std::lower_bound(b.begin(), b.end(), a.back().timestamp, before);
  const std::span<const Sample> mixed(b.begin(), tail);
  if (mixed.empty()) {
    Copy(a, out);
  } else {
    JoinInterleaved(a, mixed, out);
  }
  Copy(std::span<const Sample>(tail, b.end()), out.From(a.size() + mixed.size()));
}

// Keeps of samples of one timestamp the last. Returns how many stay.
size_t KeepLast(int64_t* timestamps, double* values, size_t count) {
  // Bits instead of a truth value, so that the loop vectorises.
  uint64_t same = 0;
  for (size_t i = 1; i < count; ++i) same |= timestamps[i - 1] == timestamps[i] ? 1 : 0;
  if (same == 0) return count;
  size_t kept = 0;
  for (size_t i = 0; i + 1 < count; ++i) {
    const bool last = timestamps[i] != timestamps[i + 1];
    timestamps[kept] = timestamps[i];
    values[kept] = values[i];
    kept += last;
  }
  timestamps[kept] = timestamps[count - 1];
  values[kept] = values[count - 1];
  return kept + 1;
}

// The mistake that the tests must find.
size_t KeepFirst(int64_t* timestamps, double* values, size_t count) {
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    if (kept > 0 && timestamps[kept - 1] == timestamps[i]) continue;
    timestamps[kept] = timestamps[i];
    values[kept++] = values[i];
  }
  return kept;
}

}  // namespace

// Makes rows of the runs. A run with the very timestamps of the next one is hidden by it whole:
// that is how batches look that were sent twice.
void RunMerger::Load(std::span<const SampleRun> runs) {
  size_t room = 0;
  for (const SampleRun& run : runs) room += run.count + 1;
  if (room > capacity_) {
    capacity_ = 0;
    rows_.reset();
    others_.reset();
    rows_ = std::make_unique_for_overwrite<Sample[]>(room);
    others_ = std::make_unique_for_overwrite<Sample[]>(room);
    capacity_ = room;
  }
  parts_.clear();
  size_t at = 0;
  for (const SampleRun& run : runs) {
    parts_.push_back({at, run.count});
    Sample* const rows = rows_.get() + at;
    for (size_t i = 0; i < run.count; ++i) rows[i] = {run.timestamps[i], run.values[i]};
    rows[run.count] = kBehindAll;
    at += run.count + 1;
  }
}

size_t RunMerger::Merge(std::span<const SampleRun> runs, int64_t* timestamps, double* values) {
  if (runs.empty()) return 0;
  shown_.clear();
  for (size_t i = 0; i + 1 < runs.size(); ++i) {
    const bool hidden = SameTimestamps(runs[i], runs[i + 1]) && !NEXUS_PLANTED("older-wins");
    if (!hidden) shown_.push_back(runs[i]);
  }
  shown_.push_back(runs.back());
  if (shown_.size() == 1) {
    const SampleRun& run = shown_.front();
    std::copy(run.timestamps, run.timestamps + run.count, timestamps);
    std::copy(run.values, run.values + run.count, values);
    return run.count;
  }
  Load(shown_);
  while (parts_.size() > 2) JoinNeighbours();
  const std::span<const Sample> older(rows_.get(), parts_[0].count);
  const std::span<const Sample> newer(rows_.get() + parts_[1].begin, parts_[1].count);
  Join(older, newer, Columns{timestamps, values});
  const size_t count = older.size() + newer.size();
  if (NEXUS_PLANTED("older-wins")) return KeepFirst(timestamps, values, count);
  return KeepLast(timestamps, values, count);
}

// One level: half as many parts.
void RunMerger::JoinNeighbours() {
  size_t joined = 0;
  for (size_t i = 0; i < parts_.size(); i += 2) {
    Part part = parts_[i];
    const std::span<const Sample> a(rows_.get() + part.begin, part.count);
    const Rows out{others_.get() + part.begin};
    if (i + 1 == parts_.size()) {
      Copy(a, out);
    } else {
      const std::span<const Sample> b(rows_.get() + parts_[i + 1].begin, parts_[i + 1].count);
      Join(a, b, out);
      part.count += b.size();
    }
    out.rows[part.count] = kBehindAll;
    parts_[joined++] = part;
  }
  parts_.resize(joined);
  std::swap(rows_, others_);
}

}  // namespace nexus::compaction
