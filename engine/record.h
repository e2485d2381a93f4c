// Definition and edit records: what changes state besides samples (batches: batch.h).
//
// A definition says what labels a series id stands for; it precedes, in the log, the first batch
// that names the id. An edit record is a list of edits; one applier takes it in log order, checks
// what each edit expects, and does nothing for one that fails (DESIGN section 4): decoding says
// only that the bytes are well formed.
//
// Decoding bounds every allocation by the bytes there are and checks the structure of all of them;
// of labels it checks the separators (base/labels.h has the rules). What decodes can be encoded,
// and decodes to the same again. Errors of decoding: DataLoss, what is wrong and at which byte of
// the body; FailedPrecondition, an edit of a newer nexus. Threading: pure functions. Format:
// docs/format/record.md, format.h.

#ifndef NEXUS_ENGINE_RECORD_H_
#define NEXUS_ENGINE_RECORD_H_

#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/types.h"
#include "catalog/records.h"
#include "engine/format.h"
#include "engine/retention_rule.h"

namespace nexus::engine {

std::string EncodeDefinitions(std::span<const catalog::SeriesDefinition> definitions);
StatusOr<std::vector<catalog::SeriesDefinition>> DecodeDefinitions(Bytes body);

// Layers come to live, others retire, in one step.
//
// A compaction retires its inputs and leaves `sealed` at 0: it concerns `branch` alone. A flush
// adds layers that hold every record that was written to `branch` since the last one and lies below
// `sealed`. They become layers of every branch and snapshot of which these records are a part
// (branches.h) - which is not listed, because it follows from the edits before, and a branch may be
// made after this edit was written and before it is applied. `branch` itself may be gone.
// Expects: of a flush, some branch that has not got these records in its layers; of a compaction,
// that the branch exists, retired layers are live, added ones are not listed.
struct PublishLayers {
  TenantId tenant;
  BranchId branch;
  Lsn sealed;
  std::vector<catalog::LayerRecord> layers;  // live ones of `branch`
  std::vector<catalog::LayerKey> retired;
  bool operator==(const PublishLayers&) const = default;
};

// Expects: neither number nor name is taken. Makes the branch "main" with it.
struct CreateTenant {
  TenantId id;
  std::string name;
  uint64_t identity_seed = 0;
  bool operator==(const CreateTenant&) const = default;
};

// Changes settings of a tenant: one with an empty value is taken away.
// Expects: the tenant exists, and has no more than catalog::kSettingsMax settings then.
struct SetTenant {
  TenantId id;
  std::vector<catalog::Setting> settings;
  bool operator==(const SetTenant&) const = default;
};

// A tenant goes, with all its branches. Its layers retire; its number is never used again, its name
// may be. Expects: the tenant exists and is not the first one.
struct DeleteTenant {
  TenantId id;
  bool operator==(const DeleteTenant&) const = default;
};

// A branch or snapshot that begins with what `parent` holds where this edit begins.
// Expects: the parent exists, the name is free, the number was never taken, the tenant has fewer
// than catalog::kBranchesMax branches, the parent inherits from fewer than catalog::kInheritedMax.
struct CreateBranch {
  TenantId tenant;
  BranchId id;
  std::string name;
  BranchId parent;
  catalog::BranchKind kind = catalog::BranchKind::kBranch;
  int64_t wall_ns = 0;  // when
  bool operator==(const CreateBranch&) const = default;
};

// Its layers retire; files that other branches have records of stay. Expects: the branch exists and
// is not main.
struct DeleteBranch {
  TenantId tenant;
  BranchId id;
  bool operator==(const DeleteBranch&) const = default;
};

// The files of these retired layers are unlinked for good. Expects nothing: unlisted ones are
// ignored.
struct GarbageRemoved {
  std::vector<catalog::LayerKey> layers;
  bool operator==(const GarbageRemoved&) const = default;
};

// Opens an epoch of a producer and fences the older ones. Expects: the branch exists. Of two edits
// the higher epoch stands.
struct OpenProducer {
  TenantId tenant;
  BranchId branch;
  ProducerId producer;
  uint64_t epoch = 0;
  int64_t wall_ns = 0;  // when
  bool operator==(const OpenProducer&) const = default;
};

// Forgets producers that have been silent. Each only if it is as named: a batch in between keeps
// it.
struct ForgetProducers {
  struct Silent {
    ProducerId producer;
    uint64_t epoch = 0;
    uint64_t last_sequence = 0;
    bool operator==(const Silent&) const = default;
  };
  TenantId tenant;
  BranchId branch;
  std::vector<Silent> producers;
  bool operator==(const ForgetProducers&) const = default;
};

// Deletes the samples of a branch within `range`, of the series that the selector chooses, as far
// as they were written before this edit. A record holds one at most: where it begins names it.
// Expects: the branch exists.
struct DeleteSamples {
  TenantId tenant;
  BranchId branch;
  TimeRange range;
  std::string selector;
  bool operator==(const DeleteSamples&) const = default;
};

// Forgets deletes that are carried out wherever they concern anything. Expects of each that no
// live layer of the branch still needs it; those that one needs are kept.
struct TombstonesForgotten {
  TenantId tenant;
  BranchId branch;
  std::vector<WriteOrder> tombstones;
  bool operator==(const TombstonesForgotten&) const = default;
};

// The tenant keeps samples by these rules from now on, and the retention clock is at least there.
// Expects: the tenant exists.
struct SetRetention {
  TenantId tenant;
  int64_t clock_ns = 0;
  std::vector<RetentionRule> rules;
  bool operator==(const SetRetention&) const = default;
};

// The retention clock of the database is at least there: time has passed, or somebody has said so.
// Expects nothing; a clock that is further stays.
struct AcceptClock {
  int64_t clock_ns = 0;
  bool operator==(const AcceptClock&) const = default;
};

// Forgets series: their labels and ids. Nothing holds a sample of them where this edit begins -
// no layer, no memtable, no record before it that is still to be applied - and nothing behind it
// names them: that was judged when it got its place in the log (series_forgetter.h), so it is done
// without asking again. Expects: the tenant exists; series that are not known are ignored.
struct ForgetSeries {
  struct Series {
    SeriesId id;
    Hash128 identity;
    bool operator==(const Series&) const = default;
  };
  TenantId tenant;
  std::vector<Series> series;  // ascending by id
  bool operator==(const ForgetSeries&) const = default;
};

using Edit = std::variant<PublishLayers, CreateTenant, CreateBranch, GarbageRemoved, OpenProducer,
                          ForgetProducers, DeleteSamples, TombstonesForgotten, DeleteBranch,
                          SetTenant, DeleteTenant, SetRetention, AcceptClock, ForgetSeries>;

// REQUIRES: at most kPublishedLayersMax layers in each list, names of at most
// catalog::kNameBytesMax bytes, settings within the bounds of catalog/records.h, at most
// kDeletesOfRecordMax deletes, each with a selector of 1 to catalog::kTombstoneSelectorBytesMax
// bytes and a range that is not empty; of a retention at most kRulesOfRecordMax rules, each with a
// selector of so many bytes; of series to forget 1 to kForgottenSeriesMax, ascending by id.
std::string EncodeEdits(std::span<const Edit> edits);
StatusOr<std::vector<Edit>> DecodeEdits(Bytes body);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_RECORD_H_
