// `nexus import`: files of line protocol or CSV into a database.

#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "server/command.h"
#include "server/command_target.h"
#include "server/file_import.h"
#include "server/importer.h"
#include "server/line_source.h"

namespace nexus::server {
namespace {

struct ImportArguments {
  Where where;
  std::string format;
  std::string name;
  std::vector<std::string> labels;
  std::string precision = "ns";
  std::vector<std::string> files;
};

constexpr uint64_t kLinesPerProgress = 4096;

StatusOr<std::vector<Label>> ParseLabels(const std::vector<std::string>& texts) {
  std::vector<Label> labels;
  for (const std::string& text : texts) {
    size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return InvalidArgument("--label {}: expected name=value", text);
    }
    labels.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }
  return labels;
}

// "dir/cpu.csv" gives "cpu".
std::string StemOf(std::string_view path) {
  std::string_view name = path.substr(path.rfind('/') + 1);
  size_t dot = name.rfind('.');
  return std::string(dot == std::string_view::npos || dot == 0 ? name : name.substr(0, dot));
}

StatusOr<std::unique_ptr<FileImport>> MakeImport(const ImportArguments& arguments,
                                                 const std::string& file, std::string shown_name,
                                                 uint64_t seed, Importer* importer) {
  NEXUS_ASSIGN_OR_RETURN(std::vector<Label> labels, ParseLabels(arguments.labels));
  ImportedFile imported{std::move(shown_name), std::move(labels), seed};
  if (arguments.format == "influx") {
    return MakeInfluxImport(std::move(imported), UnitOf(arguments.precision), &io::RealWallNanos,
                            importer);
  }
  std::string name = arguments.name.empty() ? StemOf(file) : arguments.name;
  if (name == "-") return InvalidArgument("--name is needed for CSV from standard input");
  return MakeCsvImport(std::move(imported), std::move(name), importer);
}

Status ImportFile(const ImportArguments& arguments, const std::string& file, io::Disk* disk,
                  uint64_t seed, Importer* importer, ProgressBar* progress) {
  NEXUS_ASSIGN_OR_RETURN(std::unique_ptr<LineSource> source, LineSource::Open(disk, file));
  NEXUS_ASSIGN_OR_RETURN(std::unique_ptr<FileImport> import,
                         MakeImport(arguments, file, source->path(), seed, importer));
  std::string_view line;
  while (true) {
    NEXUS_ASSIGN_OR_RETURN(bool more, source->Next(&line));
    if (!more) return import->End();
    NEXUS_RETURN_IF_ERROR(import->Line(line, source->line_number()));
    if (source->line_number() % kLinesPerProgress == 0) {
      progress->Update({"importing", source->bytes_done(), source->bytes_total()});
    }
  }
}

void ShowRejections(const Importer& importer) {
  for (const std::string& rejection : importer.rejections())
    WriteError("nexus: rejected: " + rejection);
  if (importer.rejected() > importer.rejections().size()) {
    WriteError(fmt::format("nexus: and {} more lines rejected",
                           importer.rejected() - importer.rejections().size()));
  }
  if (importer.refused() > 0) {
    WriteError(fmt::format("nexus: the server refused {} samples: {}", importer.refused(),
                           importer.refusal()));
  }
}

int Run(const ImportArguments& arguments) {
  // What is wrong with the command is said before a folder is made.
  Status labels = ParseLabels(arguments.labels).status();
  if (!labels.ok()) return Fail(labels);
  StatusOr<io::RealEnvironment*> environment = GetEnvironment();
  if (!environment.ok()) return Fail(environment.status());
  StatusOr<std::unique_ptr<CommandTarget>> target = OpenTarget(arguments.where, true);
  if (!target.ok()) return Fail(target.status());
  const int64_t started = io::RealMonotonicNanos();
  Importer importer((*target)->sink());
  uint64_t seed = 0;
  (*environment)->RunOnLoop([&] { seed = (*environment)->random()->Next(); });
  ProgressBar progress("B", &io::RealMonotonicNanos);
  Status status;
  for (const std::string& file : arguments.files) {
    status = ImportFile(arguments, file, (*environment)->disk(), seed, &importer, &progress);
    if (!status.ok()) break;
  }
  Status finished = importer.Finish();
  progress.Finish();
  if (status.ok()) status = finished;
  Status closed = (*target)->Close();
  if (status.ok()) status = closed;
  ShowRejections(importer);
  if (!status.ok()) return Fail(status);
  double seconds = static_cast<double>(io::RealMonotonicNanos() - started) * 1e-9;
  WriteOutput(
      fmt::format("imported {} samples of {} series in {}; {} lines rejected; all durable\n",
                  FormatCount(importer.samples()), FormatCount(importer.series()),
                  FormatSeconds(seconds), importer.rejected()));
  const bool whole = importer.rejected() == 0 && importer.refused() == 0;
  return whole ? (*target)->exit_status() : kExitFailed;
}

}  // namespace

void AddImportCommand(CLI::App* app, Invocation* invocation) {
  auto arguments = std::make_shared<ImportArguments>();
  CLI::App* command = AddTargetCommand(app, invocation, "import",
                                       "Import files of line protocol or CSV", &Run, arguments);
  command->add_option("--format", arguments->format, "influx or csv")
      ->required()
      ->check(CLI::IsMember({"influx", "csv"}));
  command->add_option("--name", arguments->name, "csv: the metric's name; else the file's");
  command
      ->add_option("--label", arguments->labels,
                   "a label for every series, name=value; may be repeated")
      ->type_name("K=V");
  command
      ->add_option("--precision", arguments->precision, "influx: unit of timestamps: ns, us, ms, s")
      ->check(CLI::IsMember({"ns", "us", "ms", "s"}))
      ->capture_default_str();
  command->add_option("FILE", arguments->files, "files to read; - is standard input")->required();
}

}  // namespace nexus::server
