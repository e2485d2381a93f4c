// Whether a batch names series that its tenant has.
//
// Ids come from outside - a program's handle, a connection's table - and may be of another tenant,
// or of a series that was forgotten meanwhile. A batch under such an id would be acknowledged and
// never found, so it is refused before it gets a place in the log. Threading: loop.

#ifndef NEXUS_ENGINE_KNOWN_SERIES_H_
#define NEXUS_ENGINE_KNOWN_SERIES_H_

#include "base/status.h"
#include "engine/batch.h"
#include "engine/state.h"

namespace nexus::engine {

// Looks at the ids of all samples that are not rejected: about 2 ns each, rows that repeat the ids
// of the row before cost nothing. Errors: InvalidArgument for which IsUnknownSeries (nexus.h) is
// true, naming the first.
Status CheckSeriesKnown(const TenantState& tenant, const BatchView& batch);

// The same for the batch of a body; OK if its tenant is gone, which applying it tells.
Status CheckSeriesKnown(const DatabaseState& state, Bytes body);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_KNOWN_SERIES_H_
