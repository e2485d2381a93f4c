// What fuzz targets of `nexus import` share: a file's bytes in, the samples that would be stored
// out.
//
// Threading: one thread.

#ifndef NEXUS_FUZZ_SERVER_IMPORT_WORLD_H_
#define NEXUS_FUZZ_SERVER_IMPORT_WORLD_H_

#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "io/sim/world.h"
#include "server/file_import.h"
#include "server/importer.h"
#include "server/line_source.h"

namespace nexus::server {

struct ImportedSample {
  std::string series;  // canonical
  int64_t timestamp_ns = 0;
  uint64_t bits = 0;
  bool operator==(const ImportedSample&) const = default;
};

struct Imported {
  std::vector<ImportedSample> samples;  // in the order of the file
  uint64_t rejected = 0;                // lines
  Status status;                        // of the import as a whole
};

// Text has one not-a-number.
inline uint64_t BitsOf(double value) {
  const double kept = std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value;
  return std::bit_cast<uint64_t>(kept);
}

// Keeps what it is given. Ids are places in the list of series.
class KeepingSink : public SampleSink {
 public:
  explicit KeepingSink(std::vector<ImportedSample>* samples) : samples_(samples) {}
  StatusOr<std::vector<SeriesId>> Series(std::span<const Labels> labels) override {
    std::vector<SeriesId> ids;
    for (const Labels& one : labels) {
      ids.push_back(SeriesId{series_.size()});
      series_.push_back(one.Canonical());
    }
    return ids;
  }
  void AppendAsync(std::span<const SeriesSample> samples, SinkCallback done) override {
    for (const SeriesSample& sample : samples) {
      samples_->push_back(
          {series_.at(sample.series.value), sample.timestamp_ns, BitsOf(sample.value)});
    }
    done(SinkOutcome{});
  }

 private:
  std::vector<ImportedSample>* const samples_;
  std::vector<std::string> series_;
};

// Imports a file of these bytes as the command does. `make` gives the format. `keys` are held of
// series, so that few make it start anew.
inline Imported ImportBytes(std::string_view bytes, size_t keys,
                            const std::function<std::unique_ptr<FileImport>(Importer*)>& make) {
  static sim::World* const kWorld = new sim::World(1);
  if (!kWorld->alive()) kWorld->Boot();
  kWorld->disk().WriteDurable("/file", AsBytes(bytes));
  StatusOr<std::unique_ptr<LineSource>> source =
      LineSource::Open(kWorld->environment()->disk(), "/file");
  NEXUS_CHECK(source.ok());
  Imported imported;
  KeepingSink sink(&imported.samples);
  Importer importer(&sink, {.cached_series_max = keys});
  std::unique_ptr<FileImport> import = make(&importer);
  std::string_view line;
  while (imported.status.ok()) {
    const StatusOr<bool> more = (*source)->Next(&line);
    imported.status = more.status();
    if (!more.ok()) break;
    imported.status = *more ? import->Line(line, (*source)->line_number()) : import->End();
    if (!*more) break;
  }
  const Status finished = importer.Finish();
  NEXUS_CHECK(finished.ok());
  NEXUS_CHECK(importer.samples() == imported.samples.size());
  imported.rejected = importer.rejected();
  return imported;
}

}  // namespace nexus::server

#endif  // NEXUS_FUZZ_SERVER_IMPORT_WORLD_H_
