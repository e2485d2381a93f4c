// IdentityMap: against std::map, through growth, with readers of other threads.

#include "catalog/identity_map.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <span>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/types.h"

namespace nexus::catalog {
namespace {

constexpr TenantId kTenant{0};

Hash128 Identity(uint64_t n) { return XxHash128(ColumnBytes(std::span(&n, 1))); }

TEST(IdentityMapTest, UnknownIdentityIsZero) {
  IdentityMap map;
  EXPECT_EQ(map.Find(kTenant, Identity(1)), SeriesId{0});
  EXPECT_EQ(map.size(), 0u);
}

TEST(IdentityMapTest, FirstIdOfAnIdentityStays) {
  IdentityMap map;
  EXPECT_EQ(*map.Insert(kTenant, Identity(1), SeriesId{10}), SeriesId{10});
  EXPECT_EQ(*map.Insert(kTenant, Identity(1), SeriesId{11}), SeriesId{10});
  EXPECT_EQ(map.size(), 1u);
}

TEST(IdentityMapTest, TenantsWithOneSeedDoNotMeet) {
  IdentityMap map;
  for (uint32_t tenant = 0; tenant < 100; tenant++) {
    ASSERT_TRUE(map.Insert(TenantId{tenant}, Identity(1), SeriesId{tenant + 1}).ok());
  }
  for (uint32_t tenant = 0; tenant < 100; tenant++) {
    EXPECT_EQ(map.Find(TenantId{tenant}, Identity(1)), SeriesId{tenant + 1});
  }
}

TEST(IdentityMapTest, EqualTagsAreToldApartByTheWholeIdentity) {
  IdentityMap map;
  // The tag is the top half of `low`: these share it, and so their home in the table.
  for (uint64_t n = 0; n < 500; n++) {
    ASSERT_TRUE(map.Insert(kTenant, {n, 0xffff'ffff'0000'0000 | n}, SeriesId{n + 1}).ok());
  }
  for (uint64_t n = 0; n < 500; n++) {
    EXPECT_EQ(map.Find(kTenant, {n, 0xffff'ffff'0000'0000 | n}), SeriesId{n + 1});
  }
  EXPECT_EQ(map.Find(kTenant, {500, 0xffff'ffff'0000'0000}), SeriesId{0});
}

TEST(IdentityMapTest, GrowthKeepsEverySeriesAtAbout32BytesEach) {
  IdentityMap map;
  constexpr uint64_t kCount = 200'000;
  for (uint64_t n = 1; n <= kCount; n++) {
    ASSERT_EQ(*map.Insert(kTenant, Identity(n), SeriesId{n}), SeriesId{n});
    if (n % 997 == 0) {
      for (uint64_t m = 1; m <= n; m += 101) ASSERT_EQ(map.Find(kTenant, Identity(m)).value, m);
    }
  }
  EXPECT_EQ(map.size(), kCount);
  EXPECT_LE(map.memory_bytes(), kCount * 40) << "20 of a slot, 8 of table over 7/16 .. 7/8";
}

TEST(IdentityMapTest, FindManyIsFindOfEach) {
  IdentityMap map;
  std::vector<Hash128> identities;
  for (uint64_t n = 1; n <= 1'000; n++) {
    if (n % 3 != 0) {
      ASSERT_TRUE(map.Insert(kTenant, Identity(n), SeriesId{n}).ok());
    }
    identities.push_back(Identity(n));
  }
  std::vector<SeriesId> ids(identities.size());
  map.FindMany(kTenant, identities, ids);
  for (size_t i = 0; i < ids.size(); i++) EXPECT_EQ(ids[i], map.Find(kTenant, identities[i]));
  EXPECT_EQ(ids[2], SeriesId{0});
  EXPECT_EQ(ids[3], SeriesId{4});
}

TEST(IdentityMapTest, ScatteredIdsTakeNoMoreMemory) {
  IdentityMap map;
  constexpr uint64_t kCount = 50'000;
  for (uint64_t n = 1; n <= kCount; n++) {
    ASSERT_TRUE(map.Insert(kTenant, Identity(n), SeriesId{n * 1'000'003}).ok());
  }
  for (uint64_t n = 1; n <= kCount; n++) {
    ASSERT_EQ(map.Find(kTenant, Identity(n)), SeriesId{n * 1'000'003});
  }
  EXPECT_LE(map.memory_bytes(), kCount * 60) << "part of a chunk for each 2^32 ids";
}

RC_GTEST_PROP(IdentityMapTest, IsAMapFromIdentitiesToIds, ()) {
  // Few identities, so that they meet; ids on both sides of 2^32.
  std::mt19937_64 random(*rc::gen::arbitrary<uint64_t>());
  IdentityMap map;
  std::map<std::pair<uint32_t, uint64_t>, uint64_t> model;
  for (int i = 0; i < 1'500; i++) {
    uint32_t tenant = static_cast<uint32_t>(random() % 3);
    uint64_t n = random() % 700;
    uint64_t id = (random() % 4 << 31) + 1 + random() % 1'000;
    auto inserted = map.Insert(TenantId{tenant}, Identity(n), SeriesId{id});
    RC_ASSERT(inserted.ok());
    RC_ASSERT(inserted->value == model.try_emplace({tenant, n}, id).first->second);
  }
  RC_ASSERT(map.size() == model.size());
  for (uint32_t tenant = 0; tenant < 3; tenant++) {
    for (uint64_t n = 0; n < 700; n++) {
      auto found = model.find({tenant, n});
      uint64_t expected = found == model.end() ? 0 : found->second;
      RC_ASSERT(map.Find(TenantId{tenant}, Identity(n)).value == expected);
    }
  }
}

RC_GTEST_PROP(IdentityMapTest, RemovedSeriesAreGoneAndOthersStay, ()) {
  std::mt19937_64 random(*rc::gen::arbitrary<uint64_t>());
  IdentityMap map;
  std::map<uint64_t, uint64_t> model;
  uint64_t next_id = (uint64_t{1} << 32) - 300;  // crosses it
  for (int i = 0; i < 4'000; i++) {
    const uint64_t n = random() % 900;
    const auto known = model.find(n);
    if (random() % 2 == 0) {
      const auto inserted = map.Insert(kTenant, Identity(n), SeriesId{next_id});
      RC_ASSERT(inserted.ok());
      RC_ASSERT(inserted->value == model.try_emplace(n, next_id).first->second);
      next_id++;
    } else if (known != model.end()) {
      map.Remove(kTenant, Identity(n), SeriesId{known->second + 1});
      RC_ASSERT(map.Find(kTenant, Identity(n)).value == known->second);
      map.Remove(kTenant, Identity(n), SeriesId{known->second});
      model.erase(known);
    }
  }
  RC_ASSERT(map.size() == model.size());
  for (uint64_t n = 0; n < 900; n++) {
    const auto known = model.find(n);
    const uint64_t expected = known == model.end() ? 0 : known->second;
    RC_ASSERT(map.Find(kTenant, Identity(n)).value == expected);
  }
}

TEST(IdentityMapTest, PlacesOfRemovedSeriesServeLaterOnes) {
  IdentityMap map;
  constexpr uint64_t kCount = 10'000;
  uint64_t id = 1;
  uint64_t memory = 0;
  for (int round = 0; round < 20; round++) {
    const uint64_t first = id;
    for (; id < first + kCount; id++) ASSERT_TRUE(map.Insert(kTenant, Identity(id), {id}).ok());
    for (uint64_t gone = first; gone < id; gone++) map.Remove(kTenant, Identity(gone), {gone});
    if (round == 1) memory = map.memory_bytes();
  }
  EXPECT_EQ(map.size(), 0u);
  EXPECT_LE(map.memory_bytes(), memory);
}

TEST(IdentityMapTest, WhoGetsAnIdTouchesIt) {
  IdentityMap map;
  EXPECT_TRUE(map.WasTouched(kTenant, Identity(1))) << "unknown";
  ASSERT_TRUE(map.Insert(kTenant, Identity(1), SeriesId{7}).ok());
  EXPECT_TRUE(map.WasTouched(kTenant, Identity(1)));
  map.Untouch(kTenant, Identity(1));
  EXPECT_EQ(map.Find(kTenant, Identity(1)), SeriesId{7});
  EXPECT_FALSE(map.WasTouched(kTenant, Identity(1)));
  EXPECT_EQ(map.FindAndTouch(kTenant, Identity(1)), SeriesId{7});
  EXPECT_TRUE(map.WasTouched(kTenant, Identity(1)));
  map.Untouch(kTenant, Identity(1));
  EXPECT_EQ(*map.Insert(kTenant, Identity(1), SeriesId{9}), SeriesId{7});
  EXPECT_TRUE(map.WasTouched(kTenant, Identity(1)));
}

TEST(IdentityMapTest, ReadersSeeWhatWasInsertedBeforeWhileItGrows) {
  IdentityMap map;
  constexpr uint64_t kCount = 5'000;
  constexpr int kRoundsMax = 1'000;
  constexpr uint64_t kBefore = 100;
  for (uint64_t n = 1; n <= kBefore; n++) {
    ASSERT_TRUE(map.Insert(kTenant, Identity(n), SeriesId{n}).ok());
  }
  std::atomic<uint64_t> inserted = kBefore;
  auto read = [&](uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<Hash128> identities(50);
    std::vector<SeriesId> ids(50);
    for (int round = 0; round < kRoundsMax; round++) {
      uint64_t below = inserted;
      uint64_t n = 1 + random() % below;
      EXPECT_EQ(map.Find(kTenant, Identity(n)), SeriesId{n});
      for (Hash128& identity : identities) identity = Identity(1 + random() % below);
      map.FindMany(kTenant, identities, ids);
      for (SeriesId id : ids) EXPECT_NE(id.value, 0u);
    }
  };
  std::thread one(read, 1);
  std::thread two(read, 2);
  for (uint64_t n = kBefore + 1; n <= kCount; n++) {
    ASSERT_TRUE(map.Insert(kTenant, Identity(n), SeriesId{n}).ok());
    inserted = n;
  }
  one.join();
  two.join();
}

}  // namespace
}  // namespace nexus::catalog
