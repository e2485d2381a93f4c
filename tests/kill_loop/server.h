// ServerUnderTest: the shipped binary serving one folder on one port, over many lives.
//
// The binary is that of tests/server/process.h. Small limits make flushes, rotations and
// checkpoints frequent. Failure: every call that is not void says what went wrong, with the end of
// the server's log, or nothing if all is well. Threading: one thread.

#ifndef NEXUS_TESTS_KILL_LOOP_SERVER_H_
#define NEXUS_TESTS_KILL_LOOP_SERVER_H_

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/server/process.h"

namespace nexus::kill_loop {

using Problem = std::optional<std::string>;

class ServerUnderTest {
 public:
  // `home` exists: logs go there, the database to `home`/db or to `data`. `settings` are further
  // arguments of `nexus serve`.
  ServerUnderTest(std::filesystem::path home, std::vector<std::string> settings,
                  std::string data = {});

  const std::string& address() const { return address_; }
  const std::string& data() const { return data_; }

  // Starts the binary; `io` is a value of --io, or empty for what the environment says.
  Problem Start(const std::string& io);
  bool running() const { return process_ != nullptr && !process_->Ended(); }
  // It has said that it listens.
  bool listening() const;
  // kill -9; a problem if it had ended before.
  Problem Kill();
  // SIGTERM; a problem if it does not end in order.
  Problem Stop();
  // `nexus scrub` of the stopped folder must find nothing.
  Problem Scrub();

 private:
  std::string Describe(const std::string& what, const server::Result& result) const;

  const std::filesystem::path home_;
  const std::vector<std::string> settings_;
  const std::string data_;
  const std::string address_;
  std::unique_ptr<server::NexusProcess> process_;
};

}  // namespace nexus::kill_loop

#endif  // NEXUS_TESTS_KILL_LOOP_SERVER_H_
