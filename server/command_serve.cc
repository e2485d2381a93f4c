// `nexus serve`: the engine behind a port.

#include <fmt/format.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "engine/core.h"
#include "io/address.h"
#include "io/file_util.h"
#include "io/real.h"
#include "server/backup_policy.h"
#include "server/command.h"
#include "server/host_metrics.h"
#include "server/logger.h"
#include "server/served_address.h"
#include "server/server.h"
#include "server/service.h"
#include "server/settings.h"
#include "server/signals.h"

namespace nexus::server {
namespace {

constexpr int64_t kMillisecondNs = 1'000'000;
// As long as the wait for the folder's lock: a predecessor that is going away frees both.
constexpr int64_t kPortWaitNs = 5'000'000'000;

struct ServeArguments {
  std::map<std::string, std::string> values;  // of settings
  std::string config;
  bool print_config = false;
};

StatusOr<std::optional<ConfigFile>> ReadConfig(const std::string& path) {
  if (path.empty()) return std::optional<ConfigFile>();
  NEXUS_ASSIGN_OR_RETURN(io::RealEnvironment * environment, GetEnvironment());
  StatusOr<std::string> text =
      environment->BlockOn(io::ReadWholeFile(environment->disk(), path, kConfigBytesMax));
  NEXUS_RETURN_IF_ERROR(Annotate(text.status(), "the file of --config"));
  return std::optional(ConfigFile{path, *std::move(text)});
}

StatusOr<LoadedSettings> Load(const ServeArguments& arguments) {
  NEXUS_ASSIGN_OR_RETURN(std::optional<ConfigFile> file, ReadConfig(arguments.config));
  return LoadSettings(arguments.values, LookUpEnvironment, file);
}

Options EngineOptions(const Settings& settings) {
  Options options;
  options.directory = settings.data;
  options.create = true;
  options.memtable_bytes = settings.memtable_bytes;
  options.flush_interval_ms = settings.flush_interval_ms;
  options.compaction = settings.compaction;
  options.compaction_windows = settings.compaction_windows;
  options.compaction_bytes_per_second = settings.compaction_bytes_per_second;
  options.compaction_cpu_percent = settings.compaction_cpu_percent;
  options.log_segment_bytes = settings.log_segment_bytes;
  options.page_cache_bytes = settings.page_cache_bytes;
  options.layer_files_open_max = settings.layer_files_open_max;
  options.layer_metadata_bytes = settings.layer_metadata_bytes;
  options.reserve_bytes = settings.reserve_bytes;
  options.catalog_bytes_max = settings.catalog_bytes_max;
  options.admission_timeout_ms = settings.admission_timeout_ms;
  options.workers = settings.workers;
  return options;
}

io::RealBackend BackendOf(const std::string& io) {
  if (io == "uring") return io::RealBackend::kUring;
  return io == "posix" ? io::RealBackend::kPosix : io::RealBackend::kAutomatic;
}

BackupPolicy BackupPolicyOf(const Settings& settings) {
  const auto address = io::ParseHostPort(settings.listen);
  return {settings.backup_directory, !address.ok() || !io::IsLoopback(address->host)};
}

// A server from start to stop. On the main thread; the loop has threads of its own.
class Serving {
 public:
  Serving(LoadedSettings loaded, Logger* logger, const ServeArguments* arguments)
      : loaded_(std::move(loaded)), logger_(logger), arguments_(arguments) {}

  Status Start();
  // Until a stop signal.
  void Run();
  // Graceful: what is under way is finished, the log is durable.
  Status Stop();
  const RecoveryReport& recovery() const { return core_->recovery(); }

 private:
  Status OpenDatabase();
  Status Listen();
  void TellAddress();
  void Reload();
  void RecordHost();

  LoadedSettings loaded_;
  Logger* const logger_;
  const ServeArguments* const arguments_;
  std::unique_ptr<io::RealEnvironment> environment_;
  std::unique_ptr<engine::DatabaseCore> core_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<HostMetrics> host_metrics_;
  bool host_failed_ = false;
};

Status Serving::Start() {
  const Settings& settings = loaded_.settings;
  io::RealOptions real;
  real.workers = settings.workers;
  real.backend = BackendOf(settings.io);
  NEXUS_ASSIGN_OR_RETURN(environment_, io::RealEnvironment::Start(real));
  NEXUS_RETURN_IF_ERROR(OpenDatabase());
  Status listening = Listen();
  if (!listening.ok()) {
    environment_->BlockOn(core_->Close()).IgnoreError();
    environment_->RunOnLoop([this] {
      server_.reset();
      service_.reset();
      core_.reset();
    });
    return listening;
  }
  if (settings.host_metrics)
    host_metrics_ = std::make_unique<HostMetrics>(environment_.get(), core_.get());
  return OkStatus();
}

Status Serving::OpenDatabase() {
  Options options = EngineOptions(loaded_.settings);
  ProgressBar progress("B", &io::RealMonotonicNanos);
  options.progress = [&progress](const Progress& at) { progress.Update(at); };
  auto opened = environment_->BlockOn(
      engine::DatabaseCore::Open(environment_.get(), std::move(options), engine::CatalogHooks{}));
  progress.Finish();
  NEXUS_RETURN_IF_ERROR(WithServedAddress(opened.status(), loaded_.settings.data));
  core_ = *std::move(opened);
  const RecoveryReport& report = core_->recovery();
  for (const std::string& damage : report.damage) logger_->Error(damage);
  for (const std::string& note : report.notes) logger_->Warning(note);
  logger_->Info(report.created ? "made a new database" : "opened the database",
                {{"data", loaded_.settings.data},
                 {"io", environment_->name()},
                 {"io_fallback", environment_->fallback_reason()},
                 {"replayed_samples", report.replayed_samples},
                 {"dropped_unacknowledged_bytes", report.torn_tail_bytes},
                 {"seconds", report.seconds}});
  return OkStatus();
}

Status Serving::Listen() {
  ServerOptions options;
  options.listen = loaded_.settings.listen;
  options.connections_max = loaded_.settings.connections_max;
  options.idle_timeout_ns = loaded_.settings.idle_timeout_ms * kMillisecondNs;
  auto log = [logger = logger_](LogLevel level, std::string_view message) {
    logger->Log(level, message);
  };
  Status status;
  environment_->RunOnLoop([&] {
    service_ = std::make_unique<Service>(core_.get(), environment_.get());
    service_->set_logger(logger_);
    service_->set_backup_policy(BackupPolicyOf(loaded_.settings));
    server_ = std::make_unique<Server>(service_.get(), options, log);
  });
  const int64_t deadline = io::RealMonotonicNanos() + kPortWaitNs;
  do {
    environment_->RunOnLoop([&] { status = server_->Listen(); });
    if (!absl::IsFailedPrecondition(status)) break;
  } while (io::RealMonotonicNanos() < deadline &&
           WaitForSignal(100 * kMillisecondNs) != Signal::kStop);
  NEXUS_RETURN_IF_ERROR(status);
  TellAddress();
  logger_->Info("listening", {{"address", server_->address()}});
  return OkStatus();
}

// A hint for people: a disk too full for it, or gone read-only, is no reason not to serve.
void Serving::TellAddress() {
  io::Disk* disk = environment_->disk();
  Status told =
      environment_->BlockOn(WriteServedAddress(disk, loaded_.settings.data, server_->address()));
  if (told.ok()) return;
  environment_->BlockOn(RemoveServedAddress(disk, loaded_.settings.data)).IgnoreError();
  logger_->Warning("commands with --data will not be told this server's address",
                   {{"reason", FromAbsl(told.message())}});
}

void Serving::Run() {
  int64_t next = io::RealMonotonicNanos();
  while (true) {
    const int64_t interval = loaded_.settings.host_metrics_interval_ms * kMillisecondNs;
    if (host_metrics_ != nullptr) RecordHost();
    // A machine that slept, or a slow disk: go on from now instead of catching up.
    next = std::max(next + interval, io::RealMonotonicNanos());
    while (io::RealMonotonicNanos() < next || host_metrics_ == nullptr) {
      const int64_t wait =
          host_metrics_ == nullptr ? INT64_MAX / 2 : next - io::RealMonotonicNanos();
      const Signal signal = WaitForSignal(wait);
      if (signal == Signal::kStop) return;
      if (signal == Signal::kReload) Reload();
    }
  }
}

void Serving::RecordHost() {
  StatusOr<size_t> recorded = host_metrics_->Record();
  // Said once, not every second.
  if (!recorded.ok() && !std::exchange(host_failed_, true)) {
    logger_->Warning("this machine's metrics are not stored",
                     {{"reason", FromAbsl(recorded.status().message())}});
  }
  if (recorded.ok() && std::exchange(host_failed_, false)) {
    logger_->Info("this machine's metrics are stored again");
  }
}

void Serving::Reload() {
  StatusOr<LoadedSettings> fresh = Load(*arguments_);
  if (!fresh.ok()) {
    logger_->Error("the settings were not reloaded",
                   {{"reason", FromAbsl(fresh.status().message())}});
    return;
  }
  ReloadedSettings reloaded = server::Reload(loaded_, *fresh);
  for (const SettingChange& change : reloaded.effective) {
    logger_->Info("setting changed",
                  {{"setting", change.name}, {"from", change.from}, {"to", change.to}});
  }
  for (const SettingChange& change : reloaded.needs_restart) {
    logger_->Warning("setting needs a restart to change",
                     {{"setting", change.name}, {"from", change.from}, {"to", change.to}});
  }
  loaded_ = std::move(reloaded.now);
  const Settings& now = loaded_.settings;
  if (StatusOr<LogLevel> level = ParseLogLevel(now.log_level); level.ok())
    logger_->SetLevel(*level);
  environment_->RunOnLoop([&] {
    server_->set_connections_max(now.connections_max);
    server_->set_idle_timeout_ns(now.idle_timeout_ms * kMillisecondNs);
  });
  logger_->Info("settings reloaded");
}

io::Task<Status> StopServer(Server* server, engine::DatabaseCore* core, int64_t patience_ns) {
  co_await server->Stop(patience_ns);
  co_return co_await core->Close();
}

Status Serving::Stop() {
  logger_->Info("stopping: a second signal ends the process at once");
  LetStopSignalsKill();
  host_metrics_.reset();
  Status status = environment_->BlockOn(
      StopServer(server_.get(), core_.get(), loaded_.settings.stop_patience_ms * kMillisecondNs));
  environment_->BlockOn(RemoveServedAddress(environment_->disk(), loaded_.settings.data))
      .IgnoreError();
  environment_->RunOnLoop([this] {
    server_.reset();
    service_.reset();
    core_.reset();
  });
  environment_->Stop();
  if (status.ok()) logger_->Info("stopped: everything acknowledged is durable");
  return status;
}

int RunServe(const ServeArguments& arguments) {
  BlockSignals(true);
  StatusOr<LoadedSettings> loaded = Load(arguments);
  if (!loaded.ok()) return Fail(loaded.status());
  if (arguments.print_config) {
    WriteOutput(PrintSettings(*loaded));
    return kExitDone;
  }
  Status status = CheckData(loaded->settings);
  // Wrong usage, whatever its code: the address was chosen by the caller.
  if (Status listen = CheckListen(loaded->settings); status.ok() && !listen.ok()) {
    Fail(listen);
    return kExitUsage;
  }
  if (status.ok()) status = CheckBackupDirectory(loaded->settings);
  if (!status.ok()) return Fail(status);
  Logger logger(*ParseLogFormat(loaded->settings.log_format),
                *ParseLogLevel(loaded->settings.log_level));
  Serving serving(*std::move(loaded), &logger, &arguments);
  if (Status started = serving.Start(); !started.ok()) {
    const int code = Fail(started);
    return IsPortInUse(started) ? kExitUsage : code;
  }
  const bool damaged = !serving.recovery().damage.empty();
  serving.Run();
  if (Status stopped = serving.Stop(); !stopped.ok()) return Fail(stopped);
  return damaged ? kExitDamaged : kExitDone;
}

}  // namespace

void AddServeCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand(
      "serve", "Serve a database on one port: binary protocol, line protocol, HTTP");
  auto arguments = std::make_shared<ServeArguments>();
  command->add_option("--config", arguments->config, "YAML file of settings")->type_name("FILE");
  command->add_flag("--print-config", arguments->print_config,
                    "print every setting and where it came from, then end");
  AddSettingsOptions(command, &arguments->values);
  command->callback(
      [invocation, arguments] { invocation->run = [arguments] { return RunServe(*arguments); }; });
}

}  // namespace nexus::server
