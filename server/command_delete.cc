// `nexus delete`: samples of the series a selector matches.

#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "base/time_text.h"
#include "engine/query.h"
#include "engine/selector.h"
#include "server/command.h"
#include "server/command_target.h"
#include "server/query_output.h"

namespace nexus::server {
namespace {

struct DeleteArguments {
  Where where;
  std::string selector;
  std::string from;
  std::string to;
  bool dry_run = false;
  bool everything = false;
  bool everywhere = false;
};

// What is asked, as far as it can be told without the database.
StatusOr<DeleteRequest> RequestOf(const DeleteArguments& arguments) {
  DeleteRequest request;
  request.selector = arguments.selector;
  request.tenant = arguments.where.tenant;
  request.branch = arguments.where.branch;
  request.dry_run = arguments.dry_run;
  request.everywhere = arguments.everywhere;
  NEXUS_ASSIGN_OR_RETURN(request.range, RangeOf(arguments.from, arguments.to));
  NEXUS_ASSIGN_OR_RETURN(engine::Selector selector, engine::Selector::Parse(arguments.selector));
  const bool all_time = arguments.from.empty() && arguments.to.empty();
  if (selector.matchers().empty() && all_time && !arguments.dry_run && !arguments.everything) {
    return InvalidArgument(
        "{} without --from and --to is every sample of the branch; give a time, or --everything if "
        "that is meant",
        arguments.selector);
  }
  return request;
}

std::string Told(const DeleteArguments& arguments, const DeleteResult& result) {
  std::string left;
  if (result.frozen_left > 0) {
    left = fmt::format(
        "{} buckets of rollups are covered in part and stay as they are: their samples are gone\n",
        FormatCount(result.frozen_left));
  }
  if (!arguments.dry_run) {
    return fmt::format("deleted in {} series\n{}", FormatCount(result.series), left);
  }
  return fmt::format("{} samples of {} series would be deleted; the selector chooses {} series\n{}",
                     FormatCount(result.samples), FormatCount(result.series_with_samples),
                     FormatCount(result.series), left);
}

std::string NamesOf(const std::vector<BranchInfo>& branches) {
  std::string names;
  for (const BranchInfo& branch : branches) {
    names += names.empty() ? "" : ", ";
    names += branch.kind == BranchKind::kSnapshot ? "snapshot " : "branch ";
    names += branch.name;
  }
  return names;
}

int Run(const DeleteArguments& arguments) {
  // Before a recovery is waited for.
  StatusOr<DeleteRequest> request = RequestOf(arguments);
  if (!request.ok()) return Fail(request.status());
  return RunOnTarget(arguments.where, [&](CommandTarget* target) -> StatusOr<std::string> {
    std::string names;
    if (arguments.everywhere) {
      NEXUS_ASSIGN_OR_RETURN(std::vector<BranchInfo> branches, target->Branches());
      names = "in " + NamesOf(branches) + ":\n";
    }
    NEXUS_ASSIGN_OR_RETURN(DeleteResult result, target->Delete(*request));
    return names + Told(arguments, result);
  });
}

}  // namespace

void AddDeleteCommand(CLI::App* app, Invocation* invocation) {
  auto arguments = std::make_shared<DeleteArguments>();
  CLI::App* command = AddTargetCommand(
      app, invocation, "delete", "Delete samples; what is written later to their places stays",
      &Run, arguments);
  command
      ->add_option("SELECTOR", arguments->selector,
                   "of which series: name{label=\"v\",other=~\"regex\"}; {} for all")
      ->required();
  command
      ->add_option("--from", arguments->from, "first time: RFC 3339, Unix s/ms/us/ns, or now-15m")
      ->type_name("T");
  command->add_option("--to", arguments->to, "last time, likewise")->type_name("T");
  command->add_flag("--dry-run", arguments->dry_run, "count what would go, and delete nothing");
  command->add_flag("--everywhere", arguments->everywhere,
                    "in every branch and snapshot of the tenant, which are listed");
  command->add_flag("--everything", arguments->everything,
                    "allow {} without --from and --to, which leaves no sample");
}

}  // namespace nexus::server
