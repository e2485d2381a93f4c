// `nexus compact`: every window into its level now, in a folder or on a running server; or the
// server's compactor paused and resumed.

#include <fmt/format.h>

#include <memory>

#include "server/command.h"
#include "server/command_target.h"
#include "server/query_output.h"
#include "server/terminal.h"

namespace nexus::server {
namespace {

struct CompactArguments {
  Where where;
  bool pause = false;
  bool resume = false;
};

StatusOr<std::string> Compact(CommandTarget* target) {
  NEXUS_ASSIGN_OR_RETURN(Stats before, target->GetStats());
  ProgressBar bar("", &io::RealMonotonicNanos);
  Status status = target->Compact([&bar](const Progress& progress) { bar.Update(progress); });
  bar.Finish();
  NEXUS_RETURN_IF_ERROR(status);
  NEXUS_ASSIGN_OR_RETURN(Stats after, target->GetStats());
  return fmt::format("compacted: {} layers of {} became {} layers of {}\n", before.layers,
                     FormatBytes(before.layer_bytes), after.layers, FormatBytes(after.layer_bytes));
}

int Run(const CompactArguments& arguments) {
  return RunOnTarget(arguments.where, [&](CommandTarget* target) -> StatusOr<std::string> {
    if (!arguments.pause && !arguments.resume) return Compact(target);
    NEXUS_RETURN_IF_ERROR(target->PauseCompaction(arguments.pause));
    return std::string(arguments.pause ? "paused: the server compacts nothing until "
                                         "`nexus compact --resume`, or until it is restarted\n"
                                       : "resumed\n");
  });
}

}  // namespace

void AddCompactCommand(CLI::App* app, Invocation* invocation) {
  auto arguments = std::make_shared<CompactArguments>();
  CLI::App* command = AddTargetCommand(
      app, invocation, "compact",
      "Merge the layers of every time window now, without waiting for the compactor", &Run,
      arguments);
  CLI::Option* pause =
      command->add_flag("--pause", arguments->pause, "Stop the compactor of a running server");
  command->add_flag("--resume", arguments->resume, "Let it go on")->excludes(pause);
}

}  // namespace nexus::server
