// Holds the lock of a folder and overwrites a file in it, many writes in flight, until it is
// killed. One byte on standard output says that it has begun. Used by uring_test.cc.
//
// usage: uring_lock_holder FOLDER

#include "tests/io/uring_lock_holder.h"

#include <unistd.h>

#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "io/file_util.h"
#include "io/real.h"

namespace nexus::io {
namespace {

// One write that starts again whenever it completes, while the buffer's contents go on changing.
struct EndlessWrite : FileOp {
  EndlessWrite(File* to, uint64_t at, MutableBytes from)
      : FileOp(Kind::kWrite, at, from, &Again), file(to) {}
  static void Again(FileOp* op) {
    auto* self = static_cast<EndlessWrite*>(op);
    NEXUS_CHECK(op->result == static_cast<int64_t>(kHolderWriteBytes));
    std::byte changed{static_cast<unsigned char>(std::to_integer<int>(op->buffer[0]) + 1)};
    for (size_t at = 0; at < op->buffer.size(); at += kSectorBytes) op->buffer[at] = changed;
    self->file->Submit(self);
  }
  File* file;
};

struct State {
  std::unique_ptr<FileLock> lock;
  std::unique_ptr<File> file;
  AlignedBuffer buffer{kHolderWriteBytes};
  std::deque<EndlessWrite> writes;
};

Task<Status> Begin(Disk* disk, std::string folder, State* state) {
  LockResult locked = co_await disk->Lock(folder + "/lock");
  if (locked.error != 0) co_return ErrnoStatus(-locked.error, "lock", folder);
  state->lock = std::move(locked.lock);
  OpenFlags flags;
  flags.write = flags.create = flags.direct = true;
  NEXUS_CO_ASSIGN_OR_RETURN(state->file, co_await OpenFile(disk, folder + "/data", flags));
  // Blocks that are there already: their overwriting needs nothing of a process that may be dead.
  for (uint64_t i = 0; i < kHolderWritesInFlight; i++) {
    uint64_t at = i * kHolderWriteBytes;
    NEXUS_CO_RETURN_IF_ERROR(co_await WriteAll(state->file.get(), at, state->buffer.span()));
  }
  NEXUS_CO_RETURN_IF_ERROR(co_await SyncFile(state->file.get()));
  for (uint64_t i = 0; i < kHolderWritesInFlight; i++) {
    EndlessWrite& write =
        state->writes.emplace_back(state->file.get(), i * kHolderWriteBytes, state->buffer.span());
    state->file->Submit(&write);
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
