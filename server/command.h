// What the commands of `nexus` share: where the data is, exit status, opening a database.
//
// Exit status (DESIGN section 13): 0 done, 1 the work failed, 2 wrong usage, 3 data is damaged.
// Each command registers itself with CLI11 and sets `run` to what is to be done.
// Threading: the main thread.

#ifndef NEXUS_SERVER_COMMAND_H_
#define NEXUS_SERVER_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "engine/nexus.h"
#include "io/real.h"
#include "server/terminal.h"

namespace nexus::server {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitDamaged = 3;

// What to do, chosen by the command line.
struct Invocation {
  std::function<int()> run;
};

// WHERE of the usage: the database a command works on. One of `data` and `connect` is to be given;
// see command_target.h.
struct Where {
  std::string data;     // its folder
  std::string connect;  // HOST:PORT of the server that has it
  std::string tenant = "default";
  std::string branch = "main";
};
void AddWhere(CLI::App* command, Where* where);
// --format table|json; table unless told.
void AddReportFormat(CLI::App* command, std::string* format);

// The time that --from and --to say; empty: without end. InvalidArgument names what is no time.
StatusOr<TimeRange> RangeOf(const std::string& from, const std::string& to);

// Writes the error for people and gives the exit status it means.
int Fail(const Status& status);
// kExitDone, or kExitDamaged if opening found damage that it could mend: named on standard error.
int Finish(const Database& database);

struct OpenedDatabase {
  std::unique_ptr<ProgressBar> progress;
  std::unique_ptr<Database> database;
};
// Opens an existing database (or makes one if `create`), with a progress bar for long recoveries;
// what recovery had to say goes to standard error.
StatusOr<OpenedDatabase> OpenDatabase(const std::string& directory, bool create);

// The operating system for commands that read files themselves; started at the first call.
StatusOr<io::RealEnvironment*> GetEnvironment();

void AddQueryCommand(CLI::App* app, Invocation* invocation);
void AddImportCommand(CLI::App* app, Invocation* invocation);
void AddRecordCommand(CLI::App* app, Invocation* invocation);
void AddServeCommand(CLI::App* app, Invocation* invocation);
void AddStatsCommand(CLI::App* app, Invocation* invocation);
void AddFlushCommand(CLI::App* app, Invocation* invocation);
void AddCompactCommand(CLI::App* app, Invocation* invocation);
// `nexus branch` and `nexus snapshot`.
void AddBranchCommands(CLI::App* app, Invocation* invocation);
void AddTenantCommand(CLI::App* app, Invocation* invocation);
void AddRetentionCommand(CLI::App* app, Invocation* invocation);
void AddRollupCommand(CLI::App* app, Invocation* invocation);
void AddDeleteCommand(CLI::App* app, Invocation* invocation);
// `nexus backup` and `nexus restore`.
void AddBackupCommands(CLI::App* app, Invocation* invocation);
void AddScrubCommand(CLI::App* app, Invocation* invocation);
void AddHealthCheckCommand(CLI::App* app, Invocation* invocation);
void AddWalCommand(CLI::App* app, Invocation* invocation);
void AddLayerCommand(CLI::App* app, Invocation* invocation);
void AddCatalogCommand(CLI::App* app, Invocation* invocation);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_COMMAND_H_
