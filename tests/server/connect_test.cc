// Commands with --connect: what a server answers is what its folder answers, byte for byte; what
// keeps a command from its server is said; an import outlives the server it began with.

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <simdjson.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/nexus_process.h"

namespace nexus::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kDamaged = 3;

using Arguments = std::vector<std::string>;

// A listening socket that answers nobody: connections are made by the kernel and stay silent.
class SilentPort {
 public:
  SilentPort() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof(address);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), bytes), 0);
    EXPECT_EQ(listen(fd_, 8), 0);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &bytes), 0);
    address_ = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
  }
  ~SilentPort() { Close(); }
  SilentPort(const SilentPort&) = delete;
  SilentPort& operator=(const SilentPort&) = delete;
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  const std::string& address() const { return address_; }

 private:
  int fd_;
  std::string address_;
};

class ConnectTest : public NexusCommandTest {
 protected:
  // Serves data_; returns when it listens. On the same port every time.
  void Serve() {
    server_ = std::make_unique<NexusProcess>(
        directory_, Arguments{"serve", "--data", data_, "--listen", address_, "--log-format=human"},
        "");
    for (int i = 0; i < 1000; i++) {
      const std::string log = server_->Errors();
      size_t at = log.find(" address=");
      size_t end = log.find('\n', at);
      if (at != std::string::npos && end != std::string::npos) {
        at += std::string_view(" address=").size();
        address_ = log.substr(at, end - at);
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    FAIL() << "the server does not listen: " << server_->Errors();
  }
  void StopServing() {
    server_->Signal(SIGTERM);
    Result stopped = server_->Wait();
    EXPECT_EQ(stopped.exit, kDone) << stopped.error;
  }
  void KillServer() {
    server_->Signal(SIGKILL);
    server_->Wait();
  }

  // The command line with the database that `data` or the server has.
  Arguments At(Arguments command, const std::string& option, const std::string& value) const {
    command.insert(command.end(), {option, value});
    return command;
  }
  Result Connected(const Arguments& command, std::string_view input = {}) {
    return Nexus(At(command, "--connect", address_), input);
  }
  Result Embedded(const Arguments& command, std::string_view input = {}) {
    return Nexus(At(command, "--data", Path("embedded")), input);
  }
  uint64_t Figure(const std::string& json, std::string_view name) const {
    simdjson::dom::parser parser;
    uint64_t figure = 0;
    EXPECT_EQ(parser.parse(json)[name].get(figure), simdjson::SUCCESS) << name << ": " << json;
    return figure;
  }

  std::string address_ = "127.0.0.1:0";
  std::unique_ptr<NexusProcess> server_;
};

// 3 series of 20,000 samples, with values of all sorts: more than a frame of an answer holds.
std::string ManyLines() {
  std::string lines;
  for (int i = 0; i < 20'000; i++) {
    lines += fmt::format("cpu,host=a,dc=\\\"x\\\" usage={},idle={}i {}\n", 0.1 * i, i,
                         1'700'000'000'000'000'000 + i * 1'000'000'000ll);
    lines += fmt::format("disk free={} {}\n", i % 2 == 0 ? -1e300 : 0.0,
                         1'700'000'000'000'000'000 - i * 1'000'000'007ll);
  }
  return lines;
}

TEST_F(ConnectTest, ServerAnswersWhatItsFolderAnswersByteForByte) {
  Serve();
  const std::string file = File("many.lp", ManyLines());
  for (const Result& result : {Connected({"import", "--format", "influx", file}),
                               Embedded({"import", "--format", "influx", file})}) {
    EXPECT_EQ(result.exit, kDone) << result.error;
    EXPECT_THAT(result.out, AllOf(StartsWith("imported 60000 samples of 3 series in "),
                                  HasSubstr("; 0 lines rejected; all durable")));
  }
  const std::string more = File("more.lp", "disk free=1 1\n");
  const std::vector<Arguments> commands = {
      {"query", "{__name__=~\".+\"}", "--format", "csv"},
      {"query", "{__name__=~\".+\"}", "--format", "json"},
      {"query", "cpu_idle", "--from", "1700000100", "--to", "1700000110", "--format", "json"},
      {"query", "{__name__=~\".+\"}", "--agg", "p99.9", "--by", "host,dc", "--format", "csv"},
      {"query", "{__name__=~\".+\"}", "--agg", "count", "--by", "", "--step", "1h"},
      {"query", "cpu_idle", "--agg", "rate", "--step", "1m"},
      {"query", "disk_free", "--agg", "first"},
      {"query", "cpu_usage", "--plot"},
      {"query", "nothing"},
      {"query", "cpu{"},
      {"query", "cpu_usage", "--tenant", "nobody"},
      {"snapshot", "create", "before"},
      {"branch", "create", "other", "--from", "before"},
      {"import", "--branch", "other", "--format", "influx", more},
      {"import", "--branch", "before", "--format", "influx", more},
      {"query", "disk_free", "--branch", "other", "--to", "2", "--format", "json"},
      {"query", "disk_free", "--as-of", "before", "--to", "2", "--format", "json"},
      {"query", "disk_free", "--as-of", "other"},
      {"branch", "create", "other"},
      {"branch", "delete", "before"},
      {"retention", "list"},
      {"retention", "set", "{}=1h"},
      {"retention", "set", "cpu{=8d"},
      {"retention", "set", "cpu=8d", "cpu=9d"},
      {"retention", "set"},
      {"retention", "accept-clock"},
      {"retention", "list", "--tenant", "nobody"},
      {"flush"},
      {"snapshot", "delete", "before"},
      {"branch", "delete", "other"},
      {"query", "{__name__=~\".+\"}", "--format", "json"},
  };
  for (const Arguments& command : commands) {
    SCOPED_TRACE(fmt::format("{} {}", command[0], command.back()));
    Result connected = Connected(command);
    Result embedded = Embedded(command);
    EXPECT_EQ(connected.exit, embedded.exit) << connected.error;
    EXPECT_EQ(connected.error, embedded.error);
    if (command[0] == "import") continue;  // says how long it took
    // These count layers, which are as they happened to be flushed and compacted.
    if (command[0] == "flush" || command[0] == "snapshot" || command[0] == "branch") continue;
    EXPECT_TRUE(connected.out == embedded.out) << connected.out.substr(0, 500) << "\ninstead of\n"
                                               << embedded.out.substr(0, 500);
  }
}

TEST_F(ConnectTest, StatsOverTheWireAreThoseOfTheFolder) {
  Serve();
  const std::string file = File("many.lp", ManyLines());
  EXPECT_EQ(Connected({"import", "--format", "influx", file}).exit, kDone);
  Result flushed = Connected({"flush"});
  EXPECT_EQ(flushed.exit, kDone) << flushed.error;
  EXPECT_THAT(flushed.out, HasSubstr("60000 samples in 1 layers"));
  Result table = Connected({"stats"});
  Result json = Connected({"stats", "--format", "json"});
  EXPECT_EQ(table.exit, kDone) << table.error;
  EXPECT_EQ(json.exit, kDone) << json.error;
  StopServing();
  const std::string local = Done({"stats", "--data", data_, "--format", "json"});
  for (const char* name : {"series", "samples", "layers", "layer_bytes", "layer_samples"}) {
    EXPECT_EQ(Figure(json.out, name), Figure(local, name)) << name;
  }
  EXPECT_EQ(Figure(json.out, "samples"), 60'000u);
  EXPECT_EQ(Figure(local, "open_count"), Figure(json.out, "open_count") + 1);
  // Up to how many files are open, which another opening does not share.
  auto head = [](const std::string& text) { return text.substr(0, text.find(';')); };
  EXPECT_EQ(head(table.out), head(Done({"stats", "--data", data_})));
  EXPECT_THAT(table.out, AllOf(HasSubstr("\nI/O "), HasSubstr("\nwriting            ok\n")));
}

TEST_F(ConnectTest, WrongLinesAreRejectedAsWithAFolder) {
  Serve();
  const std::string file = File("mixed.lp",
                                "cpu,host=a usage=1.5 1700000000000000000\n"
                                "cpu,host=a usage=zebra 1700000001000000000\n"
                                "cpu,host=\xff usage=1 1700000001000000000\n"
                                "cpu,host=a usage=2.5 1700000001000000000");
  const Arguments import = {"import", "--format", "influx", file};
  Result connected = Connected(import);
  Result embedded = Embedded(import);
  EXPECT_EQ(connected.exit, kFailed);
  EXPECT_EQ(connected.error, embedded.error);
  EXPECT_THAT(connected.out,
              AllOf(HasSubstr("imported 2 samples of 1 series"), HasSubstr("2 lines rejected")));
  Result nobody = Connected({"import", "--tenant", "nobody", "--format", "influx", file});
  EXPECT_EQ(nobody.exit, kUsage);
  EXPECT_THAT(nobody.error, HasSubstr("nobody"));
  EXPECT_THAT(nobody.out, IsEmpty());
}

TEST_F(ConnectTest, NotExactlyOneOfDataAndConnectIsUsage) {
  for (const Arguments& command :
       {Arguments{"query", "cpu"}, Arguments{"stats"}, Arguments{"flush"},
        Arguments{"import", "--format", "csv", "x"}}) {
    Result neither = Nexus(command);
    EXPECT_EQ(neither.exit, kUsage) << command[0];
    EXPECT_THAT(neither.error, AllOf(HasSubstr("--data DIR"), HasSubstr("--connect HOST:PORT")));
    Result both = Nexus(At(At(command, "--data", data_), "--connect", "127.0.0.1:1"));
    EXPECT_EQ(both.exit, kUsage) << command[0];
    EXPECT_THAT(both.error, AllOf(HasSubstr("--data " + data_), HasSubstr("give one of them")));
  }
  EXPECT_FALSE(std::filesystem::exists(data_));
  EXPECT_EQ(Nexus({"health-check"}).exit, kUsage);
}

TEST_F(ConnectTest, WhatIsNoAddressIsUsage) {
  const std::vector<Arguments> commands = {{"query", "cpu"}, {"stats"}, {"health-check"}};
  for (const Arguments& command : commands) {
    Result result = Nexus(At(command, "--connect", "localhost"));
    EXPECT_EQ(result.exit, kUsage) << command[0];
    EXPECT_THAT(result.error, AllOf(HasSubstr("--connect"), HasSubstr("'localhost'"),
                                    HasSubstr("expected HOST:PORT")));
  }
}

TEST_F(ConnectTest, NobodyThereIsFailureWithTheReason) {
  SilentPort port;
  port.Close();
  const std::string file = File("cpu.lp", "cpu usage=1 1\n");
  const std::vector<Arguments> commands = {{"query", "cpu"},
                                           {"stats"},
                                           {"flush"},
                                           {"import", "--format", "influx", file},
                                           {"health-check"}};
  for (const Arguments& command : commands) {
    Result result = Nexus(At(command, "--connect", port.address()));
    EXPECT_EQ(result.exit, kFailed) << command[0];
    EXPECT_THAT(result.error, AllOf(HasSubstr(port.address()), HasSubstr("Connection refused")));
    EXPECT_THAT(result.out, IsEmpty());
  }
}

TEST_F(ConnectTest, HealthCheckTellsAServerFromASilentPortAndFromAStoppedOne) {
  SilentPort silent;
  Result unanswered = Nexus({"health-check", "--connect", silent.address()});
  EXPECT_EQ(unanswered.exit, kFailed);
  EXPECT_THAT(unanswered.error, AllOf(HasSubstr(silent.address()), HasSubstr("no greeting")));
  Serve();
  Result healthy = Connected({"health-check"});
  EXPECT_EQ(healthy.exit, kDone) << healthy.error;
  EXPECT_THAT(healthy.out, StartsWith(address_ + " answers: nexus "));
  EXPECT_EQ(std::count(healthy.out.begin(), healthy.out.end(), '\n'), 1);
  StopServing();
  EXPECT_EQ(Connected({"health-check"}).exit, kFailed);
}

TEST_F(ConnectTest, DamagedLayerIsThreeOverTheWireToo) {
  Serve();
  EXPECT_EQ(Connected({"import", "--format", "influx", File("many.lp", ManyLines())}).exit, kDone);
  EXPECT_EQ(Connected({"flush"}).exit, kDone);
  KillServer();
  ASSERT_EQ(DataFiles(".layer").size(), 1u);
  const std::filesystem::path layer = DataFiles(".layer").front();
  FlipByte(layer, 4096 + 100);  // a page of samples: the server starts, as long as nobody reads it
  Serve();
  Result query = Connected({"query", "cpu_usage"});
  EXPECT_EQ(query.exit, kDamaged) << query.error;
  EXPECT_THAT(query.error, HasSubstr(layer.filename().string()));
  EXPECT_EQ(Connected({"health-check"}).exit, kDone) << "damage of one file ends no server";
}

TEST_F(ConnectTest, ServedFolderSaysWhereToConnect) {
  Serve();
  // Waits for the folder for five seconds first.
  Result stats = Nexus({"stats", "--data", data_});
  EXPECT_EQ(stats.exit, kFailed);
  EXPECT_THAT(stats.error, AllOf(HasSubstr(data_), HasSubstr("--connect " + address_)));
}

// Standard input that a test writes to while a command reads.
class Fifo {
 public:
  explicit Fifo(const std::string& path) : path_(path) {
    EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
    // For reading too: opening it waits for no reader.
    fd_ = open(path.c_str(), O_RDWR | O_CLOEXEC);
  }
  ~Fifo() { Close(); }
  Fifo(const Fifo&) = delete;
  Fifo& operator=(const Fifo&) = delete;
  InputPath input() const { return {path_}; }

  void Write(std::string_view text) {
    while (!text.empty()) {
      ssize_t written = write(fd_, text.data(), text.size());
      ASSERT_GT(written, 0);
      text.remove_prefix(static_cast<size_t>(written));
    }
  }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  const std::string path_;
  int fd_;
};

TEST_F(ConnectTest, ImportOutlivesServersThatAreKilledAndStoresEverySampleOnce) {
  constexpr int kKills = 3;
  constexpr int kPart = 120'000;  // more than two of the importer's batches
  Serve();
  Fifo fifo(Path("fifo"));
  NexusProcess import(directory_, {"import", "--connect", address_, "--format", "influx", "-"},
                      fifo.input());
  int64_t next = 0;
  auto write = [&] {
    std::string lines;
    for (const int64_t end = next + kPart; next < end; next++) {
      lines += fmt::format("written,client={} at={} {}\n", next % 2, next, next);
    }
    fifo.Write(lines);
  };
  for (int kill = 0; kill < kKills; kill++) {
    write();
    for (int i = 0; i < 500; i++) {
      if (Figure(Connected({"stats", "--format", "json"}).out, "appended_batches") > 0) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    write();
    // With batches under way, and more that come while nobody listens.
    KillServer();
    write();
    Serve();
  }
  write();
  fifo.Close();
  Result imported = import.Wait();
  EXPECT_EQ(imported.exit, kDone) << imported.error;
  EXPECT_THAT(imported.error, AllOf(HasSubstr(address_), HasSubstr("; connecting again\n"),
                                    HasSubstr("nexus: connected to " + address_ + " again\n")));
  EXPECT_THAT(imported.out,
              AllOf(StartsWith("imported "), HasSubstr("of 2 series"), HasSubstr("; all durable")));
  // A sample that was stored twice counts twice until layers are merged.
  EXPECT_EQ(Figure(Connected({"stats", "--format", "json"}).out, "samples"),
            static_cast<uint64_t>(next));
  StopServing();
  EXPECT_EQ(Done({"query", "--data", data_, "written_at", "--agg", "count", "--by", "", "--format",
                  "json", "--from", "1970-01-01T00:00:00Z"}),
            fmt::format("{{\"metric\":{{}},\"samples\":[[0,{}]]}}\n", next));
  const int64_t sum = next * (next - 1) / 2;
  // The sum tells that no value was lost for another one that came twice.
  EXPECT_EQ(Done({"query", "--data", data_, "written_at", "--agg", "sum", "--by", "", "--format",
                  "json", "--from", "1970-01-01T00:00:00Z"}),
            fmt::format("{{\"metric\":{{}},\"samples\":[[0,{}]]}}\n", static_cast<double>(sum)));
}

TEST_F(ConnectTest, ARunningServerIsCompactedPausedAndResumed) {
  Serve();
  for (int i = 0; i < 3; i++) {
    const std::string file = File("many.lp", ManyLines());
    ASSERT_EQ(Connected({"import", "--format", "influx", file}).exit, kDone);
    ASSERT_EQ(Connected({"flush"}).exit, kDone);
  }
  const Arguments query = {"query", "{__name__=~\".+\"}", "--format", "json"};
  const Result before = Connected(query);
  EXPECT_THAT(Connected({"compact", "--pause"}).out, HasSubstr("paused"));
  const Result refused = Connected({"compact"});
  EXPECT_EQ(refused.exit, kFailed);
  EXPECT_THAT(refused.error, HasSubstr("nexus compact --resume"));
  EXPECT_EQ(Connected({"compact", "--resume"}).exit, kDone);
  const Result compacted = Connected({"compact"});
  EXPECT_EQ(compacted.exit, kDone) << compacted.error;
  EXPECT_THAT(compacted.out, AllOf(HasSubstr("3 layers of "), HasSubstr("became ")));
  const Result after = Connected(query);
  EXPECT_TRUE(after.out == before.out) << "a compaction changed an answer";
  const Result stats = Connected({"stats", "--format", "json"});
  EXPECT_EQ(Figure(stats.out, "garbage_layers"), 0u);
  EXPECT_EQ(Figure(stats.out, "layer_samples"), 60'000u) << "each sample was written three times";
  EXPECT_EQ(DataFiles(".layer").size(), Figure(stats.out, "layers"));
  StopServing();
  EXPECT_EQ(Done({"query", "{__name__=~\".+\"}", "--data", data_, "--format", "json"}), before.out);
}

TEST_F(ConnectTest, DeleteOfARunningServerIsVisibleAtOnceAndLasts) {
  Serve();
  const std::string file = File("many.lp", ManyLines());
  ASSERT_EQ(Connected({"import", "--format", "influx", file}).exit, kDone);
  const uint64_t before = Figure(Connected({"stats", "--format", "json"}).out, "samples");
  Result dry = Connected({"delete", "{}", "--dry-run"});
  EXPECT_EQ(dry.exit, kDone) << dry.error;
  EXPECT_THAT(dry.out, HasSubstr("samples of 3 series would be deleted"));
  EXPECT_EQ(Figure(Connected({"stats", "--format", "json"}).out, "samples"), before);
  Result refused = Connected({"delete", "{}"});
  EXPECT_EQ(refused.exit, kUsage) << refused.error;
  Result deleted = Connected({"delete", "{}", "--everything"});
  EXPECT_EQ(deleted.exit, kDone) << deleted.error;
  EXPECT_EQ(deleted.out, "deleted in 3 series\n");
  EXPECT_EQ(Connected({"query", "{}", "--format", "json"}).out, "");
  Result wrong = Connected({"delete", "{a=}", "--from", "1"});
  EXPECT_EQ(wrong.exit, kUsage) << wrong.error;
  StopServing();
  EXPECT_EQ(Done({"query", "--data", data_, "{}", "--format", "json"}), "");
}

TEST_F(ConnectTest, RetentionOfARunningServerIsSetAndLasts) {
  Serve();
  const Result set = Connected({"retention", "set", "cpu{host=\"a\"}=7d", "{}=400d"});
  EXPECT_EQ(set.exit, kDone) << set.error;
  EXPECT_THAT(set.out, HasSubstr("cpu{host=\"a\"}  7d\n{}             400d\nthe retention clock"));
  EXPECT_THAT(Connected({"stats"}).out, HasSubstr("retention          its clock stands at 20"));
  EXPECT_EQ(Connected({"retention", "accept-clock"}).exit, kDone);
  StopServing();
  EXPECT_THAT(Done({"retention", "list", "--data", data_}), HasSubstr("cpu{host=\"a\"}  7d\n"));
}

TEST_F(ConnectTest, RollupsOfARunningServerAreSetAndLast) {
  Serve();
  const Result set = Connected({"rollup", "set", "1m", "1h=400d"});
  EXPECT_EQ(set.exit, kDone) << set.error;
  EXPECT_EQ(set.out, "RESOLUTION  KEPT FOR\n1m          ever\n1h          400d\n");
  EXPECT_THAT(Connected({"rollup", "set", "7s"}).error, HasSubstr("divides a day"));
  EXPECT_EQ(Connected({"rollup", "list"}).out, set.out);
  StopServing();
  EXPECT_EQ(Done({"rollup", "list", "--data", data_}), set.out);
}

TEST_F(ConnectTest, ScrubOfARunningServerTellsWhatIsSoundAndWhatIsNot) {
  Serve();
  const std::string file = File("many.lp", ManyLines());
  ASSERT_EQ(Connected({"import", "--format", "influx", file}).exit, kDone);
  ASSERT_EQ(Connected({"flush"}).exit, kDone);
  Result sound = Connected({"scrub", "--format", "json"});
  EXPECT_EQ(sound.exit, kDone) << sound.error;
  EXPECT_EQ(Figure(sound.out, "samples"), 60'000u);
  EXPECT_EQ(Figure(sound.out, "series"), 3u);
  EXPECT_GT(Figure(sound.out, "catalog_pages"), 3u);
  Result in_use = Nexus({"scrub", "--data", data_});
  EXPECT_EQ(in_use.exit, kFailed);
  EXPECT_THAT(in_use.error, HasSubstr("--connect " + address_));
  const std::filesystem::path layer = DataFiles(".layer").front();
  FlipByte(layer, static_cast<size_t>(std::filesystem::file_size(layer) / 2));
  Result damaged = Connected({"scrub"});
  EXPECT_EQ(damaged.exit, kDamaged) << damaged.error;
  EXPECT_THAT(damaged.out, AllOf(HasSubstr("DAMAGE " + layer.string() + " at offset "),
                                 HasSubstr("series ("), HasSubstr("way out: ")));
  EXPECT_EQ(Connected({"stats"}).exit, kDone) << "it serves on";
  StopServing();
}

}  // namespace
}  // namespace nexus::server
