// Times and durations as people write them.

#include "base/time_text.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace nexus {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

int64_t Time(std::string_view text) {
  StatusOr<int64_t> time = ParseTime(text, 1'000 * kSecond);
  EXPECT_TRUE(time.ok()) << text << ": " << time.status();
  return time.ok() ? *time : -1;
}

TEST(TimeText, Rfc3339IsRead) {
  EXPECT_EQ(Time("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(Time("2025-01-01T00:00:00Z"), 1735689600 * kSecond);
  EXPECT_EQ(Time("2025-01-01T02:00:00+02:00"), 1735689600 * kSecond);
  EXPECT_EQ(Time("2024-12-31T19:30:00.25-0430"), 1735689600 * kSecond + kSecond / 4);
  EXPECT_EQ(Time("1969-12-31T23:59:59.999999999Z"), -1);
  EXPECT_EQ(Time("2024-02-29"), 1709164800 * kSecond);
}

TEST(TimeText, TimeWithoutZoneIsUtc) {
  EXPECT_EQ(Time("2014-07-01 00:30:00"), 1404174600 * kSecond);
}

TEST(TimeText, UnitOfANumberFollowsFromItsSize) {
  EXPECT_EQ(Time("1735689600"), 1735689600 * kSecond);
  EXPECT_EQ(Time("1735689600.5"), 1735689600 * kSecond + kSecond / 2);
  EXPECT_EQ(Time("1735689600123"), 1735689600123 * 1'000'000);
  EXPECT_EQ(Time("1735689600123456"), 1735689600123456 * 1'000);
  EXPECT_EQ(Time("1735689600123456789"), 1735689600123456789);
  EXPECT_EQ(Time("-1"), -kSecond);
}

TEST(TimeText, NowIsRelative) {
  EXPECT_EQ(Time("now"), 1'000 * kSecond);
  EXPECT_EQ(Time("now-15m"), 100 * kSecond);
  EXPECT_EQ(Time("now+1h"), 4'600 * kSecond);
  EXPECT_FALSE(ParseTime("now").ok());
}

TEST(TimeText, BadTimesSayWhatIsAccepted) {
  for (const char* text :
       {"", "yesterday", "2025-02-30", "2025-13-01", "2025-01-01T25:00:00Z", "now-", "now15m",
        "2025-01-01T00:00:00Zx", "12345x", "1.2.3", "--5", "2025-01-01T00:00:00+99:00"}) {
    StatusOr<int64_t> time = ParseTime(text, 0);
    ASSERT_FALSE(time.ok()) << text;
    EXPECT_TRUE(absl::IsInvalidArgument(time.status()));
    EXPECT_NE(time.status().message().find("accepted"), absl::string_view::npos) << text;
  }
}

TEST(TimeText, TimesBeyondInt64AreRefused) {
  for (const char* text : {"9999-12-31T23:59:59Z", "1000-01-01", "9999999999999999999"}) {
    EXPECT_FALSE(ParseTime(text, 0).ok()) << text;
  }
  EXPECT_FALSE(ParseTime("now+290w", INT64_MAX - 1).ok());
}

TEST(TimeText, DurationsAreRead) {
  EXPECT_EQ(*ParseDuration("10s"), 10 * kSecond);
  EXPECT_EQ(*ParseDuration("250ms"), kSecond / 4);
  EXPECT_EQ(*ParseDuration("1h30m"), 5400 * kSecond);
  EXPECT_EQ(*ParseDuration("1.5h"), 5400 * kSecond);
  EXPECT_EQ(*ParseDuration("2w"), 14 * 86400 * kSecond);
  for (const char* text :
       {"", "10", "s", "-5s", "5 s", "5x", "1e400s", "400000w", "nans", "infs"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

TEST(TimeText, EveryTimeIsReadBackAsItWasWritten) {
  EXPECT_EQ(Time(FormatTime(INT64_MIN)), INT64_MIN);
  EXPECT_EQ(Time(FormatTime(INT64_MAX)), INT64_MAX);
  EXPECT_TRUE(rc::check([](int64_t ns) {
    StatusOr<int64_t> back = ParseTime(FormatTime(ns));
    RC_ASSERT(back.ok());
    RC_ASSERT(*back == ns);
  }));
}

}  // namespace
}  // namespace nexus
