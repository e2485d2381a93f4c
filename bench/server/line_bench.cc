// Line protocol through whole sessions into a durable database: text over TCP and HTTP bodies,
// without the sockets.
//
//   bazel run --config=release //bench/server:line_bench -- [--dir DIR] [--samples N]
//
// Bytes come in pieces of 64 KiB, one a turn of the loop, as a socket would give them. Every sample
// is durable when the answer comes. CPU is that of the whole process: parsing, log, memtable,
// flushes.

#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "engine/core.h"
#include "io/real.h"
#include "server/http_session.h"
#include "server/service.h"
#include "server/text_session.h"

namespace nexus::server {
namespace {

constexpr size_t kPieceBytes = 64 << 10;

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Takes answers and tells when reading goes on or the session is done.
class Peer : public Transport {
 public:
  void Write(std::string_view bytes) override {
    output.append(bytes);
    changed.Pulse();
  }
  uint64_t queued_bytes() const override { return 0; }
  void Pause() override { paused = true; }
  void Resume() override {
    paused = false;
    changed.Pulse();
  }
  void ReceiveInto(MutableBytes) override { NEXUS_CHECK(false); }
  void CloseAfterWrites(std::string_view) override {
    closed = true;
    changed.Pulse();
  }
  const std::string& peer() const override { return name_; }

  std::string output;
  bool paused = false;
  bool closed = false;
  io::Event changed;

 private:
  std::string name_ = "bench";
};

// Lines of `fields` fields, 100 hosts a tick of 10 s.
std::string Lines(uint64_t samples, int fields, int64_t first_tick) {
  std::string text;
  uint64_t line = 0;
  for (uint64_t made = 0; made < samples; made += static_cast<uint64_t>(fields), line++) {
    const auto host = static_cast<int>(line % 100);
    const int64_t tick = first_tick + static_cast<int64_t>(line / 100);
    text += fmt::format("cpu,hostname=host_{},region=eu-central-1,rack=r{} ", host, host % 7);
    for (int field = 0; field < fields; field++) {
      const auto value = static_cast<int>((line * 7 + static_cast<uint64_t>(field) * 13) % 1000);
      text += fmt::format("{}usage_{}={}.{}", field == 0 ? "" : ",", field, value / 10, value % 10);
    }
    text += fmt::format(" {}\n", 1'700'000'000'000'000'000 + tick * 10'000'000'000);
  }
  return text;
}

std::string Requests(const std::string& lines, size_t body_bytes) {
  std::string text;
  for (size_t at = 0; at < lines.size();) {
    size_t end = std::min(lines.size(), at + body_bytes);
    if (end < lines.size()) end = lines.find('\n', end) + 1;
    text += fmt::format("POST /write HTTP/1.1\r\nContent-Length: {}\r\n\r\n", end - at);
    text += lines.substr(at, end - at);
    at = end;
  }
  return text;
}

io::Task<void> Feed(io::Executor* executor, Session* session, Peer* peer, std::string_view text) {
  while (!text.empty()) {
    while (peer->paused) co_await peer->changed.Wait();
    session->OnBytes(AsBytes(text.substr(0, kPieceBytes)));
    text.remove_prefix(std::min(kPieceBytes, text.size()));
    co_await executor->Yield();
  }
  while (peer->paused) co_await peer->changed.Wait();
  session->OnEnd();
  while (!peer->closed) co_await peer->changed.Wait();
}

io::Task<bool> FeedTask(io::Executor* executor, Session* session, Peer* peer,
                        std::string_view text) {
  co_await Feed(executor, session, peer, text);
  co_return true;
}

template <typename SessionType>
void Measure(const char* name, io::RealEnvironment* environment, Service* service,
             const std::string& text, uint64_t samples) {
  Peer peer;
  std::unique_ptr<Session> session;
  environment->RunOnLoop([&] { session = std::make_unique<SessionType>(service, &peer); });
  const double cpu = CpuSeconds();
  const int64_t started = io::RealMonotonicNanos();
  environment->BlockOn(FeedTask(environment->executor(), session.get(), &peer, text));
  const double seconds = static_cast<double>(io::RealMonotonicNanos() - started) * 1e-9;
  const double millions = static_cast<double>(samples) * 1e-6;
  fmt::print("{:<44} {:>6.2f} M samples/s  {:.4f} cpu-s/M  {:>5.0f} MB/s  {}\n", name,
             millions / seconds, (CpuSeconds() - cpu) / millions,
             static_cast<double>(text.size()) * 1e-6 / seconds,
             peer.output.substr(0, peer.output.find_first_of("\r\n")));
  std::fflush(stdout);
  environment->RunOnLoop([&] { session.reset(); });
}

void Run(const std::string& directory, uint64_t samples) {
  std::filesystem::remove_all(directory);
  auto environment = io::RealEnvironment::Start({});
  NEXUS_CHECK(environment.ok());
  Options options;
  options.directory = directory;
  auto core = (*environment)
                  ->BlockOn(engine::DatabaseCore::Open(environment->get(), std::move(options), {}));
  NEXUS_CHECK(core.ok());
  std::unique_ptr<Service> service;
  (*environment)->RunOnLoop([&] {
    service = std::make_unique<Service>(core->get(), environment->get());
  });
  int64_t tick = 0;
  for (int fields : {10, 1}) {
    // Twice: the first makes the series.
    for (const char* round : {"first", "again"}) {
      const std::string lines = Lines(samples, fields, tick);
      tick += static_cast<int64_t>(samples / 100) + 1;
      Measure<TextSession>(fmt::format("text, {} fields a line, {}", fields, round).c_str(),
                           environment->get(), service.get(), lines, samples);
    }
    const std::string lines = Lines(samples, fields, tick);
    tick += static_cast<int64_t>(samples / 100) + 1;
    Measure<HttpSession>(fmt::format("HTTP, {} fields a line, 1 MB bodies", fields).c_str(),
                         environment->get(), service.get(), Requests(lines, 1'000'000), samples);
  }
  NEXUS_CHECK((*environment)->BlockOn((*core)->Close()).ok());
  (*environment)->RunOnLoop([&] {
    service.reset();
    core->reset();
  });
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace nexus::server

int main(int argc, char** argv) {
  CLI::App app("Measures line protocol through sessions.");
  std::string directory = "/tmp/nexus-line-bench";
  uint64_t samples = 4'000'000;
  app.add_option("--dir", directory, "scratch folder, wiped before and after")
      ->capture_default_str();
  app.add_option("--samples", samples, "samples of each row")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  nexus::server::Run(directory, samples);
  return 0;
}
