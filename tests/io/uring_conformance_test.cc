// The conformance suite over io_uring: on /dev/shm (tmpfs) and in the test's temporary folder (the
// machine's disk), and with the plainest ring, as an older kernel would give.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "io/uring/uring_environment.h"
#include "tests/io/conformance.h"

namespace nexus::io {
namespace {

class UringWorld : public World {
 public:
  UringWorld(const std::string& parent, UringLoop::Options options) {
    std::string pattern = parent + "/nexus-conformance-XXXXXX";
    NEXUS_CHECK(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    StatusOr<std::unique_ptr<RealEnvironment>> started = StartUring(options);
    NEXUS_CHECK(started.ok());
    environment_ = std::move(*started);
  }
  ~UringWorld() override {
    environment_.reset();
    std::filesystem::remove_all(folder_);
  }

  Environment* environment() override { return environment_.get(); }
  std::string folder() override { return folder_; }
  void Run(Task<void> task) override { environment_->BlockOn(ToBool(std::move(task))); }

 private:
  static Task<bool> ToBool(Task<void> task) {
    co_await std::move(task);
    co_return true;
  }

  std::string folder_;
  std::unique_ptr<RealEnvironment> environment_;
};

Backend On(std::string name, std::string parent, UringLoop::Options options) {
  return {std::move(name), [parent = std::move(parent), options]() -> std::unique_ptr<World> {
            return std::make_unique<UringWorld>(parent, options);
          }};
}

UringLoop::Options SmallPlainRing() {
  UringLoop::Options options;
  options.ring_entries = 8;
  options.setup_flags_allowed = 0;
  options.network_features_allowed = 0;
  return options;
}

INSTANTIATE_TEST_SUITE_P(Uring, Conformance,
                         testing::Values(On("tmpfs", "/dev/shm", {}),
                                         On("disk", testing::TempDir(), {}),
                                         On("plain", testing::TempDir(), SmallPlainRing())),
                         BackendName);

}  // namespace
}  // namespace nexus::io
