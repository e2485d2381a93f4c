// Protocol buffers by hand. See remote_write.h.

#include "bench/peers/load/remote_write.h"

#include <algorithm>
#include <bit>
#include <cstdint>

namespace nexus::bench {
namespace {

// A field's number and wire type in one byte.
constexpr char kTimeSeriesField = 1 << 3 | 2;  // lengths follow 2
constexpr char kLabelsField = 1 << 3 | 2;
constexpr char kSamplesField = 2 << 3 | 2;
constexpr char kNameField = 1 << 3 | 2;
constexpr char kLabelValueField = 2 << 3 | 2;
constexpr char kValueField = 1 << 3 | 1;      // eight bytes follow 1
constexpr char kTimestampField = 2 << 3 | 0;  // a varint follows 0

size_t VarintBytes(uint64_t value) {
  return value == 0 ? 1 : (static_cast<size_t>(std::bit_width(value)) + 6) / 7;
}

void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

void AppendText(char field, std::string_view text, std::string* out) {
  out->push_back(field);
  AppendVarint(text.size(), out);
  out->append(text);
}

std::string EncodedLabel(std::string_view name, std::string_view value) {
  std::string label;
  AppendText(kNameField, name, &label);
  AppendText(kLabelValueField, value, &label);
  std::string field;
  AppendText(kLabelsField, label, &field);
  return field;
}

void AppendFixed(double value, std::string* out) {
  uint64_t bits = std::bit_cast<uint64_t>(value);
  for (int i = 0; i < 8; i++, bits >>= 8) out->push_back(static_cast<char>(bits));
}

}  // namespace

RemoteWriteEncoder::RemoteWriteEncoder(const Workload& workload)
    : workload_(workload), sources_(workload.sources().size()) {
  for (std::string_view metric : workload.metrics()) {
    names_.push_back(EncodedLabel(kMetricNameLabel, metric));
  }
}

void RemoteWriteEncoder::Append(const Row& row, std::string* out) {
  const SourceLabels& source = LabelsOf(row.source);
  // Negative times are ten bytes, as the format has it.
  const uint64_t timestamp = static_cast<uint64_t>(row.timestamp_ms);
  const size_t sample_bytes = 1 + 8 + 1 + VarintBytes(timestamp);
  for (size_t i = 0; i < row.values.size(); i++) {
    const std::string& name = names_[row.metrics[i]];
    out->push_back(kTimeSeriesField);
    AppendVarint(source.before.size() + name.size() + source.after.size() + 2 + sample_bytes, out);
    out->append(source.before);
    out->append(name);
    out->append(source.after);
    out->push_back(kSamplesField);
    AppendVarint(sample_bytes, out);
    out->push_back(kValueField);
    AppendFixed(row.values[i], out);
    out->push_back(kTimestampField);
    AppendVarint(timestamp, out);
  }
}

const RemoteWriteEncoder::SourceLabels& RemoteWriteEncoder::LabelsOf(size_t source) {
  SourceLabels& labels = sources_[source];
  if (!labels.made) {
    std::vector<Label> tags = workload_.sources()[source].tags;
    std::ranges::sort(tags);
    for (const Label& tag : tags) {
      std::string& side = tag.name < kMetricNameLabel ? labels.before : labels.after;
      side += EncodedLabel(tag.name, tag.value);
    }
    labels.made = true;
  }
  return labels;
}

}  // namespace nexus::bench
