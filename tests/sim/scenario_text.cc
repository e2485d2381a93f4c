// Scenarios as text. See scenario.h.

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "tests/sim/scenario.h"

namespace nexus::sim_test {
namespace {

struct OpForm {
  std::string_view name;
  std::vector<std::string_view> arguments;
};

const OpForm& FormOf(OpKind kind) {
  static const std::vector<OpForm>* forms = new std::vector<OpForm>{
      {"append", {"form", "series", "start", "count", "buffered"}},
      {"client_append", {"client", "series", "start", "count"}},
      {"query", {"series", "more", "from", "length", "pause"}},
      {"flush", {}},
      {"sync", {}},
      {"tenant", {"number"}},
      {"wait", {"ns"}},
      {"kill", {"nested", "nested2"}},
      {"power_cut", {"nested", "nested2"}},
      {"close", {"nested", "nested2"}},
      {"jump", {"seconds"}},
      {"fill_disk", {"left"}},
      {"free_disk", {}},
      {"scrub", {}},
      {"lose_catalog", {"crash", "nested"}},
      {"compact", {}},
      {"branch", {"number", "from"}},
      {"snapshot", {"number", "from"}},
      {"drop_branch", {"which"}},
      {"branch_append", {"which", "form", "series", "start", "count"}},
      {"branch_query", {"which", "series", "more", "from", "pause"}},
      {"delete", {"series", "more", "from", "length", "fresh"}},
      {"branch_delete", {"which", "series", "more", "from", "length"}},
      {"retention", {"form", "series", "more", "cut", "other"}},
      {"accept_clock", {}},
      {"backup", {"compaction"}},
      {"drop_tenant", {"number"}},
      {"rollups", {"form"}},
  };
  return (*forms)[static_cast<size_t>(kind)];
}

std::optional<OpKind> KindOf(std::string_view name) {
  for (size_t i = 0; i < kOpKinds; i++) {
    if (FormOf(static_cast<OpKind>(i)).name == name) return static_cast<OpKind>(i);
  }
  return std::nullopt;
}

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const size_t begin = line.find_first_not_of(' ');
    if (begin == std::string_view::npos) return words;
    const size_t end = std::min(line.find(' ', begin), line.size());
    words.push_back(line.substr(begin, end - begin));
    line.remove_prefix(end);
  }
}

std::optional<int64_t> Number(std::string_view text) {
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Status ParseOp(OpKind kind, const std::vector<std::string_view>& words, Scenario* scenario) {
  const OpForm& form = FormOf(kind);
  Op op;
  op.kind = kind;
  for (size_t i = 1; i < words.size(); i++) {
    const size_t equals = words[i].find('=');
    const std::string_view name = words[i].substr(0, equals);
    size_t at = 0;
    while (at < form.arguments.size() && form.arguments[at] != name) at++;
    std::optional<int64_t> value;
    if (equals != std::string_view::npos) value = Number(words[i].substr(equals + 1));
    if (at == form.arguments.size() || !value.has_value()) {
      return InvalidArgument("\"{}\" is no NAME=NUMBER of {}", words[i], form.name);
    }
    op.arguments[at] = *value;
  }
  scenario->ops.push_back(op);
  return OkStatus();
}

Status ParseLine(const std::vector<std::string_view>& words, Scenario* scenario) {
  if (std::optional<OpKind> kind = KindOf(words[0])) return ParseOp(*kind, words, scenario);
  std::optional<int64_t> value = Number(words.back());
  if (words[0] == "seed" && words.size() == 2) {
    uint64_t seed = 0;
    std::from_chars(words[1].data(), words[1].data() + words[1].size(), seed);
    scenario->seed = seed;
    return OkStatus();
  }
  if (words.size() == 3 && value.has_value() && words[0] == "tunable") {
    scenario->tunables[std::string(words[1])] = *value;
    return OkStatus();
  }
  if (words.size() == 3 && value.has_value() && words[0] == "fault") {
    for (size_t i = 0; i < sim::kFaultCount; i++) {
      const auto fault = static_cast<sim::Fault>(i);
      if (words[1] != sim::FaultName(fault)) continue;
      scenario->faults[fault] = static_cast<uint32_t>(*value);
      return OkStatus();
    }
  }
  return InvalidArgument(
      "neither an operation nor \"seed N\", \"tunable NAME N\", \"fault NAME N\"");
}

}  // namespace

std::string_view OpName(OpKind kind) { return FormOf(kind).name; }

std::vector<std::string_view> ArgumentNames(OpKind kind) { return FormOf(kind).arguments; }

std::string ToText(const Op& op) {
  std::string text(OpName(op.kind));
  const OpForm& form = FormOf(op.kind);
  for (size_t i = 0; i < form.arguments.size(); i++) {
    text += fmt::format(" {}={}", form.arguments[i], op.arguments[i]);
  }
  return text;
}

std::string ToText(const Scenario& scenario) {
  std::string text = fmt::format("seed {}\n", scenario.seed);
  for (const auto& [name, value] : scenario.tunables) {
    text += fmt::format("tunable {} {}\n", name, value);
  }
  for (size_t i = 0; i < sim::kFaultCount; i++) {
    const auto fault = static_cast<sim::Fault>(i);
    if (scenario.faults[fault] == 0) continue;
    text += fmt::format("fault {} {}\n", sim::FaultName(fault), scenario.faults[fault]);
  }
  for (const Op& op : scenario.ops) text += ToText(op) + "\n";
  return text;
}

StatusOr<Scenario> ParseScenario(std::string_view text) {
  Scenario scenario;
  for (int number = 1; !text.empty(); number++) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.substr(0, line.find('#'));
    const std::vector<std::string_view> words = Words(line);
    if (words.empty()) continue;
    Status parsed = ParseLine(words, &scenario);
    if (!parsed.ok()) {
      return InvalidArgument("line {}: {}", number, FromAbsl(parsed.message()));
    }
  }
  return scenario;
}

}  // namespace nexus::sim_test
