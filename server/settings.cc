// One table of settings; everything else walks it. See settings.h.

#include "server/settings.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <span>
#include <sstream>
#include <utility>
#include <variant>

#include "base/time_text.h"
#include "compaction/windows.h"
#include "io/address.h"
#include "io/file_util.h"

namespace nexus::server {
namespace {

constexpr uint64_t kKiB = 1 << 10;
constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kGiB = 1 << 30;
constexpr uint64_t kTiB = kGiB << 10;
constexpr int64_t kSecond = 1'000;  // milliseconds, as all durations here
constexpr int64_t kMinute = 60 * kSecond;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kDay = 24 * kHour;
constexpr int64_t kMillisecondNs = 1'000'000;

// A setting's type: where its value lies, and what values it takes.
struct Text {
  std::string Settings::*field;
  std::span<const std::string_view> choices;  // empty: any text but the empty one
};
struct Address {
  std::string Settings::*field;
};
struct Windows {
  std::string Settings::*field;
};
struct Switch {
  bool Settings::*field;
};
struct Size {
  uint64_t Settings::*field;
  uint64_t min;
  uint64_t max;
  uint64_t multiple = 1;
};
struct Duration {
  int64_t Settings::*field;
  int64_t min;  // milliseconds
  int64_t max;
  bool zero_is_off = false;  // 0 is allowed below `min`
};
template <typename Integer>
struct Count {
  Integer Settings::*field;
  Integer min;
  Integer max;
};
using Type =
    std::variant<Text, Address, Windows, Switch, Size, Duration, Count<int>, Count<uint32_t>>;

struct Row {
  std::string_view name;
  std::string_view help;
  Type type;
  bool reloads = false;
};

constexpr std::array<std::string_view, 2> kLogFormats = {"human", "json"};
constexpr std::array<std::string_view, 4> kLogLevels = {"debug", "info", "warning", "error"};
constexpr std::array<std::string_view, 3> kBackends = {"auto", "uring", "posix"};

constexpr bool kReloads = true;

// The engine's ranges are those that it checks itself when it opens (engine/core.cc); where it sets
// no upper bound there is one here, so that a slip of units is caught: 1 TiB of memory, 16 TiB of
// the 128 TiB of addresses that a process has, a year between flushes.
constexpr auto kRows = std::to_array<Row>({
    {"data", "the database's folder; made if missing", Text{&Settings::data, {}}},
    {"listen", "where to listen", Address{&Settings::listen}},
    {"insecure", "allow to listen beyond loopback, without authentication",
     Switch{&Settings::insecure}},
    {"backup_directory",
     "where clients may have backups written, below it; if not set: anywhere for a server on "
     "loopback, else nowhere",
     Text{&Settings::backup_directory, {}}},
    {"host_metrics", "record this machine's telemetry too", Switch{&Settings::host_metrics}},
    {"host_metrics_interval", "time between two readings of this machine's telemetry",
     Duration{&Settings::host_metrics_interval_ms, 10, kDay}, kReloads},
    {"memtable_bytes", "memory for samples not yet in layers",
     Size{&Settings::memtable_bytes, 256 * kKiB, kTiB}},
    {"flush_interval", "samples are flushed into a layer after this time; 0 switches it off",
     Duration{&Settings::flush_interval_ms, 100, 365 * kDay, true}},
    {"log_segment_bytes", "size of a segment of the log",
     Size{&Settings::log_segment_bytes, 64 * kKiB, kGiB, 64 * kKiB}},
    {"page_cache_bytes", "memory for verified pages of layers",
     Size{&Settings::page_cache_bytes, 0, kTiB}},
    {"layer_files_open_max",
     "files of layers that are open at once; 0: a quarter of what the process may open",
     Count<uint32_t>{&Settings::layer_files_open_max, 0, 1'000'000}},
    {"layer_metadata_bytes", "memory for page lists of layers",
     Size{&Settings::layer_metadata_bytes, 0, kTiB}},
    {"reserve_bytes", "disk space set aside, given up for flushes when the disk is full",
     Size{&Settings::reserve_bytes, 0, kTiB}},
    {"catalog_bytes_max", "upper bound of the catalog's file",
     Size{&Settings::catalog_bytes_max, kMiB, 16 * kTiB}},
    {"admission_timeout", "how long a write waits for memory or log room before it is refused",
     Duration{&Settings::admission_timeout_ms, 0, kDay}},
    {"compaction", "merge layers into time windows in the background",
     Switch{&Settings::compaction}},
    {"compaction_windows", "widths of the time windows of levels 1, 2, ... of layers",
     Windows{&Settings::compaction_windows}},
    {"compaction_bytes_per_second", "pace of the compactor, bytes it writes a second; 0: no bound",
     Size{&Settings::compaction_bytes_per_second, 0, kTiB}},
    {"compaction_cpu_percent", "pace of the compactor, share of a worker's time",
     Count<int>{&Settings::compaction_cpu_percent, 1, 100}},
    {"workers", "threads for encoding, decoding and queries",
     Count<int>{&Settings::workers, 1, 64}},
    {"connections_max", "connections at once; more are refused",
     Count<uint32_t>{&Settings::connections_max, 1, 1'000'000}, kReloads},
    {"idle_timeout", "a connection that sends nothing for this time is closed",
     Duration{&Settings::idle_timeout_ms, 10, 365 * kDay}, kReloads},
    {"stop_patience", "how long a graceful stop waits for requests under way",
     Duration{&Settings::stop_patience_ms, 0, kHour}, kReloads},
    {"log_format", "lines for people, or one JSON object a line",
     Text{&Settings::log_format, kLogFormats}},
    {"log_level", "the least level that is logged", Text{&Settings::log_level, kLogLevels},
     kReloads},
    {"io", "how files and sockets are driven; auto takes io_uring where it is allowed",
     Text{&Settings::io, kBackends}},
});

const Row* FindRow(std::string_view name) {
  auto row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& r) { return r.name == name; });
  return row == kRows.end() ? nullptr : &*row;
}

std::string FlagOf(const Row& row) {
  std::string flag = fmt::format("--{}", row.name);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string VariableOf(const Row& row) {
  std::string variable = fmt::format("NEXUS_{}", row.name);
  for (char& c : variable) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return variable;
}

// ---- Values as text.

struct Unit {
  std::string_view name;
  uint64_t size;
};
// Largest first. Powers of 1024 only: KB means one thing here and another there.
constexpr auto kSizeUnits = std::to_array<Unit>(
    {{"TiB", kTiB}, {"GiB", kGiB}, {"MiB", kMiB}, {"KiB", kKiB}, {"B", 1}, {"", 1}});
constexpr auto kDurationUnits =
    std::to_array<Unit>({{"d", kDay}, {"h", kHour}, {"m", kMinute}, {"s", kSecond}, {"ms", 1}});

// In the largest unit that divides it. Zero has none.
std::string Format(uint64_t value, std::span<const Unit> units) {
  if (value == 0) return "0";
  for (const Unit& unit : units) {
    if (value % unit.size == 0) return fmt::format("{}{}", value / unit.size, unit.name);
  }
  return fmt::format("{}", value);
}
std::string FormatSize(uint64_t bytes) { return Format(bytes, kSizeUnits); }
std::string FormatMilliseconds(int64_t ms) {
  return Format(static_cast<uint64_t>(ms), kDurationUnits);
}

template <typename Integer>
bool ParseInteger(std::string_view text, Integer* value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size();
}

bool ParseSize(std::string_view text, uint64_t* bytes) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  uint64_t count = 0;
  if (!ParseInteger(text.substr(0, digits), &count)) return false;
  for (const Unit& unit : kSizeUnits) {
    if (text.substr(digits) != unit.name) continue;
    *bytes = count * unit.size;
    return count <= std::numeric_limits<uint64_t>::max() / unit.size;
  }
  return false;
}

// 0 needs no unit; anything else has one, and no part finer than a millisecond.
bool ParseMilliseconds(std::string_view text, int64_t* ms) {
  if (text == "0") {
    *ms = 0;
    return true;
  }
  StatusOr<int64_t> nanos = ParseDuration(text);
  if (!nanos.ok() || *nanos % kMillisecondNs != 0) return false;
  *ms = *nanos / kMillisecondNs;
  return true;
}

// Part of YAML's words for a boolean, and the numbers that shells like.
bool ParseSwitch(std::string_view text, bool* on) {
  *on = text == "true" || text == "yes" || text == "on" || text == "1";
  return *on || text == "false" || text == "no" || text == "off" || text == "0";
}

// ---- One setting: Parse gives false for a value that is not allowed, Range says what is, Show
// gives a text that Parse takes.

bool Parse(const Text& type, std::string_view text, Settings* settings) {
  settings->*type.field = text;
  // A zero byte would silently cut a path at the system's calls.
  if (type.choices.empty()) return !text.empty() && text.find('\0') == std::string_view::npos;
  return std::find(type.choices.begin(), type.choices.end(), text) != type.choices.end();
}
bool Parse(const Address& type, std::string_view text, Settings* settings) {
  settings->*type.field = text;
  return io::ParseHostPort(text).ok();
}
bool Parse(const Windows& type, std::string_view text, Settings* settings) {
  settings->*type.field = text;
  return compaction::WindowSettings::Parse(text).ok();
}
bool Parse(const Switch& type, std::string_view text, Settings* settings) {
  return ParseSwitch(text, &(settings->*type.field));
}
bool Parse(const Size& type, std::string_view text, Settings* settings) {
  uint64_t& bytes = settings->*type.field;
  return ParseSize(text, &bytes) && bytes >= type.min && bytes <= type.max &&
         bytes % type.multiple == 0;
}
bool Parse(const Duration& type, std::string_view text, Settings* settings) {
  int64_t& ms = settings->*type.field;
  if (!ParseMilliseconds(text, &ms)) return false;
  return (ms == 0 && type.zero_is_off) || (ms >= type.min && ms <= type.max);
}
template <typename Integer>
bool Parse(const Count<Integer>& type, std::string_view text, Settings* settings) {
  Integer& count = settings->*type.field;
  return ParseInteger(text, &count) && count >= type.min && count <= type.max;
}

std::string Range(const Text& type) {
  if (type.choices.empty()) return "a path";
  std::string range = "one of";
  // Not fmt::join: GCC 12 warns of its formatter in a release build.
  for (const auto& choice : type.choices) {
    range.append(range == "one of" ? " " : ", ").append(choice);
  }
  return range;
}
std::string Range(const Address&) { return "HOST:PORT, as 127.0.0.1:8080 or [::1]:8080"; }
std::string Range(const Windows&) {
  return "1 to 6 durations from 1s up with commas between them, each a multiple of the one before";
}
std::string Range(const Switch&) { return "true or false"; }
std::string Range(const Size& type) {
  std::string range =
      fmt::format("a size from {} to {}", FormatSize(type.min), FormatSize(type.max));
  return type.multiple == 1 ? range
                            : fmt::format("{}, a multiple of {}", range, FormatSize(type.multiple));
}
std::string Range(const Duration& type) {
  std::string range = fmt::format("a duration from {} to {}", FormatMilliseconds(type.min),
                                  FormatMilliseconds(type.max));
  return type.zero_is_off ? range + ", or 0" : range;
}
template <typename Integer>
std::string Range(const Count<Integer>& type) {
  return fmt::format("a number from {} to {}", type.min, type.max);
}

std::string Show(const Text& type, const Settings& settings) { return settings.*type.field; }
std::string Show(const Address& type, const Settings& settings) { return settings.*type.field; }
std::string Show(const Windows& type, const Settings& settings) { return settings.*type.field; }
std::string Show(const Switch& type, const Settings& settings) {
  return settings.*type.field ? "true" : "false";
}
std::string Show(const Size& type, const Settings& settings) {
  return FormatSize(settings.*type.field);
}
std::string Show(const Duration& type, const Settings& settings) {
  return FormatMilliseconds(settings.*type.field);
}
template <typename Integer>
std::string Show(const Count<Integer>& type, const Settings& settings) {
  return fmt::format("{}", settings.*type.field);
}

void Copy(const Row& row, const Settings& from, Settings* to) {
  std::visit([&](const auto& type) { to->*type.field = from.*type.field; }, row.type);
}
std::string Show(const Row& row, const Settings& settings) {
  return std::visit([&](const auto& type) { return Show(type, settings); }, row.type);
}
std::string Range(const Row& row) {
  return std::visit([](const auto& type) { return Range(type); }, row.type);
}

std::string Printable(std::string_view text) {
  std::string out;
  for (char c : text) out += c >= 0x20 && c < 0x7f ? c : '?';
  return out;
}
// Long or unprintable input is not repeated as it is.
std::string Shown(std::string_view text) {
  return Printable(text.substr(0, 64)) + (text.size() > 64 ? "..." : "");
}

// Takes over a value that was found at `origin`.
Status Set(const Row& row, std::string_view text, std::string origin, LoadedSettings* loaded) {
  bool fine =
      std::visit([&](const auto& type) { return Parse(type, text, &loaded->settings); }, row.type);
  if (!fine) {
    return InvalidArgument("{}: {} is '{}'; it must be {}", origin, row.name, Shown(text),
                           Range(row));
  }
  loaded->origins[std::string(row.name)] = std::move(origin);
  return OkStatus();
}

// ---- The file.

// How many single characters have to be put in, taken out or replaced to make `b` of `a`
// (Levenshtein; one row of the table is kept).
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); j++) row[j] = j;
  for (size_t i = 1; i <= a.size(); i++) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); j++) {
      size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string_view NearestName(std::string_view name) {
  // The longest name has 21 characters; more of a key cannot make it nearer.
  name = name.substr(0, 64);
  auto distance = [&](const Row& row) { return EditDistance(name, row.name); };
  return std::min_element(kRows.begin(), kRows.end(),
                          [&](const Row& a, const Row& b) { return distance(a) < distance(b); })
      ->name;
}

std::string Place(const ConfigFile& file, const YAML::Mark& mark) {
  return mark.is_null() ? file.name : fmt::format("{}:{}", file.name, mark.line + 1);
}

Status TakeEntry(const ConfigFile& file, const YAML::Node& key, const YAML::Node& value,
                 LoadedSettings* loaded) {
  const std::string place = Place(file, key.Mark());
  if (!key.IsScalar()) return InvalidArgument("{}: a setting's name must be a word", place);
  const Row* row = FindRow(key.Scalar());
  if (row == nullptr) {
    return InvalidArgument("{}: there is no setting '{}'; the nearest is '{}'", place,
                           Shown(key.Scalar()), NearestName(key.Scalar()));
  }
  if (!value.IsScalar()) {
    return InvalidArgument("{}: {} has {}; it must be {}", place, row->name,
                           value.IsNull() ? "no value" : "a list or a mapping", Range(*row));
  }
  auto before = loaded->origins.find(row->name);
  if (before != loaded->origins.end()) {
    return InvalidArgument("{}: {} is set a second time, first at {}; remove one of the two", place,
                           row->name, before->second);
  }
  return Set(*row, value.Scalar(), place, loaded);
}

// For a parser whose documents are only counted.
class Unheard : public YAML::EventHandler {
 public:
  using Mark = YAML::Mark;
  using Anchor = YAML::anchor_t;
  using Style = YAML::EmitterStyle::value;
  void OnDocumentStart(const Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const Mark&, Anchor) override {}
  void OnAlias(const Mark&, Anchor) override {}
  void OnScalar(const Mark&, const std::string&, Anchor, const std::string&) override {}
  void OnSequenceStart(const Mark&, const std::string&, Anchor, Style) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const Mark&, const std::string&, Anchor, Style) override {}
  void OnMapEnd() override {}
};

// 0, 1, or 2 for more. Not by YAML::LoadAll: of a comma behind a document yaml-cpp makes one empty
// document after the other, for ever.
int CountDocuments(const std::string& text) {
  std::istringstream input(text);
  YAML::Parser parser(input);
  Unheard events;
  int documents = 0;
  while (documents < 2 && parser.HandleNextDocument(events)) documents++;
  return documents;
}

Status LoadFile(const ConfigFile& file, LoadedSettings* loaded) {
  if (file.text.size() > kConfigBytesMax) {
    return InvalidArgument("{}: {} bytes; a file of settings has at most {}", file.name,
                           file.text.size(), kConfigBytesMax);
  }
  try {
    // yaml-cpp takes the end of its input for the end of a quoted text whose quote is missing; at
    // the end of a document it reports it.
    const std::string text = file.text + "\n...\n";
    const int documents = CountDocuments(text);
    const YAML::Node root = documents == 0 ? YAML::Node() : YAML::Load(text);
    if (documents <= 1 && root.IsNull()) return OkStatus();
    if (documents > 1 || !root.IsMap()) {
      return InvalidArgument(
          "{}: must be one YAML mapping of settings, as 'listen: 127.0.0.1:8080'", file.name);
    }
    for (const auto& entry : root) {
      NEXUS_RETURN_IF_ERROR(TakeEntry(file, entry.first, entry.second, loaded));
    }
    return OkStatus();
  } catch (const YAML::Exception& error) {
    return InvalidArgument("{}: not YAML: {}", Place(file, error.mark), error.msg);
  }
}

// A text of UTF-8 as a YAML scalar that reads back as the same text.
std::string YamlScalar(const std::string& text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./";
  const bool word = text.find_first_not_of(kPlain) == std::string::npos;
  const bool null = text == "null" || text == "Null" || text == "NULL";
  if (word && !null && !text.empty()) return text;
  YAML::Emitter emitter;
  emitter.SetStringFormat(YAML::DoubleQuoted);
  emitter << text;
  return emitter.c_str();
}

}  // namespace

std::optional<std::string> LookUpEnvironment(const std::string& variable) {
  const char* value = std::getenv(variable.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

StatusOr<LoadedSettings> LoadSettings(const std::map<std::string, std::string>& command_line,
                                      const EnvironmentLookup& environment,
                                      const std::optional<ConfigFile>& file) {
  LoadedSettings loaded;
  // From the weakest to the strongest: each overwrites the one before.
  if (file.has_value()) NEXUS_RETURN_IF_ERROR(LoadFile(*file, &loaded));
  for (const Row& row : kRows) {
    const std::string variable = VariableOf(row);
    std::optional<std::string> value = environment(variable);
    if (!value.has_value() || value->empty()) continue;
    NEXUS_RETURN_IF_ERROR(Set(row, *value, "environment " + variable, &loaded));
  }
  for (const auto& [name, value] : command_line) {
    const Row* row = FindRow(name);
    if (row == nullptr) {
      return InvalidArgument("command line: there is no setting '{}'; the nearest is '{}'",
                             Shown(name), NearestName(name));
    }
    NEXUS_RETURN_IF_ERROR(Set(*row, value, "command line", &loaded));
  }
  for (const Row& row : kRows) loaded.origins.try_emplace(std::string(row.name), "default");
  return loaded;
}

void AddSettingsOptions(CLI::App* app, std::map<std::string, std::string>* values) {
  const Settings defaults;
  for (const Row& row : kRows) {
    const std::string name(row.name);
    // Constant, or add_flag would take it for the variable to write to.
    const std::string help = fmt::format("{} [{}]", row.help, VariableOf(row));
    auto take = [values, name](const std::string& value) { (*values)[name] = value; };
    if (std::holds_alternative<Switch>(row.type)) {
      // Not add_flag_function, which throws past ParseError for --insecure=perhaps.
      app->add_flag(FlagOf(row), help)->each(take);
      continue;
    }
    const std::string default_value = Show(row, defaults);
    app->add_option_function<std::string>(FlagOf(row), take, help)
        ->default_str(default_value)
        ->type_name(default_value.empty() ? "DIR" : "");
  }
}

Status CheckData(const Settings& settings) {
  if (!settings.data.empty()) return OkStatus();
  return InvalidArgument(
      "no data folder: give --data DIR, NEXUS_DATA=DIR, or 'data: DIR' in the file of --config");
}

Status CheckListen(const Settings& settings) {
  NEXUS_ASSIGN_OR_RETURN(io::HostPort address, io::ParseHostPort(settings.listen));
  if (settings.insecure || io::IsLoopback(address.host)) return OkStatus();
  return FailedPrecondition(
      "listen is {}, which other machines reach, and there is no authentication yet: whoever "
      "reaches the port can read, write and delete. Listen on 127.0.0.1:{} instead, or give "
      "--insecure if the network keeps strangers out",
      address.ToString(), address.port);
}

Status CheckBackupDirectory(const Settings& settings) {
  const std::string& directory = settings.backup_directory;
  if (directory.empty()) return OkStatus();
  if (directory.starts_with('/') && io::PlainPath(directory).has_value()) return OkStatus();
  return InvalidArgument("backup_directory is \"{}\"; give an absolute path without \"..\"",
                         directory);
}

std::string PrintSettings(const LoadedSettings& loaded) {
  std::string out;
  for (const Row& row : kRows) {
    const std::string value = Show(row, loaded.settings);
    auto found = loaded.origins.find(row.name);
    const std::string origin = found == loaded.origins.end() ? "default" : Printable(found->second);
    // Only paths have no default; an empty path would be an error in a file.
    const std::string line = value.empty() ? fmt::format("# {}:", row.name)
                                           : fmt::format("{}: {}", row.name, YamlScalar(value));
    out += fmt::format("{:<40}  # {}\n", line, origin);
  }
  return out;
}

ReloadedSettings Reload(const LoadedSettings& old, const LoadedSettings& fresh) {
  ReloadedSettings result;
  result.now = old;
  for (const Row& row : kRows) {
    SettingChange change{std::string(row.name), Show(row, old.settings), Show(row, fresh.settings)};
    const bool changed = change.from != change.to;
    if (changed && !row.reloads) {
      result.needs_restart.push_back(std::move(change));
      continue;
    }
    // What has the same value may come from elsewhere now.
    Copy(row, fresh.settings, &result.now.settings);
    auto origin = fresh.origins.find(row.name);
    if (origin != fresh.origins.end()) result.now.origins[change.name] = origin->second;
    if (changed) result.effective.push_back(std::move(change));
  }
  return result;
}

std::vector<SettingInfo> DescribeSettings() {
  const Settings defaults;
  std::vector<SettingInfo> infos;
  for (const Row& row : kRows) {
    infos.push_back({.name = std::string(row.name),
                     .help = std::string(row.help),
                     .range = Range(row),
                     .default_value = Show(row, defaults),
                     .reloads = row.reloads});
  }
  return infos;
}

}  // namespace nexus::server
