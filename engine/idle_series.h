// IdleSeries: series of a tenant that are about to be forgotten, and what keeps them.
//
// While there is one, whoever names a series, or holds its id to name it soon, takes it out here;
// what is left when the edit gets its place in the log goes (series_forgetter.h). Costs a
// comparison for each id that a batch names, and a look-up for those in the stretch of the idle
// ones. Threading: loop.

#ifndef NEXUS_ENGINE_IDLE_SERIES_H_
#define NEXUS_ENGINE_IDLE_SERIES_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/types.h"
#include "engine/batch.h"
#include "engine/record.h"

namespace nexus::engine {

class IdleSeries {
 public:
  // REQUIRES: ascending by id, not empty.
  IdleSeries(TenantId tenant, std::vector<ForgetSeries::Series> series)
      : tenant_(tenant), series_(std::move(series)) {
    for (const ForgetSeries::Series& one : series_) idle_.insert(one.id.value);
  }

  TenantId tenant() const { return tenant_; }

  void Keep(SeriesId id) {
    if (id < series_.front().id || series_.back().id < id) return;
    idle_.erase(id.value);
  }
  // Keeps what a batch names, whether it is accepted or not.
  void KeepNamedBy(const BatchView& batch) {
    if (batch.tenant() != tenant_) return;
    BatchView::Sections sections = batch.sections();
    SectionView section;
    while (sections.Next(&section)) {
      if (section.ids_as_previous_row) continue;
      const size_t count = section.ids.coding() == IdCoding::kOne ? 1 : section.sample_count;
      for (size_t i = 0; i < count; i++) Keep(section.ids[i]);
    }
  }

  // Those that nothing keeps, ascending.
  std::vector<ForgetSeries::Series> Left() const {
    std::vector<ForgetSeries::Series> left;
    for (const ForgetSeries::Series& one : series_) {
      if (idle_.contains(one.id.value)) left.push_back(one);
    }
    return left;
  }

 private:
  const TenantId tenant_;
  const std::vector<ForgetSeries::Series> series_;
  absl::flat_hash_set<uint64_t> idle_;
};

// Who has ids that it will name in a batch, though none is submitted yet.
class SeriesHolder {
 public:
  virtual ~SeriesHolder() = default;
  // Keeps them. Loop.
  virtual void KeepHeld(IdleSeries* idle) const = 0;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_IDLE_SERIES_H_
