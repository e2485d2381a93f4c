// Checking, sorting and encoding of labels. See labels.h.

#include "base/labels.h"

#include <algorithm>
#include <cstdint>

namespace nexus {
namespace {

// Long names are shortened in messages, and bytes that would garble a terminal are replaced.
std::string Shown(std::string_view s) {
  std::string out;
  for (char c : s.substr(0, 64)) {
    bool plain = c >= 0x20 && c < 0x7f;
    out += plain ? c : '?';
  }
  if (s.size() > 64) out += "...";
  return out;
}

Status CheckLabel(const Label& label) {
  if (label.name.empty())
    return InvalidArgument("label with an empty name (value \"{}\")", Shown(label.value));
  if (label.name.size() > kLabelNameBytesMax) {
    return InvalidArgument("label name \"{}\" has {} bytes; at most {} are allowed",
                           Shown(label.name), label.name.size(), kLabelNameBytesMax);
  }
  if (label.value.size() > kLabelValueBytesMax) {
    return InvalidArgument("value of label \"{}\" has {} bytes; at most {} are allowed",
                           Shown(label.name), label.value.size(), kLabelValueBytesMax);
  }
  if (!IsValidUtf8(label.name))
    return InvalidArgument("label name \"{}\" is not UTF-8", Shown(label.name));
  if (!IsValidUtf8(label.value)) {
    return InvalidArgument("value of label \"{}\" is not UTF-8", Shown(label.name));
  }
  return OkStatus();
}

Status CheckMetric(std::string_view metric) {
  if (metric.empty()) return InvalidArgument("series without a metric name");
  if (metric.size() > kLabelNameBytesMax) {
    return InvalidArgument("metric name \"{}\" has {} bytes; at most {} are allowed", Shown(metric),
                           metric.size(), kLabelNameBytesMax);
  }
  if (!IsValidUtf8(metric))
    return InvalidArgument("metric name \"{}\" is not UTF-8", Shown(metric));
  return OkStatus();
}

// The length of the well-formed UTF-8 sequence that starts at s[i], or 0.
size_t SequenceLength(std::string_view s, size_t i) {
  auto byte = [&](size_t k) { return static_cast<uint8_t>(s[k]); };
  uint8_t first = byte(i);
  size_t length = first < 0x80                     ? 1
                  : first >= 0xc2 && first <= 0xdf ? 2
                  : (first & 0xf0) == 0xe0         ? 3
                  : first >= 0xf0 && first <= 0xf4 ? 4
                                                   : 0;
  if (length == 0 || i + length > s.size()) return 0;
  for (size_t k = 1; k < length; k++) {
    if ((byte(i + k) & 0xc0) != 0x80) return 0;
  }
  bool overlong = (first == 0xe0 && byte(i + 1) < 0xa0) || (first == 0xf0 && byte(i + 1) < 0x90);
  bool surrogate = first == 0xed && byte(i + 1) >= 0xa0;
  bool too_large = first == 0xf4 && byte(i + 1) >= 0x90;
  return overlong || surrogate || too_large ? 0 : length;
}

}  // namespace

bool IsValidUtf8(std::string_view s) {
  for (size_t i = 0; i < s.size();) {
    size_t length = SequenceLength(s, i);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

StatusOr<Labels> Labels::Make(std::string metric, std::vector<Label> labels) {
  Labels made;
  made.metric_ = std::move(metric);
  std::sort(labels.begin(), labels.end());
  for (size_t i = 0; i < labels.size(); i++) {
    if (i > 0 && labels[i].name == labels[i - 1].name) {
      return InvalidArgument("label \"{}\" is given twice", Shown(labels[i].name));
    }
    if (labels[i].value.empty()) continue;
    if (labels[i].name == kMetricNameLabel && made.metric_.empty()) {
      made.metric_ = labels[i].value;
      continue;
    }
    if (labels[i].name == kMetricNameLabel) {
      return InvalidArgument("label __name__ is given beside the metric name \"{}\"",
                             Shown(made.metric_));
    }
    NEXUS_RETURN_IF_ERROR(CheckLabel(labels[i]));
  }
  std::erase_if(labels,
                [](const Label& l) { return l.value.empty() || l.name == kMetricNameLabel; });
  NEXUS_RETURN_IF_ERROR(CheckMetric(made.metric_));
  if (labels.size() > kLabelsMax) {
    return InvalidArgument("series {} has {} labels; at most {} are allowed", Shown(made.metric_),
                           labels.size(), kLabelsMax);
  }
  made.labels_ = std::move(labels);
  size_t bytes = made.Canonical().size();
  if (bytes > kCanonicalBytesMax) {
    return InvalidArgument("labels of series {} have {} bytes in all; at most {} are allowed",
                           Shown(made.metric_), bytes, kCanonicalBytesMax);
  }
  return made;
}

StatusOr<Labels> Labels::FromCanonical(std::string_view canonical) {
  std::string metric;
  std::vector<Label> labels;
  bool well_formed = VisitCanonical(canonical, [&](std::string_view name, std::string_view value) {
    if (name == kMetricNameLabel && labels.empty() && metric.empty()) {
      metric = std::string(value);
    } else {
      labels.push_back({std::string(name), std::string(value)});
    }
  });
  if (!well_formed) return DataLoss("series labels are malformed: \"{}\"", Shown(canonical));
  StatusOr<Labels> made = Make(std::move(metric), std::move(labels));
  if (!made.ok())
    return DataLoss("series labels are malformed: {}", FromAbsl(made.status().message()));
  if (made->Canonical() != canonical) {
    return DataLoss("series labels are not in canonical form: \"{}\"", Shown(canonical));
  }
  return made;
}

std::string Labels::Canonical() const {
  std::string out = metric_;
  out += '\xFF';
  for (const Label& label : labels_) {
    out += label.name;
    out += '\xFE';
    out += label.value;
    out += '\xFF';
  }
  return out;
}

std::string_view Labels::Get(std::string_view name) const {
  if (name == kMetricNameLabel) return metric_;
  for (const Label& label : labels_) {
    if (label.name == name) return label.value;
  }
  return {};
}

std::string Labels::ToString() const {
  std::string out = metric_;
  if (labels_.empty()) return out;
  char separator = '{';
  for (const Label& label : labels_) {
    out += separator;
    separator = ',';
    out += label.name + "=\"";
    for (char c : label.value) {
      if (c == '\\' || c == '"') out += '\\';
      out += c == '\n' ? std::string("\\n") : std::string(1, c);
    }
    out += '"';
  }
  return out + '}';
}

}  // namespace nexus
