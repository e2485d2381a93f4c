// Names from the generator, values from a count. See extra.h.

#include "bench/peers/load/extra.h"

#include <fmt/format.h>

namespace nexus::bench {

ExtraWorkload::ExtraWorkload(const Workload& before, size_t sources, int64_t ticks)
    : generator_(DataSet::kCpu, 1), first_ms_(before.last_ms() + kAfterMs), ticks_(ticks) {
  const std::vector<Label> tags = generator_.LabelsOf(0).labels();
  for (size_t m = 0; m < kMetricsPerHost; m++) {
    metrics_.push_back(generator_.MetricName(m));
    all_metrics_.push_back(static_cast<uint8_t>(m));
  }
  for (size_t s = 0; s < sources; s++) {
    Source& source = sources_.emplace_back();
    source.tags = tags;
    for (Label& tag : source.tags) {
      if (tag.name == "hostname") tag.value = fmt::format("extra_{}", s);
    }
  }
}

bool ExtraWorkload::Next(Row* row) {
  if (source_ == sources_.size()) {
    source_ = 0;
    tick_++;
  }
  if (tick_ == ticks_) return false;
  values_.fill(static_cast<double>((source_ + static_cast<size_t>(tick_)) % 101));
  *row = {source_++, first_ms_ + tick_ * kTickMs, all_metrics_, values_};
  return true;
}

}  // namespace nexus::bench
