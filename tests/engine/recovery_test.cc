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

}  // namespace
}  // namespace nexus::engine
