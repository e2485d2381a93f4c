// From numbers to ids. See series_numbers.h.

#include "server/series_numbers.h"

#include <optional>

namespace nexus::server {
namespace {

using batch::BatchHeader;
using batch::BatchView;
using batch::IdCoding;
using batch::RejectedRange;
using batch::SectionHeader;
using batch::SectionView;

// Extends the last range or begins one.
void Reject(uint32_t sample, std::vector<RejectedRange>* rejected) {
  if (!rejected->empty() && rejected->back().first + rejected->back().count == sample) {
    rejected->back().count++;
    return;
  }
  rejected->push_back({sample, 1});
}

// The column of a section's ids, which the batch's owner lets us change. The header lies before it.
std::byte* ColumnOf(const SectionView& section) {
  return const_cast<std::byte*>(section.ids.encoded(0, 0).data());
}
void SetBase(const SectionView& section, uint64_t base) {
  std::byte* header = ColumnOf(section) - sizeof(SectionHeader);
  StoreUnaligned(header + offsetof(SectionHeader, id_base), base);
}

Status Forgotten(uint64_t number) {
  return Unavailable(
      "series number {} was forgotten because it had no samples for a while; connect again and "
      "register it anew",
      number);
}

}  // namespace

void SeriesNumbers::Refresh(const engine::TenantState& tenant, uint64_t generation) {
  if (generation_ == generation) return;
  engine::SeriesIdRange known{1, 0};
  for (uint64_t& id : ids_) {
    if (!IsSeries(id) || (known.first <= id && id <= known.last)) continue;
    const engine::SeriesIdRange* range = tenant.RangeOf(id);
    if (range == nullptr) {
      id = kForgotten;
    } else {
      known = *range;
    }
  }
  generation_ = generation;
}

Status SeriesNumbers::MapSection(const SectionView& section,
                                 std::vector<RejectedRange>* rejected) const {
  std::byte* column = ColumnOf(section);
  if (section.ids.coding() == IdCoding::kOne) {
    const uint64_t id = IdOf(section.ids.base());
    if (id == kForgotten) return Forgotten(section.ids.base());
    SetBase(section, id);
    if (id == 0) rejected->push_back({section.first_sample, section.sample_count});
    return OkStatus();
  }
  if (section.ids.coding() == IdCoding::kIds64) {
    for (uint32_t i = 0; i < section.sample_count; i++) {
      const uint64_t id = IdOf(section.ids[i].value);
      if (!IsSeries(id)) {
        if (id == kForgotten) return Forgotten(section.ids[i].value);
        Reject(section.first_sample + i, rejected);
      }
      StoreUnaligned(column + 8 * size_t{i}, id);
    }
    return OkStatus();
  }
  // Ids are given in rising order from one counter: those of a section share their high half, but
  // in a database that has seen 4 billion series.
  constexpr uint64_t kHighHalf = ~uint64_t{UINT32_MAX};
  std::optional<uint64_t> base;
  for (uint32_t i = 0; i < section.sample_count; i++) {
    const uint64_t id = IdOf(section.ids[i].value);
    if (!IsSeries(id)) {
      if (id == kForgotten) return Forgotten(section.ids[i].value);
      Reject(section.first_sample + i, rejected);
    } else if (!base.has_value()) {
      base = id & kHighHalf;
    } else if ((id & kHighHalf) != *base) {
      return ResourceExhausted(
          "series ids of one section lie more than 2^32 apart; send these series in batches of "
          "their "
          "own");
    }
    StoreUnaligned(column + 4 * size_t{i}, static_cast<uint32_t>(id));
  }
  SetBase(section, base.value_or(0));
  return OkStatus();
}

StatusOr<SeriesNumbers::Mapped> SeriesNumbers::MapInPlace(MutableBytes body, TenantId tenant,
                                                          BranchId branch) const {
  StatusOr<BatchView> view = BatchView::Parse(body);
  if (!view.ok()) return InvalidArgument("WRITE_BATCH: {}", FromAbsl(view.status().message()));
  if (view->tenant().value != 0 || view->branch().value != 0 || !view->rejected().empty()) {
    return InvalidArgument(
        "WRITE_BATCH: tenant, branch and rejected ranges of the batch's header must be zero");
  }
  if (view->sample_count() == 0) return InvalidArgument("WRITE_BATCH: the batch is empty");
  Mapped mapped;
  mapped.samples = view->sample_count();
  mapped.once = view->exactly_once();
  // Of the last row that had ids: what of it was rejected, counted from its first sample.
  std::vector<RejectedRange> row;
  BatchView::Sections sections = view->sections();
  SectionView section;
  while (sections.Next(&section)) {
    if (section.ids_as_previous_row) {
      for (const RejectedRange& range : row) {
        mapped.rejected.push_back({section.first_sample + range.first, range.count});
      }
      continue;
    }
    std::vector<RejectedRange> rejected;
    NEXUS_RETURN_IF_ERROR(MapSection(section, &rejected));
    mapped.rejected.insert(mapped.rejected.end(), rejected.begin(), rejected.end());
    if (section.kind != batch::SectionKind::kRow) continue;
    for (RejectedRange& range : rejected) range.first -= section.first_sample;
    row = std::move(rejected);
  }
  for (const RejectedRange& range : mapped.rejected) mapped.rejected_samples += range.count;
  StoreUnaligned(body.data() + offsetof(BatchHeader, tenant), tenant.value);
  StoreUnaligned(body.data() + offsetof(BatchHeader, branch), branch.value);
  return mapped;
}

size_t AppendRejected(std::byte* body, size_t bytes, const std::vector<RejectedRange>& rejected) {
  for (const RejectedRange& range : rejected) {
    StoreUnaligned(body + bytes, range);
    bytes += sizeof(RejectedRange);
  }
  StoreUnaligned(body + offsetof(BatchHeader, rejected_count),
                 static_cast<uint32_t>(rejected.size()));
  return bytes;
}

}  // namespace nexus::server
