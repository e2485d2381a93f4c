// Holds the lock of a folder and overwrites a file in it, many writes in flight, until it is
// killed. One byte on standard output says that it has begun. Used by uring_test.cc.
//
// usage: uring_lock_holder FOLDER

#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "io/file_util.h"
#include "io/real.h"

namespace nexus::io {
namespace {

constexpr size_t kInFlight = 32;
constexpr uint64_t kWriteBytes = 256 << 10;

// One write that starts again, with other bytes, whenever it completes.
struct EndlessWrite : FileOp {
  EndlessWrite(File* to, uint64_t at) : FileOp(Kind::kWrite, at, {}, &Again), file(to) {
    buffer = memory.span();
  }
  static void Again(FileOp* op) {
    auto* self = static_cast<EndlessWrite*>(op);
    NEXUS_CHECK(op->result == static_cast<int64_t>(kWriteBytes));
    std::memset(self->memory.data(), ++self->round, kWriteBytes);
    self->file->Submit(self);
  }
  AlignedBuffer memory{kWriteBytes};
  File* file;
  int round = 0;
};

struct State {
  std::unique_ptr<FileLock> lock;
  std::unique_ptr<File> file;
  std::array<std::unique_ptr<EndlessWrite>, kInFlight> writes;
};

Task<Status> Begin(Disk* disk, std::string folder, State* state) {
  LockResult locked = co_await disk->Lock(folder + "/lock");
  if (locked.error != 0) co_return ErrnoStatus(-locked.error, "lock", folder);
  state->lock = std::move(locked.lock);
  OpenFlags flags;
  flags.write = flags.create = flags.direct = true;
  NEXUS_CO_ASSIGN_OR_RETURN(state->file, co_await OpenFile(disk, folder + "/data", flags));
  // Blocks that are there already: their overwriting needs nothing of a process that may be dead.
  AlignedBuffer zeros(kInFlight * kWriteBytes);
  NEXUS_CO_RETURN_IF_ERROR(co_await WriteAll(state->file.get(), 0, zeros.span()));
  NEXUS_CO_RETURN_IF_ERROR(co_await SyncFile(state->file.get()));
  for (size_t i = 0; i < kInFlight; i++) {
    state->writes[i] = std::make_unique<EndlessWrite>(state->file.get(), i * kWriteBytes);
    state->file->Submit(state->writes[i].get());
  }
  co_return OkStatus();
}

int Main(int argc, char** argv) {
  if (argc != 2) return 2;
  StatusOr<std::unique_ptr<RealEnvironment>> environment = RealEnvironment::Start({});
  NEXUS_CHECK(environment.ok());
  State state;
  Status begun = (*environment)->BlockOn(Begin((*environment)->disk(), argv[1], &state));
  NEXUS_CHECK(begun.ok());
  NEXUS_CHECK(write(STDOUT_FILENO, "!", 1) == 1);
  while (true) std::this_thread::sleep_for(std::chrono::hours(1));
}

}  // namespace
}  // namespace nexus::io

int main(int argc, char** argv) { return nexus::io::Main(argc, argv); }
