// What a query asks and what it gets: selectors, ranges, aggregates, and the streaming cursors.
//
// A query reads one version of the database: what was acknowledged when it began, unchanged by
// later appends and flushes, which it never blocks. Results stream in bounded memory. Errors of all
// calls: InvalidArgument (selector, range, step: what is wrong and where), NotFound (tenant,
// branch), DataLoss (a damaged layer: file and offset; samples before it were right),
// DeadlineExceeded, Cancelled, ResourceExhausted (the query's memory limit).
// A cursor must be destroyed before its database. Past its deadline it lets go of the layers that
// it reads, though nobody calls it; the next call gives DeadlineExceeded. One without a deadline
// keeps their files on the disk as long as it is there. Threading: a cursor belongs to one thread
// at a time; it works on that thread.

#ifndef NEXUS_ENGINE_QUERY_H_
#define NEXUS_ENGINE_QUERY_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/labels.h"
#include "base/status.h"
#include "base/types.h"

namespace nexus {

struct Sample {
  int64_t timestamp = 0;  // ns since the Unix epoch
  double value = 0;
};

// Bounds of one query.
struct QueryLimits {
  int64_t deadline_ms = 60'000;               // from its start; 0 for none
  uint64_t memory_bytes = 256ull << 20;       // decoded samples and aggregate state held at once
  uint64_t series_max = 10'000'000;           // series a selector may match
  const std::atomic<bool>* cancel = nullptr;  // set to true from any thread to stop the query
};

struct SelectQuery {
  std::string selector;  // name{a="b",c!="d",e=~"re",f!~"re"}: Prometheus's, RE2, anchored
  TimeRange range;       // closed
  std::string tenant = "default";
  std::string branch = "main";
  std::string as_of;  // a snapshot of the tenant, read instead of the branch; empty for none
  QueryLimits limits;
};

// What to delete: samples of the series that the selector chooses, within the range, as far as they
// were written before.
struct DeleteRequest {
  std::string selector;  // as a query's, at most 4 KiB; {} chooses every series
  TimeRange range;       // closed
  std::string tenant = "default";
  std::string branch = "main";
  // Of every branch and snapshot of the tenant, whatever `branch` says: nothing of it is left once
  // they are compacted.
  bool everywhere = false;
  bool dry_run = false;  // counts, and deletes nothing
  QueryLimits limits;    // of the counting
};

struct DeleteResult {
  uint64_t series = 0;  // that the selector chooses
  // Of a dry run: what would go, and of how many series; everywhere, of all branches together, and
  // of the one that has most.
  uint64_t samples = 0;
  uint64_t series_with_samples = 0;
  // Buckets of rollups that the range covers in part and whose samples are gone: they stay as they
  // are. One at most for each end of the range, series and resolution; everywhere, of all branches.
  uint64_t frozen_left = 0;
};

enum class AggregateFunction : uint8_t {
  kAvg,
  kMin,
  kMax,
  kSum,
  kCount,
  kFirst,
  kLast,
  kRate,        // increase over the step (resets removed) / step in seconds
  kPercentile,  // exact, nearest rank
};

struct AggregateQuery {
  SelectQuery select;
  AggregateFunction function = AggregateFunction::kAvg;
  double percentile = 0;  // of kPercentile, in (0, 100]
  // Buckets are [k*step, (k+1)*step) in ns since the epoch (floor division, negative times too),
  // cut to the range. 0: one bucket, the whole range, stamped with range.first.
  int64_t step_ns = 0;
  // Labels to group by. Empty without `grouped`: each series by itself.
  bool grouped = false;
  std::vector<std::string> by;
};

// "avg", "min", "max", "sum", "count", "first", "last", "rate", "p50".."p99.9". InvalidArgument
// lists them.
Status ParseAggregate(std::string_view text, AggregateFunction* function, double* percentile);

// Samples of one series or group, in ascending time, unique timestamps; valid until the next call.
struct SeriesChunk {
  // Labels of the series; for groups the `by` labels (the metric name only if it is one of them).
  const std::vector<Label>* labels = nullptr;
  std::string_view metric;
  uint64_t series_index = 0;  // 0, 1, ...: the same for all chunks of one series
  std::span<const int64_t> timestamps;
  std::span<const double> values;
};

// What a query did.
struct QueryStatistics {
  uint64_t series = 0;
  uint64_t samples = 0;  // delivered
  uint64_t chunks_decoded = 0;
  uint64_t chunks_by_statistics = 0;  // answered without decoding
  uint64_t layers = 0;
  uint64_t memtables = 0;
  uint64_t rollup_layers = 0;   // of which buckets were used in place of samples
  uint64_t rollup_buckets = 0;  // so used, of all series
};

class Cursor {
 public:
  virtual ~Cursor() = default;
  // The next chunk, series in label order; false at the end.
  virtual StatusOr<bool> Next(SeriesChunk* chunk) = 0;
  virtual const QueryStatistics& statistics() const = 0;
};

}  // namespace nexus

#endif  // NEXUS_ENGINE_QUERY_H_
