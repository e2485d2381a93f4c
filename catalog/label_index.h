// LabelIndex: LMDB plus catalog delta as one, which is what a query reads.
//
// REQUIRES: the delta view was published before the reader began. Segments leave the delta only
// after their commit, so each series is then in one of the two at least; it may be in both, and
// every answer is a union. A label value that is in both is visited twice.
// Threading and errors: as Reader.

#ifndef NEXUS_CATALOG_LABEL_INDEX_H_
#define NEXUS_CATALOG_LABEL_INDEX_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/status.h"
#include "base/types.h"
#include "catalog/delta.h"
#include "catalog/reader.h"
#include "catalog/series_set.h"

namespace nexus::catalog {

class LabelIndex {
 public:
  // `delta` may be null: nothing beside the reader.
  LabelIndex(Reader reader, std::shared_ptr<const DeltaView> delta);

  // The canonical form of a series' labels; NotFound.
  StatusOr<std::string> Canonical(TenantId tenant, SeriesId id);

  StatusOr<SeriesSet> Postings(TenantId tenant, std::string_view name, std::string_view value);
  // Series with a value of `name` that `accept` takes; `accept` must give the same answer each
  // time.
  StatusOr<SeriesSet> PostingsWhere(TenantId tenant, std::string_view name,
                                    absl::FunctionRef<bool(std::string_view value)> accept);
  StatusOr<SeriesSet> AllSeries(TenantId tenant);

  // Sorted, each once; `__name__` among the names.
  StatusOr<std::vector<std::string>> LabelNames(TenantId tenant);
  // Sorted, each once: those that begin with `prefix`. ResourceExhausted beyond `limit` values.
  StatusOr<std::vector<std::string>> LabelValues(TenantId tenant, std::string_view name,
                                                 std::string_view prefix, uint64_t limit);

  Reader& reader() { return reader_; }

 private:
  Reader reader_;
  std::shared_ptr<const DeltaView> delta_;
};

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_LABEL_INDEX_H_
