// RunMerger: joins runs of samples in ascending time into one, each timestamp once.
//
// Runs are joined pair by pair, neighbours in write order first, so that of equal timestamps the
// later run's sample comes last and is the one that stays. One pair is joined by a loop without a
// branch that depends on the data: which run gives the next sample is a coin toss where runs
// interleave. What such a loop waits for is its own chain of load, compare and add, so a long pair
// is cut into parts of equal length that are joined side by side. Where a pair is cut is found by
// binary search: Odeh, Green, Mwassi, Shmueli, Birk, "Merge Path - Parallel Merging Made Simple",
// 2012.
// Cost: about 1 ns a sample for each doubling of the number of runs that interleave; runs one
// behind the other, and runs with the very same timestamps, are copied.
// Failure: none. Threading: one thread at a time.

#ifndef NEXUS_COMPACTION_RUN_MERGE_H_
#define NEXUS_COMPACTION_RUN_MERGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace nexus::compaction {

// Samples in strictly ascending time.
struct SampleRun {
  const int64_t* timestamps = nullptr;
  const double* values = nullptr;
  size_t count = 0;

  int64_t front() const { return timestamps[0]; }
  int64_t back() const { return timestamps[count - 1]; }
};

class RunMerger {
 public:
  // Joins `runs`, in write order, oldest first; none is empty. Of samples of one timestamp the last
  // run's stays. Returns how many samples were written. REQUIRES: room in both columns for all
  // samples of all runs; they overlap none of these. Keeps kBytesPerSample of memory a sample of
  // the largest call.
  size_t Merge(std::span<const SampleRun> runs, int64_t* timestamps, double* values);

  struct Sample {
    int64_t timestamp;
    double value;
  };
  static constexpr size_t kBytesPerSample = 2 * sizeof(Sample);

 private:
  // Samples of one or several runs joined, in rows_ or others_; behind them is a sentinel.
  struct Part {
    size_t begin = 0;
    size_t count = 0;
  };

  void Load(std::span<const SampleRun> runs);
  void JoinNeighbours();

  std::vector<SampleRun> shown_;  // those not hidden by the next
  std::vector<Part> parts_;
  std::unique_ptr<Sample[]> rows_;
  std::unique_ptr<Sample[]> others_;
  size_t capacity_ = 0;
};

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_RUN_MERGE_H_
