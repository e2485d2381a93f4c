// The vocabulary of the tests of the embedded database: a folder of its own, series by short names,
// samples in and out.

#ifndef NEXUS_TESTS_ENGINE_DATABASE_FIXTURE_H_
#define NEXUS_TESTS_ENGINE_DATABASE_FIXTURE_H_

#include <gtest/gtest.h>

#include <bit>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/nexus.h"

namespace nexus {

struct BitSample {
  int64_t timestamp = 0;
  uint64_t bits = 0;
  bool operator==(const BitSample&) const = default;
};

class DatabaseTest : public testing::Test {
 public:
  ~DatabaseTest() override {
    db_.reset();
    std::filesystem::remove_all(directory_);
  }

 protected:
  DatabaseTest() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    directory_ = std::filesystem::path(testing::TempDir()) / (std::string(info->name()) + ".db");
    std::filesystem::remove_all(directory_);
  }

  Options DefaultOptions() const {
    Options options;
    options.directory = directory_.string();
    options.reserve_bytes = 0;
    options.lock_wait_ms = 200;
    options.log_segment_bytes = 1 << 20;
    return options;
  }

  void Open() { Open(DefaultOptions()); }
  void Open(Options options) {
    StatusOr<std::unique_ptr<Database>> opened = Database::Open(std::move(options));
    ASSERT_TRUE(opened.ok()) << opened.status();
    db_ = *std::move(opened);
  }
  void Reopen() {
    ASSERT_TRUE(db_->Close().ok());
    db_.reset();
    Open();
  }

  SeriesId Series(const std::string& name) {
    StatusOr<SeriesId> id = db_->Series("metric", {{"name", name}});
    EXPECT_TRUE(id.ok()) << id.status();
    return id.ok() ? *id : SeriesId{};
  }

  Status Append(const std::string& name, const std::vector<std::pair<int64_t, double>>& samples) {
    WriteBatch batch;
    SeriesId id = Series(name);
    for (const auto& [timestamp, value] : samples) batch.Add(id, timestamp, value);
    return db_->Append(std::move(batch)).status();
  }

  // All samples of each series that the selector matches, by the label `name`.
  std::map<std::string, std::vector<BitSample>> Read(const std::string& selector = "metric",
                                                     TimeRange range = {}) {
    SelectQuery query;
    query.selector = selector;
    query.range = range;
    StatusOr<std::unique_ptr<Cursor>> cursor = db_->Select(query);
    EXPECT_TRUE(cursor.ok()) << cursor.status();
    std::map<std::string, std::vector<BitSample>> found;
    if (!cursor.ok()) return found;
    SeriesChunk chunk;
    while (true) {
      StatusOr<bool> more = (*cursor)->Next(&chunk);
      EXPECT_TRUE(more.ok()) << more.status();
      if (!more.ok() || !*more) return found;
      auto& samples = found[chunk.labels->empty() ? "" : chunk.labels->front().value];
      for (size_t i = 0; i < chunk.timestamps.size(); i++) {
        samples.push_back({chunk.timestamps[i], std::bit_cast<uint64_t>(chunk.values[i])});
      }
    }
  }

  static std::vector<BitSample> Bits(const std::vector<std::pair<int64_t, double>>& samples) {
    std::vector<BitSample> bits;
    for (const auto& [timestamp, value] : samples)
      bits.push_back({timestamp, std::bit_cast<uint64_t>(value)});
    return bits;
  }

  Stats GetStats() {
    StatusOr<Stats> stats = db_->GetStats();
    EXPECT_TRUE(stats.ok()) << stats.status();
    return stats.ok() ? *stats : Stats{};
  }

  std::filesystem::path directory_;
  std::unique_ptr<Database> db_;
};

}  // namespace nexus

#endif  // NEXUS_TESTS_ENGINE_DATABASE_FIXTURE_H_
