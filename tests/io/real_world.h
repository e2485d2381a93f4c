// RealWorld: an environment of the real world and a folder of its own, for the conformance suite.

#ifndef NEXUS_TESTS_IO_REAL_WORLD_H_
#define NEXUS_TESTS_IO_REAL_WORLD_H_

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "base/check.h"
#include "io/real.h"
#include "tests/io/conformance.h"

namespace nexus::io {

class RealWorld : public World {
 public:
  RealWorld(const std::string& parent, StatusOr<std::unique_ptr<RealEnvironment>> started) {
    std::string pattern = parent + "/nexus-conformance-XXXXXX";
    NEXUS_CHECK(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    EXPECT_TRUE(started.ok()) << started.status();
    NEXUS_CHECK(started.ok());
    environment_ = std::move(*started);
  }
  ~RealWorld() override {
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

}  // namespace nexus::io

#endif  // NEXUS_TESTS_IO_REAL_WORLD_H_
