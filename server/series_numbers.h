// SeriesNumbers: a connection's numbers for the series of one tenant, and batches rewritten from
// numbers to ids where they lie.
//
// A batch of the wire has the form of a batch record, with numbers for ids
// (docs/format/protocol.md): mapping it costs a table look-up a sample, none for rows that repeat
// the ids of the row before, and no copy. Samples of a number that has no series are rejected, the
// others kept. A series that was forgotten for want of samples leaves its number without one: the
// client registers the series again on another connection. Bounds: kSeriesMax numbers, 8 bytes
// each. Failure: InvalidArgument for a batch that is malformed or claims what only the server may
// say; Unavailable for one that names a forgotten series. Threading: one thread at a time.

#ifndef NEXUS_SERVER_SERIES_NUMBERS_H_
#define NEXUS_SERVER_SERIES_NUMBERS_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "base/types.h"
#include "batch/batch.h"
#include "engine/state.h"

namespace nexus::server {

class SeriesNumbers {
 public:
  // Gives the next number, from 1; id 0: the series was refused, its samples are rejected.
  void Add(SeriesId id) { ids_.push_back(id.value); }
  uint32_t next() const { return static_cast<uint32_t>(ids_.size() + 1); }

  // Looks which series are still known, unless `generation` is that of the last time. Costs 2 ns a
  // number.
  void Refresh(const engine::TenantState& tenant, uint64_t generation);
  // Ids were looked up when the generation was this one, and added since.
  void LookedUpAt(uint64_t generation) { generation_ = std::min(generation_, generation); }
  uint64_t generation() const { return generation_; }

  // What mapping a batch found.
  struct Mapped {
    uint32_t samples = 0;
    std::optional<batch::ExactlyOnce> once;
    std::vector<batch::RejectedRange> rejected;  // to be appended to the body
    uint64_t rejected_samples = 0;
  };
  // Rewrites numbers to ids, and the tenant and branch. Errors: InvalidArgument; Unavailable;
  // ResourceExhausted - ids of one section lie more than 2^32 apart. The body is spoilt after an
  // error. REQUIRES: 8-byte aligned.
  StatusOr<Mapped> MapInPlace(MutableBytes body, TenantId tenant, BranchId branch) const;

 private:
  static constexpr uint64_t kForgotten = UINT64_MAX;

  static bool IsSeries(uint64_t id) { return id + 1 > 1; }
  uint64_t IdOf(uint64_t number) const { return number - 1 < ids_.size() ? ids_[number - 1] : 0; }
  Status MapSection(const batch::SectionView& section,
                    std::vector<batch::RejectedRange>* rejected) const;

  std::vector<uint64_t> ids_;  // of number i + 1; 0: refused; or kForgotten
  uint64_t generation_ = UINT64_MAX;
};

// Appends `mapped.rejected` behind a mapped body of `bytes`, whose buffer has room for them, and
// says so in its header. Returns the new length.
size_t AppendRejected(std::byte* body, size_t bytes,
                      const std::vector<batch::RejectedRange>& rejected);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_SERIES_NUMBERS_H_
