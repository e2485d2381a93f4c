// What a scrub is asked and what it found: the physical check of a database.
//
// A scrub reads every byte that answers could come from - layers, log, catalog, images - checks
// each checksum, compares every statistic with the samples it stands for, and checks that the
// parts agree: the log with the catalog, the catalog's trees with each other, both with the files
// in the folder. It changes nothing.
// Threading: plain values.

#ifndef NEXUS_ENGINE_SCRUB_REPORT_H_
#define NEXUS_ENGINE_SCRUB_REPORT_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/types.h"
#include "engine/options.h"

namespace nexus {

struct ScrubOptions {
  // No aggregate: GCC 12 destroys aggregate temporaries of co_await expressions twice.
  ScrubOptions() = default;

  // Called after each piece, on a thread of the database; must not call back into it. Units are
  // bytes read, or entries of the catalog.
  ProgressCallback progress;
  int64_t deadline_ms = 0;                    // from its start; 0 for none
  const std::atomic<bool>* cancel = nullptr;  // set to true from any thread to stop the scrub
};

// Findings that a report lists, and series that a finding lists: beyond, they are counted. A lost
// folder damages everything in it; a thousand places say enough.
inline constexpr size_t kScrubFindingsMax = 1000;
inline constexpr size_t kScrubSeriesMax = 100;

// One place that is not as it was written, or does not agree with another.
struct ScrubFinding {
  std::string file;                // its path
  std::optional<uint64_t> offset;  // in the file, where that can be told
  std::string what;
  // Series whose samples it concerns, as name{label="value",...}, as far as they can be told: the
  // first of them, and how many.
  std::vector<std::string> series;
  uint64_t series_count = 0;
  std::optional<TimeRange> range;  // of the samples it concerns, where that can be told
  std::string way_out;             // what to do about it
};

struct ScrubReport {
  // What was checked.
  uint64_t layers = 0;
  uint64_t layer_bytes = 0;
  uint64_t layer_pages = 0;
  uint64_t chunks = 0;
  uint64_t samples = 0;  // in layers
  uint64_t log_segments = 0;
  uint64_t log_bytes = 0;
  uint64_t log_records = 0;
  uint64_t catalog_pages = 0;
  uint64_t catalog_values = 0;
  uint64_t series = 0;  // in the catalog
  uint64_t images = 0;
  uint64_t files = 0;  // in the folder
  double seconds = 0;

  uint64_t finding_count = 0;
  std::vector<ScrubFinding> findings;  // the first kScrubFindingsMax
  // Harmless, or not looked at: for people.
  std::vector<std::string> notes;

  bool clean() const { return finding_count == 0; }
};

}  // namespace nexus

#endif  // NEXUS_ENGINE_SCRUB_REPORT_H_
