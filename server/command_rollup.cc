// `nexus rollup list|set|off`.

#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "base/time_text.h"
#include "server/command.h"
#include "server/command_target.h"
#include "server/query_output.h"

namespace nexus::server {
namespace {

struct RollupArguments {
  Where where;
  std::vector<std::string> rules;  // RESOLUTION[=DURATION]
  std::string format = "table";
};

StatusOr<RollupRule> RuleFrom(const std::string& text) {
  const size_t equals = text.find('=');
  RollupRule rule;
  StatusOr<int64_t> resolution = ParseDuration(std::string_view(text).substr(0, equals));
  NEXUS_RETURN_IF_ERROR(Annotate(resolution.status(), "rollups " + text));
  rule.resolution_ns = *resolution;
  if (equals == std::string::npos) return rule;
  StatusOr<int64_t> keep = ParseDuration(std::string_view(text).substr(equals + 1));
  NEXUS_RETURN_IF_ERROR(Annotate(keep.status(), "rollups " + text));
  if (*keep <= 0) return InvalidArgument("rollups {}: they are kept for no time", text);
  rule.keep_ns = *keep;
  return rule;
}

StatusOr<std::vector<RollupRule>> RulesOf(const RollupArguments& arguments) {
  std::vector<RollupRule> rules;
  for (const std::string& text : arguments.rules) {
    NEXUS_ASSIGN_OR_RETURN(rules.emplace_back(), RuleFrom(text));
  }
  return rules;
}

std::string JsonOf(const std::vector<RollupRule>& rules) {
  std::string out;
  for (const RollupRule& rule : rules) {
    out += fmt::format("{}{{\"resolution_ns\":{},\"keep_ns\":{}}}", out.empty() ? "" : ",",
                       rule.resolution_ns, rule.keep_ns);
  }
  return fmt::format("{{\"rollups\":[{}]}}\n", out);
}

std::string TableOf(const std::vector<RollupRule>& rules) {
  if (rules.empty()) return "no rollups\n";
  std::string out = fmt::format("{:<10}  KEPT FOR\n", "RESOLUTION");
  for (const RollupRule& rule : rules) {
    out += fmt::format("{:<10}  {}\n", DurationText(rule.resolution_ns),
                       rule.keep_ns == 0 ? "ever" : DurationText(rule.keep_ns));
  }
  return out;
}

StatusOr<std::string> Tell(const RollupArguments& arguments, CommandTarget* target) {
  NEXUS_ASSIGN_OR_RETURN(std::vector<RollupRule> rules, target->Rollups());
  return arguments.format == "json" ? JsonOf(rules) : TableOf(rules);
}

int List(const RollupArguments& arguments) {
  return RunOnTarget(arguments.where,
                     [&](CommandTarget* target) { return Tell(arguments, target); });
}

// `off` has no rules, and so sets none.
int Set(const RollupArguments& arguments) {
  StatusOr<std::vector<RollupRule>> rules = RulesOf(arguments);
  if (!rules.ok()) return Fail(rules.status());
  return RunOnTarget(arguments.where, [&](CommandTarget* target) -> StatusOr<std::string> {
    NEXUS_RETURN_IF_ERROR(target->SetRollups(*rules));
    return Tell(arguments, target);
  });
}

}  // namespace

void AddRollupCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command =
      app->add_subcommand("rollup", "Which aggregates of the samples are kept ready");
  command->require_subcommand(1);
  AddReportCommand(command, invocation, "list", "Tell the tenant's rollups", &List,
                   std::make_shared<RollupArguments>());
  auto set = std::make_shared<RollupArguments>();
  CLI::App* action = AddReportCommand(command, invocation, "set",
                                      "Replace them; those of other resolutions go", &Set, set);
  action
      ->add_option("RULE", set->rules,
                   "RESOLUTION or RESOLUTION=DURATION, like 1m=90d 1h: buckets of a minute for 90 "
                   "days, of an hour for ever")
      ->type_name("RULE")
      ->required();
  AddReportCommand(command, invocation, "off", "Keep none; what there is goes", &Set,
                   std::make_shared<RollupArguments>());
}

}  // namespace nexus::server
