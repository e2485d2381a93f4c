// Tasks, scopes and events on the least executor: results, order, destruction, stack depth.

#include "io/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/io/test_executor.h"

namespace nexus::io {
namespace {

using ::testing::ElementsAre;

class TaskTest : public testing::Test {
 protected:
  // Runs to the end of everything that can run.
  void Run(Task<void> task) {
    scope_.Spawn(std::move(task));
    executor_.RunUntilIdle();
    EXPECT_EQ(scope_.running(), 0);
  }
  TestExecutor executor_;
  TaskScope scope_{&executor_};
};

Task<int> Value(int value) { co_return value; }

Task<std::unique_ptr<int>> Boxed(int value) { co_return std::make_unique<int>(value); }

Task<void> AddUp(int* into) {
  int one = co_await Value(1);
  std::unique_ptr<int> two = co_await Boxed(2);
  *into = one + *two;
}

TEST_F(TaskTest, YieldsItsValueAlsoIfItCanOnlyBeMoved) {
  int sum = 0;
  Run(AddUp(&sum));
  EXPECT_EQ(sum, 3);
}

Task<void> Append(std::vector<std::string>* log, std::string entry) {
  log->push_back(entry);
  co_return;
}

TEST_F(TaskTest, StartsOnlyWhenAwaited) {
  std::vector<std::string> log;
  { Task<void> never = Append(&log, "never"); }
  EXPECT_TRUE(log.empty());
  scope_.Spawn(Append(&log, "spawned"));
  EXPECT_TRUE(log.empty());
  executor_.RunUntilIdle();
  EXPECT_THAT(log, ElementsAre("spawned"));
}

Task<void> AppendTwice(Executor* executor, std::vector<std::string>* log, std::string name) {
  log->push_back(name + "1");
  co_await executor->Yield();
  log->push_back(name + "2");
}

TEST_F(TaskTest, YieldLetsTheOthersHaveTheirTurn) {
  std::vector<std::string> log;
  scope_.Spawn(AppendTwice(&executor_, &log, "a"));
  scope_.Spawn(AppendTwice(&executor_, &log, "b"));
  executor_.RunUntilIdle();
  EXPECT_THAT(log, ElementsAre("a1", "b1", "a2", "b2"));
}

constexpr int kManyAwaits = 200'000;

Task<void> AwaitMany(int64_t* sum) {
  for (int i = 0; i < kManyAwaits; i++) {
    int value = co_await Value(1);
    *sum += value;
  }
}

TEST_F(TaskTest, ManySynchronousCompletionsDoNotOverflowTheStack) {
  int64_t sum = 0;
  Run(AwaitMany(&sum));
  EXPECT_EQ(sum, kManyAwaits);
}

Task<int64_t> Nested(int depth) {
  if (depth == 0) co_return 0;
  int64_t below = co_await Nested(depth - 1);
  co_return below + 1;
}

Task<void> RunNested(int depth, int64_t* result) { *result = co_await Nested(depth); }

TEST_F(TaskTest, NestedTasksReturnThroughTheRunQueueAtTheDepthLimit) {
  int64_t result = 0;
  scope_.Spawn(RunNested(10 * kTransferDepthMax, &result));
  int nodes_run = 0;
  while (executor_.RunOne()) nodes_run++;
  EXPECT_EQ(result, 10 * kTransferDepthMax);
  EXPECT_GE(nodes_run, 10) << "all returns were made on one stack";
}

// Counts its living instances, to see frames being destroyed.
struct Token {
  explicit Token(int* counter) : living(counter) { ++*living; }
  Token(const Token&) = delete;
  Token& operator=(const Token&) = delete;
  ~Token() { --*living; }
  int* living;
};

Task<void> WaitHolding(Event* event, int* living, bool* went_on) {
  Token token(living);
  co_await event->Wait();
  *went_on = true;
}

Task<void> Outer(Event* event, int* living, bool* went_on) {
  Token token(living);
  co_await WaitHolding(event, living, went_on);
}

TEST_F(TaskTest, DestroyedScopeDestroysSuspendedFramesWithoutResumingThem) {
  Event event;
  int living = 0;
  bool went_on = false;
  {
    TaskScope scope(&executor_);
    scope.Spawn(Outer(&event, &living, &went_on));
    scope.Spawn(Outer(&event, &living, &went_on));
    executor_.RunUntilIdle();
    EXPECT_EQ(living, 4);
    EXPECT_EQ(scope.running(), 2);
  }
  EXPECT_EQ(living, 0);
  EXPECT_FALSE(went_on);
}

Task<void> SleepThenLog(Executor* executor, int64_t nanos, std::vector<std::string>* log) {
  co_await executor->Sleep(nanos);
  log->push_back(std::to_string(executor->MonotonicNanos()));
}

TEST_F(TaskTest, SleepersWakeInOrderOfTheirDeadlines) {
  std::vector<std::string> log;
  for (int64_t nanos : {300, 100, 200}) scope_.Spawn(SleepThenLog(&executor_, nanos, &log));
  executor_.RunUntilIdle();
  EXPECT_THAT(log, ElementsAre("100", "200", "300"));
}

TEST_F(TaskTest, DestroyedSleeperDisarmsItsTimer) {
  std::vector<std::string> log;
  {
    TaskScope scope(&executor_);
    scope.Spawn(SleepThenLog(&executor_, 100, &log));
    EXPECT_TRUE(executor_.RunOne());
  }
  EXPECT_FALSE(executor_.RunOne());
  EXPECT_TRUE(log.empty());
}

Task<void> SpawnTwoAndJoin(Executor* executor, std::vector<std::string>* log) {
  TaskScope scope(executor);
  scope.Spawn(SleepThenLog(executor, 5, log));
  scope.Spawn(SleepThenLog(executor, 10, log));
  co_await scope.Join();
  log->push_back("joined");
}

TEST_F(TaskTest, JoinWaitsForAllChildren) {
  std::vector<std::string> log;
  Run(SpawnTwoAndJoin(&executor_, &log));
  EXPECT_THAT(log, ElementsAre("5", "10", "joined"));
}

Task<void> SpawnChain(Executor* executor, TaskScope* scope, int depth, int* finished) {
  co_await executor->Yield();
  if (depth > 0) scope->Spawn(SpawnChain(executor, scope, depth - 1, finished));
  ++*finished;
}

Task<void> JoinChain(Executor* executor, int* finished, int* finished_at_join) {
  TaskScope scope(executor);
  scope.Spawn(SpawnChain(executor, &scope, 9, finished));
  co_await scope.Join();
  *finished_at_join = *finished;
}

TEST_F(TaskTest, JoinWaitsForChildrenSpawnedMeanwhile) {
  int finished = 0;
  int finished_at_join = 0;
  Run(JoinChain(&executor_, &finished, &finished_at_join));
  EXPECT_EQ(finished_at_join, 10);
}

Task<void> WaitAndCount(Event* event, int* count) {
  co_await event->Wait();
  ++*count;
}

TEST_F(TaskTest, EventResumesAllWaitersAndStaysSet) {
  Event event;
  int count = 0;
  for (int i = 0; i < 3; i++) scope_.Spawn(WaitAndCount(&event, &count));
  executor_.RunUntilIdle();
  EXPECT_EQ(count, 0);
  event.Set();
  EXPECT_EQ(count, 0) << "waiters resume through the run queue";
  executor_.RunUntilIdle();
  EXPECT_EQ(count, 3);
  Run(WaitAndCount(&event, &count));
  EXPECT_EQ(count, 4);
}

TEST_F(TaskTest, PulseResumesOnlyWhoWaitsNow) {
  Event event;
  int count = 0;
  scope_.Spawn(WaitAndCount(&event, &count));
  executor_.RunUntilIdle();
  event.Pulse();
  scope_.Spawn(WaitAndCount(&event, &count));
  executor_.RunUntilIdle();
  EXPECT_EQ(count, 1);
  event.Set();
  executor_.RunUntilIdle();
  EXPECT_EQ(count, 2);
}

Task<void> Offloaded(Executor* executor, int* result) {
  *result = co_await executor->Run(Lane::kWorker, [] { return 7; });
  co_await executor->Run(Lane::kWorker, [result] { *result *= 2; });
}

TEST_F(TaskTest, OffloadedWorkYieldsItsResult) {
  int result = 0;
  Run(Offloaded(&executor_, &result));
  EXPECT_EQ(result, 14);
}

}  // namespace
}  // namespace nexus::io
