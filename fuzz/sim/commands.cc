// Fuzzes the engine in the simulated world: any commands - appends, numbered appends, flushes,
// queries, kills, power cuts, cuts within flushes and openings, clean closes - with any choices of
// the world beneath each, leave what the oracle says.
//
// The input is a list of commands:
//   kind and its variant | two bytes of arguments | n | 2 n bytes
// The last are the world's choices while the command runs (order, delays, faults, what survives);
// behind them it is benign. A command has choices of its own, so that a change in one leaves the
// others what they were.

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "tests/engine/small_database.h"

namespace nexus::engine {
namespace {

using sim::CrashKind;
using Place = SmallDatabase::Place;

// What an input may ask for at most: with more of one the same state is only reached later.
constexpr size_t kCommandsMax = 40;
// An opening under AddressSanitizer takes some milliseconds.
constexpr size_t kLivesMax = 12;
constexpr int64_t kTimes = 40;
// The last series is the producer's.
constexpr uint32_t kShared = SmallDatabase::kSeries - 1;

// Choices of the command under way.
class CommandChoices : public sim::ChoiceSource {
 public:
  uint64_t Choose(sim::Stream stream, uint64_t n) override { return choices_.Choose(stream, n); }
  void Begin(Bytes bytes) { choices_ = sim::ByteChoices(bytes); }

 private:
  sim::ByteChoices choices_{Bytes()};
};

// Garbage, short transfers and interruptions may come at any time.
sim::Options World() {
  sim::Options world;
  world.faults[sim::Fault::kGarbageSector] = 100'000;
  world.faults[sim::Fault::kShortRead] = 100'000;
  world.faults[sim::Fault::kShortWrite] = 100'000;
  world.faults[sim::Fault::kInterrupted] = 100'000;
  return world;
}

class Life {
 public:
  explicit Life(ByteReader input) : input_(input), db_(&choices_, World()) {
    // Sealed and rotated by little.
    db_.options().flush_interval_ms = 500;
    Reopen();
  }

  void ToItsEnd() {
    for (size_t i = 0; i < kCommandsMax && lives_ < kLivesMax && input_.remaining() >= 4; i++) {
      const uint8_t kind = input_.U8();
      first_ = input_.U8();
      second_ = input_.U8();
      const size_t choices = input_.U8() * size_t{2};
      choices_.Begin(input_.Take(std::min(choices, input_.remaining())));
      Do(kind);
    }
    choices_.Begin({});
    db_.AwaitAnswers();
    db_.ExpectRight();
    db_.Crash(CrashKind::kPowerCut);
    db_.ExpectRecovers();
  }

 private:
  void Do(uint8_t kind) {
    const uint8_t variant = kind >> 4;
    const CrashKind crash = (variant & 1) != 0 ? CrashKind::kPowerCut : CrashKind::kProcessKill;
    switch (kind & 0xf) {
      case 0:
      case 1:
        return ExpectFine(db_.Append(Places(variant)));
      case 2:
        db_.Submit(Places(variant));
        return;
      case 3:
        return ExpectFine(db_.Flush());
      case 4:
        return db_.RunFor(int64_t{1} << std::min<int>(first_ % 32, 30));
      case 5:
        return Query();
      case 6:
        db_.Crash(crash);
        return Reopen();
      case 7:
        return CrashInReopening(crash);
      case 8:
        db_.world().CrashAfterSteps(Steps(), crash);
        db_.Flush();
        return ReopenIfCrashed();
      case 9:
        db_.world().CrashAfterSteps(Steps(), crash);
        db_.Append(Places(variant));
        return ReopenIfCrashed();
      case 10:
        ExpectFine(db_.Close());
        db_.Crash(CrashKind::kProcessKill);
        return Reopen();
      case 11:
        return OpenEpoch();
      case 12:
        return SendNumbered(std::nullopt, crash);
      case 13:
        return SendNumbered(first_, crash);
      default:
        return;
    }
  }

  static void ExpectFine(const std::optional<Status>& status) {
    ASSERT_TRUE(status.has_value());
    EXPECT_TRUE(status->ok()) << *status;
  }

  uint64_t Steps() const { return first_ | uint64_t{second_ & 1u} << 8; }

  // A scrape, a run of one series, or both ends of time.
  std::vector<Place> Places(uint8_t form) const {
    std::set<Place> places;
    const uint32_t series = first_ % kShared;
    const int64_t start = second_ % kTimes;
    for (int64_t i = 0; i <= first_ / 16; i++) {
      if ((form & 1) != 0) {
        places.insert({static_cast<uint32_t>(i) % kShared, start});
      } else {
        places.insert({series, start + i});
      }
    }
    if ((form & 2) != 0) places.insert({series, INT64_MIN});
    if ((form & 4) != 0) places.insert({series, INT64_MAX});
    return {places.begin(), places.end()};
  }

  void Query() {
    const uint32_t one = first_ % SmallDatabase::kSeries;
    const uint32_t other = first_ / 16;
    constexpr std::array<int64_t, 4> kFrom = {INT64_MIN, INT64_MIN + 1, 0, kTimes / 2};
    constexpr std::array<int64_t, 4> kTo = {INT64_MAX, INT64_MAX - 1, kTimes, kTimes / 2};
    const Status read = db_.Query(std::min(one, other), std::max(one, other), kFrom[second_ & 3],
                                  kTo[second_ >> 2 & 3]);
    EXPECT_TRUE(read.ok()) << read;
  }

  // Opens until it succeeds: a cut may strike the opening too.
  void Reopen() {
    for (int attempt = 0; !db_.is_open() && attempt < 3; attempt++) {
      lives_++;
      const std::optional<Status> opened = db_.Open();
      db_.world().CancelScheduledCrash();
      if (!opened.has_value()) {
        db_.Crash(CrashKind::kProcessKill);
        continue;
      }
      ASSERT_TRUE(opened->ok()) << *opened;
    }
    db_.ExpectRight();
  }

  void ReopenIfCrashed() {
    db_.world().CancelScheduledCrash();
    if (db_.alive() && db_.is_open()) return;
    db_.Crash(CrashKind::kProcessKill);
    Reopen();
  }

  void CrashInReopening(CrashKind crash) {
    db_.Crash((second_ & 2) != 0 ? CrashKind::kPowerCut : CrashKind::kProcessKill);
    db_.Boot();
    db_.world().CrashAfterSteps(Steps(), crash);
    Reopen();
  }

  // ---- A client that numbers its batches and sends one again until it is answered.

  void OpenEpoch() {
    const auto opened = db_.OpenProducer({1, 1}, epoch_ + 1);
    ASSERT_TRUE(opened.has_value());
    ASSERT_TRUE(opened->ok()) << opened->status();
    epoch_++;
    EXPECT_EQ((*opened)->epoch, epoch_);
    // What was acknowledged is counted; at most the one in doubt is besides.
    EXPECT_GE((*opened)->last_sequence, acknowledged_);
    EXPECT_LE((*opened)->last_sequence, acknowledged_ + 1);
  }

  // The next one, or again the one whose answer did not come.
  void SendNumbered(std::optional<uint64_t> cut_after, CrashKind crash) {
    if (epoch_ == 0) return;
    const uint64_t sequence = acknowledged_ + 1;
    std::vector<Place> places;
    for (int64_t i = 0; i < 3; i++) {
      places.push_back({kShared, static_cast<int64_t>(sequence) * 10 + i});
    }
    if (cut_after.has_value()) db_.world().CrashAfterSteps(*cut_after, crash);
    const auto answer = db_.AppendOnce({1, 1, epoch_, sequence}, std::move(places));
    if (answer.has_value()) {
      EXPECT_TRUE(answer->ok()) << *answer;
      acknowledged_ = sequence;
    } else {
      EXPECT_TRUE(cut_after.has_value());
    }
    ReopenIfCrashed();
  }

  ByteReader input_;
  CommandChoices choices_;
  SmallDatabase db_;
  uint8_t first_ = 0;  // arguments of the command under way
  uint8_t second_ = 0;
  size_t lives_ = 0;
  uint64_t epoch_ = 0;  // 0: none is open
  uint64_t acknowledged_ = 0;
};

}  // namespace
}  // namespace nexus::engine

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  testing::TestPartResultArray failures;
  {
    testing::ScopedFakeTestPartResultReporter reporter(
        testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
    nexus::engine::Life(nexus::ByteReader(std::as_bytes(std::span(data, size)))).ToItsEnd();
  }
  for (int i = 0; i < failures.size(); i++) {
    std::fprintf(stderr, "%s\n", failures.GetTestPartResult(i).message());
  }
  NEXUS_CHECK(failures.size() == 0);
  return 0;
}
