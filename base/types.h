// The identifiers and positions that every floor speaks of: series, tenants, branches, log
// positions.
//
// Each is its own type, so that a series id cannot be passed where an LSN is meant. All are plain
// values of fixed width: what is stored or sent is the number inside.

#ifndef NEXUS_BASE_TYPES_H_
#define NEXUS_BASE_TYPES_H_

#include <compare>
#include <cstdint>
#include <functional>
#include <limits>

namespace nexus {

// A series within its database. Never re-used, zero is never given out.
struct SeriesId {
  uint64_t value = 0;
  auto operator<=>(const SeriesId&) const = default;
};

// A tenant. Number 0 is the tenant "default", made with the database.
struct TenantId {
  uint32_t value = 0;
  auto operator<=>(const TenantId&) const = default;
};

// A branch of a tenant. Number 0 is the branch "main", made with the tenant.
struct BranchId {
  uint32_t value = 0;
  auto operator<=>(const BranchId&) const = default;
};

// A byte position in the log stream of a database; positions are never re-used (DESIGN section 4).
// As a watermark ("durable", "applied") it is exclusive: everything below it is meant.
struct Lsn {
  uint64_t value = 0;
  auto operator<=>(const Lsn&) const = default;
};

// Place in the write order: of two samples of one series and timestamp the greater order wins.
// The timeline is 0 for a database of its own and rises by restore, takeover and rebase.
struct WriteOrder {
  uint32_t timeline = 0;
  Lsn lsn;
  auto operator<=>(const WriteOrder&) const = default;
};

// A random 128-bit number made with the database; stands in every file that belongs to it.
struct DatabaseId {
  uint64_t high = 0;
  uint64_t low = 0;
  auto operator<=>(const DatabaseId&) const = default;
};

// A writer that numbers its batches, so that a repeated one is known (DESIGN section 4): a 128-bit
// number that it chose, within one branch.
struct ProducerId {
  uint64_t high = 0;
  uint64_t low = 0;
  auto operator<=>(const ProducerId&) const = default;
};

// Nanoseconds since the Unix epoch, any value. A closed range [first, last] of them; empty if first
// > last.
struct TimeRange {
  int64_t first = std::numeric_limits<int64_t>::min();
  int64_t last = std::numeric_limits<int64_t>::max();
  auto operator<=>(const TimeRange&) const = default;

  bool empty() const { return first > last; }
  bool Contains(int64_t ts) const { return first <= ts && ts <= last; }
  bool Contains(TimeRange other) const { return first <= other.first && other.last <= last; }
  bool Overlaps(TimeRange other) const { return first <= other.last && other.first <= last; }
};

// Hash functors for the containers of Abseil and of the standard library.
template <typename H>
H AbslHashValue(H h, SeriesId id) {
  return H::combine(std::move(h), id.value);
}
template <typename H>
H AbslHashValue(H h, TenantId id) {
  return H::combine(std::move(h), id.value);
}
template <typename H>
H AbslHashValue(H h, BranchId id) {
  return H::combine(std::move(h), id.value);
}
template <typename H>
H AbslHashValue(H h, ProducerId id) {
  return H::combine(std::move(h), id.high, id.low);
}

}  // namespace nexus

#endif  // NEXUS_BASE_TYPES_H_
