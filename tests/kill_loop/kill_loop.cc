// Folders, lives, kills. See kill_loop.h.

#include "tests/kill_loop/kill_loop.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "tests/kill_loop/reader.h"
#include "tests/kill_loop/workload.h"
#include "tests/kill_loop/writer.h"

namespace nexus::kill_loop {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kWriters = 3;
// As many as let the oracle stay small: it remembers every sample of a folder.
constexpr int kKillsOfFolder = 40;
constexpr int kKillsPerScrub = 10;
// One kill in so many takes a writer's client with it.
constexpr int kKillsPerDrop = 4;
// One life in so many is killed within its opening, more or less: within this time of its start.
constexpr int kLivesPerEarlyKill = 4;
constexpr uint64_t kEarlyMaxUs = 60'000;
// Others are killed within this time of their first acknowledgement.
constexpr uint64_t kLateMaxUs = 150'000;
constexpr auto kPoll = std::chrono::milliseconds(1);

// One folder, from its first life to its end.
class FolderRun {
 public:
  FolderRun(const KillLoopOptions& options, uint64_t seed, Clock::time_point end)
      : options_(options),
        random_(seed),
        unique_places_(random_() % 2 == 0),
        judge_(seed),
        end_(end),
        home_(options.directory / fmt::format("folder-{:016x}", seed)) {}

  Problem Run() {
    std::filesystem::create_directories(home_);
    server_ = std::make_unique<ServerUnderTest>(home_, Settings());
    for (uint32_t i = 0; i < kWriters; i++) {
      writers_.push_back(std::make_unique<Writer>(OptionsOf(i), &judge_));
    }
    ReaderThread reader(server_->address(), kWriters, random_(), &judge_);
    Problem problem = Lives();
    if (!problem.has_value()) problem = Calm(&reader);
    if (!problem.has_value() && judge_.failed()) problem = judge_.failure();
    if (problem.has_value()) {
      judge_.Fail(*problem);
      return fmt::format("{}\nthe folder is left in {}", *problem, home_.string());
    }
    std::filesystem::remove_all(home_);
    counts_.folders = 1;
    return std::nullopt;
  }

  Totals totals() const {
    Totals totals = judge_.totals();
    totals.Add(counts_);
    return totals;
  }

 private:
  std::vector<std::string> Settings() {
    // Flushes by memory and by age, several segments between two of them.
    return {fmt::format("--memtable-bytes={}KiB", 256u << (random_() % 3)),
            fmt::format("--log-segment-bytes={}KiB", 64u << (random_() % 3)),
            fmt::format("--flush-interval={}ms", 100 + random_() % 3000)};
  }
  WriterOptions OptionsOf(uint32_t number) {
    WriterOptions options;
    options.address = server_->address();
    options.number = number;
    options.seed = random_();
    options.unique_places = unique_places_;
    options.buffered_one_in = number == 0 ? 5 : 0;
    return options;
  }
  std::string NextBackend() {
    if (options_.backends.empty()) return {};
    return options_.backends[lives_ % options_.backends.size()];
  }

  Problem Lives() {
    for (int kill = 0; kill < kKillsOfFolder && Clock::now() < end_; kill++) {
      if (Problem problem = OneLife(kill)) return problem;
      if (options_.progress) options_.progress(totals());
    }
    return std::nullopt;
  }

  Problem OneLife(int kill) {
    const uint64_t before = judge_.acknowledged();
    if (Problem problem = server_->Start(NextBackend())) return problem;
    lives_++;
    const bool early = random_() % kLivesPerEarlyKill == 0;
    while (!early && judge_.acknowledged() == before && server_->running() && !judge_.failed()) {
      std::this_thread::sleep_for(kPoll);
    }
    const uint64_t delay = random_() % (early ? kEarlyMaxUs : kLateMaxUs);
    std::this_thread::sleep_for(std::chrono::microseconds(delay));
    if (Problem problem = server_->Kill()) return problem;
    counts_.kills++;
    if (judge_.acknowledged() == before) counts_.kills_before_an_answer++;
    if (random_() % kKillsPerDrop == 0) {
      writers_[random_() % kWriters]->DropClient();
      counts_.clients_dropped++;
    }
    judge_.ServerDied();
    if (judge_.failed()) return judge_.failure();
    if (kill % kKillsPerScrub != kKillsPerScrub - 1) return std::nullopt;
    counts_.scrubs++;
    return server_->Scrub();
  }

  // No more kills: every batch is answered, and everything is looked at.
  Problem Calm(ReaderThread* background) {
    if (Problem problem = server_->Start(NextBackend())) return problem;
    lives_++;
    for (auto& writer : writers_) writer->Finish();
    background->Stop();
    if (judge_.failed()) return judge_.failure();
    Reader reader(&judge_);
    if (!reader.Connect(server_->address())) return judge_.failure();
    std::optional<uint64_t> others;
    if (unique_places_) others = 0;
    counts_.scrubs++;
    return CheckWhole(&reader, &judge_, server_.get(), kWriters, others);
  }

  const KillLoopOptions& options_;
  std::mt19937_64 random_;
  const bool unique_places_;
  Judge judge_;
  const Clock::time_point end_;
  const std::filesystem::path home_;
  // Goes after its clients.
  std::unique_ptr<ServerUnderTest> server_;
  std::vector<std::unique_ptr<Writer>> writers_;
  uint64_t lives_ = 0;
  Totals counts_;
};

}  // namespace

Problem RunKillLoop(const KillLoopOptions& options, Totals* totals) {
  std::mt19937_64 random(options.seed);
  const Clock::time_point end = Clock::now() + std::chrono::seconds(options.seconds);
  const Totals before = *totals;
  do {
    KillLoopOptions here = options;
    if (options.progress) {
      here.progress = [&](const Totals& of_folder) {
        Totals sum = *totals;
        sum.Add(of_folder);
        options.progress(sum);
      };
    }
    FolderRun folder(here, random(), end);
    Problem problem = folder.Run();
    totals->Add(folder.totals());
    if (problem.has_value()) return problem;
  } while (Clock::now() < end);
  if (totals->kills == before.kills || totals->acknowledged == before.acknowledged ||
      totals->samples_checked == before.samples_checked) {
    return "the run exercised nothing: no kill, no acknowledged batch, or nothing that was read";
  }
  return std::nullopt;
}

}  // namespace nexus::kill_loop
