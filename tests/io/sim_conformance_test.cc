// The simulator passes the conformance suite of the seam: with delays, reordering and, where the
// suite's loops can bear it, short and interrupted transfers.

#include "io/file_util.h"
#include "io/sim/world.h"
#include "tests/io/conformance.h"

namespace nexus::io {
namespace {

constexpr char kFolder[] = "/folder";

class SimWorld : public World {
 public:
  SimWorld(uint64_t seed, sim::Options options) : world_(seed, std::move(options)) {
    world_.Boot();
    EXPECT_EQ(world_.RunTask(environment()->disk()->MakeDirectory(kFolder)), 0);
  }
  Environment* environment() override { return world_.environment(); }
  std::string folder() override { return kFolder; }
  void Run(Task<void> task) override { world_.RunTask(std::move(task)); }

 private:
  sim::World world_;
};

Backend SimBackend(std::string name, uint64_t seed, sim::Options options) {
  return Backend{std::move(name),
                 [seed, options] { return std::make_unique<SimWorld>(seed, options); }};
}

sim::Options InOrder() {
  sim::Options options;
  options.fifo = true;
  return options;
}

INSTANTIATE_TEST_SUITE_P(Simulator, Conformance,
                         testing::Values(SimBackend("SimInOrder", 1, InOrder()),
                                         SimBackend("SimSeed2", 2, {}),
                                         SimBackend("SimSeed3", 3, {})),
                         BackendName);

}  // namespace
}  // namespace nexus::io
