// Starting, killing and checking the server. See server.h.

#include "tests/kill_loop/server.h"

#include <fmt/format.h>

#include <csignal>
#include <utility>

namespace nexus::kill_loop {
namespace {

// Of a server's log, in a message.
constexpr size_t kLogShownBytes = 4000;

}  // namespace

ServerUnderTest::ServerUnderTest(std::filesystem::path home, std::vector<std::string> settings,
                                 std::string data)
    : home_(std::move(home)),
      settings_(std::move(settings)),
      data_(data.empty() ? (home_ / "db").string() : std::move(data)),
      address_(fmt::format("127.0.0.1:{}", server::FreePort())) {}

Problem ServerUnderTest::Start(const std::string& io) {
  std::vector<std::string> arguments = {"serve",    "--data", data_,
                                        "--listen", address_, "--log-format=human"};
  arguments.insert(arguments.end(), settings_.begin(), settings_.end());
  if (!io.empty()) arguments.push_back("--io=" + io);
  process_ = std::make_unique<server::NexusProcess>(home_, arguments, "");
  if (!process_->started()) return "NEXUS_BINARY cannot be started";
  return std::nullopt;
}

bool ServerUnderTest::listening() const {
  return process_ != nullptr && process_->Errors().find("listening") != std::string::npos;
}

std::string ServerUnderTest::Describe(const std::string& what, const server::Result& result) const {
  std::string log = result.error;
  if (log.size() > kLogShownBytes) log = log.substr(log.size() - kLogShownBytes);
  return fmt::format("{} (exit {}, signal {}) in {}:\n{}{}", what, result.exit, result.signal,
                     home_.string(), result.out, log);
}

Problem ServerUnderTest::Kill() {
  process_->Signal(SIGKILL);
  const server::Result result = process_->Wait();
  process_.reset();
  if (result.signal == SIGKILL) return std::nullopt;
  return Describe("the server had ended by itself", result);
}

Problem ServerUnderTest::Stop() {
  process_->Signal(SIGTERM);
  const server::Result result = process_->Wait();
  process_.reset();
  if (result.exit == 0) return std::nullopt;
  return Describe("the server did not stop in order", result);
}

Problem ServerUnderTest::Scrub() {
  const server::Result result = server::NexusProcess(home_, {"scrub", "--data", data_}, "").Wait();
  if (result.exit == 0) return std::nullopt;
  return Describe("nexus scrub", result);
}

}  // namespace nexus::kill_loop
