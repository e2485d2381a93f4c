// The log's promise under random lives: records are appended, trimmed and read while writes fail,
// disks fill, processes are killed and power is cut, at any moment, also while opening.
//
// Each seed is one machine with several lives. A model outside the faulty disk knows what was
// submitted (text by LSN), what was acknowledged and what was seen; at each successful open it
// checks
//   1. what was acknowledged or seen before is there (unless trimmed),
//   2. nothing is there that was not submitted, in that place, whole, in order,
//   3. what a successful open did not show never comes back,
//   4. no LSN is given out twice.
// With damage to data at rest the log may refuse to open, but never lies: see RottenLife.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "tests/wal/harness.h"

namespace nexus::wal {
namespace {

using sim::CrashKind;
using sim::Fault;

class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  uint64_t Below(uint64_t n) { return engine_() % n; }
  uint64_t In(uint64_t low, uint64_t high) { return low + Below(high - low + 1); }
  bool Percent(uint64_t percent) { return Below(100) < percent; }

 private:
  std::mt19937_64 engine_;
};

sim::Options RandomWorld(Dice* dice) {
  sim::Options options;
  options.direct_io = dice->Percent(70);
  options.fifo = dice->Percent(20);
  options.write.spread_ns = static_cast<int64_t>(dice->In(0, 2'000'000));
  options.sync.spread_ns = static_cast<int64_t>(dice->In(0, 10'000'000));
  options.faults[Fault::kGarbageSector] = 200'000;
  options.faults[Fault::kShortRead] = 5'000;
  options.faults[Fault::kInterrupted] = 5'000;
  options.faults[Fault::kSlowOperation] = 500;
  return options;
}

sim::FaultRates RandomFaults(Dice* dice) {
  sim::FaultRates rates;
  auto rate = [dice] { return static_cast<uint32_t>(dice->Percent(50) ? dice->In(0, 5'000) : 0); };
  for (Fault fault :
       {Fault::kWriteError, Fault::kNoSpace, Fault::kQuota, Fault::kReadOnlyError,
        Fault::kShortWrite, Fault::kSyncError, Fault::kDirectorySyncError, Fault::kMetadataError}) {
    rates[fault] = rate();
  }
  return rates;
}

void RandomiseLog(Dice* dice, LogOptions* options) {
  options->segment_bytes = 4096 * dice->In(8, 24);
  options->buffer_bytes = 4096 * dice->In(2, 5);
  options->buffers = static_cast<int>(dice->In(2, 8));
  options->writes_in_flight_max = static_cast<int>(dice->In(1, 6));
  options->spares_max = static_cast<int>(dice->In(2, 5));
  options->seal_delay_ns = static_cast<int64_t>(dice->In(0, 1'000'000));
  options->mark_delay_ns = static_cast<int64_t>(dice->In(0, 30'000'000));
  options->large_bytes_max = dice->In(0, 50'000);
}

// What the tests have in common over all seeds, to show that they did something.
struct Exercised {
  uint64_t opens = 0, refused = 0, torn = 0, failed = 0, appended = 0, seen = 0, trims = 0;
  uint64_t crashed_opening = 0, large = 0, full = 0, damaged = 0, kept = 0;
};

class RandomLife {
 public:
  RandomLife(uint64_t seed, bool faults, Exercised* exercised)
      : dice_(seed), machine_(seed, RandomWorld(&dice_)), exercised_(exercised) {
    if (faults) machine_.world.options()->faults = RandomFaults(&dice_);
    only_vouched_ = faults;
    RandomiseLog(&dice_, &machine_.options);
  }

  void Run() {
    uint64_t lives = dice_.In(2, 5);
    for (uint64_t life = 0; life < lives && !testing::Test::HasFailure(); life++) {
      if (Open()) Live();
      End();
    }
    if (testing::Test::HasFailure()) return;
    // Faults stop: the log opens, shows all it must, and works.
    *machine_.world.options() = sim::Options();
    machine_.world.CancelScheduledCrash();
    machine_.world.disk().SetCapacity(uint64_t{1} << 40);
    calm_ = true;
    ASSERT_TRUE(Open());
    Append(100);
    ASSERT_OK(machine_.Sync());
    NoteDurable();
    machine_.Crash(CrashKind::kPowerCut);
    ASSERT_TRUE(Open());
  }

 protected:
  struct Record {
    std::string text;
    Lsn begin;
    Lsn end;
    bool promised;  // acknowledged, or seen after a successful open
  };

  // True if the log is open; its records have been checked then.
  bool Open() {
    machine_.Boot();
    bool crash = !calm_ && dice_.Percent(30);
    if (crash) machine_.world.CrashAfterSteps(dice_.Below(150), RandomCrash());
    std::optional<Status> opened = machine_.TryOpen(witness_);
    if (!opened.has_value()) exercised_->crashed_opening++;
    if (!opened.has_value() || !opened->ok()) {
      exercised_->refused++;
      if (opened.has_value()) CheckRefusal(*opened);
      EXPECT_FALSE(calm_) << *opened;
      return false;
    }
    std::vector<TextRecord> records;
    CursorOptions cursor;
    cursor.from = trimmed_;
    std::optional<Status> read = machine_.world.TryRunTask(
        CollectRecords(machine_.environment, machine_.scan, cursor, &records));
    if (!read.has_value()) return false;
    if (!read->ok()) {
      EXPECT_FALSE(calm_) << *read;
      return CheckRefusal(*read);
    }
    exercised_->opens++;
    if (machine_.scan.torn_bytes > 0) exercised_->torn++;
    CheckRecords(records);
    return machine_.world.alive();
  }
  // Without damage at rest nothing is damaged but what the disk itself refuses to give.
  virtual bool CheckRefusal(const Status& status) {
    bool refused_by_disk = status.message().find("Input/output error") != std::string::npos;
    EXPECT_TRUE(status.code() != absl::StatusCode::kDataLoss || refused_by_disk) << status;
    return false;
  }

  void CheckRecords(const std::vector<TextRecord>& records) {
    std::set<uint64_t> present;
    Lsn end;
    for (const TextRecord& record : records) {
      uint64_t number = std::strtoull(record.text.c_str(), nullptr, 10);
      auto submitted = submitted_.find(number);
      ASSERT_NE(submitted, submitted_.end()) << "invented or risen from the dead: " << number;
      ASSERT_EQ(record.text, submitted->second.text);
      ASSERT_TRUE(present.empty() || number > *present.rbegin()) << "twice, or out of order";
      ASSERT_GE(record.begin, end);
      end = record.end;
      bool moved = record.end != submitted->second.end;
      ASSERT_TRUE(!moved || record.begin > submitted->second.begin) << "an LSN went back";
      submitted->second.begin = record.begin;
      submitted->second.end = record.end;
      highest_ = std::max(highest_, record.end);
      present.insert(number);
    }
    // The first look decides: what is there stays, what is not is gone.
    for (auto at = submitted_.begin(); at != submitted_.end();) {
      bool gone = at->second.begin >= trimmed_ && !present.contains(at->first);
      ASSERT_FALSE(gone && at->second.promised) << "lost record " << at->first;
      at->second.promised |= only_vouched_ && !gone ? Vouched(at->second) : !gone;
      at = gone ? submitted_.erase(at) : std::next(at);
    }
    exercised_->seen += present.size();
  }

  // A log that found no space to write its tail again shows it all the same, after a sync. That is
  // no promise if an earlier process may have seen a sync fail, or if the tail may rot with nothing
  // that vouches for it (docs/format/wal.md, downsides).
  bool Vouched(const Record& record) const { return record.begin < machine_.scan.tail_begin; }

  void Live() {
    uint64_t actions = dice_.In(0, 60);
    if (dice_.Percent(60)) machine_.world.CrashAfterSteps(dice_.Below(3000), RandomCrash());
    for (uint64_t i = 0; i < actions && machine_.world.alive(); i++) {
      Act();
      NoteDurable();
    }
  }
  void Act() {
    uint64_t action = dice_.Below(100);
    if (action < 60) {
      Append(RandomSize());
    } else if (action < 75) {
      machine_.world.RunFor(static_cast<int64_t>(dice_.In(0, 3'000'000)));
    } else if (action < 85) {
      machine_.world.TryRunTask(machine_.log->Sync());
    } else if (action < 90) {
      machine_.world.RunFor(static_cast<int64_t>(dice_.In(0, 50'000'000)));
    } else if (action < 97) {
      Trim();
    } else if (dice_.Percent(50)) {
      machine_.world.disk().SetCapacity(machine_.world.disk().used_bytes());
      exercised_->full++;
    } else {
      machine_.world.disk().SetCapacity(uint64_t{1} << 40);
    }
  }
  uint64_t RandomSize() {
    uint64_t largest = machine_.log->record_bytes_max();
    if (dice_.Percent(5)) return dice_.In(largest / 2, largest);
    return dice_.Percent(50) ? dice_.Below(200) : dice_.Below(6000);
  }
  void Append(uint64_t bytes) {
    std::string text = fmt::format("{}:", next_number_);
    text.resize(std::max(bytes, text.size()), static_cast<char>('a' + dice_.Below(26)));
    if (text.size() > machine_.log->record_bytes_max()) return;
    for (int tries = 0; tries < 200 && machine_.world.alive(); tries++) {
      if (machine_.CanAppend(text.size())) break;
      machine_.world.Step();
    }
    if (!machine_.world.alive()) return;
    Urgency urgency = dice_.Percent(10) ? Urgency::kEdit : Urgency::kBatch;
    StatusOr<AppendResult> result = machine_.TryAppend(text, urgency);
    if (!result.ok()) return;
    // Both copies of the only header can rot away before anything was acknowledged: a new log.
    EXPECT_TRUE(rotten_ || result->begin >= highest_) << "an LSN was given out twice";
    highest_ = result->end;
    if (text.size() > machine_.options.buffer_bytes) exercised_->large++;
    ever_submitted_[next_number_] = text;
    submitted_[next_number_++] = {std::move(text), result->begin, result->end, false};
    exercised_->appended++;
  }
  void Trim() {
    // What is trimmed need not be there any more, but may.
    uint64_t durable = machine_.log->durable().value;
    uint64_t oldest = submitted_.empty() ? durable : submitted_.begin()->second.end.value;
    Lsn below{oldest + dice_.Below(durable - std::min(oldest, durable) + 1)};
    if (below.value > durable || below <= trimmed_) return;
    trimmed_ = below;
    machine_.world.TryRunTask(machine_.log->Trim(below));
    exercised_->trims++;
  }
  void NoteDurable() {
    if (machine_.log == nullptr) return;
    for (auto& [number, record] : submitted_) {
      if (record.end > machine_.observer->durable) continue;
      record.promised = true;
      acknowledged_ = std::max(acknowledged_, record.end);
    }
    if (!machine_.observer->failed.ok()) exercised_->failed++;
  }
  void End() {
    NoteDurable();
    if (machine_.world.alive() && machine_.log != nullptr && dice_.Percent(30)) {
      if (machine_.world.TryRunTask(machine_.log->Close()).has_value()) NoteDurable();
    }
    machine_.Crash(RandomCrash());
    if (dice_.Percent(30)) machine_.world.Crash(CrashKind::kPowerCut);
  }
  CrashKind RandomCrash() {
    return dice_.Percent(50) ? CrashKind::kPowerCut : CrashKind::kProcessKill;
  }

  Dice dice_;
  Machine machine_;
  Exercised* const exercised_;
  Witness witness_;
  std::map<uint64_t, Record> submitted_;  // without what is dead
  std::map<uint64_t, std::string> ever_submitted_;
  uint64_t next_number_ = 1;
  Lsn acknowledged_;
  Lsn trimmed_;
  Lsn highest_;
  bool only_vouched_ = false;
  bool rotten_ = false;
  bool calm_ = false;  // no more crashes while opening
};

// Data at rest goes bad. The log may then refuse to open, by name; what it gives is right all the
// same, and skipping the damage gives only what was submitted.
class RottenLife : public RandomLife {
 public:
  RottenLife(uint64_t seed, Exercised* exercised) : RandomLife(seed, false, exercised) {
    only_vouched_ = rotten_ = true;
    sim::FaultRates* rates = &machine_.world.options()->faults;
    for (Fault fault : {Fault::kBitRot, Fault::kReadError, Fault::kMisdirectedRead}) {
      (*rates)[fault] = static_cast<uint32_t>(dice_.In(0, 20'000));
    }
  }
  void Run() {
    for (int life = 0; life < 6 && !damaged_ && !testing::Test::HasFailure(); life++) {
      // As an engine whose catalog keeps up.
      witness_.minimum_durable = std::max(witness_.minimum_durable, acknowledged_);
      if (Open()) {
        if (machine_.log->writable().ok()) witness_.minimum_durable = machine_.scan.end;
        Live();
      }
      End();
    }
  }

 protected:
  bool CheckRefusal(const Status& status) override {
    if (status.code() != absl::StatusCode::kDataLoss) return false;
    damaged_ = true;
    machine_.world.CancelScheduledCrash();
    exercised_->damaged++;
    StatusOr<LogScan> scan = machine_.Scan(witness_);
    if (!scan.ok()) return false;
    CursorOptions skip;
    skip.skip_damaged = true;
    StatusOr<std::vector<TextRecord>> kept = machine_.RecordsOf(*scan, skip);
    EXPECT_TRUE(kept.ok()) << kept.status();
    uint64_t before = 0;
    for (const TextRecord& record : *kept) {
      uint64_t number = std::strtoull(record.text.c_str(), nullptr, 10);
      EXPECT_EQ(record.text, ever_submitted_.at(number));
      EXPECT_GT(number, before);
      before = number;
    }
    exercised_->kept += kept->size();
    return false;
  }

 private:
  bool damaged_ = false;
};

uint64_t SeedCount() {
  const char* given = std::getenv("NEXUS_WAL_SEEDS");
  return given == nullptr ? 1000 : std::strtoull(given, nullptr, 10);
}

TEST(RandomLives, KeepEveryPromise) {
  Exercised exercised;
  for (uint64_t seed = 1; seed <= SeedCount(); seed++) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    RandomLife(seed, false, &exercised).Run();
    if (HasFailure()) break;
  }
  EXPECT_GT(exercised.torn, 20u);
  EXPECT_GT(exercised.crashed_opening, 50u);
  EXPECT_GT(exercised.large, 100u);
  EXPECT_GT(exercised.trims, 100u);
  EXPECT_GT(exercised.full, 20u);
  EXPECT_GT(exercised.seen, exercised.appended / 4);
}

TEST(RandomLives, KeepEveryPromiseOnAFailingDisk) {
  Exercised exercised;
  for (uint64_t seed = 100'001; seed <= 100'000 + SeedCount(); seed++) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    RandomLife(seed, true, &exercised).Run();
    if (HasFailure()) break;
  }
  EXPECT_GT(exercised.failed, 50u);
  EXPECT_GT(exercised.torn, 20u);
  EXPECT_GT(exercised.seen, exercised.appended / 8);
}

TEST(RandomLives, NeverLieOnARottenDisk) {
  Exercised exercised;
  for (uint64_t seed = 200'001; seed <= 200'000 + SeedCount(); seed++) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    RottenLife(seed, &exercised).Run();
    if (HasFailure()) break;
  }
  EXPECT_GT(exercised.damaged, 100u);
  EXPECT_GT(exercised.kept, 1000u);
}

}  // namespace
}  // namespace nexus::wal
