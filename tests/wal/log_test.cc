// Appending, group commit, rotation, trimming, refusals and failures of a running log.

#include "wal/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/wal/harness.h"

namespace nexus::wal {
namespace {

using sim::CrashKind;
using sim::Op;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Log, WhatIsAcknowledgedIsThereAfterAPowerCut) {
  Machine machine;
  ASSERT_OK(machine.Open());
  AppendResult first = machine.AppendDurable("one");
  AppendResult second = machine.AppendDurable("two");
  EXPECT_LT(first.end, second.end);
  EXPECT_GE(second.begin, first.end);
  EXPECT_EQ(machine.observer->durable, second.end);
  machine.Crash(CrashKind::kPowerCut);
  StatusOr<std::vector<TextRecord>> records = machine.Records();
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_THAT(*records, ElementsAre(TextRecord{"one", first.begin, first.end},
                                    TextRecord{"two", second.begin, second.end}));
}

TEST(Log, OneSyncCoversManyRecords) {
  Machine machine;
  machine.options.buffer_bytes = 16 << 10;
  ASSERT_OK(machine.Open());
  machine.world.RunUntilIdle();
  for (int i = 0; i < 100; i++) machine.Append("record");
  uint64_t syncs_before = machine.world.disk().submitted(Op::kSync);
  EXPECT_TRUE(machine.Sync().ok());
  EXPECT_EQ(machine.log->stats().rounds, 1u);
  EXPECT_LE(machine.world.disk().submitted(Op::kSync) - syncs_before, 1u);
  EXPECT_EQ(machine.observer->durable_calls, 1);
}

TEST(Log, RecordsOfSeveralPiecesAreOne) {
  Machine machine;
  ASSERT_OK(machine.Open());
  machine.world.RunFor(1'000'000'000);
  std::vector<Bytes> pieces = {AsBytes("ab"), AsBytes(""), AsBytes("cde")};
  machine.world.RunOnLoop([&] { ASSERT_TRUE(machine.log->Append(kText, pieces).ok()); });
  machine.Append("");
  ASSERT_OK(machine.Close());
  EXPECT_THAT(machine.Texts(), ElementsAre("abcde", ""));
}

TEST(Log, NothingIsDurableBeforeItsSync) {
  sim::Options slow;
  slow.sync = {1'000'000'000, 0};
  Machine machine(1, slow);
  ASSERT_OK(machine.Open());
  Lsn before = machine.log->durable();
  machine.Append("x");
  machine.world.RunFor(900'000'000);
  EXPECT_EQ(machine.log->durable(), before);
  EXPECT_EQ(machine.observer->durable_calls, 0);
  machine.world.RunFor(300'000'000);
  EXPECT_GT(machine.log->durable(), before);
}

TEST(Log, RotatesThroughManySegmentsInOrder) {
  Machine machine;
  ASSERT_OK(machine.Open());
  std::vector<std::string> written;
  for (int i = 0; i < 200; i++) {
    written.push_back(std::string(1000, static_cast<char>('a' + i % 26)) + std::to_string(i));
    machine.Append(written.back());
  }
  ASSERT_OK(machine.Sync());
  EXPECT_GT(machine.log->stats().segments, 8u);
  machine.Crash(CrashKind::kPowerCut);
  EXPECT_EQ(machine.Texts(), written);
}

TEST(Log, LargeRecordsGetBuffersOfTheirOwn) {
  Machine machine;
  machine.options.large_bytes_max = 30'000;
  ASSERT_OK(machine.Open());
  uint64_t largest = machine.log->record_bytes_max();
  EXPECT_GT(largest, machine.options.buffer_bytes);
  std::vector<std::string> written;
  for (uint64_t bytes : {largest, uint64_t{5}, largest - 1, uint64_t{9000}, uint64_t{8100},
                         machine.options.buffer_bytes - 64, uint64_t{1}, largest}) {
    written.push_back(std::string(bytes, static_cast<char>('a' + written.size())));
    machine.Append(written.back());
  }
  ASSERT_OK(machine.Close());
  EXPECT_EQ(machine.Texts(), written);
}

TEST(Log, OversizedRecordsAndWrongKindsAreRefusedByName) {
  Machine machine;
  ASSERT_OK(machine.Open());
  std::string large(machine.log->record_bytes_max() + 1, 'x');
  StatusOr<AppendResult> refused = machine.TryAppend(large);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("larger than"));
  for (uint8_t kind : std::initializer_list<uint8_t>{0, 64, 255}) {
    machine.world.RunOnLoop([&] {
      EXPECT_EQ(machine.log->Append(RecordKind{kind}, {}).status().code(),
                absl::StatusCode::kInvalidArgument);
    });
  }
  EXPECT_EQ(machine.log->stats().records, 0u);
}

TEST(Log, FullBuffersAreBackpressureAndRoomIsTold) {
  sim::Options slow;
  slow.sync = {1'000'000'000, 0};
  Machine machine(1, slow);
  machine.options.segment_bytes = 256 << 10;
  ASSERT_OK(machine.Open());
  machine.world.RunFor(20'000'000'000);  // spares are ready
  std::string text(4000, 'x');
  int taken = 0;
  while (machine.CanAppend(text.size())) {
    ASSERT_TRUE(machine.TryAppend(text).ok());
    taken++;
  }
  EXPECT_GE(taken, machine.options.buffers - 1);
  EXPECT_EQ(machine.TryAppend(text).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(machine.observer->rooms, 0);
  EXPECT_TRUE(machine.world.RunUntil([&] { return machine.observer->rooms > 0; }));
  EXPECT_TRUE(machine.CanAppend(text.size()));
  ASSERT_OK(machine.Close());
  EXPECT_EQ(machine.Texts().size(), static_cast<size_t>(taken));
}

TEST(Log, TrimRecyclesWholeSegmentsAndKeepsWhatIsAbove) {
  Machine machine;
  ASSERT_OK(machine.Open());
  std::vector<AppendResult> results;
  for (int i = 0; i < 150; i++) results.push_back(machine.Append(std::string(1000, 'x')));
  ASSERT_OK(machine.Sync());
  uint64_t before = machine.log->stats().segments;
  Lsn below = results[100].end;
  ASSERT_OK(machine.Trim(below));
  LogStats stats = machine.log->stats();
  EXPECT_LT(stats.segments, before);
  EXPECT_GT(stats.segments_recycled, 0u);
  EXPECT_LE(stats.spares, static_cast<uint64_t>(machine.options.spares_max));
  machine.Crash(CrashKind::kPowerCut);
  StatusOr<LogScan> scan = machine.Scan();
  ASSERT_TRUE(scan.ok() && scan->status().ok());
  EXPECT_FALSE(scan->from_the_beginning());
  EXPECT_LE(scan->before_first.end, below);
  CursorOptions cursor;
  cursor.from = below;
  StatusOr<std::vector<TextRecord>> kept = machine.RecordsOf(*scan, cursor);
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(kept->size(), 49u);
  EXPECT_EQ(kept->front().begin, results[101].begin);
}

TEST(Log, TrimNeverTakesTheCurrentSegmentOrOneWhoseEndIsNotYetNamed) {
  Machine machine;
  ASSERT_OK(machine.Open());
  machine.Append(std::string(6000, 'x'));
  AppendResult last = machine.AppendDurable(std::string(6000, 'x'));
  ASSERT_OK(machine.Trim(Lsn{UINT64_MAX / 2}));
  EXPECT_EQ(machine.log->stats().segments, 1u);
  // The first record of the second segment takes long to become durable, all else is quick.
  machine.world.RunFor(1'000'000'000);
  sim::Latency quick = std::exchange(machine.world.options()->sync, {60'000'000'000, 0});
  machine.Append(std::string(6000, 'y'));
  ASSERT_TRUE(machine.world.RunUntil([&] { return machine.log->stats().rounds_in_flight > 0; }));
  machine.world.options()->sync = quick;
  ASSERT_EQ(machine.log->stats().segments, 2u);
  ASSERT_EQ(machine.log->durable(), last.end);
  ASSERT_OK(machine.Trim(machine.log->end()));
  ASSERT_LT(machine.log->durable(), machine.log->end());
  EXPECT_EQ(machine.log->stats().segments, 2u);
  ASSERT_OK(machine.Sync());
  ASSERT_OK(machine.Trim(machine.log->end()));
  EXPECT_EQ(machine.log->stats().segments, 1u);
}

TEST(Log, SegmentsAreReusedForEverWithoutGrowingTheFolder) {
  Machine machine;
  ASSERT_OK(machine.Open());
  for (int i = 0; i < 1000; i++) {
    machine.Append(std::string(1500, 'x'));
    if (i % 10 == 9) {
      ASSERT_OK(machine.Sync());
      ASSERT_OK(machine.Trim(machine.log->durable()));
    }
  }
  EXPECT_LE(machine.world_files().size(), 8u);
  EXPECT_GT(machine.log->stats().segments_recycled, 30u);
}

// ---- Failures

class LogFailure : public testing::TestWithParam<int> {};

TEST_P(LogFailure, AFailedRoundLatches) {
  Machine machine;
  ASSERT_OK(machine.Open());
  machine.AppendDurable("kept");
  machine.world.RunFor(5'000'000'000);
  switch (GetParam()) {
    case 0:
      machine.world.disk().FailNext({Op::kWrite}, -EIO);
      break;
    case 1:
      machine.world.disk().FailNext({Op::kSync}, -EIO);
      break;
    case 2:
      machine.world.disk().ShortenNext({Op::kWrite}, 0);
      break;
    case 3:
      machine.world.disk().FailNext({Op::kWrite}, -ENOSPC);
      break;
  }
  Lsn before = machine.log->durable();
  machine.Append("lost");
  Status failed = machine.Sync();
  EXPECT_EQ(failed.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(failed.message()), HasSubstr("outcome"));
  EXPECT_EQ(machine.observer->failed, failed);
  EXPECT_EQ(machine.log->durable(), before);
  EXPECT_EQ(machine.TryAppend("later").status(), failed);
  EXPECT_EQ(machine.log->writable(), failed);
  EXPECT_FALSE(machine.Trim(before).ok());
  EXPECT_EQ(machine.Close(), failed);
  // Reopening recovers.
  ASSERT_OK(machine.Open());
  machine.AppendDurable("after");
  std::vector<std::string> texts = machine.Texts();
  EXPECT_EQ(texts.front(), "kept");
  EXPECT_EQ(texts.back(), "after");
}

INSTANTIATE_TEST_SUITE_P(Kinds, LogFailure, testing::Values(0, 1, 2, 3));

TEST(LogFailureOrder, NothingBehindAFailedRoundIsEverAcknowledged) {
  for (uint64_t seed = 1; seed <= 50; seed++) {
    Machine machine(seed);
    ASSERT_OK(machine.Open());
    machine.world.RunFor(5'000'000'000);
    machine.world.disk().FailNth({Op::kSync}, 2, -EIO);
    std::vector<AppendResult> results;
    while (machine.CanAppend(5000)) results.push_back(*machine.TryAppend(std::string(5000, 'x')));
    ASSERT_GT(results.size(), 2u);
    EXPECT_FALSE(machine.Sync().ok());
    machine.world.RunUntilIdle();
    EXPECT_LT(machine.log->durable(), results.back().end) << seed;
    EXPECT_FALSE(machine.Close().ok());
  }
}

TEST(LogSpace, AFullDiskRefusesBatchesTakesEditsAndHeals) {
  Machine machine;
  ASSERT_OK(machine.Open());
  machine.world.RunFor(1'000'000'000);
  machine.world.disk().SetCapacity(machine.world.disk().used_bytes());
  std::string text(5000, 'x');
  int batches = 0;
  Status refused;
  while (refused.ok()) {
    if (!machine.CanAppend(text.size())) {
      ASSERT_TRUE(machine.world.Step());
      continue;
    }
    refused = machine.TryAppend(text).status();
    if (refused.ok()) batches++;
  }
  EXPECT_GT(batches, 3);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("segment"));
  EXPECT_EQ(machine.log->writable(), refused);
  // An edit still finds its place, in the spare kept for it.
  uint64_t segments = machine.log->stats().segments;
  ASSERT_TRUE(machine.TryAppend(text, Urgency::kEdit).ok());
  ASSERT_OK(machine.Sync());
  EXPECT_EQ(machine.log->stats().segments, segments + 1);
  EXPECT_FALSE(machine.TryAppend("small").ok());
  // Space returns: writing resumes by itself.
  int rooms = machine.observer->rooms;
  machine.world.disk().SetCapacity(1 << 30);
  EXPECT_TRUE(machine.world.RunUntil([&] { return machine.observer->rooms > rooms; }));
  machine.world.RunFor(20'000'000'000);
  EXPECT_TRUE(machine.log->writable().ok());
  machine.AppendDurable("resumed");
  ASSERT_OK(machine.Close());
  EXPECT_EQ(machine.Texts().size(), static_cast<size_t>(batches) + 2);
}

TEST(LogSpace, TrimmingFreesAFullDisk) {
  Machine machine;
  ASSERT_OK(machine.Open());
  machine.world.RunFor(1'000'000'000);
  machine.world.disk().SetCapacity(machine.world.disk().used_bytes());
  while (true) {
    if (!machine.CanAppend(5000)) {
      ASSERT_TRUE(machine.world.Step());
    } else if (!machine.TryAppend(std::string(5000, 'x')).ok()) {
      break;
    }
  }
  ASSERT_OK(machine.Sync());
  ASSERT_OK(machine.Trim(machine.log->durable()));
  EXPECT_TRUE(machine.TryAppend(std::string(5000, 'y')).ok());
  ASSERT_OK(machine.Sync());
}

TEST(LogSpace, WithoutSpaceForTheFirstSegmentTheLogOpensReadOnlyAndHeals) {
  Machine machine;
  ASSERT_OK(machine.Open());
  AppendResult kept = machine.AppendDurable("kept");
  ASSERT_OK(machine.Close());
  machine.Boot();
  for (const std::string& spare : machine.Files("spare")) {
    ASSERT_TRUE(machine.world.RunTask(io::Unlink(machine.environment->disk(), spare)).ok());
  }
  machine.world.disk().SetCapacity(machine.world.disk().used_bytes());
  ASSERT_OK(machine.Open());
  EXPECT_EQ(machine.log->writable().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(machine.TryAppend("no").status(), machine.log->writable());
  EXPECT_GE(machine.log->durable(), kept.end);
  EXPECT_THAT(machine.Texts(), ElementsAre("kept"));
  machine.world.disk().SetCapacity(1 << 30);
  EXPECT_TRUE(machine.world.RunUntil([&] { return machine.log->writable().ok(); }));
  machine.AppendDurable("healed");
  ASSERT_OK(machine.Close());
  EXPECT_THAT(machine.Texts(), ElementsAre("kept", "healed"));
}

TEST(LogSpace, AReadOnlyFileSystemOpensReadOnly) {
  Machine machine;
  ASSERT_OK(machine.Open());
  machine.AppendDurable("kept");
  ASSERT_OK(machine.Close());
  machine.world.disk().SetReadOnly(true);
  ASSERT_OK(machine.Open());
  EXPECT_EQ(machine.TryAppend("no").status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(machine.Texts(), ElementsAre("kept"));
  EXPECT_TRUE(machine.Close().ok());
}

// ---- Marks

TEST(LogMark, AnIdleLogEndsWithAMarkThatVouchesForItsTail) {
  Machine machine;
  ASSERT_OK(machine.Open());
  AppendResult last = machine.AppendDurable("x");
  EXPECT_EQ(machine.log->stats().marks, 0u);
  machine.world.RunFor(100'000'000);
  EXPECT_EQ(machine.log->stats().marks, 1u);
  machine.world.RunFor(1'000'000'000);
  EXPECT_EQ(machine.log->stats().marks, 1u) << "one mark is enough";
  machine.Crash(CrashKind::kPowerCut);
  StatusOr<LogScan> scan = machine.Scan();
  ASSERT_TRUE(scan.ok());
  EXPECT_EQ(scan->durable, last.end);
  EXPECT_EQ(scan->records_end, last.end);
  EXPECT_GT(scan->end, last.end);
}

TEST(LogMark, ABusyLogWritesNone) {
  Machine machine;
  ASSERT_OK(machine.Open());
  for (int i = 0; i < 20; i++) {
    machine.AppendDurable("x");
    machine.world.RunFor(5'000'000);
  }
  EXPECT_EQ(machine.log->stats().marks, 0u);
}

TEST(LogMark, CloseWritesOne) {
  Machine machine;
  ASSERT_OK(machine.Open());
  AppendResult last = machine.Append("x");
  ASSERT_OK(machine.Close());
  StatusOr<LogScan> scan = machine.Scan();
  ASSERT_TRUE(scan.ok());
  EXPECT_EQ(scan->durable, last.end);
}

TEST(LogMark, ClosingWaitsForAMarkThatTheTimerHasJustAdded) {
  Machine machine;
  for (int64_t late_ns = -3000; late_ns <= 3000; late_ns += 200) {
    ASSERT_OK(machine.Open());
    machine.AppendDurable("x");
    machine.world.RunFor(machine.options.mark_delay_ns + late_ns);
    // A write that is still in flight when the log goes would end the test.
    ASSERT_OK(machine.Close());
  }
}

TEST(LogOptionsCheck, OutOfRangeIsRefusedByName) {
  auto refused = [](auto change) {
    Machine machine;
    change(&machine.options);
    Status status = machine.Open();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  };
  refused([](LogOptions* options) { options->segment_bytes = 4096; });
  refused([](LogOptions* options) { options->segment_bytes = 40'000; });
  refused([](LogOptions* options) { options->buffer_bytes = 4096; });
  refused([](LogOptions* options) { options->buffer_bytes = 32 << 10; });
  refused([](LogOptions* options) { options->buffers = 1; });
  refused([](LogOptions* options) { options->writes_in_flight_max = 0; });
  refused([](LogOptions* options) { options->spares_min = 1; });
  refused([](LogOptions* options) { options->spares_max = 1; });
  refused([](LogOptions* options) { options->base_above = Lsn{UINT64_MAX}; });
  refused([](LogOptions* options) { options->directory = "/other"; });
}

TEST(LogBase, BeginsAboveWhatTheCallerNames) {
  Machine machine;
  machine.options.base_above = Lsn{1'000'000};
  ASSERT_OK(machine.Open());
  EXPECT_GT(machine.AppendDurable("x").begin, Lsn{1'000'000});
}

}  // namespace
}  // namespace nexus::wal
