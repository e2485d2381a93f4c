// Times and durations as text: what is accepted, how units are told apart, and both ends of time.

#include "base/time_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <limits>
#include <string>

namespace nexus {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kNow = 1'714'566'600 * kSecond;  // 2024-05-01T12:30:00Z
constexpr int64_t kFirst = std::numeric_limits<int64_t>::min();
constexpr int64_t kLast = std::numeric_limits<int64_t>::max();

// The time, or the error's text.
std::string Read(std::string_view text, int64_t now_ns = kNow) {
  StatusOr<int64_t> time = ParseTime(text, now_ns);
  return time.ok() ? FormatTime(*time) : std::string(FromAbsl(time.status().message()));
}

std::string ReadDuration(std::string_view text) {
  StatusOr<int64_t> duration = ParseDuration(text);
  return duration.ok() ? std::to_string(*duration)
                       : std::string(FromAbsl(duration.status().message()));
}

TEST(ParseTime, ReadsRfc3339) {
  EXPECT_EQ(ParseTime("2024-05-01T12:30:00Z", 0).value_or(0), kNow);
  EXPECT_EQ(Read("2024-05-01t12:30:00z"), "2024-05-01T12:30:00Z");
  EXPECT_EQ(Read("2024-05-01T14:30:00.25+02:00"), "2024-05-01T12:30:00.25Z");
  EXPECT_EQ(Read("2024-05-01T00:00:00-00:30"), "2024-05-01T00:30:00Z");
  EXPECT_EQ(Read("2024-05-01T12:30:00.123456789Z"), "2024-05-01T12:30:00.123456789Z");
  EXPECT_EQ(Read("2024-05-01T12:30:00.1234567890000Z"), "2024-05-01T12:30:00.123456789Z");
  EXPECT_EQ(Read("1969-12-31T23:59:59.5Z"), "1969-12-31T23:59:59.5Z");
  EXPECT_EQ(ParseTime("1969-12-31T23:59:59.5Z", 0).value_or(0), -kSecond / 2);
}

TEST(ParseTime, WithoutAnOffsetItIsUtc) {
  EXPECT_EQ(Read("2024-05-01 12:30:00"), "2024-05-01T12:30:00Z");
  EXPECT_EQ(Read("2024-05-01 12:30:00.5"), "2024-05-01T12:30:00.5Z");
  EXPECT_EQ(Read("2024-05-01 12:30:00+01:00"), "2024-05-01T11:30:00Z");
  EXPECT_EQ(Read("2024-05-01T12:30:00"), "2024-05-01T12:30:00Z");
}

TEST(ParseTime, WhatIsLeftOutIsZero) {
  EXPECT_EQ(Read("2024-05-01"), "2024-05-01T00:00:00Z");
  EXPECT_EQ(Read("2024-05-01 12:30"), "2024-05-01T12:30:00Z");
  EXPECT_EQ(Read("2024-05-01T12:30-0430"), "2024-05-01T17:00:00Z");
}

TEST(ParseTime, KnowsTheCalendar) {
  EXPECT_EQ(Read("2024-02-29T00:00:00Z"), "2024-02-29T00:00:00Z");
  EXPECT_EQ(Read("2000-02-29T00:00:00Z"), "2000-02-29T00:00:00Z");
  for (const char* text :
       {"2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2024-04-31T00:00:00Z",
        "2024-13-01T00:00:00Z", "2024-00-01T00:00:00Z", "2024-01-00T00:00:00Z"}) {
    EXPECT_THAT(Read(text), HasSubstr("no such day")) << text;
  }
  for (const char* text : {"2024-05-01T24:00:00Z", "2024-05-01T12:60:00Z", "2024-05-01T12:00:61Z",
                           "2024-05-01T12:00:0Z", "2024-05-01T1:00:00Z"}) {
    EXPECT_THAT(Read(text), HasSubstr("no such time of day")) << text;
  }
}

TEST(ParseTime, LeapSecondIsTheNextDaysFirstAndOnlyThere) {
  EXPECT_EQ(Read("2016-12-31T23:59:60Z"), "2017-01-01T00:00:00Z");
  EXPECT_EQ(Read("2017-01-01T00:59:60.5+01:00"), "2017-01-01T00:00:00.5Z");
  EXPECT_THAT(Read("2016-12-31T12:00:60Z"), HasSubstr("no leap second there"));
  EXPECT_THAT(Read("2016-12-31T23:59:60+01:00"), HasSubstr("no leap second there"));
}

TEST(ParseTime, UnixTimesUnitFollowsFromItsMagnitude) {
  for (const char* text : {"1714566600", "1714566600000", "1714566600000000", "1714566600000000000",
                           "+1714566600", "1714566600.000"}) {
    EXPECT_EQ(Read(text), "2024-05-01T12:30:00Z") << text;
  }
  for (const char* text : {"-1000000000", "-1000000000000", "-1000000000000000",
                           "-1000000000000000000", "-1000000000.0"}) {
    EXPECT_EQ(Read(text), "1938-04-24T22:13:20Z") << text;
  }
  EXPECT_EQ(Read("0"), "1970-01-01T00:00:00Z");
  EXPECT_EQ(Read("-5"), "1969-12-31T23:59:55Z");
}

TEST(ParseTime, UnixTimesUnitChangesExactlyAtItsBounds) {
  EXPECT_THAT(Read("9999999999"), HasSubstr("outside 1677"));
  EXPECT_EQ(ParseTime("9223372036", 0).value_or(0), 9'223'372'036 * kSecond);
  EXPECT_EQ(ParseTime("10000000000", 0).value_or(0), 10'000'000'000 * 1'000'000);
  EXPECT_THAT(Read("9999999999999"), HasSubstr("outside 1677"));
  EXPECT_EQ(ParseTime("10000000000000", 0).value_or(0), 10'000'000'000'000 * 1'000);
  EXPECT_THAT(Read("9999999999999999"), HasSubstr("outside 1677"));
  EXPECT_EQ(ParseTime("10000000000000000", 0).value_or(0), 10'000'000'000'000'000);
}

TEST(ParseTime, FractionsAreExactOrRefused) {
  EXPECT_EQ(Read("1714566600.000000001"), "2024-05-01T12:30:00.000000001Z");
  EXPECT_EQ(Read("-0.5"), "1969-12-31T23:59:59.5Z");
  EXPECT_EQ(Read("1714566600000.25"), "2024-05-01T12:30:00.00025Z");
  EXPECT_THAT(Read("1714566600.0000000001"), HasSubstr("finer than a nanosecond"));
  EXPECT_THAT(Read("1714566600000.0000001"), HasSubstr("finer than a nanosecond"));
  EXPECT_THAT(Read("1714566600000000000.5"), HasSubstr("finer than a nanosecond"));
  EXPECT_THAT(Read("2024-05-01T12:30:00.0000000001Z"), HasSubstr("finer than a nanosecond"));
}

TEST(ParseTime, NowAndWhatIsCountedFromIt) {
  EXPECT_EQ(Read("now"), "2024-05-01T12:30:00Z");
  EXPECT_EQ(Read("now-15m"), "2024-05-01T12:15:00Z");
  EXPECT_EQ(Read("now+1h30m"), "2024-05-01T14:00:00Z");
  EXPECT_THAT(Read("now-"), HasSubstr("time \"now-\": duration \"\": empty"));
  EXPECT_THAT(Read("nowish"), HasSubstr("only + or -"));
  EXPECT_FALSE(ParseTime("now").ok()) << "without a clock";
  EXPECT_THAT(Read("now-15"), HasSubstr("unit is missing"));
  EXPECT_THAT(Read("now-1ns", kFirst), HasSubstr("outside 1677"));
  EXPECT_THAT(Read("now+1ns", kLast), HasSubstr("outside 1677"));
}

TEST(ParseTime, BothEndsOfTimeAreReadAndNothingBeyond) {
  EXPECT_EQ(FormatTime(kFirst), "1677-09-21T00:12:43.145224192Z");
  EXPECT_EQ(FormatTime(kLast), "2262-04-11T23:47:16.854775807Z");
  EXPECT_EQ(ParseTime("1677-09-21T00:12:43.145224192Z", 0).value_or(0), kFirst);
  EXPECT_EQ(ParseTime("2262-04-11T23:47:16.854775807Z", 0).value_or(0), kLast);
  EXPECT_EQ(ParseTime("-9223372036854775808", 0).value_or(0), kFirst);
  EXPECT_EQ(ParseTime("9223372036854775807", 0).value_or(0), kLast);
  for (const char* text :
       {"1677-09-21T00:12:43.145224191Z", "2262-04-11T23:47:16.854775808Z", "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z", "9223372036854775808", "-9223372036854775809",
        "9223372036.854775808", "99999999999999999999999999"}) {
    EXPECT_THAT(Read(text), HasSubstr("outside 1677")) << text;
  }
}

TEST(ParseTime, OtherTextIsRefusedWithWhatIsAccepted) {
  for (const char* text :
       {"", " ", "yesterday", "2024-05-0", "2024-05-01T12:30:00Z ", "1e9", "0x10", "12:30", "5.",
        ".5", "-", "--5", "1714566600s", "2024-05-01T12:30:00.Z", "2024-05-01T12:30:00+2:00",
        "2024-05-01T12:30:00+99:00", "2024/05/01 12:30:00", "nan"}) {
    EXPECT_FALSE(ParseTime(text, kNow).ok()) << text;
    EXPECT_THAT(Read(text), HasSubstr("accepted are RFC 3339")) << text;
  }
  EXPECT_THAT(Read(std::string(1000, 'x')), testing::Not(HasSubstr(std::string(65, 'x'))));
}

RC_GTEST_PROP(ParseTime, GivesBackWhatFormatTimeWrote, (int64_t time, uint8_t shift)) {
  time >>= shift % 64;
  RC_ASSERT(ParseTime(FormatTime(time), 0).value_or(~time) == time);
}

RC_GTEST_PROP(ParseTime, WrittenTimesSortAsTheyFollow, (int64_t a, int64_t b)) {
  // Whole seconds: a trimmed fraction does not sort as text.
  a = a / kSecond * kSecond;
  b = b / kSecond * kSecond;
  RC_ASSERT((a < b) == (FormatTime(a) < FormatTime(b)));
}

RC_GTEST_PROP(ParseTime, AnyTextIsReadOrRefused, (const std::string& text)) {
  StatusOr<int64_t> time = ParseTime(text, kNow);
  RC_ASSERT(time.ok() || time.status().code() == absl::StatusCode::kInvalidArgument);
}

TEST(ParseDuration, ReadsEachUnit) {
  EXPECT_EQ(ReadDuration("10s"), "10000000000");
  EXPECT_EQ(ReadDuration("5m"), "300000000000");
  EXPECT_EQ(ReadDuration("1h"), "3600000000000");
  EXPECT_EQ(ReadDuration("250ms"), "250000000");
  EXPECT_EQ(ReadDuration("7us"), "7000");
  EXPECT_EQ(ReadDuration("7ns"), "7");
  EXPECT_EQ(ReadDuration("1d"), "86400000000000");
  EXPECT_EQ(ReadDuration("1w"), "604800000000000");
  EXPECT_EQ(ReadDuration("1w2d3h4m5s6ms7us8ns"), "788645006007008");
  EXPECT_EQ(ReadDuration("0s"), "0");
  EXPECT_EQ(ReadDuration("1.5h"), "5400000000000");
  EXPECT_EQ(ReadDuration("0.000000001s"), "1");
  EXPECT_EQ(ReadDuration("0.00000000005m"), "3");
  EXPECT_EQ(ReadDuration("1.000000000000000000000s"), "1000000000");
  EXPECT_THAT(ReadDuration("0.0000000001s"), HasSubstr("finer than a nanosecond"));
  EXPECT_THAT(ReadDuration("0.5ns"), HasSubstr("finer than a nanosecond"));
}

TEST(ParseDuration, OtherTextIsRefusedWithWhatIsAccepted) {
  for (const char* text : {"", "10", "s", "1.h", ".5h", "-1s", "1e3s", "nans", "1s1m", "1s1s",
                           "1 s", "1y", "1M", "10s ", "1m1", "1h 30m", "1S"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
    EXPECT_THAT(ReadDuration(text), HasSubstr("accepted are numbers with units")) << text;
  }
}

TEST(ParseDuration, LongestIsTheLongestThatFits) {
  EXPECT_EQ(ReadDuration("9223372036854775807ns"), std::to_string(kLast));
  EXPECT_EQ(ReadDuration("9223372036s854775807ns"), std::to_string(kLast));
  for (const char* text : {"9223372036854775808ns", "9223372036s854775808ns", "15251w",
                           "99999999999999999999s", "18446744073709551615w"}) {
    EXPECT_THAT(ReadDuration(text), HasSubstr("longer than 292 years")) << text;
  }
  EXPECT_EQ(ReadDuration("15250w"), "9223200000000000000");
}

}  // namespace
}  // namespace nexus
