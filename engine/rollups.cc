// Rules as text, cuts, options. See rollups.h.

#include "engine/rollups.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <string>
#include <utility>

#include "compaction/rollup_bucket.h"
#include "engine/state.h"

namespace nexus::engine {
namespace {

constexpr std::string_view kRollupsSetting = "rollups";
constexpr std::string_view kOff = "off";
constexpr std::string_view kCutSetting = "rollups.complete_from";

bool IsFiner(const RollupRule& a, const RollupRule& b) { return a.resolution_ns < b.resolution_ns; }

const std::string* ValueOf(const std::vector<catalog::Setting>& settings, std::string_view name) {
  for (const catalog::Setting& setting : settings) {
    if (setting.name == name) return &setting.value;
  }
  return nullptr;
}

// Takes a number from the front of `text`.
bool TakeNumber(std::string_view* text, int64_t* number) {
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *number);
  if (error != std::errc()) return false;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return true;
}

int64_t CutIn(const std::vector<catalog::Setting>& settings) {
  const std::string* value = ValueOf(settings, kCutSetting);
  int64_t cut = kKeepAll;
  if (value == nullptr) return cut;
  std::string_view text = *value;
  return TakeNumber(&text, &cut) ? cut : kKeepAll;
}

}  // namespace

Status CheckRollups(const std::vector<RollupRule>& rules) {
  constexpr int64_t kSecond = 1'000'000'000;
  if (rules.size() > kRollupsMax) {
    return InvalidArgument("{} resolutions of rollups; a tenant has at most {}", rules.size(),
                           kRollupsMax);
  }
  std::vector<RollupRule> sorted = rules;
  std::sort(sorted.begin(), sorted.end(), IsFiner);
  for (size_t i = 0; i < sorted.size(); ++i) {
    const RollupRule& rule = sorted[i];
    if (rule.resolution_ns < compaction::kRollupResolutionMinNs ||
        rule.resolution_ns > compaction::kRollupResolutionMaxNs ||
        compaction::kRollupResolutionMaxNs % rule.resolution_ns != 0) {
      return InvalidArgument(
          "rollups of {} ns: a resolution is from 1 s to 1 day, and divides a day",
          rule.resolution_ns);
    }
    if (i > 0 && rule.resolution_ns % sorted[i - 1].resolution_ns != 0) {
      return InvalidArgument("rollups of {} s: it must be a multiple of the finer one, {} s",
                             rule.resolution_ns / kSecond, sorted[i - 1].resolution_ns / kSecond);
    }
    if (i > 0 && rule.resolution_ns == sorted[i - 1].resolution_ns) {
      return InvalidArgument("rollups of {} s are named twice", rule.resolution_ns / kSecond);
    }
    if (rule.keep_ns < 0 || (rule.keep_ns > 0 && rule.keep_ns < rule.resolution_ns)) {
      return InvalidArgument(
          "rollups of {} s are to be kept for {} ns: that is less than a bucket; 0 keeps them for "
          "ever",
          rule.resolution_ns / kSecond, rule.keep_ns);
    }
  }
  return OkStatus();
}

Status CheckRollupsInTime(const std::vector<RollupRule>& rules, int64_t shortest_ns,
                          int64_t head_window_ns) {
  // A bucket is frozen once its first sample may be gone. Its last is a bucket younger, and in a
  // layer when the head window is over.
  const int64_t left_ns = shortest_ns - head_window_ns;
  for (const RollupRule& rule : rules) {
    if (rule.resolution_ns <= left_ns) continue;
    constexpr double kHour = 3'600e9;
    return InvalidArgument(
        "rollups of {} s need samples to be kept for {:.2f} h at least, a bucket and the head "
        "window of {:.2f} h (flush_interval_ms, and the first of compaction_windows); the shortest "
        "rule of retention keeps them for {:.2f} h, and buckets would miss samples: keep these "
        "longer, or make finer rollups",
        rule.resolution_ns / 1'000'000'000,
        (static_cast<double>(rule.resolution_ns) + static_cast<double>(head_window_ns)) / kHour,
        static_cast<double>(head_window_ns) / kHour, static_cast<double>(shortest_ns) / kHour);
  }
  return OkStatus();
}

catalog::Setting RollupsToSetting(std::vector<RollupRule> rules) {
  std::sort(rules.begin(), rules.end(), IsFiner);
  std::string value;
  for (const RollupRule& rule : rules) {
    value += fmt::format("{}{}:{}", value.empty() ? "" : ",", rule.resolution_ns, rule.keep_ns);
  }
  if (value.empty()) value = kOff;
  return {std::string(kRollupsSetting), std::move(value)};
}

std::optional<std::vector<RollupRule>> RollupsFromSettings(
    const std::vector<catalog::Setting>& settings) {
  const std::string* value = ValueOf(settings, kRollupsSetting);
  if (value == nullptr) return std::nullopt;
  std::vector<RollupRule> rules;
  if (*value == kOff) return rules;
  for (std::string_view text = *value; !text.empty();) {
    RollupRule rule;
    if (!TakeNumber(&text, &rule.resolution_ns) || !text.starts_with(':')) return std::nullopt;
    text.remove_prefix(1);
    if (!TakeNumber(&text, &rule.keep_ns)) return std::nullopt;
    if (!text.empty() && !text.starts_with(',')) return std::nullopt;
    if (!text.empty()) text.remove_prefix(1);
    rules.push_back(rule);
  }
  if (!CheckRollups(rules).ok()) return std::nullopt;
  return rules;
}

void KeepRetentionCut(const RetentionRules& replaced, int64_t clock_ns,
                      std::vector<catalog::Setting>* settings) {
  if (replaced.empty()) return;
  const int64_t cut = CutAt(clock_ns, replaced.shortest_ns());
  if (cut <= CutIn(*settings)) return;
  std::erase_if(*settings, [](const auto& setting) { return setting.name == kCutSetting; });
  settings->push_back({std::string(kCutSetting), fmt::format("{}", cut)});
  std::sort(settings->begin(), settings->end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
}

std::function<int64_t(std::string_view canonical)> CompleteFrom(const TenantState& tenant,
                                                                std::optional<int64_t> clock_ns) {
  const int64_t least = CutIn(tenant.record.settings);
  if (!clock_ns.has_value() || tenant.retention->empty()) {
    if (least == kKeepAll) return {};
    return [least](std::string_view) { return least; };
  }
  return [least, rules = tenant.retention,
          cuts = tenant.retention->CutsAt(*clock_ns)](std::string_view canonical) {
    return std::max(least, cuts[rules->RuleOf(canonical)]);
  };
}

compaction::RollupOptions RollupOptionsOf(const DatabaseState& state, const TenantState& tenant,
                                          const BranchState& branch) {
  compaction::RollupOptions options;
  if (branch.record.kind == catalog::BranchKind::kSnapshot || !tenant.knows_rollups) {
    options.only_in_a_hurry = !tenant.knows_rollups;
    std::set<int64_t> resolutions;
    for (const OpenLayer& open : branch.RollupLayers()) {
      resolutions.insert(open.record.resolution_ns);
    }
    options.resolutions_ns.assign(resolutions.begin(), resolutions.end());
    options.keep_from_ns.assign(resolutions.size(), kKeepAll);
    return options;
  }
  const std::optional<int64_t> clock = state.retention_clock.applied_ns();
  for (const RollupRule& rule : tenant.rollups) {
    options.resolutions_ns.push_back(rule.resolution_ns);
    const bool expire = rule.keep_ns > 0 && clock.has_value();
    options.keep_from_ns.push_back(expire ? CutAt(*clock, rule.keep_ns) : kKeepAll);
  }
  if (clock.has_value() && !tenant.retention->empty()) {
    // What expires within an eighth of the shortest retention.
    const int64_t shortest = tenant.retention->shortest_ns();
    options.hurry_before_ns = CutAt(*clock, shortest - shortest / compaction::kRollupPart);
  }
  return options;
}

}  // namespace nexus::engine
