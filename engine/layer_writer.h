// Writes one sealed memtable as a layer file: encode on a worker, write through the seam.
//
// After OK the file stands under its final name, synced, its folder synced (D2, D4); nothing names
// it yet. After an error there may be a *.tmp left, which is unlinked here or, after a crash, by
// recovery. Memory: one piece of output (about 1 MiB), and the columns of one series at a time.
// Threading: the task runs on the loop.

#ifndef NEXUS_ENGINE_LAYER_WRITER_H_
#define NEXUS_ENGINE_LAYER_WRITER_H_

#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "engine/state.h"
#include "io/task.h"
#include "layer/layer.h"
#include "wal/scan.h"

namespace nexus::engine {

struct WrittenLayer {
  OpenLayer layer;
  catalog::LayeredSeries series;
};

// The layer; nullopt if the memtable held no sample (all rejected). `sequence` names it; see
// layer::LayerKey.
io::Task<StatusOr<std::optional<WrittenLayer>>> WriteLayer(DatabaseState* state,
                                                           catalog::TenantRecord tenant,
                                                           SealedMemtable sealed,
                                                           uint64_t sequence);

// What the catalog lists of a layer.
catalog::LayerRecord LayerRecordOf(const layer::LayerSummary& summary);

// True if every record that a layer was written from is still in the log: then a file of it that
// nothing lists is of a flush that did not end, and is of no use.
bool LogHolds(const wal::LogScan& log, const layer::LayerSummary& summary);

// "layers/<open count in hex>-<sequence in hex>.tmp": where a layer is until it is whole.
std::string TemporaryLayerPath(const DatabaseState& state, uint64_t sequence);

// Makes a reader of a layer that the catalog lists, through `cache` if that is not null, where
// pages are `owner`'s (LayerReader::Open). The file names the branch that its samples were written
// to, which may be another than the record's: the layer is shared. Blocks; any thread but the
// loop's. Errors: DataLoss (missing, damaged), and those of the file system.
StatusOr<LayerReaderPtr> OpenLayerFile(const DatabaseState& state, const LayerFileName& name,
                                       layer::PageCache* cache, uint64_t owner = 0);

// What must be in the file of a listed layer. `database` is the id that layers bear; none: any.
layer::LayerExpectation ExpectationOf(const LayerFileName& name,
                                      std::optional<DatabaseId> database);

// Opens a layer file that may be listed nowhere. Blocks. Errors: NotFound; DataLoss or
// FailedPrecondition if it is no layer of this database.
StatusOr<LayerReaderPtr> OpenUnlistedLayer(const DatabaseState& state, const std::string& path);

// Header and footer of a layer file that may be listed nowhere. Blocks. Errors: those of
// OpenUnlistedLayer.
StatusOr<layer::LayerSummary> ReadLayerSummary(const DatabaseState& state, const std::string& path);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_LAYER_WRITER_H_
