// Which series lose their last layer. See orphaned_series.h.

#include "engine/orphaned_series.h"

#include <algorithm>
#include <cstdint>

namespace nexus::engine {
namespace {

// A look-up costs about as much as walking so many series.
constexpr uint64_t kSeriesPerLookUp = 64;

}  // namespace

StatusOr<catalog::SeriesSet> SeriesOf(const LayerReaderPtr& layer) {
  std::vector<uint64_t> ids;
  ids.reserve(layer->summary().series);
  layer::SeriesCursor cursor(layer);
  while (cursor.Next()) ids.push_back(cursor.id().value);
  NEXUS_RETURN_IF_ERROR(cursor.status());
  std::sort(ids.begin(), ids.end());
  catalog::SeriesSet series;
  series.AddSorted(ids);
  return series;
}

StatusOr<catalog::SeriesSet> SeriesAmong(const catalog::SeriesSet& wanted,
                                         const LayerReaderPtr& layer) {
  if (wanted.size() * kSeriesPerLookUp > layer->summary().series) return SeriesOf(layer);
  catalog::SeriesSet found;
  layer::ReadContext context;
  for (const SeriesId id : wanted.ToVector()) {
    NEXUS_ASSIGN_OR_RETURN(const auto place, layer->FindSeries(id, &context));
    if (place.has_value()) found.Add(id);
  }
  return found;
}

Status TakeAwayHeld(const std::vector<OpenLayerFunction>& staying, catalog::SeriesSet* series) {
  for (const OpenLayerFunction& open_layer : staying) {
    if (series->empty()) break;
    auto held = [&]() -> StatusOr<catalog::SeriesSet> {
      NEXUS_ASSIGN_OR_RETURN(const LayerReaderPtr layer, open_layer());
      return SeriesAmong(*series, layer);
    }();
    if (absl::IsDataLoss(held.status())) continue;
    NEXUS_RETURN_IF_ERROR(held.status());
    series->Subtract(*held);
  }
  return OkStatus();
}

}  // namespace nexus::engine
