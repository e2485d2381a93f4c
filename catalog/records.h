// Records of the catalog: what it stores, and the update that changes it.
//
// The catalog is derived from the log: an Update is the effect of one or more applied log records,
// handed over as a whole and committed as a whole. Everything in it is a set operation, so that
// applying it a second time changes nothing. Threading: plain values.
// Format of the stored forms: docs/format/catalog.md.

#ifndef NEXUS_CATALOG_RECORDS_H_
#define NEXUS_CATALOG_RECORDS_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/labels.h"
#include "base/types.h"
#include "catalog/series_set.h"

namespace nexus::catalog {

// Bounds of what a record may hold; a catalog value or image that claims more is damaged.
// A setting's name is an LMDB key: those have at most 511 bytes.
inline constexpr size_t kNameBytesMax = 255;           // tenants, branches, files, settings
inline constexpr size_t kSettingValueBytesMax = 4096;  // room for a selector or a URL
inline constexpr size_t kSettingsMax = 1024;           // a tenant's, and the database's own
// A delete's selector: 10,000 deletes of a branch (engine/tombstone.h) stay within 40 MiB.
inline constexpr size_t kTombstoneSelectorBytesMax = 4096;
// Rejected ranges kept of one producer: what exceeds this is the oldest, and is forgotten.
inline constexpr size_t kRejectedRangesMax = 256;
// Branches and snapshots of a tenant, main among them. Each has a record of every layer that it
// names, about 300 bytes in memory: 256 with 1,000 layers each take 77 MB.
inline constexpr size_t kBranchesMax = 256;
// Branches that a branch holds unflushed samples of at once. Each is one that it, or the one it
// came from, was made from; a flush leaves none.
inline constexpr size_t kInheritedMax = 256;

// The labels of a series. The log defines a series before it names it; so does the catalog.
struct SeriesDefinition {
  TenantId tenant;
  SeriesId id;
  std::string canonical;  // Labels::Canonical()

  bool operator==(const SeriesDefinition&) const = default;
};

// What a series is known by within its tenant: two series are one if and only if these are equal.
inline Hash128 SeriesIdentity(uint64_t identity_seed, std::string_view canonical) {
  return XxHash128(AsBytes(canonical), identity_seed);
}

struct Setting {
  std::string name;
  std::string value;

  bool operator==(const Setting&) const = default;
};

struct TenantRecord {
  TenantId id;
  std::string name;
  uint64_t identity_seed = 0;  // random, made with the tenant; never changes
  std::vector<Setting> settings;
  // Above the number of every branch that the tenant ever had: numbers are never used again.
  uint32_t next_branch = 1;
  // Where the edit that deleted it begins; 0: it lives. The record of a deleted one says that its
  // rows are to be purged (Catalog::PurgeTenant), and keeps its number from being used again.
  Lsn deleted = {};

  bool operator==(const TenantRecord&) const = default;
};

enum class BranchKind : uint8_t {
  kBranch = 0,
  kSnapshot = 1,  // takes no samples
};

struct BranchRecord {
  // Records of another branch that are a part of this one: those of `branch` below `until`.
  struct Inherited {
    BranchId branch;
    Lsn until;
    bool operator==(const Inherited&) const = default;
  };

  TenantId tenant;
  BranchId id;
  std::string name;
  Lsn sealed;  // every record below it that is a part of the branch is in its layers
  BranchKind kind = BranchKind::kBranch;
  BranchId parent;  // what it was made from, which may be gone; `main` names itself
  Lsn created;      // where the edit that made it begins; 0 for main
  int64_t created_wall_ns = 0;
  // Where records come from that may be in no layer: of the first up to its `until`, then of the
  // second, ...; behind the last one the branch's own. Ascending by `until`, all above `sealed`.
  std::vector<Inherited> inherited;

  void RaiseSealed(Lsn to) {
    if (to > sealed) sealed = to;
    std::erase_if(inherited, [this](const Inherited& from) { return from.until <= sealed; });
  }
  bool operator==(const BranchRecord&) const = default;
};

// Names a branch within a database.
struct BranchPlace {
  TenantId tenant;
  BranchId branch;
  bool operator==(const BranchPlace&) const = default;
};

// Names a producer within a database.
struct ProducerKey {
  TenantId tenant;
  BranchId branch;
  ProducerId id;

  auto operator<=>(const ProducerKey&) const = default;
};

// Samples of one batch that were refused while the rest was kept: sample numbers within it.
struct SampleRange {
  uint32_t first = 0;
  uint32_t count = 0;

  bool operator==(const SampleRange&) const = default;
};

// What a producer's repeated batches are recognised by and answered from.
struct ProducerRecord {
  struct Rejected {
    uint64_t sequence = 0;
    std::vector<SampleRange> ranges;
    bool operator==(const Rejected&) const = default;
  };

  TenantId tenant;
  BranchId branch;
  ProducerId id;
  uint64_t epoch = 0;
  uint64_t last_sequence = 0;  // every batch up to it is applied
  Lsn end;                     // behind the batch with that sequence
  int64_t active_wall_ns = 0;  // when it was last heard of
  std::vector<Rejected>
      rejected;  // of recent batches, ascending by sequence; only those with rejected samples

  ProducerKey key() const { return {tenant, branch, id}; }
  bool operator==(const ProducerRecord&) const = default;
};

// Names a layer for ever: (open count, sequence) is unique in a database, and a layer file that
// serves several branches has a record for each.
struct LayerKey {
  TenantId tenant;
  BranchId branch;
  uint64_t open_count = 0;
  uint64_t sequence = 0;

  auto operator<=>(const LayerKey&) const = default;
};

enum class LayerState : uint8_t {
  kLive = 0,
  // Retired: no query reads it. Listed until its unlink is known to be synced.
  kGarbage = 1,
};

struct LayerRecord {
  TenantId tenant;
  BranchId branch;
  uint64_t open_count = 0;
  uint64_t sequence = 0;
  std::string file_name;
  TimeRange range;
  uint32_t level = 0;
  int64_t resolution_ns = 0;  // 0: it holds samples; else rollups in buckets so wide
  WriteOrder low;             // lowest and highest write order of its samples
  WriteOrder high;
  Lsn deletes_applied;  // every delete of the branch below it is carried out in the layer
  uint64_t series = 0;
  uint64_t samples = 0;
  uint64_t file_bytes = 0;
  uint64_t footer_hash = 0;
  LayerState state = LayerState::kLive;

  LayerKey key() const { return {tenant, branch, open_count, sequence}; }
  bool is_rollup() const { return resolution_ns != 0; }
  bool operator==(const LayerRecord&) const = default;
};

// Names a delete of a branch: where its record begins in the log.
struct TombstoneKey {
  TenantId tenant;
  BranchId branch;
  WriteOrder order;

  auto operator<=>(const TombstoneKey&) const = default;
};

// A delete that is not carried out in every layer yet: samples of the series that `selector`
// chooses, within `range`, in layers of the branch that end before `order` (engine/tombstone.h).
struct TombstoneRecord {
  TenantId tenant;
  BranchId branch;
  WriteOrder order;
  TimeRange range;
  std::string selector;

  TombstoneKey key() const { return {tenant, branch, order}; }
  bool operator==(const TombstoneRecord&) const = default;
};

// Series of a tenant, as an Update concerns them.
struct LayeredSeries {
  TenantId tenant;
  SeriesSet ids;
};

class DeltaSegment;

// Everything that a run of applied log records changes. Order within it: tenants, branches and
// settings are set; series are defined, then known to be in layers; layers are added, then retired,
// then forgotten; tombstones are added, then forgotten; branches are deleted; series are forgotten.
//
// `applied` never goes back: an update below the catalog's applied LSN is known to be contained in
// it, so only its `garbage_removed` - a fact about files, not about the log - is done.
struct Update {
  Lsn applied;  // everything in the log below it is contained in the catalog after this update
  std::vector<TenantRecord> tenants;   // set whole; the identity seed must be the stored one
  std::vector<BranchRecord> branches;  // set; `sealed` is kept if the stored one is higher
  std::vector<Setting> settings;       // of the database; set
  // Series, in any order; those of `segments` (CatalogDelta::Cut) and those of `series` alike.
  std::vector<std::shared_ptr<const DeltaSegment>> segments;
  std::vector<SeriesDefinition> series;
  std::vector<LayerRecord> layers_added;  // one that is already listed keeps its state
  // Not above what `layers_added`, of this update or one before, hold. What is left out costs room
  // in images and nothing else.
  std::vector<LayeredSeries> series_layered;
  // Are in no layer any more; unlisted ones are ignored. One that is also in `series_layered` is
  // listed: too many cost room in images, too few their labels in a rebuilt catalog.
  std::vector<LayeredSeries> series_unlayered;
  // Are forgotten with their labels; unknown ones are ignored. Their ids are never used again.
  std::vector<LayeredSeries> series_forgotten;
  std::vector<LayerKey> layers_retired;  // become garbage; unlisted ones are ignored
  // Struck off the list: their unlink is synced, or another branch has a record of the file.
  // Unlisted ones are ignored.
  std::vector<LayerKey> garbage_removed;
  std::vector<ProducerRecord> producers;  // set
  std::vector<ProducerKey>
      producers_forgotten;  // unlisted ones are ignored; done before `producers`
  // With their producers; their layers must be retired. Unlisted ones are ignored.
  std::vector<BranchPlace> branches_deleted;
  std::vector<TombstoneRecord> tombstones_added;   // set
  std::vector<TombstoneKey> tombstones_forgotten;  // unlisted ones are ignored
  std::optional<uint64_t> next_series_id;          // never lowers the stored one
  std::optional<uint64_t> open_count;              // never lowers the stored one
};

// Features that a catalog or image was written with, each a bit. Unknown bits in `incompatible`
// refuse the file, in `read_only` refuse to write it, in `compatible` mean nothing.
struct FeatureWords {
  uint64_t incompatible = 0;
  uint64_t read_only = 0;
  uint64_t compatible = 0;

  bool operator==(const FeatureWords&) const = default;
};

struct Meta {
  DatabaseId database;
  FeatureWords features;
  Lsn applied;  // of the last commit; it may be lost at a crash
  Lsn synced;   // of the last commit known to survive a power cut; 0 if opened read-only
  uint64_t open_count = 0;
  uint64_t next_series_id = 1;  // above the id of every series in the catalog
};

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_RECORDS_H_
