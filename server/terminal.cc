// Drawing on a terminal. See terminal.h.

#include "server/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace nexus::server {
namespace {

constexpr int64_t kFirstDrawNs = 500'000'000;
constexpr int64_t kDrawEveryNs = 100'000'000;

std::string Scaled(double number, double base, std::string_view unit) {
  static constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T"};
  static constexpr const char* kBinaryPrefixes[] = {"", "Ki", "Mi", "Gi", "Ti"};
  size_t power = 0;
  while (number >= base && power + 1 < std::size(kPrefixes)) {
    number /= base;
    power++;
  }
  const char* prefix = base == 1024 ? kBinaryPrefixes[power] : kPrefixes[power];
  if (power == 0) return fmt::format("{:.0f} {}", number, unit);
  return fmt::format("{:.{}f} {}{}", number, number < 10 ? 2 : number < 100 ? 1 : 0, prefix, unit);
}

}  // namespace

bool OutputIsTerminal() { return isatty(STDOUT_FILENO) == 1; }
bool ErrorIsTerminal() { return isatty(STDERR_FILENO) == 1; }

TerminalSize GetTerminalSize() {
  winsize size = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return {};
  return {size.ws_col, size.ws_row};
}

bool WriteOutput(std::string_view text) {
  bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return written && std::fflush(stdout) == 0;
}

void WriteError(std::string_view line) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
}

std::string FormatBytes(uint64_t bytes) { return Scaled(static_cast<double>(bytes), 1024, "B"); }

std::string FormatCount(uint64_t count) {
  if (count < 100'000) return fmt::format("{}", count);
  std::string text = Scaled(static_cast<double>(count), 1000, "");
  return text;
}

std::string FormatSeconds(double seconds) {
  if (seconds < 1) return fmt::format("{:.0f} ms", seconds * 1e3);
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  auto whole = static_cast<int64_t>(seconds);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

ProgressBar::ProgressBar(std::string unit, int64_t (*monotonic_nanos)())
    : unit_(std::move(unit)), monotonic_nanos_(monotonic_nanos) {}

ProgressBar::~ProgressBar() { Finish(); }

void ProgressBar::Update(const Progress& progress) {
  if (!ErrorIsTerminal()) return;
  MutexLock lock(&mutex_);
  const int64_t now = monotonic_nanos_();
  if (progress.activity != activity_) {
    activity_ = progress.activity;
    started_ns_ = now;
  }
  if (now - started_ns_ < kFirstDrawNs || now - drawn_ns_ < kDrawEveryNs) return;
  drawn_ns_ = now;
  visible_ = true;
  double seconds = static_cast<double>(now - started_ns_) * 1e-9;
  double rate = static_cast<double>(progress.done) / seconds;
  std::string line = activity_ + " ";
  if (progress.total > 0) {
    double part =
        std::min(1.0, static_cast<double>(progress.done) / static_cast<double>(progress.total));
    constexpr size_t kBarColumns = 24;
    auto full = static_cast<size_t>(part * kBarColumns);
    line += fmt::format("[{}{}] {:3.0f} %  ", std::string(full, '#'),
                        std::string(kBarColumns - full, '.'), part * 100);
    if (part > 0) line += fmt::format("{} left  ", FormatSeconds(seconds * (1 - part) / part));
  } else {
    line += fmt::format("{}{}  ", FormatCount(progress.done), unit_.empty() ? "" : " " + unit_);
  }
  line += unit_ == "B" ? FormatBytes(static_cast<uint64_t>(rate)) + "/s"
                       : FormatCount(static_cast<uint64_t>(rate)) + " " + unit_ + "/s";
  std::fprintf(stderr, "\r%s\x1b[K", line.substr(0, GetTerminalSize().columns - 1).c_str());
  std::fflush(stderr);
}

void ProgressBar::Finish() {
  MutexLock lock(&mutex_);
  if (!std::exchange(visible_, false)) return;
  std::fprintf(stderr, "\r\x1b[K");
  std::fflush(stderr);
}

}  // namespace nexus::server
