// Interner: gives series their ids.
//
// Known series are found by any thread in the identity map. New ones get the next id on the loop;
// their definitions are kept here until the committer has put them into the log, just ahead of the
// first record that could name them - or into records of their own, if many wait. A storm of new
// series waits for the catalog here, where it delays nobody but itself: appends to known series
// need no room for definitions. An id that was given but never logged is forgotten with the
// process. Series that have no samples are forgotten (series_forgetter.h): they leave the map in
// the step in which their edit gets its place in the log, so whoever asks for them then gets a new
// id, whose definition stands behind that edit. The identity map is filled by one scan of the
// catalog after opening; until it is done only the loop's Intern waits, queries do not. Threading:
// Find from any thread; the rest on the loop.

#ifndef NEXUS_ENGINE_INTERNER_H_
#define NEXUS_ENGINE_INTERNER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "catalog/identity_map.h"
#include "catalog/records.h"
#include "engine/idle_series.h"
#include "engine/record.h"
#include "engine/state.h"
#include "io/task.h"

namespace nexus::engine {

// Definitions in one log record: with the largest labels (base/labels.h: 64 KiB a series) a record
// stays at 4 MiB, a quarter of a frame's bound; with usual ones it is 16 KiB.
inline constexpr size_t kDefinitionsPerRecord = 64;

class Interner {
 public:
  explicit Interner(DatabaseState* state) : state_(state) {}

  // Called when definitions are to be logged though nothing follows them (Committer).
  void set_log_definitions(std::function<void()> log) { log_definitions_ = std::move(log); }

  // The id of a series, or 0 if it is not known (yet): until the scan has ended ids that it has
  // found are not yet those that batches may name. `seed` is the tenant's identity seed. Any
  // thread.
  SeriesId Find(TenantId tenant, uint64_t seed, std::string_view canonical);

  // The same by identity, for who will not hand the id out.
  SeriesId FindIdentity(TenantId tenant, Hash128 identity) const {
    if (!ids_known_.load(std::memory_order_acquire)) return SeriesId{};
    return identities_.Find(tenant, identity);
  }

  // Fills the identity map from the catalog; Intern waits for it. Series whose definitions replay
  // applied are added by AddKnown.
  io::Task<Status> Load();
  // Returns when the scan has ended, well or not.
  io::Task<void> WaitLoaded();
  // Of the scan. REQUIRES: WaitLoaded has returned.
  const Status& load_status() const { return load_status_; }
  void AddKnown(const TenantState& tenant, SeriesId id, std::string_view canonical);

  // The ids of series, given now if they are new, in the order of `canonicals`. Many at once take
  // turns with whatever else the loop has to do.
  // Errors: NotFound (tenant), ResourceExhausted (more series than the map can hold, or than the
  // tenant's series_max allows; those within it have their ids from now on; the catalog takes no
  // more within admission_timeout_ms), and of the scan.
  io::Task<StatusOr<std::vector<SeriesId>>> Intern(TenantId tenant,
                                                   std::vector<std::string> canonicals);
  // The same, but that a tenant's series_max is no error: what is beyond it has id 0.
  struct WithinQuota {
    std::vector<SeriesId> ids;
    Status refused;  // why some are 0
  };
  io::Task<StatusOr<WithinQuota>> InternWithinQuota(TenantId tenant,
                                                    std::vector<std::string> canonicals);

  // The next definitions that the log does not hold yet, at most kDefinitionsPerRecord of them; the
  // committer marks them when they have a log position.
  std::span<const catalog::SeriesDefinition> undefined() const;
  uint64_t undefined_bytes() const;
  void MarkDefined(size_t count);

  // ---- Forgetting.

  // Any thread, likewise: from now on WasHandedOut tells whether somebody got the id of an identity
  // since. REQUIRES: WaitLoaded has returned.
  void BeginIdle(TenantId tenant, Hash128 identity) { identities_.Untouch(tenant, identity); }
  bool WasHandedOut(TenantId tenant, Hash128 identity) const {
    return identities_.WasTouched(tenant, identity);
  }
  // Takes series out of the map and of the tenant's ids; unknown ones are ignored.
  void Forget(TenantState* tenant, std::span<const ForgetSeries::Series> series);
  // Who is asked before (SeriesHolder); removed before it goes.
  void AddHolder(const SeriesHolder* holder) { holders_.push_back(holder); }
  void RemoveHolder(const SeriesHolder* holder) { std::erase(holders_, holder); }
  void KeepHeld(IdleSeries* idle) const {
    for (const SeriesHolder* holder : holders_) holder->KeepHeld(idle);
  }

  uint64_t memory_bytes() const { return identities_.memory_bytes(); }

 private:
  // 0 if it is new and the tenant has as many as it may have.
  StatusOr<SeriesId> InternOne(TenantState* tenant, std::string canonical);

  // Returns when the catalog has room for new series. ResourceExhausted.
  io::Task<Status> WaitForRoom();

  DatabaseState* const state_;
  std::function<void()> log_definitions_;
  catalog::IdentityMap identities_;
  io::Event loaded_;
  catalog::SeriesSet forgotten_unloaded_;  // by replay: the catalog that is scanned may have them
  std::vector<const SeriesHolder*> holders_;
  std::atomic<bool> ids_known_ = false;  // the scan has ended well, and its ids are in the tenants
  Status load_status_;
  std::deque<std::vector<catalog::SeriesDefinition>> undefined_;  // a record's worth each
  size_t undefined_series_ = 0;                                   // in all of them
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_INTERNER_H_
