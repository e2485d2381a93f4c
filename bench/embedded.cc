// What the benches of the embedded engine share. See embedded.h.

#include "bench/embedded.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "base/check.h"

namespace nexus::bench {

namespace {

std::vector<SeriesId> SeriesOf(Database* db, const std::vector<Labels>& labels) {
  StatusOr<std::vector<SeriesId>> ids = db->Series(labels);
  NEXUS_CHECK(ids.ok());
  return *std::move(ids);
}

}  // namespace

std::unique_ptr<Database> OpenAt(const std::string& directory, Options options) {
  options.directory = directory;
  StatusOr<std::unique_ptr<Database>> db = Database::Open(options);
  if (!db.ok()) fmt::print(stderr, "open: {}\n", db.status().ToString());
  NEXUS_CHECK(db.ok());
  return *std::move(db);
}

std::vector<SeriesId> SeriesOf(Database* db, const TelemetryGenerator& data) {
  std::vector<Labels> labels;
  for (size_t s = 0; s < data.series(); s++) labels.push_back(data.LabelsOf(s));
  return SeriesOf(db, labels);
}

std::vector<SeriesId> NumberedSeries(Database* db, const std::string& metric, uint64_t count) {
  std::vector<Labels> labels;
  for (uint64_t i = 0; i < count; i++) {
    labels.push_back(*Labels::Make(metric, {{"i", fmt::format("{}", i)}}));
  }
  return SeriesOf(db, labels);
}

Tape Record(TelemetryGenerator* data, int ticks) {
  Tape tape;
  for (int tick = 0; tick < ticks; tick++) {
    tape.timestamps.push_back(data->timestamp_ms(0) * 1'000'000);
    tape.values.emplace_back(data->values().begin(), data->values().end());
    data->NextTick();
  }
  return tape;
}

uint64_t AppendTape(Database* db, const std::vector<SeriesId>& ids, const Tape& tape, bool wait) {
  uint64_t samples = 0;
  for (size_t tick = 0; tick < tape.timestamps.size(); tick++) {
    for (size_t first = 0; first < ids.size(); first += kBatchSamples) {
      size_t count = std::min(kBatchSamples, ids.size() - first);
      WriteBatch batch;
      batch.AddRow(tape.timestamps[tick], std::span(ids).subspan(first, count),
                   std::span(tape.values[tick]).subspan(first, count));
      samples += count;
      if (wait) {
        NEXUS_CHECK(db->Append(std::move(batch)).ok());
      } else {
        db->AppendAsync(std::move(batch), {},
                        [](StatusOr<AppendOutcome> outcome) { NEXUS_CHECK(outcome.ok()); });
      }
    }
  }
  NEXUS_CHECK(db->Sync().ok());
  return samples;
}

void Drain(StatusOr<std::unique_ptr<Cursor>> cursor) {
  NEXUS_CHECK(cursor.ok());
  SeriesChunk chunk;
  while (*(*cursor)->Next(&chunk)) {
  }
}

}  // namespace nexus::bench
