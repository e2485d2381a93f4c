// The `nexus` command as scripts see it (DESIGN section 13): exit status, standard output, and
// errors that name what is wrong.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/nexus_process.h"

namespace nexus::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kDamaged = 3;

constexpr std::string_view kCpuLines =
    "cpu,host=a usage=1.5,idle=97i 1700000000000000000\n"
    "cpu,host=a usage=2.5 1700000001000000000\n"
    "cpu,host=b usage=10 1700000000000000000\n";
constexpr std::string_view kCpuUsageJson =
    "{\"metric\":{\"__name__\":\"cpu_usage\",\"host\":\"a\"},"
    "\"samples\":[[1700000000000000000,1.5],[1700000001000000000,2.5]]}\n"
    "{\"metric\":{\"__name__\":\"cpu_usage\",\"host\":\"b\"},"
    "\"samples\":[[1700000000000000000,10]]}\n";

class NexusCommand : public NexusCommandTest {
 protected:
  std::string ImportCpu() {
    return Done({"import", "--data", data_, "--format", "influx", File("cpu.lp", kCpuLines)});
  }
};

TEST_F(NexusCommand, VersionIsPrinted) { EXPECT_THAT(Done({"version"}), StartsWith("nexus 0.")); }

TEST_F(NexusCommand, HelpExplainsEveryCommand) {
  const std::string all = Done({"help"});
  EXPECT_EQ(Done({"--help"}), all);
  const std::vector<std::vector<std::string>> commands = {{"record"},
                                                          {"import"},
                                                          {"query"},
                                                          {"delete"},
                                                          {"stats"},
                                                          {"flush"},
                                                          {"scrub"},
                                                          {"backup"},
                                                          {"restore"},
                                                          {"tenant"},
                                                          {"tenant", "create"},
                                                          {"tenant", "list"},
                                                          {"tenant", "delete"},
                                                          {"tenant", "set"},
                                                          {"branch"},
                                                          {"branch", "create"},
                                                          {"branch", "list"},
                                                          {"branch", "delete"},
                                                          {"retention"},
                                                          {"retention", "list"},
                                                          {"retention", "set"},
                                                          {"retention", "accept-clock"},
                                                          {"rollup"},
                                                          {"rollup", "list"},
                                                          {"rollup", "set"},
                                                          {"rollup", "off"},
                                                          {"snapshot"},
                                                          {"snapshot", "create"},
                                                          {"snapshot", "list"},
                                                          {"snapshot", "delete"},
                                                          {"serve"},
                                                          {"health-check"},
                                                          {"wal"},
                                                          {"wal", "verify"},
                                                          {"wal", "dump"},
                                                          {"wal", "replay"},
                                                          {"layer"},
                                                          {"layer", "verify"},
                                                          {"layer", "dump"},
                                                          {"catalog"},
                                                          {"catalog", "rebuild"},
                                                          {"version"},
                                                          {"help"}};
  for (std::vector<std::string> command : commands) {
    if (command.size() == 1) {
      EXPECT_THAT(all, HasSubstr("\n  " + command[0] + " "));
    }
    std::vector<std::string> asked = command;
    asked.push_back("--help");
    std::string usage = "Usage: nexus";
    for (const std::string& word : command) usage += " " + word;
    command.insert(command.begin(), "help");
    EXPECT_THAT(Done(command), HasSubstr(usage + " "));
    EXPECT_THAT(Done(asked), HasSubstr(usage + " "));
  }
}

TEST_F(NexusCommand, SnapshotsAndBranchesGoTheirOwnWay) {
  ImportCpu();
  EXPECT_THAT(Done({"snapshot", "create", "before", "--data", data_}),
              AllOf(StartsWith("snapshot before made of main: "), HasSubstr("shared")));
  EXPECT_THAT(Done({"branch", "create", "what-if", "--from", "before", "--data", data_}),
              StartsWith("branch what-if made of before: "));
  const std::string more = File("more.lp", "cpu,host=c usage=7 1700000002000000000\n");
  Done({"import", "--data", data_, "--branch", "what-if", "--format", "influx", more});
  auto query = [&](const std::vector<std::string>& of) {
    std::vector<std::string> arguments = {"query",     "--data",   data_,
                                          "cpu_usage", "--format", "json"};
    arguments.insert(arguments.end(), of.begin(), of.end());
    return Done(arguments);
  };
  EXPECT_EQ(query({}), kCpuUsageJson);
  EXPECT_EQ(query({"--as-of", "before"}), kCpuUsageJson);
  EXPECT_THAT(query({"--branch", "what-if"}),
              AllOf(StartsWith(std::string(kCpuUsageJson)), HasSubstr("\"host\":\"c\"")));
  Done({"flush", "--data", data_});
  EXPECT_EQ(query({"--branch", "before"}), kCpuUsageJson);
  const std::string table = Done({"branch", "list", "--data", data_});
  EXPECT_THAT(table, AllOf(HasSubstr("NAME"), HasSubstr("main"), HasSubstr("what-if  before")));
  EXPECT_THAT(table, Not(HasSubstr("\nbefore")));
  EXPECT_THAT(Done({"snapshot", "list", "--data", data_, "--format", "json"}),
              StartsWith("{\"name\":\"before\",\"kind\":\"snapshot\",\"parent\":\"main\","));
  EXPECT_THAT(Done({"snapshot", "delete", "before", "--data", data_}),
              StartsWith("snapshot before deleted"));
  EXPECT_THAT(Done({"branch", "delete", "what-if", "--data", data_}),
              StartsWith("branch what-if deleted"));
  EXPECT_EQ(query({}), kCpuUsageJson);
  EXPECT_EQ(Nexus({"scrub", "--data", data_}).exit, kDone);
}

TEST_F(NexusCommand, BranchesThatCannotBeMadeOrDeletedAreNamed) {
  ImportCpu();
  Done({"snapshot", "create", "s", "--data", data_});
  struct Case {
    std::vector<std::string> arguments;
    std::string named;
  };
  const std::string lines = File("cpu.lp", kCpuLines);
  const std::vector<Case> cases = {
      {{"branch", "create", "s", "--data", data_}, "\"s\" exists"},
      {{"branch", "create", "b", "--from", "nothing", "--data", data_}, "nothing"},
      {{"branch", "create", "a b", "--data", data_}, "a b"},
      {{"branch", "delete", "main", "--data", data_}, "main"},
      {{"branch", "delete", "nothing", "--data", data_}, "nothing"},
      {{"branch", "delete", "s", "--data", data_}, "nexus snapshot delete s"},
      {{"query", "--data", data_, "cpu_usage", "--as-of", "main"}, "not a snapshot"},
      {{"query", "--data", data_, "cpu_usage", "--as-of", "nothing"}, "nothing"},
      {{"import", "--data", data_, "--branch", "s", "--format", "influx", lines}, "read-only"},
  };
  for (const Case& one : cases) {
    const Result result = Nexus(one.arguments);
    EXPECT_NE(result.exit, kDone) << one.named;
    EXPECT_THAT(result.error, HasSubstr(one.named));
  }
}

TEST_F(NexusCommand, TenantsAreMadeBoundedListedAndApart) {
  ImportCpu();
  EXPECT_EQ(Done({"tenant", "create", "acme", "series_max=2", "bytes_max=1G", "--data", data_}),
            "tenant acme made\n");
  const std::string lines = File("acme.lp",
                                 "mem,host=a used=1 1000000000\n"
                                 "mem,host=b used=2 1000000000\n");
  Done({"import", "--data", data_, "--tenant", "acme", "--format", "influx", lines});
  const std::string table = Done({"tenant", "list", "--data", data_});
  EXPECT_THAT(table, AllOf(HasSubstr("TENANT"), HasSubstr("\nacme "),
                           HasSubstr("series_max=2 bytes_max=1073741824")));
  EXPECT_THAT(Done({"tenant", "list", "--data", data_, "--format", "json"}),
              AllOf(StartsWith("{\"name\":\"default\",\"series\":3,"),
                    HasSubstr("\n{\"name\":\"acme\",\"series\":2,\"samples\":2,"),
                    HasSubstr("\"series_max\":2,\"bytes_max\":1073741824}\n")));
  const std::string more = File("more.lp", "mem,host=c used=1 1000000000\n");
  Result refused =
      Nexus({"import", "--data", data_, "--tenant", "acme", "--format", "influx", more});
  EXPECT_EQ(refused.exit, kFailed);
  EXPECT_THAT(refused.error, AllOf(HasSubstr("acme"), HasSubstr("series_max")));
  EXPECT_EQ(
      Done({"tenant", "set", "acme", "series_max=none", "concurrent_queries=4", "--data", data_}),
      "tenant acme: series_max=none concurrent_queries=4\n");
  Done({"import", "--data", data_, "--tenant", "acme", "--format", "influx", more});
  EXPECT_THAT(Done({"query", "--data", data_, "--tenant", "acme", "mem_used", "--format", "json"}),
              HasSubstr("\"host\":\"c\""));
  struct Case {
    std::vector<std::string> arguments;
    std::string named;
  };
  const std::vector<Case> cases = {
      {{"tenant", "create", "acme", "--data", data_}, "\"acme\" exists"},
      {{"tenant", "create", "a b", "--data", data_}, "a b"},
      {{"tenant", "delete", "acme", "--data", data_}, "--yes"},
      {{"tenant", "delete", "default", "--yes", "--data", data_}, "default"},
      {{"tenant", "delete", "nobody", "--yes", "--data", data_}, "nobody"},
      {{"tenant", "set", "nobody", "series_max=5", "--data", data_}, "nobody"},
      {{"tenant", "set", "acme", "series_max=1", "--data", data_}, "3 series"},
      {{"tenant", "set", "acme", "colour=5", "--data", data_}, "concurrent_queries"},
      {{"tenant", "set", "acme", "series_max=-5", "--data", data_}, "series_max=-5"},
      {{"tenant", "set", "acme", "series_max=5X", "--data", data_}, "series_max=5X"},
      {{"tenant", "set", "acme", "series_max", "--data", data_}, "series_max"},
  };
  for (const Case& one : cases) {
    const Result result = Nexus(one.arguments);
    EXPECT_NE(result.exit, kDone) << one.named;
    EXPECT_THAT(result.error, HasSubstr(one.named));
  }
  EXPECT_THAT(Done({"tenant", "delete", "acme", "--yes", "--data", data_}),
              StartsWith("tenant acme deleted: 3 series, 3 samples, "));
  EXPECT_EQ(Nexus({"query", "--data", data_, "--tenant", "acme", "mem_used"}).exit, kUsage);
  EXPECT_EQ(Done({"query", "--data", data_, "cpu_usage", "--format", "json"}), kCpuUsageJson);
  EXPECT_EQ(Nexus({"scrub", "--data", data_}).exit, kDone);
}

TEST_F(NexusCommand, CardinalityShowsWhatTheSeriesComeFrom) {
  const std::string lines = File("mem.lp",
                                 "mem,host=a,job=x used=1,free=2 1000000000\n"
                                 "mem,host=b,job=x used=2 1000000000\n");
  Done({"import", "--data", data_, "--format", "influx", lines});
  EXPECT_EQ(Done({"stats", "--cardinality", "--top", "2", "--data", data_, "--format", "json"}),
            "{\"tenant\":\"default\",\"series\":3,\"new\":0,\"metrics\":2,\"labels\":2,\"pairs\":3,"
            "\"top_metrics\":[{\"metric\":\"mem_used\",\"series\":2,\"new\":0},"
            "{\"metric\":\"mem_free\",\"series\":1,\"new\":0}],"
            "\"top_labels\":[{\"label\":\"host\",\"series\":3,\"new\":0},"
            "{\"label\":\"job\",\"series\":3,\"new\":0}],"
            "\"top_pairs\":[{\"label\":\"job\",\"value\":\"x\",\"series\":3,\"new\":0},"
            "{\"label\":\"host\",\"value\":\"a\",\"series\":2,\"new\":0}],"
            "\"growing_metrics\":[],\"growing_labels\":[],\"growing_pairs\":[]}\n");
  EXPECT_THAT(Done({"stats", "--cardinality", "--data", data_}),
              AllOf(StartsWith("tenant default: 3 series"), HasSubstr("METRICS BY SERIES"),
                    HasSubstr("job=x"), Not(HasSubstr("GROWTH"))));
  EXPECT_EQ(Nexus({"stats", "--top", "5", "--data", data_}).exit, kUsage);
  EXPECT_EQ(Nexus({"stats", "--cardinality", "--top", "0", "--data", data_}).exit, kUsage);
  EXPECT_EQ(Nexus({"stats", "--cardinality", "--tenant", "nobody", "--data", data_}).exit, kUsage);
}

TEST_F(NexusCommand, StatsNameTheIoBackendAndWhyItIsAFallback) {
  ImportCpu();
  const char* set = std::getenv("NEXUS_IO");
  const std::string before = set == nullptr ? "" : set;
  setenv("NEXUS_IO", "posix", 1);
  const std::string json = Done({"stats", "--data", data_, "--format", "json"});
  const std::string table = Done({"stats", "--data", data_});
  before.empty() ? unsetenv("NEXUS_IO") : setenv("NEXUS_IO", before.c_str(), 1);
  EXPECT_THAT(json, AllOf(HasSubstr("\"io_backend\":\"posix\""),
                          HasSubstr("\"io_fallback\":\"asked for by NEXUS_IO\"")));
  EXPECT_THAT(table, HasSubstr("asked for by NEXUS_IO"));
}

// Each of these is refused before any folder is touched.
TEST_F(NexusCommand, WrongUsageIsTwoAndNamesWhatIsWrong) {
  struct Case {
    std::vector<std::string> arguments;
    std::string named;
  };
  const std::vector<Case> cases = {
      {{}, "command"},
      {{"frobnicate"}, "frobnicate"},
      {{"help", "frobnicate"}, "frobnicate"},
      {{"wal"}, "command"},
      {{"wal", "frobnicate", "x"}, "frobnicate"},
      {{"query", "cpu"}, "--data"},
      {{"import", "--format", "influx", "x"}, "--data"},
      {{"stats"}, "--data"},
      {{"flush"}, "--data"},
      {{"record"}, "--data"},
      {{"wal", "verify"}, "DIR"},
      {{"layer", "verify"}, "FILE"},
      {{"query", "--data", data_}, "SELECTOR"},
      {{"query", "--data", data_, "cpu", "--frobnicate"}, "--frobnicate"},
      {{"query", "--data", data_, "cpu", "--format", "xml"}, "xml"},
      {{"stats", "--data", data_, "--format", "csv"}, "csv"},
      {{"import", "--data", data_, "--format", "xml", "x"}, "xml"},
      {{"import", "--data", data_, "--format", "influx"}, "FILE"},
      {{"import", "--data", data_, "--format", "influx", "--precision", "h", "x"}, "h"},
      {{"import", "--data", data_, "--format", "influx", "--label", "novalue", "x"}, "novalue"},
      {{"record", "--data", data_, "--interval", "soon"}, "soon"},
      {{"record", "--data", data_, "--interval", "1ms"}, "10ms"},
      {{"record", "--data", data_, "--for", "a while"}, "a while"},
      {{"query", "--data", data_, "cpu", "--from", "yesterday"}, "yesterday"},
      {{"query", "--data", data_, "cpu", "--to", "2024-13-01"}, "2024-13-01"},
      {{"query", "--data", data_, "cpu", "--from", "2024-01-01", "--to", "2023-01-01"},
       "2023-01-01"},
      {{"query", "--data", data_, "cpu", "--agg", "frobnicate"}, "frobnicate"},
      {{"query", "--data", data_, "cpu", "--agg", "avg", "--step", "0s"}, "--step"},
      {{"query", "--data", data_, "cpu", "--step", "10s"}, "--agg"},
      {{"query", "--data", data_, "cpu", "--by", "host"}, "--agg"},
      {{"query", "--data", data_, "cpu"}, data_},
      {{"stats", "--data", data_}, data_},
      {{"flush", "--data", data_}, data_},
      {{"wal", "verify", data_}, data_},
      {{"wal", "dump", data_}, data_},
      {{"wal", "replay", data_}, data_},
      {{"layer", "verify", data_}, data_},
      {{"layer", "dump", data_}, data_},
  };
  for (const Case& one : cases) {
    Result result = Nexus(one.arguments);
    std::string shown;
    for (const std::string& argument : one.arguments) shown += argument + " ";
    EXPECT_EQ(result.exit, kUsage) << shown << result.error;
    EXPECT_THAT(result.error, HasSubstr(one.named)) << shown;
    EXPECT_THAT(result.out, IsEmpty()) << shown;
  }
  EXPECT_FALSE(std::filesystem::exists(data_)) << "nothing is made for a command that is wrong";
}

TEST_F(NexusCommand, FolderThatCannotBeWrittenIsUsage) {
  // Below a file; and where not even root may make a folder.
  for (const std::string& place : {File("file", "x") + "/db", std::string("/sys/nexus-test")}) {
    Result result =
        Nexus({"import", "--data", place, "--format", "influx", File("cpu.lp", kCpuLines)});
    EXPECT_EQ(result.exit, kUsage) << place << ": " << result.error;
    EXPECT_THAT(result.error, HasSubstr(place));
  }
}

TEST_F(NexusCommand, WhatIsImportedIsQueriedInEveryFormat) {
  EXPECT_THAT(ImportCpu(), StartsWith("imported 4 samples of 3 series"));
  EXPECT_EQ(Query("cpu_usage"), kCpuUsageJson);
  EXPECT_EQ(Query("cpu_usage{host=\"b\"}", "csv"),
            "series,timestamp,value\n\"cpu_usage{host=\"\"b\"\"}\",2023-11-14T22:13:20Z,10\n");
  EXPECT_EQ(Query("cpu_idle", "table"),
            "timestamp                                        value  series\n"
            "2023-11-14T22:13:20Z                                97  cpu_idle{host=\"a\"}\n");
  EXPECT_EQ(Done({"query", "--data", data_, "cpu_usage", "--agg", "sum", "--by", "", "--step", "1m",
                  "--format", "json"}),
            "{\"metric\":{},\"samples\":[[1699999980000000000,14]]}\n");
  EXPECT_THAT(Done({"query", "--data", data_, "cpu_usage", "--plot"}),
              HasSubstr("cpu_usage{host=\"a\"}  last 2.5"));
}

TEST_F(NexusCommand, WrongSelectorIsUsageAndSaysWhere) {
  ImportCpu();
  Result result = Nexus({"query", "--data", data_, "cpu{"});
  EXPECT_EQ(result.exit, kUsage) << result.error;
  EXPECT_THAT(result.error, HasSubstr("column 5"));
}

TEST_F(NexusCommand, BadLinesAreNamedAndGoodOnesKept) {
  const std::string file = File("mixed.lp",
                                "cpu,host=a usage=1.5 1700000000000000000\r\n"
                                "cpu,host=a usage=zebra 1700000001000000000\n"
                                "# a remark\n"
                                "\n"
                                "cpu,host=a,host=b usage=1 1700000001000000000\n"
                                "cpu,host=\xff usage=1 1700000001000000000\n"
                                "cpu usage=1 99999999999999999999\n"
                                "cpu,host=a usage=2.5 1700000001000000000");
  Result result = Nexus({"import", "--data", data_, "--format", "influx", file});
  EXPECT_EQ(result.exit, kFailed);
  EXPECT_THAT(result.error, HasSubstr(file + ":2: column 18: expected a number"));
  EXPECT_THAT(result.error, HasSubstr(file + ":5: label \"host\" is given twice"));
  EXPECT_THAT(result.error, HasSubstr(file + ":6: value of label \"host\" is not UTF-8"));
  EXPECT_THAT(result.error, HasSubstr(file + ":7: column 13: the timestamp is out of range"));
  EXPECT_THAT(result.out, HasSubstr("imported 2 samples of 1 series"));
  EXPECT_THAT(result.out, HasSubstr("4 lines rejected"));
  EXPECT_EQ(Query("cpu_usage"),
            "{\"metric\":{\"__name__\":\"cpu_usage\",\"host\":\"a\"},"
            "\"samples\":[[1700000000000000000,1.5],[1700000001000000000,2.5]]}\n");
}

TEST_F(NexusCommand, StandardInputPrecisionAndLabels) {
  Done({"import", "--data", data_, "--format", "influx", "--precision", "s", "--label", "site=x",
        "-"},
       "cpu,host=a usage=1 1700000000\n");
  EXPECT_EQ(Query("cpu_usage"),
            "{\"metric\":{\"__name__\":\"cpu_usage\",\"host\":\"a\",\"site\":\"x\"},"
            "\"samples\":[[1700000000000000000,1]]}\n");
}

TEST_F(NexusCommand, CsvColumnsBecomeMetricsNamedByTheFile) {
  const std::string file = File("room.csv",
                                "\xEF\xBB\xBFtimestamp,value,\"rel.\nhumidity\"\r\n"
                                "2024-05-01 12:30:00,21.5,40\r\n"
                                "1714566660,,41\r\n"
                                "2024-05-01T12:32:00Z,22,lots\r\n"
                                "\"2024-05-01T12:33:00Z\",\"23\",\r\n");
  Result result = Nexus({"import", "--data", data_, "--format", "csv", file});
  EXPECT_EQ(result.exit, kFailed);
  EXPECT_THAT(result.error, HasSubstr(file + ":5: column \"rel.\nhumidity\": \"lots\""));
  EXPECT_EQ(Query("room"),
            "{\"metric\":{\"__name__\":\"room\"},"
            "\"samples\":[[1714566600000000000,21.5],[1714566780000000000,23]]}\n");
  EXPECT_EQ(Query("{__name__=~\"room_.*\"}"),
            "{\"metric\":{\"__name__\":\"room_rel.\\u000ahumidity\"},"
            "\"samples\":[[1714566600000000000,40],[1714566660000000000,41]]}\n");
}

TEST_F(NexusCommand, StatsHaveTheFiguresThatScriptsReadBeforeAndAfterAFlush) {
  ImportCpu();
  auto stats = [&] { return Done({"stats", "--data", data_, "--format", "json"}); };
  simdjson::dom::parser parser;
  simdjson::dom::element before = parser.parse(stats());
  for (const char* key : {"series", "samples", "layers", "layer_bytes", "wal_bytes",
                          "catalog_bytes", "bytes_per_sample", "durable_lsn"}) {
    EXPECT_EQ(before[key].error(), simdjson::SUCCESS) << key;
  }
  EXPECT_EQ(uint64_t{before["series"]}, 3u);
  EXPECT_EQ(uint64_t{before["samples"]}, 4u);
  EXPECT_EQ(uint64_t{before["layers"]}, 0u);
  EXPECT_THAT(Done({"flush", "--data", data_}), HasSubstr("4 samples in 1 layers"));
  simdjson::dom::element after = parser.parse(stats());
  EXPECT_EQ(uint64_t{after["samples"]}, 4u);
  EXPECT_EQ(uint64_t{after["layers"]}, 1u);
  EXPECT_GT(uint64_t{after["layer_bytes"]}, 0u);
  EXPECT_THAT(Done({"stats", "--data", data_}), HasSubstr("bytes per sample"));
}

TEST_F(NexusCommand, CompactMergesTheLayersOfAFolder) {
  for (int i = 0; i < 3; i++) {
    ImportCpu();
    Done({"flush", "--data", data_});
  }
  ASSERT_EQ(DataFiles(".layer").size(), 3u);
  const std::string answer = Done({"query", "{__name__=~\".+\"}", "--data", data_});
  EXPECT_THAT(Done({"compact", "--data", data_}),
              AllOf(HasSubstr("compacted: 3 layers of "), HasSubstr("became 1 layers of ")));
  EXPECT_EQ(DataFiles(".layer").size(), 1u);
  EXPECT_EQ(Done({"query", "{__name__=~\".+\"}", "--data", data_}), answer);
  const Result paused = Nexus({"compact", "--data", data_, "--pause"});
  EXPECT_EQ(paused.exit, kFailed);
  EXPECT_THAT(paused.error, HasSubstr("--connect"));
  EXPECT_EQ(Nexus({"compact", "--data", data_, "--pause", "--resume"}).exit, kUsage);
}

TEST_F(NexusCommand, LogAndLayerAreVerifiedAndDumped) {
  ImportCpu();
  EXPECT_THAT(Done({"wal", "verify", data_}), HasSubstr("whole from its beginning"));
  EXPECT_THAT(Done({"wal", "dump", data_}),
              AllOf(HasSubstr("cpu_usage{host=\"a\"}"), HasSubstr("4 samples of 3 series")));
  Done({"flush", "--data", data_});
  ASSERT_EQ(DataFiles(".layer").size(), 1u);
  const std::string layer = DataFiles(".layer").front().string();
  EXPECT_THAT(Done({"layer", "verify", layer}), HasSubstr("sound: "));
  EXPECT_THAT(Done({"layer", "dump", layer}),
              AllOf(HasSubstr("3 series, 4 samples"), HasSubstr("cpu_idle{host=\"a\"}"),
                    HasSubstr("min 1.5 max 2.5")));
}

TEST_F(NexusCommand, DamagedLayerIsThreeAndNamesTheFile) {
  ImportCpu();
  Done({"flush", "--data", data_});
  ASSERT_EQ(DataFiles(".layer").size(), 1u);
  const std::filesystem::path layer = DataFiles(".layer").front();
  FlipByte(layer, 100);
  Result query = Nexus({"query", "--data", data_, "cpu_usage"});
  EXPECT_EQ(query.exit, kDamaged) << query.error;
  EXPECT_THAT(query.error, HasSubstr(layer.filename().string()));
  EXPECT_THAT(query.out, IsEmpty());
  Result verify = Nexus({"layer", "verify", layer.string()});
  EXPECT_EQ(verify.exit, kDamaged) << verify.error;
  EXPECT_THAT(verify.error, HasSubstr(layer.filename().string()));
}

TEST_F(NexusCommand, DamagedLogIsThreeAndNamesThePlaceAndTheWayOut) {
  ImportCpu();
  Done({"import", "--data", data_, "--format", "influx", "-"},
       "later usage=1 1800000000000000000\n");
  std::filesystem::path segment;
  size_t offset = std::string::npos;
  for (const auto& file : DataFiles(".log")) {
    size_t found = FileContent(file).find("cpu_idle");
    if (found == std::string::npos) continue;
    segment = file;
    offset = found;
  }
  ASSERT_NE(offset, std::string::npos) << "the definition of the series is in the log as text";
  FlipByte(segment, offset);
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"query", "--data", data_, "cpu_usage"},
        {"wal", "verify", data_}}) {
    Result result = Nexus(command);
    EXPECT_EQ(result.exit, kDamaged) << result.error;
    EXPECT_THAT(result.error, AllOf(HasSubstr(segment.filename().string()), HasSubstr("offset"),
                                    HasSubstr("LSN"), HasSubstr("nexus wal replay")));
  }
  EXPECT_THAT(Done({"wal", "replay", data_, "--skip-damaged", "--dry-run"}),
              AllOf(HasSubstr("would keep: "), HasSubstr(segment.filename().string())));
  Done({"wal", "replay", data_, "--skip-damaged"});
  EXPECT_EQ(Query("later_usage"),
            "{\"metric\":{\"__name__\":\"later_usage\"},\"samples\":[[1800000000000000000,1]]}\n");
}

TEST_F(NexusCommand, DeleteTakesWhatItsDryRunCounts) {
  ImportCpu();
  EXPECT_EQ(Done({"delete", "--data", data_, "cpu_usage", "--to", "1700000000", "--dry-run"}),
            "2 samples of 2 series would be deleted; the selector chooses 2 series\n");
  EXPECT_EQ(Done({"query", "--data", data_, "cpu_usage", "--format", "json"}), kCpuUsageJson);
  EXPECT_EQ(Done({"delete", "--data", data_, "cpu_usage", "--to", "1700000000"}),
            "deleted in 2 series\n");
  EXPECT_EQ(Done({"query", "--data", data_, "cpu_usage", "--format", "json"}),
            "{\"metric\":{\"__name__\":\"cpu_usage\",\"host\":\"a\"},"
            "\"samples\":[[1700000001000000000,2.5]]}\n");
  // Imported once more, the samples are there again: they were written later.
  ImportCpu();
  EXPECT_EQ(Done({"query", "--data", data_, "cpu_usage", "--format", "json"}), kCpuUsageJson);
}

TEST_F(NexusCommand, RetentionIsSetToldAndCarriedOut) {
  ImportCpu();
  EXPECT_EQ(Done({"retention", "list", "--data", data_}), "no rules: everything is kept\n");
  const std::string set =
      Done({"retention", "set", "cpu_usage{host=\"a\"}=7d", "{}=36500d", "--data", data_});
  EXPECT_THAT(set, StartsWith("SELECTOR             KEPT FOR\n"
                              "cpu_usage{host=\"a\"}  7d\n"
                              "{}                   36500d\n"
                              "the retention clock stands at 20"));
  Done({"compact", "--data", data_});
  Done({"flush", "--data", data_});
  Done({"compact", "--data", data_});
  EXPECT_EQ(Done({"query", "--data", data_, "cpu_usage", "--format", "json"}),
            "{\"metric\":{\"__name__\":\"cpu_usage\",\"host\":\"b\"},"
            "\"samples\":[[1700000000000000000,10]]}\n");
  EXPECT_THAT(Done({"stats", "--data", data_}),
              HasSubstr("retention          its clock stands at"));
  EXPECT_THAT(Done({"retention", "list", "--data", data_, "--format", "json"}),
              AllOf(StartsWith("{\"rules\":[{\"selector\":\"cpu_usage{host=\\\"a\\\"}\","
                               "\"duration_ns\":604800000000000},"),
                    HasSubstr("\"head_window_ns\":10800000000000,\"clock_runs\":true,")));
  EXPECT_THAT(Done({"retention", "set", "--none", "--data", data_}),
              StartsWith("no rules: everything is kept\nthe retention clock stands at 20"));
  EXPECT_THAT(Done({"retention", "accept-clock", "--data", data_}), StartsWith("no rules"));
}

TEST_F(NexusCommand, RollupsAreSetUsedAndGo) {
  ImportCpu();
  EXPECT_EQ(Done({"rollup", "list", "--data", data_}), "no rollups\n");
  EXPECT_EQ(Done({"rollup", "set", "1m=90d", "1h", "--data", data_}),
            "RESOLUTION  KEPT FOR\n1m          90d\n1h          ever\n");
  const std::vector<std::string> query = {"query",  "--data", data_,         "cpu_usage", "--agg",
                                          "avg",    "--step", "1h",          "--format",  "json",
                                          "--from", "0",      "--statistics"};
  const Result samples = Nexus(query);
  EXPECT_THAT(samples.error, HasSubstr(" 0 buckets of 0 layers of rollups"));
  Done({"flush", "--data", data_});
  Done({"compact", "--data", data_});
  const Result rollups = Nexus(query);
  EXPECT_EQ(rollups.out, samples.out);
  EXPECT_THAT(rollups.error, HasSubstr(" buckets of 1 layers of rollups"));
  EXPECT_THAT(rollups.error, HasSubstr(" 0 chunks decoded"));
  EXPECT_EQ(Done({"rollup", "list", "--data", data_, "--format", "json"}),
            "{\"rollups\":[{\"resolution_ns\":60000000000,\"keep_ns\":7776000000000000},"
            "{\"resolution_ns\":3600000000000,\"keep_ns\":0}]}\n");
  for (const char* rule : {"7s", "1m=1s", "1h=0s", "soon", "2d"}) {
    EXPECT_NE(Nexus({"rollup", "set", rule, "--data", data_}).exit, kDone) << rule;
  }
  EXPECT_EQ(Done({"rollup", "off", "--data", data_}), "no rollups\n");
}

TEST_F(NexusCommand, RetentionRefusesWhatCannotBe) {
  ImportCpu();
  Done({"retention", "set", "{}=36500d", "--data", data_});
  const std::string before = Done({"retention", "list", "--data", data_, "--format", "json"});
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"{}"},
                                                {"{}=soon"},
                                                {"{}=1h"},
                                                {"up{=7d"},
                                                {"up=7d", "up=8d"},
                                                {"{}=7d", "up=8d"},
                                                {"{}=7d", "--none"},
                                                {},
                                                {"{}=7d", "--tenant", "nobody"}}) {
    std::vector<std::string> command = {"retention", "set", "--data", data_};
    command.insert(command.end(), wrong.begin(), wrong.end());
    Result refused = Nexus(command);
    EXPECT_EQ(refused.exit, kUsage) << (wrong.empty() ? "no rule" : wrong[0]);
    EXPECT_THAT(refused.error, StartsWith("nexus: "));
  }
  const std::string rules = before.substr(0, before.find("clock_ns"));
  EXPECT_THAT(Done({"retention", "list", "--data", data_, "--format", "json"}), StartsWith(rules));
}

TEST_F(NexusCommand, DeleteOfEverythingMustBeSaid) {
  ImportCpu();
  Result refused = Nexus({"delete", "--data", data_, "{}"});
  EXPECT_EQ(refused.exit, kUsage);
  EXPECT_THAT(refused.error, HasSubstr("--everything"));
  EXPECT_EQ(Done({"query", "--data", data_, "cpu_usage", "--format", "json"}), kCpuUsageJson);
  EXPECT_THAT(Done({"delete", "--data", data_, "{}", "--dry-run"}), StartsWith("4 samples of 3"));
  EXPECT_EQ(Done({"delete", "--data", data_, "{}", "--everything"}), "deleted in 3 series\n");
  EXPECT_EQ(Done({"query", "--data", data_, "{}", "--format", "json"}), "");
}

TEST_F(NexusCommand, DeleteRefusesWhatIsNoSelectorOrTime) {
  ImportCpu();
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"cpu_usage{"},
                                                {"cpu_usage", "--from", "yesterday"},
                                                {"cpu_usage", "--from", "20", "--to", "10"},
                                                {"cpu_usage", "--branch", "nowhere"}}) {
    std::vector<std::string> command = {"delete", "--data", data_};
    command.insert(command.end(), wrong.begin(), wrong.end());
    Result refused = Nexus(command);
    EXPECT_EQ(refused.exit, kUsage) << wrong[0];
    EXPECT_THAT(refused.error, StartsWith("nexus: "));
  }
  EXPECT_EQ(Done({"query", "--data", data_, "cpu_usage", "--format", "json"}), kCpuUsageJson);
}

TEST_F(NexusCommand, ScrubFindsDamageAtItsPlaceWithoutOpeningOrChangingAnything) {
  ImportCpu();
  Done({"flush", "--data", data_});
  const std::string sound = Done({"scrub", "--data", data_, "--format", "json"});
  EXPECT_THAT(sound, AllOf(StartsWith("{\"clean\":true,\"finding_count\":0,"),
                           HasSubstr("\"layers\":1,"), HasSubstr("\"series\":3,")));
  EXPECT_THAT(Done({"scrub", "--data", data_}), HasSubstr("sound: nothing is damaged"));
  ASSERT_EQ(DataFiles(".layer").size(), 1u);
  const std::filesystem::path layer = DataFiles(".layer").front();
  FlipByte(layer, 100);
  const std::filesystem::path catalog = std::filesystem::path(data_) / "catalog" / "data.mdb";
  const std::string pages = FileContent(catalog);
  for (size_t at = pages.find("cpu_idle"); at != std::string::npos;
       at = pages.find("cpu_idle", at + 1)) {
    FlipByte(catalog, at);
  }
  const std::string damaged = FileContent(catalog);
  Result json = Nexus({"scrub", "--data", data_, "--format", "json"});
  EXPECT_EQ(json.exit, kDamaged) << json.error;
  EXPECT_THAT(json.out, AllOf(StartsWith("{\"clean\":false,\"finding_count\":2,"),
                              HasSubstr(layer.filename().string()), HasSubstr("\"offset\":0,"),
                              HasSubstr("\"first_ns\":1700000000000000000"), HasSubstr("data.mdb"),
                              HasSubstr("nexus catalog rebuild")));
  Result table = Nexus({"scrub", "--data", data_});
  EXPECT_EQ(table.exit, kDamaged);
  EXPECT_THAT(table.out, AllOf(HasSubstr("DAMAGE " + layer.string() + " at offset 0"),
                               HasSubstr("samples of 2023-11-14"), HasSubstr("way out: "),
                               HasSubstr("DAMAGED: 2 places")));
  EXPECT_EQ(FileContent(catalog), damaged);
}

TEST_F(NexusCommand, ScrubOfNoDatabaseOrWrongUsageIsTwo) {
  EXPECT_EQ(Nexus({"scrub", "--data", data_}).exit, kUsage);
  EXPECT_FALSE(std::filesystem::exists(data_));
  EXPECT_EQ(Nexus({"scrub"}).exit, kUsage);
  EXPECT_EQ(Nexus({"scrub", "--data", data_, "--connect", "127.0.0.1:1"}).exit, kUsage);
  EXPECT_EQ(Nexus({"scrub", "--data", data_, "--format", "csv"}).exit, kUsage);
}

TEST_F(NexusCommand, FolderInUseNamesItsHolder) {
  NexusProcess record(directory_, {"record", "--data", data_, "--interval", "20ms"}, "");
  for (int i = 0; i < 500 && record.Output().empty(); i++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  ASSERT_THAT(record.Output(), HasSubstr("last scrape durable"));
  // Waits for the folder for five seconds first.
  Result query = Nexus({"query", "--data", data_, "node_load1"});
  EXPECT_EQ(query.exit, kFailed) << query.error;
  EXPECT_THAT(query.error, AllOf(HasSubstr(data_), HasSubstr(fmt::format("{}", record.pid()))));
  record.Signal(SIGTERM);
  Result recorded = record.Wait();
  EXPECT_EQ(recorded.exit, kDone) << recorded.error;
  EXPECT_THAT(recorded.out, HasSubstr("all of them are durable"));
  EXPECT_THAT(Query("node_load1"), HasSubstr("\"__name__\":\"node_load1\""));
}

}  // namespace
}  // namespace nexus::server
