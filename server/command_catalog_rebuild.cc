// `nexus catalog rebuild`: a new catalog in the place of a damaged or lost one.

#include <fmt/format.h>

#include <memory>
#include <string>

#include "engine/catalog_rebuild.h"
#include "server/command.h"
#include "server/served_address.h"

namespace nexus::server {
namespace {

struct CatalogArguments {
  std::string directory;
  bool without_image = false;
};

void PrintReport(const engine::CatalogRebuildReport& report) {
  std::string from = "the log, which is whole from its beginning";
  if (!report.image.empty()) from = report.image;
  if (!report.unknown.empty()) from = "layers and log alone";
  WriteOutput(fmt::format("rebuilt from {}: {} tenants, {} layers, {} series, {} producers\n", from,
                          report.tenants, report.layers, FormatCount(report.series),
                          report.producers));
  WriteOutput(fmt::format("opening replays the log from LSN {} on\n", report.applied.value));
  for (const std::string& unknown : report.unknown) {
    WriteOutput(fmt::format("not known: {}\n", unknown));
  }
  if (!report.old_catalog.empty()) {
    WriteOutput(fmt::format("the old catalog is in {}\n", report.old_catalog));
  }
  for (const std::string& damage : report.damage) WriteError("nexus: damaged: " + damage);
}

int RunRebuild(const CatalogArguments& arguments) {
  StatusOr<io::RealEnvironment*> environment = GetEnvironment();
  if (!environment.ok()) return Fail(environment.status());
  engine::CatalogRebuildOptions rebuild;
  rebuild.without_image = arguments.without_image;
  ProgressBar progress("", &io::RealMonotonicNanos);
  Options options;
  options.directory = arguments.directory;
  options.progress = [&](const Progress& at) { progress.Update(at); };
  auto report =
      (*environment)->BlockOn(engine::RebuildCatalog(*environment, options, rebuild, /*hooks=*/{}));
  progress.Finish();
  if (!report.ok()) return Fail(WithServedAddress(report.status(), arguments.directory));
  PrintReport(*report);
  return report->damage.empty() ? kExitDone : kExitDamaged;
}

}  // namespace

void AddCatalogCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand("catalog", "Rebuild a damaged or lost catalog");
  command->require_subcommand(1);
  auto arguments = std::make_shared<CatalogArguments>();
  CLI::App* rebuild = command->add_subcommand(
      "rebuild",
      "Make the catalog anew from its newest image, the layers and the log; the old one is kept in "
      "quarantine/. Exit 3 if an image or the log is damaged, too");
  rebuild->add_option("DIR", arguments->directory, "the database's folder")->required();
  rebuild->add_flag("--without-image", arguments->without_image,
                    "go on without an image; what cannot be known is listed without this, too");
  rebuild->callback([invocation, arguments] {
    invocation->run = [arguments] { return RunRebuild(*arguments); };
  });
}

}  // namespace nexus::server
