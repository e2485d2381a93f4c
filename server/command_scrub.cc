// `nexus scrub`: the physical check of a database, stopped (--data) or served (--connect).

#include <fmt/format.h>

#include <memory>

#include "engine/scrub.h"
#include "server/command.h"
#include "server/command_target.h"
#include "server/scrub_output.h"
#include "server/served_address.h"

namespace nexus::server {
namespace {

// A scrub reads everything: at 200 MB/s a day is 17 TB. The connection's pings tell whether the
// server lives.
constexpr int64_t kScrubTimeoutMs = 24 * 3'600'000;
constexpr int64_t kConnectTimeoutMs = 5'000;

// Nothing is opened, replayed or changed.
StatusOr<ScrubReport> ScrubStopped(const std::string& directory, ProgressBar* bar) {
  NEXUS_ASSIGN_OR_RETURN(io::RealEnvironment * environment, GetEnvironment());
  Options options;
  options.directory = directory;
  options.create = false;
  ScrubOptions scrub;
  scrub.progress = [bar](const Progress& progress) { bar->Update(progress); };
  StatusOr<ScrubReport> report = environment->BlockOn(
      engine::ScrubFolder(environment, std::move(options), scrub, engine::CatalogHooks{}));
  if (report.ok()) return report;
  return WithServedAddress(report.status(), directory);
}

StatusOr<ScrubReport> ScrubServed(const std::string& address, ProgressBar* bar) {
  NEXUS_ASSIGN_OR_RETURN(auto client, ConnectTo(address, kConnectTimeoutMs));
  client::Scope scope;
  scope.timeout_ms = kScrubTimeoutMs;
  auto progress = [bar](const protocol::Progress& at) {
    bar->Update({at.activity, at.done, at.total});
  };
  NEXUS_ASSIGN_OR_RETURN(protocol::ScrubReply reply, client->Scrub(progress, scope));
  return ScrubReportFrom(reply);
}

int RunScrub(const Where& where, const std::string& format) {
  if (where.data.empty() == where.connect.empty()) {
    return Fail(InvalidArgument(
        "which database? Give --data DIR for the folder of one that is stopped, or --connect "
        "HOST:PORT for a running server"));
  }
  ProgressBar bar("", &io::RealMonotonicNanos);
  StatusOr<ScrubReport> report =
      where.connect.empty() ? ScrubStopped(where.data, &bar) : ScrubServed(where.connect, &bar);
  bar.Finish();
  if (!report.ok()) return Fail(report.status());
  WriteOutput(format == "json" ? ScrubJson(*report) : ScrubTable(*report));
  return report->clean() ? kExitDone : kExitDamaged;
}

}  // namespace

void AddScrubCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand(
      "scrub", "Check log, layers and catalog, and that they agree; exit 3 on damage");
  auto where = std::make_shared<Where>();
  auto format = std::make_shared<std::string>();
  AddWhere(command, where.get());
  AddReportFormat(command, format.get());
  command->callback([invocation, where, format] {
    invocation->run = [where, format] { return RunScrub(*where, *format); };
  });
}

}  // namespace nexus::server
