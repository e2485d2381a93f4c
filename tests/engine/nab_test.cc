// Recorded data comes back bit for bit as parsed: from memory, from layers, after a restart, after
// a kill, after `wal replay`.
//
// The data is the Numenta Anomaly Benchmark's 58 real series (../shared/data/nab beside the
// project). Where that folder is absent the test says so and uses the generator's data.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "bench/telemetry_gen.h"
#include "engine/log_replay.h"
#include "io/real.h"
#include "server/csv_reader.h"
#include "tests/engine/database_fixture.h"

namespace nexus {
namespace {

struct Recorded {
  std::string name;
  std::vector<int64_t> timestamps;
  std::vector<double> values;

  // As the database must give it back: ascending, the later of equal timestamps.
  std::vector<BitSample> Expected() const {
    std::map<int64_t, uint64_t> samples;
    for (size_t i = 0; i < timestamps.size(); i++)
      samples[timestamps[i]] = std::bit_cast<uint64_t>(values[i]);
    std::vector<BitSample> expected;
    for (const auto& [timestamp, bits] : samples) expected.push_back({timestamp, bits});
    return expected;
  }
};

Recorded ReadCsv(const std::filesystem::path& path) {
  Recorded recorded;
  recorded.name = path.parent_path().filename().string() + "/" + path.stem().string();
  std::ifstream file(path);
  std::string line;
  server::CsvReader reader;
  server::CsvRow row;
  std::getline(file, line);
  EXPECT_TRUE(reader.ReadHeader(line).ok()) << path;
  while (std::getline(file, line)) {
    Status status = reader.ReadRow(line, &row);
    EXPECT_TRUE(status.ok()) << path << ": " << status;
    for (const server::CsvValue& value : row.values) {
      recorded.timestamps.push_back(row.timestamp_ns);
      recorded.values.push_back(value.value);
    }
  }
  return recorded;
}

std::vector<Recorded> GeneratedSeries() {
  bench::TelemetryGenerator data(bench::DataSet::kMixed, 6);
  std::vector<Recorded> all(data.series());
  for (int tick = 0; tick < 4000; tick++) {
    if (tick > 0) data.NextTick();
    for (size_t s = 0; s < data.series(); s++) {
      if (!data.present(s)) continue;
      all[s].name = "generated/" + std::to_string(s);
      all[s].timestamps.push_back(data.timestamp_ms(s / bench::kMetricsPerHost) * 1'000'000);
      all[s].values.push_back(data.value(s));
    }
  }
  return all;
}

// Where the recorded data lies: named by the environment (make test sets it), or beside the
// project.
std::filesystem::path DataFolder() {
  if (const char* named = std::getenv("NEXUS_SHARED"))
    return std::filesystem::path(named) / "data/nab/data";
  return "../shared/data/nab/data";
}

std::vector<Recorded> AllSeries() {
  std::vector<Recorded> all;
  if (std::filesystem::exists(DataFolder())) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(DataFolder())) {
      if (entry.path().extension() == ".csv") all.push_back(ReadCsv(entry.path()));
    }
  }
  if (!all.empty()) return all;
  std::cout << "no recorded data at " << DataFolder() << ": using the generator's\n";
  return GeneratedSeries();
}

class RecordedDataTest : public DatabaseTest {
 protected:
  void AppendAll(Database* db) {
    for (const Recorded& recorded : recorded_) {
      StatusOr<SeriesId> id = db->Series("nab", {{"name", recorded.name}});
      ASSERT_TRUE(id.ok());
      WriteBatch batch;
      batch.AddSeries(*id, recorded.timestamps, recorded.values);
      Status status = db->Append(std::move(batch)).status();
      ASSERT_TRUE(status.ok()) << status;
    }
  }
  void CheckAll(const char* when) {
    auto all = Read("nab");
    ASSERT_EQ(all.size(), recorded_.size()) << when;
    for (const Recorded& recorded : recorded_) {
      EXPECT_EQ(all[recorded.name], recorded.Expected()) << when << ": " << recorded.name;
    }
  }

  const std::vector<Recorded> recorded_ = AllSeries();
};

TEST_F(RecordedDataTest, ComesBackBitForBitBeforeAndAfterFlushAndRestart) {
  Open();
  AppendAll(db_.get());
  CheckAll("in memory");
  ASSERT_TRUE(db_->Flush().ok());
  CheckAll("in layers");
  Reopen();
  CheckAll("after a restart");
}

TEST_F(RecordedDataTest, ComesBackBitForBitAfterAKill) {
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto db = Database::Open(DefaultOptions());
    if (!db.ok()) _exit(1);
    AppendAll(db->get());
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  Open();
  CheckAll("after kill -9");
}

TEST_F(RecordedDataTest, ComesBackBitForBitAfterLogReplay) {
  Open();
  AppendAll(db_.get());
  ASSERT_TRUE(db_->Close().ok());
  db_.reset();
  auto environment = io::RealEnvironment::Start({});
  ASSERT_TRUE(environment.ok());
  auto report =
      (*environment)->BlockOn(engine::ReplayLog(environment->get(), DefaultOptions(), {}, {}));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->kept.batches, recorded_.size());
  EXPECT_FALSE(report->moved.empty());
  Open();
  EXPECT_EQ(db_->recovery().replayed_batches, 0u) << "the samples are in layers now";
  CheckAll("after wal replay");
}

}  // namespace
}  // namespace nexus
