// Deletes: how the applier takes them, and their tombstones' life. See delete_edits.h.

#include "engine/delete_edits.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/planted.h"
#include "engine/applier.h"

namespace nexus::engine {
namespace {

// Pairs of a tombstone and a layer that one search for what can be forgotten looks at: 5 ms.
constexpr size_t kPairsMax = 1'000'000;

// A selector was parsed before it came into the log, so one that is refused now is damage, or of
// another release.
Status Unreadable(const catalog::TombstoneRecord& record, const Status& status) {
  return DataLoss("the delete at LSN {} of branch {}, tenant {}, cannot be read: {}",
                  record.order.lsn.value, record.branch.value, record.tenant.value,
                  FromAbsl(status.message()));
}

std::shared_ptr<const Tombstone> FindTombstone(const Tombstones& list, const WriteOrder& order) {
  auto at = std::lower_bound(list.begin(), list.end(), order,
                             [](const auto& a, const WriteOrder& b) { return a->order() < b; });
  return at == list.end() || (*at)->order() != order ? nullptr : *at;
}

class DeleteFilter : public compaction::SampleFilter {
 public:
  DeleteFilter(Tombstones tombstones, TimeRange range)
      : tombstones_(std::move(tombstones)), range_(range) {}

  void AppendDropped(SeriesId, std::string_view canonical_labels,
                     std::vector<TimeRange>* dropped) const override {
    const std::vector<TimeRange> ranges = DeletedRanges(tombstones_, canonical_labels, range_);
    dropped->insert(dropped->end(), ranges.begin(), ranges.end());
  }

 private:
  const Tombstones tombstones_;
  const TimeRange range_;
};

}  // namespace

// ---- The applier's part.

Status Applier::ApplyEdit(const DeleteSamples& edit) {
  BranchState* branch = state_->FindBranch(edit.tenant, edit.branch);
  if (branch == nullptr) {
    return NotFound("the branch was deleted; there is nothing left to delete");
  }
  const WriteOrder order{state_->timeline, edits_begin_};
  std::shared_ptr<const Tombstone> tombstone = FindTombstone(*branch->tombstones, order);
  const bool is_known = tombstone != nullptr;
  if (!is_known) {
    catalog::TombstoneRecord record{edit.tenant, edit.branch, order, edit.range, edit.selector};
    auto made = Tombstone::Make(record);
    if (!made.ok()) return Unreadable(record, made.status());
    tombstone = *std::move(made);
  }
  // What replay has sealed, and not yet published, may come from before the delete though nothing
  // needed the tombstone when it was forgotten: in a damaged log, whose publish edits are lost.
  const bool has_sealed = branch->flushed_in_replay || !branch->sealed.empty();
  const bool adds = edits_ != Edits::kInPlace || has_sealed;
  if (adds && !is_known) AddTombstone(branch, tombstone);
  const bool in_memtable = edits_ != Edits::kShape && branch->active_first.has_value() &&
                           edits_begin_ >= branch->record.sealed;
  if (in_memtable && !NEXUS_PLANTED("delete-leaves-the-memtable")) {
    branch->active->Delete(std::move(tombstone));
  }
  if (!branch->stands_in) state_->Publish(*state_->tenants.at(edit.tenant.value), *branch);
  return OkStatus();
}

void Applier::AddTombstone(BranchState* branch, std::shared_ptr<const Tombstone> tombstone) {
  catalog::Update& update = state_->pending_update;
  if (!branch->stands_in) std::erase(update.tombstones_forgotten, tombstone->record().key());
  if (!branch->stands_in && !NEXUS_PLANTED("tombstone-not-persisted")) {
    update.tombstones_added.push_back(tombstone->record());
  }
  branch->tombstones = WithTombstone(branch->tombstones, std::move(tombstone));
  // Its layers may be worth compacting now.
  branch->layer_edits++;
  state_->layer_edits++;
}

Status Applier::ApplyEdit(const TombstonesForgotten& edit) {
  BranchState* branch = state_->FindBranch(edit.tenant, edit.branch);
  if (branch == nullptr) {
    return FailedPrecondition("forget deletes: branch {} does not exist", edit.branch.value);
  }
  Status status;
  std::vector<WriteOrder> orders = edit.tombstones;
  std::sort(orders.begin(), orders.end());
  auto left = std::make_shared<Tombstones>();
  for (const auto& tombstone : *branch->tombstones) {
    const bool named = std::binary_search(orders.begin(), orders.end(), tombstone->order());
    if (named && !LayersNeed(*branch, *tombstone)) {
      state_->pending_update.tombstones_forgotten.push_back(tombstone->record().key());
      continue;
    }
    if (named) {
      status = FailedPrecondition("forget deletes: a layer needs that at LSN {}",
                                  tombstone->order().lsn.value);
    }
    left->push_back(tombstone);
  }
  branch->tombstones = std::move(left);
  state_->Publish(*state_->tenants.at(edit.tenant.value), *branch);
  return status;
}

// ---- Their life.

Status LoadTombstones(DatabaseState* state, std::vector<catalog::TombstoneRecord> records) {
  std::map<BranchState*, std::shared_ptr<Tombstones>> lists;
  for (catalog::TombstoneRecord& record : records) {
    BranchState* branch = state->FindBranch(record.tenant, record.branch);
    if (branch == nullptr) continue;
    auto made = Tombstone::Make(record);
    if (!made.ok()) return Unreadable(record, made.status());
    auto& list = lists[branch];
    if (list == nullptr) list = std::make_shared<Tombstones>();
    list->push_back(*std::move(made));
  }
  for (auto& [branch, list] : lists) branch->tombstones = std::move(list);
  return OkStatus();
}

Status CheckTombstoneLimit(const BranchState& branch, const Tombstone& added) {
  constexpr char kWayOut[] = "compact first (nexus compact), which carries deletes out";
  const size_t count = branch.tombstones->size() + branch.deletes_in_flight;
  if (count >= kTombstonesMax) {
    return ResourceExhausted(
        "branch {} has {} deletes to be carried out, the most there may be; {}", branch.record.name,
        count, kWayOut);
  }
  if (added.expressions() == 0) return OkStatus();
  size_t expressions = added.expressions() + branch.deletes_in_flight;
  for (const auto& tombstone : *branch.tombstones) expressions += tombstone->expressions();
  if (expressions <= kTombstoneExpressionsMax) return OkStatus();
  return ResourceExhausted(
      "the deletes of branch {} to be carried out have {} regular expressions, at most {} may be; "
      "{}",
      branch.record.name, expressions, kTombstoneExpressionsMax, kWayOut);
}

void InheritTombstones(const BranchState& parent, BranchState* child, catalog::Update* update) {
  auto list = std::make_shared<Tombstones>();
  for (const auto& tombstone : *parent.tombstones) {
    list->push_back(tombstone->Of(child->record.id));
    update->tombstones_added.push_back(list->back()->record());
  }
  child->tombstones = std::move(list);
}

void HandOnTombstones(const BranchState& writer, Lsn until, BranchState* heir,
                      catalog::Update* update) {
  if (!writer.flushed_in_replay && writer.sealed.empty()) return;
  for (const auto& tombstone : *writer.tombstones) {
    const bool is_missing = tombstone->order().lsn < until &&
                            FindTombstone(*heir->tombstones, tombstone->order()) == nullptr;
    if (!is_missing) continue;
    auto handed_on = tombstone->Of(heir->record.id);
    if (!heir->stands_in) update->tombstones_added.push_back(handed_on->record());
    heir->tombstones = WithTombstone(heir->tombstones, std::move(handed_on));
  }
}

void ForgetTombstonesOf(const BranchState& branch, catalog::Update* update) {
  for (const auto& tombstone : *branch.tombstones) {
    update->tombstones_forgotten.push_back(tombstone->record().key());
  }
}

bool LayersNeed(const BranchState& branch, const Tombstone& tombstone, size_t* looked_at) {
  return std::any_of(branch.layers.begin(), branch.layers.end(), [&](const OpenLayer& open) {
    if (looked_at != nullptr) ++*looked_at;
    return Filters(tombstone.order(), MarkOf(open.record)) &&
           tombstone.range().Overlaps(open.record.range);
  });
}

std::vector<WriteOrder> TombstonesToForget(const BranchState& branch) {
  std::vector<WriteOrder> orders;
  const std::optional<Lsn> unflushed = branch.OldestUnflushed();
  // A tombstone that is needed is soon seen to be; those that take long to look at can be
  // forgotten. So what is left out comes first the next time.
  size_t pairs = 0;
  for (const auto& tombstone : *branch.tombstones) {
    if (pairs > kPairsMax) break;
    const bool in_memory = unflushed.has_value() && *unflushed < tombstone->order().lsn &&
                           !NEXUS_PLANTED("tombstone-forgotten-before-the-flush");
    if (!in_memory && !LayersNeed(branch, *tombstone, &pairs)) orders.push_back(tombstone->order());
  }
  return orders;
}

std::vector<Edit> EditsToForgetTombstones(const DatabaseState& state) {
  std::vector<Edit> edits;
  for (const auto& [number, tenant] : state.tenants) {
    for (const auto& [branch_number, branch] : tenant->branches) {
      if (branch->tombstones->empty()) continue;
      std::vector<WriteOrder> orders = TombstonesToForget(*branch);
      if (orders.empty()) continue;
      TombstonesForgotten edit;
      edit.tenant = tenant->record.id;
      edit.branch = branch->record.id;
      edit.tombstones = std::move(orders);
      edits.emplace_back(std::move(edit));
    }
  }
  return edits;
}

// ---- For the compactor.

bool HasDeletes(const Tombstones& tombstones, const catalog::LayerRecord& layer) {
  return !TombstonesFor(tombstones, MarkOf(layer), layer.range).empty();
}

std::shared_ptr<const compaction::SampleFilter> SampleFilterFor(const Tombstones& tombstones,
                                                                const DeleteMark& mark,
                                                                TimeRange range) {
  Tombstones concerning = TombstonesFor(tombstones, mark, range);
  if (concerning.empty()) return nullptr;
  return std::make_shared<DeleteFilter>(std::move(concerning), range);
}

}  // namespace nexus::engine
