// The report, the pieces, images, catalog and folder. See scrub_pass.h; scrub_log.cc and
// scrub_layer.cc have the rest.

#include "engine/scrub_pass.h"

#include <algorithm>

#include "base/status_place.h"
#include "io/file_util.h"
#include "wal/folder_lock.h"

namespace nexus::engine {
namespace {

// As recovery bounds it: 150 bytes a layer, 400,000 of them.
constexpr uint64_t kImageBytesMax = 64ull << 20;
// For the pages of one layer: look-ups by id go back and forth over the pages of ids.
constexpr uint64_t kPageCacheBytes = 8ull << 20;
constexpr char kCatalogFile[] = "data.mdb";

std::string Text(const Status& status) { return std::string(FromAbsl(status.message())); }

// What a database's folder may hold, besides images.
bool IsKnownName(std::string_view name) {
  constexpr std::string_view kNames[] = {wal::kLockFileName, "IDENTITY",      "wal",
                                         "layers",           "catalog",       "reserve",
                                         "quarantine",       "server.address"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

}  // namespace

ScrubPass::ScrubPass(io::Environment* environment, Folder folder, ScrubOptions options,
                     std::function<Status()> stop)
    : environment_(environment),
      folder_(std::move(folder)),
      options_(std::move(options)),
      stop_(std::move(stop)),
      started_ns_(environment->MonotonicNanos()),
      pages_(kPageCacheBytes) {}

std::string ScrubPass::RebuildCatalog() const {
  return fmt::format("nexus catalog rebuild {}", folder_.root);
}

void ScrubPass::Add(ScrubFinding finding) {
  const auto place = std::tuple(finding.file, finding.offset.value_or(UINT64_MAX), finding.what);
  auto known = places_.find(place);
  if (known == places_.end()) {
    report_.finding_count++;
    if (report_.findings.size() == kScrubFindingsMax) return;
    places_.emplace(place, report_.findings.size());
    finding.series_count = finding.series.size();
    report_.findings.push_back(std::move(finding));
    return;
  }
  ScrubFinding& listed = report_.findings[known->second];
  for (std::string& series : finding.series) {
    listed.series_count++;
    if (listed.series.size() < kScrubSeriesMax) listed.series.push_back(std::move(series));
  }
  if (!listed.range.has_value() || !finding.range.has_value()) return;
  listed.range->first = std::min(listed.range->first, finding.range->first);
  listed.range->last = std::max(listed.range->last, finding.range->last);
}

void ScrubPass::AddFile(std::string path, std::string what, std::string way_out) {
  ScrubFinding finding;
  finding.file = std::move(path);
  finding.what = std::move(what);
  finding.way_out = std::move(way_out);
  Add(std::move(finding));
}

void ScrubPass::Note(std::string note) {
  if (report_.notes.size() < kScrubFindingsMax) report_.notes.push_back(std::move(note));
}

ScrubReport ScrubPass::Take() {
  report_.seconds = static_cast<double>(environment_->MonotonicNanos() - started_ns_) * 1e-9;
  return std::move(report_);
}

Status ScrubPass::MayGoOn() const {
  if (options_.cancel != nullptr && options_.cancel->load(std::memory_order_relaxed)) {
    return Cancelled("the scrub was cancelled");
  }
  constexpr int64_t kNanosPerMilli = 1'000'000;
  const int64_t passed_ms = (environment_->MonotonicNanos() - started_ns_) / kNanosPerMilli;
  if (options_.deadline_ms > 0 && passed_ms >= options_.deadline_ms) {
    return DeadlineExceeded("the scrub took longer than its deadline of {} ms",
                            options_.deadline_ms);
  }
  return stop_();
}

io::Task<Status> ScrubPass::RunPieces(Piece piece, std::string activity, PieceProgress progress) {
  bool more = true;
  while (more) {
    NEXUS_CO_RETURN_IF_ERROR(MayGoOn());
    StatusOr<bool> went =
        co_await environment_->executor()->Run(io::Lane::kWorker, [&piece] { return piece(); });
    NEXUS_CO_RETURN_IF_ERROR(went.status());
    more = *went;
    const auto [done, total] = progress();
    if (options_.progress) options_.progress({activity, std::min(done, total), total});
  }
  co_return OkStatus();
}

// ---- Images

io::Task<StatusOr<std::optional<catalog::ImageContents>>> ScrubPass::CheckImage(
    Lsn lsn, std::optional<DatabaseId> database) {
  NEXUS_CO_RETURN_IF_ERROR(MayGoOn());
  ScrubFinding finding;
  finding.file = io::JoinPath(folder_.root, catalog::ImageFileName(lsn));
  finding.way_out =
      "nothing is lost: the next start sets it aside, and the next flush writes a new one";
  auto read = [disk = environment_->disk(),
               path = finding.file]() -> StatusOr<catalog::ImageContents> {
    NEXUS_ASSIGN_OR_RETURN(std::string bytes,
                           io::ReadWholeFileBlocking(disk, path, kImageBytesMax));
    return catalog::DecodeImage(bytes, path);
  };
  StatusOr<catalog::ImageContents> image =
      co_await environment_->executor()->Run(io::Lane::kWorker, read);
  report_.images++;
  std::optional<catalog::ImageContents> whole;
  if (!image.ok()) {
    finding.offset = OffsetOf(image.status());
    finding.what = Text(image.status());
    Add(std::move(finding));
  } else if (database.has_value() && image->database != *database) {
    finding.what = "the image belongs to another database";
    finding.way_out = "move it out of the folder";
    Add(std::move(finding));
  } else if (image->lsn != lsn) {
    finding.what =
        fmt::format("its name tells LSN {}, it holds LSN {}", lsn.value, image->lsn.value);
    Add(std::move(finding));
  } else {
    whole = *std::move(image);
  }
  co_return whole;
}

// ---- The catalog

StatusOr<std::optional<catalog::PageVerifierOptions>> ScrubPass::PageOptions() {
  std::string path = io::JoinPath(folder_.catalog, kCatalogFile);
  auto opened = io::OpenFileBlocking(environment_->disk(), path);
  if (absl::IsNotFound(opened.status())) return std::optional<catalog::PageVerifierOptions>();
  NEXUS_RETURN_IF_ERROR(opened.status());
  std::shared_ptr<io::File> file = *std::move(opened);
  catalog::PageVerifierOptions options;
  options.read = [file](uint64_t offset, MutableBytes into) {
    return io::ReadUpToBlocking(*file, offset, into);
  };
  options.damage = [this](catalog::CatalogDamage damage) { AddCatalogDamage(std::move(damage)); };
  return std::optional(std::move(options));
}

void ScrubPass::AddCatalogDamage(catalog::CatalogDamage damage) {
  ScrubFinding finding;
  finding.file = io::JoinPath(folder_.catalog, kCatalogFile);
  finding.offset = damage.offset;
  finding.what = std::move(damage.description);
  if (!damage.series.empty()) finding.series.push_back(std::move(damage.series));
  finding.way_out = RebuildCatalog();
  Add(std::move(finding));
}

io::Task<StatusOr<bool>> ScrubPass::CheckCatalogPages(catalog::PageVerifier* verifier) {
  auto progress = [verifier] { return std::pair(verifier->pages(), verifier->pages_total()); };
  NEXUS_CO_RETURN_IF_ERROR(co_await RunPieces([verifier] { return verifier->Step(); },
                                              "checking the catalog's pages", progress));
  report_.catalog_pages = verifier->pages();
  report_.catalog_values = verifier->values();
  if (!verifier->sound()) {
    Note("the catalog's pages are damaged: what its trees say was not compared");
  }
  co_return verifier->sound();
}

io::Task<Status> ScrubPass::CheckCatalogAgreement(const catalog::Catalog* catalog,
                                                  FindIdentity find) {
  catalog::AgreementVisitor visitor;
  visitor.report_values = report_.catalog_pages == 0;
  visitor.damage = [this](catalog::CatalogDamage damage) { AddCatalogDamage(std::move(damage)); };
  Status failed;
  visitor.series = [&](const catalog::SeriesIdentityRow& row, std::string_view labels) {
    report_.series++;
    StatusOr<SeriesId> found = find(row);
    failed.Update(found.status());
    if (!found.ok() || *found == row.id) return;
    StatusOr<Labels> text = Labels::FromCanonical(labels);
    catalog::CatalogDamage damage;
    damage.series = text.ok() ? text->ToString() : std::string();
    damage.description = found->value == 0
                             ? fmt::format("series id {} of tenant {} is not known in memory",
                                           row.id.value, row.tenant.value)
                             : fmt::format("series ids {} and {} of tenant {} have one identity",
                                           row.id.value, found->value, row.tenant.value);
    AddCatalogDamage(std::move(damage));
  };
  catalog::AgreementVerifier verifier(catalog, std::move(visitor));
  auto piece = [&]() -> StatusOr<bool> {
    NEXUS_ASSIGN_OR_RETURN(bool more, verifier.Step());
    NEXUS_RETURN_IF_ERROR(failed);
    return more;
  };
  auto progress = [&] { return std::pair(verifier.entries(), verifier.entries_total()); };
  Status status = co_await RunPieces(piece, "comparing the catalog's trees", progress);
  if (report_.catalog_pages == 0) report_.catalog_values = verifier.entries();
  co_return status;
}

// ---- The folder

io::Task<StatusOr<std::vector<io::DirectoryEntry>>> ScrubPass::ListFolder(std::string path) {
  auto listed = co_await io::List(environment_->disk(), path);
  if (absl::IsNotFound(listed.status())) co_return std::vector<io::DirectoryEntry>();
  NEXUS_CO_RETURN_IF_ERROR(listed.status());
  for (const io::DirectoryEntry& entry : *listed) report_.files += entry.is_directory ? 0 : 1;
  co_return listed;
}

io::Task<StatusOr<std::vector<Lsn>>> ScrubPass::CheckRoot() {
  constexpr char kUnknown[] = "no database has such a file: nothing refers to it";
  constexpr char kWayOut[] = "move it out of the folder";
  std::vector<Lsn> images;
  NEXUS_CO_ASSIGN_OR_RETURN(auto root, co_await ListFolder(folder_.root));
  for (const io::DirectoryEntry& entry : root) {
    const std::optional<Lsn> image = catalog::ParseImageFileName(entry.name);
    const bool unfinished = entry.name.ends_with(".tmp");
    const std::string path = io::JoinPath(folder_.root, entry.name);
    if (image.has_value()) {
      images.push_back(*image);
    } else if (path == folder_.catalog_building || path == folder_.catalog_rebuilt) {
      Note(fmt::format(
          "{}: left by a nexus catalog rebuild that was interrupted; the next start, or "
          "the next rebuild, ends it",
          path));
    } else if (!IsKnownName(entry.name) && !unfinished) {
      AddFile(path, kUnknown, kWayOut);
    }
  }
  NEXUS_CO_ASSIGN_OR_RETURN(auto catalog, co_await ListFolder(folder_.catalog));
  for (const io::DirectoryEntry& entry : catalog) {
    if (entry.name == kCatalogFile || entry.name == "lock.mdb") continue;
    AddFile(io::JoinPath(folder_.catalog, entry.name), kUnknown, kWayOut);
  }
  NEXUS_CO_ASSIGN_OR_RETURN(auto aside, co_await ListFolder(folder_.quarantine));
  if (!aside.empty()) {
    Note(fmt::format("{} holds {} files that were set aside; they were not checked",
                     folder_.quarantine, aside.size()));
  }
  std::sort(images.begin(), images.end());
  co_return images;
}

}  // namespace nexus::engine
