// kill -9 on the real kernel: what a killed process had acknowledged is there when the next one
// opens.
//
// A child appends batches and tells each acknowledgement through a pipe; the parent kills it at a
// random moment, opens the folder, and compares. Many rounds on one folder, so recovery meets what
// earlier recoveries left; some rounds kill within the child's opening.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <csignal>
#include <random>
#include <thread>

#include "tests/engine/database_fixture.h"

namespace nexus {
namespace {

constexpr int kRounds = 25;
constexpr int kSamplesPerBatch = 50;

// The value of a sample follows from its batch and place.
double ValueOf(uint64_t batch, int place) {
  return static_cast<double>(batch) * 1000 + place + 0.25;
}

class KillTest : public DatabaseTest {
 protected:
  [[noreturn]] static void EndChild(int code, const Status& why) {
    std::fprintf(stderr, "child: %s\n", why.ToString().c_str());
    _exit(code);
  }

  // The child: appends batches from `next` on until it is killed.
  [[noreturn]] void AppendForEver(uint64_t next, int acked_fd) {
    Options options = DefaultOptions();
    options.memtable_bytes = 1 << 20;
    options.lock_wait_ms = 5000;
    auto db = Database::Open(options);
    if (!db.ok()) EndChild(3, db.status());
    auto id = (*db)->Series("metric", {{"name", "killed"}});
    if (!id.ok()) EndChild(4, id.status());
    for (uint64_t batch = next;; batch++) {
      WriteBatch write;
      for (int place = 0; place < kSamplesPerBatch; place++) {
        write.Add(*id, static_cast<int64_t>(batch) * kSamplesPerBatch + place,
                  ValueOf(batch, place));
      }
      Status appended = (*db)->Append(std::move(write)).status();
      if (!appended.ok()) EndChild(5, appended);
      Status flushed;
      if (batch % 40 == 0) flushed = (*db)->Flush();
      if (!flushed.ok()) EndChild(6, flushed);
      if (::write(acked_fd, &batch, sizeof(batch)) != sizeof(batch)) _exit(7);
    }
  }

  // Reads acknowledgements - at most so many, or until the pipe ends; the number of batches
  // acknowledged in all.
  static uint64_t ReadAcked(int fd, uint64_t acked, int count_max = INT_MAX) {
    uint64_t batch = 0;
    for (int i = 0; i < count_max && ::read(fd, &batch, sizeof(batch)) == sizeof(batch); i++) {
      acked = batch + 1;
    }
    return acked;
  }

  // Every acknowledged batch is there, whole; beyond them at most one that was in flight, whole or
  // absent.
  uint64_t CheckRecovered(uint64_t acked) {
    auto all = Read("metric{name=\"killed\"}");
    const std::vector<BitSample>& samples = all["killed"];
    EXPECT_EQ(samples.size() % kSamplesPerBatch, 0u);
    uint64_t batches = samples.size() / kSamplesPerBatch;
    EXPECT_GE(batches, acked);
    EXPECT_LE(batches, acked + 1);
    for (size_t i = 0; i < samples.size(); i++) {
      EXPECT_EQ(samples[i].timestamp, static_cast<int64_t>(i));
      double expected = ValueOf(i / kSamplesPerBatch, static_cast<int>(i % kSamplesPerBatch));
      EXPECT_EQ(samples[i].bits, std::bit_cast<uint64_t>(expected));
    }
    return batches;
  }
};

TEST_F(KillTest, KilledProcessLosesNothingItAcknowledged) {
  std::mt19937 random(20261120);
  uint64_t batches = 0;
  for (int round = 0; round < kRounds && !HasFailure(); round++) {
    int fds[2];
    ASSERT_EQ(pipe(fds), 0);
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(fds[0]);
      AppendForEver(batches, fds[1]);
    }
    close(fds[1]);
    uint64_t acked = batches;
    // Opening is killed, too; yet on a slow machine it must sometimes come to its end.
    if (round % 4 == 3) acked = ReadAcked(fds[0], acked, 1);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 120'000));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    acked = ReadAcked(fds[0], acked);
    close(fds[0]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself with " << WEXITSTATUS(status);
    Options options = DefaultOptions();
    options.lock_wait_ms = 5000;
    ASSERT_NO_FATAL_FAILURE(Open(options));
    batches = CheckRecovered(acked);
    db_.reset();
  }
  RecordProperty("batches", std::to_string(batches));
  EXPECT_GT(batches, 0u) << "no child lived long enough to append";
}

}  // namespace
}  // namespace nexus
