// Importer: samples by name into a database, in batches, with the series looked up once each.
//
// Add() collects; a full batch is appended without waiting, so parsing, log and disk work side by
// side; Finish() waits for all acknowledgements. What is rejected is counted and the first cases
// are kept. Threading: one thread.

#ifndef NEXUS_SERVER_IMPORTER_H_
#define NEXUS_SERVER_IMPORTER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "engine/nexus.h"

namespace nexus::server {

// A series of one import: known by its number there.
using SeriesSlot = uint32_t;

class Importer {
 public:
  Importer(Database* database, std::string tenant, std::string branch);
  ~Importer();
  Importer(const Importer&) = delete;
  Importer& operator=(const Importer&) = delete;

  // The slot of a series by a key of the caller's choice, if it was made before.
  const SeriesSlot* Find(const std::string& key) const;
  SeriesSlot Make(std::string key, Labels labels);

  // Errors: of appends so far; nothing more is imported then.
  Status Add(SeriesSlot series, int64_t timestamp_ns, double value);
  // Counts a line that could not be imported; the first few are kept as messages.
  void Reject(std::string message);
  // Waits until all samples are durable.
  Status Finish();

  uint64_t samples() const { return samples_; }
  uint64_t series() const { return labels_.size(); }
  uint64_t rejected() const { return rejected_; }
  const std::vector<std::string>& rejections() const { return rejections_; }

 private:
  struct Pending {
    SeriesSlot series;
    int64_t timestamp_ns;
    double value;
  };

  Status AppendPending();
  Status FirstError();

  Database* const database_;
  const std::string tenant_;
  const std::string branch_;
  std::unordered_map<std::string, SeriesSlot> slots_;
  std::vector<Labels> labels_;
  std::vector<SeriesId> ids_;  // of the first slots; the others are new
  std::vector<Pending> pending_;
  uint64_t samples_ = 0;
  uint64_t rejected_ = 0;
  std::vector<std::string> rejections_;

  Mutex mutex_;
  CondVar changed_;
  uint64_t in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  Status error_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_IMPORTER_H_
