// SeriesForgetter: takes series of which no sample is left out of the label index.
//
// The catalog lists the series that are not known to be in a live layer (catalog: the tree
// `unlayered`; orphaned_series.h keeps it so). Of these it forgets, after a grace time, those of
// which nothing holds a sample: no live layer of any branch or snapshot, no memtable, no batch on
// its way. docs/architecture.md tells why nothing can be written under a forgotten id.
//   1 list: series of the list that are in no memtable, at most kIdleSeriesMax; from here on it
//     counts who gets their ids
//   2 after the grace: without those whose ids somebody got, and those that a layer holds
//   3 portions of kForgottenSeriesMax. While one is under way every batch that is submitted keeps
//     what it names; when all that was submitted before is applied, the edit is asked for
//   4 when the edit gets its place in the log: without what was kept, or is in a memtable, or held
//     by who is about to name it. It is put off if the tenant has garbage - layers whose files are
//     there, from which a rebuilt catalog would take the labels - or layers that were not looked at
//   5 in the same step they leave the identity map; applied, the catalog
// So the record says what is forgotten, unconditionally: replay comes to the same without asking.
// Failure: what was not forgotten is listed anew later; a layer that cannot be read keeps all
// series of its tenant, and of no other; a log or catalog that refuses ends the round. Threading:
// the task runs on the loop; looking is done on workers.

#ifndef NEXUS_ENGINE_SERIES_FORGETTER_H_
#define NEXUS_ENGINE_SERIES_FORGETTER_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "catalog/series_set.h"
#include "engine/catalog_keeper.h"
#include "engine/committer.h"
#include "engine/idle_series.h"
#include "engine/interner.h"
#include "engine/layer_file.h"
#include "engine/state.h"
#include "io/task.h"
#include "layer/layer.h"

namespace nexus::engine {

// Series that are listed at a time: 24 bytes each, so 6 MB. With the default grace a million and a
// half an hour.
inline constexpr size_t kIdleSeriesMax = 262'144;

class SeriesForgetter {
 public:
  SeriesForgetter(DatabaseState* state, Interner* interner, Committer* committer,
                  CatalogKeeper* keeper);

  // Does what is due; ends soon once `*give_up` is set. Best called when garbage was removed.
  io::Task<void> Step(const bool* give_up);
  // When there is something to do again, monotonic.
  int64_t due_ns() const { return due_ns_; }

  uint64_t forgotten() const { return forgotten_; }  // since the database was opened

 private:
  // Series of a tenant, ascending by id.
  struct Idle {
    TenantId tenant;
    std::vector<ForgetSeries::Series> series;
  };
  // Where in the catalog the next list begins.
  struct Place {
    TenantId tenant;
    SeriesId from;
  };
  class Portion;

  io::Task<Status> List();
  io::Task<Status> ForgetIdle(Idle idle, const bool* give_up);
  // Takes those that layers not looked at hold out of `left`, and off the catalog's list: a crash
  // between a publish and the next commit leaves them there.
  io::Task<Status> TakeAwayLayered(TenantId tenant, catalog::SeriesSet* left);
  // The first half of it.
  io::Task<Status> LookAtLayers(TenantId tenant, catalog::SeriesSet* left);
  io::Task<Status> ForgetPortion(TenantId tenant, std::vector<ForgetSeries::Series> series);
  std::vector<std::shared_ptr<const Memtable>> MemtablesOf(TenantId tenant) const;
  // Layers of any branch that were not looked at.
  std::vector<LayerFilePtr> NewLayersOf(TenantId tenant) const;

  DatabaseState* const state_;
  Interner* const interner_;
  Committer* const committer_;
  CatalogKeeper* const keeper_;
  Place next_;
  std::deque<Idle> idle_;
  std::set<layer::LayerKey> seen_;  // layers without any of the series at hand
  int64_t due_ns_;
  uint64_t forgotten_ = 0;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_SERIES_FORGETTER_H_
