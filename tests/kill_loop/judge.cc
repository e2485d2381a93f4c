// The oracle, shared. See judge.h.

#include "tests/kill_loop/judge.h"

#include <fmt/format.h>

#include <utility>

namespace nexus::kill_loop {

void Totals::Add(const Totals& other) {
  kills += other.kills;
  kills_before_an_answer += other.kills_before_an_answer;
  clients_dropped += other.clients_dropped;
  folders += other.folders;
  full_disks += other.full_disks;
  scrubs += other.scrubs;
  batches += other.batches;
  acknowledged += other.acknowledged;
  duplicates += other.duplicates;
  buffered += other.buffered;
  refusals += other.refusals;
  queries += other.queries;
  queries_interrupted += other.queries_interrupted;
  samples_checked += other.samples_checked;
  decided_present += other.decided_present;
  decided_absent += other.decided_absent;
}

Judge::Batch Judge::Submit(std::vector<Place> places) {
  MutexLock lock(&mutex_);
  std::set<uint32_t> series;
  for (const Place& place : places) series.insert(place.series);
  submitted_series_.insert(series.begin(), series.end());
  series_of_.emplace_back(series.begin(), series.end());
  const size_t samples = places.size();
  Batch batch;
  // Clients write side by side: their batches enter the log in no order of ours.
  batch.number = oracle_.Submit(std::move(places), /*ordered=*/false);
  for (size_t i = 0; i < samples; i++) batch.bits.push_back(oracle_.ValueOf(batch.number, i));
  totals_.batches++;
  return batch;
}

void Judge::Acknowledged(uint64_t batch, bool duplicate) {
  MutexLock lock(&mutex_);
  oracle_.Acknowledged(batch);
  acknowledged_series_.insert(series_of_[batch].begin(), series_of_[batch].end());
  totals_.acknowledged++;
  if (duplicate) totals_.duplicates++;
}

void Judge::Buffered(uint64_t batch) {
  MutexLock lock(&mutex_);
  oracle_.Buffered(batch, 0);
  doubtful_.push_back(batch);
  totals_.buffered++;
}

void Judge::Doubtful(uint64_t batch) {
  MutexLock lock(&mutex_);
  doubtful_.push_back(batch);
}

void Judge::ServerDied() {
  MutexLock lock(&mutex_);
  deaths_++;
  for (uint64_t batch : doubtful_) oracle_.InDoubt(batch);
  doubtful_.clear();
}

Judge::Start Judge::Begin(bool with_series) {
  MutexLock lock(&mutex_);
  Start start = {oracle_.acknowledgements(), deaths_, {}};
  if (with_series) start.series = acknowledged_series_;
  return start;
}

bool Judge::Check(const Start& start, Oracle::Query query, const std::vector<Observed>& observed) {
  MutexLock lock(&mutex_);
  if (start.deaths != deaths_) return true;
  totals_.queries++;
  totals_.samples_checked += observed.size();
  query.acknowledged_at_start = start.acknowledgements;
  std::optional<std::string> wrong = oracle_.Check(query, observed);
  if (!wrong.has_value()) return true;
  FailLocked(*std::move(wrong));
  return false;
}

bool Judge::CheckSeries(const Start& start, const std::set<uint32_t>& listed) {
  MutexLock lock(&mutex_);
  totals_.queries++;
  for (uint32_t series : start.series) {
    if (listed.contains(series)) continue;
    FailLocked(fmt::format("series {} has acknowledged samples and is not listed", series));
    return false;
  }
  for (uint32_t series : listed) {
    if (submitted_series_.contains(series)) continue;
    FailLocked(fmt::format("series {} is listed and was never written", series));
    return false;
  }
  return true;
}

void Judge::Interrupted() {
  MutexLock lock(&mutex_);
  totals_.queries_interrupted++;
}

void Judge::FailLocked(std::string what) {
  if (!failure_.has_value()) failure_ = std::move(what);
}

void Judge::Fail(std::string what) {
  MutexLock lock(&mutex_);
  FailLocked(std::move(what));
}

bool Judge::failed() const {
  MutexLock lock(&mutex_);
  return failure_.has_value();
}

std::string Judge::failure() const {
  MutexLock lock(&mutex_);
  return failure_.value_or("");
}

uint64_t Judge::acknowledged() const {
  MutexLock lock(&mutex_);
  return totals_.acknowledged;
}

Totals Judge::totals() const {
  MutexLock lock(&mutex_);
  Totals totals = totals_;
  totals.decided_present = oracle_.decided_present();
  totals.decided_absent = oracle_.decided_absent();
  return totals;
}

}  // namespace nexus::kill_loop
