// Figures of this process and of a directory, and one line of JSON that tells them.
//
// Units stand in the names. Threading: values.

#ifndef NEXUS_BENCH_PEERS_EMBEDDED_FIGURES_H_
#define NEXUS_BENCH_PEERS_EMBEDDED_FIGURES_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "bench/peers/questions.h"

namespace nexus::bench {

// User and system time of all threads, and of the calling one.
double ProcessCpuSeconds();
double ThreadCpuSeconds();

// Resident memory of this process, with and without pages of files. What the C library holds free
// is given back before it is read.
struct Resident {
  uint64_t bytes = 0;
  uint64_t anonymous_bytes = 0;
};
StatusOr<Resident> ReadResident();

// Disk space of all files below a directory: allocated blocks, not lengths.
StatusOr<uint64_t> DiskBytes(const std::string& directory);

// Seconds that pass between Resume and Pause, added up.
class Stopwatch {
 public:
  void Resume();
  void Pause();
  double seconds() const;  // with what passed since Resume

 private:
  int64_t total_ns_ = 0;
  int64_t resumed_ns_ = 0;  // 0: paused
};

// Times of single operations.
class Latencies {
 public:
  void Add(double seconds) { seconds_.push_back(seconds); }
  size_t count() const { return seconds_.size(); }
  // Nearest rank, `percent` of 0..100; 0 if there is none.
  double Percentile(double percent) const;

 private:
  std::vector<double> seconds_;
};

// {"name": value, ...} on one line. Names are ours and need no escapes.
class JsonLine {
 public:
  JsonLine& Add(std::string_view name, std::string_view value);
  JsonLine& Add(std::string_view name, double value);  // null unless finite
  JsonLine& Add(std::string_view name, uint64_t value);
  JsonLine& AddFlag(std::string_view name, bool value);
  JsonLine& AddNull(std::string_view name);
  JsonLine& AddJson(std::string_view name, std::string_view json);
  // As [[count, sum], ...].
  JsonLine& AddAnswers(std::string_view name, std::span<const Answer> answers);

  std::string text() const { return "{" + fields_ + "}"; }

 private:
  std::string fields_;
};

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_EMBEDDED_FIGURES_H_
