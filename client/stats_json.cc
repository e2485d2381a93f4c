// Figures as JSON. See client.h.

#include <cmath>
#include <string>
#include <variant>

#include "base/status.h"
#include "client/client.h"

namespace nexus::client {

std::string ToJson(std::span<const protocol::Stat> stats) {
  std::string json = "{";
  auto text = [&](std::string_view value) {
    json += '"';
    for (char c : value) {
      if (c == '"' || c == '\\') json += '\\';
      if (static_cast<unsigned char>(c) < 0x20) {
        json += fmt::format("\\u{:04x}", static_cast<int>(c));
      } else {
        json += c;
      }
    }
    json += '"';
  };
  for (const protocol::Stat& stat : stats) {
    if (json.size() > 1) json += ',';
    text(stat.name);
    json += ':';
    if (const auto* integer = std::get_if<uint64_t>(&stat.value)) {
      json += fmt::format("{}", *integer);
    } else if (const auto* real = std::get_if<double>(&stat.value)) {
      if (std::isnan(*real)) {
        json += "\"NaN\"";
      } else if (std::isinf(*real)) {
        json += *real > 0 ? "\"+Inf\"" : "\"-Inf\"";
      } else {
        json += fmt::format("{}", *real);
      }
    } else {
      text(std::get<std::string>(stat.value));
    }
  }
  return json + "}";
}

}  // namespace nexus::client
