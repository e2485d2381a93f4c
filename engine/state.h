// DatabaseState: what the parts of an open database share - tenants, branches, memtables, layers,
// the catalog delta - and the published views that queries take.
//
// Everything here changes on the loop only, by the applier (records) and the sealing of memtables
// (a pointer swap). Queries on other threads see immutable BranchViews and delta segments,
// published under one mutex that is held for a map look-up. Inside the active memtable the visible
// ordinal moves with every applied batch; a query cuts it at the value that was read under that
// mutex. Threading: loop only, but for what is said to be for any thread.

#ifndef NEXUS_ENGINE_STATE_H_
#define NEXUS_ENGINE_STATE_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/types.h"
#include "catalog/catalog.h"
#include "catalog/delta.h"
#include "engine/folder.h"
#include "engine/layer_file.h"
#include "engine/layer_readers.h"
#include "engine/memtable.h"
#include "engine/options.h"
#include "engine/producers.h"
#include "engine/query_budget.h"
#include "engine/query_leases.h"
#include "engine/quota.h"
#include "engine/retention.h"
#include "engine/rollup_reader.h"
#include "engine/rollups.h"
#include "engine/sample_source.h"
#include "engine/tombstone.h"
#include "io/environment.h"
#include "io/file_cache.h"
#include "layer/layer.h"
#include "layer/page_cache.h"

namespace nexus::engine {

struct PublishLayers;

// A live layer: its catalog record, and its file, which the branches that list it share.
struct OpenLayer {
  catalog::LayerRecord record;
  LayerFilePtr file;
  int64_t added_ns = 0;  // monotonic: when it was published, or the database opened
};

// A retired layer whose file may still be there.
struct GarbageLayer {
  std::string file_name;
  // While a version that a query holds has it, the file may be opened and must stay.
  std::weak_ptr<const LayerFile> file;
};

// A memtable that takes no more samples and waits for its flush.
struct SealedMemtable {
  std::shared_ptr<Memtable> memtable;
  Lsn first;   // where its oldest record begins
  Lsn sealed;  // S: every record of the branch below it is here or in a layer
  // To which branch its records were written. Branches made from that one since share it.
  BranchId writer;
  uint32_t timeline = 0;  // the database's
};

// What of a branch is in memory only: a memtable that holds samples.
struct InMemory {
  TimeRange range;
  WriteOrder first;                  // its oldest record
  std::optional<WriteOrder> sealed;  // where it ends; none: it takes samples still
};

inline DeleteMark MarkOf(const SealedMemtable& sealed) {
  return {{sealed.timeline, sealed.sealed}, Lsn{}};
}

using Sources = std::vector<std::shared_ptr<const SampleSource>>;

// What a query of one branch sees; immutable but for the samples that the active memtable still
// gets.
struct BranchView {
  Sources settled;  // layers, then sealed memtables: in write order, oldest first
  std::shared_ptr<const RollupView> rollups;  // null: there are none
  std::shared_ptr<const Memtable> active;

  // All of them, the active memtable cut at `limit`, which its limit() returned. Any thread.
  Sources At(uint32_t limit) const;
};

// One branch of a tenant.
struct BranchState {
  catalog::BranchRecord record;  // record.sealed: the highest S published
  // Those of samples in write order, oldest first; behind them those of rollups.
  std::vector<OpenLayer> layers;
  uint64_t layer_edits = 0;  // rises whenever `layers`, or what is deleted in them, changes
  std::deque<SealedMemtable> sealed;
  std::shared_ptr<Memtable> active;
  std::shared_ptr<const Tombstones> tombstones = std::make_shared<Tombstones>();
  size_t deletes_in_flight = 0;    // on their way to become tombstones
  bool flushed_in_replay = false;  // to a layer that is not published yet
  ProducerTable producers;
  uint32_t next_ordinal = 0;        // of the active memtable
  std::optional<Lsn> active_first;  // where the oldest record of the active memtable begins
  int64_t active_since_ns = 0;      // monotonic: when that record was applied
  uint32_t carry_misses = 0;        // attempts to carry it that had to be put off
  // It is deleted; its records are replayed for those that were made from it (branches.h).
  bool stands_in = false;

  // The begin of the oldest record that is in no layer; nullopt if all are.
  std::optional<Lsn> OldestUnflushed() const {
    if (!sealed.empty()) return sealed.front().first;
    return active_first;
  }
  // Puts `layers` in their order; those of equal write order, which hold different samples, by key.
  void SortLayers();
  // REQUIRES: they are in order. Valid until they change.
  std::span<const OpenLayer> SampleLayers() const;
  std::span<const OpenLayer> RollupLayers() const;
};

// Ids are given in rising order from one counter, so those of a tenant form few ranges.
struct SeriesIdRange {
  uint64_t first = 0;
  uint64_t last = 0;
};

struct TenantState {
  explicit TenantState(const catalog::TenantRecord& from)
      : record(from), query_budget(std::make_shared<QueryBudget>(from.name)) {
    TakeSettings();
  }

  catalog::TenantRecord record;
  std::map<uint32_t, std::unique_ptr<BranchState>> branches;  // by number
  std::vector<SeriesIdRange> ids;                             // ascending, not adjacent
  std::shared_ptr<const RetentionRules> retention = std::make_shared<RetentionRules>();
  uint32_t branch_numbers_given = 0;  // to edits that may not be applied yet: all below it
  uint64_t series = 0;                // ids in `ids`
  TenantQuotas quotas;                // as the record's settings say
  std::vector<RollupRule> rollups;    // the same; ascending by resolution
  bool knows_rollups = false;         // else no setting says which; there may be layers of them
  RateMeter rate;                     // of samples_per_second
  uint64_t refused = 0;               // appends and new series since opening, for a quota
  std::shared_ptr<QueryBudget> query_budget;
  // Of the layers as of DatabaseState::layer_edits `of_edit`; see BytesOf.
  struct LayerBytes {
    uint64_t bytes = 0;
    uint64_t of_edit = UINT64_MAX;
  } layer_bytes;

  // The record's settings have changed.
  void TakeSettings() {
    quotas = QuotasOf(record.settings);
    const auto rules = RollupsFromSettings(record.settings);
    knows_rollups = rules.has_value();
    rollups = rules.value_or(std::vector<RollupRule>());
    query_budget->SetLimits(quotas);
  }
  void AddIds(SeriesIdRange added);
  // Ids that are not there are fine. Costs a walk over the ranges. REQUIRES: ascending.
  void RemoveIds(std::span<const uint64_t> removed);
  // The range with an id; null if it is no series of this tenant. Valid until ids change.
  const SeriesIdRange* RangeOf(uint64_t id) const;
  // How many of its ids are not below `first`.
  uint64_t SeriesFrom(SeriesId first) const;
  // True if every id in [lowest, highest] is a series of this tenant.
  bool HasIds(uint64_t lowest, uint64_t highest) const;
};

// What any thread may look up.
class PublishedState {
 public:
  struct Found {
    TenantId tenant;
    BranchId branch;
    uint64_t identity_seed = 0;
    std::shared_ptr<const BranchView> view;
    std::shared_ptr<const catalog::DeltaView> delta;
    // Of the view's active memtable, at the instant of `delta`: the series of every batch before it
    // are in the delta or in the catalog.
    uint32_t limit = 0;
    catalog::BranchKind kind = catalog::BranchKind::kBranch;
    std::shared_ptr<QueryBudget> query_budget;

    Sources sources() const { return view->At(limit); }
  };
  // Any thread. NotFound names the tenant or branch and lists what there is.
  StatusOr<Found> Find(std::string_view tenant, std::string_view branch) const;
  // The same for who will append. FailedPrecondition for a snapshot.
  StatusOr<Found> FindWritable(std::string_view tenant, std::string_view branch) const;
  std::vector<std::string> TenantNames() const;
  std::shared_ptr<const catalog::DeltaView> Delta() const;

  // Loop.
  // `retention_clock_ns`: by which samples may have been dropped.
  void SetBranch(const TenantState& tenant, const BranchState& branch,
                 std::optional<int64_t> retention_clock_ns = std::nullopt);
  void RemoveBranch(const TenantState& tenant, const BranchState& branch);
  void SetDelta(std::shared_ptr<const catalog::DeltaView> delta);

 private:
  struct Tenant {
    TenantId id;
    uint64_t identity_seed = 0;
    std::shared_ptr<QueryBudget> query_budget;
    struct Branch {
      BranchId id;
      catalog::BranchKind kind;
      std::shared_ptr<const BranchView> view;
    };
    std::map<std::string, Branch, std::less<>> branches;
  };
  mutable Mutex mutex_;
  std::map<std::string, Tenant, std::less<>> tenants_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const catalog::DeltaView> delta_ ABSL_GUARDED_BY(mutex_);
};

struct DatabaseState {
  DatabaseState(io::Environment* world, Options chosen);

  // Constant once the database is open.
  io::Environment* const environment;
  const Options options;
  const Folder folder;
  DatabaseId database;
  DatabaseId origin;      // the id that stands in the layers (identity.h)
  uint32_t timeline = 0;  // of everything that is written
  int64_t created_wall_ns = 0;
  uint64_t open_count = 0;
  std::unique_ptr<catalog::Catalog> catalog;  // reads: any thread; writes: the catalog lane
  const std::unique_ptr<layer::PageCache> pages;
  // The layers' files, and of these the readers in memory. Any thread.
  const std::unique_ptr<io::FileCache> files;
  const std::unique_ptr<LayerReaders> layer_readers;

  // Cursors over this database. Any thread.
  const std::unique_ptr<QueryLeases> query_leases = std::make_unique<QueryLeases>();

  std::map<uint32_t, std::unique_ptr<TenantState>> tenants;  // by number
  // Those that were deleted and that the log may still name, with where in it that was; the
  // catalog's keeper purges and forgets them.
  struct DeletedTenant {
    Lsn at;
    bool purged = false;
  };
  std::map<uint32_t, DeletedTenant> deleted_tenants;
  uint32_t next_tenant = 0;  // above the number of every tenant that is known, deleted ones too
  std::shared_ptr<MemtablePool> memtable_pool = std::make_shared<MemtablePool>();
  uint64_t memtable_bytes = 0;  // active and sealed of all branches
  Lsn applied;                  // every record below it is applied

  // Changes of the catalog that are applied and not yet handed to a commit; its series are in
  // `delta`.
  catalog::Update pending_update;
  catalog::CatalogDelta delta;
  uint64_t next_series_id = 1;
  // Rises when series are forgotten: ids that were looked up before are to be checked
  // (known_series.h).
  uint64_t series_generation = 1;
  uint64_t next_layer_sequence = 1;
  uint64_t layer_edits = 0;  // rises whenever that of a branch does
  RetentionClock retention_clock;
  // Carries that were applied, and where the records begin that each stands for: needed until the
  // catalog that is synced has the carry behind it.
  struct AppliedCarry {
    Lsn begin;
    Lsn since;
  };
  std::deque<AppliedCarry> carries_unsynced;  // in log order

  // While a damaged log is replayed: series whose definition was in the damage cannot be kept; they
  // are passed over and counted instead of stopping the flush.
  bool pass_over_undefined_series = false;
  uint64_t undefined_series = 0;
  uint64_t unusable_records = 0;  // of tenants or branches whose creation was in the damage

  // Replay wrote memtables to layers, and their publish edits are not applied yet.
  bool layers_unpublished = false;
  // Retired layers whose files may still be there: no query that begins now reads them, and nothing
  // may unlink them before the catalog that retires them is persistent.
  std::map<catalog::LayerKey, GarbageLayer> garbage;
  // Who reads files by their names (a scrub): garbage stays while there is one.
  int garbage_holders = 0;

  // Told each publish of layers in the step that applies it; empty: nobody wants to know.
  std::function<void(const PublishLayers&)> on_published;

  // How the last flush and the last commit of the catalog went: why memory does not become free.
  Status flush_status;
  Status commit_status;

  PublishedState published;

  BranchState* FindBranch(TenantId tenant, BranchId branch);
  // Whether the branch was there once: numbers are given in rising order.
  bool WasDeleted(TenantId tenant, BranchId branch) const;
  // Whether a layer waits in `pending_update` for the next commit.
  bool AddedSinceCommit(const catalog::LayerRecord& record) const;
  // True if the catalog or what is applied lists a live layer under this file name.
  bool ListsLayerFile(std::string_view file_name) const;
  // Names of the files of all live layers, and with `garbage` of retired ones.
  enum class Garbage : bool { kWithout, kWith };
  std::set<std::string, std::less<>> LayerFiles(Garbage garbage_too) const;
  // True if each of these layers is live in some branch, or garbage.
  bool Lists(const std::vector<layer::LayerKey>& layers) const;
  // The memtables of the branch that hold samples, the oldest first.
  std::vector<InMemory> InMemoryOf(const BranchState& branch) const;
  // A branch with an empty memtable, published.
  BranchState* AddBranch(TenantState* tenant, const catalog::BranchRecord& record);
  // A branch that no query sees, for BranchReplay.
  BranchState* AddStandIn(TenantState* tenant, const catalog::BranchRecord& record);
  // With its memtables, but for those that others share.
  void RemoveBranch(TenantState* tenant, BranchId branch);
  // REQUIRES: it is not deleted.
  TenantState* AddTenant(const catalog::TenantRecord& record);
  // Of a tenant that no record may name from now on; its branches are gone.
  void AddDeletedTenant(TenantId tenant, Lsn at);
  // Takes the active memtable out of use, as that of all records below `at`: a pointer swap.
  void Seal(TenantState* tenant, BranchState* branch, Lsn at);
  // A memtable has left a branch: gives its memory back once no branch has it.
  void ReleaseMemtable(const TenantState& tenant, const Memtable* memtable);
  // Takes what was inherited for flushed if no memtable with it is left; true if that changed the
  // record. Of a database that is open, or has replayed everything.
  bool SettleInherited(BranchState* branch);
  // `predecessor`: the one it follows, or null.
  std::shared_ptr<Memtable> NewMemtable(const Memtable* predecessor);
  // Appends the records of producers that changed since the last call.
  void TakeChangedProducers(std::vector<catalog::ProducerRecord>* out);
  void Publish(const TenantState& tenant, const BranchState& branch);
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_STATE_H_
