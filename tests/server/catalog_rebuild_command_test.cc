// `nexus catalog rebuild` as scripts see it: the messages that name it are right, exit status, what
// it prints. What it does to every kind of damage is tests/engine/catalog_damage_test.cc's.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/nexus_process.h"

namespace nexus::server {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kDamaged = 3;

class CatalogRebuildCommand : public NexusCommandTest {
 protected:
  void SetUp() override {
    std::string lines;
    for (int host = 0; host < 40; host++) {
      for (int i = 0; i < 5; i++) {
        lines += fmt::format("cpu,host=h{},zone=z{} usage={}.5,idle={}i {}\n", host, host % 3, i,
                             100 - i, 1'700'000'000'000'000'000 + i);
      }
    }
    Import("first.lp", lines);
    Done({"flush", "--data", data_});
    Import("second.lp", "cpu,host=late usage=7 1700000000000000009\n");
    expected_ = Answer();
  }
  void Import(std::string_view name, const std::string& lines) {
    Done({"import", "--data", data_, "--format", "influx", File(name, lines)});
  }
  std::string Answer() { return Query("{__name__=~\"cpu.*\"}"); }
  fs::path Catalog() const { return fs::path(data_) / "catalog"; }
  Result Rebuild(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"catalog", "rebuild", data_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Nexus(arguments);
  }

  std::string expected_;
};

TEST_F(CatalogRebuildCommand, MessageOfALostCatalogNamesTheCommandThatWorks) {
  fs::remove_all(Catalog());
  Result refused = Nexus({"query", "--data", data_, "cpu_usage"});
  EXPECT_EQ(refused.exit, kFailed);
  EXPECT_THAT(refused.error, HasSubstr("run nexus catalog rebuild " + data_));
  Result rebuilt = Rebuild();
  EXPECT_EQ(rebuilt.exit, 0) << rebuilt.error;
  EXPECT_THAT(rebuilt.out, HasSubstr(".image: 1 tenants, 1 layers, 80 series, 0 producers\n"));
  EXPECT_TRUE(Answer() == expected_);
  rebuilt = Rebuild();
  EXPECT_THAT(rebuilt.out, HasSubstr("the old catalog is in " + data_ + "/quarantine/catalog-1\n"));
  EXPECT_TRUE(fs::exists(data_ + "/quarantine/catalog-1/data.mdb"));
}

TEST_F(CatalogRebuildCommand, WithoutImagesTheFlagIsNeededUnlessTheLogIsWhole) {
  for (const fs::path& image : DataFiles(".image")) FlipByte(image, 100);
  fs::remove_all(Catalog());
  // The log of so small a database begins at its beginning.
  Result rebuilt = Rebuild();
  EXPECT_EQ(rebuilt.exit, kDamaged) << "a damaged image is told";
  EXPECT_THAT(rebuilt.out, HasSubstr("rebuilt from the log, which is whole from its beginning"));
  EXPECT_THAT(rebuilt.error, HasSubstr(".image"));
  EXPECT_THAT(Nexus({"query", "--data", data_, "{__name__=~\"cpu.*\"}", "--format", "json"}).out,
              expected_);
  // Without its log it knows less, and says what.
  Done({"flush", "--data", data_});
  for (const fs::path& image : DataFiles(".image")) fs::remove(image);
  for (const fs::path& segment : DataFiles(".log")) fs::remove(segment);
  Result refused = Rebuild();
  EXPECT_EQ(refused.exit, kFailed);
  EXPECT_THAT(refused.error, AllOf(HasSubstr("cannot be known"), HasSubstr("--without-image")));
  rebuilt = Rebuild({"--without-image"});
  EXPECT_THAT(rebuilt.out, AllOf(HasSubstr("rebuilt from layers and log alone"),
                                 HasSubstr("not known: producers that sent nothing")));
  Result lost = Nexus({"query", "--data", data_, "cpu_usage"});
  EXPECT_EQ(lost.exit, kDamaged) << "that the log is gone is not hidden";
  EXPECT_THAT(lost.error, HasSubstr("nexus wal replay"));
  EXPECT_EQ(Nexus({"wal", "replay", data_, "--skip-damaged"}).exit, 0);
  EXPECT_TRUE(Answer() == expected_);
}

TEST_F(CatalogRebuildCommand, WrongFoldersAreRefused) {
  Result missing = Nexus({"catalog", "rebuild", Path("nowhere")});
  EXPECT_EQ(missing.exit, kUsage);
  EXPECT_THAT(missing.error, HasSubstr("no nexus database there"));
  fs::create_directory(Path("empty"));
  Result empty = Nexus({"catalog", "rebuild", Path("empty")});
  EXPECT_EQ(empty.exit, kUsage);
  EXPECT_THAT(empty.error, Not(HasSubstr("rebuilt")));
  EXPECT_EQ(Nexus({"catalog", "rebuild"}).exit, kUsage);
}

}  // namespace
}  // namespace nexus::server
