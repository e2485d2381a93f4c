// Samples of an append that come too late: older than every rule of their tenant keeps.
//
// If a tenant's rules leave no series that is kept for ever, nothing is kept that is older than the
// longest of its retentions. Such samples are rejected, once, when their batch gets its place in
// the log, by the retention clock as far as the log has moved it; the record says which (its
// rejected ranges). Applier, flush, carry, replay and the answers to duplicates go by the record,
// so they agree whatever clock and rules are then. What some rule still keeps is taken without
// asking which rule chooses its series, and left to compaction (retention.h).
//
// Bounds: kExpiredRangesMax, and what room the record has. What is too old beyond these ranges is
// taken as well, and goes with the next compaction. Threading: loop only.

#ifndef NEXUS_ENGINE_EXPIRED_SAMPLES_H_
#define NEXUS_ENGINE_EXPIRED_SAMPLES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "catalog/records.h"
#include "engine/batch.h"

namespace nexus::engine {

struct DatabaseState;
struct TenantState;

// Rejected ranges of a batch that is too old in parts. What a producer's record holds, so that a
// duplicate gets the first copy's answer; 2 KiB of a record.
inline constexpr size_t kExpiredRangesMax = catalog::kRejectedRangesMax;

// What was too old of a batch.
struct ExpiredSamples {
  uint64_t samples = 0;
  bool nothing_left = false;  // of the batch, with what was rejected of it before
  Status reason;              // OutOfRange (IsExpired): names tenant, bound and the way out
  std::vector<RejectedRange> rejected;  // what the record says: those rejected before, and these
  Bytes body;                           // of the record; lies in `words`
  std::vector<uint64_t> words;
};

// Below this time nothing of the tenant is kept; kKeepAll if something is.
int64_t KeptFrom(const DatabaseState& state, const TenantState& tenant);

// Null if nothing is too old: most times that costs one comparison, else a look at every timestamp
// that the batch holds. `body`: of a batch; one that cannot be read is left to the applier.
std::unique_ptr<const ExpiredSamples> FindExpired(const DatabaseState& state,
                                                  const TenantState& tenant, Bytes body);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_EXPIRED_SAMPLES_H_
