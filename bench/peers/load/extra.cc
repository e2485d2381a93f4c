// Names from the generator, values from a count. See extra.h.

#include "bench/peers/load/extra.h"

#include <fmt/format.h>

namespace nexus::bench {

ExtraWorkload::ExtraWorkload(const Workload& before, std::string_view name, size_t sources,
                             size_t rows)
    : generator_(DataSet::kCpu, 1), first_ms_(before.last_ms() + kAfterMs), rows_(rows) {
  const std::vector<Label> tags = generator_.LabelsOf(0).labels();
  for (size_t m = 0; m < kMetricsPerHost; m++) {
    metrics_.push_back(generator_.MetricName(m));
    all_metrics_.push_back(static_cast<uint8_t>(m));
  }
  for (size_t s = 0; s < sources; s++) {
    Source& source = sources_.emplace_back();
    source.tags = tags;
    for (Label& tag : source.tags) {
      if (tag.name == "hostname") tag.value = fmt::format("{}_{}", name, s);
    }
  }
}

bool ExtraWorkload::Next(Row* row) {
  if (source_ == sources_.size()) {
    source_ = 0;
    row_++;
  }
  if (row_ == rows_) return false;
  values_.fill(static_cast<double>((source_ + row_) % 101));
  *row = {source_++, TimeOf(row_), all_metrics_, values_};
  return true;
}

}  // namespace nexus::bench
