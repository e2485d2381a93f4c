// The embedded engine under a bench: a database with the generator's series, rows made beforehand,
// cursors read to their end. What fails ends the program, with the reason.

#ifndef NEXUS_BENCH_EMBEDDED_H_
#define NEXUS_BENCH_EMBEDDED_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/telemetry_gen.h"
#include "engine/nexus.h"

namespace nexus::bench {

// Samples of a batch.
inline constexpr size_t kBatchSamples = 1000;

std::unique_ptr<Database> OpenAt(const std::string& directory, Options options = {});

// All series of the generator, by their number.
std::vector<SeriesId> SeriesOf(Database* db, const TelemetryGenerator& data);

// `count` series of a metric, which differ in a label.
std::vector<SeriesId> NumberedSeries(Database* db, const std::string& metric, uint64_t count);

// Rows made beforehand, so that the generator is not in the measurement.
struct Tape {
  std::vector<int64_t> timestamps;
  std::vector<std::vector<double>> values;
};

// The next `ticks` ticks.
Tape Record(TelemetryGenerator* data, int ticks);

// Appends it durably in batches, one after the other or each waited for, and syncs. Returns the
// samples.
uint64_t AppendTape(Database* db, const std::vector<SeriesId>& ids, const Tape& tape, bool wait);

void Drain(StatusOr<std::unique_ptr<Cursor>> cursor);

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_EMBEDDED_H_
