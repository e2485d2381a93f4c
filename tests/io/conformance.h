// The conformance suite of the seam: what every backend of io/ promises, asserted on each of them.
//
// Test names quote the disk contract D1-D10 (TESTING section 2). The tests are in the files
// *_conformance.cc; a backend joins by linking //tests/io:conformance and naming how a fresh world
// of it is made:
//
//   INSTANTIATE_TEST_SUITE_P(Simulator, Conformance,
//                            testing::Values(Backend{"sim", [] { return MakeSimWorld(); }}),
//                            BackendName);
//
// Only what holds without luck and without a crash is here; what needs a power cut, a failing disk
// or a second process is in the tests of the backend that can bring it about.

#ifndef NEXUS_TESTS_IO_CONFORMANCE_H_
#define NEXUS_TESTS_IO_CONFORMANCE_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "io/environment.h"
#include "io/task.h"

namespace nexus::io {

// One environment and an empty folder of its own in it. Destroyed after each test.
class World {
 public:
  virtual ~World() = default;
  virtual Environment* environment() = 0;
  // An existing, empty folder; without a slash at the end.
  virtual std::string folder() = 0;
  // Runs the task on the loop, in a scope of its own, and returns when it has finished.
  virtual void Run(Task<void> task) = 0;
};

struct Backend {
  std::string name;  // letters and digits
  std::function<std::unique_ptr<World>()> make;
};

inline std::string BackendName(const testing::TestParamInfo<Backend>& info) {
  return info.param.name;
}
inline void PrintTo(const Backend& backend, std::ostream* out) { *out << backend.name; }

class Conformance : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override { world_ = GetParam().make(); }
  void TearDown() override { world_.reset(); }

  Environment* environment() { return world_->environment(); }
  Executor* executor() { return environment()->executor(); }
  Disk* disk() { return environment()->disk(); }
  std::string Path(const std::string& name) { return world_->folder() + "/" + name; }
  void Run(Task<void> task) { world_->Run(std::move(task)); }

  std::unique_ptr<World> world_;
};

}  // namespace nexus::io

#endif  // NEXUS_TESTS_IO_CONFORMANCE_H_
