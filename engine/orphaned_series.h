// Series that lose their last layer: what deletes and compactions leave without a sample, and what
// only a deleted branch held.
//
// A catalog that is rebuilt takes the labels of series from the layers, and those of series in no
// layer from its image, which lists them (catalog: the tree `unlayered`). So before a layer's file
// goes, the series that no live layer of the tenant has are put back on that list: a log that is
// still to be replayed, and a writer that holds an id, may name them.
// Threading: blocks on reading; a worker.

#ifndef NEXUS_ENGINE_ORPHANED_SERIES_H_
#define NEXUS_ENGINE_ORPHANED_SERIES_H_

#include <functional>
#include <vector>

#include "base/status.h"
#include "catalog/series_set.h"
#include "engine/layer_file.h"

namespace nexus::engine {

// Makes a reader of a layer when its turn comes, so that one at a time is in memory.
using OpenLayerFunction = std::function<StatusOr<LayerReaderPtr>()>;

// Those that the layer has samples of. Errors: DataLoss, those of reading.
StatusOr<catalog::SeriesSet> SeriesOf(const LayerReaderPtr& layer);

// The series of `wanted` that the layer has. Errors: DataLoss, those of reading.
StatusOr<catalog::SeriesSet> SeriesAmong(const catalog::SeriesSet& wanted,
                                         const LayerReaderPtr& layer);

// Takes away what is in any of `staying`: layers of the same tenant, best the youngest first. What
// cannot be read of them is taken for nothing: an image with too many labels has all that a catalog
// may need. Errors: those of opening and reading, but for DataLoss.
Status TakeAwayHeld(const std::vector<OpenLayerFunction>& staying, catalog::SeriesSet* series);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_ORPHANED_SERIES_H_
