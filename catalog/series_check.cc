// Rows against postings. See series_check.h.
//
// Both sides are summed up label name by label name: the number of series, and the sum of a hash
// of (value, series id). Equal sums of 64-bit hashes mean equal sets, so neither side needs to be
// held.

#include "catalog/series_check.h"

#include <map>
#include <string>
#include <vector>

#include "base/labels.h"
#include "catalog/identity_map.h"
#include "catalog/reader.h"
#include "catalog/series_set.h"

namespace nexus::catalog {
namespace {

struct LabelSum {
  uint64_t series = 0;
  uint64_t hash = 0;

  void Add(std::string_view value, SeriesId id) {
    series++;
    hash += XxHash64(AsBytes(value), id.value);
  }
  bool operator==(const LabelSum&) const = default;
};
using LabelSums = std::map<std::string, LabelSum, std::less<>>;

Status Disagree(const TenantRecord& tenant, std::string_view what) {
  return DataLoss("catalog: series of tenant {} (\"{}\"): {}", tenant.id.value, tenant.name, what);
}

StatusOr<LabelSums> SumRows(Reader* reader, const TenantRecord& tenant, uint64_t* series) {
  IdentityMap identities;
  Status status;
  auto identity = [&](const SeriesIdentityRow& row) {
    StatusOr<SeriesId> given = identities.Insert(tenant.id, row.identity, row.id);
    status.Update(given.status());
    if (given.ok() && *given != row.id) {
      status.Update(
          Disagree(tenant, fmt::format("{} and {} have one identity", given->value, row.id.value)));
    }
  };
  NEXUS_RETURN_IF_ERROR(
      reader->VisitIdentities(tenant.id, SeriesId{0}, UINT64_MAX, identity).status());
  LabelSums sums;
  auto row = [&](const SeriesDefinition& definition) {
    Hash128 expected = SeriesIdentity(tenant.identity_seed, definition.canonical);
    if (identities.Find(tenant.id, expected) != definition.id) {
      status.Update(Disagree(tenant, fmt::format("the labels of {} have another identity than its "
                                                 "row",
                                                 definition.id.value)));
    }
    VisitCanonical(definition.canonical, [&](std::string_view name, std::string_view value) {
      auto at = sums.find(name);
      if (at == sums.end()) at = sums.try_emplace(std::string(name)).first;
      at->second.Add(value, definition.id);
    });
  };
  NEXUS_ASSIGN_OR_RETURN(uint64_t rows,
                         reader->VisitSeries(tenant.id, SeriesId{0}, UINT64_MAX, row));
  NEXUS_RETURN_IF_ERROR(status);
  *series += rows;
  return sums;
}

StatusOr<LabelSums> SumPostings(Reader* reader, const TenantRecord& tenant) {
  LabelSums sums;
  auto name = [&](std::string_view found) { sums.try_emplace(std::string(found)); };
  NEXUS_RETURN_IF_ERROR(reader->VisitLabelNames(tenant.id, name));
  for (auto& [label, sum] : sums) {
    std::vector<std::string> values;
    auto value = [&](std::string_view found) {
      values.emplace_back(found);
      return true;
    };
    NEXUS_RETURN_IF_ERROR(reader->VisitLabelValues(tenant.id, label, value));
    for (const std::string& one : values) {
      SeriesSet set;
      NEXUS_RETURN_IF_ERROR(reader->AddPostings(tenant.id, label, one, &set));
      set.ForEach([&sum = sum, &one](SeriesId id) { sum.Add(one, id); });
    }
  }
  return sums;
}

}  // namespace

StatusOr<uint64_t> CheckSeries(const Catalog& catalog) {
  NEXUS_ASSIGN_OR_RETURN(Reader reader, catalog.BeginRead());
  NEXUS_ASSIGN_OR_RETURN(std::vector<TenantRecord> tenants, reader.Tenants());
  uint64_t series = 0;
  for (const TenantRecord& tenant : tenants) {
    if (tenant.deleted != Lsn{}) continue;  // a part of its rows may be purged
    NEXUS_ASSIGN_OR_RETURN(LabelSums rows, SumRows(&reader, tenant, &series));
    NEXUS_ASSIGN_OR_RETURN(LabelSums postings, SumPostings(&reader, tenant));
    if (rows != postings) return Disagree(tenant, "rows and postings disagree");
  }
  return series;
}

}  // namespace nexus::catalog
