// Labels: what names a series - a metric name and a set of labels - and its canonical form.
//
// Canonical form: metric 0xFF (name 0xFE value 0xFF)*, labels in byte order of their names. Neither
// 0xFE nor 0xFF occurs in UTF-8, so the form is unambiguous, compares with memcmp, front-codes
// well, and all series of one metric are neighbours. Identity is the seeded 128-bit XXH3 of this
// form. Limits are named below; what breaks them is refused with the offending label in the
// message. Threading: values.

#ifndef NEXUS_BASE_LABELS_H_
#define NEXUS_BASE_LABELS_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace nexus {

inline constexpr std::string_view kMetricNameLabel = "__name__";
inline constexpr size_t kLabelNameBytesMax = 1024;  // metric names too
inline constexpr size_t kLabelValueBytesMax = 16384;
inline constexpr size_t kLabelsMax = 128;
inline constexpr size_t kCanonicalBytesMax = 65536;

struct Label {
  std::string name;
  std::string value;
  auto operator<=>(const Label&) const = default;
};

class Labels {
 public:
  Labels() = default;

  // Sorts and checks. Labels with an empty value are dropped (an absent label and an empty one are
  // the same, as in Prometheus); `__name__` among the labels is taken as the metric name if
  // `metric` is empty. Errors: InvalidArgument - empty metric name, a name twice, invalid UTF-8, a
  // limit broken; named.
  static StatusOr<Labels> Make(std::string metric, std::vector<Label> labels);

  // From the canonical form; for bytes of our own that a checksum has vouched for, and for checking
  // those that none has. Errors: DataLoss.
  static StatusOr<Labels> FromCanonical(std::string_view canonical);

  std::string Canonical() const;

  const std::string& metric() const { return metric_; }
  // In byte order of names, without `__name__`.
  const std::vector<Label>& labels() const { return labels_; }
  // The value of a label, or "" if absent. `__name__` gives the metric name.
  std::string_view Get(std::string_view name) const;

  // For people: metric{a="b",c="d"} with \, " and newline escaped in values.
  std::string ToString() const;

  auto operator<=>(const Labels&) const = default;

 private:
  std::string metric_;
  std::vector<Label> labels_;
};

// Calls visit(name, value) for `__name__` first, then each label of a canonical form in order.
// Returns false - after calling it for what came before - if the form is malformed.
template <typename Visit>
bool VisitCanonical(std::string_view canonical, Visit&& visit) {
  size_t end = canonical.find('\xFF');
  if (end == std::string_view::npos) return false;
  visit(kMetricNameLabel, canonical.substr(0, end));
  size_t at = end + 1;
  while (at < canonical.size()) {
    size_t middle = canonical.find('\xFE', at);
    if (middle == std::string_view::npos) return false;
    end = canonical.find('\xFF', middle);
    if (end == std::string_view::npos) return false;
    visit(canonical.substr(at, middle - at), canonical.substr(middle + 1, end - middle - 1));
    at = end + 1;
  }
  return true;
}

// True if the form has its separators and a metric name. For labels whose limits and UTF-8 were
// checked when they came in: checking them again costs a microsecond a series.
inline bool LooksCanonical(std::string_view canonical) {
  return !canonical.starts_with('\xFF') &&
         VisitCanonical(canonical, [](std::string_view, std::string_view) {});
}

// True if `s` is well-formed UTF-8 (RFC 3629: no surrogates, no over-long forms, at most U+10FFFF).
bool IsValidUtf8(std::string_view s);

}  // namespace nexus

#endif  // NEXUS_BASE_LABELS_H_
