// Importer: what is good is stored whatever else is rejected, in batches, each series once.

#include "server/importer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/engine/database_fixture.h"

namespace nexus::server {
namespace {

using ::testing::HasSubstr;

class ImporterTest : public DatabaseTest {
 protected:
  ImporterTest() { Open(); }

  SeriesSlot Make(Importer* importer, const std::string& name) {
    StatusOr<Labels> labels = Labels::Make("metric", {{"name", name}});
    EXPECT_TRUE(labels.ok()) << labels.status();
    return importer->Make(name, *labels);
  }
};

TEST_F(ImporterTest, GoodSamplesAreKeptAndBadLinesCounted) {
  {
    Importer importer(db_.get(), "default", "main");
    SeriesSlot a = Make(&importer, "a");
    ASSERT_TRUE(importer.Add(a, 1, 10).ok());
    importer.Reject("x.lp:2: nonsense");
    SeriesSlot b = Make(&importer, "b");
    ASSERT_TRUE(importer.Add(b, 1, 20).ok());
    ASSERT_TRUE(importer.Add(a, 2, 11).ok());
    ASSERT_TRUE(importer.Finish().ok());
    EXPECT_EQ(importer.samples(), 3u);
    EXPECT_EQ(importer.series(), 2u);
    EXPECT_EQ(importer.rejected(), 1u);
    EXPECT_EQ(importer.rejections(), std::vector<std::string>{"x.lp:2: nonsense"});
  }
  Reopen();
  auto found = Read();
  EXPECT_EQ(found["a"], Bits({{1, 10}, {2, 11}}));
  EXPECT_EQ(found["b"], Bits({{1, 20}}));
}

TEST_F(ImporterTest, OnlyTheFirstRejectionsAreKeptButAllAreCounted) {
  Importer importer(db_.get(), "default", "main");
  for (int i = 0; i < 1000; i++) importer.Reject(std::to_string(i));
  EXPECT_EQ(importer.rejected(), 1000u);
  EXPECT_EQ(importer.rejections().size(), 10u);
  EXPECT_EQ(importer.rejections().front(), "0");
}

TEST_F(ImporterTest, ManyBatchesArriveWhole) {
  constexpr int kSamples = 120'001;  // more than two batches
  Importer importer(db_.get(), "default", "main");
  SeriesSlot even = Make(&importer, "even");
  SeriesSlot odd = Make(&importer, "odd");
  for (int i = 0; i < kSamples; i++) ASSERT_TRUE(importer.Add(i % 2 == 0 ? even : odd, i, i).ok());
  ASSERT_TRUE(importer.Finish().ok());
  auto found = Read();
  ASSERT_EQ(found["even"].size(), kSamples / 2 + 1u);
  ASSERT_EQ(found["odd"].size(), kSamples / 2 + 0u);
  EXPECT_EQ(found["odd"].back(), Bits({{kSamples - 2, kSamples - 2}}).front());
}

TEST_F(ImporterTest, SeriesMadeIsFoundByItsKey) {
  Importer importer(db_.get(), "default", "main");
  EXPECT_EQ(importer.Find("a"), nullptr);
  SeriesSlot a = Make(&importer, "a");
  ASSERT_NE(importer.Find("a"), nullptr);
  EXPECT_EQ(*importer.Find("a"), a);
}

TEST_F(ImporterTest, UnknownTenantIsNamed) {
  Importer importer(db_.get(), "nobody", "main");
  ASSERT_TRUE(importer.Add(Make(&importer, "a"), 1, 1).ok());
  Status status = importer.Finish();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(FromAbsl(status.message())), HasSubstr("nobody"));
}

TEST_F(ImporterTest, UnknownBranchIsNamed) {
  Importer importer(db_.get(), "default", "elsewhere");
  ASSERT_TRUE(importer.Add(Make(&importer, "a"), 1, 1).ok());
  Status status = importer.Finish();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(FromAbsl(status.message())), HasSubstr("elsewhere"));
}

}  // namespace
}  // namespace nexus::server
