// `nexus wal verify|dump|replay`: the log by itself.

#include <fmt/format.h>

#include <memory>
#include <optional>

#include "base/time_text.h"
#include "engine/batch.h"
#include "engine/carry_record.h"
#include "engine/folder.h"
#include "engine/log_replay.h"
#include "engine/record.h"
#include "server/command.h"
#include "wal/folder_lock.h"
#include "wal/scan.h"
#include "wal/tool.h"

namespace nexus::server {
namespace {

struct WalArguments {
  std::string directory;
  std::string to;
  bool skip_damaged = false;
  bool dry_run = false;
};

StatusOr<wal::LogScan> Scan(io::RealEnvironment* environment, const std::string& directory,
                            ProgressBar* bar) {
  auto progress = [bar](const wal::ScanProgress& at) {
    bar->Update({"reading the log", at.bytes_done, at.bytes_total});
  };
  std::string wal = engine::Folder(directory).wal;
  return environment->BlockOn(wal::ScanLog(environment, wal, wal::Witness{}, progress));
}

// The folder's lock for the time of a command that reads the log: nobody may write it meanwhile.
class LockedFolder {
 public:
  static StatusOr<std::unique_ptr<LockedFolder>> Take(io::RealEnvironment* environment,
                                                      const std::string& directory) {
    NEXUS_ASSIGN_OR_RETURN(std::unique_ptr<io::FileLock> lock,
                           environment->BlockOn(wal::AcquireFolderLock(environment, directory,
                                                                       wal::kLockWaitDefaultNs)));
    return std::unique_ptr<LockedFolder>(new LockedFolder(environment, std::move(lock)));
  }
  // The lock stands in the ring's file table, which is the loop's.
  ~LockedFolder() {
    environment_->RunOnLoop([this] { lock_.reset(); });
  }

 private:
  LockedFolder(io::RealEnvironment* environment, std::unique_ptr<io::FileLock> lock)
      : environment_(environment), lock_(std::move(lock)) {}
  io::RealEnvironment* const environment_;
  std::unique_ptr<io::FileLock> lock_;
};

int RunVerify(const WalArguments& arguments) {
  StatusOr<io::RealEnvironment*> environment = GetEnvironment();
  if (!environment.ok()) return Fail(environment.status());
  auto lock = LockedFolder::Take(*environment, arguments.directory);
  if (!lock.ok()) return Fail(lock.status());
  ProgressBar progress("B", &io::RealMonotonicNanos);
  StatusOr<wal::LogScan> scan = Scan(*environment, arguments.directory, &progress);
  progress.Finish();
  if (!scan.ok()) return Fail(scan.status());
  for (const std::string& line : wal::VerifyReport(*scan)) WriteOutput(line + "\n");
  return scan->status().ok() ? kExitDone : Fail(scan->status());
}

std::string DescribeSamples(engine::RecordKind kind, const engine::BatchView& batch, Bytes body) {
  engine::RecordTotals totals;
  Status counted = engine::CountRecord(kind, body, &totals);
  if (!counted.ok()) return std::string(FromAbsl(counted.message()));
  std::string range = totals.range.empty()
                          ? ""
                          : fmt::format(", {} to {}", FormatTime(totals.range.first),
                                        FormatTime(totals.range.last));
  return fmt::format("tenant {} branch {}, {} samples of {} series{}", batch.tenant().value,
                     batch.branch().value, totals.samples + totals.carried_samples,
                     totals.series.size(), range);
}

std::string DescribeBatch(Bytes body) {
  StatusOr<engine::BatchView> batch = engine::BatchView::Parse(body);
  if (!batch.ok()) return std::string(FromAbsl(batch.status().message()));
  return "batch: " + DescribeSamples(engine::RecordKind::kBatch, *batch, body);
}

std::string DescribeCarry(Bytes body) {
  StatusOr<engine::CarryView> carry = engine::CarryView::Parse(body);
  if (!carry.ok()) return std::string(FromAbsl(carry.status().message()));
  return fmt::format("carry of LSN {} to {}: {}", carry->since.value, carry->until.value,
                     DescribeSamples(engine::RecordKind::kCarry, carry->batch, body));
}

std::string Describe(const wal::RecordView& record) {
  auto kind = static_cast<engine::RecordKind>(record.kind);
  if (kind == engine::RecordKind::kBatch) return DescribeBatch(record.body);
  if (kind == engine::RecordKind::kCarry) return DescribeCarry(record.body);
  if (kind == engine::RecordKind::kDefinitions) {
    auto definitions = engine::DecodeDefinitions(record.body);
    if (!definitions.ok()) return std::string(FromAbsl(definitions.status().message()));
    std::string out = fmt::format("definitions of {} series", definitions->size());
    for (const catalog::SeriesDefinition& definition : *definitions) {
      StatusOr<Labels> labels = Labels::FromCanonical(definition.canonical);
      out += fmt::format("\n    {} = {}", definition.id.value,
                         labels.ok() ? labels->ToString() : "damaged labels");
    }
    return out;
  }
  engine::RecordTotals totals;
  Status counted = engine::CountRecord(kind, record.body, &totals);
  if (!counted.ok()) return std::string(FromAbsl(counted.message()));
  std::string out = "edits:";
  for (const auto& [name, count] : totals.edits) out += fmt::format(" {} {}", count, name);
  return out;
}

int RunDump(const WalArguments& arguments) {
  StatusOr<io::RealEnvironment*> environment = GetEnvironment();
  if (!environment.ok()) return Fail(environment.status());
  auto lock = LockedFolder::Take(*environment, arguments.directory);
  if (!lock.ok()) return Fail(lock.status());
  ProgressBar progress("B", &io::RealMonotonicNanos);
  StatusOr<wal::LogScan> scan = Scan(*environment, arguments.directory, &progress);
  progress.Finish();
  if (!scan.ok()) return Fail(scan.status());
  wal::CursorOptions options;
  options.skip_damaged = true;
  auto visit = [](const wal::RecordView& record) {
    return WriteOutput(fmt::format("{:>12} {} {}\n", record.begin.value, FormatTime(record.wall_ns),
                                   Describe(record)));
  };
  Status status = scan->status();
  Status dumped =
      (*environment)->BlockOn(wal::VisitRecords(*environment, *std::move(scan), options, visit));
  if (!dumped.ok()) return Fail(dumped);
  return status.ok() ? kExitDone : Fail(status);
}

std::string Totals(std::string_view what, const engine::RecordTotals& totals) {
  std::string out = fmt::format("{}: {} batches, {} samples of {} series", what, totals.batches,
                                totals.samples, totals.series.size());
  if (!totals.range.empty()) {
    out += fmt::format(", {} to {}", FormatTime(totals.range.first), FormatTime(totals.range.last));
  }
  if (totals.carries > 0) {
    out += fmt::format("; {} carries of {} samples", totals.carries, totals.carried_samples);
  }
  for (const auto& [name, count] : totals.edits) out += fmt::format("; {} {}", count, name);
  return out + "\n";
}

int RunReplay(const WalArguments& arguments) {
  StatusOr<io::RealEnvironment*> environment = GetEnvironment();
  if (!environment.ok()) return Fail(environment.status());
  engine::LogReplayOptions replay;
  replay.skip_damaged = arguments.skip_damaged;
  replay.dry_run = arguments.dry_run;
  if (!arguments.to.empty()) {
    char* end = nullptr;
    replay.to = Lsn{std::strtoull(arguments.to.c_str(), &end, 10)};
    if (*end != '\0')
      return Fail(
          InvalidArgument("--to {}: an LSN is a number (see `nexus wal dump`)", arguments.to));
  }
  ProgressBar progress("B", &io::RealMonotonicNanos);
  Options options;
  options.directory = arguments.directory;
  options.progress = [&](const Progress& at) { progress.Update(at); };
  auto report =
      (*environment)
          ->BlockOn(engine::ReplayLog(*environment, options, replay, engine::CatalogHooks{}));
  progress.Finish();
  if (!report.ok()) return Fail(report.status());
  WriteOutput(Totals(arguments.dry_run ? "would keep" : "kept", report->kept));
  if (report->lost.batches > 0 || report->lost.carries > 0 || !report->lost.edits.empty())
    WriteOutput(Totals("lost behind --to", report->lost));
  for (const auto& damage : report->damage) {
    WriteOutput(fmt::format("lost: {} from offset {}, LSN {} to {}: {}\n", damage.segment,
                            damage.offset, damage.from.value, damage.until.value, damage.why));
  }
  if (report->undefined_series > 0) {
    WriteOutput(fmt::format("lost: samples of {} series whose labels were in the damage\n",
                            report->undefined_series));
  }
  if (report->unusable_records > 0) {
    WriteOutput(fmt::format("lost: {} records of tenants whose creation was in the damage\n",
                            report->unusable_records));
  }
  if (report->torn_tail_bytes > 0) {
    WriteOutput(fmt::format("dropped: {} that were never acknowledged, at the end\n",
                            FormatBytes(report->torn_tail_bytes)));
  }
  for (const std::string& moved : report->moved)
    WriteOutput(fmt::format("moved to quarantine: {}\n", moved));
  return kExitDone;
}

}  // namespace

void AddWalCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand("wal", "Verify, dump or replay the log");
  command->require_subcommand(1);
  auto arguments = std::make_shared<WalArguments>();
  auto add = [&](const char* name, const char* help, int (*run)(const WalArguments&)) {
    CLI::App* sub = command->add_subcommand(name, help);
    sub->add_option("DIR", arguments->directory, "the database's folder")->required();
    sub->callback([invocation, arguments, run] {
      invocation->run = [arguments, run] { return run(*arguments); };
    });
    return sub;
  };
  add("verify", "Check every frame; exit 3 on damage to acknowledged data", &RunVerify);
  add("dump", "Print every record", &RunDump);
  CLI::App* replay =
      add("replay", "Rescue what is good of a damaged log; nothing is deleted", &RunReplay);
  replay->add_option("--to", arguments->to, "lose what lies behind this LSN")->type_name("LSN");
  replay->add_flag("--skip-damaged", arguments->skip_damaged, "go on behind damage");
  replay->add_flag("--dry-run", arguments->dry_run, "only say what would be kept and lost");
}

}  // namespace nexus::server
