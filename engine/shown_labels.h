// ShownLabels: the labels a cursor shows with its chunks, taken apart from a canonical form.
//
// Strings keep their memory from one series to the next. Threading: a value.

#ifndef NEXUS_ENGINE_SHOWN_LABELS_H_
#define NEXUS_ENGINE_SHOWN_LABELS_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/labels.h"

namespace nexus::engine {

class ShownLabels {
 public:
  // REQUIRES: `canonical` is a canonical form, or that of a group: its metric may be empty.
  void Set(std::string_view canonical) {
    size_t count = 0;
    VisitCanonical(canonical, [&](std::string_view name, std::string_view value) {
      if (name == kMetricNameLabel) {
        metric_ = value;
        return;
      }
      if (count == labels_.size()) labels_.emplace_back();
      labels_[count].name = name;
      labels_[count].value = value;
      count++;
    });
    labels_.resize(count);
  }
  const std::string& metric() const { return metric_; }
  const std::vector<Label>& labels() const { return labels_; }

 private:
  std::string metric_;
  std::vector<Label> labels_;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_SHOWN_LABELS_H_
