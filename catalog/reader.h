// Reader: one moment of the catalog, as of its last commit, read within an LMDB read transaction.
//
// Every value is checked against its checksum - seeded with its place, so that a value that
// belongs elsewhere is seen - before anything in it is believed. How it fails: DataLoss names the
// kind of value and its key, and the way out (`nexus catalog rebuild`); a caller gets either what
// was written or an error. LMDB's own pages carry no checksums: damage to them can make LMDB
// itself fail, in ways described in docs/format/catalog.md.
//
// Keep readers short (below a second): pages freed since a reader began cannot be used again while
// it lives, so a long one makes the file grow. All calls read memory-mapped pages and may block on
// the disk: never on a loop. Threading: made on any thread, used by one at a time; it may be moved
// between threads and may outlive the Catalog. No co_await while one is alive.

#ifndef NEXUS_CATALOG_READER_H_
#define NEXUS_CATALOG_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/types.h"
#include "catalog/image.h"
#include "catalog/records.h"
#include "catalog/series_set.h"

namespace nexus::catalog {

// Counts as of this reader; sizes in bytes.
struct CatalogStats {
  uint64_t series = 0;
  uint64_t symbols = 0;
  uint64_t posting_blocks = 0;
  uint64_t layers = 0;         // live and garbage
  uint64_t bytes_in_use = 0;   // pages that hold data
  uint64_t bytes_in_file = 0;  // pages in use or free within the file
};

struct SeriesIdentityRow {
  TenantId tenant;
  SeriesId id;
  Hash128 identity;
};

class Reader {
 public:
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  // The applied LSN of what this reader sees, and the rest of its meta record (`synced` is 0).
  StatusOr<Meta> GetMeta();

  // ---- Series and labels.

  // The canonical form of a series' labels. NotFound if the id is not the tenant's. About 0.2 us a
  // label; symbols met before by this reader cost less.
  StatusOr<std::string> Canonical(TenantId tenant, SeriesId id);

  // Adds the ids of the series that have the label `name` = `value` (`__name__`: the metric name).
  Status AddPostings(TenantId tenant, std::string_view name, std::string_view value,
                     SeriesSet* into);
  // Adds those with a value of `name` that `accept` takes. Each value is shown once, in no
  // particular but a repeatable order. Cost: one look-up a value, one read a block of those taken.
  Status AddPostingsWhere(TenantId tenant, std::string_view name,
                          absl::FunctionRef<bool(std::string_view value)> accept, SeriesSet* into);
  // Adds every series of the tenant, about 0.1 us each.
  Status AddAllSeries(TenantId tenant, SeriesSet* into);

  // Label names in use, each once, `__name__` among them; in a repeatable order that is not
  // sorted. One seek a name.
  Status VisitLabelNames(TenantId tenant, absl::FunctionRef<void(std::string_view name)> visit);
  // Values of a label, each once, in a repeatable order that is not sorted; until `visit` returns
  // false. One seek a value.
  Status VisitLabelValues(TenantId tenant, std::string_view name,
                          absl::FunctionRef<bool(std::string_view value)> visit);

  // How many series each label has, in the order of the symbols: those of one name together. Begins
  // at `from` and ends behind `blocks_max` blocks or a few more, never within a label: `from` is
  // where to go on with another reader; true if there is more. `newer` counts the ids from
  // `newer_from` on. Cost: about 1 us a block of up to 900 series.
  struct LabelPlace {
    uint32_t name = 0;
    uint32_t value = 0;
  };
  struct LabelCount {
    LabelPlace place;
    uint64_t series = 0;
    uint64_t newer = 0;
  };
  StatusOr<bool> VisitLabelCounts(TenantId tenant, SeriesId newer_from, uint64_t blocks_max,
                                  LabelPlace* from,
                                  absl::FunctionRef<void(const LabelCount&)> visit);
  // The string that a number of a LabelPlace stands for. NotFound if no label has it any more.
  StatusOr<std::string> LabelText(TenantId tenant, uint32_t number);

  // Series in (tenant, id) order, from (tenant, from) on, at most `limit` rows; the number of rows
  // seen. Fewer than `limit`: there are no more. For scans in several short readers.
  StatusOr<uint64_t> VisitIdentities(TenantId tenant, SeriesId from, uint64_t limit,
                                     absl::FunctionRef<void(const SeriesIdentityRow&)> visit);
  // Likewise the series that are not known to be in a live layer.
  StatusOr<uint64_t> VisitUnlayered(TenantId tenant, SeriesId from, uint64_t limit,
                                    absl::FunctionRef<void(const SeriesIdentityRow&)> visit);
  // Series in order as VisitIdentities shows them, with labels.
  StatusOr<uint64_t> VisitSeries(TenantId tenant, SeriesId from, uint64_t limit,
                                 absl::FunctionRef<void(const SeriesDefinition&)> visit);

  // ---- Small tables, read whole, in key order.

  StatusOr<std::vector<TenantRecord>> Tenants();
  StatusOr<std::vector<BranchRecord>> Branches();
  // Live and garbage layers of all branches, about 150 bytes each.
  StatusOr<std::vector<LayerRecord>> Layers();
  // NotFound if it is not listed.
  StatusOr<LayerRecord> Layer(const LayerKey& layer);
  StatusOr<std::vector<Setting>> Settings();
  StatusOr<std::vector<ProducerRecord>> Producers();
  StatusOr<std::vector<TombstoneRecord>> Tombstones();
  // The series that are not known to be in a live layer, ascending by (tenant, id).
  StatusOr<std::vector<SeriesDefinition>> Unlayered();

  // What an image of this moment holds.
  StatusOr<ImageContents> Image();

  StatusOr<CatalogStats> Stats();

 private:
  friend class Catalog;
  friend class AgreementVerifier;
  struct State;
  explicit Reader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_READER_H_
