// What a query takes at one instant: the sources of a look-up show nothing that came after it.

#include "engine/cursors.h"
#include "tests/engine/sim_fixture.h"

namespace nexus::engine {
namespace {

class PublishedStateTest : public SimDatabaseTest {};

TEST_F(PublishedStateTest, SourcesAreThoseOfTheInstantOfTheLookUp) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Append(1, 1).ok());
  StatusOr<PublishedState::Found> before = core_->state()->published.Find("default", "main");
  ASSERT_TRUE(before.ok()) << before.status();
  // The series of this batch could have been defined after `before` took its delta.
  ASSERT_TRUE(Append(2, 1).ok());
  StatusOr<PublishedState::Found> after = core_->state()->published.Find("default", "main");
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ((*LatestSample(before->sources(), {series_, {}}))->timestamp, 1);
  EXPECT_EQ((*LatestSample(after->sources(), {series_, {}}))->timestamp, 2);
}

}  // namespace
}  // namespace nexus::engine
