// The conformance suite over threads and epoll: on /dev/shm (tmpfs) and in the test's temporary
// folder (the machine's disk).

#include "io/posix/posix_environment.h"
#include "tests/io/real_world.h"

namespace nexus::io {
namespace {

Backend On(std::string name, std::string parent) {
  return {std::move(name), [parent = std::move(parent)]() -> std::unique_ptr<World> {
            return std::make_unique<RealWorld>(parent, StartPosix(1));
          }};
}

INSTANTIATE_TEST_SUITE_P(Posix, Conformance,
                         testing::Values(On("tmpfs", "/dev/shm"), On("disk", testing::TempDir())),
                         BackendName);

}  // namespace
}  // namespace nexus::io
