// nexus-soak: the shipped server against the real kernel (kill_loop.h), and on a full disk.
//
//   nexus-soak kills --seconds N    kill -9 at random instants
//   nexus-soak full-disk            on a disk that fills up, once with each backend (full_disk.h)
//   nexus-soak all --seconds N      both in turn
//   --seed S                        what is drawn; from the system's randomness if not given
//   --directory DIR                 where its folders are made and removed
//   --backends uring,posix          values of --io that lives of the server take in turn
//
// The binary is named by the environment variable NEXUS_BINARY. Exit: 0 all was well, 1 it was not,
// 2 wrong usage. Threading: the main thread runs the loop.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/kill_loop/full_disk.h"
#include "tests/kill_loop/kill_loop.h"

namespace nexus::kill_loop {
namespace {

constexpr int kUsage = 2;

struct Asked {
  int64_t seconds = 30;
  uint64_t seed = 0;
  std::string directory;
  std::vector<std::string> backends;
};

// Tells how far a run is: a moving line on a terminal, else a line now and then.
class Reporter {
 public:
  void Update(const Totals& totals) {
    const auto now = Clock::now();
    if (now - shown_ < (terminal_ ? std::chrono::milliseconds(250) : std::chrono::seconds(10))) {
      return;
    }
    shown_ = now;
    fmt::print(stderr, "{}{:.0f} s, {} kills, {} batches acknowledged, {} queries judged{}",
               terminal_ ? "\r" : "", seconds(), totals.kills, totals.acknowledged, totals.queries,
               terminal_ ? " " : "\n");
  }
  void Finish() const {
    if (terminal_) fmt::print(stderr, "\n");
  }
  double seconds() const { return std::chrono::duration<double>(Clock::now() - begun_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  const bool terminal_ = isatty(STDERR_FILENO) == 1;
  const Clock::time_point begun_ = Clock::now();
  Clock::time_point shown_ = begun_;
};

void PrintTotals(const Totals& totals, double seconds) {
  const auto row = [](uint64_t count, const char* what) { fmt::print("{:12}  {}\n", count, what); };
  row(totals.kills, "kills");
  row(totals.kills_before_an_answer, "of them before anything was acknowledged in that life");
  row(totals.clients_dropped, "clients that died with the server");
  row(totals.folders, "folders");
  row(totals.full_disks, "full disks");
  row(totals.scrubs, "scrubs of a stopped folder");
  row(totals.batches, "batches");
  row(totals.acknowledged, "of them acknowledged durable");
  row(totals.duplicates, "of these on a retry of what the server had already");
  row(totals.buffered, "of them acknowledged buffered");
  row(totals.refusals, "writes refused by a full disk");
  row(totals.queries, "queries judged");
  row(totals.queries_interrupted, "queries interrupted by a kill");
  row(totals.samples_checked, "samples judged");
  row(totals.decided_present, "doubtful batches found present");
  row(totals.decided_absent, "doubtful batches found absent");
  fmt::print("{:.1f} s, {:.1f} kills a second\n", seconds,
             static_cast<double>(totals.kills) / seconds);
}

std::filesystem::path ScratchFolder(const Asked& asked) {
  const char* of_test = std::getenv("TEST_TMPDIR");
  std::filesystem::path above = asked.directory;
  if (above.empty() && of_test != nullptr) above = of_test;
  if (above.empty()) above = std::filesystem::temp_directory_path();
  return above / fmt::format("kill_loop-{}", getpid());
}

// A run of what was asked for, and what it has met so far.
class Soak {
 public:
  Soak(Asked asked, std::filesystem::path directory)
      : asked_(std::move(asked)), directory_(std::move(directory)), random_(asked_.seed) {}

  Problem Kills(int64_t seconds) {
    KillLoopOptions options;
    options.directory = directory_;
    options.seed = random_();
    options.seconds = seconds;
    options.backends = asked_.backends;
    options.progress = [&](const Totals& totals) { reporter_.Update(totals); };
    return RunKillLoop(options, &totals_);
  }

  Problem FullDisks() {
    const std::vector<std::string> as_environment = {""};
    for (const std::string& io : asked_.backends.empty() ? as_environment : asked_.backends) {
      FullDiskOptions options;
      options.directory = directory_;
      options.seed = random_();
      options.io = io;
      if (Problem problem = RunFullDisk(options, &totals_)) return problem;
      reporter_.Update(totals_);
    }
    return std::nullopt;
  }

  Problem All(bool mounts) {
    do {
      const auto left = asked_.seconds - static_cast<int64_t>(reporter_.seconds());
      if (Problem problem = Kills(std::min(kTurnSeconds, left))) return problem;
      if (!mounts) continue;
      if (Problem problem = FullDisks()) return problem;
    } while (reporter_.seconds() < static_cast<double>(asked_.seconds));
    return std::nullopt;
  }

  int Report(const Problem& problem) {
    reporter_.Finish();
    PrintTotals(totals_, reporter_.seconds());
    if (!problem.has_value()) return 0;
    fmt::print("FAILED: {}\n", *problem);
    return 1;
  }

 private:
  // Of kills, between two full disks.
  static constexpr int64_t kTurnSeconds = 60;

  const Asked asked_;
  const std::filesystem::path directory_;
  std::mt19937_64 random_;
  Reporter reporter_;
  Totals totals_;
};

int Run(const Asked& asked, const std::string& command) {
  const std::filesystem::path directory = ScratchFolder(asked);
  std::filesystem::create_directories(directory);
  bool mounts = false;
  if (command != "kills") {
    const Problem forbidden = EnterPrivateMounts();
    mounts = !forbidden.has_value();
    if (!mounts) fmt::print("SKIPPED the full disk, which is not permitted here: {}\n", *forbidden);
    if (!mounts && command == "full-disk") return 0;
  }
  Soak soak(asked, directory);
  const Problem problem = command == "kills"       ? soak.Kills(asked.seconds)
                          : command == "full-disk" ? soak.FullDisks()
                                                   : soak.All(mounts);
  if (!problem.has_value()) std::filesystem::remove_all(directory);
  return soak.Report(problem);
}

int Main(int argc, char** argv) {
  CLI::App app("Runs the nexus server against the real kernel and judges what it kept.");
  app.require_subcommand(1);
  Asked asked;
  CLI::App* kills = app.add_subcommand("kills", "kill -9 at random instants");
  CLI::App* full_disk = app.add_subcommand("full-disk", "on a disk that fills up");
  CLI::App* all = app.add_subcommand("all", "both in turn");
  for (CLI::App* command : {kills, all}) {
    command->add_option("--seconds", asked.seconds, "how long")->capture_default_str();
  }
  for (CLI::App* command : {kills, full_disk, all}) {
    command->add_option("--seed", asked.seed, "what is drawn");
    command->add_option("--directory", asked.directory, "where folders are made and removed");
    command->add_option("--backends", asked.backends, "values of --io to take in turn")
        ->delimiter(',');
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  if (std::getenv("NEXUS_BINARY") == nullptr) {
    fmt::print(stderr, "nexus-soak: NEXUS_BINARY must name the nexus binary\n");
    return kUsage;
  }
  if (asked.seed == 0) asked.seed = std::random_device{}();
  fmt::print("seed {}\n", asked.seed);
  std::fflush(stdout);
  return Run(asked, app.get_subcommands().front()->get_name());
}

}  // namespace
}  // namespace nexus::kill_loop

int main(int argc, char** argv) { return nexus::kill_loop::Main(argc, argv); }
