// Verifier: first every page by itself, then what the pages mean together; see layer_verifier.h.

#include "layer/layer_verifier.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "base/labels.h"
#include "layer/format.h"
#include "layer/layer_builder.h"
#include "layer/statistics.h"

namespace nexus::layer {
namespace {

// Series between two calls of progress.
constexpr uint64_t kSeriesPerProgress = 256;

class Verifier {
 public:
  Verifier(std::shared_ptr<const LayerReader> reader,
           const std::function<bool(VerifyProgress)>& progress)
      : reader_(std::move(reader)),
        progress_(progress),
        timestamps_(kChunkSamplesMax),
        values_(kChunkSamplesMax) {}

  StatusOr<VerifyReport> Run() {
    NEXUS_RETURN_IF_ERROR(CheckPages());
    NEXUS_RETURN_IF_ERROR(CheckSeries());
    CheckTotals();
    return std::move(report_);
  }

 private:
  Status CheckPages();
  Status CheckSeries();
  void CheckOneSeries(const SeriesCursor& cursor);
  void CheckChunk(const ChunkInfo& chunk, const std::string& series);
  void CheckTotals();
  uint64_t BehindSeriesPageOf(uint64_t series) const;

  void ReportPage(uint32_t page, const std::string& series, std::string description) {
    Add(page, reader_->page(page).offset, series, std::move(description));
  }
  // An error that names its page itself.
  void ReportStatus(const std::string& series, const Status& status) {
    Add(kNoPage, 0, series, std::string(FromAbsl(status.message())));
  }
  // Damage of no page in particular.
  void ReportSeries(const std::string& series, std::string_view what) {
    Add(kNoPage, 0, series, fmt::format("layer {}: {}: {}", reader_->path(), series, what));
  }
  void Add(uint32_t page, uint64_t offset, const std::string& series, std::string description) {
    ++report_.damage_count;
    if (report_.damage.size() == kReportedDamageMax) return;
    report_.damage.push_back({page, offset, series, std::move(description)});
  }

  // The work is two walks over the file: pages by themselves, then what they mean together.
  Status Progress(uint64_t bytes_done) {
    const uint64_t total = 2 * reader_->summary().file_bytes;
    if (!progress_ || progress_({std::min(bytes_done, total), total})) return OkStatus();
    return Cancelled("layer {}: verification was cancelled", reader_->path());
  }

  const std::shared_ptr<const LayerReader> reader_;
  const std::function<bool(VerifyProgress)>& progress_;
  VerifyReport report_;
  ReadContext context_;
  std::vector<ChunkInfo> chunks_;
  std::vector<int64_t> timestamps_;
  std::vector<double> values_;
  std::string labels_before_;
  TimeRange range_{std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()};
};

Status Verifier::CheckPages() {
  for (uint32_t number = 0; number < reader_->page_count(); ++number) {
    const Status status = reader_->CheckPage(number);
    if (!status.ok()) ReportPage(number, "", std::string(FromAbsl(status.message())));
    ++report_.pages;
    const LayerReader::PageInfo page = reader_->page(number);
    NEXUS_RETURN_IF_ERROR(Progress(page.offset + page.bytes));
  }
  return OkStatus();
}

Status Verifier::CheckSeries() {
  const LayerSummary& summary = reader_->summary();
  const uint64_t bytes_per_series = summary.file_bytes / summary.series;
  for (uint64_t next = 0; next < summary.series;) {
    SeriesCursor cursor(reader_, static_cast<uint32_t>(next));
    while (cursor.Next()) {
      CheckOneSeries(cursor);
      next = cursor.ordinal() + uint64_t{1};
      if (next % kSeriesPerProgress != 0) continue;
      NEXUS_RETURN_IF_ERROR(Progress(summary.file_bytes + next * bytes_per_series));
    }
    if (cursor.status().ok()) break;
    // The page was reported when pages were checked. The series behind it may be sound.
    next = BehindSeriesPageOf(next);
    labels_before_.clear();
  }
  return Progress(2 * summary.file_bytes);
}

uint64_t Verifier::BehindSeriesPageOf(uint64_t series) const {
  for (uint32_t number = 0; number < reader_->page_count(); ++number) {
    const LayerReader::PageInfo page = reader_->page(number);
    const uint64_t end = page.first_item + page.items;
    if (page.kind != static_cast<uint8_t>(PageKind::kSeries)) continue;
    if (page.first_item <= series && series < end) return end;
  }
  return reader_->summary().series;
}

void Verifier::CheckOneSeries(const SeriesCursor& cursor) {
  ++report_.series;
  const StatusOr<Labels> labels = Labels::FromCanonical(cursor.labels());
  const std::string series =
      labels.ok() ? labels->ToString() : fmt::format("series {}", cursor.ordinal());
  if (!labels.ok()) ReportSeries(series, "its labels are not in canonical form");
  if (cursor.labels() <= labels_before_) {
    ReportSeries(series, "its labels do not follow those of the series before");
  }
  labels_before_.assign(cursor.labels());
  const auto place = reader_->FindSeries(cursor.id(), &context_);
  if (!place.ok()) {
    ReportStatus(series, place.status());
  } else if (*place != std::optional<uint32_t>(cursor.ordinal())) {
    ReportSeries(series, fmt::format("its id {} leads elsewhere", cursor.id().value));
  }
  chunks_.clear();
  const Status status = reader_->Chunks(cursor.ordinal(), TimeRange(), &context_, &chunks_);
  if (!status.ok()) return ReportStatus(series, status);
  if (chunks_.empty()) ReportSeries(series, "it has no chunks");
  for (const ChunkInfo& chunk : chunks_) CheckChunk(chunk, series);
}

void Verifier::CheckChunk(const ChunkInfo& chunk, const std::string& series) {
  const auto count = reader_->ReadChunk(chunk, TimeRange(), &context_, timestamps_, values_);
  if (!count.ok()) return ReportStatus(series, count.status());
  ++report_.chunks;
  report_.samples += *count;
  range_.first = std::min(range_.first, chunk.range.first);
  range_.last = std::max(range_.last, chunk.range.last);
  bool ascending = *count == chunk.count && timestamps_[0] == chunk.range.first &&
                   timestamps_[*count - 1] == chunk.range.last;
  for (size_t i = 1; i < *count; ++i) ascending &= timestamps_[i - 1] < timestamps_[i];
  if (!ascending) ReportSeries(series, "timestamps of a chunk do not ascend as its header tells");
  const std::span<const double> values(values_.data(), *count);
  if (!SameBits(ComputeStatistics(values), chunk.statistics)) {
    ReportPage(
        chunk.page, series,
        fmt::format("layer {}: page {} at offset {}: chunk {}: its statistics are not those of "
                    "its values",
                    reader_->path(), chunk.page, reader_->page(chunk.page).offset,
                    chunk.index_in_page));
  }
}

void Verifier::CheckTotals() {
  if (report_.damage_count != 0) return;  // then they cannot be right
  const LayerSummary& summary = reader_->summary();
  if (report_.series != summary.series || report_.chunks != summary.chunks ||
      report_.samples != summary.samples || range_ != summary.range) {
    ReportSeries("totals",
                 fmt::format("the footer tells {} series, {} chunks and {} samples; there are "
                             "{}, {} and {}",
                             summary.series, summary.chunks, summary.samples, report_.series,
                             report_.chunks, report_.samples));
  }
}

}  // namespace

Status VerifyReport::ToStatus() const {
  if (damage_count == 0) return OkStatus();
  const std::string& first = damage.front().description;
  if (damage_count == 1) return DataLoss("{}", first);
  return DataLoss("{} (and {} more)", first, damage_count - 1);
}

StatusOr<VerifyReport> VerifyLayer(std::shared_ptr<const LayerReader> reader,
                                   const std::function<bool(VerifyProgress)>& progress) {
  // A hundred kilobytes of scratch: not for the stack.
  return std::make_unique<Verifier>(std::move(reader), progress)->Run();
}

}  // namespace nexus::layer
