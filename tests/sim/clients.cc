// The clients' side. See clients.h.

#include "tests/sim/clients.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "batch/batch_encoder.h"
#include "tests/sim/workload.h"

namespace nexus::sim_test {

Clients::Clients(sim::World* world, Oracle* oracle, int64_t count)
    : world_(world), oracle_(oracle) {
  for (int64_t i = 0; i < count; i++) {
    Client made;
    const uint64_t seed = static_cast<uint64_t>(i) + 1;
    client::Session::Options session;
    session.producer = {seed, ~seed};
    session.seed = seed;
    made.session = std::make_unique<client::Session>(std::move(session));
    made.target = made.session->Target("default", "main");
    client::Link::Options link;
    link.address = kServerAddress;
    link.seed = seed;
    sim::Outside* outside = world_->outside();
    made.link = std::make_unique<client::Link>(outside, outside->network(), made.session.get(),
                                               std::move(link));
    made.scope = std::make_unique<io::TaskScope>(outside->executor());
    world_->RunOutside([&] {
      made.scope->Spawn(made.link->Run());
      made.scope->Spawn(made.link->Beat());
    });
    clients_.push_back(std::move(made));
  }
}

Clients::~Clients() {
  if (clients_.empty()) return;
  world_->EndOutside();
  for (Client& client : clients_) {
    client.scope.reset();
    client.link.reset();
    client.session.reset();
  }
}

void Clients::Append(int64_t client, std::vector<Place> places) {
  Client& writer = clients_[static_cast<size_t>(client)];
  const uint64_t number = oracle_->Submit(places, /*ordered=*/false);
  auto write = std::make_unique<client::Write>();
  write->batch = std::make_shared<batch::BatchEncoder>(TenantId{}, BranchId{});
  std::vector<batch::SeriesSample> samples;
  const std::shared_ptr<client::SeriesBook> book = writer.session->Book(writer.target);
  for (size_t i = 0; i < places.size(); i++) {
    const SeriesId id = book->Number(CanonicalOf(places[i].series));
    write->last_series = std::max(write->last_series, id.value);
    samples.push_back(
        {id, places[i].timestamp, std::bit_cast<double>(oracle_->ValueOf(number, i))});
  }
  write->batch->Add(samples);
  write->deadline_ns = std::numeric_limits<int64_t>::max();
  write->done = [this, number, count = samples.size()](const auto& outcome) {
    OnOutcome(number, count, outcome);
  };
  waiting_++;
  world_->RunOutside([&] {
    writer.session->Append(writer.target, std::move(write));
    writer.link->Wake();
  });
}

void Clients::OnOutcome(uint64_t number, size_t samples,
                        const StatusOr<client::WriteOutcome>& outcome) {
  waiting_--;
  if (!outcome.ok()) {
    // Nobody gave it a deadline, and nothing is wrong with it.
    violation_ = fmt::format("batch {} of a client failed: {}", number,
                             FromAbsl(outcome.status().message()));
    return;
  }
  uint64_t rejected = 0;
  for (const batch::RejectedRange& range : outcome->rejected) {
    oracle_->Rejected(number, range.first, range.count);
    rejected += range.count;
    for (uint32_t i = 0; i < range.count; i++) {
      rejected_.push_back(oracle_->PlaceOf(number, range.first + i).timestamp);
    }
  }
  oracle_->Acknowledged(number);
  acknowledged_++;
  if (outcome->duplicate) duplicates_++;
  if (outcome->accepted + rejected != samples) {
    violation_ = fmt::format("batch {} of a client: {} of {} samples accepted, {} rejected", number,
                             outcome->accepted, samples, rejected);
  }
}

std::optional<std::string> Clients::violation() const {
  if (violation_.has_value()) return violation_;
  for (const Client& client : clients_) {
    const Status& failure = client.session->failure();
    if (!failure.ok()) return fmt::format("a client gave up: {}", FromAbsl(failure.message()));
  }
  return std::nullopt;
}

}  // namespace nexus::sim_test
