// Comparing listings with what was read. See listings.h.

#include "tests/sim/listings.h"

#include <algorithm>
#include <set>

#include "engine/cursors.h"
#include "tests/sim/workload.h"

namespace nexus::sim_test {

std::optional<std::string> CheckListings(engine::DatabaseCore* core,
                                         const std::vector<Observed>& observed) {
  constexpr uint64_t kListedMax = 10'000;
  auto view = core->View("default", "main");
  if (!view.ok()) return std::nullopt;
  auto values = engine::LabelValues(view->index.get(), "series", "");
  auto listed = engine::SeriesLabels(view->index.get(), "metric", kListedMax);
  if (!values.ok() || !listed.ok()) return std::nullopt;
  std::set<std::string> texts;
  for (const Labels& labels : *listed) {
    const std::string text(labels.labels().front().value);
    if (!texts.insert(text).second) return fmt::format("rule 13: series {} is listed twice", text);
  }
  for (const Observed& one : observed) {
    const std::string text = SeriesText(one.place.series);
    const bool has_value = std::find(values->begin(), values->end(), text) != values->end();
    if (has_value && texts.contains(text)) continue;
    return fmt::format("rule 13: series {} has samples and is not listed", text);
  }
  return std::nullopt;
}

}  // namespace nexus::sim_test
