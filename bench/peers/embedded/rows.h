// Rows held in memory: made beforehand, so that making them is not in what is measured, and the
// rows that measurements add beside a workload's own.
//
// Threading: values.

#ifndef NEXUS_BENCH_PEERS_EMBEDDED_ROWS_H_
#define NEXUS_BENCH_PEERS_EMBEDDED_ROWS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "bench/workload.h"

namespace nexus::bench {

// Sources from here on are no workload's: what `latency` and `series` write to. Below 2^32, the
// range of DuckDB's host column.
inline constexpr size_t kAddedSources = 1'000'000'000;
// Added rows are this much behind the workload's last: no question reaches them.
inline constexpr int64_t kAddedAfterMs = 86'400'000;

// Consecutive rows of a workload, copied.
class Slice {
 public:
  // Takes rows until they hold at least `samples` or the workload ends, in the place of what was
  // held. False if there is none.
  bool Fill(Workload* workload, uint64_t samples);
  // Takes one row more.
  void Add(const Row& row);
  // Frees the memory.
  void Release() { *this = Slice(); }

  // Valid until the next change.
  std::span<const Row> rows();

 private:
  std::vector<Row> rows_;  // point into the columns only after rows()
  std::vector<uint8_t> metrics_;
  std::vector<double> values_;
};

uint64_t SamplesOf(std::span<const Row> rows);

// The rows from `first` on that make a batch: as few as hold `samples`, or all that are left.
std::span<const Row> BatchFrom(std::span<const Row> rows, size_t first, uint64_t samples);

// Whether a row of source 0 begins a tick: true of the workloads that every host is in at each
// tick.
bool HasTicks(const WorkloadOptions& options);

// Tenant and tags of a source, also of an added one: ten tags, as the hosts of `cpu` have.
Source SourceOf(const Workload& workload, size_t source);

// A row with all metrics of the workload for each of `sources` added sources, from number `first`
// on. Another `step` is another time: milliseconds.
Slice AddedRows(const Workload& workload, size_t first, size_t sources, int64_t step);

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_EMBEDDED_ROWS_H_
