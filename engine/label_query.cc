// Look-ups of labels. See cursors.h.

#include <algorithm>
#include <set>
#include <utility>

#include "engine/cursors.h"
#include "engine/query_guard.h"
#include "engine/resolve.h"

namespace nexus::engine {
namespace {

// Values that a look-up without a selector lists. Names and values of 10 million series are held at
// once by the caller, so no more than the most series a query may match.
constexpr uint64_t kLabelValuesMax = 10'000'000;

bool IsBlank(std::string_view selector) {
  return selector.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

StatusOr<SeriesList> Resolve(SeriesIndex* index, std::string_view text, QueryLimits limits) {
  Selector selector;  // everything
  if (!IsBlank(text)) {
    NEXUS_ASSIGN_OR_RETURN(selector, Selector::Parse(text));
  }
  QueryGuard guard(limits, nullptr);
  return ResolveSelector(index, selector, &guard);
}

// What `pick` adds for each label of each series, sorted, each once.
template <typename Pick>
StatusOr<std::vector<std::string>> Collect(SeriesIndex* index, std::string_view selector,
                                           Pick&& pick) {
  NEXUS_ASSIGN_OR_RETURN(SeriesList series, Resolve(index, selector, {}));
  std::set<std::string, std::less<>> found;
  auto add = [&](std::string_view s) {
    if (found.find(s) == found.end()) found.emplace(s);
  };
  for (size_t i = 0; i < series.size(); i++) {
    VisitCanonical(series.canonical(i),
                   [&](std::string_view name, std::string_view value) { pick(name, value, add); });
  }
  return std::vector<std::string>(found.begin(), found.end());
}

}  // namespace

StatusOr<std::vector<std::string>> LabelNames(SeriesIndex* index, std::string_view selector) {
  if (IsBlank(selector)) return index->LabelNames();
  return Collect(index, selector,
                 [](std::string_view name, std::string_view, auto&& add) { add(name); });
}

StatusOr<std::vector<std::string>> LabelValues(SeriesIndex* index, std::string_view label,
                                               std::string_view selector) {
  if (IsBlank(selector)) return index->LabelValues(label, kLabelValuesMax);
  return Collect(index, selector,
                 [label](std::string_view name, std::string_view value, auto&& add) {
                   if (name == label) add(value);
                 });
}

StatusOr<std::vector<Labels>> SeriesLabels(SeriesIndex* index, std::string_view selector,
                                           uint64_t limit) {
  QueryLimits limits;
  limits.series_max = limit;
  NEXUS_ASSIGN_OR_RETURN(SeriesList series, Resolve(index, selector, limits));
  std::vector<Labels> all;
  all.reserve(series.size());
  for (size_t i = 0; i < series.size(); i++) {
    NEXUS_ASSIGN_OR_RETURN(Labels labels, Labels::FromCanonical(series.canonical(i)));
    all.push_back(std::move(labels));
  }
  return all;
}

}  // namespace nexus::engine
