// Tests of windows: floor division to the ends of int64, settings as text, settings refused.

#include "compaction/windows.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace nexus::compaction {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kHour = 3600 * kNanosPerSecond;

rc::Gen<int64_t> AnyTime() {
  return rc::gen::oneOf(rc::gen::arbitrary<int64_t>(), rc::gen::inRange<int64_t>(kMin, kMin + 40),
                        rc::gen::inRange<int64_t>(kMax - 40, kMax), rc::gen::just(kMax),
                        rc::gen::inRange<int64_t>(-40, 40));
}

rc::Gen<int64_t> AnyWidth() {
  return rc::gen::oneOf(rc::gen::inRange<int64_t>(1, 20), rc::gen::just(kMax),
                        rc::gen::inRange<int64_t>(kMax / 2, kMax), rc::gen::just(24 * kHour));
}

TEST(Windows, TimesBefore1970AreDividedByFloor) {
  EXPECT_EQ(WindowIndex(0, 10), 0);
  EXPECT_EQ(WindowIndex(9, 10), 0);
  EXPECT_EQ(WindowIndex(-1, 10), -1);
  EXPECT_EQ(WindowIndex(-10, 10), -1);
  EXPECT_EQ(WindowIndex(-11, 10), -2);
  EXPECT_EQ(WindowAt(-1, 10), (TimeRange{-10, -1}));
  EXPECT_EQ(WindowAt(10, 10), (TimeRange{10, 19}));
}

TEST(Windows, TheWindowsAtTheEndsOfTimeAreCut) {
  EXPECT_EQ(WindowAt(kMin, 10).first, kMin);
  EXPECT_EQ(WindowAt(kMax, 10).last, kMax);
  EXPECT_LT(WindowAt(kMin, 10).last, kMin + 10);
  EXPECT_EQ(WindowAt(kMin, kMax), (TimeRange{kMin, kMin}));
  EXPECT_EQ(WindowAt(-1, kMax), (TimeRange{-kMax, -1}));
  EXPECT_EQ(WindowAt(kMax, kMax), (TimeRange{kMax, kMax}));
}

RC_GTEST_PROP(Windows, AgreeWithWideArithmetic, ()) {
  int64_t ts = *AnyTime();
  int64_t width = *AnyWidth();
  __int128 index = static_cast<__int128>(ts) / width;
  if (index * width > ts) index--;
  RC_ASSERT(WindowIndex(ts, width) == static_cast<int64_t>(index));
  __int128 first = index * width;
  __int128 last = first + width - 1;
  TimeRange window = WindowAt(ts, width);
  RC_ASSERT(window.first == static_cast<int64_t>(first < kMin ? kMin : first));
  RC_ASSERT(window.last == static_cast<int64_t>(last > kMax ? kMax : last));
}

RC_GTEST_PROP(Windows, AreDisjointAndLeaveNothingOut, ()) {
  int64_t ts = *AnyTime();
  int64_t width = *AnyWidth();
  TimeRange window = WindowAt(ts, width);
  RC_ASSERT(window.Contains(ts));
  RC_ASSERT(WindowAt(window.first, width) == window);
  RC_ASSERT(WindowAt(window.last, width) == window);
  RC_ASSERT(WithinOneWindow(window, width));
  if (window.last < kMax) {
    RC_ASSERT(WindowAt(window.last + 1, width).first == window.last + 1);
    RC_ASSERT(!WithinOneWindow({window.first, window.last + 1}, width));
  }
}

RC_GTEST_PROP(Windows, OfAMultipleHoldThoseOfTheDivisor, ()) {
  int64_t ts = *AnyTime();
  int64_t width = *rc::gen::inRange<int64_t>(1, 1'000'000'000);
  int64_t factor = *rc::gen::inRange<int64_t>(1, 1'000'000'000);
  RC_ASSERT(WindowAt(ts, width * factor).Contains(WindowAt(ts, width)));
}

TEST(WindowSettings, TheDefaultIsTwoHoursADayAMonth) {
  WindowSettings settings;
  EXPECT_EQ(settings.levels(), 3u);
  EXPECT_EQ(settings.ToString(), "2h,1d,30d");
  EXPECT_EQ(settings.width_ns(1), 2 * kHour);
  EXPECT_EQ(settings.width_ns(3), 30 * 24 * kHour);
  EXPECT_EQ(*WindowSettings::Parse("2h,1d,30d"), settings);
  EXPECT_EQ(*WindowSettings::Parse("120m,24h,30d"), settings);
}

RC_GTEST_PROP(WindowSettings, AreReadAsTheyAreWritten, ()) {
  std::vector<int64_t> widths{*rc::gen::inRange<int64_t>(kNanosPerSecond, kHour)};
  size_t levels = *rc::gen::inRange<size_t>(1, kWindowLevelsMax + 1);
  while (widths.size() < levels) {
    widths.push_back(widths.back() * *rc::gen::inRange<int64_t>(2, 10));
  }
  StatusOr<WindowSettings> settings = WindowSettings::Make(widths);
  RC_ASSERT(settings.ok());
  StatusOr<WindowSettings> again = WindowSettings::Parse(settings->ToString());
  RC_ASSERT(again.ok());
  RC_ASSERT(*again == *settings);
  for (uint32_t level = 1; level <= levels; level++) {
    RC_ASSERT(again->width_ns(level) == widths[level - 1]);
  }
}

void ExpectRefused(const std::string& text, const std::string& why) {
  StatusOr<WindowSettings> settings = WindowSettings::Parse(text);
  ASSERT_FALSE(settings.ok()) << text;
  EXPECT_EQ(settings.status().code(), absl::StatusCode::kInvalidArgument) << text;
  EXPECT_NE(settings.status().ToString().find(why), std::string::npos) << settings.status();
}

TEST(WindowSettings, WhatDoesNotNestIsRefusedByName) {
  ExpectRefused("2h,5h", "5h (level 2) is not a multiple of 2h (level 1)");
  ExpectRefused("2h,1d,36h", "36h (level 3) is not a multiple of 1d (level 2)");
  ExpectRefused("2h,2h", "the width of level 2, 2h, is not larger than that of level 1, 2h");
  ExpectRefused("1d,2h", "from small to large");
}

TEST(WindowSettings, WhatIsNoListOfDurationsIsRefused) {
  ExpectRefused("", "window settings");
  ExpectRefused("2h,", "window settings");
  ExpectRefused("two hours", "two hours");
  ExpectRefused("500ms,1s", "less than 1s");
  ExpectRefused("0s", "less than 1s");
  ExpectRefused("1s,2s,4s,8s,16s,32s,64s", "at most 6");
  std::string endless = "1s";
  for (int i = 0; i < 10'000; i++) endless += ",1s";
  ExpectRefused(endless, "at most 6");
}

}  // namespace
}  // namespace nexus::compaction
