// `nexus backup` and `nexus restore`: a copy of a database, of a folder or of a running server, and
// a new database from it.

#include <fmt/format.h>

#include <memory>
#include <string>

#include "base/time_text.h"
#include "server/command.h"
#include "server/command_target.h"
#include "server/query_output.h"
#include "server/terminal.h"

namespace nexus::server {
namespace {

struct BackupArguments {
  std::string destination;
  Where where;
};

// "3 layers of 1.0 MiB: 1 was there, 2 linked, 0 copied"
std::string Placed(uint64_t layers, uint64_t bytes, const LayersPlaced& placed) {
  return fmt::format("{} layers of {}: {} were there, {} linked, {} copied", layers,
                     FormatBytes(bytes), placed.kept, placed.linked, placed.copied);
}

int RunBackup(const BackupArguments& arguments) {
  StatusOr<std::unique_ptr<CommandTarget>> target = OpenTarget(arguments.where, false);
  if (!target.ok()) return Fail(target.status());
  ProgressBar bar("B", &io::RealMonotonicNanos);
  auto update = [&bar](const Progress& progress) { bar.Update(progress); };
  StatusOr<BackupResult> made = (*target)->Backup(arguments.destination, update);
  bar.Finish();
  if (made.ok()) {
    WriteOutput(fmt::format("backed up to LSN {} in {}: {}\n", made->lsn.value,
                            arguments.destination,
                            Placed(made->layers, made->layer_bytes, made->placed)));
    if (made->not_removed > 0) {
      WriteError(
          fmt::format("nexus: {} files that the backup no longer needs could not be "
                      "removed; the next backup tries again",
                      made->not_removed));
    }
  }
  return CloseTarget(made.status(), target->get());
}

int RunRestore(const std::string& source, const std::string& directory) {
  ProgressBar bar("B", &io::RealMonotonicNanos);
  RestoreOptions options;
  options.source = source;
  options.directory = directory;
  options.progress = [&bar](const Progress& progress) { bar.Update(progress); };
  StatusOr<RestoreResult> restored = Restore(options);
  bar.Finish();
  if (!restored.ok()) return Fail(restored.status());
  WriteOutput(fmt::format("restored {} as of LSN {} of {} into {}: {} tenants, {} series, {}\n",
                          source, restored->lsn.value, FormatTime(restored->made_wall_ns),
                          directory, restored->tenants, FormatCount(restored->series),
                          Placed(restored->layers, restored->layer_bytes, restored->placed)));
  return kExitDone;
}

void AddBackupCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand(
      "backup",
      "Copy a database, while it serves, into a folder: a new one, or one with an older backup of "
      "it. With --connect the server writes to a folder of its own machine");
  auto arguments = std::make_shared<BackupArguments>();
  command->add_option("DEST", arguments->destination, "the folder of the backup")
      ->required()
      ->type_name("");
  AddWhere(command, &arguments->where);
  command->callback(
      [invocation, arguments] { invocation->run = [arguments] { return RunBackup(*arguments); }; });
}

void AddRestoreCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand(
      "restore",
      "Make a new database from a backup, in a missing or empty folder; exit 3 if the backup is "
      "damaged");
  auto source = std::make_shared<std::string>();
  auto directory = std::make_shared<std::string>();
  command->add_option("SRC", *source, "the folder of the backup")->required()->type_name("");
  command->add_option("--data", *directory, "the new database's folder")
      ->required()
      ->type_name("DIR");
  command->callback([invocation, source, directory] {
    invocation->run = [source, directory] { return RunRestore(*source, *directory); };
  });
}

}  // namespace

void AddBackupCommands(CLI::App* app, Invocation* invocation) {
  AddBackupCommand(app, invocation);
  AddRestoreCommand(app, invocation);
}

}  // namespace nexus::server
