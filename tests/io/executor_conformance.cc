// What every backend promises of its executor: timers, offloaded work, scheduled nodes, clocks.
// Part of the suite of conformance.h; in coroutines only EXPECT_ is used, since ASSERT_ returns.

#include <gmock/gmock.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/io/conformance.h"

namespace nexus::io {
namespace {

using ::testing::ElementsAre;

Task<void> TimersFireInOrderOfTheirDeadlines(Executor* executor) {
  std::vector<int> order;
  struct Ringer : Timer {
    Ringer(int number, std::vector<int>* rung) : Timer(&Ring), id(number), into(rung) {}
    static void Ring(RunNode* node) {
      auto* self = static_cast<Ringer*>(node);
      self->rung_at_ns = Executor::Current()->MonotonicNanos();
      self->into->push_back(self->id);
    }
    int id;
    std::vector<int>* into;
    int64_t rung_at_ns = 0;
  };
  Ringer third(3, &order);
  Ringer first(1, &order);
  Ringer cancelled(9, &order);
  Ringer second(2, &order);
  constexpr int64_t kMillisecond = 1'000'000;
  int64_t now = executor->MonotonicNanos();
  executor->StartTimer(&third, now + 6 * kMillisecond);
  executor->StartTimer(&cancelled, now + 3 * kMillisecond);
  executor->StartTimer(&first, now + 2 * kMillisecond);
  executor->StartTimer(&second, now + 4 * kMillisecond);
  EXPECT_TRUE(first.armed);
  executor->CancelTimer(&cancelled);
  EXPECT_FALSE(cancelled.armed);
  executor->CancelTimer(&cancelled);
  co_await executor->Sleep(10 * kMillisecond);
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
  EXPECT_FALSE(first.armed);
  for (Ringer* timer : {&first, &second, &third}) {
    EXPECT_GE(timer->rung_at_ns, timer->deadline_ns);
  }
}

TEST_P(Conformance, TimersFireInOrderOfTheirDeadlines) {
  Run(TimersFireInOrderOfTheirDeadlines(executor()));
}

Task<void> SleepLastsAtLeastAsLongAsAsked(Executor* executor) {
  for (int64_t nanos : {int64_t{-5}, int64_t{0}, int64_t{1}, int64_t{2'000'000}}) {
    int64_t before = executor->MonotonicNanos();
    co_await executor->Sleep(nanos);
    EXPECT_GE(executor->MonotonicNanos() - before, nanos);
  }
}

TEST_P(Conformance, SleepLastsAtLeastAsLongAsAsked) {
  Run(SleepLastsAtLeastAsLongAsAsked(executor()));
}

Task<void> OffloadedWorkYieldsItsResultOnTheLoop(Executor* executor) {
  int sum = 0;
  for (Lane lane : {Lane::kWorker, Lane::kCatalog}) {
    int input = 20;
    int result = co_await executor->Run(lane, [input] { return input + 1; });
    EXPECT_EQ(Executor::Current(), executor);
    sum += result;
  }
  EXPECT_EQ(sum, 42);
}

TEST_P(Conformance, OffloadedWorkYieldsItsResultOnTheLoop) {
  Run(OffloadedWorkYieldsItsResultOnTheLoop(executor()));
}

struct OrderedWork : Work {
  OrderedWork(int number, std::vector<int>* executed, int* remaining, Event* finished)
      : Work(Lane::kCatalog, &Execute, &Completed),
        id(number),
        order(executed),
        left(remaining),
        all_done(finished) {}
  // Not synchronised on purpose: the lane is one thread at a time, which TSan checks.
  static void Execute(Work* work) {
    auto* self = static_cast<OrderedWork*>(work);
    self->order->push_back(self->id);
  }
  static void Completed(RunNode* node) {
    auto* self = static_cast<OrderedWork*>(static_cast<Work*>(node));
    if (--*self->left == 0) self->all_done->Set();
  }
  int id;
  std::vector<int>* order;
  int* left;
  Event* all_done;
};

Task<void> CatalogWorkRunsOneAtATimeInOrder(Executor* executor) {
  constexpr int kCount = 200;
  std::vector<int> order;
  std::vector<int> expected;
  int left = kCount;
  Event all_done;
  std::deque<OrderedWork> works;
  for (int i = 0; i < kCount; i++) {
    works.emplace_back(i, &order, &left, &all_done);
    executor->Offload(&works.back());
    expected.push_back(i);
  }
  co_await all_done.Wait();
  EXPECT_EQ(order, expected);
}

TEST_P(Conformance, CatalogWorkRunsOneAtATimeInOrder) {
  Run(CatalogWorkRunsOneAtATimeInOrder(executor()));
}

struct SettingNode : RunNode {
  explicit SettingNode(Event* target) : RunNode(&Run), event(target) {}
  static void Run(RunNode* node) { static_cast<SettingNode*>(node)->event->Set(); }
  Event* event;
};

Task<void> ScheduledAndPostedNodesRunLaterAndOnce(Executor* executor) {
  Event scheduled_ran;
  Event posted_ran;
  SettingNode scheduled(&scheduled_ran);
  SettingNode posted(&posted_ran);
  executor->Schedule(&scheduled);
  executor->Post(&posted);
  EXPECT_FALSE(scheduled_ran.is_set());
  EXPECT_FALSE(posted_ran.is_set());
  co_await scheduled_ran.Wait();
  co_await posted_ran.Wait();
  co_await executor->Yield();
}

TEST_P(Conformance, ScheduledAndPostedNodesRunLaterAndOnce) {
  Run(ScheduledAndPostedNodesRunLaterAndOnce(executor()));
}

Task<void> ClocksAndRandomnessMove(Environment* environment) {
  int64_t before = environment->MonotonicNanos();
  co_await environment->executor()->Sleep(1'000'000);
  EXPECT_GE(environment->MonotonicNanos(), before + 1'000'000);
  EXPECT_GT(environment->WallNanos(), int64_t{1'000'000'000'000'000'000}) << "before 2001";
  uint64_t first = environment->random()->Next();
  uint64_t second = environment->random()->Next();
  EXPECT_NE(first, second);
}

TEST_P(Conformance, ClocksAndRandomnessMove) { Run(ClocksAndRandomnessMove(environment())); }

}  // namespace
}  // namespace nexus::io
