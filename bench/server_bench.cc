// The server measured over loopback, client and server on the same cores: one table, with machine
// and build.
//
//   bazel run --config=release //bench:server_bench -- [--dir DIR] [--seconds N]
//
// The server is a child process, `nexus serve`, so that its CPU time is its own. Every
// acknowledgement is durable. Data is the `cpu` set of telemetry_gen.h. Compare rows of one run,
// not runs.

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/check.h"
#include "bench/telemetry_gen.h"
#include "client/client.h"
#include "io/real.h"

namespace nexus::bench {
namespace {

constexpr size_t kBatchSamples = 1000;
constexpr size_t kHosts = 1000;

struct Settings {
  std::string directory = "/tmp/nexus-server-bench";
  std::string nexus = "server/nexus";
  std::string address = "127.0.0.1:18080";
  int ticks = 2000;
};

double Seconds(int64_t from_ns) {
  return static_cast<double>(io::RealMonotonicNanos() - from_ns) * 1e-9;
}

void Row(std::string_view name, std::string_view value, std::string_view mark) {
  fmt::print("{:<52} {:>22}   {}\n", name, value, mark);
  std::fflush(stdout);
}

// `nexus serve` as a child.
class ServerProcess {
 public:
  ServerProcess(const Settings& settings, const std::string& data) {
    std::vector<std::string> all = {settings.nexus, "serve",          "--data",      data,
                                    "--listen",     settings.address, "--log-level", "error"};
    std::vector<char*> argv;
    for (std::string& argument : all) argv.push_back(argument.data());
    argv.push_back(nullptr);
    NEXUS_CHECK(posix_spawn(&pid_, argv[0], nullptr, nullptr, argv.data(), environ) == 0);
  }
  ~ServerProcess() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
  }
  // User and system time of all its threads.
  double CpuSeconds() const {
    std::ifstream stat(fmt::format("/proc/{}/stat", pid_));
    std::string line;
    std::getline(stat, line);
    std::istringstream fields(line.substr(line.rfind(')') + 2));
    std::string skipped;
    for (int i = 0; i < 11; i++) fields >> skipped;
    double user = 0, system = 0;
    fields >> user >> system;
    return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  }

 private:
  pid_t pid_ = 0;
};

std::unique_ptr<client::Client> Connect(const Settings& settings) {
  client::ClientOptions options;
  options.address = settings.address;
  options.wait_for_server = true;
  options.connect_timeout_ms = 20'000;
  auto client = client::Client::Connect(options);
  if (!client.ok()) fmt::print(stderr, "connect: {}\n", client.status().ToString());
  NEXUS_CHECK(client.ok());
  return *std::move(client);
}

std::vector<SeriesId> SeriesOf(client::Client* client, const TelemetryGenerator& data) {
  std::vector<SeriesId> ids;
  for (size_t s = 0; s < data.series(); s++) ids.push_back(client->Series(data.LabelsOf(s)));
  return ids;
}

void PrintIngest(std::string_view name, double samples, double seconds, double cpu,
                 std::string_view mark) {
  Row(name, fmt::format("{:.1f} M samples/s", samples / seconds * 1e-6),
      fmt::format("{}; server {:.3f} cpu-s/M", mark, cpu / samples * 1e6));
}

void MeasureBinary(const Settings& settings, const ServerProcess& server) {
  auto client = Connect(settings);
  TelemetryGenerator data(DataSet::kCpu, kHosts);
  const std::vector<SeriesId> ids = SeriesOf(client.get(), data);
  // Made beforehand, so that the generator is not in the measurement.
  std::vector<std::pair<int64_t, std::vector<double>>> tape;
  for (int tick = 0; tick < settings.ticks; tick++) {
    tape.emplace_back(data.timestamp_ms(0) * 1'000'000,
                      std::vector<double>(data.values().begin(), data.values().end()));
    data.NextTick();
  }
  auto append = [&](const auto& row) {
    for (size_t first = 0; first < ids.size(); first += kBatchSamples) {
      const size_t count = std::min(kBatchSamples, ids.size() - first);
      client::WriteBatch batch;
      batch.AddRow(row.first, std::span(ids).subspan(first, count),
                   std::span(row.second).subspan(first, count));
      client->AppendAsync(std::move(batch), {}, [](StatusOr<client::WriteOutcome> outcome) {
        NEXUS_CHECK(outcome.ok() && outcome->rejected.empty());
      });
    }
  };
  append(tape[0]);  // registers the series
  client->Sync();
  const double cpu = server.CpuSeconds();
  const int64_t started = io::RealMonotonicNanos();
  for (size_t tick = 1; tick < tape.size(); tick++) append(tape[tick]);
  client->Sync();
  PrintIngest("binary, durable, batches of 1,000, one connection",
              static_cast<double>((tape.size() - 1) * ids.size()), Seconds(started),
              server.CpuSeconds() - cpu, ">= 10; <= 0.06");
}

int ConnectSocket(const Settings& settings) {
  const size_t colon = settings.address.rfind(':');
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::stoi(settings.address.substr(colon + 1))));
  inet_pton(AF_INET, settings.address.substr(0, colon).c_str(), &address.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  NEXUS_CHECK(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  return fd;
}

// Ten fields a line, as telegraf sends the cpu set.
std::string Lines(int ticks) {
  TelemetryGenerator data(DataSet::kCpu, kHosts);
  std::string text;
  for (int tick = 0; tick < ticks; tick++) {
    for (size_t first = 0; first < data.series(); first += 10) {
      text += "cpu";
      const Labels labels = data.LabelsOf(first);
      for (const Label& label : labels.labels()) {
        text += fmt::format(",{}={}", label.name, label.value);
      }
      for (size_t i = 0; i < 10; i++) {
        text += fmt::format("{}{}={}", i == 0 ? " " : ",", data.MetricName(i),
                            data.values()[first + i]);
      }
      text += fmt::format(" {}\n", data.timestamp_ms(0) * 1'000'000);
    }
    data.NextTick();
  }
  return text;
}

void MeasureLines(const Settings& settings, const ServerProcess& server) {
  const int ticks = std::max(1, settings.ticks / 20);
  const std::string text = Lines(ticks);
  const double samples = static_cast<double>(ticks) * kHosts * 10;
  for (bool warm : {false, true}) {
    const int fd = ConnectSocket(settings);
    const double cpu = server.CpuSeconds();
    const int64_t started = io::RealMonotonicNanos();
    std::string_view rest = text;
    while (!rest.empty()) {
      const ssize_t sent = write(fd, rest.data(), rest.size());
      NEXUS_CHECK(sent > 0);
      rest.remove_prefix(static_cast<size_t>(sent));
    }
    shutdown(fd, SHUT_WR);
    char answer[256];
    const ssize_t got = read(fd, answer, sizeof(answer));
    NEXUS_CHECK(got > 3 && std::string_view(answer, 3) == "ok ");
    close(fd);
    if (!warm) continue;
    PrintIngest("line protocol, TCP, durable, ten fields a line", samples, Seconds(started),
                server.CpuSeconds() - cpu, ">= 4; <= 0.15");
  }
}

void Percentiles(std::string_view name, std::vector<double> milliseconds, std::string_view mark) {
  std::sort(milliseconds.begin(), milliseconds.end());
  auto at = [&](double q) {
    return milliseconds[static_cast<size_t>(q * static_cast<double>(milliseconds.size() - 1))];
  };
  Row(name, fmt::format("{:.3f} / {:.3f} ms", at(0.5), at(0.99)), mark);
}

template <typename Call>
std::vector<double> Times(int count, Call&& call) {
  std::vector<double> times;
  for (int i = 0; i < count; i++) {
    const int64_t started = io::RealMonotonicNanos();
    call(i);
    times.push_back(Seconds(started) * 1e3);
  }
  return times;
}

void MeasureLatency(const Settings& settings) {
  auto client = Connect(settings);
  TelemetryGenerator data(DataSet::kCpu, kHosts);
  std::vector<SeriesId> ids = SeriesOf(client.get(), data);
  ids.resize(10);
  const std::vector<double> values(10, 1.0);
  int64_t at = 2'000'000'000'000'000'000;
  Percentiles("one durable batch of 10 samples, p50 / p99",
              Times(5000,
                    [&](int) {
                      client::WriteBatch batch;
                      batch.AddRow(at++, ids, values);
                      NEXUS_CHECK(client->Append(std::move(batch)).ok());
                    }),
              "p99 <= 1 ms");
  auto drain = [](StatusOr<std::unique_ptr<client::Cursor>> cursor) {
    NEXUS_CHECK(cursor.ok());
    client::SeriesChunk chunk;
    uint64_t samples = 0;
    while (true) {
      StatusOr<bool> more = (*cursor)->Next(&chunk);
      NEXUS_CHECK(more.ok());
      if (!*more) break;
      samples += chunk.timestamps.size();
    }
    NEXUS_CHECK(samples > 0);
  };
  constexpr int64_t kHour = 3'600'000'000'000;
  const int64_t begin = data.timestamp_ms(0) * 1'000'000;
  Percentiles("latest of one series, p50 / p99",
              Times(2000,
                    [&](int i) {
                      client::SelectQuery query;
                      query.selector = fmt::format("usage_user{{hostname=\"host_{}\"}}",
                                                   static_cast<size_t>(i) % kHosts);
                      drain(client->Latest(query));
                    }),
              "p99 <= 0.3 ms");
  Percentiles("1 series x 1 h raw, p50 / p99",
              Times(2000,
                    [&](int i) {
                      client::SelectQuery query;
                      query.selector = fmt::format("usage_user{{hostname=\"host_{}\"}}",
                                                   static_cast<size_t>(i) % kHosts);
                      query.range = {begin + kHour, begin + 2 * kHour};
                      drain(client->Select(query));
                    }),
              "p99 <= 0.5 ms");
}

void Run(const Settings& settings) {
  std::filesystem::remove_all(settings.directory);
  std::filesystem::create_directories(settings.directory);
  utsname system = {};
  uname(&system);
  fmt::print("machine   {} cores, Linux {}\n", sysconf(_SC_NPROCESSORS_ONLN), system.release);
  fmt::print("build     GCC {}\n", __VERSION__);
  fmt::print("data      cpu set, {} hosts, {} ticks, in {}\n\n", kHosts, settings.ticks,
             settings.directory);
  fmt::print("{:<52} {:>22}   mark and details\n", "what", "measured");
  ServerProcess server(settings, settings.directory + "/db");
  MeasureBinary(settings, server);
  MeasureLines(settings, server);
  MeasureLatency(settings);
}

}  // namespace
}  // namespace nexus::bench

int main(int argc, char** argv) {
  nexus::bench::Settings settings;
  CLI::App app("The server measured over loopback");
  app.add_option("--dir", settings.directory, "where to put the database")->capture_default_str();
  app.add_option("--nexus", settings.nexus, "the nexus binary")->capture_default_str();
  app.add_option("--address", settings.address, "where to listen")->capture_default_str();
  app.add_option("--ticks", settings.ticks, "ticks of the generator")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  nexus::bench::Run(settings);
  return 0;
}
