// `nexus health-check`: does a server answer? For containers and service managers.

#include <fmt/format.h>

#include <memory>

#include "server/command.h"
#include "server/command_target.h"

namespace nexus::server {
namespace {

// Within what container runtimes allow a check by default (Kubernetes 1 s to a few, Docker 30 s),
// and long for a server that lives: it answers a PING on the thread that does its work, and nothing
// there takes 100 ms.
constexpr int64_t kAnswerTimeoutMs = 3'000;

int Run(const std::string& address) {
  const int64_t started = io::RealMonotonicNanos();
  StatusOr<std::unique_ptr<client::Client>> client = ConnectTo(address, kAnswerTimeoutMs);
  if (!client.ok()) return Fail(client.status());
  double milliseconds = static_cast<double>(io::RealMonotonicNanos() - started) * 1e-6;
  WriteOutput(fmt::format("{} answers: {}, in {:.1f} ms\n", address, (*client)->server().server,
                          milliseconds));
  return kExitDone;
}

}  // namespace

void AddHealthCheckCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand(
      "health-check", "Ask a server whether it lives: exit 0 if it answers, 1 if it does not");
  auto address = std::make_shared<std::string>();
  command->add_option("--connect", *address, "the server's address")
      ->required()
      ->type_name("HOST:PORT");
  command->callback(
      [invocation, address] { invocation->run = [address] { return Run(*address); }; });
}

}  // namespace nexus::server
