// Importer: samples by name into a sink, in batches, with a series looked up by a hash.
//
// Add() and EndLine() collect; a full batch is appended without waiting, so parsing, log and disk
// work side by side; Finish() waits for all acknowledgements. A line is in one batch, so after a
// crash all of it is there or none. What is rejected is counted and the first cases are kept; so is
// what the sink refused of batches that it took.
//
// A series is known by a seeded 128-bit hash of whatever bytes stand for it in the input. The cache
// of these keys is bounded: when it is full it starts anew, and series that come again are made
// again, which costs time and nothing else. Threading: one thread.

#ifndef NEXUS_SERVER_IMPORTER_H_
#define NEXUS_SERVER_IMPORTER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/hash.h"
#include "base/mutex.h"
#include "server/sample_sink.h"

namespace nexus::server {

// A series of one import: known by its number there, until the line ends.
using SeriesSlot = uint32_t;

struct ImporterOptions {
  // Keys held; as many series as one database is meant to have active. 2^20 of them take a table of
  // 2^21 places of 25 bytes and an id each: 60 MB.
  size_t cached_series_max = 1 << 20;
};

class Importer {
 public:
  // The sink must outlive it.
  explicit Importer(SampleSink* sink, ImporterOptions options = {});
  ~Importer();
  Importer(const Importer&) = delete;
  Importer& operator=(const Importer&) = delete;

  // The slot of a series, if its key is known.
  std::optional<SeriesSlot> Find(const Hash128& key) const;
  SeriesSlot Make(const Hash128& key, Labels labels);

  void Add(SeriesSlot series, int64_t timestamp_ns, double value);
  // Ends a line: all slots are void, keys have to be looked up again.
  // Errors: of appends so far; nothing more is imported then.
  Status EndLine();
  // Counts a line that could not be imported; the first few are kept as messages.
  void Reject(std::string message);
  // Waits until all samples are durable.
  Status Finish();

  // Added and not refused so far; after Finish, those that are durable.
  uint64_t samples() const;
  // Distinct series of the samples appended so far.
  uint64_t series() const { return distinct_.size(); }
  uint64_t rejected() const { return rejected_; }
  const std::vector<std::string>& rejections() const { return rejections_; }
  // Samples that the sink did not take, and its reason for one of them.
  uint64_t refused() const;
  std::string refusal() const;

 private:
  Status AppendPending();
  Status ResolveNewSeries();
  Status FirstError();

  SampleSink* const sink_;
  const ImporterOptions options_;
  absl::flat_hash_map<Hash128, SeriesSlot> slots_;
  std::vector<SeriesId> ids_;       // of the first slots; the others are new
  std::vector<Labels> new_labels_;  // of those
  // Some 9 to 18 bytes a series, where the database's own map takes 32.
  absl::flat_hash_set<uint64_t> distinct_;
  std::vector<SeriesSample> pending_;  // their series are slots still
  uint64_t samples_ = 0;
  uint64_t rejected_ = 0;
  std::vector<std::string> rejections_;

  mutable Mutex mutex_;
  CondVar changed_;
  uint64_t in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  Status error_ ABSL_GUARDED_BY(mutex_);
  uint64_t refused_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string refusal_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_IMPORTER_H_
