// Shared ways of the commands. See command.h.

#include "server/command.h"

#include <fmt/format.h>

#include <utility>

#include "base/time_text.h"
#include "server/served_address.h"

namespace nexus::server {

void AddWhere(CLI::App* command, Where* where) {
  command->add_option("--data", where->data, "the database's folder; or --connect")
      ->type_name("DIR");
  command
      ->add_option("--connect", where->connect,
                   "the address of the server that has it, instead of --data")
      ->type_name("HOST:PORT");
  command->add_option("--tenant", where->tenant, "tenant to work on")
      ->capture_default_str()
      ->type_name("T");
  command->add_option("--branch", where->branch, "branch of the tenant")
      ->capture_default_str()
      ->type_name("B");
}

void AddReportFormat(CLI::App* command, std::string* format) {
  *format = "table";
  command->add_option("--format", *format, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
}

StatusOr<TimeRange> RangeOf(const std::string& from, const std::string& to) {
  TimeRange range;
  const int64_t now = io::RealWallNanos();
  if (!from.empty()) {
    NEXUS_ASSIGN_OR_RETURN(range.first, ParseTime(from, now));
  }
  if (!to.empty()) {
    NEXUS_ASSIGN_OR_RETURN(range.last, ParseTime(to, now));
  }
  if (range.empty()) {
    return InvalidArgument("--from {} lies behind --to {}", FormatTime(range.first),
                           FormatTime(range.last));
  }
  return range;
}

int Fail(const Status& status) {
  WriteError(fmt::format("nexus: {}", FromAbsl(status.message())));
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
      return kExitUsage;
    case absl::StatusCode::kDataLoss:
      return kExitDamaged;
    default:
      return kExitFailed;
  }
}

int Finish(const Database& database) {
  return database.recovery().damage.empty() ? kExitDone : kExitDamaged;
}

StatusOr<OpenedDatabase> OpenDatabase(const std::string& directory, bool create) {
  OpenedDatabase opened;
  opened.progress = std::make_unique<ProgressBar>("B", &io::RealMonotonicNanos);
  Options options;
  options.directory = directory;
  options.create = create;
  options.progress = [bar = opened.progress.get()](const Progress& progress) {
    bar->Update(progress);
  };
  StatusOr<std::unique_ptr<Database>> database = Database::Open(std::move(options));
  opened.progress->Finish();
  NEXUS_RETURN_IF_ERROR(WithServedAddress(database.status(), directory));
  opened.database = *std::move(database);
  const RecoveryReport& report = opened.database->recovery();
  for (const std::string& damage : report.damage) WriteError("nexus: damaged: " + damage);
  for (const std::string& note : report.notes) WriteError("nexus: " + note);
  if (report.torn_tail_bytes > 0) {
    WriteError(fmt::format(
        "nexus: recovered {} samples from the log; {} behind its last acknowledged record "
        "were never acknowledged and are dropped",
        FormatCount(report.replayed_samples), FormatBytes(report.torn_tail_bytes)));
  }
  return opened;
}

StatusOr<io::RealEnvironment*> GetEnvironment() {
  static std::unique_ptr<io::RealEnvironment> environment;
  if (environment == nullptr) {
    NEXUS_ASSIGN_OR_RETURN(environment, io::RealEnvironment::Start(io::RealOptions{}));
  }
  return environment.get();
}

}  // namespace nexus::server
