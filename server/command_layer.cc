// `nexus layer verify|dump`: one layer file by itself.

#include <fmt/format.h>

#include <memory>

#include "base/time_text.h"
#include "io/file_util.h"
#include "layer/layer_reader.h"
#include "layer/layer_verifier.h"
#include "server/command.h"
#include "server/query_output.h"

namespace nexus::server {
namespace {

StatusOr<std::shared_ptr<const layer::LayerReader>> Open(const std::string& path) {
  NEXUS_ASSIGN_OR_RETURN(io::RealEnvironment * environment, GetEnvironment());
  NEXUS_ASSIGN_OR_RETURN(std::unique_ptr<io::File> file,
                         io::OpenFileBlocking(environment->disk(), path));
  return layer::LayerReader::Open(std::move(file), nullptr);
}

void PrintSummary(const layer::LayerSummary& summary) {
  double bytes_per_sample =
      static_cast<double>(summary.file_bytes) / static_cast<double>(summary.samples);
  WriteOutput(fmt::format(
      "tenant {} branch {} level {}, opening {} sequence {}\n"
      "{} to {}\n"
      "{} series, {} samples in {} chunks, {} ({:.3f} bytes a sample)\n",
      summary.identity.tenant.value, summary.identity.branch.value, summary.identity.level,
      summary.identity.open_count, summary.identity.sequence, FormatTime(summary.range.first),
      FormatTime(summary.range.last), summary.series, summary.samples, summary.chunks,
      FormatBytes(summary.file_bytes), bytes_per_sample));
  if (summary.identity.resolution_ns == 0) return;
  WriteOutput(fmt::format("rollups of {} in {} columns, which hold the samples counted here\n",
                          DurationText(summary.identity.resolution_ns), summary.identity.columns));
}

int RunVerify(const std::string& path) {
  auto reader = Open(path);
  if (!reader.ok()) return Fail(reader.status());
  PrintSummary((*reader)->summary());
  ProgressBar bar("B", &io::RealMonotonicNanos);
  auto progress = [&](layer::VerifyProgress at) {
    bar.Update({"verifying", at.bytes_done, at.bytes_total});
    return true;
  };
  StatusOr<layer::VerifyReport> report = layer::VerifyLayer(*reader, progress);
  bar.Finish();
  if (!report.ok()) return Fail(report.status());
  for (const layer::LayerDamage& damage : report->damage)
    WriteError("nexus: " + damage.description);
  if (report->damage_count > report->damage.size()) {
    WriteError(fmt::format("nexus: and {} more", report->damage_count - report->damage.size()));
  }
  if (report->damage_count > 0) return kExitDamaged;
  WriteOutput(fmt::format("sound: {} pages, {} series, {} chunks, {} samples checked\n",
                          report->pages, report->series, report->chunks, report->samples));
  return kExitDone;
}

Status DumpSeries(const layer::LayerReader& reader, const layer::SeriesCursor& cursor,
                  layer::ReadContext* context) {
  StatusOr<Labels> labels = Labels::FromCanonical(cursor.labels());
  if (!WriteOutput(fmt::format("{} (id {})\n", labels.ok() ? labels->ToString() : "damaged labels",
                               cursor.id().value))) {
    return OkStatus();
  }
  const uint32_t columns = reader.summary().identity.columns;
  std::vector<layer::ChunkInfo> chunks;
  for (uint32_t column = 0; column < columns; column++) {
    chunks.clear();
    NEXUS_RETURN_IF_ERROR(
        reader.ColumnChunks(cursor.ordinal(), column, TimeRange{}, context, &chunks));
    const std::string what = columns == 1 ? "samples" : fmt::format("of column {}", column);
    for (const layer::ChunkInfo& chunk : chunks) {
      WriteOutput(fmt::format("  {} to {}  {} {}  min {} max {}\n", FormatTime(chunk.range.first),
                              FormatTime(chunk.range.last), chunk.count, what,
                              chunk.statistics.minimum, chunk.statistics.maximum));
    }
  }
  return OkStatus();
}

int RunDump(const std::string& path) {
  auto reader = Open(path);
  if (!reader.ok()) return Fail(reader.status());
  PrintSummary((*reader)->summary());
  layer::ReadContext context;
  layer::SeriesCursor cursor(*reader);
  while (cursor.Next()) {
    Status status = DumpSeries(**reader, cursor, &context);
    if (!status.ok()) return Fail(status);
  }
  return cursor.status().ok() ? kExitDone : Fail(cursor.status());
}

}  // namespace

void AddLayerCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand("layer", "Verify or dump one layer file");
  command->require_subcommand(1);
  auto path = std::make_shared<std::string>();
  auto add = [&](const char* name, const char* help, int (*run)(const std::string&)) {
    CLI::App* sub = command->add_subcommand(name, help);
    sub->add_option("FILE", *path, "the layer file")->required();
    sub->callback(
        [invocation, path, run] { invocation->run = [path, run] { return run(*path); }; });
  };
  add("verify", "Check every page, chunk and statistic; exit 3 on damage", &RunVerify);
  add("dump", "Print its series and chunks", &RunDump);
}

}  // namespace nexus::server
