// Exactly once. See producers.h.

#include "engine/producers.h"

#include <algorithm>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/types/optional.h"
#include "engine/nexus.h"

namespace nexus::engine {
namespace {

std::string NameOf(ProducerId id) { return fmt::format("{:016x}{:016x}", id.high, id.low); }

// Where a status keeps the sequence that would be taken, in decimal.
constexpr absl::string_view kExpectedSequence = "nexus/expected-sequence";

Status WithExpectedSequence(Status status, uint64_t expected) {
  status.SetPayload(kExpectedSequence, absl::Cord(fmt::format("{}", expected)));
  return status;
}

}  // namespace

StatusOr<ProducerTable::Verdict> ProducerTable::Judge(const ExactlyOnce& triple) const {
  const ProducerId id = ProducerOf(triple);
  auto found = producers_.find(id);
  if (found == producers_.end()) {
    return FailedPrecondition(
        "producer {} is not known (it never opened an epoch, or was silent for 7 days); open a new "
        "epoch first",
        NameOf(id));
  }
  const Producer& producer = found->second;
  if (triple.epoch < producer.admitted_epoch) {
    return FailedPrecondition(
        "producer {}: epoch {} is fenced by epoch {}: another writer took over; stop, or open a "
        "newer epoch",
        NameOf(id), triple.epoch, producer.admitted_epoch);
  }
  if (triple.epoch > producer.admitted_epoch) {
    return FailedPrecondition("producer {}: epoch {} is not open (the newest is {}); open it first",
                              NameOf(id), triple.epoch, producer.admitted_epoch);
  }
  if (triple.sequence <= producer.applied.last_sequence) return Verdict::kApplied;
  if (triple.sequence <= producer.admitted_sequence) return Verdict::kInFlight;
  const uint64_t expected = producer.admitted_sequence + 1;
  if (triple.sequence == expected) return Verdict::kNew;
  return WithExpectedSequence(
      FailedPrecondition("producer {}: expected {}, got sequence {}; send what lies between first",
                         NameOf(id), expected, triple.sequence),
      expected);
}

void ProducerTable::Admit(const ExactlyOnce& triple) {
  producers_.find(ProducerOf(triple))->second.admitted_sequence = triple.sequence;
}

Status ProducerTable::BeginOpen(ProducerId id, uint64_t epoch) {
  Producer& producer = producers_[id];
  if (epoch < producer.admitted_epoch) {
    return FailedPrecondition("producer {}: epoch {} is older than the open epoch {}", NameOf(id),
                              epoch, producer.admitted_epoch);
  }
  producer.admitted_epoch = epoch;
  return OkStatus();
}

void ProducerTable::CancelOpen(ProducerId id, uint64_t epoch) {
  auto found = producers_.find(id);
  if (found == producers_.end() || found->second.admitted_epoch != epoch) return;
  found->second.admitted_epoch = found->second.applied.epoch;
  if (found->second.applied.epoch == 0) producers_.erase(found);
}

ProducerTable::Producer* ProducerTable::Change(ProducerId id) {
  Producer& producer = producers_[id];
  if (!producer.changed) {
    producer.changed = true;
    changed_.push_back(id);
  }
  producer.applied.id = id;
  return &producer;
}

void ProducerTable::ApplyOpen(ProducerId id, uint64_t epoch, int64_t wall_ns) {
  Producer* producer = Change(id);
  producer->applied.epoch = std::max(producer->applied.epoch, epoch);
  producer->applied.active_wall_ns = wall_ns;
  producer->admitted_epoch = std::max(producer->admitted_epoch, epoch);
}

void ProducerTable::ApplyBatch(const ExactlyOnce& triple, Lsn end,
                               std::span<const RejectedRange> rejected, int64_t wall_ns) {
  Producer* producer = Change(ProducerOf(triple));
  catalog::ProducerRecord& applied = producer->applied;
  applied.active_wall_ns = wall_ns;
  if (triple.sequence <= applied.last_sequence) return;  // replay of what the catalog has
  applied.epoch = std::max(applied.epoch, triple.epoch);
  applied.last_sequence = triple.sequence;
  applied.end = end;
  producer->admitted_epoch = std::max(producer->admitted_epoch, applied.epoch);
  producer->admitted_sequence = std::max(producer->admitted_sequence, triple.sequence);
  if (!rejected.empty()) {
    catalog::ProducerRecord::Rejected entry{triple.sequence, {}};
    for (const RejectedRange& range : rejected) entry.ranges.push_back({range.first, range.count});
    applied.rejected.push_back(std::move(entry));
  }
  TrimRejected(&applied);
}

void ProducerTable::TrimRejected(catalog::ProducerRecord* record) {
  size_t ranges = 0;
  auto kept = record->rejected.end();
  while (kept != record->rejected.begin()) {
    const catalog::ProducerRecord::Rejected& entry = *(kept - 1);
    ranges += entry.ranges.size();
    if (entry.sequence + kProducerWindow <= record->last_sequence) break;
    if (ranges > catalog::kRejectedRangesMax) break;
    --kept;
  }
  record->rejected.erase(record->rejected.begin(), kept);
}

bool ProducerTable::ApplyForget(ProducerId id, uint64_t epoch, uint64_t last_sequence) {
  auto found = producers_.find(id);
  if (found == producers_.end()) return false;
  const Producer& producer = found->second;
  bool unchanged = producer.applied.epoch == epoch && producer.admitted_epoch == epoch &&
                   producer.applied.last_sequence == last_sequence &&
                   producer.admitted_sequence == last_sequence;
  if (!unchanged) return false;
  if (producer.changed) std::erase(changed_, id);
  producers_.erase(found);
  return true;
}

void ProducerTable::Load(const catalog::ProducerRecord& record) {
  producers_[record.id] = {record, record.epoch, record.last_sequence, false};
}

void ProducerTable::TakeChanged(TenantId tenant, BranchId branch,
                                std::vector<catalog::ProducerRecord>* out) {
  for (ProducerId id : changed_) {
    Producer& producer = producers_.find(id)->second;
    producer.changed = false;
    out->push_back(producer.applied);
    out->back().tenant = tenant;
    out->back().branch = branch;
  }
  changed_.clear();
}

void ProducerTable::AppendAll(TenantId tenant, BranchId branch,
                              std::vector<catalog::ProducerRecord>* out) const {
  const size_t first = out->size();
  for (const auto& [id, producer] : producers_) {  // order-free: sorted below
    if (producer.applied.epoch == 0) continue;     // not opened yet
    out->push_back(producer.applied);
    out->back().tenant = tenant;
    out->back().branch = branch;
  }
  auto by_id = [](const catalog::ProducerRecord& a, const catalog::ProducerRecord& b) {
    return a.id < b.id;
  };
  std::sort(out->begin() + static_cast<ptrdiff_t>(first), out->end(), by_id);
}

void ProducerTable::MarkChanged(ProducerId id) {
  if (producers_.contains(id)) Change(id);
}

std::optional<ProducerTable::Known> ProducerTable::Find(ProducerId id) const {
  auto found = producers_.find(id);
  if (found == producers_.end() || found->second.applied.epoch == 0) return std::nullopt;
  const catalog::ProducerRecord& applied = found->second.applied;
  return Known{applied.epoch, applied.last_sequence, applied.end};
}

uint64_t ProducerTable::NewestEpoch(ProducerId id) const {
  auto found = producers_.find(id);
  return found == producers_.end() ? 0 : found->second.admitted_epoch;
}

std::span<const catalog::SampleRange> ProducerTable::RejectedOf(const ExactlyOnce& triple) const {
  auto found = producers_.find(ProducerOf(triple));
  if (found == producers_.end()) return {};
  for (const catalog::ProducerRecord::Rejected& entry : found->second.applied.rejected) {
    if (entry.sequence == triple.sequence) return entry.ranges;
  }
  return {};
}

void ProducerTable::AppendSilent(int64_t before_wall_ns, size_t limit,
                                 std::vector<catalog::ProducerRecord>* out) const {
  const size_t first = out->size();
  for (const auto& [id, producer] : producers_) {  // order-free: sorted below
    bool settled = producer.admitted_epoch == producer.applied.epoch &&
                   producer.admitted_sequence == producer.applied.last_sequence;
    if (settled && producer.applied.active_wall_ns < before_wall_ns) {
      out->push_back(producer.applied);
    }
  }
  auto by_id = [](const catalog::ProducerRecord& a, const catalog::ProducerRecord& b) {
    return a.id < b.id;
  };
  std::sort(out->begin() + static_cast<ptrdiff_t>(first), out->end(), by_id);
  if (out->size() - first > limit) out->resize(first + limit);
}

}  // namespace nexus::engine

namespace nexus {

std::optional<uint64_t> ExpectedSequence(const Status& status) {
  absl::optional<absl::Cord> payload = status.GetPayload(engine::kExpectedSequence);
  uint64_t expected = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &expected)) {
    return std::nullopt;
  }
  return expected;
}

}  // namespace nexus
