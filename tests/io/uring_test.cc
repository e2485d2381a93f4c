// The real environment as a whole: threads, sleeping and waking, a full disk, a killed process.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "io/file_util.h"
#include "io/real.h"
#include "io/uring/uring_environment.h"
#include "tests/io/uring_lock_holder.h"

namespace nexus::io {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<RealEnvironment> MustStart(RealOptions options = {}) {
  StatusOr<std::unique_ptr<RealEnvironment>> started = RealEnvironment::Start(options);
  NEXUS_CHECK(started.ok());
  return std::move(*started);
}

// An empty folder that goes when the test ends.
class Folder {
 public:
  Folder() {
    std::string pattern = testing::TempDir() + "/nexus-uring-XXXXXX";
    NEXUS_CHECK(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string Path(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// ---- Starting and stopping.

TEST(RealEnvironment, OptionsOutOfRangeAreRefusedByName) {
  RealOptions none;
  none.workers = 0;
  EXPECT_THAT(RealEnvironment::Start(none).status().ToString(), HasSubstr("0 workers; 1 to 64"));
  RealOptions many;
  many.workers = 65;
  EXPECT_THAT(RealEnvironment::Start(many).status().ToString(), HasSubstr("65 workers"));
  RealOptions tiny;
  tiny.ring_entries = 1;
  EXPECT_THAT(RealEnvironment::Start(tiny).status().ToString(), HasSubstr("1 ring entries"));
}

TEST(RealEnvironment, StopsAndMayBeStoppedAgain) {
  std::unique_ptr<RealEnvironment> environment = MustStart();
  environment->RunOnLoop([] {});
  environment->Stop();
  environment->Stop();
}

TEST(RealEnvironment, StopRunsWhatIsReadyFirst) {
  std::unique_ptr<RealEnvironment> environment = MustStart();
  Executor* executor = environment->executor();
  int left = 1000;
  struct Chain : RunNode {
    Chain(Executor* on, int* remaining) : RunNode(&Step), executor(on), left(remaining) {}
    static void Step(RunNode* node) {
      auto* self = static_cast<Chain*>(node);
      if (--*self->left > 0) self->executor->Schedule(self);
    }
    Executor* executor;
    int* left;
  };
  Chain chain(executor, &left);
  executor->Post(&chain);
  environment->Stop();
  EXPECT_EQ(left, 0);
}

// ---- Threads.

Task<std::unique_ptr<int>> BoxedAfterYields(Executor* executor, int value, int yields) {
  for (int i = 0; i < yields; i++) co_await executor->Yield();
  co_return std::make_unique<int>(value);
}

TEST(RealEnvironment, BlockOnYieldsTheTasksValue) {
  std::unique_ptr<RealEnvironment> environment = MustStart();
  std::unique_ptr<int> value =
      environment->BlockOn(BoxedAfterYields(environment->executor(), 42, 3));
  EXPECT_EQ(*value, 42);
}

TEST(RealEnvironment, ManyThreadsMayBlockOnTheLoopAtOnce) {
  std::unique_ptr<RealEnvironment> environment = MustStart();
  constexpr int kThreads = 4;
  constexpr int kRounds = 200;
  int on_loop = 0;  // touched by the loop alone
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; i++) {
        environment->RunOnLoop([&] { on_loop++; });
        auto value = environment->BlockOn(BoxedAfterYields(environment->executor(), i, i % 3));
        EXPECT_EQ(*value, i);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  environment->RunOnLoop([&] { EXPECT_EQ(on_loop, kThreads * kRounds); });
}

struct CountingNode : RunNode {
  explicit CountingNode(std::atomic<int>* counter) : RunNode(&Run), count(counter) {}
  static void Run(RunNode* node) { static_cast<CountingNode*>(node)->count->fetch_add(1); }
  std::atomic<int>* count;
};

TEST(RealEnvironment, NoPostIsLostWhetherTheLoopSleepsOrNot) {
  std::unique_ptr<RealEnvironment> environment = MustStart();
  constexpr int kThreads = 3;
  constexpr int kEach = 3000;
  std::atomic<int> count = 0;
  std::vector<std::deque<CountingNode>> nodes(kThreads);
  std::vector<std::thread> threads;
  for (auto& own : nodes) {
    for (int i = 0; i < kEach; i++) own.emplace_back(&count);
    threads.emplace_back([&environment, &own] {
      for (size_t i = 0; i < own.size(); i++) {
        environment->executor()->Post(&own[i]);
        // Now and then the loop gets the time to fall asleep.
        if (i % 100 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  environment->RunOnLoop([] {});
  EXPECT_EQ(count.load(), kThreads * kEach);
}

int64_t ProcessCpuNanos() {
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return int64_t{used.tv_sec} * 1'000'000'000 + used.tv_nsec;
}

TEST(RealEnvironment, SleepsWhenIdle) {
  std::unique_ptr<RealEnvironment> environment = MustStart();
  environment->RunOnLoop([] {});
  int64_t before = ProcessCpuNanos();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  // A loop that polled would have used 200 ms.
  EXPECT_LT(ProcessCpuNanos() - before, 50'000'000);
}

struct ThreadFacts {
  int nice = 0;
  bool takes_signals = true;
};

ThreadFacts FactsOfThisThread() {
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  return {getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())),
          sigismember(&blocked, SIGTERM) == 0};
}

Task<std::vector<ThreadFacts>> FactsOfAllThreads(Executor* executor) {
  std::vector<ThreadFacts> facts = {FactsOfThisThread()};
  for (Lane lane : {Lane::kCatalog, Lane::kWorker}) {
    ThreadFacts elsewhere = co_await executor->Run(lane, &FactsOfThisThread);
    facts.push_back(elsewhere);
  }
  co_return facts;
}

TEST(RealEnvironment, WorkersYieldToTheLoopAndNoThreadTakesSignals) {
  std::unique_ptr<RealEnvironment> environment = MustStart();
  int usual = getpriority(PRIO_PROCESS, 0);
  std::vector<ThreadFacts> facts = environment->BlockOn(FactsOfAllThreads(environment->executor()));
  EXPECT_EQ(facts[0].nice, usual);
  EXPECT_EQ(facts[1].nice, usual);
  EXPECT_EQ(facts[2].nice, 19);
  for (const ThreadFacts& thread : facts) EXPECT_FALSE(thread.takes_signals);
}

struct MeetingWork : Work {
  MeetingWork(std::atomic<int>* meeting, std::atomic<int>* finished)
      : Work(Lane::kWorker, &Execute, &Completed), arrived(meeting), done(finished) {}
  static void Execute(Work* work) {
    auto* self = static_cast<MeetingWork*>(work);
    self->arrived->fetch_add(1);
    while (self->arrived->load() < 2) std::this_thread::yield();
  }
  static void Completed(RunNode* node) {
    static_cast<MeetingWork*>(static_cast<Work*>(node))->done->fetch_add(1);
  }
  std::atomic<int>* arrived;
  std::atomic<int>* done;
};

TEST(RealEnvironment, TwoWorkersExecuteSideBySide) {
  RealOptions options;
  options.workers = 2;
  std::unique_ptr<RealEnvironment> environment = MustStart(options);
  std::atomic<int> arrived = 0;
  std::atomic<int> done = 0;
  MeetingWork first(&arrived, &done);
  MeetingWork second(&arrived, &done);
  environment->RunOnLoop([&] {
    environment->executor()->Offload(&first);
    environment->executor()->Offload(&second);
  });
  while (done.load() < 2) std::this_thread::yield();
}

Task<bool> SleepWhileOthersPost(Environment* environment) {
  int64_t before = environment->MonotonicNanos();
  co_await environment->executor()->Sleep(20'000'000);
  co_return environment->MonotonicNanos() - before >= 20'000'000;
}

TEST(RealEnvironment, TimersHoldWhileOthersWakeTheLoop) {
  std::unique_ptr<RealEnvironment> environment = MustStart();
  std::atomic<bool> stop = false;
  std::thread poster([&] {
    while (!stop.load()) environment->RunOnLoop([] {});
  });
  EXPECT_TRUE(environment->BlockOn(SleepWhileOthersPost(environment.get())));
  stop = true;
  poster.join();
}

// ---- D3: a sync that fails.

struct ChainResults {
  int64_t write = 0;
  int64_t sync = 0;
};

class ChainAwaiter : FileOp {
 public:
  ChainAwaiter(File* file, MutableBytes bytes)
      : FileOp(Kind::kWriteThenSync, 0, bytes, &Complete), file_(file) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    file_->Submit(this);
  }
  ChainResults await_resume() const { return {result, sync_result}; }

 private:
  static void Complete(FileOp* op) { static_cast<ChainAwaiter*>(op)->waiter_.resume(); }
  File* file_;
  std::coroutine_handle<> waiter_;
};

Task<void> FailASync(Disk* disk, std::string path) {
  OpenFlags flags;
  flags.write = true;
  OpenResult opened = co_await disk->Open(path, flags);
  NEXUS_CHECK(opened.error == 0);
  File* file = opened.file.get();
  std::string bytes = "x";
  MutableBytes buffer = std::as_writable_bytes(std::span(bytes));
  EXPECT_EQ(co_await Write(file, 0, buffer), 1);
  EXPECT_EQ(co_await Sync(file), -EINVAL);
  EXPECT_EQ(co_await Write(file, 0, buffer), -EIO);
  EXPECT_EQ(co_await Sync(file), -EIO);
  ChainResults chain = co_await ChainAwaiter(file, buffer);
  EXPECT_EQ(chain.write, -EIO);
  EXPECT_EQ(chain.sync, -ECANCELED);
  EXPECT_EQ(co_await Read(file, 0, buffer), 0) << "reads go on";
  OpenResult again = co_await disk->Open(path, flags);
  EXPECT_EQ(co_await Write(again.file.get(), 0, buffer), 1) << "it was the handle that failed";
}

Task<bool> Done(Task<void> task) {
  co_await std::move(task);
  co_return true;
}

TEST(UringDisk, D3_AfterAFailedSyncTheHandleFails) {
  std::unique_ptr<RealEnvironment> environment = MustStart();
  // What cannot be synced, and says so.
  environment->BlockOn(Done(FailASync(environment->disk(), "/dev/null")));
}

// ---- D9: a full device.

Task<ChainResults> WriteChain(Disk* disk, std::string path, uint64_t bytes) {
  OpenFlags flags;
  flags.write = flags.create = true;
  OpenResult opened = co_await disk->Open(path, flags);
  NEXUS_CHECK(opened.error == 0);
  AlignedBuffer buffer(bytes);
  ChainResults results = co_await ChainAwaiter(opened.file.get(), buffer.span());
  co_return results;
}

TEST(UringDisk, D9_NoSpaceComesRawAndCancelsTheLinkedSync) {
  std::unique_ptr<RealEnvironment> environment = MustStart();
  ChainResults results = environment->BlockOn(WriteChain(environment->disk(), "/dev/full", 4096));
  EXPECT_EQ(results.write, -ENOSPC);
  EXPECT_EQ(results.sync, -ECANCELED);
}

Task<Status> FillUp(Disk* disk, std::string path, uint64_t bytes) {
  OpenFlags flags;
  flags.write = flags.create = true;
  OpenResult opened = co_await disk->Open(path, flags);
  NEXUS_CHECK(opened.error == 0);
  std::string much(bytes, 'x');
  co_return co_await WriteAll(opened.file.get(), 0, AsBytes(much));
}

constexpr int kNoMountsHere = 77;

// Runs in a process of its own, with a file system of 64 KiB that only it sees.
int TryATinyFileSystem(const std::string& folder) {
  // Root may mount as it is; others within a user namespace, where they are allowed one.
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return kNoMountsHere;
  mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  if (mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=64k") != 0) return kNoMountsHere;
  std::unique_ptr<RealEnvironment> environment = MustStart();
  Disk* disk = environment->disk();
  ChainResults chain = environment->BlockOn(WriteChain(disk, folder + "/chain", 100 << 10));
  if (chain.write != 64 << 10 || chain.sync != -ECANCELED) return 1;
  if (environment->BlockOn(disk->Unlink(folder + "/chain")) != 0) return 2;
  Status filled = environment->BlockOn(FillUp(disk, folder + "/f", 100 << 10));
  if (filled.code() != absl::StatusCode::kResourceExhausted) return 3;
  return filled.ToString().find("at offset 65536: write " + folder) == std::string::npos ? 4 : 0;
}

TEST(UringDisk, D9_ShortWriteOnAFullDiskCancelsTheLinkedSync) {
  Folder folder;
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(TryATinyFileSystem(folder.path()));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNoMountsHere) GTEST_SKIP() << "may not mount a tmpfs here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// ---- Files that the kernel makes up.

Task<StatusOr<std::string>> ReadProc(Disk* disk) {
  co_return co_await ReadWholeFile(disk, "/proc/self/status", 1 << 20);
}

TEST(UringDisk, FilesWhoseSizeIsAlwaysZeroAreReadWhole) {
  std::unique_ptr<RealEnvironment> environment = MustStart();
  StatusOr<std::string> status = environment->BlockOn(ReadProc(environment->disk()));
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_THAT(*status, HasSubstr("VmRSS:"));
}

// ---- The lock file and a process that dies.

// A second process (uring_lock_holder.cc) that holds the lock and writes all the time.
class Holder {
 public:
  explicit Holder(const std::string& folder) {
    int output[2];
    NEXUS_CHECK(pipe2(output, O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
    std::string program = "tests/io/uring_lock_holder";
    std::string argument = folder;
    char* arguments[] = {program.data(), argument.data(), nullptr};
    int error = posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, environ);
    NEXUS_CHECK(error == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(output[1]);
    // One byte says that it holds the lock and has begun to write.
    char ready = 0;
    NEXUS_CHECK(read(output[0], &ready, 1) == 1);
    close(output[0]);
  }
  // Kills without waiting for the end.
  void Kill() { kill(pid_, SIGKILL); }
  ~Holder() { waitpid(pid_, nullptr, 0); }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

// The last sector of some of the writes that the holder keeps in flight, as the disk has it now.
std::string SampleOfData(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (fd < 0) fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  NEXUS_CHECK(fd >= 0);
  std::string sample;
  AlignedBuffer sector(kSectorBytes);
  for (uint64_t i = 8; i <= kHolderWritesInFlight; i += 8) {
    auto offset = static_cast<off_t>(i * kHolderWriteBytes - kSectorBytes);
    NEXUS_CHECK(pread(fd, sector.data(), kSectorBytes, offset) == kSectorBytes);
    sample += std::to_string(std::to_integer<int>(sector.data()[0])) + " ";
  }
  close(fd);
  return sample;
}

TEST(UringDisk, LockNamesTheProcessThatHoldsIt) {
  Folder folder;
  Holder holder(folder.path());
  std::unique_ptr<RealEnvironment> environment = MustStart();
  LockResult refused = environment->BlockOn(environment->disk()->Lock(folder.Path("lock")));
  EXPECT_EQ(refused.error, -EWOULDBLOCK);
  EXPECT_EQ(refused.holder_pid, holder.pid());
  holder.Kill();
}

// D2's last sentence: what a dead process wrote has landed before its successor gets the lock.
TEST(UringDisk, D2_LockFreesOnlyWhenAKilledProcesssWritesHaveLanded) {
  std::unique_ptr<RealEnvironment> environment = MustStart();
  for (int round = 0; round < 5; round++) {
    Folder folder;
    Holder holder(folder.path());
    std::this_thread::sleep_for(std::chrono::milliseconds(3 * round));
    holder.Kill();
    std::unique_ptr<FileLock> lock;
    for (int tries = 0; lock == nullptr; tries++) {
      ASSERT_LT(tries, 1'000'000) << "the lock of a dead process is never freed";
      LockResult result = environment->BlockOn(environment->disk()->Lock(folder.Path("lock")));
      ASSERT_TRUE(result.error == 0 || result.error == -EWOULDBLOCK) << result.error;
      lock = std::move(result.lock);
    }
    std::string at_lock = SampleOfData(folder.Path("data"));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(SampleOfData(folder.Path("data")), at_lock) << "a dead process's write landed later";
    environment->RunOnLoop([&] { lock.reset(); });
  }
}

}  // namespace
}  // namespace nexus::io
