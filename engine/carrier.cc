// Carrying, and how the applier takes a carry. See carrier.h.

#include "engine/carrier.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/planted.h"
#include "catalog/label_index.h"
#include "compaction/rollup_bucket.h"
#include "engine/applier.h"
#include "engine/batch.h"
#include "engine/carry_record.h"
#include "engine/rollups.h"

namespace nexus::engine {
namespace {

// A sample that is in no layer: a timestamp and a value.
constexpr uint64_t kSampleBytes = 16;
// What a carry takes of the log, about: a frame's header, its own, the batch's, a section's, the
// labels of a few series; and for each sample an id, a timestamp and a value.
constexpr uint64_t kCarryFixedBytes = 64 + sizeof(CarryHeader) + 64 + 32 + 200;
constexpr uint64_t kCarrySampleBytes = 24;
// Memtables are read and written so many bytes at a time: as much as a log buffer holds, and about
// 10 ms of a worker.
constexpr uint64_t kPieceBytes = 1 << 20;
// Fewer samples of a series go among the loose ones.
constexpr size_t kSeriesSamplesMin = 8;

// Whether what it holds is to be flushed for retention's sake: some of it may be expired, or
// buckets are to be made of it before it is.
bool MayHoldExpired(const DatabaseState& state, const TenantState& tenant,
                    const BranchState& branch) {
  const std::optional<int64_t> clock_ns = state.retention_clock.applied_ns();
  if (tenant.retention->empty() || !clock_ns.has_value()) return false;
  const int64_t first = branch.active->range().first;
  const std::vector<int64_t> cuts = tenant.retention->CutsAt(*clock_ns);
  if (first < *std::max_element(cuts.begin(), cuts.end())) return true;
  const compaction::RollupOptions rollups = RollupOptionsOf(state, tenant, branch);
  if (rollups.resolutions_ns.empty()) return false;
  // The coarsest bucket begins first.
  const int64_t bucket = compaction::BucketStart(first, rollups.resolutions_ns.back());
  return bucket < rollups.hurry_before_ns;
}

// What is left of memtables, as carries.
class Encoder {
 public:
  Encoder(const catalog::Catalog& catalog, std::shared_ptr<const catalog::DeltaView> delta)
      : catalog_(catalog), delta_(std::move(delta)), batch_({}, {}) {}

  // Reads the memtable up to `limit`: the body of a carry, or nothing if deletes leave nothing of
  // it, or of one of its series. Such a series may be forgotten while the log still has its
  // batches, which only what is flushed passes over in replay.
  StatusOr<std::vector<uint64_t>> Encode(TenantId tenant, BranchId branch, const Memtable& memtable,
                                         uint32_t limit, Lsn since, Lsn until) {
    if (!index_.has_value()) {
      NEXUS_ASSIGN_OR_RETURN(catalog::Reader reader, catalog_.BeginRead());
      index_.emplace(std::move(reader), delta_);
    }
    batch_.Reset(tenant, branch);
    definitions_.clear();
    loose_.clear();
    ids_.clear();
    memtable.AppendSeriesIds(&ids_);
    const bool has_deletes = memtable.HasDeletes(limit) && !NEXUS_PLANTED("carry-forgets-deletes");
    for (const SeriesId id : ids_) {
      NEXUS_ASSIGN_OR_RETURN(const bool is_left,
                             AddSeries(tenant, id, memtable, limit, has_deletes));
      if (!is_left) return std::vector<uint64_t>();
    }
    // What was scraped together is found as rows.
    std::stable_sort(
        loose_.begin(), loose_.end(),
        [](const SeriesSample& a, const SeriesSample& b) { return a.timestamp < b.timestamp; });
    batch_.Add(loose_);
    if (batch_.sample_count() == 0) return std::vector<uint64_t>();
    return EncodeCarry(since, until, definitions_, batch_.Finish());
  }

 private:
  // False if deletes leave nothing of the series.
  StatusOr<bool> AddSeries(TenantId tenant, SeriesId id, const Memtable& memtable, uint32_t limit,
                           bool has_deletes) {
    Read(id, memtable, limit, {});
    // One that has just come has samples behind the limit only, and maybe no labels yet.
    if (timestamps_.empty()) return true;
    NEXUS_ASSIGN_OR_RETURN(std::string canonical, index_->Canonical(tenant, id));
    if (has_deletes) Read(id, memtable, limit, memtable.DeletedRowsOf(canonical, limit));
    if (timestamps_.empty()) return false;
    definitions_.push_back({tenant, id, std::move(canonical)});
    if (timestamps_.size() >= kSeriesSamplesMin) {
      batch_.AddSeries(id, timestamps_, values_);
      return true;
    }
    for (size_t i = 0; i < timestamps_.size(); i++) {
      loose_.push_back({id, timestamps_[i], values_[i]});
    }
    return true;
  }

  void Read(SeriesId id, const Memtable& memtable, uint32_t limit,
            std::span<const DeletedRows> deleted) {
    timestamps_.clear();
    values_.clear();
    memtable.Read(id, TimeRange{}, limit, &timestamps_, &values_, deleted);
  }

  const catalog::Catalog& catalog_;
  const std::shared_ptr<const catalog::DeltaView> delta_;
  std::optional<catalog::LabelIndex> index_;
  BatchEncoder batch_;
  std::vector<catalog::SeriesDefinition> definitions_;
  std::vector<SeriesSample> loose_;
  std::vector<SeriesId> ids_;
  std::vector<int64_t> timestamps_;
  std::vector<double> values_;
};

}  // namespace

class Carrier::Request : public CommitRequest {
 public:
  Request(Carrier* carrier, Read read)
      : CommitRequest(Kind::kCarry, std::as_bytes(std::span(read.body)), &Done, &Release),
        carrier_(carrier),
        body_(std::move(read.body)) {
    tenant = read.tenant;
    branch = read.branch;
  }

 private:
  static void Done(CommitRequest* request, const Status& status) {
    auto* self = static_cast<Request*>(request);
    if (!status.ok()) return;
    self->carrier_->carries_++;
    self->carrier_->carried_bytes_ += self->body.size();
  }
  static void Release(CommitRequest* request) {
    Carrier* carrier = static_cast<Request*>(request)->carrier_;
    // They are answered in the order of the log.
    NEXUS_CHECK(carrier->requests_.front().get() == request);
    carrier->requests_.pop_front();
    if (carrier->requests_.empty()) carrier->answered_.Pulse();
  }
  Carrier* const carrier_;
  const std::vector<uint64_t> body_;
};

Carrier::Carrier(DatabaseState* state, Committer* committer)
    : state_(state), committer_(committer) {}

Carrier::~Carrier() = default;

bool Carrier::MayCarry(const TenantState& tenant, const BranchState& branch) const {
  const uint64_t unflushed = branch.active->samples() * kSampleBytes;
  const bool is_small = unflushed > 0 && unflushed <= state_->options.carry_bytes_max;
  return is_small && (branch.sealed.empty() || NEXUS_PLANTED("carry-beside-a-flush")) &&
         branch.carry_misses < kCarryTries && !MayHoldExpired(*state_, tenant, branch);
}

Carrier::Candidate Carrier::CandidateOf(const TenantState& tenant, const BranchState& branch,
                                        bool is_due) {
  const uint64_t bytes = kCarryFixedBytes + branch.active->samples() * kCarrySampleBytes;
  return {tenant.record.id, branch.record.id, bytes, is_due};
}

uint64_t Carrier::RoundBytes() const {
  return std::min(state_->options.log_segment_bytes, state_->options.log_bytes_max) / 4;
}

std::vector<Carrier::Candidate> Carrier::TakeExcess(std::vector<Candidate>* candidates) const {
  auto smaller = [](const Candidate& a, const Candidate& b) { return a.bytes < b.bytes; };
  std::stable_sort(candidates->begin(), candidates->end(), smaller);
  uint64_t bytes = 0;
  size_t carried = 0;
  while (carried < candidates->size() && bytes + (*candidates)[carried].bytes <= RoundBytes()) {
    bytes += (*candidates)[carried++].bytes;
  }
  std::vector<Candidate> excess(candidates->begin() + static_cast<ptrdiff_t>(carried),
                                candidates->end());
  candidates->resize(carried);
  return excess;
}

// The next of the candidates, a piece of them.
std::vector<Carrier::Read> Carrier::Begin(const std::vector<Candidate>& candidates,
                                          size_t* next) const {
  std::vector<Read> reads;
  for (uint64_t bytes = 0; *next < candidates.size() && bytes < kPieceBytes; ++*next) {
    const Candidate& candidate = candidates[*next];
    const BranchState* branch = state_->FindBranch(candidate.tenant, candidate.branch);
    if (branch == nullptr || !branch->active_first.has_value()) continue;
    Read& read = reads.emplace_back();
    read.tenant = candidate.tenant;
    read.branch = candidate.branch;
    read.memtable = branch->active;
    read.limit = branch->active->limit();
    read.since = *branch->active_first;
    read.until = state_->applied;
    bytes += candidate.bytes;
  }
  return reads;
}

io::Task<void> Carrier::Encode(std::vector<Read>* reads) {
  auto encode = [reads, catalog = state_->catalog.get(), delta = state_->delta.View()] {
    Encoder encoder(*catalog, delta);
    for (Read& read : *reads) {
      auto body = encoder.Encode(read.tenant, read.branch, *read.memtable, read.limit, read.since,
                                 read.until);
      // What cannot be read a flush meets, too, and tells.
      if (body.ok()) read.body = *std::move(body);
    }
    return OkStatus();
  };
  (co_await state_->environment->executor()->Run(io::Lane::kWorker, encode)).IgnoreError();
}

bool Carrier::AppendOne(Read read, const Committer::Unapplied& unapplied, uint64_t* room) {
  const BranchState* branch = state_->FindBranch(read.tenant, read.branch);
  const bool is_quiet = !unapplied.edits && branch->deletes_in_flight == 0 &&
                        !unapplied.branches.contains({read.tenant.value, read.branch.value}) &&
                        branch->active->limit() == read.limit;
  if (!is_quiet && !NEXUS_PLANTED("carry-with-unapplied-batches")) return false;
  const uint64_t bytes = read.body.size() * sizeof(uint64_t);
  auto request = std::make_unique<Request>(this, std::move(read));
  if (!committer_->AppendAtOnce(request.get())) return false;
  *room -= bytes;
  requests_.push_back(std::move(request));
  return true;
}

void Carrier::Append(std::vector<Read> reads, uint64_t* room) {
  const Committer::Unapplied unapplied = committer_->InFlight();
  for (Read& read : reads) {
    BranchState* branch = state_->FindBranch(read.tenant, read.branch);
    // Sealed meanwhile, or gone: there is nothing to be done for it.
    if (branch == nullptr || branch->active != read.memtable) continue;
    // What has nothing to carry, and what the round has no room for, is flushed.
    const bool is_carried = !read.body.empty() && read.body.size() * sizeof(uint64_t) <= *room;
    if (!is_carried) branch->carry_misses = kCarryTries;
    if (is_carried && !AppendOne(std::move(read), unapplied, room)) branch->carry_misses++;
  }
}

io::Task<bool> Carrier::Carry(std::vector<Candidate> candidates) {
  const uint64_t carries_before = carries_;
  uint64_t room = RoundBytes();
  for (size_t next = 0; next < candidates.size();) {
    std::vector<Read> reads = Begin(candidates, &next);
    co_await Encode(&reads);
    Append(std::move(reads), &room);
    while (!requests_.empty()) co_await answered_.Wait();
  }
  co_return carries_ > carries_before;
}

// ---- The applier's part.

Status Applier::ApplyCarry(Lsn begin, Bytes body, bool in_replay) {
  NEXUS_ASSIGN_OR_RETURN(CarryView carry, CarryView::Parse(body));
  const TenantId tenant_id = carry.batch.tenant();
  const BranchId branch_id = carry.batch.branch();
  BranchState* branch = state_->FindBranch(tenant_id, branch_id);
  if (branch == nullptr && state_->WasDeleted(tenant_id, branch_id)) return OkStatus();
  if (branch == nullptr || branch->record.kind == catalog::BranchKind::kSnapshot) {
    return DataLoss("a carry names tenant {} branch {}, which the log never made", tenant_id.value,
                    branch_id.value);
  }
  state_->carries_unsynced.push_back({begin, carry.since});
  const bool is_in_layers = branch->record.sealed >= carry.until;
  auto holds_it = [&](const SealedMemtable& sealed) {
    return sealed.writer == branch_id && sealed.sealed >= carry.until;
  };
  const bool is_sealed = std::any_of(branch->sealed.begin(), branch->sealed.end(), holds_it);
  if (is_in_layers || is_sealed) return OkStatus();
  const TenantState& tenant = *state_->tenants.at(tenant_id.value);
  // A damaged log, whose publish edits are lost, may have put older records there: what the carry
  // stands for is then taken a second time, above itself, which changes no answer.
  const bool has_more = branch->active_first.has_value() && *branch->active_first < carry.since &&
                        !NEXUS_PLANTED("carry-beside-a-flush");
  if (!has_more) {
    const std::shared_ptr<Memtable> replaced = std::move(branch->active);
    branch->active = state_->NewMemtable(replaced.get());
    state_->ReleaseMemtable(tenant, replaced.get());
    branch->active_first = begin;
    branch->active_since_ns = state_->environment->MonotonicNanos();
  }
  branch->carry_misses = 0;
  const uint64_t before = branch->active->bytes();
  branch->active->Apply(carry.batch);
  state_->memtable_bytes += branch->active->bytes() - before;
  if (in_replay) applied_samples_ += carry.batch.sample_count();
  if (NEXUS_PLANTED("carry-pins-nothing")) branch->active_first.reset();
  if (NEXUS_PLANTED("carry-taken-for-a-flush")) {
    branch->record.RaiseSealed(carry.until);
    state_->pending_update.branches.push_back(branch->record);
  }
  state_->Publish(tenant, *branch);
  return OkStatus();
}

}  // namespace nexus::engine
