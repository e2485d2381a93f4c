// SampleFilter: which samples of an input are dropped before it is merged.
//
// Deletes and retention are filters: a delete drops samples of those inputs only that end before it
// in write order (DESIGN section 8), so each input of a job has a filter of its own and filtering
// comes before merging: a dropped sample hides no older one.
// Threading: shared by steps of a job on any worker, so const and without locks of its own.

#ifndef NEXUS_COMPACTION_SAMPLE_FILTER_H_
#define NEXUS_COMPACTION_SAMPLE_FILTER_H_

#include <string_view>
#include <vector>

#include "base/types.h"

namespace nexus::compaction {

class SampleFilter {
 public:
  virtual ~SampleFilter() = default;

  // Appends the time ranges whose samples of this series are dropped: closed, not empty, in
  // ascending order, without overlap. None: all samples stay. `canonical_labels` is the canonical
  // form (base/labels.h). Asked once for each series of the input and window; always answers alike.
  virtual void AppendDropped(SeriesId series, std::string_view canonical_labels,
                             std::vector<TimeRange>* dropped) const = 0;
};

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_SAMPLE_FILTER_H_
