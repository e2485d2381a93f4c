// CatalogIndex: LMDB plus catalog delta of one tenant as a SeriesIndex. See series_index.h.
//
// REQUIRES: the delta view was published before the reader began (catalog/label_index.h).

#ifndef NEXUS_ENGINE_CATALOG_INDEX_H_
#define NEXUS_ENGINE_CATALOG_INDEX_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/types.h"
#include "catalog/delta.h"
#include "catalog/label_index.h"
#include "catalog/reader.h"
#include "engine/series_index.h"

namespace nexus::engine {

class CatalogIndex : public SeriesIndex {
 public:
  // `delta` may be null: nothing beside the reader.
  CatalogIndex(TenantId tenant, catalog::Reader reader,
               std::shared_ptr<const catalog::DeltaView> delta)
      : tenant_(tenant), index_(std::move(reader), std::move(delta)) {}

  StatusOr<catalog::SeriesSet> AllSeries() override { return index_.AllSeries(tenant_); }
  StatusOr<catalog::SeriesSet> Postings(std::string_view name, std::string_view value) override {
    return index_.Postings(tenant_, name, value);
  }
  StatusOr<catalog::SeriesSet> PostingsWhere(
      std::string_view name, absl::FunctionRef<bool(std::string_view value)> accept) override {
    return index_.PostingsWhere(tenant_, name, accept);
  }
  StatusOr<std::vector<std::string>> LabelNames() override { return index_.LabelNames(tenant_); }
  StatusOr<std::vector<std::string>> LabelValues(std::string_view name, uint64_t limit) override {
    return index_.LabelValues(tenant_, name, /*prefix=*/"", limit);
  }
  StatusOr<std::string> Canonical(SeriesId series) override {
    return index_.Canonical(tenant_, series);
  }

 private:
  const TenantId tenant_;
  catalog::LabelIndex index_;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_CATALOG_INDEX_H_
