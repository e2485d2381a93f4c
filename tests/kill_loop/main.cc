// nexus-soak: the shipped server against the real kernel (kill_loop.h).
//
//   nexus-soak kills --seconds N    kill -9 at random instants
//   --seed S                        what is drawn; from the system's randomness if not given
//   --directory DIR                 where its folders are made and removed
//   --backends uring,posix          values of --io that lives of the server take in turn
//
// The binary is named by the environment variable NEXUS_BINARY. Exit: 0 all was well, 1 it was not,
// 2 wrong usage. Threading: the main thread runs the loop.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

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

int RunKills(const Asked& asked) {
  KillLoopOptions options;
  options.directory = ScratchFolder(asked);
  options.seed = asked.seed;
  options.seconds = asked.seconds;
  options.backends = asked.backends;
  Reporter reporter;
  options.progress = [&](const Totals& totals) { reporter.Update(totals); };
  std::filesystem::create_directories(options.directory);
  Totals totals;
  const Problem problem = RunKillLoop(options, &totals);
  reporter.Finish();
  PrintTotals(totals, reporter.seconds());
  if (problem.has_value()) {
    fmt::print("FAILED: {}\n", *problem);
    return 1;
  }
  std::filesystem::remove_all(options.directory);
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app("Runs the nexus server against the real kernel and judges what it kept.");
  app.require_subcommand(1);
  Asked asked;
  CLI::App* kills = app.add_subcommand("kills", "kill -9 at random instants");
  kills->add_option("--seconds", asked.seconds, "how long")->capture_default_str();
  for (CLI::App* command : {kills}) {
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
  return RunKills(asked);
}

}  // namespace
}  // namespace nexus::kill_loop

int main(int argc, char** argv) { return nexus::kill_loop::Main(argc, argv); }
