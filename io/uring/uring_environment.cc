// The real environment put together: loop, disk, clocks, randomness. See io/real.h.

#include "io/uring/uring_environment.h"

#include <memory>

#include "io/real/names.h"
#include "io/real/random.h"
#include "io/uring/uring_disk.h"
#include "io/uring/uring_network.h"

namespace nexus::io {
namespace {

class UringEnvironment : public RealEnvironment {
 public:
  Status Open(UringLoop::Options options) { return loop_.Start(options); }

  void Stop() override { loop_.Stop(); }
  Executor* executor() override { return &loop_; }
  Disk* disk() override { return &disk_; }
  Network* network() override { return &network_; }
  Random* random() override { return &random_; }
  int64_t WallNanos() override { return RealWallNanos(); }
  int64_t MonotonicNanos() override { return RealMonotonicNanos(); }
  uint64_t open_files_max() const override { return OpenFilesMax(); }
  const char* name() const override { return "io_uring"; }

 private:
  UringLoop loop_;
  UringDisk disk_{&loop_};
  UringNetwork network_{&loop_};
  KernelRandom random_;
};

}  // namespace

StatusOr<std::unique_ptr<RealEnvironment>> StartUring(UringLoop::Options options) {
  auto environment = std::make_unique<UringEnvironment>();
  NEXUS_RETURN_IF_ERROR(environment->Open(options));
  return environment;
}

}  // namespace nexus::io
