// The parts of the io_uring backend by themselves: ring, mailbox, timer heap.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <rapidcheck/gtest.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <deque>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "io/file_util.h"
#include "io/real/mailbox.h"
#include "io/real/timer_heap.h"
#include "io/uring/ring.h"

namespace nexus::io {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kAllFlags = ~uint32_t{0};

std::unique_ptr<Ring> MustOpen(uint32_t entries) {
  StatusOr<std::unique_ptr<Ring>> ring = Ring::Open(entries, kAllFlags);
  NEXUS_CHECK(ring.ok());
  return std::move(*ring);
}

// Waits for the next completion.
Completion NextCompletion(Ring* ring) {
  Completion completion{};
  while (ring->Reap(std::span(&completion, 1)) == 0) ring->SubmitAndWait(std::nullopt);
  return completion;
}

TEST(Ring, FallsBackToWhatTheKernelTakes) {
  uint32_t best = MustOpen(8)->setup_flags();
  EXPECT_NE(best & IORING_SETUP_DEFER_TASKRUN, 0U) << "this machine's kernel has it";
  uint32_t without_defer = kAllFlags & ~IORING_SETUP_DEFER_TASKRUN;
  StatusOr<std::unique_ptr<Ring>> older = Ring::Open(8, without_defer);
  ASSERT_TRUE(older.ok());
  EXPECT_NE((*older)->setup_flags() & IORING_SETUP_COOP_TASKRUN, 0U);
  StatusOr<std::unique_ptr<Ring>> plain = Ring::Open(8, 0);
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ((*plain)->setup_flags() & (IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL), 0U);
}

// Makes io_uring_setup fail in this thread and those it starts.
void RefuseIoUring(int error) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program = {static_cast<unsigned short>(std::size(code)), code};
  NEXUS_CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  NEXUS_CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

TEST(Ring, RefusalSaysWhatToDo) {
  for (int error : {EPERM, ENOSYS, ENOMEM}) {
    Status refused;
    std::thread([&] {
      RefuseIoUring(error);
      refused = Ring::Open(8, kAllFlags).status();
    }).join();
    if (error == ENOMEM) {
      EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
      EXPECT_THAT(refused.ToString(), HasSubstr("ulimit -l"));
    } else {
      EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable) << refused;
      EXPECT_THAT(refused.ToString(), HasSubstr("io_uring_disabled"));
    }
  }
}

TEST(Ring, RoomIsRefusedBeforeTheCompletionQueueCouldOverflow) {
  std::unique_ptr<Ring> ring = MustOpen(8);
  uint32_t submitted = 0;
  while (ring->MakeRoom(1)) {
    io_uring_sqe* sqe = ring->Next();
    io_uring_prep_nop(sqe);
    Ring::Mark(sqe, CompletionKind::kCall, nullptr);
    submitted++;
    ASSERT_LE(submitted, 32U);
  }
  ring->Submit();
  EXPECT_EQ(submitted, 31U) << "four a submission entry, but one for the wake";
  EXPECT_TRUE(ring->MakeRoomForWake());
  EXPECT_FALSE(io_uring_cq_has_overflow(ring->raw()));
  NextCompletion(ring.get());
  EXPECT_TRUE(ring->MakeRoom(1));
  EXPECT_FALSE(ring->MakeRoom(2));
}

TEST(Ring, SyncWhoseWriteWasTakenAloneFails) {
  std::unique_ptr<Ring> ring = MustOpen(8);
  std::string path = testing::TempDir() + "/severed";
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0);
  ASSERT_TRUE(ring->MakeRoom(2));
  io_uring_sqe* sqe = ring->Next();
  io_uring_prep_write(sqe, fd, "x", 1, 0);
  sqe->flags |= IOSQE_IO_LINK;
  Ring::Mark(sqe, CompletionKind::kFileOp, nullptr);
  sqe = ring->Next();
  io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
  Ring::Mark(sqe, CompletionKind::kLinkedSync, nullptr);
  // Publishes both entries as liburing would, but has the kernel take one, as it does when it has
  // no memory for the second.
  io_uring_sq* queue = &ring->raw()->sq;
  unsigned tail = *queue->ktail;
  for (unsigned i = 0; i < 2; i++) {
    queue->array[(tail + i) & queue->ring_mask] = (tail + i) & queue->ring_mask;
  }
  queue->sqe_head = queue->sqe_tail;
  io_uring_smp_store_release(queue->ktail, tail + 2);
  ASSERT_EQ(io_uring_enter(static_cast<unsigned>(ring->raw()->ring_fd), 1, 0, 0, nullptr), 1);
  ring->Submit();
  for (int i = 0; i < 2; i++) {
    Completion completion = NextCompletion(ring.get());
    bool is_write = completion.kind == CompletionKind::kFileOp;
    EXPECT_EQ(completion.result, is_write ? 1 : -EBADF);
  }
  close(fd);
}

TEST(Ring, OnlyWhatLiesInARegisteredBufferHasASlot) {
  std::unique_ptr<Ring> ring = MustOpen(8);
  AlignedBuffer memory(64 * kSectorBytes);
  MutableBytes all = memory.span();
  MutableBytes first = all.subspan(8 * kSectorBytes, 8 * kSectorBytes);
  MutableBytes second = all.subspan(32 * kSectorBytes, 4 * kSectorBytes);
  ring->RegisterBuffer(second);
  ring->RegisterBuffer(first);
  int slot = ring->RegisteredSlot(first);
  ASSERT_GE(slot, 0);
  EXPECT_EQ(ring->RegisteredSlot(first.last(1)), slot);
  EXPECT_NE(ring->RegisteredSlot(second.first(1)), slot);
  EXPECT_GE(ring->RegisteredSlot(second), 0);
  EXPECT_EQ(ring->RegisteredSlot(all.first(1)), -1) << "before all buffers";
  EXPECT_EQ(ring->RegisteredSlot(all.subspan(7 * kSectorBytes, 2 * kSectorBytes)), -1);
  EXPECT_EQ(ring->RegisteredSlot(all.subspan(15 * kSectorBytes, kSectorBytes + 1)), -1);
  EXPECT_EQ(ring->RegisteredSlot(all.subspan(16 * kSectorBytes, 1)), -1) << "between two";
  ring->UnregisterBuffer(first);
  EXPECT_EQ(ring->RegisteredSlot(first), -1);
  EXPECT_GE(ring->RegisteredSlot(second), 0);
}

// ---- Mailbox.

struct NumberedNode : RunNode {
  NumberedNode() : RunNode(nullptr) {}
  int producer = 0;
  int number = 0;
};

TEST(Mailbox, GivesNodesBackOldestFirst) {
  Mailbox mailbox;
  NumberedNode nodes[3];
  for (NumberedNode& node : nodes) EXPECT_FALSE(mailbox.Push(&node));
  RunNode* taken = mailbox.TakeAll();
  for (NumberedNode& node : nodes) {
    ASSERT_EQ(taken, &node);
    taken = taken->next;
  }
  EXPECT_EQ(taken, nullptr);
  EXPECT_EQ(mailbox.TakeAll(), nullptr);
}

TEST(Mailbox, OnlyTheFirstToPostToASleeperWakesIt) {
  Mailbox mailbox;
  NumberedNode nodes[2];
  ASSERT_TRUE(mailbox.TrySleep());
  EXPECT_TRUE(mailbox.Push(&nodes[0]));
  EXPECT_FALSE(mailbox.Push(&nodes[1]));
  EXPECT_FALSE(mailbox.TrySleep());
  RunNode* taken = mailbox.TakeAll();
  EXPECT_EQ(taken, &nodes[0]);
  EXPECT_EQ(taken->next, &nodes[1]);
}

TEST(Mailbox, TakingFromASleepersEmptyBoxEndsTheSleep) {
  Mailbox mailbox;
  NumberedNode node;
  ASSERT_TRUE(mailbox.TrySleep());
  EXPECT_EQ(mailbox.TakeAll(), nullptr);
  EXPECT_FALSE(mailbox.Push(&node));
}

TEST(Mailbox, ConcurrentPostsArriveOnceAndInEachThreadsOrder) {
  constexpr int kProducers = 4;
  constexpr int kEach = 5000;
  Mailbox mailbox;
  std::vector<std::deque<NumberedNode>> nodes(kProducers);
  std::vector<std::thread> producers;
  for (int p = 0; p < kProducers; p++) {
    for (int i = 0; i < kEach; i++) {
      NumberedNode& node = nodes[static_cast<size_t>(p)].emplace_back();
      node.producer = p;
      node.number = i;
    }
    producers.emplace_back([&mailbox, own = &nodes[static_cast<size_t>(p)]] {
      for (NumberedNode& node : *own) mailbox.Push(&node);
    });
  }
  int seen[kProducers] = {};
  for (int total = 0; total < kProducers * kEach;) {
    for (RunNode* at = mailbox.TakeAll(); at != nullptr; at = at->next, total++) {
      auto* node = static_cast<NumberedNode*>(at);
      EXPECT_EQ(node->number, seen[node->producer]++);
    }
  }
  for (std::thread& producer : producers) producer.join();
  EXPECT_TRUE(mailbox.empty());
}

// ---- Timer heap.

// Adds, cancels and fires as the numbers say, beside a sorted set that is right by construction.
RC_GTEST_PROP(TimerHeap, AgreesWithASortedSet,
              (const std::vector<std::pair<int8_t, uint8_t>>& ops)) {
  TimerHeap heap;
  std::deque<Timer> timers;
  std::set<std::pair<std::pair<int64_t, uint64_t>, Timer*>> model;
  auto key = [](Timer* t) { return std::pair(std::pair(t->deadline_ns, t->sequence), t); };
  for (auto [deadline, choice] : ops) {
    if (choice % 4 != 0 || timers.empty()) {
      Timer* added = &timers.emplace_back(nullptr);
      heap.Add(added, deadline);
      model.insert(key(added));
    } else {
      Timer* removed = &timers[choice % timers.size()];
      if (choice % 8 == 0 && heap.first() != nullptr) removed = heap.first();
      if (removed->armed) model.erase(key(removed));
      heap.Remove(removed);
      RC_ASSERT(!removed->armed);
    }
    RC_ASSERT(heap.first() == (model.empty() ? nullptr : model.begin()->second));
  }
  for (auto [unused, timer] : model) {
    RC_ASSERT(heap.first() == timer);
    heap.Remove(timer);
  }
  RC_ASSERT(heap.first() == nullptr);
}

}  // namespace
}  // namespace nexus::io
