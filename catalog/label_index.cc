// Unions of LMDB and the catalog delta. See label_index.h.

#include "catalog/label_index.h"

#include <functional>
#include <utility>

#include "absl/container/btree_set.h"

namespace nexus::catalog {
namespace {

const DeltaView& OrEmpty(const std::shared_ptr<const DeltaView>& delta) {
  static const DeltaView* const kEmpty = new DeltaView;
  return delta == nullptr ? *kEmpty : *delta;
}

// Sorts and removes what is there twice.
using Strings = absl::btree_set<std::string, std::less<>>;

std::vector<std::string> ToVector(const Strings& strings) {
  return {strings.begin(), strings.end()};
}

}  // namespace

LabelIndex::LabelIndex(Reader reader, std::shared_ptr<const DeltaView> delta)
    : reader_(std::move(reader)), delta_(std::move(delta)) {}

StatusOr<std::string> LabelIndex::Canonical(TenantId tenant, SeriesId id) {
  for (const auto& segment : OrEmpty(delta_)) {
    if (const SeriesDefinition* found = segment->Find(tenant, id)) return found->canonical;
  }
  return reader_.Canonical(tenant, id);
}

StatusOr<SeriesSet> LabelIndex::Postings(TenantId tenant, std::string_view name,
                                         std::string_view value) {
  SeriesSet found;
  NEXUS_RETURN_IF_ERROR(reader_.AddPostings(tenant, name, value, &found));
  for (const auto& segment : OrEmpty(delta_)) segment->AddPostings(tenant, name, value, &found);
  return found;
}

StatusOr<SeriesSet> LabelIndex::PostingsWhere(TenantId tenant, std::string_view name,
                                              absl::FunctionRef<bool(std::string_view)> accept) {
  SeriesSet found;
  NEXUS_RETURN_IF_ERROR(reader_.AddPostingsWhere(tenant, name, accept, &found));
  for (const auto& segment : OrEmpty(delta_)) {
    segment->AddPostingsWhere(tenant, name, accept, &found);
  }
  return found;
}

StatusOr<SeriesSet> LabelIndex::AllSeries(TenantId tenant) {
  SeriesSet found;
  NEXUS_RETURN_IF_ERROR(reader_.AddAllSeries(tenant, &found));
  for (const auto& segment : OrEmpty(delta_)) segment->AddAllSeries(tenant, &found);
  return found;
}

StatusOr<std::vector<std::string>> LabelIndex::LabelNames(TenantId tenant) {
  Strings names;
  auto take = [&](std::string_view name) { names.emplace(name); };
  NEXUS_RETURN_IF_ERROR(reader_.VisitLabelNames(tenant, take));
  for (const auto& segment : OrEmpty(delta_)) segment->VisitLabelNames(tenant, take);
  return ToVector(names);
}

StatusOr<std::vector<std::string>> LabelIndex::LabelValues(TenantId tenant, std::string_view name,
                                                           std::string_view prefix,
                                                           uint64_t limit) {
  Strings values;
  auto take = [&](std::string_view value) {
    if (value.starts_with(prefix)) values.emplace(value);
    return values.size() <= limit;
  };
  NEXUS_RETURN_IF_ERROR(reader_.VisitLabelValues(tenant, name, take));
  for (const auto& segment : OrEmpty(delta_)) {
    if (values.size() <= limit) segment->VisitLabelValues(tenant, name, take);
  }
  if (values.size() > limit) {
    return ResourceExhausted("label {} has more than {} values; ask for a prefix", name, limit);
  }
  return ToVector(values);
}

}  // namespace nexus::catalog
