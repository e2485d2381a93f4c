// ScrubPass: the parts of a scrub that are the same for a living and a stopped database, and the
// report that they fill.
//
// Each check is a task that hands pieces of reading to workers and asks between them whether it may
// go on. Findings of one place are one: the series that a damaged page takes with it are listed in
// it. Failure: see scrub.h. Threading: the tasks run on the loop; what a piece touches of this, no
// one else touches until it has ended.

#ifndef NEXUS_ENGINE_SCRUB_PASS_H_
#define NEXUS_ENGINE_SCRUB_PASS_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/status.h"
#include "catalog/agreement_verifier.h"
#include "catalog/catalog.h"
#include "catalog/delta.h"
#include "catalog/image.h"
#include "catalog/series_set.h"
#include "engine/folder.h"
#include "engine/scrub_report.h"
#include "io/environment.h"
#include "io/task.h"
#include "layer/layer_reader.h"
#include "layer/layer_verifier.h"
#include "layer/page_cache.h"
#include "wal/log_verifier.h"

namespace nexus::engine {

// What the series of a database are looked up in.
struct ScrubLabels {
  ScrubLabels() = default;                    // no aggregate: see scrub_report.h
  const catalog::Catalog* catalog = nullptr;  // null: it cannot be read
  std::function<std::shared_ptr<const catalog::DeltaView>()> delta;
};

// A file of the layers' folder that something lists.
struct ScrubLayer {
  ScrubLayer() = default;
  catalog::LayerRecord record;
  uint64_t identity_seed = 0;  // of its tenant
};

class ScrubPass {
 public:
  // `stop` says why the scrub must end, or OK; asked on the loop.
  ScrubPass(io::Environment* environment, Folder folder, ScrubOptions options,
            std::function<Status()> stop);

  io::Environment* environment() const { return environment_; }
  const Folder& folder() const { return folder_; }
  // "nexus catalog rebuild DIR"
  std::string RebuildCatalog() const;

  // Adds to the finding of the same file, offset and words, if there is one. On the loop, or in a
  // piece.
  void Add(ScrubFinding finding);
  void AddFile(std::string path, std::string what, std::string way_out);
  void Note(std::string note);
  // The report, complete.
  ScrubReport Take();

  // ---- Images.

  // The contents, if the image is whole.
  io::Task<StatusOr<std::optional<catalog::ImageContents>>> CheckImage(
      Lsn lsn, std::optional<DatabaseId> database);

  // ---- The catalog.

  // What the verifier of its pages is made with; nullopt: the file is not on this disk (the catalog
  // stands beside the seam: in the simulator it is on a real one). Blocks: a worker.
  StatusOr<std::optional<catalog::PageVerifierOptions>> PageOptions();
  // True if the pages are sound: LMDB may walk them.
  io::Task<StatusOr<bool>> CheckCatalogPages(catalog::PageVerifier* verifier);
  // The id that a series' identity has in memory, 0 for none. Called on a worker.
  using FindIdentity = std::function<StatusOr<SeriesId>(const catalog::SeriesIdentityRow& row)>;
  io::Task<Status> CheckCatalogAgreement(const catalog::Catalog* catalog, FindIdentity find);

  // ---- The log.

  // Walks the segments: what is bad in them. Good records are decoded, and given to `visit` on a
  // worker; an error of either is a finding.
  using RecordVisitor = std::function<Status(const wal::RecordView& record)>;
  io::Task<StatusOr<std::vector<wal::Damage>>> CheckLog(std::vector<wal::HeldSegment> segments,
                                                        RecordVisitor visit);
  void AddLogDamage(const wal::Damage& damage, std::string way_out);
  // Every id that the log's batches name must be a series.
  io::Task<Status> CheckLogSeries(ScrubLabels labels);

  // ---- Layers.

  // Branches share files: false for a record of a file that an earlier record listed. The two must
  // say the same of it.
  bool IsFirstOfFile(const catalog::LayerRecord& record);
  io::Task<Status> CheckLayer(std::optional<DatabaseId> database, ScrubLayer layer,
                              ScrubLabels labels);
  // A file of which nothing is known but its name.
  io::Task<Status> CheckStrangeLayer(std::optional<DatabaseId> database, std::string path);

  // ---- The folder.

  // The names in a folder, which are counted; none if it is missing.
  io::Task<StatusOr<std::vector<io::DirectoryEntry>>> ListFolder(std::string path);
  // Names in the root and in catalog/ that no database has; images are the caller's to judge.
  io::Task<StatusOr<std::vector<Lsn>>> CheckRoot();

 private:
  class LogSink;
  using Piece = std::function<StatusOr<bool>()>;
  using PieceProgress = std::function<std::pair<uint64_t, uint64_t>()>;

  // Runs pieces on workers until one gives false or an error.
  io::Task<Status> RunPieces(Piece piece, std::string activity, PieceProgress progress);
  Status MayGoOn() const;
  void AddCatalogDamage(catalog::CatalogDamage damage);
  Status CheckRecord(const wal::RecordView& record);
  StatusOr<std::shared_ptr<const layer::LayerReader>> OpenLayer(const std::string& path,
                                                                std::optional<DatabaseId> database,
                                                                const ScrubLayer* listed);
  io::Task<Status> WalkLayer(std::shared_ptr<const layer::LayerReader> reader, TenantId tenant,
                             ScrubLabels labels);
  void CompareLabels(const std::string& path, TenantId tenant, const ScrubLabels& labels,
                     const std::vector<std::pair<SeriesId, std::string>>& series);

  io::Environment* const environment_;
  const Folder folder_;
  const ScrubOptions options_;
  const std::function<Status()> stop_;
  const int64_t started_ns_;
  ScrubReport report_;
  // The findings that are listed: (file, offset, what) -> index.
  std::map<std::tuple<std::string, uint64_t, std::string>, size_t> places_;
  // What lists each file of a layer, the first of its records.
  std::map<std::string, catalog::LayerRecord> listed_;
  // Ids that the log's batches name, by tenant.
  std::map<uint32_t, catalog::SeriesSet> named_;
  // Ids that the log forgets: batches before that may name them.
  catalog::SeriesSet forgotten_;
  // The pages of the layer being walked.
  layer::PageCache pages_;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_SCRUB_PASS_H_
