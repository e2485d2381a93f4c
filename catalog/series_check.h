// CheckSeries: reads every series of a catalog and says whether rows and postings agree.
//
// Each row's labels have the row's identity, no identity stands in two rows, and the postings list
// exactly the labels of the rows. Costs about 2 us a label of a series; memory: the identity map.
// How it fails: DataLoss names what disagrees. Threading: any thread but the loop, nothing may be
// committed meanwhile.

#ifndef NEXUS_CATALOG_SERIES_CHECK_H_
#define NEXUS_CATALOG_SERIES_CHECK_H_

#include <cstdint>

#include "base/status.h"
#include "catalog/catalog.h"

namespace nexus::catalog {

// The number of series.
StatusOr<uint64_t> CheckSeries(const Catalog& catalog);

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_SERIES_CHECK_H_
