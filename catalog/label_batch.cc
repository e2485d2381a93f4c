// Turning canonical labels into numbers and lists of ids. See label_batch.h.

#include "catalog/label_batch.h"

#include "base/labels.h"

namespace nexus::catalog {

LabelBatch::LabelBatch(uint64_t hash_seed)
    : string_numbers_(0, SeededHash{hash_seed}), row_begin_{0} {}

uint32_t LabelBatch::NumberOf(std::string_view string) {
  auto [found, made] = string_numbers_.try_emplace(string, static_cast<uint32_t>(strings_.size()));
  if (made) strings_.push_back(string);
  return found->second;
}

size_t LabelBatch::ParseLabel(std::string_view rest, bool metric, uint32_t* label) {
  const size_t end = rest.find('\xFF');
  if (end == std::string_view::npos) return 0;
  std::string_view name = kMetricNameLabel;
  std::string_view value = rest.substr(0, end);
  if (!metric) {
    const size_t middle = value.find('\xFE');
    if (middle == std::string_view::npos) return 0;
    name = value.substr(0, middle);
    value = value.substr(middle + 1);
  }
  if (value.find('\xFE') != std::string_view::npos) return 0;
  if (name.empty() || name.size() > kLabelNameBytesMax) return 0;
  if (value.empty() || value.size() > kLabelValueBytesMax) return 0;
  const Label made{NumberOf(name), NumberOf(value)};
  auto [found, added] = label_numbers_.try_emplace(
      static_cast<uint64_t>(made.name) << 32 | made.value, static_cast<uint32_t>(labels_.size()));
  if (added) labels_.push_back(made);
  *label = found->second;
  return end + 1;
}

bool LabelBatch::Add(SeriesId id, std::string_view canonical) {
  const size_t row_begin = row_labels_.size();
  std::string_view rest = canonical;
  for (size_t place = 0; place == 0 || !rest.empty(); place++) {
    if (place < previous_.size() && rest.starts_with(previous_[place].bytes)) {
      row_labels_.push_back(previous_[place].label);
      rest.remove_prefix(previous_[place].bytes.size());
      continue;
    }
    uint32_t label = 0;
    size_t length = place > kLabelsMax ? 0 : ParseLabel(rest, place == 0, &label);
    if (length == 0) {
      row_labels_.resize(row_begin);
      return false;
    }
    if (place == previous_.size()) previous_.emplace_back();
    previous_[place] = {rest.substr(0, length), label};
    row_labels_.push_back(label);
    rest.remove_prefix(length);
  }
  ids_.push_back(id.value);
  row_begin_.push_back(static_cast<uint32_t>(row_labels_.size()));
  return true;
}

void LabelBatch::Finish() {
  label_begin_.assign(labels_.size() + 1, 0);
  for (uint32_t label : row_labels_) label_begin_[label + 1]++;
  for (size_t i = 0; i < labels_.size(); i++) label_begin_[i + 1] += label_begin_[i];
  label_count_.assign(labels_.size(), 0);
  label_ids_.resize(row_labels_.size());
  for (size_t i = 0; i < ids_.size(); i++) {
    for (uint32_t label : labels_of(i)) {
      uint64_t* list = label_ids_.data() + label_begin_[label];
      // A label that stands twice in a series, which canonical forms never have, is taken once.
      uint32_t& count = label_count_[label];
      if (count == 0 || list[count - 1] != ids_[i]) list[count++] = ids_[i];
    }
  }
}

}  // namespace nexus::catalog
