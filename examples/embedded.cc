// The linking example of the README: record, read back, aggregate.
//
//   bazel run //examples:embedded -- /tmp/my-telemetry
//
// It is built and run as a test.

#include <chrono>
#include <cstdio>

#include "engine/nexus.h"

namespace {

int64_t NowNanos() {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

nexus::Status Run(const char* directory) {
  nexus::Options options;
  options.directory = directory;
  NEXUS_ASSIGN_OR_RETURN(auto db, nexus::Database::Open(options));

  // A series is a metric name and labels. Keep the id: it makes appends cheap.
  NEXUS_ASSIGN_OR_RETURN(nexus::SeriesId room,
                         db->Series("temperature_celsius", {{"room", "kitchen"}}));

  // When Append returns OK, the batch survives a power cut - all of it.
  nexus::WriteBatch batch;
  const int64_t start = NowNanos();
  for (int i = 0; i < 60; i++) batch.Add(room, start + i * 1'000'000'000LL, 20.0 + 0.1 * i);
  NEXUS_RETURN_IF_ERROR(db->Append(std::move(batch)).status());

  // Ten-second averages of every kitchen series, streamed.
  nexus::AggregateQuery query;
  query.select.selector = "temperature_celsius{room=\"kitchen\"}";
  query.select.range = {start, start + 60'000'000'000LL};
  query.function = nexus::AggregateFunction::kAvg;
  query.step_ns = 10'000'000'000LL;
  NEXUS_ASSIGN_OR_RETURN(auto cursor, db->Aggregate(query));
  nexus::SeriesChunk chunk;
  while (true) {
    NEXUS_ASSIGN_OR_RETURN(bool more, cursor->Next(&chunk));
    if (!more) break;
    for (size_t i = 0; i < chunk.timestamps.size(); i++) {
      std::printf("%lld  %.2f\n", static_cast<long long>(chunk.timestamps[i]), chunk.values[i]);
    }
  }
  cursor.reset();
  return db->Close();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
    return 2;
  }
  nexus::Status status = Run(argv[1]);
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  return 0;
}
