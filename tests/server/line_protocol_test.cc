// Line protocol: what each part of a line means, what is wrong with a line, and that a line written
// out again says the same.

#include "server/line_protocol.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace nexus::server {
namespace {

ParsedLine Parse(std::string_view text) {
  ParsedLine line;
  Status status = ParseLine(text, &line);
  EXPECT_TRUE(status.ok()) << text << ": " << status;
  return line;
}

// What is wrong with a line; "" if nothing is.
std::string ErrorOf(std::string_view text) {
  ParsedLine line;
  Status status = ParseLine(text, &line);
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return std::string(FromAbsl(status.message()));
}

// The value of the only field of "m f=<text>".
double ValueOf(const std::string& text) {
  ParsedLine line = Parse("m f=" + text);
  EXPECT_EQ(line.fields.size(), 1u) << text;
  return line.fields.empty() ? std::nan("") : line.fields[0].value;
}

// The line, written out with every escape that it needs.
std::string Render(const ParsedLine& line) {
  auto escaped = [](std::string_view text) {
    std::string out;
    for (char c : text) {
      if (std::string_view(",= \\").find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
    return out;
  };
  std::string out = escaped(line.measurement);
  for (const Label& tag : line.tags) out += "," + escaped(tag.name) + "=" + escaped(tag.value);
  char separator = ' ';
  for (const LineField& field : line.fields) {
    out += separator + escaped(field.name) + fmt::format("={}", field.value);
    separator = ',';
  }
  for (size_t i = 0; i < line.skipped_fields; i++) {
    out += separator + std::string("text=\"a, \\\"b\\\" = c\"");
    separator = ',';
  }
  if (line.timestamp.has_value()) out += fmt::format(" {}", *line.timestamp);
  return out;
}

void ExpectSame(const ParsedLine& a, const ParsedLine& b) {
  RC_ASSERT(a.measurement == b.measurement);
  RC_ASSERT(a.tags == b.tags);
  RC_ASSERT(a.skipped_fields == b.skipped_fields);
  RC_ASSERT(a.timestamp == b.timestamp);
  RC_ASSERT(a.fields.size() == b.fields.size());
  for (size_t i = 0; i < a.fields.size(); i++) {
    RC_ASSERT(a.fields[i].name == b.fields[i].name);
    RC_ASSERT(std::bit_cast<uint64_t>(a.fields[i].value) ==
              std::bit_cast<uint64_t>(b.fields[i].value));
  }
}

TEST(LineProtocol, TakesALineApart) {
  ParsedLine line = Parse("cpu,host=a,core=1 usage=1.5,idle=2 1700000000000000000");
  EXPECT_EQ(line.measurement, "cpu");
  EXPECT_EQ(line.tags, (std::vector<Label>{{"host", "a"}, {"core", "1"}}));
  ASSERT_EQ(line.fields.size(), 2u);
  EXPECT_EQ(line.fields[0].name, "usage");
  EXPECT_EQ(line.fields[0].value, 1.5);
  EXPECT_EQ(MetricOf(line.measurement, line.fields[0].name), "cpu_usage");
  EXPECT_EQ(MetricOf(line.measurement, line.fields[1].name), "cpu_idle");
  EXPECT_EQ(line.timestamp, 1700000000000000000);
}

TEST(LineProtocol, TagsAndTimestampMayBeAbsent) {
  ParsedLine line = Parse("cpu usage=1");
  EXPECT_TRUE(line.tags.empty());
  EXPECT_FALSE(line.timestamp.has_value());
}

TEST(LineProtocol, NothingIsLeftOfTheLineBefore) {
  ParsedLine line = Parse("cpu,host=a usage=1,text=\"x\" 5");
  ASSERT_TRUE(ParseLine("disk free=2", &line).ok());
  EXPECT_EQ(line.measurement, "disk");
  EXPECT_TRUE(line.tags.empty());
  EXPECT_EQ(line.fields.size(), 1u);
  EXPECT_EQ(line.skipped_fields, 0u);
  EXPECT_FALSE(line.timestamp.has_value());
}

TEST(LineProtocol, BackslashEscapesSeparatorsAndItselfAndNothingElse) {
  ParsedLine line = Parse(R"(my\ disk\,2,a\=b=c\ d\,e,path=C:\\dir\new fi\ eld\==1)");
  EXPECT_EQ(line.measurement, "my disk,2");
  EXPECT_EQ(line.tags, (std::vector<Label>{{"a=b", "c d,e"}, {"path", R"(C:\dir\new)"}}));
  ASSERT_EQ(line.fields.size(), 1u);
  EXPECT_EQ(line.fields[0].name, "fi eld=");
}

TEST(LineProtocol, EqualsSignIsTextInMeasurementsAndTagValues) {
  ParsedLine line = Parse("a=b,query=x=y f=1");
  EXPECT_EQ(line.measurement, "a=b");
  EXPECT_EQ(line.tags, (std::vector<Label>{{"query", "x=y"}}));
}

TEST(LineProtocol, Utf8IsText) {
  ParsedLine line = Parse(
      "temp\xC3\xA9rature,ville=Orl\xC3\xA9"
      "ans \xC2\xB0=21.5");
  EXPECT_EQ(line.measurement, "temp\xC3\xA9rature");
  EXPECT_EQ(line.fields[0].name, "\xC2\xB0");
}

TEST(LineProtocol, StringFieldsArePassedOverWhateverTheyHold) {
  ParsedLine line =
      Parse(R"(log,host=a text="a, b=1 \"quoted\" \\",level=3i,other="" 1700000000000000000)");
  EXPECT_EQ(line.skipped_fields, 2u);
  ASSERT_EQ(line.fields.size(), 1u);
  EXPECT_EQ(line.fields[0].name, "level");
  EXPECT_EQ(line.timestamp, 1700000000000000000);
}

TEST(LineProtocol, FloatsAreReadToTheNearestBits) {
  EXPECT_EQ(ValueOf("1.5"), 1.5);
  EXPECT_EQ(ValueOf("-1e-9"), -1e-9);
  EXPECT_EQ(ValueOf("1E+3"), 1000);
  EXPECT_EQ(ValueOf("+.5"), 0.5);
  EXPECT_EQ(ValueOf("0.1"), 0.1);
  EXPECT_EQ(std::bit_cast<uint64_t>(ValueOf("-0")), std::bit_cast<uint64_t>(-0.0));
  EXPECT_EQ(ValueOf("1.7976931348623157e308"), std::numeric_limits<double>::max());
  EXPECT_EQ(ValueOf("5e-324"), std::numeric_limits<double>::denorm_min());
}

TEST(LineProtocol, IntegersAndBooleansBecomeNumbers) {
  EXPECT_EQ(ValueOf("42i"), 42);
  EXPECT_EQ(ValueOf("-42i"), -42);
  EXPECT_EQ(ValueOf("-9223372036854775808i"), -9223372036854775808.0);
  EXPECT_EQ(ValueOf("18446744073709551615u"), 18446744073709551615.0);
  for (const char* text : {"t", "T", "true", "True", "TRUE"}) EXPECT_EQ(ValueOf(text), 1) << text;
  for (const char* text : {"f", "F", "false", "False", "FALSE"}) {
    EXPECT_EQ(ValueOf(text), 0) << text;
  }
}

TEST(LineProtocol, WrongValuesAreRefusedByColumn) {
  for (const char* text : {"", "x", "1x", "1.5i", "i", "u", "-1u", "tRUE", "1..2", "--1", "+-1",
                           "1e", "0x10", "1 .5 2"}) {
    EXPECT_NE(ErrorOf(std::string("m f=") + text), "") << text;
  }
  EXPECT_EQ(ErrorOf("m,t=a f=1,g=zebra 5"),
            "column 13: expected a number, true, false or a string, found 'z'");
  EXPECT_EQ(ErrorOf("m f="),
            "column 5: expected a number, true, false or a string, found the end of the line");
  for (const char* text : {"1e400", "-1e400", "9223372036854775808i", "18446744073709551616u"}) {
    EXPECT_EQ(ErrorOf(std::string("m f=") + text), "column 5: the number is out of range") << text;
  }
}

TEST(LineProtocol, WrongLinesAreRefusedByColumnAndReason) {
  EXPECT_EQ(ErrorOf("m"), "column 2: expected a blank and then fields, found the end of the line");
  EXPECT_EQ(ErrorOf("m "), "column 3: expected a field name, found the end of the line");
  EXPECT_EQ(ErrorOf(",a=b f=1"), "column 1: expected a measurement, found ','");
  EXPECT_EQ(ErrorOf("m, f=1"), "column 3: expected a tag name, found ' '");
  EXPECT_EQ(ErrorOf("m,a f=1"), "column 4: expected '=' after the tag name, found ' '");
  EXPECT_EQ(ErrorOf("m,a= f=1"), "column 5: expected a tag value, found ' '");
  EXPECT_EQ(ErrorOf("m,a=b"),
            "column 6: expected a blank and then fields, found the end of the line");
  EXPECT_EQ(ErrorOf("m f"),
            "column 4: expected '=' after the field name, found the end of the line");
  EXPECT_EQ(ErrorOf("m f=1,"), "column 7: expected a field name, found the end of the line");
  EXPECT_EQ(ErrorOf("m =1"), "column 3: expected a field name, found '='");
  EXPECT_EQ(ErrorOf("m f=\"open"), "column 5: the string has no closing quote");
  EXPECT_EQ(ErrorOf("m f=\"open\\"), "column 5: the string has no closing quote");
  EXPECT_EQ(ErrorOf("m f=\"a\"b"), "column 8: expected a timestamp (an integer), found 'b'");
}

TEST(LineProtocol, WrongTimestampsAreRefusedByColumn) {
  EXPECT_EQ(ErrorOf("m f=1 soon"), "column 7: expected a timestamp (an integer), found 's'");
  EXPECT_EQ(ErrorOf("m f=1 1.5"), "column 8: expected the end of the line, found '.'");
  EXPECT_EQ(ErrorOf("m f=1 1 2"), "column 9: expected the end of the line, found '2'");
  EXPECT_EQ(ErrorOf("m f=1 9223372036854775808"), "column 7: the timestamp is out of range");
  EXPECT_EQ(Parse("m f=1 -9223372036854775808").timestamp, std::numeric_limits<int64_t>::min());
}

TEST(LineProtocol, EmptyLinesAndCommentsHaveNoFields) {
  for (const char* text : {"", "   ", "\r", "# cpu usage=1", "  # indented", "#"}) {
    ParsedLine line = Parse(text);
    EXPECT_TRUE(line.fields.empty() && line.measurement.empty()) << text;
  }
}

TEST(LineProtocol, BlanksAroundThePartsAndCrLfAreAllowed) {
  ParsedLine line = Parse("  cpu,host=a   usage=1   5  \r");
  EXPECT_EQ(line.measurement, "cpu");
  EXPECT_EQ(line.tags, (std::vector<Label>{{"host", "a"}}));
  EXPECT_EQ(line.fields[0].value, 1);
  EXPECT_EQ(line.timestamp, 5);
}

TEST(ScanLine, GivesViewsOfTheLineWithItsEscapes) {
  const std::string text = R"(  a\ b,t\,=x\\ f\=1=1,g="skip, me",h=2i 7)";
  RawLine line;
  ASSERT_TRUE(ScanLine(text, &line).ok());
  EXPECT_EQ(line.series, R"(a\ b,t\,=x\\)");
  EXPECT_EQ(line.series_column, 2u);
  EXPECT_EQ(line.series.data(), text.data() + 2);
  ASSERT_EQ(line.fields.size(), 2u);
  EXPECT_EQ(line.fields[0].name, R"(f\=1)");
  EXPECT_EQ(Unescape(line.fields[0].name), "f=1");
  EXPECT_EQ(line.fields[1].name, "h");
  EXPECT_EQ(line.fields[1].value, 2);
  EXPECT_EQ(line.skipped_fields, 1u);
  EXPECT_EQ(line.timestamp, 7);
}

TEST(ScanLine, EscapesWithoutEndAreReadInLinearTime) {
  // A search from each escape to the far blank would take hours.
  std::string text(8 << 20, '\\');
  EXPECT_THAT(ErrorOf(text), testing::HasSubstr("expected a blank and then fields"));
  text += " f=1";
  ParsedLine line;
  ASSERT_TRUE(ParseLine(text, &line).ok());
  EXPECT_EQ(line.measurement.size(), size_t{4 << 20});
}

TEST(SeriesKey, DiffersWithSeriesFieldAndSeed) {
  auto key = [](std::string_view series, std::string_view field, uint64_t seed) {
    return HashField(HashSeries(series, seed), field, seed);
  };
  const std::string long_name(1000, 'f');
  EXPECT_EQ(key("cpu,host=a", "usage", 1), key("cpu,host=a", "usage", 1));
  EXPECT_EQ(key("cpu", long_name, 1), key("cpu", long_name, 1));
  std::set<Hash128> keys;
  for (uint64_t seed : {1u, 2u}) {
    for (std::string_view series : {"cpu,host=a", "cpu,host=b", "cpu"}) {
      for (const std::string& field : {std::string("usage"), std::string("usag"), long_name,
                                       long_name + "f", std::string(224, 'f')}) {
        keys.insert(key(series, field, seed));
      }
    }
  }
  EXPECT_EQ(keys.size(), 2u * 3 * 5);
}

// All lines that come of a text given in pieces, and what is left behind them.
std::pair<std::vector<std::string>, std::string> SplitInPieces(std::string_view text,
                                                               const std::vector<size_t>& cuts) {
  LineSplitter splitter;
  std::string buffer;
  std::vector<std::string> lines;
  size_t cut = 0;
  while (!text.empty()) {
    size_t piece = std::min(cuts.empty() ? text.size() : cuts[cut++ % cuts.size()], text.size());
    buffer += text.substr(0, piece);
    text.remove_prefix(piece);
    while (std::optional<std::string_view> line = splitter.Next(buffer)) lines.emplace_back(*line);
    // Sometimes the consumed bytes are kept a while.
    if (piece % 3 != 0) buffer.erase(0, splitter.TakeConsumed());
  }
  return {lines, std::string(splitter.Rest(buffer))};
}

TEST(LineSplitter, PartialLineWaitsForItsNewline) {
  LineSplitter splitter;
  std::string buffer = "first\nsec";
  EXPECT_EQ(splitter.Next(buffer), "first");
  EXPECT_EQ(splitter.Next(buffer), std::nullopt);
  EXPECT_EQ(splitter.Rest(buffer), "sec");
  buffer.erase(0, splitter.TakeConsumed());
  EXPECT_EQ(buffer, "sec");
  buffer += "ond\n\n";
  EXPECT_EQ(splitter.Next(buffer), "second");
  EXPECT_EQ(splitter.Next(buffer), "");
  EXPECT_EQ(splitter.Next(buffer), std::nullopt);
  EXPECT_EQ(splitter.TakeConsumed(), buffer.size());
}

RC_GTEST_PROP(LineSplitter, LinesAreTheSameHoweverTheTextArrives, ()) {
  auto text = *rc::gen::container<std::string>(rc::gen::elementOf(std::string("ab\n\r")));
  auto cuts = *rc::gen::container<std::vector<size_t>>(rc::gen::inRange<size_t>(1, 8));
  RC_ASSERT(SplitInPieces(text, cuts) == SplitInPieces(text, {}));
  std::string joined;
  auto [lines, rest] = SplitInPieces(text, cuts);
  for (const std::string& line : lines) joined += line + "\n";
  RC_ASSERT(joined + rest == text);
}

// Text of the characters that matter, so that most of the grammar is met.
rc::Gen<std::string> NastyText() {
  return rc::gen::container<std::string>(
      rc::gen::elementOf(std::string("m,= \\\"#ab10.-iu\xC3\r")));
}

rc::Gen<std::string> Name() {
  return rc::gen::suchThat(NastyText(),
                           [](const std::string& name) { return !name.empty() && name[0] != '#'; });
}

RC_GTEST_PROP(LineProtocol, WhatIsWrittenIsReadBack, ()) {
  ParsedLine line;
  line.measurement = *Name();
  for (auto& [name, value] : *rc::gen::container<std::vector<std::pair<std::string, std::string>>>(
           rc::gen::pair(Name(), Name()))) {
    line.tags.push_back({name, value});
  }
  auto bits =
      *rc::gen::nonEmpty(rc::gen::container<std::vector<uint64_t>>(rc::gen::arbitrary<uint64_t>()));
  for (uint64_t one : bits) {
    auto value = std::bit_cast<double>(one * 0x9e3779b97f4a7c15);
    // A NaN is written without its payload.
    line.fields.push_back({*Name(), std::isnan(value) ? 1 : value});
  }
  line.skipped_fields = *rc::gen::inRange<size_t>(0, 3);
  if (*rc::gen::arbitrary<bool>()) line.timestamp = *rc::gen::arbitrary<int64_t>();
  ParsedLine read;
  RC_ASSERT(ParseLine(Render(line), &read).ok());
  ExpectSame(read, line);
}

RC_GTEST_PROP(LineProtocol, AnyTextIsRefusedOrSaysTheSameWhenWrittenAgain, ()) {
  std::string text = *NastyText();
  // Half of the texts are made to look like lines, or nearly all would be refused at once.
  if (*rc::gen::arbitrary<bool>()) text = "m" + *NastyText() + " f=" + *NastyText() + " 1";
  ParsedLine line;
  if (!ParseLine(text, &line).ok() || line.measurement.empty()) return;
  ParsedLine read;
  RC_ASSERT(ParseLine(Render(line), &read).ok());
  ExpectSame(read, line);
}

}  // namespace
}  // namespace nexus::server
