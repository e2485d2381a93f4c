// PageCache: bounded, and pages in use outlive their eviction.

#include "layer/page_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

namespace nexus::layer {
namespace {

class FakePage final : public CachedPage {
 public:
  FakePage(uint64_t bytes, int holds) : content(holds), bytes_(bytes) {}
  uint64_t charge_bytes() const override { return bytes_; }
  const int content;

 private:
  const uint64_t bytes_;
};

std::shared_ptr<const CachedPage> Page(uint64_t bytes, int content = 0) {
  return std::make_shared<FakePage>(bytes, content);
}

int ContentOf(const std::shared_ptr<const CachedPage>& page) {
  return static_cast<const FakePage&>(*page).content;
}

TEST(PageCache, FindsWhatWasInsertedUnderItsOwnerAndNumberOnly) {
  PageCache cache(80'000);
  cache.Insert(1, 5, Page(100, 42));
  ASSERT_NE(cache.Find(1, 5), nullptr);
  EXPECT_EQ(ContentOf(cache.Find(1, 5)), 42);
  EXPECT_EQ(cache.Find(2, 5), nullptr);
  EXPECT_EQ(cache.Find(1, 6), nullptr);
  const auto counters = cache.counters();
  EXPECT_EQ(counters.hits, 2U);
  EXPECT_EQ(counters.misses, 2U);
  EXPECT_EQ(counters.bytes, 100U);
}

TEST(PageCache, TheFirstOfTwoInsertsStays) {
  PageCache cache(80'000);
  cache.Insert(1, 5, Page(100, 1));
  cache.Insert(1, 5, Page(100, 2));
  EXPECT_EQ(ContentOf(cache.Find(1, 5)), 1);
  EXPECT_EQ(cache.counters().pages, 1U);
}

TEST(PageCache, NeverHoldsMoreThanItsCapacity) {
  PageCache cache(80'000);
  for (uint32_t i = 0; i < 10'000; ++i) {
    cache.Insert(i % 3, i, Page(1 + i % 3'000));
    ASSERT_LE(cache.counters().bytes, 80'000U);
  }
  EXPECT_GT(cache.counters().bytes, 40'000U);
}

TEST(PageCache, PagesLargerThanAShardAndACacheOfNothingHoldNothing) {
  PageCache cache(80'000);
  cache.Insert(1, 1, Page(10'001));
  EXPECT_EQ(cache.counters().pages, 0U);
  PageCache nothing(0);
  nothing.Insert(1, 1, Page(1));
  EXPECT_EQ(nothing.Find(1, 1), nullptr);
}

TEST(PageCache, WhatIsUsedStaysLongerThanWhatIsNot) {
  PageCache cache(8 * 1'000);
  cache.Insert(1, 0, Page(100, 7));
  // Pages of one shard: numbers eight apart.
  for (uint32_t i = 1; i < 100; ++i) {
    ASSERT_NE(cache.Find(1, 0), nullptr) << "after " << i;
    cache.Insert(1, i * 8, Page(100));
  }
  EXPECT_EQ(cache.Find(1, 8), nullptr);
}

TEST(PageCache, APageInUseOutlivesItsEviction) {
  PageCache cache(80'000);
  cache.Insert(1, 1, Page(100, 3));
  const auto held = cache.Find(1, 1);
  cache.Erase(1);
  EXPECT_EQ(cache.Find(1, 1), nullptr);
  EXPECT_EQ(ContentOf(held), 3);
}

TEST(PageCache, EraseDropsOneOwnerOnly) {
  PageCache cache(800'000);
  for (uint32_t i = 0; i < 100; ++i) {
    cache.Insert(1, i, Page(10));
    cache.Insert(2, i, Page(10));
  }
  cache.Erase(1);
  EXPECT_EQ(cache.counters().pages, 100U);
  EXPECT_EQ(cache.counters().bytes, 1000U);
  EXPECT_NE(cache.Find(2, 50), nullptr);
}

TEST(PageCache, ServesManyThreads) {
  PageCache cache(20'000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, t] {
      for (uint32_t i = 0; i < 3'000; ++i) {
        const uint32_t number = i * 7919 % 300;
        const auto page = cache.Find(1, number);
        if (page == nullptr) {
          cache.Insert(1, number, Page(100, static_cast<int>(number)));
        } else if (ContentOf(page) != static_cast<int>(number)) {
          ADD_FAILURE() << "a page under another's number";
        }
        if (t == 0 && i % 1'000 == 0) cache.Erase(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(cache.counters().bytes, 20'000U);
}

}  // namespace
}  // namespace nexus::layer
