// A real LMDB beside the simulated world: crashes take it back as far as the contract allows.

#include <gmock/gmock.h>
#include <lmdb.h>

#include "tests/io/sim_machine.h"

namespace nexus::sim {
namespace {

using ::testing::Key;
using ::testing::UnorderedElementsAre;

// One LMDB environment with one key, opened as the catalog opens it.
class Database {
 public:
  explicit Database(const std::string& folder) {
    EXPECT_EQ(mdb_env_create(&environment_), 0);
    EXPECT_EQ(mdb_env_set_mapsize(environment_, 1 << 20), 0);
    EXPECT_EQ(mdb_env_open(environment_, folder.c_str(), MDB_NOTLS | MDB_NOMETASYNC, 0600), 0);
  }
  ~Database() { mdb_env_close(environment_); }

  void Put(const std::string& text) {
    MDB_txn* txn = Begin(0);
    MDB_dbi dbi;
    EXPECT_EQ(mdb_dbi_open(txn, nullptr, 0, &dbi), 0);
    std::string data = text;
    MDB_val key{3, const_cast<char*>("key")};
    MDB_val value{data.size(), data.data()};
    EXPECT_EQ(mdb_put(txn, dbi, &key, &value, 0), 0);
    EXPECT_EQ(mdb_txn_commit(txn), 0);
  }
  std::string Get() {
    MDB_txn* txn = Begin(MDB_RDONLY);
    MDB_dbi dbi;
    EXPECT_EQ(mdb_dbi_open(txn, nullptr, 0, &dbi), 0);
    MDB_val key{3, const_cast<char*>("key")};
    MDB_val value{0, nullptr};
    std::string text = "none";
    if (mdb_get(txn, dbi, &key, &value) == 0) {
      text.assign(static_cast<const char*>(value.mv_data), value.mv_size);
    }
    mdb_txn_abort(txn);
    return text;
  }

 private:
  MDB_txn* Begin(unsigned int flags) {
    MDB_txn* txn = nullptr;
    EXPECT_EQ(mdb_txn_begin(environment_, nullptr, flags, &txn), 0);
    return txn;
  }
  MDB_env* environment_ = nullptr;
};

// Writes "first", synced, then "second" and "third", not; what a crash leaves.
std::string AfterACrash(uint64_t seed, CrashKind kind) {
  Machine m(seed);
  auto abandoned = std::make_unique<Database>(m.world.ScratchDirectory());
  for (const char* text : {"first", "second", "third"}) {
    abandoned->Put(text);
    m.world.lmdb().OnCommit(m.world.ScratchDirectory());
    if (text == std::string("first")) m.world.lmdb().OnSynced(m.world.ScratchDirectory());
  }
  EXPECT_EQ(m.world.lmdb().unsynced_commits(), 2U);
  m.world.Crash(kind);
  m.world.Boot();
  EXPECT_TRUE(m.world.lmdb().Restore(m.world.ScratchDirectory()));
  abandoned.reset();
  return Database(m.world.ScratchDirectory()).Get();
}

TEST(SimLmdb, APowerCutKeepsTheSyncedCommitOrALaterOneWhole) {
  EXPECT_THAT(OverSeeds([](uint64_t seed) { return AfterACrash(seed, CrashKind::kPowerCut); }),
              UnorderedElementsAre(Key("first"), Key("second"), Key("third")));
}

TEST(SimLmdb, AProcessKillKeepsTheLastCommit) {
  EXPECT_EQ(AfterACrash(1, CrashKind::kProcessKill), "third");
}

TEST(SimLmdb, WhatAKilledProcessCommittedIsStillNotDurable) {
  Outcomes seen = OverSeeds([](uint64_t seed) {
    Machine m(seed);
    {
      Database database(m.world.ScratchDirectory());
      database.Put("only");
      m.world.lmdb().OnCommit(m.world.ScratchDirectory());
    }
    m.ProcessKill();
    EXPECT_TRUE(m.world.lmdb().Restore(m.world.ScratchDirectory()));
    EXPECT_EQ(Database(m.world.ScratchDirectory()).Get(), "only");
    m.PowerCut();
    if (!m.world.lmdb().Restore(m.world.ScratchDirectory())) return std::string("nothing");
    return Database(m.world.ScratchDirectory()).Get();
  });
  EXPECT_THAT(seen, UnorderedElementsAre(Key("nothing"), Key("only")));
}

}  // namespace
}  // namespace nexus::sim
