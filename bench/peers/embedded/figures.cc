// Figures and their JSON. See figures.h.

#include "bench/peers/embedded/figures.h"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "io/real.h"

namespace nexus::bench {
namespace {

constexpr uint64_t kBlockBytes = 512;  // the unit of st_blocks, whatever the file system's is

double CpuSecondsOf(int who) {
  rusage usage = {};
  getrusage(who, &usage);
  auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string Number(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "null";
}

std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '"' || c == '\\') escaped += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      escaped += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace

double ProcessCpuSeconds() { return CpuSecondsOf(RUSAGE_SELF); }
double ThreadCpuSeconds() { return CpuSecondsOf(RUSAGE_THREAD); }

StatusOr<Resident> ReadResident() {
  malloc_trim(0);
  std::ifstream status("/proc/self/status");
  Resident resident;
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmRSS:")) resident.bytes = std::stoull(line.substr(6)) * 1024;
    if (line.starts_with("RssAnon:")) resident.anonymous_bytes = std::stoull(line.substr(8)) * 1024;
  }
  if (resident.bytes == 0) return Unavailable("/proc/self/status does not tell VmRSS");
  return resident;
}

StatusOr<uint64_t> DiskBytes(const std::string& directory) {
  uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory, error)) {
    struct stat found = {};
    // A file may go while the engine is at work.
    if (lstat(entry.path().c_str(), &found) != 0 || !S_ISREG(found.st_mode)) continue;
    bytes += static_cast<uint64_t>(found.st_blocks) * kBlockBytes;
  }
  if (error) return Unavailable("list {}: {}", directory, error.message());
  return bytes;
}

void Stopwatch::Resume() { resumed_ns_ = io::RealMonotonicNanos(); }

void Stopwatch::Pause() {
  total_ns_ += io::RealMonotonicNanos() - resumed_ns_;
  resumed_ns_ = 0;
}

double Stopwatch::seconds() const {
  const int64_t running = resumed_ns_ == 0 ? 0 : io::RealMonotonicNanos() - resumed_ns_;
  return static_cast<double>(total_ns_ + running) * 1e-9;
}

double Latencies::Percentile(double percent) const {
  if (seconds_.empty()) return 0;
  std::vector<double> sorted = seconds_;
  std::ranges::sort(sorted);
  const double rank = std::ceil(percent / 100 * static_cast<double>(sorted.size()));
  return sorted[static_cast<size_t>(std::max(rank, 1.0)) - 1];
}

JsonLine& JsonLine::AddJson(std::string_view name, std::string_view json) {
  if (!fields_.empty()) fields_ += ", ";
  fields_ += fmt::format("\"{}\": {}", name, json);
  return *this;
}

JsonLine& JsonLine::Add(std::string_view name, std::string_view value) {
  return AddJson(name, fmt::format("\"{}\"", Escaped(value)));
}

JsonLine& JsonLine::Add(std::string_view name, double value) {
  return AddJson(name, Number(value));
}

JsonLine& JsonLine::Add(std::string_view name, uint64_t value) {
  return AddJson(name, fmt::format("{}", value));
}

JsonLine& JsonLine::AddFlag(std::string_view name, bool value) {
  return AddJson(name, value ? "true" : "false");
}

JsonLine& JsonLine::AddNull(std::string_view name) { return AddJson(name, "null"); }

JsonLine& JsonLine::AddAnswers(std::string_view name, std::span<const Answer> answers) {
  std::string list;
  for (const Answer& answer : answers) {
    if (!list.empty()) list += ", ";
    list += fmt::format("[{}, {}]", answer.count, Number(answer.sum));
  }
  return AddJson(name, "[" + list + "]");
}

}  // namespace nexus::bench
