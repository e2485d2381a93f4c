// LayerBuilder: one open page of each kind, closed when full; see layer_builder.h.
//
// Pages of the kinds follow each other in the file as they fill, so nothing has to wait for the end
// but the ids, which are sorted then.

#include "layer/layer_builder.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/labels.h"
#include "layer/chunk_page.h"
#include "layer/column.h"
#include "layer/copied_columns.h"
#include "layer/encoded_chunk.h"
#include "layer/file_header.h"
#include "layer/footer.h"
#include "layer/format.h"
#include "layer/page.h"
#include "layer/series_page.h"
#include "layer/timestamp_page.h"
#include "layer/timestamp_table.h"

namespace nexus::layer {
namespace {

constexpr uint64_t kOrdinalMax = std::numeric_limits<uint32_t>::max();

Status CheckAscending(std::span<const int64_t> ts) {
  // Bits instead of a truth value, so that the loop vectorises.
  uint64_t wrong = 0;
  for (size_t i = 1; i < ts.size(); ++i) wrong |= ts[i - 1] < ts[i] ? 0 : 1;
  if (wrong == 0) return OkStatus();
  return InvalidArgument("timestamps of a series do not ascend strictly");
}

Status CheckLabels(std::string_view labels, std::string_view previous) {
  const auto ignore = [](std::string_view, std::string_view) {};
  if (labels.size() > kCanonicalBytesMax || !VisitCanonical(labels, ignore)) {
    return InvalidArgument("labels of {} bytes are not in canonical form", labels.size());
  }
  if (labels <= previous) return InvalidArgument("series do not ascend by their labels");
  return OkStatus();
}

}  // namespace

class LayerBuilder::Impl {
 public:
  Impl(const LayerIdentity& identity, BuilderOptions options);

  Status BeginSeries(std::string_view labels, SeriesId id);
  Status BeginColumn();
  // `last` says that the series ends here, so that nothing has to wait for more.
  Status AddSamples(std::span<const int64_t> ts, std::span<const double> values, bool last);
  Status AddOneChunk(std::span<const int64_t> ts, std::span<const double> values);
  Status CopyChunk(const EncodedChunk& chunk,
                   absl::FunctionRef<Status(int64_t* timestamps)> read_timestamps);
  StatusOr<LayerSummary> Finish();

  // Runs `step` unless an error is latched, and latches its error.
  template <typename Step>
  auto Latch(Step step) -> decltype(step()) {
    if (!status_.ok()) return status_;
    auto result = step();
    if (!result.ok()) status_ = StatusOf(result);
    return result;
  }

  std::string TakeOutput() {
    taken_bytes_ += output_.size();
    return std::exchange(output_, {});
  }
  uint64_t pending_output_bytes() const { return output_.size(); }
  uint64_t file_bytes() const { return taken_bytes_ + output_.size(); }
  uint64_t samples() const { return footer_.summary.samples; }

 private:
  static const Status& StatusOf(const Status& status) { return status; }
  template <typename T>
  static const Status& StatusOf(const StatusOr<T>& result) {
    return result.status();
  }

  Status CheckFollows(std::span<const int64_t> ts) const;
  Status CloseChunk();
  Status CloseSeries();
  Status AddChunk(std::span<const int64_t> ts, std::span<const double> values);
  Status AddChunk(ChunkHeader header, std::string_view bytes, TimeRange range);
  StatusOr<uint32_t> AddTimestamps(std::span<const int64_t> ts);
  Status AddIds();
  Status CloseChunkPage();
  Status CloseTimestampPage();
  Status CloseSeriesPage();
  Status Emit(PageKind kind, PageTransform transform, uint64_t key, uint32_t items,
              std::string_view payload);

  const BuilderOptions options_;
  FileHeader header_;
  uint64_t layer_seed_ = 0;
  Footer footer_;  // grows as pages are closed

  Status status_;
  bool finished_ = false;
  std::string output_;
  uint64_t taken_bytes_ = 0;

  // The series begun last.
  std::string labels_;
  bool series_open_ = false;
  uint32_t column_ = 0;
  // Of the column at hand.
  bool series_has_samples_ = false;
  int64_t last_ts_ = 0;
  // Its samples that do not fill a chunk yet.
  std::vector<int64_t> pending_ts_;
  std::vector<double> pending_values_;
  std::vector<int64_t> copied_ts_;  // scratch

  std::vector<IdPlace> ids_;
  TimestampTable timestamp_table_;
  ColumnWriter columns_;
  CopiedColumns copied_columns_;
  ChunkEncoder chunk_encoder_;
  std::string chunk_bytes_;
  ChunkPageBuilder chunk_page_;
  TimestampPageBuilder timestamp_page_;
  SeriesPageBuilder series_page_;
};

LayerBuilder::Impl::Impl(const LayerIdentity& identity, BuilderOptions options)
    : options_(std::move(options)), timestamp_table_(identity.identity_seed, kSharedColumnsMax) {
  NEXUS_CHECK(options_.chunk_samples_max >= 1);
  NEXUS_CHECK(options_.chunk_samples_max <= kChunkSamplesMax);
  NEXUS_CHECK(options_.page_bytes >= 256);
  NEXUS_CHECK(options_.page_bytes <= kPageBytesDefault);
  NEXUS_CHECK(options_.inputs.size() <= kLayerInputsMax);
  NEXUS_CHECK(identity.level <= kLayerLevelMax);
  NEXUS_CHECK(identity.resolution_ns >= 0);
  NEXUS_CHECK(identity.columns >= 1 && identity.columns <= kLayerColumnsMax);
  NEXUS_CHECK(identity.resolution_ns > 0 || identity.columns == 1);
  NEXUS_CHECK(identity.order_low <= identity.order_high);
  header_.database = identity.database;
  header_.tenant = identity.tenant;
  header_.branch = identity.branch;
  header_.identity_seed = identity.identity_seed;
  header_.key = identity.key();
  layer_seed_ = header_.LayerSeed();
  output_ = EncodeFileHeader(header_);
  footer_.summary.identity = identity;
  footer_.summary.inputs = options_.inputs;
  footer_.summary.range = {std::numeric_limits<int64_t>::max(),
                           std::numeric_limits<int64_t>::min()};
}

Status LayerBuilder::Impl::BeginSeries(std::string_view labels, SeriesId id) {
  NEXUS_CHECK(!finished_);
  NEXUS_RETURN_IF_ERROR(CloseSeries());
  NEXUS_RETURN_IF_ERROR(CheckLabels(labels, labels_));
  if (id.value == 0) return InvalidArgument("series id 0 is never given out");
  const uint32_t columns = footer_.summary.identity.columns;
  if (ids_.size() >= kOrdinalMax / columns) {
    return ResourceExhausted("a layer holds {} series at most", kOrdinalMax / columns);
  }
  if (series_page_.MustClose(options_.page_bytes)) NEXUS_RETURN_IF_ERROR(CloseSeriesPage());
  series_page_.Add(labels, id);
  ids_.push_back({id.value, static_cast<uint32_t>(ids_.size())});
  labels_.assign(labels);
  series_open_ = true;
  column_ = 0;
  series_has_samples_ = false;
  return OkStatus();
}

Status LayerBuilder::Impl::BeginColumn() {
  NEXUS_CHECK(!finished_);
  const uint32_t columns = footer_.summary.identity.columns;
  if (!series_open_ || !series_has_samples_ || column_ + 1 == columns) {
    return InvalidArgument("a column begins behind one with values, of {} of a series", columns);
  }
  NEXUS_RETURN_IF_ERROR(CloseChunk());
  ++column_;
  series_has_samples_ = false;
  return OkStatus();
}

Status LayerBuilder::Impl::AddSamples(std::span<const int64_t> ts, std::span<const double> values,
                                      bool last) {
  NEXUS_CHECK(!finished_);
  NEXUS_CHECK(ts.size() == values.size());
  NEXUS_RETURN_IF_ERROR(CheckFollows(ts));
  if (ts.empty()) return OkStatus();
  series_has_samples_ = true;
  last_ts_ = ts.back();
  const size_t chunk = options_.chunk_samples_max;
  while (!ts.empty()) {
    // Whole chunks go straight from the caller's columns; only the rest is kept for later.
    const size_t count = std::min(chunk - pending_ts_.size(), ts.size());
    const bool complete = pending_ts_.size() + count == chunk || last;
    if (complete && pending_ts_.empty()) {
      NEXUS_RETURN_IF_ERROR(AddChunk(ts.first(count), values.first(count)));
    } else {
      pending_ts_.insert(pending_ts_.end(), ts.begin(), ts.begin() + static_cast<int64_t>(count));
      pending_values_.insert(pending_values_.end(), values.begin(),
                             values.begin() + static_cast<int64_t>(count));
      if (complete) {
        NEXUS_RETURN_IF_ERROR(AddChunk(pending_ts_, pending_values_));
        pending_ts_.clear();
        pending_values_.clear();
      }
    }
    ts = ts.subspan(count);
    values = values.subspan(count);
  }
  return OkStatus();
}

// True samples of the open series, behind those it has.
Status LayerBuilder::Impl::CheckFollows(std::span<const int64_t> ts) const {
  if (!series_open_) return InvalidArgument("samples without a series");
  if (ts.empty()) return OkStatus();
  if (series_has_samples_ && ts.front() <= last_ts_) {
    return InvalidArgument("timestamps of a series do not ascend strictly");
  }
  return CheckAscending(ts);
}

Status LayerBuilder::Impl::AddOneChunk(std::span<const int64_t> ts,
                                       std::span<const double> values) {
  NEXUS_CHECK(!finished_);
  NEXUS_CHECK(ts.size() == values.size());
  NEXUS_CHECK(!ts.empty() && ts.size() <= options_.chunk_samples_max);
  NEXUS_RETURN_IF_ERROR(CheckFollows(ts));
  NEXUS_RETURN_IF_ERROR(CloseChunk());
  series_has_samples_ = true;
  last_ts_ = ts.back();
  return AddChunk(ts, values);
}

Status LayerBuilder::Impl::CopyChunk(
    const EncodedChunk& chunk, absl::FunctionRef<Status(int64_t* timestamps)> read_timestamps) {
  NEXUS_CHECK(!finished_);
  // Its two ends stand for all: the column ascends.
  const std::array<int64_t, 2> ends = {chunk.range.first, chunk.range.last};
  NEXUS_RETURN_IF_ERROR(CheckFollows(std::span(ends).first(chunk.header.count == 1 ? 1 : 2)));
  NEXUS_RETURN_IF_ERROR(CloseChunk());
  series_has_samples_ = true;
  last_ts_ = chunk.range.last;
  ChunkHeader header = chunk.header;
  const CopiedColumns::Source source{chunk.owner, header.timestamps};
  const std::optional<uint32_t> known = copied_columns_.Find(source);
  if (known.has_value()) {
    header.timestamps = *known;
  } else {
    copied_ts_.resize(header.count);
    NEXUS_RETURN_IF_ERROR(read_timestamps(copied_ts_.data()));
    NEXUS_ASSIGN_OR_RETURN(header.timestamps, AddTimestamps(copied_ts_));
    copied_columns_.Insert(source, header.timestamps);
  }
  return AddChunk(header, AsString(chunk.bytes), chunk.range);
}

Status LayerBuilder::Impl::CloseSeries() {
  if (!series_open_) return OkStatus();
  series_open_ = false;
  if (!series_has_samples_) return InvalidArgument("a series has no samples");
  if (column_ + 1 != footer_.summary.identity.columns) {
    return InvalidArgument("a series has {} of {} columns", column_ + 1,
                           footer_.summary.identity.columns);
  }
  return CloseChunk();
}

Status LayerBuilder::Impl::CloseChunk() {
  if (pending_ts_.empty()) return OkStatus();
  NEXUS_RETURN_IF_ERROR(AddChunk(pending_ts_, pending_values_));
  pending_ts_.clear();
  pending_values_.clear();
  return OkStatus();
}

Status LayerBuilder::Impl::AddChunk(std::span<const int64_t> ts, std::span<const double> values) {
  NEXUS_ASSIGN_OR_RETURN(const uint32_t timestamps, AddTimestamps(ts));
  chunk_bytes_.clear();
  ChunkHeader header = chunk_encoder_.Encode(values, &chunk_bytes_);
  header.timestamps = timestamps;
  return AddChunk(header, chunk_bytes_, {ts.front(), ts.back()});
}

Status LayerBuilder::Impl::AddChunk(ChunkHeader header, std::string_view bytes, TimeRange range) {
  LayerSummary& summary = footer_.summary;
  if (summary.chunks == kOrdinalMax) {
    return ResourceExhausted("a layer holds 2^32 - 1 chunks at most");
  }
  header.series = static_cast<uint32_t>(ids_.size() - 1) * summary.identity.columns + column_;
  if (chunk_page_.MustClose(bytes.size(), options_.page_bytes)) {
    NEXUS_RETURN_IF_ERROR(CloseChunkPage());
  }
  chunk_page_.Add(header, bytes);
  ++summary.chunks;
  summary.samples += header.count;
  summary.range.first = std::min(summary.range.first, range.first);
  summary.range.last = std::max(summary.range.last, range.last);
  return OkStatus();
}

StatusOr<uint32_t> LayerBuilder::Impl::AddTimestamps(std::span<const int64_t> ts) {
  // There is at most one column more than chunks, whose number is limited.
  const auto ordinal = static_cast<uint32_t>(footer_.timestamp_columns);
  const auto known = timestamp_table_.FindOrInsert(ts, ordinal);
  if (known.has_value()) return *known;
  if (timestamp_page_.MustClose(options_.page_bytes)) {
    NEXUS_RETURN_IF_ERROR(CloseTimestampPage());
  }
  timestamp_page_.Add(ts);
  ++footer_.timestamp_columns;
  return ordinal;
}

Status LayerBuilder::Impl::CloseChunkPage() {
  if (chunk_page_.empty()) return OkStatus();
  const uint32_t items = chunk_page_.size();
  const uint64_t key = chunk_page_.first_series();
  return Emit(PageKind::kChunks, PageTransform::kNone, key, items, chunk_page_.Take(&columns_));
}

Status LayerBuilder::Impl::CloseTimestampPage() {
  if (timestamp_page_.empty()) return OkStatus();
  const uint32_t items = timestamp_page_.size();
  const uint64_t key = footer_.timestamp_columns - items;
  return Emit(PageKind::kTimestamps, PageTransform::kNone, key, items,
              timestamp_page_.Take(&columns_));
}

Status LayerBuilder::Impl::CloseSeriesPage() {
  if (series_page_.empty()) return OkStatus();
  const uint32_t items = series_page_.size();
  const uint64_t key = ids_.size() - items;
  return Emit(PageKind::kSeries, PageTransform::kZstd, key, items, series_page_.Take(&columns_));
}

Status LayerBuilder::Impl::AddIds() {
  std::sort(ids_.begin(), ids_.end(),
            [](const IdPlace& a, const IdPlace& b) { return a.id < b.id; });
  const auto twice = std::adjacent_find(
      ids_.begin(), ids_.end(), [](const IdPlace& a, const IdPlace& b) { return a.id == b.id; });
  if (twice != ids_.end()) return InvalidArgument("two series have the id {}", twice->id);
  const std::span<const IdPlace> ids = ids_;
  for (size_t begin = 0; begin < ids.size(); begin += kIdsPerPageMax) {
    const auto page = ids.subspan(begin, std::min<size_t>(kIdsPerPageMax, ids.size() - begin));
    NEXUS_RETURN_IF_ERROR(Emit(PageKind::kIds, PageTransform::kNone, page.front().id,
                               static_cast<uint32_t>(page.size()), EncodeIdPage(page, &columns_)));
  }
  return OkStatus();
}

Status LayerBuilder::Impl::Emit(PageKind kind, PageTransform transform, uint64_t key,
                                uint32_t items, std::string_view payload) {
  if (footer_.pages.size() == kOrdinalMax) {
    return ResourceExhausted("a layer holds 2^32 - 1 pages at most");
  }
  PageEntry entry;
  entry.key = key;
  entry.items = items;
  SealPage(static_cast<uint32_t>(footer_.pages.size()), kind, transform, layer_seed_,
           AsBytes(payload), &output_, &entry);
  footer_.pages.push_back(entry);
  return OkStatus();
}

StatusOr<LayerSummary> LayerBuilder::Impl::Finish() {
  NEXUS_CHECK(!finished_);
  NEXUS_RETURN_IF_ERROR(CloseSeries());
  if (ids_.empty()) return FailedPrecondition("a layer without series is not written");
  NEXUS_RETURN_IF_ERROR(CloseChunkPage());
  NEXUS_RETURN_IF_ERROR(CloseTimestampPage());
  NEXUS_RETURN_IF_ERROR(CloseSeriesPage());
  footer_.summary.series = ids_.size();
  footer_.summary.range = CoveredBy(footer_.summary.identity, footer_.summary.range);
  NEXUS_RETURN_IF_ERROR(AddIds());
  finished_ = true;

  const std::string footer = EncodeFooter(footer_);
  FileTail tail;
  tail.footer_offset = file_bytes();
  tail.footer_bytes = static_cast<uint32_t>(footer.size());
  tail.footer_hash = XxHash64(AsBytes(footer), layer_seed_);
  tail.file_bytes = tail.footer_offset + footer.size() + kTailBytes;
  output_ += footer;
  output_ += EncodeFileTail(tail, layer_seed_);
  footer_.summary.file_bytes = tail.file_bytes;
  footer_.summary.footer_hash = tail.footer_hash;
  return footer_.summary;
}

LayerBuilder::LayerBuilder(const LayerIdentity& identity, BuilderOptions options)
    : impl_(std::make_unique<Impl>(identity, std::move(options))) {}

LayerBuilder::~LayerBuilder() = default;

Status LayerBuilder::AddSeries(std::string_view canonical_labels, SeriesId id,
                               std::span<const int64_t> ts, std::span<const double> values) {
  return impl_->Latch([&]() -> Status {
    NEXUS_RETURN_IF_ERROR(impl_->BeginSeries(canonical_labels, id));
    return impl_->AddSamples(ts, values, true);
  });
}

Status LayerBuilder::BeginSeries(std::string_view canonical_labels, SeriesId id) {
  return impl_->Latch([&] { return impl_->BeginSeries(canonical_labels, id); });
}

Status LayerBuilder::BeginColumn() {
  return impl_->Latch([&] { return impl_->BeginColumn(); });
}

Status LayerBuilder::AddSamples(std::span<const int64_t> ts, std::span<const double> values) {
  return impl_->Latch([&] { return impl_->AddSamples(ts, values, false); });
}

Status LayerBuilder::AddChunk(std::span<const int64_t> ts, std::span<const double> values) {
  return impl_->Latch([&] { return impl_->AddOneChunk(ts, values); });
}

Status LayerBuilder::CopyChunk(const EncodedChunk& chunk,
                               absl::FunctionRef<Status(int64_t* timestamps)> read_timestamps) {
  return impl_->Latch([&] { return impl_->CopyChunk(chunk, read_timestamps); });
}

std::string LayerBuilder::TakeOutput() { return impl_->TakeOutput(); }

uint64_t LayerBuilder::pending_output_bytes() const { return impl_->pending_output_bytes(); }

uint64_t LayerBuilder::file_bytes() const { return impl_->file_bytes(); }

uint64_t LayerBuilder::samples() const { return impl_->samples(); }

StatusOr<LayerSummary> LayerBuilder::Finish() {
  return impl_->Latch([&] { return impl_->Finish(); });
}

}  // namespace nexus::layer
