// FairTurns: tenants take turns, whatever each has waiting; one tenant's wait in order.

#include "server/fair_turns.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "io/sim/world.h"

namespace nexus::server {
namespace {

constexpr int64_t kWorkNs = 1'000'000;

class FairTurnsTest : public testing::Test {
 protected:
  FairTurnsTest() { world_.Boot(); }

  // One piece of work, of a tenant.
  static io::Task<void> Work(FairTurnsTest* test, std::string tenant) {
    FairTurns* turns = &test->turns_;
    co_await turns->Begin(tenant);
    test->under_way_++;
    EXPECT_LE(test->under_way_, test->at_once_);
    test->most_ = std::max(test->most_, test->under_way_);
    co_await test->world_.environment()->executor()->Sleep(kWorkNs);
    test->under_way_--;
    test->done_.push_back(tenant);
    turns->End();
  }
  void Run(const std::vector<std::string>& tenants) {
    io::TaskScope scope(world_.environment()->executor());
    world_.RunOnLoop([&] {
      for (const std::string& tenant : tenants) scope.Spawn(Work(this, tenant));
    });
    world_.RunUntil([&] { return done_.size() == tenants.size(); });
    world_.RunTask(JoinScope(&scope));
  }
  static io::Task<void> JoinScope(io::TaskScope* scope) { co_await scope->Join(); }
  size_t PlaceOf(const std::string& tenant) const {
    for (size_t i = 0; i < done_.size(); i++) {
      if (done_[i] == tenant) return i;
    }
    return done_.size();
  }

  sim::World world_{1};
  int at_once_ = 1;
  FairTurns turns_{1};
  int under_way_ = 0;
  int most_ = 0;
  std::vector<std::string> done_;
};

TEST_F(FairTurnsTest, OneOfAnotherTenantWaitsForOneTurnOfTheStorm) {
  std::vector<std::string> tenants(200, "storm");
  tenants.push_back("other");
  Run(tenants);
  EXPECT_LE(PlaceOf("other"), 2u);
}

TEST_F(FairTurnsTest, ManyTenantsTakeTurns) {
  std::vector<std::string> tenants(100, "storm");
  for (int i = 0; i < 5; i++) {
    for (const char* name : {"a", "b", "c"}) tenants.push_back(name);
  }
  Run(tenants);
  // While all wait each gets every fourth turn or so, the storm like the others.
  for (const char* name : {"a", "b", "c"}) {
    size_t done = 0;
    for (size_t i = 0; i < 24; i++) done += done_[i] == name ? 1 : 0;
    EXPECT_EQ(done, 5u) << name;
  }
}

TEST_F(FairTurnsTest, NoTurnIsLost) {
  Run(std::vector<std::string>(50, "one"));
  done_.clear();
  Run({"one", "two", "three"});
  EXPECT_EQ(done_.size(), 3u);
  EXPECT_EQ(most_, 1);
}

}  // namespace
}  // namespace nexus::server
