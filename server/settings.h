// Settings of `nexus serve`: what there is to set, where a value comes from, what may change.
//
// A setting has one name: `flush_interval` in the YAML file, --flush-interval on the command line,
// NEXUS_FLUSH_INTERVAL in the environment. The command line wins over the environment, that over
// the file, that over the default; an empty variable counts as not set. A wrong value is an error
// wherever it stands, even where another one wins: nothing is passed over in silence.
// Sizes are written 64KiB, 256MiB, 1GiB, 1TiB or in bytes; durations 250ms, 10s, 5m, 1h, 1d.
// The file is one YAML mapping of names to values, of at most kConfigBytesMax.
// Failure: InvalidArgument with the place (FILE:LINE, the variable or the option), the value and
// what is allowed. yaml-cpp's exceptions do not leave settings.cc. Threading: values and pure
// functions. The table for people: docs/operations.md, section "Settings".

#ifndef NEXUS_SERVER_SETTINGS_H_
#define NEXUS_SERVER_SETTINGS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "engine/options.h"

namespace CLI {  // NOLINT(readability-identifier-naming): not ours
class App;
}

namespace nexus::server {

// A file of settings has less than a hundred lines; what is larger is another file.
inline constexpr size_t kConfigBytesMax = 64 << 10;

// Ranges, and what each one does, are in the table of settings.cc; those that are the engine's own
// are explained in engine/options.h.
struct Settings {
  std::string data;  // the database's folder
  std::string listen = "127.0.0.1:8080";
  bool insecure = false;         // listen beyond loopback without authentication
  std::string backup_directory;  // see backup_policy.h
  bool host_metrics = false;
  int64_t host_metrics_interval_ms = 1'000;
  uint64_t memtable_bytes = Options().memtable_bytes;
  int64_t flush_interval_ms = Options().flush_interval_ms;
  uint64_t log_segment_bytes = Options().log_segment_bytes;
  uint64_t page_cache_bytes = Options().page_cache_bytes;
  uint32_t layer_files_open_max = Options().layer_files_open_max;
  uint64_t layer_metadata_bytes = Options().layer_metadata_bytes;
  uint64_t reserve_bytes = Options().reserve_bytes;
  uint64_t catalog_bytes_max = Options().catalog_bytes_max;
  int64_t admission_timeout_ms = Options().admission_timeout_ms;
  int workers = Options().workers;
  bool compaction = Options().compaction;
  std::string compaction_windows = Options().compaction_windows;
  uint64_t compaction_bytes_per_second = Options().compaction_bytes_per_second;
  int compaction_cpu_percent = Options().compaction_cpu_percent;
  uint32_t connections_max = 10'000;
  int64_t idle_timeout_ms = 3'600'000;  // a connection that sends nothing is closed after it
  int64_t stop_patience_ms = 10'000;    // a graceful stop waits this long for requests under way
  std::string log_format = "human";     // or "json"
  std::string log_level = "info";       // "debug", "info", "warning", "error"
  std::string io = "auto";              // or "uring", "posix"
};

struct LoadedSettings {
  Settings settings;
  // Of each setting by name: "command line", "environment NEXUS_X", "FILE:LINE" or "default".
  std::map<std::string, std::string, std::less<>> origins;
};

// What --config named, read by the caller.
struct ConfigFile {
  std::string name;  // for messages
  std::string text;
};
// The value of a variable of the environment, if it is set.
using EnvironmentLookup = std::function<std::optional<std::string>(const std::string& variable)>;
// The process's own.
std::optional<std::string> LookUpEnvironment(const std::string& variable);

// Settings from the command line's values by setting name (see AddSettingsOptions), the environment
// and the file. An unknown name in the file is an error that names the nearest known one. `data`
// may be missing still: CheckData.
StatusOr<LoadedSettings> LoadSettings(const std::map<std::string, std::string>& command_line,
                                      const EnvironmentLookup& environment,
                                      const std::optional<ConfigFile>& file);

// Registers an option for each setting; what the command line gives goes into `values` by setting
// name. `values` must live until the command line is parsed.
void AddSettingsOptions(CLI::App* app, std::map<std::string, std::string>* values);

// InvalidArgument if there is no data folder, with the three ways to name one.
Status CheckData(const Settings& settings);
// FailedPrecondition if `listen` is beyond loopback and `insecure` is off: there is no
// authentication yet, so that whoever reaches the port can read, write and delete.
Status CheckListen(const Settings& settings);

// InvalidArgument if backup_directory is no absolute path.
Status CheckBackupDirectory(const Settings& settings);

// All settings as a YAML file that LoadSettings takes, each with its origin as a comment.
std::string PrintSettings(const LoadedSettings& loaded);

struct SettingChange {
  std::string name;
  std::string from;  // as in the YAML file
  std::string to;
};
struct ReloadedSettings {
  // The old ones with what takes effect at once: those that hold from now on.
  LoadedSettings now;
  std::vector<SettingChange> effective;
  std::vector<SettingChange> needs_restart;
};
// What a reload changes (SIGHUP).
ReloadedSettings Reload(const LoadedSettings& old, const LoadedSettings& fresh);

// A row of the table, for documentation and its test.
struct SettingInfo {
  std::string name;
  std::string help;
  std::string range;          // "from 10ms to 1d"
  std::string default_value;  // as in the YAML file
  bool reloads = false;       // takes effect on SIGHUP
};
std::vector<SettingInfo> DescribeSettings();

}  // namespace nexus::server

#endif  // NEXUS_SERVER_SETTINGS_H_
