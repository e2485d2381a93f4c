// The terminal: whether there is one, how wide it is, and what is drawn on it.
//
// Results go to standard output, everything else (progress, messages) to standard error. A progress
// bar draws only where standard error is a terminal. Threading: one thread, but for
// ProgressBar::Update.

#ifndef NEXUS_SERVER_TERMINAL_H_
#define NEXUS_SERVER_TERMINAL_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "engine/options.h"

namespace nexus::server {

bool OutputIsTerminal();
bool ErrorIsTerminal();
// Columns and rows of the terminal; 100 x 30 if there is none.
struct TerminalSize {
  size_t columns = 100;
  size_t rows = 30;
};
TerminalSize GetTerminalSize();

// Writes to standard output, whole. False if nobody reads it any more.
bool WriteOutput(std::string_view text);
// One line to standard error.
void WriteError(std::string_view line);

// "12.3 MiB", "4.5 M", "1 h 02 min".
std::string FormatBytes(uint64_t bytes);
std::string FormatCount(uint64_t count);
std::string FormatSeconds(double seconds);

// A line on standard error that is drawn over and over: activity, bar, percent, rate, time left.
// Any thread may call Update; draws at most ten times a second, and not at all within the first
// half second.
class ProgressBar {
 public:
  // `unit` is what is counted: "B", "samples".
  ProgressBar(std::string unit, int64_t (*monotonic_nanos)());
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Update(const Progress& progress);
  // Wipes the line.
  void Finish();

 private:
  const std::string unit_;
  int64_t (*const monotonic_nanos_)();
  Mutex mutex_;
  std::string activity_ ABSL_GUARDED_BY(mutex_);
  int64_t started_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t drawn_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  bool visible_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_TERMINAL_H_
