// nexus: the command. Each subcommand is in a file of its own (command_*.cc).

#include <fmt/format.h>

#include <csignal>
#include <string>
#include <string_view>
#include <vector>

#include "server/command.h"

namespace nexus::server {
namespace {

void AddVersionCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand("version", "Print the version");
  command->callback([invocation] {
    invocation->run = [] {
      WriteOutput(fmt::format("nexus {}\n", Version()));
      return kExitDone;
    };
  });
}

Status NoSuchCommand(std::string_view name) {
  return InvalidArgument("there is no command \"{}\"; `nexus help` lists them", name);
}

void AddHelpCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand("help", "Print this help, or that of a command");
  auto topic = std::make_shared<std::vector<std::string>>();
  command->add_option("COMMAND", *topic, "the command to explain");
  command->callback([app, invocation, topic] {
    invocation->run = [app, topic] {
      const CLI::App* explained = app;
      std::string path = app->get_name();
      for (const std::string& name : *topic) {
        const CLI::App* next = nullptr;
        for (const CLI::App* sub :
             explained->get_subcommands([](const CLI::App*) { return true; })) {
          if (sub->get_name() == name) next = sub;
        }
        if (next == nullptr) return Fail(NoSuchCommand(name));
        explained = next;
        path += " " + name;
      }
      // App::help would explain the command that was parsed: this one.
      WriteOutput(app->get_formatter()->make_help(explained, path, CLI::AppFormatMode::Normal));
      return kExitDone;
    };
  });
}

// The word that stands where a command or a command's command is needed; "" if there is none.
std::string UnknownCommand(const CLI::App& app) {
  const CLI::App* innermost = &app;
  while (!innermost->get_subcommands().empty()) innermost = innermost->get_subcommands().front();
  bool takes_command = innermost->get_require_subcommand_min() > 0;
  std::vector<std::string> unknown = innermost->remaining(/*recurse=*/false);
  return takes_command && !unknown.empty() ? unknown.front() : "";
}

int Main(int argc, char** argv) {
  // A reader that goes away (`| head`) is an end of the output, not of the process in mid-write.
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app("nexus: a time-series database that loses nothing it has acknowledged", "nexus");
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  Invocation invocation;
  AddRecordCommand(&app, &invocation);
  AddImportCommand(&app, &invocation);
  AddQueryCommand(&app, &invocation);
  AddServeCommand(&app, &invocation);
  AddStatsCommand(&app, &invocation);
  AddFlushCommand(&app, &invocation);
  AddCompactCommand(&app, &invocation);
  AddBranchCommands(&app, &invocation);
  AddTenantCommand(&app, &invocation);
  AddRetentionCommand(&app, &invocation);
  AddRollupCommand(&app, &invocation);
  AddDeleteCommand(&app, &invocation);
  AddBackupCommands(&app, &invocation);
  AddScrubCommand(&app, &invocation);
  AddHealthCheckCommand(&app, &invocation);
  AddWalCommand(&app, &invocation);
  AddLayerCommand(&app, &invocation);
  AddCatalogCommand(&app, &invocation);
  AddVersionCommand(&app, &invocation);
  AddHelpCommand(&app, &invocation);
  try {
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& error) {
    // CLI11 says what is missing; what stands there instead helps more.
    if (!UnknownCommand(app).empty()) return Fail(NoSuchCommand(UnknownCommand(app)));
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  return invocation.run();
}

}  // namespace
}  // namespace nexus::server

int main(int argc, char** argv) { return nexus::server::Main(argc, argv); }
