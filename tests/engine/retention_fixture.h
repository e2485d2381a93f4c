// A simulated database with a retention, that is compacted by hand alone.

#ifndef NEXUS_TESTS_ENGINE_RETENTION_FIXTURE_H_
#define NEXUS_TESTS_ENGINE_RETENTION_FIXTURE_H_

#include <string>
#include <utility>
#include <vector>

#include "tests/engine/sim_fixture.h"

namespace nexus::engine {

inline constexpr int64_t kSecond = 1'000'000'000;
inline constexpr int64_t kDay = 86'400 * kSecond;

class RetentionFixture : public SimDatabaseTest {
 protected:
  explicit RetentionFixture(uint64_t seed = 1) : SimDatabaseTest({}, seed) {
    options_.compaction = false;
  }

  RetentionInfo Info() {
    auto info = core_->Retention("default");
    EXPECT_TRUE(info.ok()) << info.status();
    return info.ok() ? *info : RetentionInfo();
  }
  // By what the next rules judge ages.
  int64_t Now() {
    const RetentionInfo info = Info();
    return info.clock_runs ? info.clock_ns : info.wall_ns;
  }
  Status Set(std::vector<RetentionRule> rules, std::string tenant = "default") {
    return world_.RunTask(core_->SetRetention(std::move(rules), std::move(tenant)));
  }
  // Such that samples below `cut` are too old now, and soon those a little above it.
  Status KeepFrom(int64_t cut, const std::string& selector = "{}") {
    return Set({{selector, Now() - cut}});
  }
};

}  // namespace nexus::engine

#endif  // NEXUS_TESTS_ENGINE_RETENTION_FIXTURE_H_
