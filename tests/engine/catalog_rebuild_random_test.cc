// Random lives of a database whose catalog is lost again and again: from the newest image or, when
// that one is damaged too, from the older; with crashes in the rebuild; between kills, power cuts,
// flushes, new tenants and numbered batches. Each time every answer is as it was.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <random>

#include "tests/engine/catalog_rebuild_fixture.h"

namespace nexus::engine {
namespace {

constexpr uint64_t kSeeds = 150;
constexpr int kOperations = 40;

// What all seeds together did: none of it may be nothing.
struct Counts {
  int rebuilds = 0;
  int from_older_image = 0;
  int from_log_alone = 0;
  int crashes_in_rebuild = 0;
  int with_trimmed_log = 0;
  int compactions = 0;
};

class Life : public CatalogRebuildFixture {
 public:
  Life(uint64_t seed, Counts* counts)
      : CatalogRebuildFixture(seed), random_(seed), counts_(counts) {}
  void TestBody() override {}

  void Live() {
    // Series that the fixture makes known must have a sample like all others.
    ASSERT_TRUE(Open().ok());
    ASSERT_TRUE(Append(0, 1).ok());
    ASSERT_TRUE(OpenEpoch("default", ProducerId{1, 0}).ok());
    for (int i = 0; i < kOperations && !HasFatalFailure(); i++) Operate();
    if (!HasFatalFailure()) LoseTheCatalog();
  }

 private:
  uint64_t Below(uint64_t bound) { return random_() % bound; }

  void Operate() {
    switch (Below(13)) {
      case 0:
        Restart(sim::CrashKind::kProcessKill);
        break;
      case 1:
        Restart(sim::CrashKind::kPowerCut);
        break;
      case 2:
        LoseTheCatalog();
        break;
      case 3:
      case 4:
        ASSERT_TRUE(Flush().ok());
        break;
      case 5:
        MakeTenant();
        break;
      case 12:
        ASSERT_TRUE(world_.RunTask(core_->Compact(nullptr)).ok());
        counts_->compactions += static_cast<int>(core_->compactions() > 0);
        break;
      case 6:
      case 7:
        WriteNumbered();
        break;
      default:
        WriteSome();
    }
  }

  void MakeTenant() {
    // Now and then one that exists: an edit that fails.
    const std::string name = "t" + std::to_string(Below(4));
    const bool known = std::find(tenants_.begin(), tenants_.end(), name) != tenants_.end();
    ASSERT_EQ(CreateTenant(name).ok(), !known);
    if (!known) tenants_.push_back(name);
  }

  std::vector<std::string> SomeSeries() {
    std::vector<std::string> names = {"s" + std::to_string(Below(10))};
    if (Below(3) == 0) names.push_back("once-" + std::to_string(series_++));
    return names;
  }
  void WriteSome() {
    const std::string& tenant = tenants_[Below(tenants_.size())];
    const auto first = static_cast<int64_t>(Below(50'000));
    const auto count = static_cast<int>(100 + Below(1500));
    Status status = Write(tenant, SomeSeries(), first, count).status;
    ASSERT_TRUE(status.ok()) << status;
  }
  void WriteNumbered() {
    const uint64_t sequence = Below(4) == 0 && sequence_ > 0 ? 1 + Below(sequence_) : sequence_ + 1;
    ExactlyOnce once{1, 0, 1, sequence};
    const auto first = static_cast<int64_t>(Below(50'000));
    Written written = Write("default", {"numbered"}, first, 300, once);
    ASSERT_TRUE(written.status.ok()) << written.status;
    ASSERT_EQ(written.duplicate, sequence <= sequence_);
    sequence_ = std::max(sequence_, sequence);
  }

  void Restart(sim::CrashKind kind) {
    const std::string before = Answers();
    Die(kind);
    Status opened = Open();
    ASSERT_TRUE(opened.ok()) << opened;
    ASSERT_EQ(Answers(), before);
  }

  void LoseTheCatalog() {
    const std::string before = Answers();
    Die(Below(2) == 0 ? sim::CrashKind::kProcessKill : sim::CrashKind::kPowerCut);
    const std::vector<std::string> images = Files(".image");
    const bool damaged = images.size() == 2 && Below(3) == 0;
    if (damaged) FlipBitIn(images.back());
    while (Below(3) == 0) {
      const auto kind = Below(2) == 0 ? sim::CrashKind::kProcessKill : sim::CrashKind::kPowerCut;
      if (SimulateRebuild(&world_, options_, {}, RebuildCrash{1 + Below(200), kind})) break;
      counts_->crashes_in_rebuild++;
    }
    auto report = Rebuild();
    ASSERT_TRUE(report.ok()) << report.status();
    counts_->rebuilds++;
    if (damaged && report->image == images.front()) counts_->from_older_image++;
    if (report->image.empty()) counts_->from_log_alone++;
    if (Files("segment-00000001-").empty()) counts_->with_trimmed_log++;
    Status opened = Open();
    ASSERT_TRUE(opened.ok()) << opened;
    ASSERT_EQ(Answers(), before);
  }

  std::mt19937_64 random_;
  Counts* const counts_;
  std::vector<std::string> tenants_ = {"default"};
  uint64_t sequence_ = 0;
  int series_ = 0;
};

TEST(CatalogRebuildRandomTest, AnswersAreAsTheyWereInEveryLife) {
  Counts counts;
  for (uint64_t seed = 1; seed <= kSeeds; seed++) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Life life(seed, &counts);
    life.Live();
    if (testing::Test::HasFailure()) break;
  }
  std::printf(
      "%d rebuilds, %d from the older image, %d from the log alone, %d with a trimmed log, "
      "%d crashes in a rebuild\n",
      counts.rebuilds, counts.from_older_image, counts.from_log_alone, counts.with_trimmed_log,
      counts.crashes_in_rebuild);
  EXPECT_GT(counts.from_older_image, 0);
  EXPECT_GT(counts.from_log_alone, 0);
  EXPECT_GT(counts.with_trimmed_log, 0);
  EXPECT_GT(counts.crashes_in_rebuild, 0);
  EXPECT_GT(counts.compactions, 0);
}

// Without images the log and the layers must tell which side of a compaction is live: its inputs
// or its outputs, wherever in the two the log begins, and whatever of the inputs is gone.
class WithoutImages : public CatalogRebuildFixture {
 public:
  explicit WithoutImages(uint64_t seed) : CatalogRebuildFixture(seed), random_(seed) {
    options_.compaction = false;
  }
  void TestBody() override {}

  void Live() {
    ASSERT_TRUE(Open().ok());
    ASSERT_TRUE(Append(0, 1).ok());
    for (int i = 0; i < 25 && !HasFatalFailure(); i++) Operate();
    const std::string before = Answers();
    // What is durable is what there is then.
    Die(sim::CrashKind::kPowerCut);
    for (const std::string& image : Files(".image")) {
      if (image.ends_with(".image")) FlipBitIn(image);
    }
    auto report = Rebuild(/*without_image=*/true);
    ASSERT_TRUE(report.ok()) << report.status();
    Status opened = Open();
    ASSERT_TRUE(opened.ok()) << opened;
    ASSERT_EQ(Answers(), before);
    ASSERT_TRUE(world_.RunTask(core_->Compact(nullptr)).ok());
    ASSERT_EQ(Answers(), before);
  }

 private:
  void Operate() {
    switch (random_() % 8) {
      case 0:
        ASSERT_TRUE(world_.RunTask(core_->Compact(nullptr)).ok());
        break;
      case 1:
        core_->state()->garbage_holders ^= 1;  // files of what is retired stay, for a while
        break;
      case 2:
      case 3:
        ASSERT_TRUE(Flush().ok());
        break;
      default: {
        const auto first = static_cast<int64_t>(random_() % 30'000);
        const std::string series = "s" + std::to_string(random_() % 5);
        const auto count = static_cast<int>(100 + random_() % 2000);
        ASSERT_TRUE(Write("default", {series}, first, count).status.ok());
      }
    }
  }

  std::mt19937_64 random_;
};

TEST(CatalogRebuildRandomTest, WithoutImagesWhatWasCompactedIsReadOnce) {
  for (uint64_t seed = 1; seed <= kSeeds; seed++) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    WithoutImages life(seed);
    life.Live();
    if (testing::Test::HasFailure()) break;
  }
}

}  // namespace
}  // namespace nexus::engine
