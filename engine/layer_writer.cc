// A memtable becomes a file. See layer_writer.h.

#include "engine/layer_writer.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/planted.h"
#include "catalog/label_index.h"
#include "engine/flush_cursor.h"
#include "io/file_util.h"
#include "layer/layer_builder.h"

namespace nexus::engine {
namespace {

// Output of one step on the worker: large enough that writing it costs little per byte, small
// enough to be held twice.
constexpr uint64_t kStepBytes = 1 << 20;

// Series to write, in label order.
struct PlannedSeries {
  std::string canonical;
  SeriesId id;
};

StatusOr<std::vector<PlannedSeries>> Plan(const catalog::Catalog& catalog,
                                          std::shared_ptr<const catalog::DeltaView> delta,
                                          TenantId tenant, const Memtable& memtable,
                                          std::optional<uint64_t>* undefined) {
  NEXUS_ASSIGN_OR_RETURN(catalog::Reader reader, catalog.BeginRead());
  catalog::LabelIndex index(std::move(reader), std::move(delta));
  std::vector<SeriesId> ids;
  memtable.AppendSeriesIds(&ids);
  std::vector<PlannedSeries> plan;
  plan.reserve(ids.size());
  for (SeriesId id : ids) {
    StatusOr<std::string> canonical = index.Canonical(tenant, id);
    if (absl::IsNotFound(canonical.status()) && undefined->has_value()) {
      ++**undefined;
      continue;
    }
    if (absl::IsNotFound(canonical.status())) {
      return DataLoss("series {} has samples and no definition in catalog or log", id.value);
    }
    NEXUS_RETURN_IF_ERROR(canonical.status());
    plan.push_back({*std::move(canonical), id});
  }
  auto by_labels = [](const PlannedSeries& a, const PlannedSeries& b) {
    return a.canonical < b.canonical;
  };
  std::sort(plan.begin(), plan.end(), by_labels);
  return plan;
}

// The work of the worker: pure functions of an immutable memtable.
class LayerEncoder {
 public:
  LayerEncoder(const layer::LayerIdentity& identity, std::shared_ptr<const Memtable> memtable)
      : memtable_(std::move(memtable)), builder_(identity) {}

  // The next piece of the file; empty if the memtable holds nothing. `done` once it is the last.
  StatusOr<std::string> Step(const catalog::Catalog& catalog,
                             std::shared_ptr<const catalog::DeltaView> delta, TenantId tenant) {
    if (cursor_ == nullptr) {
      NEXUS_ASSIGN_OR_RETURN(plan_,
                             Plan(catalog, std::move(delta), tenant, *memtable_, &undefined_));
      for (const PlannedSeries& series : plan_) order_.push_back(series.id);
      FlushCursorOptions options;
      options.labels = [this](size_t i) { return std::string_view(plan_[i].canonical); };
      cursor_ = std::make_unique<FlushCursor>(memtable_.get(), order_, options);
    }
    while (builder_.pending_output_bytes() < kStepBytes) {
      FlushedSeries series;
      if (!cursor_->Next(&series)) return Complete();
      NEXUS_RETURN_IF_ERROR(AddSeries(series));
    }
    return builder_.TakeOutput();
  }
  // Series without definition are passed over and counted, instead of being an error.
  void PassOverUndefined() { undefined_ = 0; }
  uint64_t undefined() const { return undefined_.value_or(0); }
  bool done() const { return done_; }
  bool empty() const { return samples_ == 0; }
  const layer::LayerSummary& summary() const { return summary_; }
  catalog::SeriesSet TakeSeries() { return std::move(series_); }

 private:
  // Labels are those of the planned series that the cursor has reached: it passes over series
  // without samples.
  Status AddSeries(const FlushedSeries& series) {
    while (plan_[next_].id != series.series) next_++;
    samples_ += series.timestamps.size();
    written_.push_back(series.series.value);
    return builder_.AddSeries(plan_[next_].canonical, series.series, series.timestamps,
                              series.values);
  }

  StatusOr<std::string> Complete() {
    done_ = true;
    if (samples_ == 0) return std::string();
    std::sort(written_.begin(), written_.end());
    series_.AddSorted(written_);
    NEXUS_ASSIGN_OR_RETURN(summary_, builder_.Finish());
    return builder_.TakeOutput();
  }

  const std::shared_ptr<const Memtable> memtable_;
  layer::LayerBuilder builder_;
  layer::LayerSummary summary_;
  std::vector<PlannedSeries> plan_;
  std::optional<uint64_t> undefined_;
  bool done_ = false;
  size_t next_ = 0;
  uint64_t samples_ = 0;
  std::vector<SeriesId> order_;
  std::vector<uint64_t> written_;
  catalog::SeriesSet series_;  // what is in written_, once done
  std::unique_ptr<FlushCursor> cursor_;
};

layer::LayerIdentity IdentityOf(const DatabaseState& state, const catalog::TenantRecord& tenant,
                                const SealedMemtable& sealed, uint64_t sequence) {
  layer::LayerIdentity identity;
  identity.database = state.origin;
  identity.tenant = tenant.id;
  identity.branch = sealed.writer;
  identity.identity_seed = tenant.identity_seed;
  identity.order_low = {state.timeline, sealed.first};
  identity.order_high = {state.timeline, sealed.sealed};
  identity.open_count = state.open_count;
  identity.sequence = sequence;
  return identity;
}

// Encodes and writes to `path`; what is written is synced.
io::Task<Status> WriteFile(DatabaseState* state, LayerEncoder* encoder, TenantId tenant,
                           std::string path) {
  io::OpenFlags flags;
  flags.write = true;
  flags.create = true;
  flags.truncate = true;
  NEXUS_CO_ASSIGN_OR_RETURN(std::unique_ptr<io::File> file,
                            co_await io::OpenFile(state->environment->disk(), path, flags));
  uint64_t offset = 0;
  while (!encoder->done()) {
    auto step = [encoder, catalog = state->catalog.get(), delta = state->delta.View(), tenant] {
      return encoder->Step(*catalog, delta, tenant);
    };
    StatusOr<std::string> bytes =
        co_await state->environment->executor()->Run(io::Lane::kWorker, step);
    NEXUS_CO_RETURN_IF_ERROR(bytes.status());
    NEXUS_CO_RETURN_IF_ERROR(co_await io::WriteAll(file.get(), offset, AsBytes(*bytes)));
    offset += bytes->size();
  }
  if (NEXUS_PLANTED("layer-not-synced")) co_return OkStatus();
  co_return co_await io::SyncFile(file.get());
}

}  // namespace

catalog::LayerRecord LayerRecordOf(const layer::LayerSummary& summary) {
  catalog::LayerRecord record;
  record.tenant = summary.identity.tenant;
  record.branch = summary.identity.branch;
  record.open_count = summary.identity.open_count;
  record.sequence = summary.identity.sequence;
  record.file_name = layer::LayerFileName(summary);
  record.range = summary.range;
  record.level = summary.identity.level;
  record.resolution_ns = summary.identity.resolution_ns;
  record.low = summary.identity.order_low;
  record.high = summary.identity.order_high;
  record.deletes_applied = summary.identity.deletes_applied;
  record.series = summary.series;
  record.samples = summary.samples;
  record.file_bytes = summary.file_bytes;
  record.footer_hash = summary.footer_hash;
  return record;
}

bool LogHolds(const wal::LogScan& log, const layer::LayerSummary& summary) {
  return !log.segments.empty() && summary.identity.order_low.lsn >= log.segments.front().base &&
         summary.identity.order_high.lsn <= log.end;
}

std::string TemporaryLayerPath(const DatabaseState& state, uint64_t sequence) {
  return io::JoinPath(state.folder.layers,
                      fmt::format("{:08x}-{:016x}.tmp", state.open_count, sequence));
}

StatusOr<LayerReaderPtr> OpenLayerFile(const DatabaseState& state, const LayerFileName& name,
                                       layer::PageCache* cache, uint64_t owner) {
  const std::string path = io::JoinPath(state.folder.layers, name.name);
  auto reader = layer::LayerReader::Open(state.files->Make(path), cache,
                                         ExpectationOf(name, state.origin), owner);
  if (!absl::IsNotFound(reader.status())) return reader;
  return DataLoss("{}: the catalog lists this layer and it is missing; restore it from a backup",
                  path);
}

layer::LayerExpectation ExpectationOf(const LayerFileName& name,
                                      std::optional<DatabaseId> database) {
  layer::LayerExpectation expected;
  expected.database = database;
  expected.tenant = name.tenant;
  expected.key = name.key;
  expected.footer_hash = name.footer_hash;
  return expected;
}

StatusOr<LayerReaderPtr> OpenUnlistedLayer(const DatabaseState& state, const std::string& path) {
  layer::LayerExpectation expected;
  expected.database = state.origin;
  return layer::LayerReader::Open(state.files->Make(path), nullptr, expected);
}

StatusOr<layer::LayerSummary> ReadLayerSummary(const DatabaseState& state,
                                               const std::string& path) {
  NEXUS_ASSIGN_OR_RETURN(const auto reader, OpenUnlistedLayer(state, path));
  return reader->summary();
}

io::Task<StatusOr<std::optional<WrittenLayer>>> WriteLayer(DatabaseState* state,
                                                           catalog::TenantRecord tenant,
                                                           SealedMemtable sealed,
                                                           uint64_t sequence) {
  io::Disk* disk = state->environment->disk();
  std::string temporary = TemporaryLayerPath(*state, sequence);
  LayerEncoder encoder(IdentityOf(*state, tenant, sealed, sequence), sealed.memtable);
  if (state->pass_over_undefined_series) encoder.PassOverUndefined();
  Status status = co_await WriteFile(state, &encoder, tenant.id, temporary);
  state->undefined_series += encoder.undefined();
  if (!status.ok() || encoder.empty()) {
    // What cannot be unlinked now is unlinked by the next recovery.
    (co_await io::Unlink(disk, temporary)).IgnoreError();
    NEXUS_CO_RETURN_IF_ERROR(status);
    co_return std::optional<WrittenLayer>();
  }
  WrittenLayer written;
  written.series = {tenant.id, encoder.TakeSeries()};
  OpenLayer& layer = written.layer;
  layer.record = LayerRecordOf(encoder.summary());
  std::string path = io::JoinPath(state->folder.layers, layer.record.file_name);
  NEXUS_CO_RETURN_IF_ERROR(co_await io::Rename(disk, temporary, path));
  if (!NEXUS_PLANTED("layer-name-not-synced")) {
    status = co_await io::SyncDirectory(disk, state->folder.layers);
  }
  if (status.ok()) {
    layer.file = state->layer_readers->Make(layer.record);
    // What cannot be opened is not published.
    auto open = [file = layer.file] { return file->Reader().status(); };
    status = co_await state->environment->executor()->Run(io::Lane::kWorker, open);
  }
  if (!status.ok()) {
    (co_await io::Unlink(disk, path)).IgnoreError();
    co_return status;
  }
  co_return std::optional<WrittenLayer>(std::move(written));
}

}  // namespace nexus::engine
