// What `nexus wal verify|dump|replay` need of the log: the report, the visitor, the file moves.

#include "wal/tool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/wal/harness.h"

namespace nexus::wal {
namespace {

using sim::CrashKind;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr char kQuarantine[] = "/db/quarantine";

class Tool : public testing::Test {
 protected:
  // Three segments or so of records, all durable and vouched for.
  void SetUp() override {
    ASSERT_OK(machine.Open());
    for (int i = 0; i < 20; i++) machine.Append(fmt::format("{:03}{}", i, std::string(3000, 'x')));
    ASSERT_OK(machine.Close());
    machine.Boot();
    segments = machine.Files("segment");
    ASSERT_GT(segments.size(), 2u);
  }
  LogScan Scan() {
    StatusOr<LogScan> scan = machine.Scan();
    NEXUS_CHECK(scan.ok());
    return *scan;
  }

  Machine machine;
  std::vector<std::string> segments;
};

TEST_F(Tool, AGoodLogIsReportedSegmentBySegment) {
  std::vector<std::string> lines = VerifyReport(Scan());
  EXPECT_THAT(lines, Contains(HasSubstr("20 records in")));
  EXPECT_THAT(lines, Contains(HasSubstr("whole from its beginning")));
  EXPECT_THAT(lines, Contains(HasSubstr("segment-00000001-")));
  EXPECT_THAT(lines, Not(Contains(HasSubstr("DAMAGE"))));
}

TEST_F(Tool, DamageIsReportedWithItsPlace) {
  machine.world.disk().FlipBit(segments[1], 8192 + 200, 1);
  std::vector<std::string> lines = VerifyReport(Scan());
  EXPECT_THAT(lines, Contains(testing::AllOf(HasSubstr("DAMAGE"), HasSubstr(segments[1]),
                                             HasSubstr("LSN"))));
}

TEST_F(Tool, ATornTailIsReported) {
  ASSERT_OK(machine.Open());
  AppendResult torn = machine.AppendDurable("torn");
  machine.Crash(CrashKind::kPowerCut);
  std::string path = Scan().segments.back().path;
  uint64_t base = Scan().segments.back().base.value;
  machine.world.disk().FlipBit(path, kSegmentDataBegin + (torn.begin.value - base) + 64, 1);
  EXPECT_THAT(VerifyReport(Scan()), Contains(HasSubstr("torn tail")));
}

TEST_F(Tool, TheVisitorSeesRecordsInOrderUntilItHasEnough) {
  std::vector<std::string> seen;
  auto visit = [&seen](const RecordView& record) {
    seen.push_back(std::string(AsString(record.body.first(3))));
    EXPECT_EQ(record.kind, kText);
    EXPECT_GT(record.wall_ns, 0);
    return seen.size() < 3;
  };
  ASSERT_OK(
      machine.world.RunTask(VisitRecords(machine.environment, Scan(), CursorOptions(), visit)));
  EXPECT_THAT(seen, ElementsAre("000", "001", "002"));
}

TEST_F(Tool, DamagedSegmentsAreCopiedAsideAndLeftInPlace) {
  machine.world.disk().FlipBit(segments[1], 8192 + 200, 1);
  machine.world.disk().MakeUnreadable(segments[2], 12'288);
  StatusOr<std::vector<std::string>> copies =
      machine.world.RunTask(CopyDamagedSegments(machine.environment, Scan(), kQuarantine));
  ASSERT_TRUE(copies.ok()) << copies.status();
  ASSERT_EQ(copies->size(), 2u);
  EXPECT_EQ(machine.Files("segment"), segments);
  machine.world.Crash(CrashKind::kPowerCut);
  EXPECT_EQ(machine.world.disk().ReadVisible((*copies)[0]),
            machine.world.disk().ReadVisible(segments[1]));
  std::string unreadable = *machine.world.disk().ReadVisible((*copies)[1]);
  EXPECT_EQ(unreadable.size(), machine.options.segment_bytes);
  EXPECT_EQ(unreadable.substr(12'288, 4096), std::string(4096, '\0'));
}

TEST_F(Tool, AGoodLogHasNothingToCopy) {
  StatusOr<std::vector<std::string>> copies =
      machine.world.RunTask(CopyDamagedSegments(machine.environment, Scan(), kQuarantine));
  ASSERT_TRUE(copies.ok());
  EXPECT_THAT(*copies, IsEmpty());
}

TEST_F(Tool, AReplayedLogMovesAsideAndANewOneStartsAboveIt) {
  LogScan old = Scan();
  StatusOr<std::vector<std::string>> moved =
      machine.world.RunTask(MoveSegmentsAside(machine.environment, old, kQuarantine));
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(moved->size(), segments.size());
  machine.Crash(CrashKind::kPowerCut);
  EXPECT_THAT(machine.Files("segment"), IsEmpty());
  EXPECT_EQ(machine.Files("quarantine/segment").size(), segments.size());
  machine.options.base_above = old.next_base;
  ASSERT_OK(machine.Open());
  EXPECT_GT(machine.AppendDurable("new").begin, old.end);
  ASSERT_OK(machine.Close());
  EXPECT_THAT(machine.Texts(), ElementsAre("new"));
}

}  // namespace
}  // namespace nexus::wal
