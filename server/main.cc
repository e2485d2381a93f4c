// nexus: the command. Each subcommand is in a file of its own (command_*.cc).

#include <fmt/format.h>

#include <csignal>
#include <string>
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

void AddHelpCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand("help", "Print this help, or that of a command");
  auto topic = std::make_shared<std::vector<std::string>>();
  command->add_option("COMMAND", *topic, "the command to explain");
  command->callback([app, invocation, topic] {
    invocation->run = [app, topic] {
      CLI::App* explained = app;
      for (const std::string& name : *topic) {
        CLI::App* next = nullptr;
        for (CLI::App* sub : explained->get_subcommands([](const CLI::App*) { return true; })) {
          if (sub->get_name() == name) next = sub;
        }
        if (next == nullptr) {
          return Fail(InvalidArgument("there is no command \"{}\"; `nexus help` lists them", name));
        }
        explained = next;
      }
      WriteOutput(explained->help(explained == app ? "" : "nexus"));
      return kExitDone;
    };
  });
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
  AddStatsCommand(&app, &invocation);
  AddFlushCommand(&app, &invocation);
  AddWalCommand(&app, &invocation);
  AddLayerCommand(&app, &invocation);
  AddVersionCommand(&app, &invocation);
  AddHelpCommand(&app, &invocation);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  return invocation.run();
}

}  // namespace
}  // namespace nexus::server

int main(int argc, char** argv) { return nexus::server::Main(argc, argv); }
