// What a layer holds, as retention needs to know it: by its labels, and where these do not tell
// enough by the headers of its chunks.
//
// Failure: DataLoss names the layer that is damaged; errors of reading. Threading: any thread, not
// the loop: they block on reading.

#ifndef NEXUS_ENGINE_RETENTION_SURVEY_H_
#define NEXUS_ENGINE_RETENTION_SURVEY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "engine/retention.h"
#include "engine/retention_plan.h"
#include "layer/layer_reader.h"

namespace nexus::engine {

// What the layer holds of each rule; exactly of those whose cut lies above its first timestamp,
// which reads their chunks' pages. About a microsecond a series, and the reading.
StatusOr<RetentionContents> SurveyLayer(std::shared_ptr<const layer::LayerReader> reader,
                                        const RetentionRules& rules,
                                        const std::vector<int64_t>& cuts);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_RETENTION_SURVEY_H_
