// `nexus retention list|set|accept-clock`.

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/time_text.h"
#include "server/command.h"
#include "server/command_target.h"
#include "server/query_output.h"

namespace nexus::server {
namespace {

struct RetentionArguments {
  Where where;
  std::vector<std::string> rules;  // SELECTOR=DURATION
  bool none = false;
  std::string format = "table";
};

// The selector may have signs of equality, the duration has none.
StatusOr<RetentionRule> RuleFrom(const std::string& text) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos) {
    return InvalidArgument("\"{}\" is no SELECTOR=DURATION, like '{{job=\"dev\"}}=7d'", text);
  }
  StatusOr<int64_t> duration = ParseDuration(std::string_view(text).substr(equals + 1));
  NEXUS_RETURN_IF_ERROR(Annotate(duration.status(), "retention rule " + text));
  return RetentionRule{text.substr(0, equals), *duration};
}

std::string JsonOf(const RetentionInfo& info) {
  std::string rules;
  for (const RetentionRule& rule : info.rules) {
    rules += fmt::format("{}{{\"selector\":{},\"duration_ns\":{}}}", rules.empty() ? "" : ",",
                         JsonString(rule.selector), rule.duration_ns);
  }
  return fmt::format(
      "{{\"rules\":[{}],\"head_window_ns\":{},\"clock_runs\":{},\"clock_ns\":{},\"wall_ns\":{},"
      "\"clock_waits\":{}}}\n",
      rules, info.head_window_ns, info.clock_runs, info.clock_ns, info.wall_ns, info.clock_waits);
}

std::string TableOf(const RetentionInfo& info) {
  std::string out;
  size_t width = 8;
  for (const RetentionRule& rule : info.rules) width = std::max(width, rule.selector.size());
  if (info.rules.empty()) {
    out += "no rules: everything is kept\n";
  } else {
    out += fmt::format("{:<{}}  KEPT FOR\n", "SELECTOR", width);
  }
  for (const RetentionRule& rule : info.rules) {
    out += fmt::format("{:<{}}  {}\n", rule.selector, width, DurationText(rule.duration_ns));
  }
  if (info.clock_runs) {
    out += fmt::format("the retention clock stands at {}\n", FormatTime(info.clock_ns));
  }
  if (info.clock_waits) {
    out += fmt::format(
        "the wall clock is at {}, more than 7 days ahead: it waits for nexus retention "
        "accept-clock\n",
        FormatTime(info.wall_ns));
  }
  return out;
}

StatusOr<std::string> Tell(const RetentionArguments& arguments, CommandTarget* target) {
  NEXUS_ASSIGN_OR_RETURN(RetentionInfo info, target->Retention());
  return arguments.format == "json" ? JsonOf(info) : TableOf(info);
}

int List(const RetentionArguments& arguments) {
  return RunOnTarget(arguments.where,
                     [&](CommandTarget* target) { return Tell(arguments, target); });
}

int Accept(const RetentionArguments& arguments) {
  return RunOnTarget(arguments.where, [&](CommandTarget* target) -> StatusOr<std::string> {
    NEXUS_RETURN_IF_ERROR(target->AcceptRetentionClock());
    return Tell(arguments, target);
  });
}

StatusOr<std::vector<RetentionRule>> RulesOf(const RetentionArguments& arguments) {
  if (arguments.none == !arguments.rules.empty()) {
    return InvalidArgument("give rules, or --none to keep everything");
  }
  std::vector<RetentionRule> rules;
  for (const std::string& text : arguments.rules) {
    NEXUS_ASSIGN_OR_RETURN(rules.emplace_back(), RuleFrom(text));
  }
  return rules;
}

int Set(const RetentionArguments& arguments) {
  StatusOr<std::vector<RetentionRule>> rules = RulesOf(arguments);
  if (!rules.ok()) return Fail(rules.status());
  return RunOnTarget(arguments.where, [&](CommandTarget* target) -> StatusOr<std::string> {
    NEXUS_RETURN_IF_ERROR(target->SetRetention(*rules));
    return Tell(arguments, target);
  });
}

}  // namespace

void AddRetentionCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand("retention", "For how long samples are kept");
  command->require_subcommand(1);
  AddReportCommand(command, invocation, "list", "Tell the tenant's rules and the retention clock",
                   &List, std::make_shared<RetentionArguments>());
  auto set = std::make_shared<RetentionArguments>();
  CLI::App* action = AddReportCommand(
      command, invocation, "set",
      "Replace the tenant's rules; of a series the first that chooses it decides", &Set, set);
  action
      ->add_option("RULE", set->rules,
                   "in their order: SELECTOR=DURATION, like {job=\"dev\"}=7d or {}=400d")
      ->type_name("RULE");
  action->add_flag("--none", set->none, "no rule: keep everything");
  AddReportCommand(
      command, invocation, "accept-clock",
      "Let the retention clock go to the wall clock, though that is more than 7 days ahead",
      &Accept, std::make_shared<RetentionArguments>());
}

}  // namespace nexus::server
