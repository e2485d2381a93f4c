// Scanning, starting and replaying: torn tail against damage, cuts, links, witnesses.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

#include "base/hash.h"
#include "tests/wal/harness.h"
#include "wal/folder_lock.h"

namespace nexus::wal {
namespace {

using sim::CrashKind;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Where a record stands on disk.
struct Place {
  std::string path;
  uint64_t offset;  // of its frame
};

CursorOptions Between(Lsn from, Lsn to) {
  CursorOptions options;
  options.from = from;
  options.to = to;
  return options;
}
CursorOptions From(Lsn from) { return Between(from, Lsn{UINT64_MAX}); }
CursorOptions UpTo(Lsn to) { return Between(Lsn{0}, to); }
CursorOptions SkipDamaged() {
  CursorOptions options;
  options.skip_damaged = true;
  return options;
}

class Recovery : public testing::Test {
 protected:
  // Three durable records and a crash at once, so that no mark follows. Each record stands in a
  // sector of its own.
  void WriteThree(bool mark) {
    ASSERT_OK(machine.Open());
    for (const char* text : {"one", "two", "three"}) written.push_back(machine.AppendDurable(text));
    if (mark) machine.world.RunFor(1'000'000'000);
    machine.Crash(CrashKind::kPowerCut);
  }
  Place PlaceOf(const AppendResult& record) {
    StatusOr<LogScan> scan = machine.Scan();
    NEXUS_CHECK(scan.ok());
    for (const SegmentScan& segment : scan->segments) {
      if (segment.base <= record.begin && record.begin < segment.range_end) {
        return {segment.path, segment.data_begin + (record.begin.value - segment.base.value)};
      }
    }
    NEXUS_CHECK(false);
    return {};
  }
  void Flip(const Place& place, uint64_t byte_of_frame = kFrameHeaderBytes) {
    machine.world.disk().FlipBit(place.path, place.offset + byte_of_frame, 3);
  }
  // The log's files, to show that nothing was changed.
  std::string Contents() {
    std::string contents;
    for (const char* prefix : {"segment", "spare"}) {
      for (const std::string& path : machine.Files(prefix)) {
        contents += path + "\n" + *machine.world.disk().ReadVisible(path);
      }
    }
    return contents;
  }

 public:
  Machine machine;
  std::vector<AppendResult> written;
};

TEST_F(Recovery, AnEmptyFolderIsANewLog) {
  StatusOr<LogScan> scan = machine.Scan();
  ASSERT_TRUE(scan.ok());
  EXPECT_TRUE(scan->empty());
  EXPECT_TRUE(scan->from_the_beginning());
  EXPECT_EQ(scan->end, Lsn{0});
  ASSERT_OK(scan->status());
  ASSERT_OK(machine.Open());
  EXPECT_GT(machine.log->durable(), Lsn{0});
}

TEST_F(Recovery, AMissingFolderIsNotFound) {
  StatusOr<LogScan> scan =
      machine.world.RunTask(ScanLog(machine.environment, "/none", Witness(), nullptr));
  EXPECT_EQ(scan.status().code(), absl::StatusCode::kNotFound);
}

TEST_F(Recovery, TornTailIsCutAndCounted) {
  WriteThree(false);
  Flip(PlaceOf(written[2]));
  StatusOr<LogScan> scan = machine.Scan();
  ASSERT_TRUE(scan.ok());
  ASSERT_OK(scan->status());
  EXPECT_EQ(scan->end, written[1].end);
  EXPECT_EQ(scan->torn_bytes, 72u);
  EXPECT_THAT(machine.Texts(), ElementsAre("one", "two"));
}

TEST_F(Recovery, ASegmentsSecondNameIsNoSpareNorIsOneThatCannotBeRead) {
  WriteThree(false);
  sim::Disk& disk = machine.world.disk();
  const std::string segment = PlaceOf(written[0]).path;
  const std::string second =
      segment.substr(0, segment.rfind('/')) + "/spare-00000001-00000000000000ff.log";
  disk.WriteDurable(second, AsBytes(*disk.ReadVisible(segment)));
  auto leftovers = [&] {
    StatusOr<LogScan> scan = machine.Scan();
    NEXUS_CHECK(scan.ok());
    std::vector<std::string> paths;
    for (const SpareFile& file : scan->leftovers) paths.push_back(file.path);
    return paths;
  };
  EXPECT_THAT(leftovers(), Contains(second));
  disk.FailFrom(sim::OpFilter({sim::Op::kRead}, "spare-"), 1, -EIO);
  EXPECT_THAT(leftovers(), Contains(second));
  disk.faults()->ClearRules();
  EXPECT_THAT(machine.Texts(), ElementsAre("one", "two", "three"));
}

TEST_F(Recovery, WhatWasCutIsDeadForEver) {
  WriteThree(false);
  Place place = PlaceOf(written[2]);
  Flip(place);
  ASSERT_OK(machine.Open());
  machine.Crash(CrashKind::kPowerCut);
  Flip(place);  // the torn record is whole again
  EXPECT_THAT(machine.Texts(), ElementsAre("one", "two"));
  ASSERT_OK(machine.Open());
  machine.AppendDurable("four");
  machine.Crash(CrashKind::kPowerCut);
  EXPECT_THAT(machine.Texts(), ElementsAre("one", "two", "four"));
}

TEST_F(Recovery, EverythingBehindATornPlaceIsCut) {
  WriteThree(false);
  Flip(PlaceOf(written[0]));
  // The second record knew the first as durable: it vouches for it.
  EXPECT_EQ(machine.Open().code(), absl::StatusCode::kDataLoss);
}

TEST_F(Recovery, RecordsWrittenTogetherAreCutTogether) {
  machine.options.segment_bytes = 64 << 10;
  ASSERT_OK(machine.Open());
  machine.world.RunFor(1'000'000'000);
  AppendResult first = machine.AppendDurable("first");
  // In flight side by side: none of them knows of the others as durable.
  for (int i = 0; i < 3; i++) written.push_back(*machine.TryAppend(std::string(7000, 'x')));
  ASSERT_OK(machine.Sync());
  machine.Crash(CrashKind::kPowerCut);
  Flip(PlaceOf(written[0]));
  StatusOr<LogScan> scan = machine.Scan();
  ASSERT_TRUE(scan.ok());
  ASSERT_OK(scan->status());
  EXPECT_EQ(scan->end, first.end);
  EXPECT_EQ(scan->torn_bytes, 3 * (7000u + 64));
}

TEST_F(Recovery, DamageBelowTheDurableMarkIsRefusedByName) {
  WriteThree(true);
  Place place = PlaceOf(written[2]);
  Flip(place);
  std::string before = Contents();
  Status refused = machine.Open();
  EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss);
  std::string message(refused.message());
  EXPECT_THAT(message, HasSubstr(place.path));
  EXPECT_THAT(message, HasSubstr(fmt::format("offset {}", place.offset - 4096 + 72)));
  EXPECT_THAT(message, HasSubstr(fmt::format("LSN {}", written[1].end.value)));
  EXPECT_THAT(message, HasSubstr("nexus wal replay"));
  EXPECT_TRUE(Contents() == before) << "a refused log is left as it is";
}

TEST_F(Recovery, SkippingDamageKeepsAllElse) {
  WriteThree(true);
  Flip(PlaceOf(written[1]));
  StatusOr<LogScan> scan = machine.Scan();
  ASSERT_TRUE(scan.ok());
  ASSERT_EQ(scan->damage.size(), 1u);
  EXPECT_EQ(scan->damage[0].lsn, written[0].end);
  EXPECT_EQ(scan->damage[0].until, written[2].begin);
  EXPECT_TRUE(scan->damage[0].acknowledged);
  StatusOr<std::vector<TextRecord>> strict = machine.RecordsOf(*scan);
  EXPECT_EQ(strict.status().code(), absl::StatusCode::kDataLoss);
  StatusOr<std::vector<TextRecord>> kept = machine.RecordsOf(*scan, SkipDamaged());
  ASSERT_TRUE(kept.ok());
  ASSERT_EQ(kept->size(), 2u);
  EXPECT_EQ((*kept)[0].text, "one");
  EXPECT_EQ((*kept)[1].text, "three");
}

TEST_F(Recovery, DamageBelowACutIsRefused) {
  WriteThree(false);
  ASSERT_OK(machine.Open());  // closes the past: all three are accepted
  StatusOr<std::vector<TextRecord>> records = machine.RecordsOf(machine.scan);
  ASSERT_TRUE(records.ok());
  machine.Crash(CrashKind::kPowerCut);
  for (const TextRecord& record : *records) {
    Place place = PlaceOf({record.begin, record.end});
    Flip(place);
    EXPECT_EQ(machine.Open().code(), absl::StatusCode::kDataLoss) << record.text;
    Flip(place);
  }
}

TEST_F(Recovery, AReadErrorIsDamageWhereverItIs) {
  WriteThree(true);
  Place place = PlaceOf(written[1]);
  machine.world.disk().MakeUnreadable(place.path, place.offset);
  Status refused = machine.Open();
  EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss);
  StatusOr<LogScan> scan = machine.Scan();
  ASSERT_TRUE(scan.ok());
  StatusOr<std::vector<TextRecord>> kept = machine.RecordsOf(*scan, SkipDamaged());
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(kept->size(), 2u);
}

TEST_F(Recovery, AReadErrorBehindTheEndIsRefusedToo) {
  WriteThree(true);
  Place place = PlaceOf(written[2]);
  machine.world.disk().MakeUnreadable(place.path, 31 << 10);
  StatusOr<LogScan> scan = machine.Scan();
  ASSERT_TRUE(scan.ok());
  EXPECT_EQ(scan->status().code(), absl::StatusCode::kDataLoss);
  ASSERT_EQ(scan->damage.size(), 1u);
  EXPECT_FALSE(scan->damage[0].acknowledged);
}

TEST_F(Recovery, ALogThatEndsBelowAWitnessIsDamaged) {
  WriteThree(false);
  Witness witness;
  witness.minimum_durable = written[2].end;
  ASSERT_OK(machine.Scan(witness)->status());
  witness.minimum_durable.value++;
  EXPECT_EQ(machine.Scan(witness)->status().code(), absl::StatusCode::kDataLoss);
  witness.minimum_durable = written[2].end;
  Flip(PlaceOf(written[2]));
  EXPECT_EQ(machine.Open(witness).code(), absl::StatusCode::kDataLoss);
  ASSERT_OK(machine.Open());
}

TEST_F(Recovery, ALostLogIsNoNewOne) {
  Witness witness;
  witness.minimum_durable = Lsn{5000};
  Status refused = machine.Open(witness);
  EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(machine.Files("segment"), IsEmpty());
}

TEST_F(Recovery, ABeginningThatIsMissingIsDamageForWhoNeedsIt) {
  ASSERT_OK(machine.Open());
  for (int i = 0; i < 40; i++) written.push_back(machine.Append(std::string(2000, 'x')));
  ASSERT_OK(machine.Sync());
  machine.Crash(CrashKind::kPowerCut);
  machine.Boot();
  std::vector<std::string> segments = machine.Files("segment");
  ASSERT_GT(segments.size(), 3u);
  for (size_t i = 0; i < 2; i++) {
    ASSERT_OK(machine.world.RunTask(io::Unlink(machine.environment->disk(), segments[i])));
  }
  Witness witness;
  witness.replay_from = written[39].end;
  ASSERT_OK(machine.Scan(witness)->status());
  StatusOr<LogScan> scan = machine.Scan();
  EXPECT_FALSE(scan->from_the_beginning());
  witness.replay_from = scan->before_first.end;
  ASSERT_OK(machine.Scan(witness)->status());
  witness.replay_from->value--;
  Status refused = machine.Open(witness);
  EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("older segments"));
}

TEST_F(Recovery, AHoleInTheChainIsDamage) {
  ASSERT_OK(machine.Open());
  for (int i = 0; i < 40; i++) written.push_back(machine.Append(std::string(2000, 'x')));
  ASSERT_OK(machine.Sync());
  machine.Crash(CrashKind::kPowerCut);
  machine.Boot();
  ASSERT_OK(
      machine.world.RunTask(io::Unlink(machine.environment->disk(), machine.Files("segment")[1])));
  Status refused = machine.Open();
  EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("missing"));
  StatusOr<std::vector<TextRecord>> kept = machine.RecordsOf(*machine.Scan(), SkipDamaged());
  ASSERT_TRUE(kept.ok());
  EXPECT_LT(kept->size(), 40u);
  EXPECT_GT(kept->size(), 25u);
}

TEST_F(Recovery, AForeignSegmentRefusesTheFolder) {
  WriteThree(true);
  Witness witness;
  witness.database = DatabaseId{1, 1};
  StatusOr<LogScan> scan = machine.Scan(witness);
  EXPECT_EQ(scan.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(scan.status().message()), HasSubstr("belongs to database"));
}

TEST_F(Recovery, OneBadHeaderCopyIsHarmlessTwoAreNot) {
  WriteThree(true);
  std::string path = PlaceOf(written[0]).path;
  machine.world.disk().FlipBit(path, 100, 0);
  StatusOr<LogScan> scan = machine.Scan();
  ASSERT_TRUE(scan.ok());
  ASSERT_OK(scan->status());
  EXPECT_EQ(scan->notes.size(), 1u);
  EXPECT_EQ(scan->records(), 3u);
  machine.world.disk().FlipBit(path, 4096 + 100, 0);
  // The next segment, ready behind it, names it: it was started.
  EXPECT_EQ(machine.Open().code(), absl::StatusCode::kDataLoss);
}

TEST_F(Recovery, ALastSegmentThatHoldsSomethingIsDamagedWithoutItsHeader) {
  WriteThree(true);
  machine.Boot();
  ASSERT_OK(machine.world.RunTask(
      io::Unlink(machine.environment->disk(), machine.Files("segment").back())));
  std::string path = PlaceOf(written[0]).path;
  ASSERT_EQ(machine.Files("segment").back(), path);
  for (uint64_t copy : {0U, 1U}) machine.world.disk().FlipBit(path, copy * 4096 + 100, 0);
  EXPECT_EQ(machine.Open().code(), absl::StatusCode::kDataLoss);
}

TEST_F(Recovery, ALastSegmentWhoseHeaderCannotBeReadIsDamaged) {
  WriteThree(true);
  std::string last = machine.Files("segment").back();
  for (uint64_t copy : {0U, 1U}) machine.world.disk().MakeUnreadable(last, copy * 4096);
  EXPECT_EQ(machine.Open().code(), absl::StatusCode::kDataLoss);
  machine.Crash(CrashKind::kPowerCut);
  machine.Boot();
  machine.world.disk().FailNext({sim::Op::kOpen}, -EIO);
  EXPECT_FALSE(machine.Open().ok());
}

TEST_F(Recovery, ALastSegmentWithoutHeaderOrWitnessWasNeverStarted) {
  WriteThree(true);
  std::string last = machine.Files("segment").back();
  ASSERT_NE(last, PlaceOf(written[0]).path);
  for (uint64_t copy : {0U, 1U}) machine.world.disk().FlipBit(last, copy * 4096 + 100, 0);
  StatusOr<LogScan> scan = machine.Scan();
  ASSERT_TRUE(scan.ok());
  ASSERT_OK(scan->status());
  EXPECT_EQ(scan->records(), 3u);
  EXPECT_EQ(scan->dead.size(), 1u);
  ASSERT_EQ(scan->notes.size(), 1u);
  EXPECT_THAT(scan->notes[0], HasSubstr("never started"));
  Witness witness;
  witness.minimum_durable = Lsn{scan->end.value + 1};
  EXPECT_EQ(machine.Open(witness).code(), absl::StatusCode::kDataLoss);
  ASSERT_OK(machine.Open());
}

TEST_F(Recovery, AnUnknownVersionIsRefusedByName) {
  WriteThree(true);
  std::string path = PlaceOf(written[0]).path;
  std::string bytes = *machine.world.disk().ReadVisible(path);
  uint32_t version = 1;
  std::memcpy(bytes.data() + 8, &version, 4);
  // A later version keeps the checksum's place.
  uint64_t hash = XxHash64(AsBytes(bytes).first(4088), 0x6e78736567686472);
  std::memcpy(bytes.data() + 4088, &hash, 8);
  machine.world.disk().WriteDurable(path, AsBytes(bytes));
  Status refused = machine.Open();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("version 1"));
}

TEST_F(Recovery, FramesOfARecycledSegmentsOldLifeAreNotAccepted) {
  ASSERT_OK(machine.Open());
  for (int i = 0; i < 60; i++) machine.Append(std::string(1000, 'o'));
  ASSERT_OK(machine.Sync());
  ASSERT_OK(machine.Trim(machine.log->durable()));
  // Goes on until the last segment shows its old life behind the new one.
  bool shows = false;
  for (int i = 0; i < 100 && !shows; i++) {
    written.push_back(machine.AppendDurable(std::string(1000, 'n')));
    std::string tail = *machine.world.disk().ReadVisible(PlaceOf(written.back()).path);
    shows = tail.find("oooo") != std::string::npos;
  }
  ASSERT_TRUE(shows);
  machine.Crash(CrashKind::kPowerCut);
  for (const std::string& text : machine.Texts(From(written.front().begin))) {
    EXPECT_EQ(text[0], 'n');
  }
  EXPECT_EQ(machine.Texts(From(written.front().begin)).size(), written.size());
}

TEST_F(Recovery, ClientBytesThatLookLikeAFrameAreNotAccepted) {
  ASSERT_OK(machine.Open());
  machine.world.RunFor(1'000'000'000);
  written.push_back(machine.AppendDurable("victim"));
  Place place = PlaceOf(written[0]);
  std::string file = *machine.world.disk().ReadVisible(place.path);
  std::string frame = file.substr(place.offset, 72);
  // A body full of genuine frames: copies of another one, and with the place patched to be right.
  std::string body;
  uint64_t body_lsn = written[0].begin.value - written[0].begin.value % 4096 + 4096 + 64;
  for (int i = 0; i < 20; i++) {
    body += frame;
    uint64_t here = body_lsn + body.size();
    std::string patched = frame;
    std::memcpy(patched.data() + 16, &here, 8);
    body += patched;
  }
  written.push_back(machine.Append(body));
  ASSERT_OK(machine.Sync());
  EXPECT_EQ(written[1].begin.value + 64, body_lsn);
  EXPECT_EQ(machine.Texts().size(), 2u);
  machine.Crash(CrashKind::kPowerCut);
  Flip(PlaceOf(written[1]), 20);  // in its header: the reader must search through the body
  StatusOr<LogScan> scan = machine.Scan();
  ASSERT_TRUE(scan.ok());
  ASSERT_OK(scan->status());
  EXPECT_EQ(scan->end, written[0].end);
  EXPECT_EQ(scan->torn_bytes, 0u);
}

TEST_F(Recovery, AFlippedBitInPaddingIsHarmlessAndSeen) {
  WriteThree(true);
  Flip(PlaceOf(written[0]), 72 + 100);
  StatusOr<LogScan> scan = machine.Scan();
  ASSERT_TRUE(scan.ok());
  ASSERT_OK(scan->status());
  EXPECT_EQ(scan->segments[0].blemishes, 1u);
  EXPECT_THAT(machine.Texts(), ElementsAre("one", "two", "three"));
  ASSERT_OK(machine.Open());
}

// Found by fuzz/wal:scan. No writer makes such a log, but scan and replay must agree about it.
TEST_F(Recovery, ALinkThatSkipsABadRecordDoesNotHideIt) {
  WriteThree(false);
  const Place one = PlaceOf(written[0]);
  const Place two = PlaceOf(written[1]);
  const Place three = PlaceOf(written[2]);
  const uint64_t seed = machine.Scan()->segments[0].seed;
  std::string file = *machine.world.disk().ReadVisible(one.path);
  constexpr size_t kPrevious = 40, kHash = kFrameHeaderBytes - 8;
  std::memcpy(file.data() + three.offset + kPrevious, file.data() + one.offset + kHash, 8);
  const uint64_t hash = XxHash64(AsBytes(file).subspan(three.offset, kHash), seed);
  std::memcpy(file.data() + three.offset + kHash, &hash, 8);
  file[two.offset + kFrameHeaderBytes] ^= 8;
  machine.world.disk().WriteDurable(one.path, AsBytes(file));

  StatusOr<LogScan> scan = machine.Scan();
  ASSERT_TRUE(scan.ok());
  const Status damage = scan->status();
  EXPECT_TRUE(absl::IsDataLoss(damage)) << damage;
  EXPECT_THAT(FromAbsl(damage.message()),
              HasSubstr(fmt::format("the record at offset {} fails its checksum", two.offset)));
}

TEST_F(Recovery, PositionsAreNeverGivenOutTwice) {
  Lsn highest;
  for (int life = 0; life < 8; life++) {
    ASSERT_OK(machine.Open());
    EXPECT_GT(machine.log->durable(), highest);
    for (int i = 0; i < 10; i++) {
      AppendResult result = machine.Append(std::string(3000, 'x'));
      EXPECT_GE(result.begin, highest);
      highest = result.end;
    }
    if (life % 2 == 0) ASSERT_OK(machine.Sync());
    machine.Crash(life % 3 == 0 ? CrashKind::kProcessKill : CrashKind::kPowerCut);
  }
}

TEST_F(Recovery, SegmentsCutToNothingAreRecycled) {
  for (int life = 0; life < 20; life++) {
    ASSERT_OK(machine.Open());
    machine.world.RunFor(5'000'000'000);
    machine.Crash(CrashKind::kPowerCut);
  }
  // Nothing was ever appended: one current, one next, and spares.
  EXPECT_LE(machine.world_files().size(), 7u);
  EXPECT_EQ(machine.Scan()->from_the_beginning(), true);
}

TEST_F(Recovery, ALogOfManyLivesReadsAsOne) {
  std::vector<std::string> all;
  for (int life = 0; life < 30; life++) {
    ASSERT_OK(machine.Open());
    for (int i = 0; i < 5; i++) {
      all.push_back(fmt::format("{}/{}", life, i));
      machine.Append(all.back());
    }
    if (life % 3 == 0) {
      ASSERT_OK(machine.Close());
    } else {
      ASSERT_OK(machine.Sync());
      machine.Crash(life % 3 == 1 ? CrashKind::kPowerCut : CrashKind::kProcessKill);
    }
  }
  EXPECT_EQ(machine.Texts(), all);
}

TEST_F(Recovery, WhatIsReadAfterAKillStaysAfterThePowerCut) {
  sim::Options slow;
  slow.sync = {500'000'000, 0};
  for (uint64_t seed = 1; seed < 40; seed++) {
    Machine killed(seed, slow);
    ASSERT_OK(killed.Open());
    for (int i = 0; i < 3; i++) killed.Append(std::string(5000, 'x'));
    killed.world.RunFor(1'000'000);
    killed.Crash(CrashKind::kProcessKill);
    ASSERT_OK(killed.Open());
    StatusOr<std::vector<TextRecord>> seen = killed.RecordsOf(killed.scan);
    ASSERT_TRUE(seen.ok());
    killed.Crash(CrashKind::kPowerCut);
    StatusOr<std::vector<TextRecord>> left = killed.Records();
    ASSERT_TRUE(left.ok());
    EXPECT_EQ(*left, *seen);
  }
}

// ---- The cursor

TEST_F(Recovery, TheCursorHonoursItsRange) {
  ASSERT_OK(machine.Open());
  for (int i = 0; i < 60; i++) written.push_back(machine.Append(std::string(1000, 'x')));
  ASSERT_OK(machine.Close());
  EXPECT_EQ(machine.Texts(From(written[20].begin)).size(), 40u);
  EXPECT_EQ(machine.Texts(From(written[20].end)).size(), 39u);
  EXPECT_EQ(machine.Texts(UpTo(written[20].end)).size(), 21u);
  EXPECT_EQ(machine.Texts(Between(written[10].end, written[20].end)).size(), 10u);
  EXPECT_EQ(machine.Texts(From(written[59].end)).size(), 0u);
}

TEST_F(Recovery, TheCursorNoticesWhatWentBadSinceTheScan) {
  ASSERT_OK(machine.Open());
  for (int i = 0; i < 30; i++) written.push_back(machine.Append(std::string(2000, 'x')));
  ASSERT_OK(machine.Close());
  LogScan scan = *machine.Scan();
  ASSERT_GT(scan.segments.size(), 2u);
  for (const AppendResult& record : written) {
    Place place = PlaceOf(record);
    for (uint64_t byte : {20U, 100U}) {
      Flip(place, byte);
      EXPECT_EQ(machine.RecordsOf(scan).status().code(), absl::StatusCode::kDataLoss);
      Flip(place, byte);
    }
  }
  EXPECT_EQ(machine.RecordsOf(scan)->size(), 30u);
}

io::Task<Status> MeasureGroups(io::Environment* environment, LogScan scan, uint64_t* largest,
                               uint64_t* records) {
  LogCursor cursor(environment, scan, CursorOptions());
  while (true) {
    NEXUS_CO_ASSIGN_OR_RETURN(std::span<const RecordView> some, co_await cursor.Next());
    if (some.empty()) break;
    uint64_t bytes = 0;
    for (const RecordView& record : some) bytes += record.body.size();
    *largest = std::max(*largest, bytes);
    *records += some.size();
  }
  EXPECT_EQ(cursor.bytes_done(), cursor.bytes_total());
  co_return OkStatus();
}

TEST_F(Recovery, ReplayIsInBoundedMemory) {
  machine.options.segment_bytes = 16 << 20;
  machine.options.buffer_bytes = 1 << 20;
  ASSERT_OK(machine.Open());
  for (int i = 0; i < 200; i++) machine.Append(std::string(100'000, 'x'));
  ASSERT_OK(machine.Close());
  machine.Boot();
  StatusOr<LogScan> scan = machine.Scan();
  ASSERT_TRUE(scan.ok());
  uint64_t largest = 0;
  uint64_t records = 0;
  ASSERT_OK(machine.world.RunTask(MeasureGroups(machine.environment, *scan, &largest, &records)));
  EXPECT_EQ(records, 200u);
  EXPECT_LE(largest, kReadWindowBytes);
  EXPECT_GT(largest, kReadWindowBytes / 2) << "whole windows at a time";
}

// ---- The lock

io::Task<Status> LockTwice(io::Environment* environment, int64_t wait_ns) {
  NEXUS_CO_ASSIGN_OR_RETURN(std::unique_ptr<io::FileLock> first,
                            co_await AcquireFolderLock(environment, kFolder, wait_ns));
  StatusOr<std::unique_ptr<io::FileLock>> second =
      co_await AcquireFolderLock(environment, kFolder, wait_ns);
  co_return second.status();
}

TEST_F(Recovery, ALockedFolderNamesItsHolderAfterTheWait) {
  int64_t began_ns = machine.world.now_ns();
  Status refused = machine.world.RunTask(LockTwice(machine.environment, 5'000'000'000));
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("in use by pid "));
  EXPECT_GE(machine.world.now_ns() - began_ns, 5'000'000'000);
}

TEST_F(Recovery, TheLockOfADeadProcessFreesWithItsWrites) {
  ASSERT_OK(machine.Open());
  machine.Append(std::string(5000, 'x'));
  machine.world.RunFor(30'000);
  machine.Crash(CrashKind::kProcessKill);
  machine.Boot();
  StatusOr<std::unique_ptr<io::FileLock>> next =
      machine.world.RunTask(AcquireFolderLock(machine.environment, kFolder, kLockWaitDefaultNs));
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(machine.world.disk().left_behind(), 0u);
}

}  // namespace
}  // namespace nexus::wal
