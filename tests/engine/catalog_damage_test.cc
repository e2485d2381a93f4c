// Whatever happened to the catalog's files on a real disk, rebuilding brings every answer back.
// LMDB would crash on some of these files: the rebuild never opens them.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "engine/catalog_rebuild.h"
#include "io/real.h"
#include "tests/engine/database_fixture.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;

class CatalogDamageTest : public DatabaseTest {
 protected:
  // Samples in layers, in the log, and a catalog whose pages are full of series.
  void Fill() {
    Open();
    for (int i = 0; i < 300; i++) Add(i);
    ASSERT_TRUE(db_->Flush().ok());
    Close();
    fs::copy(Catalog(), OldCatalog(), fs::copy_options::recursive);
    Open();
    for (int i = 300; i < 320; i++) Add(i);
    expected_ = Read();
    ASSERT_EQ(expected_.size(), 320u);
    Close();
  }
  void Add(int number) {
    ASSERT_TRUE(Append("series-" + std::to_string(number), {{number, number * 0.5}}).ok());
  }
  void Close() {
    ASSERT_TRUE(db_->Close().ok());
    db_.reset();
  }

  fs::path Catalog() const { return directory_ / "catalog"; }
  fs::path DataFile() const { return Catalog() / "data.mdb"; }
  fs::path OldCatalog() const { return directory_.string() + ".old"; }
  void ReplaceCatalog(const fs::path& by) const {
    fs::remove_all(Catalog());
    fs::copy(by, Catalog(), fs::copy_options::recursive);
  }
  void WriteAt(const fs::path& path, size_t offset, const std::string& bytes) const {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    file << bytes;
    EXPECT_TRUE(file.flush().good());
  }
  void Flip(size_t offset) const {
    std::ifstream file(DataFile(), std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const int byte = file.get();
    WriteAt(DataFile(), offset, std::string(1, static_cast<char>(byte ^ 0x10)));
  }

  StatusOr<engine::CatalogRebuildReport> Rebuild() {
    auto environment = io::RealEnvironment::Start({});
    if (!environment.ok()) return environment.status();
    return (*environment)
        ->BlockOn(engine::RebuildCatalog(environment->get(), DefaultOptions(), {}, {}));
  }

  std::map<std::string, std::vector<BitSample>> expected_;
};

TEST_F(CatalogDamageTest, EveryKindIsHealedAndKeptAsEvidence) {
  Fill();
  const fs::path other = directory_.string() + ".other";
  Options stranger = DefaultOptions();
  stranger.directory = other.string();
  fs::remove_all(other);
  ASSERT_TRUE((*Database::Open(stranger))->Close().ok());
  auto bytes = [&] { return fs::file_size(DataFile()); };
  struct Damage {
    std::string what;
    std::function<void()> harm;
  };
  std::vector<Damage> damages = {
      {"nothing is wrong", [] {}},
      {"missing folder", [&] { fs::remove_all(Catalog()); }},
      {"missing file", [&] { fs::remove(DataFile()); }},
      {"empty file", [&] { fs::resize_file(DataFile(), 0); }},
      {"one page", [&] { fs::resize_file(DataFile(), 4096); }},
      {"two thirds", [&] { fs::resize_file(DataFile(), bytes() / 3 * 2); }},
      {"zeros", [&] { WriteAt(DataFile(), 0, std::string(bytes(), '\0')); }},
      {"random bytes", [&] { WriteAt(DataFile(), 0, std::string(bytes(), '\x5a')); }},
      {"lock file", [&] { WriteAt(Catalog() / "lock.mdb", 0, std::string(9000, '\xff')); }},
      {"folder for a file",
       [&] {
         fs::remove(DataFile());
         fs::create_directory(DataFile());
       }},
      {"foreign", [&] { ReplaceCatalog(other / "catalog"); }},
      {"older", [&] { ReplaceCatalog(OldCatalog()); }},
      {"bytes of every page",
       [&] {
         for (size_t at = 0; at < bytes(); at += 997) Flip(at);
       }},
  };
  // The two pages from which LMDB starts: headers, sizes, roots.
  for (size_t at = 8; at < 160; at += 24) {
    damages.push_back({fmt::format("byte {} of both meta pages", at), [this, at] {
                         Flip(at);
                         Flip(4096 + at);
                       }});
  }
  for (const Damage& damage : damages) {
    damage.harm();
    const bool kept = fs::exists(Catalog());
    auto report = Rebuild();
    ASSERT_TRUE(report.ok()) << damage.what << ": " << report.status();
    EXPECT_EQ(!report->old_catalog.empty(), kept) << damage.what;
    EXPECT_EQ(fs::exists(report->old_catalog), kept) << damage.what;
    Open();
    ASSERT_TRUE(db_ != nullptr && Read() == expected_) << damage.what;
    EXPECT_EQ(Series("series-7"), SeriesId{8}) << damage.what;
    Close();
  }
  fs::remove_all(other);
  fs::remove_all(OldCatalog());
}

// An interrupted rebuild had its catalog ready and the old one moved away.
TEST_F(CatalogDamageTest, OpeningEndsAnInterruptedRebuild) {
  Fill();
  fs::rename(Catalog(), directory_ / "catalog.rebuilt");
  Open();
  EXPECT_TRUE(Read() == expected_);
  ASSERT_EQ(db_->recovery().notes.size(), 1u);
  EXPECT_NE(db_->recovery().notes.front().find("interrupted rebuild"), std::string::npos);
  fs::remove_all(OldCatalog());
}

}  // namespace
}  // namespace nexus
