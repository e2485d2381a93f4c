// Connecting to a server that may be dead at the moment, or not started yet.
//
// Threading: blocks; any thread.

#ifndef NEXUS_TESTS_KILL_LOOP_PATIENT_H_
#define NEXUS_TESTS_KILL_LOOP_PATIENT_H_

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>

#include "client/client.h"
#include "tests/kill_loop/judge.h"

namespace nexus::kill_loop {

// Tries until the server is there, or the run has failed: then null. What no patience mends is a
// failure of the run.
inline std::unique_ptr<client::Client> ConnectPatiently(const std::string& address,
                                                        const std::string& name, Judge* judge) {
  while (!judge->failed()) {
    client::ClientOptions options;
    options.address = address;
    options.name = name;
    options.wait_for_server = true;
    auto client = client::Client::Connect(std::move(options));
    if (client.ok()) return *std::move(client);
    if (!absl::IsUnavailable(client.status())) {
      judge->Fail(fmt::format("{} cannot connect: {}", name, client.status().ToString()));
    }
  }
  return nullptr;
}

}  // namespace nexus::kill_loop

#endif  // NEXUS_TESTS_KILL_LOOP_PATIENT_H_
