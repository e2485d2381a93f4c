// The layers' part of a scrub. See scrub_pass.h.

#include <utility>

#include "base/status_place.h"
#include "catalog/label_index.h"
#include "engine/layer_writer.h"
#include "engine/scrub_pass.h"
#include "io/file_util.h"

namespace nexus::engine {
namespace {

// What one piece checks.
constexpr uint64_t kPieceBytes = 1 << 20;
constexpr char kRestore[] =
    "restore the file from a backup; queries of other series and times are answered";

std::string LabelsText(std::string_view canonical) {
  StatusOr<Labels> labels = Labels::FromCanonical(canonical);
  return labels.ok() ? labels->ToString() : std::string("labels that are malformed");
}

// What the catalog tells of a layer that its file does not; empty if they agree.
std::string Disagreement(const ScrubLayer& listed, const layer::LayerSummary& file) {
  const catalog::LayerRecord& record = listed.record;
  std::string out;
  auto compare = [&out](std::string_view name, const auto& in_catalog, const auto& in_file) {
    if (in_catalog == in_file) return;
    out += fmt::format("{}{}", out.empty() ? "" : ", ", name);
  };
  compare("time range", record.range, file.range);
  compare("level", record.level, file.identity.level);
  compare("resolution", record.resolution_ns, file.identity.resolution_ns);
  compare("lowest LSN", record.low, file.identity.order_low);
  compare("highest LSN", record.high, file.identity.order_high);
  compare("deletes applied", record.deletes_applied, file.identity.deletes_applied);
  compare("series", record.series, file.series);
  compare("samples", record.samples, file.samples);
  compare("identity seed", listed.identity_seed, file.identity.identity_seed);
  compare("file name", record.file_name, layer::LayerFileName(file));
  return out;
}

}  // namespace

StatusOr<std::shared_ptr<const layer::LayerReader>> ScrubPass::OpenLayer(
    const std::string& path, std::optional<DatabaseId> database, const ScrubLayer* listed) {
  NEXUS_ASSIGN_OR_RETURN(std::unique_ptr<io::File> file,
                         io::OpenFileBlocking(environment_->disk(), path));
  layer::LayerExpectation expected;
  expected.database = database;
  if (listed != nullptr) {
    const catalog::LayerRecord& record = listed->record;
    expected = ExpectationOf(LayerFileName(record), database);
    const int64_t bytes = file->Size();
    if (bytes >= 0 && static_cast<uint64_t>(bytes) != record.file_bytes) {
      return DataLoss("layer {}: it has {} bytes, {} were published", path, bytes,
                      record.file_bytes);
    }
  }
  return layer::LayerReader::Open(std::move(file), &pages_, expected);
}

bool ScrubPass::IsFirstOfFile(const catalog::LayerRecord& record) {
  auto [first, added] = listed_.emplace(record.file_name, record);
  if (added) return true;
  catalog::LayerRecord same = record;
  same.branch = first->second.branch;
  if (same != first->second) {
    AddFile(io::JoinPath(folder_.layers, record.file_name),
            fmt::format("branches {} and {} tell different things of it", same.branch.value,
                        record.branch.value),
            RebuildCatalog());
  }
  return false;
}

io::Task<Status> ScrubPass::CheckLayer(std::optional<DatabaseId> database, ScrubLayer layer,
                                       ScrubLabels labels) {
  NEXUS_CO_RETURN_IF_ERROR(MayGoOn());
  const std::string path = io::JoinPath(folder_.layers, layer.record.file_name);
  auto open = [this, &path, database, &layer] { return OpenLayer(path, database, &layer); };
  auto reader = co_await environment_->executor()->Run(io::Lane::kWorker, open);
  report_.layers++;
  ScrubFinding finding;
  finding.file = path;
  finding.range = layer.record.range;
  finding.way_out = kRestore;
  if (!reader.ok()) {
    finding.offset = OffsetOf(reader.status());
    finding.what = absl::IsNotFound(reader.status())
                       ? fmt::format(
                             "the catalog lists this layer of {} samples of {} series, "
                             "and it is missing",
                             layer.record.samples, layer.record.series)
                       : std::string(FromAbsl(reader.status().message()));
    Add(std::move(finding));
    co_return OkStatus();
  }
  report_.layer_bytes += (*reader)->summary().file_bytes;
  const std::string differ = Disagreement(layer, (*reader)->summary());
  if (!differ.empty()) {
    finding.what = fmt::format("the catalog tells otherwise of its {}", differ);
    finding.way_out = RebuildCatalog();
    Add(std::move(finding));
  }
  co_return co_await WalkLayer(*std::move(reader), layer.record.tenant, std::move(labels));
}

io::Task<Status> ScrubPass::CheckStrangeLayer(std::optional<DatabaseId> database,
                                              std::string path) {
  NEXUS_CO_RETURN_IF_ERROR(MayGoOn());
  auto open = [this, &path, database] { return OpenLayer(path, database, nullptr); };
  auto reader = co_await environment_->executor()->Run(io::Lane::kWorker, open);
  report_.layers++;
  if (!reader.ok()) {
    ScrubFinding finding;
    finding.file = path;
    finding.offset = OffsetOf(reader.status());
    finding.what = std::string(FromAbsl(reader.status().message()));
    finding.way_out = kRestore;
    Add(std::move(finding));
    co_return OkStatus();
  }
  report_.layer_bytes += (*reader)->summary().file_bytes;
  const TenantId tenant = (*reader)->summary().identity.tenant;
  ScrubLabels unknown;
  co_return co_await WalkLayer(*std::move(reader), tenant, std::move(unknown));
}

io::Task<Status> ScrubPass::WalkLayer(std::shared_ptr<const layer::LayerReader> reader,
                                      TenantId tenant, ScrubLabels labels) {
  const std::string path = reader->path();
  std::vector<std::pair<SeriesId, std::string>> series;  // of a piece
  layer::LayerVerifier::Visitor visitor;
  visitor.damage = [this, &path](layer::LayerDamage damage) {
    ScrubFinding finding;
    finding.file = path;
    if (damage.page != layer::kNoPage) finding.offset = damage.offset;
    finding.what = std::move(damage.description);
    if (!damage.series.empty()) finding.series.push_back(std::move(damage.series));
    finding.range = damage.range;
    finding.way_out = kRestore;
    Add(std::move(finding));
  };
  visitor.series = [&series](SeriesId id, std::string_view canonical) {
    series.emplace_back(id, canonical);
  };
  layer::LayerVerifier verifier(std::move(reader), std::move(visitor));
  auto piece = [&]() -> StatusOr<bool> {
    const uint64_t until = verifier.progress().bytes_done + kPieceBytes;
    series.clear();
    bool more = true;
    while (more && verifier.progress().bytes_done < until) more = verifier.Step();
    CompareLabels(path, tenant, labels, series);
    return more;
  };
  auto progress = [&verifier] {
    return std::pair(verifier.progress().bytes_done, verifier.progress().bytes_total);
  };
  NEXUS_CO_RETURN_IF_ERROR(co_await RunPieces(piece, "checking layers", progress));
  report_.layer_pages += verifier.checked().pages;
  report_.chunks += verifier.checked().chunks;
  report_.samples += verifier.checked().samples;
  co_return OkStatus();
}

// The labels in a layer are those that the catalog has for the ids.
void ScrubPass::CompareLabels(const std::string& path, TenantId tenant, const ScrubLabels& labels,
                              const std::vector<std::pair<SeriesId, std::string>>& series) {
  if (labels.catalog == nullptr || series.empty()) return;
  auto delta = labels.delta();
  StatusOr<catalog::Reader> reader = labels.catalog->BeginRead();
  if (!reader.ok()) {
    return Note(
        fmt::format("{}: labels not compared: {}", path, FromAbsl(reader.status().message())));
  }
  catalog::LabelIndex index(*std::move(reader), std::move(delta));
  for (const auto& [id, canonical] : series) {
    StatusOr<std::string> known = index.Canonical(tenant, id);
    if (known.ok() && *known == canonical) continue;
    // The walk over the catalog has found what is damaged there.
    if (!known.ok() && !absl::IsNotFound(known.status())) continue;
    ScrubFinding finding;
    finding.file = path;
    finding.what = known.ok() ? fmt::format("the catalog gives series id {} to {}", id.value,
                                            LabelsText(*known))
                              : fmt::format("the catalog has no series id {}", id.value);
    finding.series.push_back(LabelsText(canonical));
    finding.way_out = RebuildCatalog();
    Add(std::move(finding));
  }
}

}  // namespace nexus::engine
