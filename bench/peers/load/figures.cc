// JSON by hand: names and texts are our own and short. See figures.h.

#include "bench/peers/load/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace nexus::bench {
namespace {

std::string Number(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : std::string("null");
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace

double Quantile(std::span<const double> ascending, double quantile) {
  if (ascending.empty()) return 0;
  return ascending[static_cast<size_t>(quantile * static_cast<double>(ascending.size() - 1))];
}

Figures& Figures::Add(std::string_view name, std::string_view text) {
  return AddRaw(name, Quoted(text));
}

Figures& Figures::Add(std::string_view name, double value) { return AddRaw(name, Number(value)); }

Figures& Figures::Add(std::string_view name, uint64_t value) {
  return AddRaw(name, std::to_string(value));
}

Figures& Figures::AddNull(std::string_view name) { return AddRaw(name, "null"); }

Figures& Figures::Add(std::string_view name, std::span<const Answer> answers, size_t answers_max) {
  std::string list;
  for (const Answer& answer : answers.first(std::min(answers_max, answers.size()))) {
    list += fmt::format("{}[{}, {}]", list.empty() ? "" : ", ", answer.count, Number(answer.sum));
  }
  return AddRaw(name, fmt::format("[{}]", list));
}

Figures& Figures::AddRaw(std::string_view name, std::string_view json) {
  members_ += fmt::format("{}{}: {}", members_.empty() ? "" : ", ", Quoted(name), json);
  return *this;
}

}  // namespace nexus::bench
