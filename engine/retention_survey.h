// What layers hold, as retention and the catalog need to know it.
//
// Both walk the labels of a layer, and where that does not tell enough the headers of its chunks.
// Failure: DataLoss names the layer that is damaged; errors of reading. Threading: any thread, not
// the loop: they block on reading.

#ifndef NEXUS_ENGINE_RETENTION_SURVEY_H_
#define NEXUS_ENGINE_RETENTION_SURVEY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "catalog/records.h"
#include "engine/retention.h"
#include "engine/retention_plan.h"
#include "layer/layer_reader.h"

namespace nexus::engine {

// What the layer holds of each rule; exactly of those whose cut lies above its first timestamp,
// which reads their chunks' pages. About a microsecond a series, and the reading.
StatusOr<RetentionContents> SurveyLayer(std::shared_ptr<const layer::LayerReader> reader,
                                        const RetentionRules& rules,
                                        const std::vector<int64_t>& cuts);

// Finds the series of layers that are about to retire which no layer that stays holds: their labels
// must be logged again, or a catalog that is rebuilt would not know them (DESIGN section 3).
class LostSeries {
 public:
  using Readers = std::vector<std::shared_ptr<const layer::LayerReader>>;
  LostSeries(TenantId tenant, Readers retiring, Readers staying);
  LostSeries(const LostSeries&) = delete;
  LostSeries& operator=(const LostSeries&) = delete;

  // The next ones, at most `count_max`, and not many more than 4 MiB of labels; none at the end. Costs about a microsecond for each pair of
  // a series and a layer that stays and has been asked.
  StatusOr<std::vector<catalog::SeriesDefinition>> Next(size_t count_max);

 private:
  StatusOr<bool> IsHeld(SeriesId id);

  const TenantId tenant_;
  Readers retiring_;
  Readers staying_;
  size_t next_ = 0;  // of retiring_
  std::unique_ptr<layer::SeriesCursor> cursor_;
  layer::ReadContext context_;
  catalog::SeriesSet seen_;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_RETENTION_SURVEY_H_
