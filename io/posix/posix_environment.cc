// Loop, file threads, disk, network, clocks, randomness put together. See posix_environment.h.

#include "io/posix/posix_environment.h"

#include "io/posix/file_threads.h"
#include "io/posix/posix_disk.h"
#include "io/posix/posix_loop.h"
#include "io/posix/posix_network.h"
#include "io/real/names.h"
#include "io/real/random.h"

namespace nexus::io {
namespace {

// The log keeps a few writes in flight, each with its sync; what else waits for the disk (layers,
// segments made ahead) needs one beside them.
constexpr int kFileThreads = 4;

class PosixEnvironment : public RealEnvironment {
 public:
  ~PosixEnvironment() override { loop_.Stop(); }

  Status Open(int workers) {
    NEXUS_RETURN_IF_ERROR(threads_.Start(kFileThreads));
    return loop_.Start(workers);
  }

  void Stop() override { loop_.Stop(); }
  Executor* executor() override { return &loop_; }
  Disk* disk() override { return &disk_; }
  Network* network() override { return &network_; }
  Random* random() override { return &random_; }
  int64_t WallNanos() override { return RealWallNanos(); }
  int64_t MonotonicNanos() override { return RealMonotonicNanos(); }
  uint64_t open_files_max() const override { return OpenFilesMax(); }
  const char* name() const override { return "posix"; }

 private:
  PosixLoop loop_;
  FileThreads threads_{&loop_};
  PosixDisk disk_{&threads_};
  PosixNetwork network_{&loop_};
  KernelRandom random_;
};

}  // namespace

StatusOr<std::unique_ptr<RealEnvironment>> StartPosix(int workers) {
  auto environment = std::make_unique<PosixEnvironment>();
  NEXUS_RETURN_IF_ERROR(environment->Open(workers));
  return environment;
}

}  // namespace nexus::io
