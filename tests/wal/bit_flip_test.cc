// Every single flipped bit of a small log is seen, or changes nothing: never other records.

#include <gtest/gtest.h>

#include <set>

#include "tests/wal/harness.h"

namespace nexus::wal {
namespace {

using sim::CrashKind;

class BitFlips : public testing::Test {
 protected:
  // Two lives, each closed with a mark; all that was appended is durable, and recorded so.
  void SetUp() override {
    for (int life = 0; life < 2; life++) {
      ASSERT_OK(machine.Open());
      for (int i = 0; i < 4; i++) machine.Append(fmt::format("record {} of {}", i, life));
      ASSERT_OK(machine.Sync());
      machine.Append("the last one");
      ASSERT_OK(machine.Close());
    }
    StatusOr<LogScan> scan = machine.Scan();
    ASSERT_TRUE(scan.ok());
    segments = scan->segments;
    StatusOr<std::vector<TextRecord>> records = machine.RecordsOf(*scan);
    ASSERT_TRUE(records.ok());
    all = *records;
    ASSERT_EQ(all.size(), 10u);
  }

  enum class Outcome { kHarmless, kSeen };
  Outcome Flip(const std::string& path, uint64_t offset, int bit) {
    machine.world.disk().FlipBit(path, offset, bit);
    StatusOr<LogScan> scan = machine.Scan();
    Outcome outcome = Outcome::kSeen;
    if (scan.ok() && scan->status().ok()) {
      StatusOr<std::vector<TextRecord>> records = machine.RecordsOf(*scan);
      EXPECT_TRUE(records.ok() && *records == all)
          << path << " offset " << offset << " bit " << bit << " passed unseen";
      outcome = Outcome::kHarmless;
    } else {
      EXPECT_EQ((scan.ok() ? scan->status() : scan.status()).code(), absl::StatusCode::kDataLoss);
    }
    machine.world.disk().FlipBit(path, offset, bit);
    return outcome;
  }

  Machine machine;
  std::vector<SegmentScan> segments;
  std::vector<TextRecord> all;
};

TEST_F(BitFlips, InARecordAreSeen) {
  for (const TextRecord& record : all) {
    for (const SegmentScan& segment : segments) {
      if (record.begin < segment.base || record.begin >= segment.end()) continue;
      uint64_t offset = segment.data_begin + (record.begin.value - segment.base.value);
      for (uint64_t at = 0; at < record.end.value - record.begin.value; at++) {
        int bit = static_cast<int>((record.begin.value + at) % 8);
        EXPECT_EQ(Flip(segment.path, offset + at, bit), Outcome::kSeen) << "byte " << at;
      }
    }
  }
}

TEST_F(BitFlips, InOneHeaderCopyAreHarmless) {
  for (const SegmentScan& segment : segments) {
    for (uint64_t offset = 0; offset < kSegmentDataBegin; offset += offset % 4096 < 320 ? 1 : 61) {
      EXPECT_EQ(Flip(segment.path, offset, static_cast<int>(offset % 8)), Outcome::kHarmless);
    }
  }
}

TEST_F(BitFlips, AnywhereElseChangeNothing) {
  std::set<std::string> paths;
  for (const char* prefix : {"segment", "spare"}) {
    for (const std::string& path : machine.Files(prefix)) paths.insert(path);
  }
  for (const std::string& path : paths) {
    for (uint64_t offset = kSegmentDataBegin; offset < machine.options.segment_bytes;
         offset += 127) {
      Flip(path, offset, static_cast<int>(offset % 8));
    }
  }
}

}  // namespace
}  // namespace nexus::wal
