// `nexus import`: files of line protocol or CSV into a database.

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <vector>

#include "server/command.h"
#include "server/command_target.h"
#include "server/csv_reader.h"
#include "server/importer.h"
#include "server/line_protocol.h"
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

int64_t NanosOfPrecision(std::string_view precision) {
  return precision == "s"    ? 1'000'000'000
         : precision == "ms" ? 1'000'000
         : precision == "us" ? 1'000
                             : 1;
}

// What one format makes of one file. Lines that are wrong are counted and kept as messages.
class FileImport {
 public:
  // `labels` are those of the command line, for every series; `seed` is that of the keys of series,
  // the same for all files of an import.
  FileImport(const ImportArguments& arguments, std::string file, std::vector<Label> labels,
             uint64_t seed, Importer* importer)
      : arguments_(arguments),
        file_(std::move(file)),
        labels_(std::move(labels)),
        seed_(seed),
        importer_(importer) {}
  virtual ~FileImport() = default;
  // Errors: those that end the import.
  virtual Status Line(std::string_view line, uint64_t number) = 0;
  virtual Status End() { return OkStatus(); }

 protected:
  // Labels of a new series, with those of the command line.
  StatusOr<Labels> LabelsOf(std::string metric, std::vector<Label> labels) const {
    labels.insert(labels.end(), labels_.begin(), labels_.end());
    return Labels::Make(std::move(metric), std::move(labels));
  }

  // What is wrong in a line is counted; other errors are passed on.
  Status CountRejection(Status status, uint64_t number) {
    if (!absl::IsInvalidArgument(status)) return status;
    importer_->Reject(fmt::format("{}:{}: {}", file_, number, FromAbsl(status.message())));
    return OkStatus();
  }

  const ImportArguments& arguments_;
  const std::string file_;
  const std::vector<Label> labels_;
  const uint64_t seed_;
  Importer* const importer_;
};

class InfluxImport : public FileImport {
 public:
  using FileImport::FileImport;

  Status Line(std::string_view text, uint64_t number) override {
    Status status = Read(text);
    // All series first: a line is taken whole or not.
    if (status.ok()) status = NameSeries();
    if (!status.ok()) return CountRejection(std::move(status), number);
    size_t made = 0;
    for (size_t i = 0; i < series_.size(); i++) {
      const Named& series = series_[i];
      SeriesSlot slot = series.slot.has_value()
                            ? *series.slot
                            : importer_->Make(series.key, std::move(new_labels_[made++]));
      importer_->Add(slot, timestamp_ns_, line_.fields[i].value);
    }
    return importer_->EndLine();
  }

 private:
  struct Named {
    Hash128 key;
    std::optional<SeriesSlot> slot;  // none: new
  };

  Status Read(std::string_view text) {
    NEXUS_RETURN_IF_ERROR(ScanLine(text, &line_));
    if (!line_.timestamp.has_value()) {
      timestamp_ns_ = io::RealWallNanos();
    } else if (__builtin_mul_overflow(*line_.timestamp, NanosOfPrecision(arguments_.precision),
                                      &timestamp_ns_)) {
      return InvalidArgument("timestamp {} {} does not fit 64-bit nanoseconds", *line_.timestamp,
                             arguments_.precision);
    }
    return OkStatus();
  }

  Status NameSeries() {
    series_.clear();
    if (line_.series.empty()) return OkStatus();
    const Hash128 series = HashSeries(line_.series, seed_);
    bool all_known = !line_.fields.empty();
    for (const RawField& field : line_.fields) {
      Hash128 key = HashField(series, field.name, seed_);
      series_.push_back({key, importer_->Find(key)});
      all_known = all_known && series_.back().slot.has_value();
    }
    return all_known ? OkStatus() : NameNewSeries();
  }

  Status NameNewSeries() {
    new_labels_.clear();
    NEXUS_RETURN_IF_ERROR(ParseSeries(line_.series, line_.series_column, &measurement_, &tags_));
    for (size_t i = 0; i < series_.size(); i++) {
      if (series_[i].slot.has_value()) continue;
      std::string metric = MetricOf(measurement_, Unescape(line_.fields[i].name));
      NEXUS_ASSIGN_OR_RETURN(Labels labels, LabelsOf(std::move(metric), tags_));
      new_labels_.push_back(std::move(labels));
    }
    return OkStatus();
  }

  RawLine line_;
  int64_t timestamp_ns_ = 0;
  std::vector<Named> series_;       // of the line's fields
  std::vector<Labels> new_labels_;  // of those that are new
  std::string measurement_;
  std::vector<Label> tags_;
};

class CsvImport : public FileImport {
 public:
  CsvImport(const ImportArguments& arguments, std::string file, std::vector<Label> labels,
            uint64_t seed, Importer* importer, std::string name)
      : FileImport(arguments, std::move(file), std::move(labels), seed, importer),
        name_(std::move(name)),
        records_([this](std::string_view record, uint64_t line) { return Record(record, line); }) {}

  Status Line(std::string_view text, uint64_t number) override {
    return records_.Line(text, number);
  }
  Status End() override { return records_.End(); }

 private:
  // A value column's series.
  struct Column {
    Hash128 key;
    Labels labels;
  };

  Status Record(std::string_view record, uint64_t number) {
    // Without its header a CSV file means nothing.
    if (number == 1) return Annotate(ReadHeader(record), file_);
    Status status = reader_.ReadRow(record, &row_);
    if (!status.ok()) return CountRejection(std::move(status), number);
    for (const CsvValue& value : row_.values) {
      const Column& column = columns_[value.column];
      std::optional<SeriesSlot> slot = importer_->Find(column.key);
      if (!slot.has_value()) slot = importer_->Make(column.key, column.labels);
      importer_->Add(*slot, row_.timestamp_ns, value.value);
    }
    return importer_->EndLine();
  }

  Status ReadHeader(std::string_view record) {
    NEXUS_RETURN_IF_ERROR(reader_.ReadHeader(record));
    for (const std::string& column : reader_.value_columns()) {
      std::string metric = CsvMetric(name_, column);
      Column made{HashSeries(metric, seed_), {}};
      NEXUS_ASSIGN_OR_RETURN(made.labels, LabelsOf(std::move(metric), {}));
      columns_.push_back(std::move(made));
    }
    return OkStatus();
  }

  const std::string name_;
  CsvRecords records_;
  CsvReader reader_;
  CsvRow row_;
  std::vector<Column> columns_;
};

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
  if (arguments.format == "influx") {
    return std::make_unique<InfluxImport>(arguments, std::move(shown_name), std::move(labels), seed,
                                          importer);
  }
  std::string name = arguments.name.empty() ? StemOf(file) : arguments.name;
  if (name == "-") return InvalidArgument("--name is needed for CSV from standard input");
  return std::make_unique<CsvImport>(arguments, std::move(shown_name), std::move(labels), seed,
                                     importer, std::move(name));
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
  CLI::App* command = app->add_subcommand("import", "Import files of line protocol or CSV");
  auto arguments = std::make_shared<ImportArguments>();
  AddWhere(command, &arguments->where);
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
  command->callback(
      [invocation, arguments] { invocation->run = [arguments] { return Run(*arguments); }; });
}

}  // namespace nexus::server
