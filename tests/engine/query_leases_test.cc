// QueryLeases: what nobody reads any more lets go at its deadline; what is at work is left alone.

#include "engine/query_leases.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <thread>

namespace nexus::engine {
namespace {

class FakeCursor : public ReleasableCursor {
 public:
  explicit FakeCursor(std::optional<Status>* released) : released_(released) {}
  StatusOr<bool> Next(SeriesChunk*) override {
    if (released_->has_value()) return **released_;
    if (at_work != nullptr) {
      at_work->Notify();
      go_on->Wait();
    }
    return true;
  }
  const QueryStatistics& statistics() const override { return statistics_; }
  void Release(Status why) override { *released_ = std::move(why); }

  Notification* at_work = nullptr;
  Notification* go_on = nullptr;

 private:
  std::optional<Status>* const released_;
  QueryStatistics statistics_;
};

TEST(QueryLeases, ACursorIsReleasedAtItsDeadlineAndOnce) {
  QueryLeases leases;
  std::optional<Status> first, second;
  const auto a = leases.Lease(std::make_unique<FakeCursor>(&first), 1'000, 60'000);
  const auto b = leases.Lease(std::make_unique<FakeCursor>(&second), 2'000, 60'000);
  EXPECT_EQ(leases.open(), 2u);
  EXPECT_EQ(leases.ReleaseOverdue(999), 0u);
  SeriesChunk chunk;
  EXPECT_TRUE(*a->Next(&chunk));
  EXPECT_EQ(leases.ReleaseOverdue(1'000), 1u);
  EXPECT_EQ(leases.ReleaseOverdue(1'000), 0u);
  EXPECT_TRUE(absl::IsDeadlineExceeded(a->Next(&chunk).status()));
  EXPECT_NE(first->message().find("60000 ms"), std::string_view::npos) << *first;
  EXPECT_FALSE(second.has_value());
  EXPECT_EQ(leases.open(), 1u);
}

TEST(QueryLeases, ACursorThatEndsIsForgotten) {
  QueryLeases leases;
  std::optional<Status> released;
  leases.Lease(std::make_unique<FakeCursor>(&released), 1'000, 1).reset();
  EXPECT_EQ(leases.open(), 0u);
  EXPECT_EQ(leases.ReleaseOverdue(5'000), 0u);
  EXPECT_FALSE(released.has_value());
  auto cursor = leases.Lease(std::make_unique<FakeCursor>(&released), 1'000, 1);
  EXPECT_EQ(leases.ReleaseOverdue(5'000), 1u);
  cursor.reset();
  EXPECT_EQ(leases.open(), 0u);
}

TEST(QueryLeases, ACursorAtWorkIsNotWaitedForAndIsReleasedLater) {
  QueryLeases leases;
  std::optional<Status> released;
  Notification at_work, go_on;
  auto fake = std::make_unique<FakeCursor>(&released);
  fake->at_work = &at_work;
  fake->go_on = &go_on;
  const auto cursor = leases.Lease(std::move(fake), 1'000, 1);
  std::thread reader([&] {
    SeriesChunk chunk;
    EXPECT_TRUE(*cursor->Next(&chunk));
  });
  at_work.Wait();
  EXPECT_EQ(leases.ReleaseOverdue(2'000), 0u);
  go_on.Notify();
  reader.join();
  EXPECT_FALSE(released.has_value());
  EXPECT_EQ(leases.ReleaseOverdue(2'000), 1u);
}

}  // namespace
}  // namespace nexus::engine
