// Both formats, line by line. See file_import.h.

#include "server/file_import.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "base/check.h"
#include "server/csv_reader.h"
#include "server/line_protocol.h"

namespace nexus::server {
namespace {

class InfluxImport : public FileImport {
 public:
  InfluxImport(ImportedFile file, TimestampUnit unit, int64_t (*wall_ns)(), Importer* importer)
      : FileImport(std::move(file), importer), unit_(unit), wall_ns_(wall_ns) {}

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
      timestamp_ns_ = wall_ns_();
    } else if (__builtin_mul_overflow(*line_.timestamp, unit_.nanos, &timestamp_ns_)) {
      return InvalidArgument("timestamp {} {} does not fit 64-bit nanoseconds", *line_.timestamp,
                             unit_.name);
    }
    return OkStatus();
  }

  Status NameSeries() {
    series_.clear();
    if (line_.series.empty()) return OkStatus();
    const Hash128 series = HashSeries(line_.series, file_.seed);
    bool all_known = !line_.fields.empty();
    for (const RawField& field : line_.fields) {
      Hash128 key = HashField(series, field.name, file_.seed);
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

  const TimestampUnit unit_;
  int64_t (*const wall_ns_)();
  RawLine line_;
  int64_t timestamp_ns_ = 0;
  std::vector<Named> series_;       // of the line's fields
  std::vector<Labels> new_labels_;  // of those that are new
  std::string measurement_;
  std::vector<Label> tags_;
};

class CsvImport : public FileImport {
 public:
  CsvImport(ImportedFile file, std::string name, Importer* importer)
      : FileImport(std::move(file), importer),
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
    if (number == 1) return Annotate(ReadHeader(record), file_.shown_name);
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
      Column made{HashSeries(metric, file_.seed), {}};
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

}  // namespace

TimestampUnit UnitOf(std::string_view name) {
  if (name == "s") return {"s", 1'000'000'000};
  if (name == "ms") return {"ms", 1'000'000};
  if (name == "us") return {"us", 1'000};
  NEXUS_CHECK(name == "ns");
  return {};
}

StatusOr<Labels> FileImport::LabelsOf(std::string metric, std::vector<Label> labels) const {
  labels.insert(labels.end(), file_.labels.begin(), file_.labels.end());
  return Labels::Make(std::move(metric), std::move(labels));
}

Status FileImport::CountRejection(Status status, uint64_t number) {
  if (!absl::IsInvalidArgument(status)) return status;
  importer_->Reject(fmt::format("{}:{}: {}", file_.shown_name, number, FromAbsl(status.message())));
  return OkStatus();
}

std::unique_ptr<FileImport> MakeInfluxImport(ImportedFile file, TimestampUnit unit,
                                             int64_t (*wall_ns)(), Importer* importer) {
  return std::make_unique<InfluxImport>(std::move(file), unit, wall_ns, importer);
}

std::unique_ptr<FileImport> MakeCsvImport(ImportedFile file, std::string name, Importer* importer) {
  return std::make_unique<CsvImport>(std::move(file), std::move(name), importer);
}

}  // namespace nexus::server
