// Verifier: first every page by itself, then what the pages mean together; see layer_verifier.h.

#include "layer/layer_verifier.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "base/labels.h"
#include "base/status_place.h"
#include "layer/format.h"
#include "layer/layer_builder.h"
#include "layer/statistics.h"

namespace nexus::layer {
namespace {

// Series between two calls of progress.
constexpr uint64_t kSeriesPerProgress = 256;

}  // namespace

class LayerVerifier::Impl {
 public:
  Impl(std::shared_ptr<const LayerReader> reader, Visitor visitor)
      : reader_(std::move(reader)),
        visitor_(std::move(visitor)),
        timestamps_(kChunkSamplesMax),
        values_(kChunkSamplesMax) {}

  bool Step() {
    if (next_page_ < reader_->page_count()) {
      CheckPage(next_page_++);
    } else if (next_series_ < reader_->summary().series) {
      StepSeries();
    } else {
      if (!done_) CheckTotals();
      done_ = true;
    }
    return !done_;
  }

  // The work is two walks over the file: pages by themselves, then what they mean together.
  VerifyProgress progress() const {
    const LayerSummary& summary = reader_->summary();
    VerifyProgress at;
    at.bytes_total = 2 * summary.file_bytes;
    if (next_page_ < reader_->page_count()) {
      at.bytes_done = reader_->page(next_page_).offset;
    } else {
      const double part = static_cast<double>(next_series_) / static_cast<double>(summary.series);
      const auto bytes = static_cast<double>(summary.file_bytes);
      at.bytes_done = done_ ? at.bytes_total : static_cast<uint64_t>(bytes * (1 + part));
    }
    return at;
  }
  const VerifyReport& checked() const { return checked_; }

 private:
  void CheckPage(uint32_t number);
  void StepSeries();
  void CheckOneSeries(const SeriesCursor& cursor);
  void CheckChunk(const ChunkInfo& chunk, const std::string& series);
  void CheckTotals();
  uint64_t BehindSeriesPageOf(uint64_t series) const;
  uint32_t PageAt(uint64_t offset) const;

  void ReportPage(uint32_t page, const std::string& series, TimeRange range,
                  std::string description) {
    Add({page, reader_->page(page).offset, series, range, std::move(description)});
  }
  // An error that names its page itself.
  void ReportStatus(const std::string& series, TimeRange range, const Status& status) {
    LayerDamage damage{kNoPage, 0, series, range, std::string(FromAbsl(status.message()))};
    if (std::optional<uint64_t> offset = OffsetOf(status)) {
      damage.offset = *offset;
      damage.page = PageAt(*offset);
    }
    Add(std::move(damage));
  }
  // Damage of no page in particular.
  void ReportSeries(const std::string& series, TimeRange range, std::string_view what) {
    Add({kNoPage, 0, series, range,
         fmt::format("layer {}: {}: {}", reader_->path(), series, what)});
  }
  void Add(LayerDamage damage) {
    ++checked_.damage_count;
    visitor_.damage(std::move(damage));
  }
  TimeRange whole() const { return reader_->summary().range; }

  const std::shared_ptr<const LayerReader> reader_;
  const Visitor visitor_;
  VerifyReport checked_;
  uint32_t next_page_ = 0;
  uint64_t next_series_ = 0;
  std::unique_ptr<SeriesCursor> cursor_;
  bool done_ = false;
  ReadContext context_;
  std::vector<ChunkInfo> chunks_;
  std::vector<int64_t> timestamps_;
  std::vector<double> values_;
  std::string labels_before_;
  TimeRange range_{std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()};
};

void LayerVerifier::Impl::CheckPage(uint32_t number) {
  const Status status = reader_->CheckPage(number);
  if (!status.ok()) ReportPage(number, "", whole(), std::string(FromAbsl(status.message())));
  ++checked_.pages;
}

void LayerVerifier::Impl::StepSeries() {
  if (cursor_ == nullptr) {
    cursor_ = std::make_unique<SeriesCursor>(reader_, static_cast<uint32_t>(next_series_));
  }
  if (cursor_->Next()) {
    CheckOneSeries(*cursor_);
    next_series_ = cursor_->ordinal() + uint64_t{1};
    return;
  }
  // The page was reported when pages were checked. The series behind it may be sound.
  next_series_ = BehindSeriesPageOf(next_series_);
  labels_before_.clear();
  cursor_.reset();
}

uint64_t LayerVerifier::Impl::BehindSeriesPageOf(uint64_t series) const {
  for (uint32_t number = 0; number < reader_->page_count(); ++number) {
    const LayerReader::PageInfo page = reader_->page(number);
    const uint64_t end = page.first_item + page.items;
    if (page.kind != static_cast<uint8_t>(PageKind::kSeries)) continue;
    if (page.first_item <= series && series < end) return end;
  }
  return reader_->summary().series;
}

// Pages stand in the order of their numbers.
uint32_t LayerVerifier::Impl::PageAt(uint64_t offset) const {
  uint32_t low = 0;
  for (uint32_t high = reader_->page_count(); low < high;) {
    const uint32_t middle = low + (high - low) / 2;
    if (reader_->page(middle).offset < offset) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const bool here = low < reader_->page_count() && reader_->page(low).offset == offset;
  return here ? low : kNoPage;
}

void LayerVerifier::Impl::CheckOneSeries(const SeriesCursor& cursor) {
  ++checked_.series;
  const StatusOr<Labels> labels = Labels::FromCanonical(cursor.labels());
  const std::string series =
      labels.ok() ? labels->ToString() : fmt::format("series {}", cursor.ordinal());
  if (!labels.ok()) ReportSeries(series, whole(), "its labels are not in canonical form");
  if (cursor.labels() <= labels_before_) {
    ReportSeries(series, whole(), "its labels do not follow those of the series before");
  }
  labels_before_.assign(cursor.labels());
  if (visitor_.series) visitor_.series(cursor.id(), cursor.labels());
  const auto place = reader_->FindSeries(cursor.id(), &context_);
  if (!place.ok()) {
    ReportStatus(series, whole(), place.status());
  } else if (*place != std::optional<uint32_t>(cursor.ordinal())) {
    ReportSeries(series, whole(), fmt::format("its id {} leads elsewhere", cursor.id().value));
  }
  const uint32_t columns = reader_->summary().identity.columns;
  uint64_t samples = 0;  // of its first column
  for (uint32_t column = 0; column < columns; ++column) {
    chunks_.clear();
    const Status status =
        reader_->ColumnChunks(cursor.ordinal(), column, TimeRange(), &context_, &chunks_);
    if (!status.ok()) return ReportStatus(series, whole(), status);
    if (chunks_.empty()) ReportSeries(series, whole(), "it has no chunks");
    const uint64_t before = checked_.samples;
    for (const ChunkInfo& chunk : chunks_) CheckChunk(chunk, series);
    if (column == 0) samples = checked_.samples - before;
    if (checked_.samples - before == samples) continue;
    ReportSeries(series, whole(),
                 fmt::format("its column {} has {} values, the first has {}", column,
                             checked_.samples - before, samples));
  }
}

void LayerVerifier::Impl::CheckChunk(const ChunkInfo& chunk, const std::string& series) {
  const auto count = reader_->ReadChunk(chunk, TimeRange(), &context_, timestamps_, values_);
  if (!count.ok()) return ReportStatus(series, chunk.range, count.status());
  ++checked_.chunks;
  checked_.samples += *count;
  range_.first = std::min(range_.first, chunk.range.first);
  range_.last = std::max(range_.last, chunk.range.last);
  bool ascending = *count == chunk.count && timestamps_[0] == chunk.range.first &&
                   timestamps_[*count - 1] == chunk.range.last;
  for (size_t i = 1; i < *count; ++i) ascending &= timestamps_[i - 1] < timestamps_[i];
  if (!ascending) {
    ReportSeries(series, chunk.range, "timestamps of a chunk do not ascend as its header tells");
  }
  const std::span<const double> values(values_.data(), *count);
  if (!SameBits(ComputeStatistics(values), chunk.statistics)) {
    ReportPage(
        chunk.page, series, chunk.range,
        fmt::format("layer {}: page {} at offset {}: chunk {}: its statistics are not those of "
                    "its values",
                    reader_->path(), chunk.page, reader_->page(chunk.page).offset,
                    chunk.index_in_page));
  }
}

void LayerVerifier::Impl::CheckTotals() {
  if (checked_.damage_count != 0) return;  // then they cannot be right
  const LayerSummary& summary = reader_->summary();
  range_ = CoveredBy(summary.identity, range_);
  if (checked_.series != summary.series || checked_.chunks != summary.chunks ||
      checked_.samples != summary.samples || range_ != summary.range) {
    Add({kNoPage, 0, "", whole(),
         fmt::format("layer {}: the footer tells {} series, {} chunks and {} samples; there are "
                     "{}, {} and {}",
                     reader_->path(), summary.series, summary.chunks, summary.samples,
                     checked_.series, checked_.chunks, checked_.samples)});
  }
}

// A hundred kilobytes of scratch: not for the stack.
LayerVerifier::LayerVerifier(std::shared_ptr<const LayerReader> reader, Visitor visitor)
    : impl_(std::make_unique<Impl>(std::move(reader), std::move(visitor))) {}
LayerVerifier::~LayerVerifier() = default;
bool LayerVerifier::Step() { return impl_->Step(); }
VerifyProgress LayerVerifier::progress() const { return impl_->progress(); }
const VerifyReport& LayerVerifier::checked() const { return impl_->checked(); }

Status VerifyReport::ToStatus() const {
  if (damage_count == 0) return OkStatus();
  const std::string& first = damage.front().description;
  if (damage_count == 1) return DataLoss("{}", first);
  return DataLoss("{} (and {} more)", first, damage_count - 1);
}

StatusOr<VerifyReport> VerifyLayer(std::shared_ptr<const LayerReader> reader,
                                   const std::function<bool(VerifyProgress)>& progress) {
  std::vector<LayerDamage> damage;
  LayerVerifier::Visitor visitor;
  visitor.damage = [&damage](LayerDamage found) {
    if (damage.size() < kReportedDamageMax) damage.push_back(std::move(found));
  };
  const std::string path = reader->path();
  LayerVerifier verifier(std::move(reader), std::move(visitor));
  bool more = true;
  while (more) {
    more = verifier.Step();
    const uint64_t series = verifier.checked().series;
    const bool due = !more || series % kSeriesPerProgress == 0;
    if (progress && due && !progress(verifier.progress())) {
      return Cancelled("layer {}: verification was cancelled", path);
    }
  }
  VerifyReport report = verifier.checked();
  report.damage = std::move(damage);
  return report;
}

}  // namespace nexus::layer
