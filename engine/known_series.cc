// Looking at the ids of a batch. See known_series.h.

#include "engine/known_series.h"

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "engine/nexus.h"

namespace nexus {
namespace engine {
namespace {

constexpr absl::string_view kUnknownSeries = "nexus/unknown-series";

Status UnknownSeries(const TenantState& tenant, uint64_t id) {
  Status status = InvalidArgument(
      "the batch names series id {}, which tenant \"{}\" does not have: it was forgotten because "
      "it "
      "had no samples for a while, or it is another tenant's; ask for the id again "
      "(Database::Series) and append again",
      id, tenant.record.name);
  status.SetPayload(kUnknownSeries, absl::Cord());
  return status;
}

// The last range that held an id is looked at first: those of a batch lie together.
class IdRanges {
 public:
  explicit IdRanges(const TenantState& tenant) : tenant_(tenant) {}

  bool Contain(uint64_t id) {
    if (last_.first <= id && id <= last_.last) return true;
    const SeriesIdRange* found = tenant_.RangeOf(id);
    if (found == nullptr) return false;
    last_ = *found;
    return true;
  }

 private:
  const TenantState& tenant_;
  SeriesIdRange last_{1, 0};
};

}  // namespace

Status CheckSeriesKnown(const TenantState& tenant, const BatchView& batch) {
  IdRanges known(tenant);
  Status status;
  const std::byte* checked = nullptr;
  VisitAccepted(batch, [&](const SectionView& section, size_t first, size_t count) {
    if (!status.ok()) return;
    if (section.ids_as_previous_row && section.ids.encoded(0, 0).data() == checked) return;
    // What is rejected in a row differs from row to row only with its ids.
    if (first == 0 && count == section.sample_count) checked = section.ids.encoded(0, 0).data();
    if (section.ids.coding() == IdCoding::kOne) count = std::min<size_t>(count, 1);
    for (size_t i = first; i < first + count; i++) {
      if (known.Contain(section.ids[i].value)) continue;
      status = UnknownSeries(tenant, section.ids[i].value);
      return;
    }
  });
  return status;
}

Status CheckSeriesKnown(const DatabaseState& state, Bytes body) {
  NEXUS_ASSIGN_OR_RETURN(BatchView batch, BatchView::Parse(body));
  const auto tenant = state.tenants.find(batch.tenant().value);
  if (tenant == state.tenants.end()) return OkStatus();
  return CheckSeriesKnown(*tenant->second, batch);
}

}  // namespace engine

bool IsUnknownSeries(const Status& status) {
  return status.GetPayload(engine::kUnknownSeries).has_value();
}

}  // namespace nexus
