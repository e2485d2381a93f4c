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

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "catalog/series_set.h"
#include "layer/layer_reader.h"

namespace nexus::engine {

using LayerPtr = std::shared_ptr<const layer::LayerReader>;

// Those that the layer has samples of. Errors: DataLoss, those of reading.
StatusOr<catalog::SeriesSet> SeriesOf(const LayerPtr& layer);

// Takes away what is in any of `staying`: layers of the same tenant, best the youngest first. What
// cannot be read of them is taken for nothing: an image with too many labels has all that a catalog
// may need. Errors: those of reading, but for DataLoss.
Status TakeAwayHeld(const std::vector<LayerPtr>& staying, catalog::SeriesSet* series);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_ORPHANED_SERIES_H_
