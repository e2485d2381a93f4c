// Tests of server/settings: where values come from, what is refused and how it is said, what a
// reload changes, and that docs/operations.md shows the table of the code.

#include "server/settings.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <sstream>

namespace nexus::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Values = std::map<std::string, std::string>;

EnvironmentLookup Environment(Values variables) {
  return [variables = std::move(variables)](const std::string& name) {
    auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

StatusOr<LoadedSettings> FromFile(std::string text) {
  return LoadSettings({}, Environment({}), ConfigFile{"nexus.yaml", std::move(text)});
}
StatusOr<LoadedSettings> FromCommandLine(const Values& values) {
  return LoadSettings(values, Environment({}), std::nullopt);
}

// The error of loading, "" if there is none.
std::string Message(const StatusOr<LoadedSettings>& loaded) {
  if (loaded.ok()) return "";
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(FromAbsl(loaded.status().message()));
}
std::string FileError(std::string text) { return Message(FromFile(std::move(text))); }

TEST(SettingsTest, FileWithACommaBehindItsMappingIsRefused) {
  for (const char* text : {"{workers: 1},\n", ",", ", workers: 1\n", "workers: 1\n...\n,\n"}) {
    EXPECT_THAT(FileError(text), HasSubstr("must be one YAML mapping")) << text;
  }
}

TEST(SettingsTest, WithoutAnySourceTheDefaultsHold) {
  StatusOr<LoadedSettings> loaded = FromCommandLine({});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->settings.listen, "127.0.0.1:8080");
  EXPECT_EQ(loaded->settings.memtable_bytes, Options().memtable_bytes);
  EXPECT_EQ(loaded->settings.idle_timeout_ms, 3'600'000);
  EXPECT_EQ(loaded->origins.size(), DescribeSettings().size());
  for (const auto& [name, origin] : loaded->origins) EXPECT_EQ(origin, "default") << name;
}

TEST(SettingsTest, CommandLineBeatsEnvironmentBeatsFileBeatsDefault) {
  const ConfigFile file{"etc/nexus.yaml", "# server\nworkers: 2\nlisten: 127.0.0.1:1\ndata: f\n"};
  StatusOr<LoadedSettings> loaded = LoadSettings(
      {{"data", "c"}}, Environment({{"NEXUS_DATA", "e"}, {"NEXUS_LISTEN", "[::1]:2"}}), file);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->settings.data, "c");
  EXPECT_EQ(loaded->settings.listen, "[::1]:2");
  EXPECT_EQ(loaded->settings.workers, 2);
  EXPECT_EQ(loaded->origins["data"], "command line");
  EXPECT_EQ(loaded->origins["listen"], "environment NEXUS_LISTEN");
  EXPECT_EQ(loaded->origins["workers"], "etc/nexus.yaml:2");
  EXPECT_EQ(loaded->origins["io"], "default");
}

TEST(SettingsTest, AnEmptyVariableCountsAsNotSet) {
  StatusOr<LoadedSettings> loaded =
      LoadSettings({}, Environment({{"NEXUS_WORKERS", ""}}), std::nullopt);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->origins["workers"], "default");
}

TEST(SettingsTest, AWrongValueIsRefusedEvenWhereAnotherWins) {
  StatusOr<LoadedSettings> loaded =
      LoadSettings({{"workers", "3"}}, Environment({{"NEXUS_WORKERS", "many"}}), std::nullopt);
  EXPECT_THAT(Message(loaded), StartsWith("environment NEXUS_WORKERS: workers is 'many'"));
}

TEST(SettingsTest, SizesAreReadWithTheirUnits) {
  const std::vector<std::pair<std::string, uint64_t>> cases = {
      {"256KiB", 256 << 10}, {"3MiB", 3 << 20},   {"2GiB", 2ull << 30},
      {"1TiB", 1ull << 40},  {"262144", 262'144}, {"262145B", 262'145},
  };
  for (const auto& [text, bytes] : cases) {
    StatusOr<LoadedSettings> loaded = FromCommandLine({{"memtable_bytes", text}});
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(loaded->settings.memtable_bytes, bytes) << text;
  }
}

TEST(SettingsTest, DurationsAreReadWithTheirUnits) {
  const std::vector<std::pair<std::string, int64_t>> cases = {
      {"250ms", 250}, {"10s", 10'000}, {"5m", 300'000}, {"1h30m", 5'400'000}, {"2d", 172'800'000},
  };
  for (const auto& [text, ms] : cases) {
    StatusOr<LoadedSettings> loaded = FromCommandLine({{"flush_interval", text}});
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(loaded->settings.flush_interval_ms, ms) << text;
  }
}

TEST(SettingsTest, SwitchesAreReadInEachSpelling) {
  for (const char* text : {"true", "yes", "on", "1"}) {
    StatusOr<LoadedSettings> loaded = FromCommandLine({{"insecure", text}});
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_TRUE(loaded->settings.insecure) << text;
  }
  for (const char* text : {"false", "no", "off", "0"}) {
    StatusOr<LoadedSettings> loaded = FromCommandLine({{"insecure", text}});
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_FALSE(loaded->settings.insecure) << text;
  }
}

TEST(SettingsTest, ValuesOutOfRangeAreRefusedWithTheRange) {
  struct Case {
    const char* name;
    const char* value;
    const char* allowed;
  };
  const std::vector<Case> cases = {
      {"memtable_bytes", "255KiB", "a size from 256KiB to 1TiB"},
      {"memtable_bytes", "2TiB", "a size from 256KiB to 1TiB"},
      {"memtable_bytes", "1 GiB", "a size from"},
      {"memtable_bytes", "1GB", "a size from"},
      {"memtable_bytes", "-1", "a size from"},
      {"memtable_bytes", "MiB", "a size from"},
      // 2^64 bytes and 2^64 + 1 TiB, which would wrap to something allowed.
      {"memtable_bytes", "18446744073709551616", "a size from"},
      {"memtable_bytes", "16777217TiB", "a size from"},
      {"log_segment_bytes", "65KiB", "from 64KiB to 1GiB, a multiple of 64KiB"},
      {"flush_interval", "10ms", "a duration from 100ms to 365d, or 0"},
      {"flush_interval", "60", "a duration from"},
      {"flush_interval", "-5s", "a duration from"},
      {"stop_patience", "2h", "a duration from 0 to 1h"},
      {"idle_timeout", "1h0.5ms", "a duration from"},
      {"idle_timeout", "0", "a duration from 10ms"},
      {"workers", "0", "a number from 1 to 64"},
      {"workers", "65", "a number from 1 to 64"},
      {"workers", "4294967297", "a number from 1 to 64"},
      {"workers", "2x", "a number from 1 to 64"},
      {"connections_max", "1000001", "a number from 1 to 1000000"},
      {"listen", "localhost", "HOST:PORT"},
      {"listen", "localhost:99999", "HOST:PORT"},
      {"insecure", "maybe", "true or false"},
      {"log_level", "loud", "one of debug, info, warning, error"},
      {"log_format", "xml", "one of human, json"},
      {"io", "aio", "one of auto, uring, posix"},
      {"data", "", "a path"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(
        Message(FromCommandLine({{c.name, c.value}})),
        AllOf(StartsWith(fmt::format("command line: {} is '{}'; it must be", c.name, c.value)),
              HasSubstr(c.allowed)))
        << c.name << "=" << c.value;
  }
  EXPECT_TRUE(FromCommandLine({{"flush_interval", "0"}}).ok());
}

TEST(SettingsTest, AnErrorInTheFileNamesItsLine) {
  EXPECT_THAT(FileError("data: d\n\nworkers: 99\n"),
              StartsWith("nexus.yaml:3: workers is '99'; it must be a number from 1 to 64"));
}

TEST(SettingsTest, AnUnknownKeyNamesTheNearest) {
  EXPECT_EQ(FileError("flush-intervall: 1h\n"),
            "nexus.yaml:1: there is no setting 'flush-intervall'; the nearest is 'flush_interval'");
  EXPECT_EQ(FileError("data: d\nlisen: 127.0.0.1:1\n"),
            "nexus.yaml:2: there is no setting 'lisen'; the nearest is 'listen'");
}

TEST(SettingsTest, AKeyTwiceIsRefusedWithBothLines) {
  EXPECT_THAT(
      FileError("workers: 1\ndata: d\nworkers: 2\n"),
      AllOf(StartsWith("nexus.yaml:3: workers is set a second time"), HasSubstr("nexus.yaml:1")));
}

TEST(SettingsTest, AValueThatIsNoScalarIsRefused) {
  EXPECT_THAT(FileError("workers: [1, 2]\n"), HasSubstr("nexus.yaml:1: workers has a list"));
  EXPECT_THAT(FileError("workers:\n"), HasSubstr("nexus.yaml:1: workers has no value"));
  EXPECT_THAT(FileError("[1]: 2\n"), HasSubstr("name must be a word"));
}

TEST(SettingsTest, WhatIsNotAMappingIsRefused) {
  EXPECT_THAT(FileError("just words\n"), HasSubstr("must be one YAML mapping"));
  EXPECT_THAT(FileError("- workers: 1\n"), HasSubstr("must be one YAML mapping"));
  EXPECT_THAT(FileError("workers: 1\n---\nworkers: 2\n"), HasSubstr("must be one YAML mapping"));
}

TEST(SettingsTest, BrokenYamlIsAnErrorWithItsLineAndNoException) {
  EXPECT_THAT(FileError("workers: 1\ndata: \"/srv\nlisten: localhost:1\n"),
              AllOf(StartsWith("nexus.yaml:"), HasSubstr("not YAML")));
  EXPECT_THAT(FileError("data: '/srv"), HasSubstr("not YAML"));
  EXPECT_THAT(FileError("data: *nowhere\n"), HasSubstr("not YAML"));
  EXPECT_THAT(FileError("data: {\n"), HasSubstr("not YAML"));
  EXPECT_THAT(FileError(std::string(20'000, '[')), StartsWith("nexus.yaml"));
}

TEST(SettingsTest, AnEmptyFileSetsNothing) {
  EXPECT_EQ(FileError(""), "");
  EXPECT_EQ(FileError("# only a comment\n"), "");
  EXPECT_EQ(FileError("---\n...\n"), "");
}

TEST(SettingsTest, MarksOfADocumentAreAllowed) {
  for (const char* text : {"---\nworkers: 3\n...\n", "---\nworkers: 3", "workers: 3\n...",
                           "\xef\xbb\xbfworkers: 3\r\n", "{workers: 3}", "workers: |-\n  3\n"}) {
    StatusOr<LoadedSettings> loaded = FromFile(text);
    ASSERT_TRUE(loaded.ok()) << text << loaded.status();
    EXPECT_EQ(loaded->settings.workers, 3) << text;
  }
}

TEST(SettingsTest, AFileThatIsTooLargeIsRefused) {
  EXPECT_EQ(FileError(std::string(kConfigBytesMax, '#')), "");
  EXPECT_THAT(FileError(std::string(kConfigBytesMax + 1, '#')), HasSubstr("at most 65536"));
}

TEST(SettingsTest, WhatIsPrintedLoadsAsTheSame) {
  const Values values = {{"data", "/srv/a \"b\": #c\t\\"},
                         {"listen", "[::1]:0"},
                         {"memtable_bytes", "300000"},
                         {"flush_interval", "90s"},
                         {"stop_patience", "0"},
                         {"insecure", "true"},
                         {"backup_directory", "/srv/backups"},
                         {"log_format", "json"}};
  StatusOr<LoadedSettings> loaded = FromCommandLine(values);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const std::string printed = PrintSettings(*loaded);
  StatusOr<LoadedSettings> again = FromFile(printed);
  ASSERT_TRUE(again.ok()) << again.status() << "\n" << printed;
  EXPECT_EQ(again->settings.data, values.at("data"));
  ReloadedSettings reloaded = Reload(*loaded, *again);
  EXPECT_TRUE(reloaded.effective.empty()) << printed;
  EXPECT_TRUE(reloaded.needs_restart.empty()) << printed;
  for (const auto& [name, origin] : again->origins) {
    EXPECT_THAT(origin, StartsWith("nexus.yaml:")) << name << " was not printed";
  }
}

TEST(SettingsTest, PrintedSettingsSayWhereTheyComeFrom) {
  StatusOr<LoadedSettings> loaded =
      LoadSettings({{"workers", "2"}}, Environment({{"NEXUS_LOG_LEVEL", "debug"}}),
                   ConfigFile{"n.yaml", "\nio: posix\n"});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const std::string printed = PrintSettings(*loaded);
  EXPECT_THAT(printed, ::testing::ContainsRegex("workers: 2 +# command line\n"));
  EXPECT_THAT(printed, ::testing::ContainsRegex("log_level: debug +# environment NEXUS_LOG_LEVEL"));
  EXPECT_THAT(printed, ::testing::ContainsRegex("io: posix +# n.yaml:2\n"));
  EXPECT_THAT(printed, ::testing::ContainsRegex("memtable_bytes: 256MiB +# default\n"));
  // Without a data folder it is still a file that loads.
  EXPECT_EQ(FileError(printed), "");
}

TEST(SettingsTest, APathThatYamlWouldReadAsNothingIsQuoted) {
  for (const char* path : {"null", "~", "NULL"}) {
    StatusOr<LoadedSettings> loaded = FromCommandLine({{"data", path}});
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    StatusOr<LoadedSettings> again = FromFile(PrintSettings(*loaded));
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->settings.data, path);
  }
}

TEST(SettingsTest, AReloadTakesWhatItCanAndNamesTheRest) {
  StatusOr<LoadedSettings> old = FromFile("log_level: info\nworkers: 1\nio: auto\n");
  StatusOr<LoadedSettings> fresh = FromFile("io: auto\nlog_level: debug\nworkers: 2\n");
  ASSERT_TRUE(old.ok() && fresh.ok());
  ReloadedSettings reloaded = Reload(*old, *fresh);
  ASSERT_EQ(reloaded.effective.size(), 1u);
  EXPECT_EQ(reloaded.effective[0].name, "log_level");
  EXPECT_EQ(reloaded.effective[0].from, "info");
  EXPECT_EQ(reloaded.effective[0].to, "debug");
  ASSERT_EQ(reloaded.needs_restart.size(), 1u);
  EXPECT_EQ(reloaded.needs_restart[0].name, "workers");
  EXPECT_EQ(reloaded.now.settings.log_level, "debug");
  EXPECT_EQ(reloaded.now.settings.workers, 1);
  EXPECT_EQ(reloaded.now.origins["log_level"], "nexus.yaml:2");
  EXPECT_EQ(reloaded.now.origins["workers"], "nexus.yaml:2");
  // What was not taken is named again the next time.
  EXPECT_EQ(Reload(reloaded.now, *fresh).needs_restart.size(), 1u);
  EXPECT_TRUE(Reload(reloaded.now, *fresh).effective.empty());
}

TEST(SettingsTest, TheCommandLineHasAnOptionForEachSetting) {
  CLI::App app;
  Values values;
  AddSettingsOptions(&app, &values);
  app.parse("--data=d --flush-interval 5m --host-metrics --insecure=false --workers 4", false);
  EXPECT_EQ(values, (Values{{"data", "d"},
                            {"flush_interval", "5m"},
                            {"host_metrics", "true"},
                            {"insecure", "false"},
                            {"workers", "4"}}));
  StatusOr<LoadedSettings> loaded = FromCommandLine(values);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE(loaded->settings.host_metrics);
  for (const SettingInfo& info : DescribeSettings()) {
    std::string flag = "--" + info.name;
    std::replace(flag.begin(), flag.end(), '_', '-');
    const CLI::Option* option = app.get_option_no_throw(flag);
    ASSERT_NE(option, nullptr) << flag;
    EXPECT_THAT(option->get_description(), StartsWith(info.help + " [NEXUS_")) << flag;
  }
}

TEST(SettingsTest, AnOptionThatIsNotGivenSetsNothing) {
  CLI::App app;
  Values values;
  AddSettingsOptions(&app, &values);
  app.parse("", false);
  EXPECT_EQ(values, Values{});
}

TEST(SettingsTest, ASwitchWithAnotherWordIsAnErrorAndNoException) {
  CLI::App app;
  Values values;
  AddSettingsOptions(&app, &values);
  app.parse("--insecure=perhaps", false);
  EXPECT_THAT(Message(FromCommandLine(values)),
              StartsWith("command line: insecure is 'perhaps'; it must be true or false"));
}

TEST(SettingsTest, LoopbackNeedsNoPermission) {
  for (const char* listen : {"127.0.0.1:8080", "127.9.9.9:1", "[::1]:8080", "localhost:0"}) {
    Settings settings;
    settings.listen = listen;
    EXPECT_TRUE(CheckListen(settings).ok()) << listen;
  }
}

TEST(SettingsTest, BeyondLoopbackIsRefusedUnlessAskedFor) {
  for (const char* listen :
       {"0.0.0.0:8080", "[::]:8080", "10.0.0.1:1", "db.example:8080", "127.0.0.1.example:8080"}) {
    Settings settings;
    settings.listen = listen;
    Status refused = CheckListen(settings);
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << listen;
    EXPECT_THAT(std::string(refused.message()),
                AllOf(HasSubstr("no authentication yet"), HasSubstr("--insecure")));
    settings.insecure = true;
    EXPECT_TRUE(CheckListen(settings).ok()) << listen;
  }
}

TEST(SettingsTest, WithoutADataFolderTheErrorNamesTheWays) {
  Settings settings;
  EXPECT_THAT(std::string(CheckData(settings).message()),
              AllOf(HasSubstr("--data"), HasSubstr("NEXUS_DATA"), HasSubstr("--config")));
  settings.data = "d";
  EXPECT_TRUE(CheckData(settings).ok());
}

// The rows of the settings table in docs/operations.md are those of the code, word for word.
TEST(SettingsTest, TheDocumentedTableIsTheOneOfTheCode) {
  std::ifstream file("docs/operations.md");
  std::stringstream text;
  text << file.rdbuf();
  const std::string docs = text.str();
  ASSERT_FALSE(docs.empty());
  std::string table =
      "| setting | default | allowed | SIGHUP | what it does |\n|---|---|---|---|---|\n";
  for (const SettingInfo& info : DescribeSettings()) {
    table += fmt::format("| `{}` | {} | {} | {} | {} |\n", info.name,
                         info.default_value.empty() ? "none" : "`" + info.default_value + "`",
                         info.range, info.reloads ? "yes" : "restart", info.help);
  }
  EXPECT_THAT(docs, HasSubstr("\n" + table + "\n")) << "it should be:\n" << table;
}

}  // namespace
}  // namespace nexus::server
