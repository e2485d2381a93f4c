// What a run appends and reads, and how the answers to both are judged. See run_state.h.

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "tests/sim/listings.h"
#include "tests/sim/run_state.h"

namespace nexus::sim_test {

void Run::Append::Done(CommitRequest* request, const Status& status) {
  auto* self = static_cast<Append*>(request);
  Run* run = self->owner_;
  if (request->kind == Kind::kEdit) {
    if (status.ok()) {
      self->batch_.first->Acknowledged(self->batch_.second);
      run->Count("deletes acknowledged");
    } else if (absl::IsUnavailable(status)) {
      run->unknown_.push_back(self->batch_);
    } else {
      self->batch_.first->Refused(self->batch_.second);
    }
    return;
  }
  if (status.ok() && request->expired != nullptr) {
    for (const batch::RejectedRange& range : request->expired->rejected) {
      self->batch_.first->Rejected(self->batch_.second, range.first, range.count);
      for (uint32_t i = 0; i < range.count; i++) {
        run->rejected_.push_back(
            self->batch_.first->PlaceOf(self->batch_.second, range.first + i).timestamp);
      }
    }
  }
  if (status.ok() && request->buffered) {
    self->batch_.first->Buffered(self->batch_.second, run->world_.now_ns());
    run->buffered_.push_back(self->batch_);
    run->Count("appends acknowledged as buffered");
  } else if (status.ok()) {
    self->batch_.first->Acknowledged(self->batch_.second);
    run->Count("appends acknowledged");
  } else if (absl::IsUnavailable(status)) {
    // The log failed. What became of the batch shows at the next opening, not before.
    run->unknown_.push_back(self->batch_);
    run->Count("appends whose log failed");
  } else {
    self->batch_.first->Refused(self->batch_.second);
    run->Count("appends refused");
    if (IsExpired(status))
      run->rejected_.push_back(self->batch_.first->NewestOf(self->batch_.second));
    if (IsUnknownSeries(status)) {
      run->Count("appends refused for forgotten series");
      run->life_->ForgetIds();
    }
  }
}

void Run::Append::Release(CommitRequest* request) {
  auto* self = static_cast<Append*>(request);
  std::erase_if(self->owner_->appends_, [&](const auto& append) { return append.get() == self; });
}

std::vector<Place> PlacesOf(const Op& op) {
  const auto [form, series, start, count, buffered] = op.arguments;
  std::set<Place> places;
  sim::Rng rng(sim::MixBits(static_cast<uint64_t>(series * kTimestamps + start)));
  for (int64_t i = 0; i < count; i++) {
    int64_t number = series;
    int64_t second = start;
    switch (form) {
      case kScrape:
        number = i % kSeries;
        break;
      case kRun:
        second = start + i;
        break;
      case kFresh:
        number = kFirstFresh + (series + i % 3) % kFreshSeries;
        second = start + i / 3;
        break;
      default:
        number = static_cast<int64_t>(rng.Below(kSeries));
        second = static_cast<int64_t>(rng.Below(kTimestamps));
    }
    places.insert({static_cast<uint32_t>(number), second * kSecondNs});
  }
  return {places.begin(), places.end()};
}

void Run::DoAppend(const Op& op) {
  if (op.arguments[0] == kFresh) Count("appends of new series");
  Send(PlacesOf(op), "main", op.arguments[4] != 0);
}

void Run::Send(const std::vector<Place>& places, const std::string& branch, bool buffered) {
  if (places.empty()) return;
  std::vector<uint32_t> series;
  for (const Place& place : places) {
    if (std::find(series.begin(), series.end(), place.series) == series.end()) {
      series.push_back(place.series);
    }
  }
  std::optional<Status> interned = life_->Intern(series);
  if (!interned.has_value() || !interned->ok()) {
    // The catalog could not be asked; nothing was submitted.
    if (!world_.options()->mask.Has(Fault::kWriteError)) Fail("interning failed");
    return;
  }
  const auto target = life_->core()->state()->published.FindWritable("default", branch);
  if (!target.ok()) return Fail(fmt::format("rule 1: {}", FromAbsl(target.status().message())));
  const std::shared_ptr<Oracle> oracle = branches_.Find(branch);
  const uint64_t number = oracle->Submit(places);
  auto append = std::make_unique<Append>(this, oracle, number);
  append->tenant = target->tenant;
  append->branch = target->branch;
  append->encoder.SetTarget(target->tenant, target->branch);
  std::vector<engine::SeriesSample> samples;
  for (size_t i = 0; i < places.size(); i++) {
    samples.push_back({life_->IdOf(places[i].series), places[i].timestamp,
                       std::bit_cast<double>(oracle->ValueOf(number, i))});
  }
  append->encoder.Add(samples);
  append->body = append->encoder.Finish();
  append->buffered = buffered;
  append->deadline_ns =
      world_.environment()->MonotonicNanos() + tuned_.admission_timeout_ms * 1'000'000;
  CommitRequest* request = append.get();
  appends_.push_back(std::move(append));
  Count("appends");
  world_.RunOnLoop([&] { life_->core()->committer()->Submit(request); });
}

void Run::DoClientAppend(const Op& op) {
  if (clients_->count() == 0) return;
  const int64_t client = op.arguments[0] % clients_->count();
  const auto series =
      static_cast<uint32_t>(kFirstClientSeries + client * kClientStride + op.arguments[1]);
  std::vector<Place> places;
  for (int64_t i = 0; i < op.arguments[3]; i++) {
    places.push_back({series, (op.arguments[2] + i) * kSecondNs});
  }
  if (!places.empty()) clients_->Append(client, std::move(places));
}

void Run::CheckRange(Oracle::Query query, int64_t pause, bool damaged, const std::string& branch) {
  const Status status = TryRange(query, pause, branch);
  if (damaged && absl::IsDataLoss(status)) return Count("queries that met damage");
  if (damaged) return Judge(status, nullptr);
  Judge(status, [&] { return TryRange(query, 0, branch); });
  if (failed()) return;
  auto rollups = [&] {
    return TryRollups(branch, SelectorOf(query.series_first, query.series_last),
                      {query.first, query.last});
  };
  Judge(rollups(), rollups);
}

// Opening a file may fail where faults hit; without them the same query must succeed.
void Run::Judge(const Status& status, const std::function<Status()>& again) {
  if (status.ok()) return;
  const bool by_fault = Has(Fault::kMetadataError) && IsByFault(FromAbsl(status.message()));
  if (again == nullptr || !by_fault) {
    return Fail(fmt::format("query failed: {}", FromAbsl(status.message())));
  }
  Count("queries that faults spoilt");
  const sim::FaultMask mask = world_.options()->mask;
  SetFaults(false);
  const Status second = again();
  world_.options()->mask = mask;
  if (!second.ok()) Fail(fmt::format("query failed again: {}", FromAbsl(second.message())));
}

// A query that rests at this chunk does so until what it reads may have been compacted away.
constexpr int64_t kLongPause = 4;

Status Run::TryRange(Oracle::Query query, int64_t pause, const std::string& branch) {
  const std::shared_ptr<Oracle> oracle = branches_.Find(branch);
  ExpireInOracles();
  query.acknowledged_at_start = oracle->acknowledgements();
  auto view = life_->core()->View("default", branch);
  NEXUS_RETURN_IF_ERROR(view.status());
  SelectQuery select;
  select.selector = SelectorOf(query.series_first, query.series_last);
  select.range = {query.first, query.last};
  select.limits.deadline_ms = 0;
  auto cursor = engine::MakeSelectCursor(std::move(*view), select);
  NEXUS_RETURN_IF_ERROR(cursor.status());
  std::vector<Observed> observed;
  SeriesChunk chunk;
  for (int64_t chunks = 1;; chunks++) {
    StatusOr<bool> more = (*cursor)->Next(&chunk);
    NEXUS_RETURN_IF_ERROR(more.status());
    if (!*more) break;
    const auto series = static_cast<uint32_t>(std::stoul(chunk.labels->front().value));
    for (size_t i = 0; i < chunk.timestamps.size(); i++) {
      observed.push_back({{series, chunk.timestamps[i]}, std::bit_cast<uint64_t>(chunk.values[i])});
    }
    // What others do meanwhile must not show in this cursor.
    if (pause > 0 && chunks % pause == 0) {
      world_.RunFor(chunks == kLongPause ? 2 * kSecondNs : pause * 300'000);
    }
  }
  Count("queries");
  if (!observed.empty()) Count("queries with data");
  const QueryStatistics& statistics = (*cursor)->statistics();
  if (statistics.layers > 0 && statistics.memtables > 0) Count("queries over memtable and layers");
  if (auto wrong = oracle->Check(query, observed)) Fail(std::move(*wrong));
  if (failed() || query.series_last != UINT32_MAX) return OkStatus();
  if (auto wrong = CheckListings(life_->core(), observed)) Fail(std::move(*wrong));
  return OkStatus();
}

// Rule 15: nothing is rejected for its age that some rule keeps. What is known of rules and clock
// must be up to date.
void Run::CheckRejected() {
  for (const std::vector<int64_t>& some :
       {std::exchange(rejected_, {}), clients_->TakeRejected()}) {
    Count("samples rejected as expired", some.size());
    for (int64_t timestamp : some) {
      if (retention_.MayReject(timestamp, world_.now_ns())) continue;
      Fail(fmt::format("rule 15: a sample at {} was rejected as expired, and is kept", timestamp));
    }
  }
}

void Run::DoQuery(const Op& op) {
  Oracle::Query query;
  query.series_first = static_cast<uint32_t>(op.arguments[0]);
  query.series_last =
      static_cast<uint32_t>(std::min(kSeries - 1, op.arguments[0] + op.arguments[1]));
  query.first = op.arguments[2] * kSecondNs;
  query.last = query.first + op.arguments[3] * kSecondNs;
  CheckRange(query, op.arguments[4]);
}

}  // namespace nexus::sim_test
