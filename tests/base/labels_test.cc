// Labels: what is refused, what is normalised, and that the canonical form is one-to-one.

#include "base/labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace nexus {
namespace {

using ::testing::HasSubstr;

StatusOr<Labels> Make(std::string metric, std::vector<Label> labels = {}) {
  return Labels::Make(std::move(metric), std::move(labels));
}

std::string MessageOf(const StatusOr<Labels>& made) {
  return std::string(FromAbsl(made.status().message()));
}

TEST(Labels, AreSortedByName) {
  StatusOr<Labels> made = Make("cpu", {{"host", "a"}, {"core", "1"}});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->labels(), (std::vector<Label>{{"core", "1"}, {"host", "a"}}));
  EXPECT_EQ(made->Get("host"), "a");
  EXPECT_EQ(made->Get("__name__"), "cpu");
  EXPECT_EQ(made->Get("absent"), "");
}

TEST(Labels, EmptyValueMeansAbsent) {
  EXPECT_EQ(*Make("cpu", {{"host", ""}, {"core", "1"}}), *Make("cpu", {{"core", "1"}}));
}

TEST(Labels, NameLabelIsTheMetricName) {
  EXPECT_EQ(*Make("", {{"__name__", "cpu"}, {"core", "1"}}), *Make("cpu", {{"core", "1"}}));
}

TEST(Labels, RefusedByName) {
  EXPECT_THAT(MessageOf(Make("")), HasSubstr("without a metric name"));
  EXPECT_THAT(MessageOf(Make("cpu", {{"a", "1"}, {"a", "2"}})), HasSubstr("\"a\" is given twice"));
  EXPECT_THAT(MessageOf(Make("cpu", {{"", "1"}})), HasSubstr("empty name"));
  EXPECT_THAT(MessageOf(Make("cpu", {{"__name__", "disk"}})), HasSubstr("beside the metric name"));
  EXPECT_THAT(MessageOf(Make("c\xff")), HasSubstr("not UTF-8"));
  EXPECT_THAT(MessageOf(Make("cpu", {{"a", "\xc0\x80"}})), HasSubstr("\"a\" is not UTF-8"));
  EXPECT_THAT(MessageOf(Make("cpu", {{"\x80", "1"}})), HasSubstr("label name"));
}

TEST(Labels, LimitsHoldAtTheirEdge) {
  EXPECT_TRUE(Make(std::string(kLabelNameBytesMax, 'm')).ok());
  EXPECT_THAT(MessageOf(Make(std::string(kLabelNameBytesMax + 1, 'm'))), HasSubstr("at most 1024"));
  EXPECT_TRUE(Make("m", {{"a", std::string(kLabelValueBytesMax, 'v')}}).ok());
  EXPECT_THAT(MessageOf(Make("m", {{"a", std::string(kLabelValueBytesMax + 1, 'v')}})),
              HasSubstr("at most 16384"));
  std::vector<Label> labels;
  for (size_t i = 0; i < kLabelsMax; i++) labels.push_back({"l" + std::to_string(i), "v"});
  EXPECT_TRUE(Make("m", labels).ok());
  labels.push_back({"one_more", "v"});
  EXPECT_THAT(MessageOf(Make("m", labels)), HasSubstr("at most 128"));
  std::vector<Label> large;
  for (int i = 0; i < 5; i++) large.push_back({"l" + std::to_string(i), std::string(16000, 'v')});
  EXPECT_THAT(MessageOf(Make("m", large)), HasSubstr("at most 65536"));
}

TEST(Labels, ShownForPeopleWithEscapes) {
  EXPECT_EQ(Make("m", {{"a", "x\"y\\z\n"}})->ToString(), "m{a=\"x\\\"y\\\\z\\n\"}");
  EXPECT_EQ(Make("m")->ToString(), "m");
}

TEST(Labels, MalformedCanonicalFormIsDataLoss) {
  const std::vector<std::string> malformed = {"",
                                              "cpu",
                                              "\xff",
                                              "cpu\xff"
                                              "a\xff",
                                              "cpu\xff"
                                              "a\xfe"
                                              "1",
                                              "cpu\xff"
                                              "b\xfe"
                                              "1\xff"
                                              "a\xfe"
                                              "1\xff",
                                              "cpu\xff"
                                              "a\xfe\xff",
                                              "cpu\xff"
                                              "a\xfe"
                                              "1\xff"
                                              "a\xfe"
                                              "1\xff",
                                              "cpu\xff__name__\xfe"
                                              "cpu\xff"};
  for (const std::string& canonical : malformed) {
    EXPECT_EQ(Labels::FromCanonical(canonical).status().code(), absl::StatusCode::kDataLoss)
        << testing::PrintToString(canonical);
  }
}

// Any text as well-formed UTF-8: each number becomes one code point.
std::string Utf8(const std::vector<uint16_t>& points) {
  std::string out;
  for (uint32_t point : points) {
    if (point >= 0xd800 && point <= 0xdfff) point = 'x';
    if (point < 0x80) {
      out += static_cast<char>(point);
    } else if (point < 0x800) {
      out += static_cast<char>(0xc0 | point >> 6);
      out += static_cast<char>(0x80 | (point & 0x3f));
    } else {
      out += static_cast<char>(0xe0 | point >> 12);
      out += static_cast<char>(0x80 | (point >> 6 & 0x3f));
      out += static_cast<char>(0x80 | (point & 0x3f));
    }
  }
  return out;
}

RC_GTEST_PROP(Labels, CanonicalFormIsOneToOne,
              (const std::vector<uint16_t>& metric,
               const std::vector<std::pair<std::vector<uint16_t>, std::vector<uint16_t>>>& pairs)) {
  std::vector<Label> labels;
  for (const auto& [name, value] : pairs) labels.push_back({Utf8(name), Utf8(value)});
  StatusOr<Labels> made = Labels::Make(Utf8(metric), labels);
  RC_PRE(made.ok());
  StatusOr<Labels> back = Labels::FromCanonical(made->Canonical());
  RC_ASSERT(back.ok());
  RC_ASSERT(*back == *made);
}

RC_GTEST_PROP(Labels, AnyBytesAreRefusedOrComeBackAsTheyWere, (const std::string& bytes)) {
  StatusOr<Labels> read = Labels::FromCanonical(bytes);
  if (read.ok()) RC_ASSERT(read->Canonical() == bytes);
}

TEST(Utf8, WellFormedSequencesAreAccepted) {
  for (std::string_view s :
       {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(IsValidUtf8(s)) << testing::PrintToString(s);
  }
}

TEST(Utf8, IllFormedSequencesAreRefused) {
  for (std::string_view s :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xe0\xa0",
        "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xfe", "\xff", "ok\xe2\x82"}) {
    EXPECT_FALSE(IsValidUtf8(s)) << testing::PrintToString(s);
  }
}

RC_GTEST_PROP(Utf8, EveryCodePointIsAcceptedAndEveryPrefixOfItRefused, (uint16_t point)) {
  std::string encoded = Utf8({point});
  RC_ASSERT(IsValidUtf8(encoded));
  for (size_t n = 1; n < encoded.size(); n++) RC_ASSERT(!IsValidUtf8(encoded.substr(0, n)));
}

}  // namespace
}  // namespace nexus
