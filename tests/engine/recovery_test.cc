// Opening after a crash, beyond what the other tests meet on their way.

#include <gtest/gtest.h>

#include "tests/engine/sim_fixture.h"

namespace nexus::engine {
namespace {

using RecoveryTest = SimDatabaseTest;

TEST_F(RecoveryTest, EditThatFailedWhenItWasNewFailsAgainAndOpeningGoesOn) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(world_.RunTask(core_->CreateTenant("twice")).ok());
  Status again = world_.RunTask(core_->CreateTenant("twice"));
  ASSERT_TRUE(absl::IsAlreadyExists(again)) << again;
  ASSERT_TRUE(Append(0, 10).ok());
  Die(sim::CrashKind::kPowerCut);
  Status opened = Open();
  ASSERT_TRUE(opened.ok()) << opened;
  EXPECT_EQ(core_->state()->published.TenantNames().size(), 2u);
  EXPECT_EQ(*Read(), 10u);
}

// A series that is found may be named at once: opening goes on in the background, and what its scan
// has found is not yet what batches are checked against.
TEST_F(RecoveryTest, SeriesFoundWhileOpeningGoesOnMayBeNamed) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(0, 10).ok());
  ASSERT_TRUE(Close().ok());

  CatalogHooks hooks = BootHooks();
  auto opened =
      world_.RunTask(DatabaseCore::Open(world_.environment(), options_, std::move(hooks)));
  ASSERT_TRUE(opened.ok()) << opened.status();
  core_ = *std::move(opened);
  const TenantState& tenant = *core_->state()->tenants.at(TenantId{}.value);
  const std::string canonical = Labels::Make("metric", {{"name", "a"}})->Canonical();
  SeriesId found;
  for (int i = 0; i < 1000 && found == SeriesId{}; i++) {
    found = core_->interner()->Find(TenantId{}, tenant.record.identity_seed, canonical);
    if (found == SeriesId{}) world_.Step();
  }
  ASSERT_NE(found, SeriesId{});
  EXPECT_TRUE(tenant.HasIds(found.value, found.value));
}

}  // namespace
}  // namespace nexus::engine
