// Which layers retention concerns. See retention_plan.h.

#include "engine/retention_plan.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/planted.h"
#include "engine/retention.h"

namespace nexus::engine {
namespace {

// Layers that may hold expired samples that one plan looks at, the oldest: pairs of them are
// compared, half a million at most for each rule. The others follow when these are dropped or
// written again.
constexpr size_t kExpiringMax = 1'000;

constexpr TimeRange kNothing{std::numeric_limits<int64_t>::max(),
                             std::numeric_limits<int64_t>::min()};

void Widen(TimeRange* range, TimeRange by) {
  range->first = std::min(range->first, by.first);
  range->last = std::max(range->last, by.last);
}

// The range of what is known to be, or may be, expired of a rule in a layer; kNothing if nothing.
TimeRange ExpiredOf(const RetentionLayer& layer, size_t rule, int64_t cut) {
  TimeRange held = layer.range;
  if (layer.contents != nullptr) {
    const RuleContents& contents = layer.contents->rules[rule];
    if (contents.samples == 0) return kNothing;
    held = contents.range;
  }
  if (held.first >= cut) return kNothing;
  return {held.first, std::min(held.last, cut - 1)};
}

// Layers of one order and level are parts of one merge: they hold different series or windows.
struct Group {
  WriteOrder low;
  WriteOrder high;
  uint32_t level = 0;
  std::vector<TimeRange> expired;  // by rule: hull over its layers
};

class Planner {
 public:
  explicit Planner(const RetentionSituation& situation)
      : situation_(situation),
        rules_(situation.cuts.size() - 1),
        newest_cut_(*std::max_element(situation.cuts.begin(), situation.cuts.end())) {}

  RetentionPlan Plan() {
    plan_.rewrite.assign(situation_.layers.size(), 0);
    FindExpiring();
    Drop();
    Rewrite();
    return std::move(plan_);
  }

  std::vector<int64_t> CutsFor(const std::vector<char>& is_input) {
    for (size_t i = 0; i < situation_.layers.size(); i++) {
      if (situation_.layers[i].range.first < newest_cut_) expiring_.push_back(i);
    }
    const std::vector<Group> of_inputs = GroupsOf([&](size_t i) { return is_input[i] != 0; });
    const std::vector<Group> others = GroupsOf([&](size_t i) { return is_input[i] == 0; });
    std::vector<int64_t> cuts = situation_.cuts;
    for (size_t rule = 0; rule < rules_; rule++) {
      auto blocked = [&](const Group& group) { return IsBlocked(group, rule, others); };
      if (std::any_of(of_inputs.begin(), of_inputs.end(), blocked)) cuts[rule] = kKeepAll;
    }
    return cuts;
  }

 private:
  const RetentionLayer& layer(size_t i) const { return situation_.layers[i]; }
  int64_t cut(size_t rule) const { return situation_.cuts[rule]; }

  void FindExpiring() {
    for (size_t i = 0; i < situation_.layers.size() && expiring_.size() < kExpiringMax; i++) {
      if (layer(i).range.first >= newest_cut_) continue;
      const bool is_known = IsKnown(layer(i));
      if (is_known && HasNoneExpired(layer(i))) continue;
      expiring_.push_back(i);
      if (!is_known) plan_.survey.push_back(i);
    }
  }

  // Old ones of which a short rule has taken its part, and which a long one keeps, stay for years.
  bool HasNoneExpired(const RetentionLayer& layer) const {
    for (size_t rule = 0; rule < rules_; rule++) {
      if (!ExpiredOf(layer, rule, cut(rule)).empty()) return false;
    }
    return true;
  }

  // Whether what it holds tells all that is to be decided.
  bool IsKnown(const RetentionLayer& layer) const {
    if (layer.contents == nullptr) return false;
    for (size_t rule = 0; rule < rules_; rule++) {
      const RuleContents& contents = layer.contents->rules[rule];
      const bool may_expire = contents.samples > 0 && contents.range.first < cut(rule);
      if (may_expire && !contents.is_exact) return false;
    }
    return true;
  }

  bool IsWhollyExpired(const RetentionLayer& layer) const {
    if (!IsKnown(layer) || layer.contents->rules.back().samples > 0) return false;
    for (size_t rule = 0; rule < rules_; rule++) {
      const RuleContents& contents = layer.contents->rules[rule];
      const int64_t last =
          NEXUS_PLANTED("retention-drops-young-layer") ? contents.range.first : contents.range.last;
      if (contents.samples > 0 && last >= cut(rule)) return false;
    }
    return true;
  }

  Group GroupOf(size_t i) const {
    Group group{layer(i).low, layer(i).high, layer(i).level, {}};
    for (size_t rule = 0; rule < rules_; rule++) {
      group.expired.push_back(ExpiredOf(layer(i), rule, cut(rule)));
    }
    return group;
  }

  template <typename Chosen>
  std::vector<Group> GroupsOf(Chosen chosen) const {
    std::map<std::tuple<WriteOrder, WriteOrder, uint32_t>, Group> groups;
    for (size_t i : expiring_) {
      if (!chosen(i)) continue;
      const auto place = std::tuple(layer(i).low, layer(i).high, layer(i).level);
      auto [group, added] = groups.try_emplace(place, GroupOf(i));
      if (added) continue;
      for (size_t rule = 0; rule < rules_; rule++) {
        Widen(&group->second.expired[rule], ExpiredOf(layer(i), rule, cut(rule)));
      }
    }
    std::vector<Group> list;
    for (auto& [place, group] : groups) list.push_back(std::move(group));
    return list;
  }

  static bool IsBefore(const Group& a, const Group& b) { return a.high <= b.low; }

  // Whether an older value may show where the group's expired samples of a rule are dropped.
  bool IsBlocked(const Group& group, size_t rule, const std::vector<Group>& others) const {
    const TimeRange expired = group.expired[rule];
    if (expired.empty() || NEXUS_PLANTED("retention-shows-older-writes")) return false;
    for (const RetentionSituation::InMemory& memtable : situation_.memtables) {
      if (memtable.low < group.high && memtable.range.Overlaps(expired)) return true;
    }
    return std::any_of(others.begin(), others.end(), [&](const Group& other) {
      return IsBefore(other, group) && !other.expired[rule].empty() &&
             other.expired[rule].Overlaps(expired);
    });
  }

  void Drop() {
    std::vector<Group> kept;
    std::vector<size_t> left;
    for (size_t i : expiring_) {
      const Group group = GroupOf(i);
      bool drops = IsWhollyExpired(layer(i));
      for (size_t rule = 0; drops && rule < rules_; rule++) {
        drops = !IsBlocked(group, rule, kept);
      }
      if (drops) {
        plan_.drop.push_back(i);
      } else {
        kept.push_back(group);
        left.push_back(i);
      }
    }
    expiring_ = std::move(left);
  }

  // Whether it is worth writing again, whatever lies before it.
  bool IsWorthIt(const RetentionLayer& layer) const {
    if (!IsKnown(layer)) return false;
    double expired = 0;
    for (size_t rule = 0; rule < rules_; rule++) {
      const RuleContents& contents = layer.contents->rules[rule];
      if (contents.samples == 0 || contents.range.first >= cut(rule)) continue;
      if (contents.range.last < cut(rule)) return true;
      const bool eager = !situation_.eager_cuts.empty();
      if (eager && contents.range.first < situation_.eager_cuts[rule]) return true;
      const double first = static_cast<double>(contents.range.first);
      const double part = (static_cast<double>(cut(rule)) - first) /
                          (static_cast<double>(contents.range.last) - first);
      expired += part * static_cast<double>(contents.samples);
    }
    return expired >= 0.5 * static_cast<double>(layer.samples);
  }

  // Those that are worth it, and those before them that keep them from it.
  void Rewrite() {
    std::vector<char> wanted(situation_.layers.size(), 0);
    const std::vector<Group> groups = GroupsOf([](size_t) { return true; });
    for (auto at = expiring_.rbegin(); at != expiring_.rend(); ++at) {
      const size_t i = *at;
      if (IsWorthIt(layer(i))) wanted[i] = 1;
      if (wanted[i] == 0) continue;
      for (auto older = at + 1; older != expiring_.rend(); ++older) {
        if (KeepsFrom(layer(*older), layer(i))) wanted[*older] = 1;
      }
    }
    for (size_t i : expiring_) {
      if (wanted[i] == 0 || !IsKnown(layer(i))) continue;
      plan_.rewrite[i] = HasUnblocked(i, groups) ? 1 : 0;
    }
  }

  bool KeepsFrom(const RetentionLayer& older, const RetentionLayer& newer) const {
    if (older.high > newer.low) return false;
    for (size_t rule = 0; rule < rules_; rule++) {
      const TimeRange expired = ExpiredOf(newer, rule, cut(rule));
      if (expired.empty()) continue;
      const TimeRange before = ExpiredOf(older, rule, cut(rule));
      if (!before.empty() && before.Overlaps(expired)) return true;
    }
    return false;
  }

  // Whether a job that writes its group again would drop something of it.
  bool HasUnblocked(size_t i, const std::vector<Group>& groups) const {
    for (const Group& group : groups) {
      if (group.low != layer(i).low || group.high != layer(i).high) continue;
      if (group.level != layer(i).level) continue;
      for (size_t rule = 0; rule < rules_; rule++) {
        if (!ExpiredOf(layer(i), rule, cut(rule)).empty() && !IsBlocked(group, rule, groups)) {
          return true;
        }
      }
    }
    return false;
  }

  const RetentionSituation& situation_;
  const size_t rules_;
  const int64_t newest_cut_;
  RetentionPlan plan_;
  std::vector<size_t> expiring_;  // layers that may hold expired samples, in write order
};

}  // namespace

RetentionPlan PlanRetention(const RetentionSituation& situation) {
  return Planner(situation).Plan();
}

std::vector<int64_t> CutsForJob(const RetentionSituation& situation,
                                const std::vector<char>& is_input) {
  return Planner(situation).CutsFor(is_input);
}

}  // namespace nexus::engine
