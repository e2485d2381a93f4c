// Rules, their settings, and the clock. See retention.h.

#include "engine/retention.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace nexus::engine {
namespace {

constexpr std::string_view kRulePrefix = "retention.rule.";

std::optional<int64_t> NumberOf(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

int64_t Later(int64_t time_ns, int64_t by_ns) {
  int64_t later = 0;
  return __builtin_add_overflow(time_ns, by_ns, &later) ? std::numeric_limits<int64_t>::max()
                                                        : later;
}

}  // namespace

StatusOr<std::shared_ptr<const RetentionRules>> RetentionRules::Make(
    std::vector<RetentionRule> rules) {
  if (rules.size() > kRetentionRulesMax) {
    return InvalidArgument("{} retention rules; a tenant may have {}", rules.size(),
                           kRetentionRulesMax);
  }
  auto made = std::make_shared<RetentionRules>();
  std::optional<std::string> for_all;
  std::vector<std::string> texts;
  for (const RetentionRule& rule : rules) {
    if (rule.selector.empty()) {
      return InvalidArgument("a retention rule without a selector; {{}} chooses every series");
    }
    if (rule.selector.size() > kRetentionSelectorBytesMax) {
      return InvalidArgument(
          "the selector of a retention rule has {} bytes; at most {} are allowed",
          rule.selector.size(), kRetentionSelectorBytesMax);
    }
    if (rule.duration_ns <= 0) {
      return InvalidArgument("retention rule {}: the duration must be greater than 0",
                             rule.selector);
    }
    StatusOr<Selector> selector = Selector::Parse(rule.selector);
    NEXUS_RETURN_IF_ERROR(Annotate(selector.status(), "retention rule " + rule.selector));
    const std::string text = selector->ToString();
    if (std::find(texts.begin(), texts.end(), text) != texts.end()) {
      return InvalidArgument("there are two retention rules for {}; the first would always decide",
                             rule.selector);
    }
    if (for_all.has_value()) {
      return InvalidArgument(
          "retention rule {} could never decide: {} before it chooses every series", rule.selector,
          *for_all);
    }
    if (selector->matchers().empty()) for_all = rule.selector;
    texts.push_back(text);
    made->selectors_.push_back(*std::move(selector));
  }
  made->rules_ = std::move(rules);
  return std::shared_ptr<const RetentionRules>(std::move(made));
}

size_t RetentionRules::RuleOf(std::string_view canonical) const {
  size_t number = 0;
  while (number < selectors_.size() && !selectors_[number].Matches(canonical)) number++;
  return number;
}

int64_t RetentionRules::shortest_ns() const {
  auto shorter = [](const RetentionRule& a, const RetentionRule& b) {
    return a.duration_ns < b.duration_ns;
  };
  return std::min_element(rules_.begin(), rules_.end(), shorter)->duration_ns;
}

int64_t CutAt(int64_t clock_ns, int64_t duration_ns) {
  int64_t cut = 0;
  return __builtin_sub_overflow(clock_ns, duration_ns, &cut) ? kKeepAll : cut;
}

std::vector<int64_t> RetentionRules::CutsAt(int64_t clock_ns) const {
  std::vector<int64_t> cuts;
  for (const RetentionRule& rule : rules_) cuts.push_back(CutAt(clock_ns, rule.duration_ns));
  cuts.push_back(kKeepAll);
  return cuts;
}

// One that chooses every series is the last.
int64_t RetentionRules::CutOfAllAt(int64_t clock_ns) const {
  if (empty() || !selectors_.back().matchers().empty()) return kKeepAll;
  std::vector<int64_t> cuts = CutsAt(clock_ns);
  cuts.pop_back();
  return *std::min_element(cuts.begin(), cuts.end());
}

void RulesToSettings(const std::vector<RetentionRule>& rules,
                     std::vector<catalog::Setting>* settings) {
  std::erase_if(*settings, [](const catalog::Setting& setting) {
    return setting.name.starts_with(kRulePrefix);
  });
  for (size_t i = 0; i < rules.size(); i++) {
    settings->push_back({fmt::format("{}{:02}", kRulePrefix, i),
                         fmt::format("{} {}", rules[i].duration_ns, rules[i].selector)});
  }
}

StatusOr<std::vector<RetentionRule>> RulesFromSettings(
    const std::vector<catalog::Setting>& settings) {
  std::vector<RetentionRule> rules;
  for (const catalog::Setting& setting : settings) {
    if (!setting.name.starts_with(kRulePrefix)) continue;
    const size_t space = setting.value.find(' ');
    const std::optional<int64_t> duration =
        NumberOf(std::string_view(setting.value).substr(0, space));
    if (space == std::string::npos || !duration.has_value()) {
      return DataLoss("setting {} is no retention rule: {}", setting.name, setting.value);
    }
    rules.push_back({setting.value.substr(space + 1), *duration});
  }
  return rules;
}

void RetentionClock::Apply(int64_t clock_ns, int64_t monotonic_ns) {
  const bool runs = applied_ns_.has_value();
  if (runs && clock_ns <= *applied_ns_) return;
  if (!runs || Now(monotonic_ns) < clock_ns) {
    base_ns_ = clock_ns;
    base_mono_ns_ = monotonic_ns;
  }
  applied_ns_ = clock_ns;
}

void RetentionClock::TakeWall(int64_t wall_ns, int64_t monotonic_ns) {
  if (!applied_ns_.has_value()) return;
  const int64_t now = Now(monotonic_ns);
  base_ns_ = wall_ns > Later(now, kClockStepMaxNs) ? now : std::max(now, wall_ns);
  base_mono_ns_ = monotonic_ns;
}

int64_t RetentionClock::Now(int64_t monotonic_ns) const {
  return std::max(*applied_ns_, Later(base_ns_, monotonic_ns - base_mono_ns_));
}

int64_t RetentionClock::Waits(int64_t wall_ns, int64_t monotonic_ns) const {
  if (!applied_ns_.has_value()) return 0;
  const int64_t now = Now(monotonic_ns);
  if (wall_ns <= Later(now, kClockStepMaxNs)) return 0;
  int64_t ahead = 0;
  return __builtin_sub_overflow(wall_ns, now, &ahead) ? std::numeric_limits<int64_t>::max() : ahead;
}

catalog::Setting ClockToSetting(int64_t clock_ns) {
  return {std::string(kRetentionClockSetting), fmt::format("{}", clock_ns)};
}

StatusOr<std::optional<int64_t>> ClockFromSettings(const std::vector<catalog::Setting>& settings) {
  for (const catalog::Setting& setting : settings) {
    if (setting.name != kRetentionClockSetting) continue;
    const std::optional<int64_t> clock = NumberOf(setting.value);
    if (!clock.has_value()) {
      return DataLoss("setting {} is no time: {}", setting.name, setting.value);
    }
    return clock;
  }
  return std::optional<int64_t>();
}

}  // namespace nexus::engine
