// Names of layer files, written and parsed; see layer.h.

#include "layer/layer.h"

#include <algorithm>

#include "base/check.h"

namespace nexus::layer {
namespace {

constexpr uint64_t kSignBit = uint64_t{1} << 63;
constexpr std::string_view kSuffix = ".layer";
constexpr size_t kNameBytes = 16 + 1 + 16 + 1 + 2 + 1 + 16 + 1 + 16 + kSuffix.size();

// Reads `digits` lower-case hex digits and the separator behind them.
bool TakeHex(std::string_view* rest, size_t digits, char separator, uint64_t* value) {
  if (rest->size() <= digits || (*rest)[digits] != separator) return false;
  *value = 0;
  for (char c : rest->substr(0, digits)) {
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_digit && (c < 'a' || c > 'f')) return false;
    *value = *value << 4 | static_cast<uint64_t>(is_digit ? c - '0' : c - 'a' + 10);
  }
  rest->remove_prefix(digits + 1);
  return true;
}

}  // namespace

std::string LayerFileName(const LayerIdentity& identity, TimeRange range) {
  NEXUS_CHECK(identity.level <= kLayerLevelMax);
  return fmt::format("{:016x}-{:016x}-{:02x}-{:016x}-{:016x}{}",
                     static_cast<uint64_t>(range.first) ^ kSignBit,
                     static_cast<uint64_t>(range.last) ^ kSignBit, identity.level,
                     identity.open_count, identity.sequence, kSuffix);
}

StatusOr<ParsedLayerName> ParseLayerFileName(std::string_view name) {
  std::string_view rest = name;
  uint64_t first = 0;
  uint64_t last = 0;
  uint64_t level = 0;
  ParsedLayerName parsed;
  const bool right = name.size() == kNameBytes && TakeHex(&rest, 16, '-', &first) &&
                     TakeHex(&rest, 16, '-', &last) && TakeHex(&rest, 2, '-', &level) &&
                     TakeHex(&rest, 16, '-', &parsed.key.open_count) &&
                     TakeHex(&rest, 16, '.', &parsed.key.sequence) && rest == kSuffix.substr(1);
  parsed.range = {static_cast<int64_t>(first ^ kSignBit), static_cast<int64_t>(last ^ kSignBit)};
  parsed.level = static_cast<uint32_t>(level);
  if (!right || parsed.range.empty()) {
    return InvalidArgument("{} is not the name of a layer", name);
  }
  return parsed;
}

}  // namespace nexus::layer
