// Tombstones: deletes as what is read must be filtered by them (DESIGN section 8, "Delete").
//
// A delete is a record of the log. At its place T - the order at which the record begins - it ends
// the life of the samples of the series that its selector chooses, within its range, that were
// written before. Which those are is told by write order alone:
//   - the memtable that is active at T takes the delete in among its batches (memtable.h);
//   - sealed memtables and layers that end at or before T are filtered by the tombstone. What a
//     memtable sealed at S, and the layer flushed from it, holds are records that begin below S, so
//     it ends at S, and S <= T says that all of it came before; S > T says that T was applied to
//     the memtable before it was sealed;
//   - a compaction's output whose inputs were filtered by every tombstone below X says so
//     (LayerRecord::deletes_applied): tombstones below X concern it no more.
// Filters() is that rule. A series made after T has no samples that T could filter, so it does not
// matter that its labels may be chosen, too.
//
// The list of a branch is in memory, and in the catalog so that the log can be trimmed. A branch
// made later takes its parent's list with it. A tombstone is forgotten when nothing of its branch
// needs it (TombstonesToForget).
//
// Limits: the constants below. Threading: immutable once made; any thread.

#ifndef NEXUS_ENGINE_TOMBSTONE_H_
#define NEXUS_ENGINE_TOMBSTONE_H_

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "catalog/records.h"
#include "engine/selector.h"

namespace nexus::engine {

// Of a branch. With selectors of 4 KiB they take 40 MiB; listing them for a layer takes 20 us.
inline constexpr size_t kTombstonesMax = 10'000;
// Regular expressions in them that are more than a list of values: RE2 may use 1 MiB for each.
inline constexpr size_t kTombstoneExpressionsMax = 1'000;

class Tombstone {
 public:
  // Errors: InvalidArgument, those of Selector::Parse.
  static StatusOr<std::shared_ptr<const Tombstone>> Make(catalog::TombstoneRecord record);

  const catalog::TombstoneRecord& record() const { return record_; }
  const WriteOrder& order() const { return record_.order; }
  TimeRange range() const { return record_.range; }
  // Whether it concerns the series of these labels.
  bool Covers(std::string_view canonical) const { return selector_.Matches(canonical); }
  // The same delete as a branch that was made from this one has it.
  std::shared_ptr<const Tombstone> Of(BranchId branch) const;
  // Regular expressions that RE2 matches.
  size_t expressions() const;

 private:
  Tombstone(catalog::TombstoneRecord record, Selector selector)
      : record_(std::move(record)), selector_(std::move(selector)) {}

  const catalog::TombstoneRecord record_;
  const Selector selector_;
};

// The tombstones of a branch, ascending by order. Never changed once others see it: a delete makes
// a new one.
using Tombstones = std::vector<std::shared_ptr<const Tombstone>>;

// How far what a layer or a sealed memtable holds is known to deletes: it ends at `high`, and the
// deletes below `deletes_applied` are carried out in it.
struct DeleteMark {
  WriteOrder high;
  Lsn deletes_applied;
};
inline DeleteMark MarkOf(const catalog::LayerRecord& layer) {
  return {layer.high, layer.deletes_applied};
}

// True if a delete at `order` concerns what is so marked.
inline bool Filters(const WriteOrder& order, const DeleteMark& mark) {
  return mark.high <= order && mark.deletes_applied <= order.lsn;
}

// Those of a branch that concern samples within `range` of what is so marked.
Tombstones TombstonesFor(const Tombstones& all, const DeleteMark& mark, TimeRange range);

// What tombstones delete of the series with these labels, within `range`: closed, ascending,
// neither overlapping nor adjacent.
std::vector<TimeRange> DeletedRanges(const Tombstones& tombstones, std::string_view canonical,
                                     TimeRange range);

// The list with one more, or the same list if it has one of this order.
std::shared_ptr<const Tombstones> WithTombstone(std::shared_ptr<const Tombstones> list,
                                                std::shared_ptr<const Tombstone> added);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_TOMBSTONE_H_
