// Making, restoring and writing over. See backups.h.

#include "tests/sim/backups.h"

#include <fmt/format.h>

#include <bit>
#include <filesystem>
#include <utility>
#include <vector>

#include "base/check.h"
#include "engine/backup.h"
#include "engine/batch.h"
#include "engine/cursors.h"
#include "engine/restore.h"
#include "engine/scrub.h"
#include "tests/engine/batch_request.h"
#include "tests/sim/workload.h"

namespace nexus::sim_test {
namespace {

constexpr char kBackup[] = "/backup";
// Of each series, so many of its timestamps are written over.
constexpr int64_t kWrittenOver = 40;

std::string Text(const Status& status) { return std::string(FromAbsl(status.message())); }

}  // namespace

Status Backups::Make(engine::DatabaseCore* core, const Oracle& main) {
  // Its values are its own from here on; made_ alone would give two backups the same.
  auto oracle = std::make_unique<Oracle>(main.Fork(sim::MixBits(made_ ^ 0x6261636b7570)));
  const BackupOptions options;
  auto made = world_->TryRunTask(engine::Backup(core, kBackup, options));
  NEXUS_CHECK(made.has_value());
  NEXUS_RETURN_IF_ERROR(made->status());
  oracle->LearnRefusals(main);
  oracle_ = std::move(oracle);
  made_++;
  return OkStatus();
}

Status Backups::Restore(const std::string& source, const std::string& directory,
                        const Options& tuned) {
  const std::string catalog = world_->ScratchDirectory() + directory;
  std::filesystem::create_directories(catalog);
  RestoreOptions restore;
  restore.source = source;
  restore.directory = directory;
  engine::CatalogRebuildHooks hooks;
  hooks.directory = catalog;
  hooks.adopt = [] {};
  auto restored =
      world_->RunTask(engine::RestoreBackup(world_->environment(), restore, std::move(hooks)));
  NEXUS_RETURN_IF_ERROR(restored.status());
  restored_++;
  NEXUS_RETURN_IF_ERROR(Open(directory, tuned));
  return KeepEverything();
}

// Before any compaction.
Status Backups::KeepEverything() {
  NEXUS_ASSIGN_OR_RETURN(const RetentionInfo info, core_->Retention("default"));
  if (info.rules.empty()) return OkStatus();
  return world_->RunTask(core_->SetRetention({}, "default"));
}

Status Backups::Open(const std::string& directory, const Options& tuned) {
  Options options = tuned;
  options.directory = directory;
  options.compaction = false;
  engine::CatalogHooks hooks;
  hooks.directory = world_->ScratchDirectory() + directory;
  auto opened =
      world_->RunTask(engine::DatabaseCore::Open(world_->environment(), options, std::move(hooks)));
  NEXUS_RETURN_IF_ERROR(opened.status());
  core_ = *std::move(opened);
  oracle_->EndLife();
  return OkStatus();
}

Status Backups::Close() {
  const Status closed = world_->RunTask(core_->Close());
  world_->RunOnLoop([this] { core_.reset(); });
  return closed;
}

std::optional<std::string> Backups::CheckAll() {
  for (const auto& [first, last] : {std::pair(int64_t{0}, kSeries - 1),
                                    std::pair(kFirstFresh, kFirstFresh + kFreshSeries - 1)}) {
    auto view = core_->View("default", "main");
    if (!view.ok()) return Text(view.status());
    SelectQuery select;
    select.selector = first == 0 ? "metric{series=~\"00..\"}" : "metric{series=~\"01..\"}";
    select.limits.deadline_ms = 0;
    auto cursor = engine::MakeSelectCursor(*std::move(view), select);
    if (!cursor.ok()) return Text(cursor.status());
    std::vector<Observed> observed;
    SeriesChunk chunk;
    while (true) {
      StatusOr<bool> more = (*cursor)->Next(&chunk);
      if (!more.ok()) return Text(more.status());
      if (!*more) break;
      const auto series = static_cast<uint32_t>(std::stoul(chunk.labels->front().value));
      for (size_t i = 0; i < chunk.timestamps.size(); i++) {
        observed.push_back(
            {{series, chunk.timestamps[i]}, std::bit_cast<uint64_t>(chunk.values[i])});
      }
    }
    Oracle::Query query;
    query.series_first = static_cast<uint32_t>(first);
    query.series_last = static_cast<uint32_t>(last);
    query.first = INT64_MIN;
    query.last = INT64_MAX;
    query.acknowledged_at_start = oracle_->acknowledgements();
    if (auto wrong = oracle_->Check(query, observed)) return wrong;
  }
  return std::nullopt;
}

Status Backups::WriteOver() {
  std::vector<std::string> labels;
  for (uint32_t series = 0; series < kSeries; series++) labels.push_back(CanonicalOf(series));
  auto ids = world_->RunTask(core_->interner()->Intern(TenantId{}, std::move(labels)));
  NEXUS_RETURN_IF_ERROR(ids.status());
  std::vector<Place> places;
  for (uint32_t series = 0; series < kSeries; series++) {
    for (int64_t i = 0; i < kWrittenOver; i++) {
      places.push_back({series, (i * kTimestamps / kWrittenOver + series % 10) * kSecondNs});
    }
  }
  const uint64_t number = oracle_->Submit(places);
  engine::BatchRequest batch;
  std::vector<engine::SeriesSample> samples;
  for (size_t i = 0; i < places.size(); i++) {
    samples.push_back({(*ids)[places[i].series], places[i].timestamp,
                       std::bit_cast<double>(oracle_->ValueOf(number, i))});
  }
  batch.encoder.Add(samples);
  batch.Finish();
  world_->RunOnLoop([&] { core_->committer()->Submit(&batch); });
  world_->RunUntil([&] { return batch.released(); });
  NEXUS_RETURN_IF_ERROR(batch.status());
  oracle_->Acknowledged(number);
  return OkStatus();
}

// Reads, writes over, flushes and merges what is open.
std::optional<std::string> Backups::JudgeLife(const std::string& what) {
  auto told = [&what](std::string_view when, const std::string& wrong) {
    return fmt::format("{}, {}: {}", what, when, wrong);
  };
  if (auto wrong = CheckAll()) return told("opened", *wrong);
  const auto report = world_->RunTask(engine::Scrub(core_.get(), {}));
  if (!report.ok()) return told("scrubbed", Text(report.status()));
  if (!report->clean()) {
    return told("scrubbed", report->findings.front().file + ": " + report->findings.front().what);
  }
  const Status written = WriteOver();
  if (!written.ok()) return told("written to", Text(written));
  if (auto wrong = CheckAll()) return told("written to", *wrong);
  const Status flushed = world_->RunTask(core_->Flush());
  if (!flushed.ok()) return told("flushed", Text(flushed));
  if (auto wrong = CheckAll()) return told("flushed", *wrong);
  const Status compacted = world_->RunTask(core_->Compact(nullptr));
  if (!compacted.ok()) return told("compacted", Text(compacted));
  if (auto wrong = CheckAll()) return told("compacted", *wrong);
  return std::nullopt;
}

std::optional<std::string> Backups::Judge(const Options& tuned) {
  if (oracle_ == nullptr) return std::nullopt;
  std::string source = kBackup;
  for (int round = 1; round <= 2; round++) {
    const std::string directory = fmt::format("/restored-{}", round);
    const std::string what = fmt::format("the database restored {} times", round);
    const Status restored = Restore(source, directory, tuned);
    if (!restored.ok()) return fmt::format("{}: {}", what, Text(restored));
    if (auto wrong = JudgeLife(what)) return wrong;
    source = fmt::format("/backup-of-restored-{}", round);
    const BackupOptions options;
    const auto made = world_->RunTask(engine::Backup(core_.get(), source, options));
    if (!made.ok()) return fmt::format("{}: backup: {}", what, Text(made.status()));
    const Status closed = Close();
    if (!closed.ok()) return fmt::format("{}: close: {}", what, Text(closed));
  }
  return std::nullopt;
}

}  // namespace nexus::sim_test
