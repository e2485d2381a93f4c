// The conformance suite over io_uring: on /dev/shm (tmpfs) and in the test's temporary folder (the
// machine's disk), and with the plainest ring, as an older kernel would give.

#include "io/uring/uring_environment.h"
#include "tests/io/real_world.h"

namespace nexus::io {
namespace {

Backend On(std::string name, std::string parent, UringLoop::Options options) {
  return {std::move(name), [parent = std::move(parent), options]() -> std::unique_ptr<World> {
            return std::make_unique<RealWorld>(parent, StartUring(options));
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
