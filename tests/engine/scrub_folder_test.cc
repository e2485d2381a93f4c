// Scrub on a real folder, LMDB included: every damaged page of the catalog is found at its place
// and nothing crashes; nothing is changed; a database scrubs itself while it serves.

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "engine/scrub.h"
#include "io/real.h"
#include "tests/engine/database_fixture.h"

namespace nexus {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr int kSeries = 150;

class ScrubFolderTest : public DatabaseTest {
 protected:
  static std::string ReadFile(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void WriteFile(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  std::filesystem::path Catalog() const { return directory_ / "catalog" / "data.mdb"; }

  // A database of several hundred series, flushed and closed.
  void Make() {
    Open();
    WriteBatch batch;
    for (int i = 0; i < kSeries; i++) {
      const SeriesId id = Series("name-" + std::to_string(i));
      batch.Add(id, i, i * 0.5);
      batch.Add(id, i + 1000, 1.0);
    }
    ASSERT_TRUE(db_->Append(std::move(batch)).ok());
    ASSERT_TRUE(db_->Flush().ok());
    ASSERT_TRUE(Append("late", {{7, 7.0}}).ok());
    ASSERT_TRUE(db_->Close().ok());
    db_.reset();
  }

  StatusOr<ScrubReport> TryScrub() {
    static io::RealEnvironment* environment = io::RealEnvironment::Start({})->release();
    ScrubOptions scrub;
    return environment->BlockOn(
        engine::ScrubFolder(environment, DefaultOptions(), scrub, engine::CatalogHooks{}));
  }
  ScrubReport Scrub() {
    StatusOr<ScrubReport> report = TryScrub();
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : ScrubReport();
  }

  std::map<std::string, std::string> Contents() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
      if (entry.is_regular_file() && entry.path().filename() != "lock") {
        files[entry.path().string()] = ReadFile(entry.path());
      }
    }
    return files;
  }
};

TEST_F(ScrubFolderTest, ASoundFolderIsCleanAndIsNotChanged) {
  Make();
  const auto before = Contents();
  ScrubReport report = Scrub();
  EXPECT_TRUE(report.clean()) << report.findings.front().what;
  EXPECT_EQ(report.series, kSeries + 1u);
  EXPECT_EQ(report.samples, 2u * kSeries);
  EXPECT_GT(report.catalog_pages, 12u);
  EXPECT_GT(report.catalog_values, 4u * kSeries);
  EXPECT_EQ(Contents(), before);
}

TEST_F(ScrubFolderTest, ADamagedValueOfTheCatalogIsFoundAtItsPlace) {
  Make();
  std::string bytes = ReadFile(Catalog());
  // A symbol's string; pages that are free by now may hold it, too.
  std::vector<uint64_t> places;
  for (size_t at = bytes.find("name-117"); at != std::string::npos;
       at = bytes.find("name-117", at + 1)) {
    places.push_back(at);
    bytes[at] ^= 1;
  }
  ASSERT_FALSE(places.empty());
  WriteFile(Catalog(), bytes);
  const auto before = Contents();
  ScrubReport report = Scrub();
  ASSERT_EQ(report.finding_count, 1u) << report.findings.back().what;
  const ScrubFinding& finding = report.findings.front();
  EXPECT_EQ(finding.file, Catalog().string());
  ASSERT_TRUE(finding.offset.has_value());
  bool at_one = false;
  for (uint64_t place : places) at_one |= *finding.offset <= place && place <= *finding.offset + 8;
  EXPECT_TRUE(at_one) << *finding.offset;
  EXPECT_NE(finding.way_out.find("nexus catalog rebuild"), std::string::npos);
  EXPECT_EQ(Contents(), before);
}

TEST_F(ScrubFolderTest, EveryPageThatIsNoPageIsFoundOrFree) {
  Make();
  const std::string good = ReadFile(Catalog());
  uint64_t found = 0;
  for (uint64_t page = 0; page < good.size() / kPageBytes; page++) {
    std::string bytes = good;
    bytes.replace(page * kPageBytes, kPageBytes, kPageBytes, '\xa5');
    WriteFile(Catalog(), bytes);
    ScrubReport report = Scrub();
    if (report.clean()) continue;
    found++;
    EXPECT_EQ(report.findings.front().file, Catalog().string());
    EXPECT_EQ(report.findings.front().offset.value_or(1), page * kPageBytes)
        << report.findings.front().what;
  }
  // Commits while series came left free pages behind.
  EXPECT_GT(found, 12u);
}

TEST_F(ScrubFolderTest, NoFlippedBitOfTheCatalogCrashesAndUnseenOnesChangeNothing) {
  Make();
  const std::string good = ReadFile(Catalog());
  Open();
  const auto answers = Read();
  db_.reset();
  WriteFile(Catalog(), good);
  int unseen = 0;
  int seen = 0;
  for (uint64_t i = 0; i < 96; i++) {
    std::string bytes = good;
    const uint64_t at = i * 104729 % bytes.size();
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << i % 8));
    WriteFile(Catalog(), bytes);
    ScrubReport report = Scrub();
    (report.clean() ? unseen : seen)++;
    if (!report.clean() || i % 12 != 0) continue;
    Open();
    EXPECT_EQ(Read(), answers) << "offset " << at;
    db_.reset();
  }
  EXPECT_GT(seen, 10);
  EXPECT_GT(unseen, 10) << "free pages, and room in pages";
}

TEST_F(ScrubFolderTest, ACatalogThatIsCutOffOrGoneIsDamageWithTheWayOut) {
  Make();
  const std::string good = ReadFile(Catalog());
  for (size_t bytes : {good.size() - kPageBytes * 4, good.size() / 2, size_t{8192}, size_t{100}}) {
    WriteFile(Catalog(), good.substr(0, bytes));
    ScrubReport report = Scrub();
    ASSERT_FALSE(report.clean()) << bytes;
    EXPECT_EQ(report.findings.front().file, Catalog().string());
    EXPECT_NE(report.findings.front().way_out.find("nexus catalog rebuild"), std::string::npos);
    EXPECT_EQ(report.samples, 2u * kSeries) << "layers are checked all the same";
  }
  std::filesystem::remove(Catalog());
  ScrubReport gone = Scrub();
  // There is an image, so there was a catalog: opening makes no new one.
  ASSERT_FALSE(gone.clean());
  EXPECT_NE(gone.findings.front().way_out.find("nexus catalog rebuild"), std::string::npos);
}

TEST_F(ScrubFolderTest, AFolderInUseIsRefusedAndOneThatIsNoDatabaseIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(TryScrub().status()));
  EXPECT_FALSE(std::filesystem::exists(directory_));
  Open();
  Status status = TryScrub().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("in use by pid"), absl::string_view::npos);
}

TEST_F(ScrubFolderTest, ADatabaseScrubsItselfWhileItServes) {
  Make();
  Open();
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (int64_t i = 0; !stop; i++) {
      ASSERT_TRUE(Append("busy-" + std::to_string(i % 50), {{i, 1.0}}).ok());
      if (i % 100 == 99) {
        ASSERT_TRUE(db_->Flush().ok()) << i;
      }
    }
  });
  uint64_t pieces = 0;
  ScrubOptions options;
  options.progress = [&](const Progress&) { pieces++; };
  for (int i = 0; i < 10; i++) {
    StatusOr<ScrubReport> report = db_->Scrub(options);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_TRUE(report->clean()) << report->findings.front().file << ": "
                                 << report->findings.front().what;
  }
  stop = true;
  writer.join();
  EXPECT_GT(pieces, 10u);
  std::atomic<bool> cancel = true;
  options.cancel = &cancel;
  EXPECT_TRUE(absl::IsCancelled(db_->Scrub(options).status()));
  ASSERT_TRUE(db_->Close().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(db_->Scrub().status()));
}

}  // namespace
}  // namespace nexus
