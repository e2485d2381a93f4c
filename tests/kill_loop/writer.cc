// A writer's life. See writer.h.

#include "tests/kill_loop/writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <set>
#include <utility>

#include "tests/kill_loop/patient.h"
#include "tests/kill_loop/workload.h"

namespace nexus::kill_loop {
namespace {

// Batches under way: some, so that a death hits several, and less than the client's own window.
constexpr uint64_t kWaitingMax = 40;
constexpr int64_t kForEverMs = 24LL * 3600 * 1000;
constexpr auto kPoll = std::chrono::microseconds(200);
// A series comes into being with every so many batches.
constexpr uint64_t kBatchesPerSeries = 10;

}  // namespace

Writer::Writer(WriterOptions options, Judge* judge)
    : options_(std::move(options)),
      judge_(judge),
      random_(options_.seed),
      thread_(&Writer::Run, this) {}

Writer::~Writer() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void Writer::DropClient() {
  drop_ = true;
  // One that is connecting has nothing under way, and drops its client before it has.
  while (drop_ && !connecting_ && !judge_->failed()) std::this_thread::sleep_for(kPoll);
}

void Writer::Finish() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

bool Writer::Connect() {
  connecting_ = true;
  client_ = ConnectPatiently(options_.address, fmt::format("writer {}", options_.number), judge_);
  series_.clear();
  connecting_ = false;
  return client_ != nullptr;
}

void Writer::Run() {
  if (!Connect()) return;
  while (!stop_ && !judge_->failed()) {
    if (drop_) {
      client_.reset();
      drop_ = false;
      if (!Connect()) return;
    }
    if (waiting_ >= kWaitingMax) {
      std::this_thread::sleep_for(kPoll);
      continue;
    }
    AppendOne();
    const int64_t pause =
        static_cast<int64_t>(random_() % static_cast<uint64_t>(options_.pause_max_us + 1));
    std::this_thread::sleep_for(std::chrono::microseconds(pause));
  }
  if (!judge_->failed()) client_->Sync();
  client_.reset();
}

std::vector<Place> Writer::ChoosePlaces() {
  const uint64_t samples = 1 + random_() % options_.batch_samples_max;
  const uint64_t known = std::min<uint64_t>(kWriterSeries, 1 + sent_ / kBatchesPerSeries);
  const uint32_t first = options_.number * kWriterStride;
  std::set<Place> places;
  for (uint64_t i = 0; i < samples; i++) {
    // The newest series often: it is the one whose definition may be lost.
    const uint64_t chosen = random_() % 4 == 0 ? known - 1 : random_() % known;
    const int64_t at = options_.unique_places
                           ? static_cast<int64_t>(sent_ * options_.batch_samples_max + i)
                           : static_cast<int64_t>(random_() % kTimestamps);
    places.insert({first + static_cast<uint32_t>(chosen), at});
  }
  sent_++;
  return {places.begin(), places.end()};
}

void Writer::AppendOne() {
  const std::vector<Place> places = ChoosePlaces();
  const bool buffered = options_.buffered_one_in != 0 && random_() % options_.buffered_one_in == 0;
  const Judge::Batch batch = judge_->Submit(places);
  client::WriteBatch write;
  for (size_t i = 0; i < places.size(); i++) {
    auto [found, fresh] = series_.try_emplace(places[i].series);
    if (fresh) found->second = client_->Series(kMetric, LabelsOf(places[i].series)).value();
    write.Add(found->second, places[i].timestamp, std::bit_cast<double>(batch.bits[i]));
  }
  client::AppendOptions options;
  options.ack = buffered ? client::Ack::kBuffered : client::Ack::kDurable;
  options.scope.timeout_ms = kForEverMs;
  waiting_++;
  client_->AppendAsync(std::move(write), options,
                       [this, number = batch.number, samples = places.size(),
                        buffered](const StatusOr<client::WriteOutcome>& outcome) {
                         OnOutcome(number, samples, buffered, outcome);
                         waiting_--;
                       });
}

void Writer::OnOutcome(uint64_t number, size_t samples, bool buffered,
                       const StatusOr<client::WriteOutcome>& outcome) {
  if (outcome.ok() && (outcome->accepted != samples || !outcome->rejected.empty())) {
    judge_->Fail(fmt::format("batch {}: {} of {} samples accepted ({})", number, outcome->accepted,
                             samples, outcome->reason));
  } else if (outcome.ok()) {
    buffered ? judge_->Buffered(number) : judge_->Acknowledged(number, outcome->duplicate);
  } else if ((drop_ && absl::IsCancelled(outcome.status())) ||
             (buffered && absl::IsUnavailable(outcome.status()))) {
    judge_->Doubtful(number);
  } else if (!judge_->failed()) {
    judge_->Fail(fmt::format("batch {} of writer {} failed: {}", number, options_.number,
                             outcome.status().ToString()));
  }
}

}  // namespace nexus::kill_loop
