// Rules in doubt, and the clock's bounds. See retention_model.h.

#include "tests/sim/retention_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "tests/sim/scenario.h"
#include "tests/sim/workload.h"

namespace nexus::sim_test {
namespace {

constexpr int64_t kStepMaxNs = 7 * 86'400 * kSecondNs;

std::vector<RetentionRule> RulesOf(const ModelRules& rules) {
  std::vector<RetentionRule> plain;
  for (const ModelRule& rule : rules) plain.push_back(rule.rule);
  return plain;
}

// Below what samples of a series are expired; nothing if they are kept.
std::optional<int64_t> CutOf(const ModelRules& rules, uint32_t series, int64_t clock_ns) {
  for (const ModelRule& rule : rules) {
    if (rule.series_first <= series && series <= rule.series_last) {
      return clock_ns - rule.rule.duration_ns;
    }
  }
  return std::nullopt;
}

}  // namespace

ModelRules MakeRules(int64_t form, const Region& region, int64_t some_ns, int64_t all_ns) {
  ModelRules rules;
  if (form == kRuleForSome || form == kTwoRules) {
    rules.push_back({{SelectorOf(region.series_first, region.series_last), some_ns},
                     region.series_first,
                     region.series_last});
  }
  if (form == kRuleForAll || form == kTwoRules) {
    rules.push_back({{"{}", all_ns}, 0, UINT32_MAX});
  }
  return rules;
}

void RetentionModel::Setting(ModelRules rules) { possible_.push_back(std::move(rules)); }

void RetentionModel::Set(bool done, int64_t now_ns) {
  RememberRejections(now_ns);
  if (done) {
    possible_ = {possible_.back()};
  } else {
    possible_.pop_back();
  }
}

std::optional<std::string> RetentionModel::Observe(const RetentionInfo& info,
                                                   std::optional<int64_t> applied_ns,
                                                   int64_t now_ns, Since since, bool wall_jumps) {
  RememberRejections(now_ns);
  auto is_told = [&](const ModelRules& rules) { return RulesOf(rules) == info.rules; };
  if (std::none_of(possible_.begin(), possible_.end(), is_told)) {
    return std::string("rule 11: the retention is none that was set");
  }
  if (since == Since::kOpened) std::erase_if(possible_, [&](const auto& r) { return !is_told(r); });
  if (clock_runs_ && !info.clock_runs) return std::string("rule 11: the retention clock stopped");
  if (!info.clock_runs) return std::nullopt;
  const int64_t before = ClockAt(now_ns);
  if (clock_runs_ && since == Since::kRunning && info.clock_ns != before) {
    return fmt::format("rule 11: the retention clock is at {} instead of {}", info.clock_ns,
                       before);
  }
  if (clock_runs_ && info.clock_ns < applied_ns_) {
    return fmt::format("rule 11: the retention clock went back from {} to {}", applied_ns_,
                       info.clock_ns);
  }
  if (clock_runs_ && since == Since::kOpened) {
    if (info.clock_ns > before + kStepMaxNs) {
      return std::string("rule 11: the retention clock took a step of more than 7 days");
    }
    if (!wall_jumps && info.clock_ns > std::max(before, info.wall_ns)) {
      return std::string("rule 11: the retention clock is ahead of time");
    }
  }
  clock_runs_ = true;
  clock_ns_ = info.clock_ns;
  observed_ns_ = now_ns;
  applied_ns_ = std::max(applied_ns_, applied_ns.value_or(applied_ns_));
  return std::nullopt;
}

void RetentionModel::Expire(Oracle* oracle, int64_t now_ns) const {
  if (!clock_runs_) return;
  const int64_t clock = ClockAt(now_ns);
  auto expire = [&](int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
      const auto series = static_cast<uint32_t>(first + i);
      for (const ModelRules& rules : possible_) {
        const std::optional<int64_t> cut = CutOf(rules, series, clock);
        if (cut.has_value()) oracle->Expire(series, *cut);
      }
    }
  };
  expire(0, kSeries);
  expire(kFirstFresh, kFreshSeries);
  for (int64_t client = 0; client < kClientsMax; client++) {
    expire(kFirstClientSeries + client * kClientStride, kClientSeries);
  }
}

int64_t RetentionModel::RejectsBelow(int64_t now_ns) const {
  int64_t below = rejected_below_;
  if (!clock_runs_) return below;
  for (const ModelRules& rules : possible_) {
    // The one for every series is the last.
    if (rules.empty() || rules.back().series_last != UINT32_MAX) continue;
    int64_t longest_ns = 0;
    for (const ModelRule& rule : rules) longest_ns = std::max(longest_ns, rule.rule.duration_ns);
    below = std::max(below, ClockAt(now_ns) - longest_ns);
  }
  return below;
}

bool RetentionModel::MayReject(int64_t timestamp, int64_t now_ns) const {
  return timestamp < RejectsBelow(now_ns);
}

std::optional<int64_t> RetentionModel::GoneBelow(uint32_t series, int64_t clock_ns) const {
  if (!clock_runs_ || possible_.size() > 1) return std::nullopt;
  return CutOf(possible_.front(), series, clock_ns);
}

}  // namespace nexus::sim_test
