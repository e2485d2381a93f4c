// Tests of server/logger: one call is one line that reads back as what was given, whatever the
// bytes, and the level changes while others log.

#include "server/logger.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <limits>
#include <thread>
#include <vector>

#include "base/labels.h"
#include "base/time_text.h"

namespace nexus::server {
namespace {

using ::testing::MatchesRegex;

// A logger whose lines are kept.
class Kept {
 public:
  explicit Kept(LogFormat format, LogLevel level = LogLevel::kInfo)
      : logger(format, level, [this](std::string_view line) { lines.emplace_back(line); }) {}

  std::vector<std::string> lines;
  Logger logger;
};

// What follows the time and the level of a line for people.
std::string Body(const std::string& line) {
  return line.substr(std::string_view("2026-11-21T04:00:00.123Z warning ").size());
}

std::string Escaped(LogFormat format, std::string_view text) {
  Kept kept(format);
  kept.logger.Info("m", {{"text", text}});
  return kept.lines.at(0);
}

std::string TextOfJson(const std::string& line, const char* key) {
  simdjson::dom::parser parser;
  std::string_view value;
  EXPECT_EQ(parser.parse(line)[key].get_string().get(value), simdjson::SUCCESS) << line;
  return std::string(value);
}

TEST(LoggerTest, ALineForPeopleHasTimeLevelMessageAndFields) {
  Kept kept(LogFormat::kHuman);
  kept.logger.Warning("slow peer", {{"peer", "127.0.0.1:5"}, {"seconds", 1.5}, {"note", "a b"}});
  ASSERT_EQ(kept.lines.size(), 1u);
  EXPECT_THAT(kept.lines[0], MatchesRegex("20[0-9-]+T[0-9:]+\\.[0-9][0-9][0-9]Z warning slow peer "
                                          "peer=127.0.0.1:5 seconds=1.5 note=\"a b\"\n"));
  EXPECT_TRUE(ParseTime(kept.lines[0].substr(0, 24)).ok()) << kept.lines[0];
}

TEST(LoggerTest, AJsonLineIsOneObjectWithItsFields) {
  Kept kept(LogFormat::kJson);
  kept.logger.Error("failed", {{"request", uint64_t{18'446'744'073'709'551'615u}},
                               {"offset", -7},
                               {"retry", true},
                               {"ratio", 0.1},
                               {"size", size_t{3}},
                               {"name", std::string("n")}});
  ASSERT_EQ(kept.lines.size(), 1u);
  ASSERT_EQ(kept.lines[0].back(), '\n');
  simdjson::dom::parser parser;
  simdjson::dom::element object;
  ASSERT_EQ(parser.parse(kept.lines[0]).get(object), simdjson::SUCCESS) << kept.lines[0];
  EXPECT_EQ(std::string_view(object["level"]), "error");
  EXPECT_EQ(std::string_view(object["message"]), "failed");
  EXPECT_EQ(uint64_t(object["request"]), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(int64_t(object["offset"]), -7);
  EXPECT_EQ(bool(object["retry"]), true);
  EXPECT_EQ(double(object["ratio"]), 0.1);
  EXPECT_EQ(uint64_t(object["size"]), 3u);
  EXPECT_EQ(std::string_view(object["name"]), "n");
  EXPECT_TRUE(ParseTime(std::string_view(object["time"])).ok()) << kept.lines[0];
}

TEST(LoggerTest, NumbersThatJsonLacksAreStrings) {
  Kept kept(LogFormat::kJson);
  kept.logger.Info("m", {{"a", std::numeric_limits<double>::quiet_NaN()},
                         {"b", std::numeric_limits<double>::infinity()},
                         {"c", -std::numeric_limits<double>::infinity()}});
  EXPECT_EQ(TextOfJson(kept.lines.at(0), "a"), "NaN");
  EXPECT_EQ(TextOfJson(kept.lines.at(0), "b"), "+Inf");
  EXPECT_EQ(TextOfJson(kept.lines.at(0), "c"), "-Inf");
}

TEST(LoggerTest, AnyTextInJsonReadsBack) {
  for (std::string_view text : {"", "quote \" and \\ back", "two\nlines\r\t", "\x01\x1f\x7f",
                                "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\x8d", "%v %l {}"}) {
    EXPECT_EQ(TextOfJson(Escaped(LogFormat::kJson, text), "text"), text);
  }
}

TEST(LoggerTest, EveryByteMakesOneLineOfUtf8InBothFormats) {
  for (int c = 0; c < 256; c++) {
    const std::string text = fmt::format("a{}b", static_cast<char>(c));
    for (LogFormat format : {LogFormat::kHuman, LogFormat::kJson}) {
      const std::string line = Escaped(format, text);
      EXPECT_TRUE(IsValidUtf8(line)) << c;
      const std::string inner = line.substr(0, line.size() - 1);
      for (char shown : inner) {
        EXPECT_TRUE(static_cast<uint8_t>(shown) >= 0x20 && shown != 0x7f) << "byte " << c;
      }
      if (format == LogFormat::kJson) TextOfJson(line, "text");
    }
  }
}

TEST(LoggerTest, BytesThatAreNotUtf8AreReplaced) {
  // A lone continuation, an over-long slash, a surrogate, beyond U+10FFFF, a cut character.
  EXPECT_EQ(TextOfJson(Escaped(LogFormat::kJson, "a\x80z"), "text"), "a\xef\xbf\xbdz");
  for (std::string_view text : {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "x\xe2\x82"}) {
    const std::string read = TextOfJson(Escaped(LogFormat::kJson, text), "text");
    EXPECT_NE(read.find("\xef\xbf\xbd"), std::string::npos);
    EXPECT_EQ(read.find(text), std::string::npos);
  }
}

TEST(LoggerTest, APeersTextForgesNoLineAndMovesNoCursor) {
  Kept kept(LogFormat::kHuman);
  kept.logger.Info("bad\nline \x1b[2J", {{"peer", "x\n2026 error"},
                                         {"c1",
                                          "\xc2\x9b"
                                          "2J"}});
  EXPECT_EQ(Body(kept.lines.at(0)),
            "bad\\nline \\u001b[2J peer=\"x\\n2026 error\" c1=\"\\u009b2J\"\n");
}

TEST(LoggerTest, TextThatReadsAsSeveralFieldsIsQuoted) {
  Kept kept(LogFormat::kHuman);
  kept.logger.Info("m", {{"a", "b=c"}, {"e", ""}, {"q", "\""}});
  EXPECT_EQ(Body(kept.lines.at(0)), "m a=\"b=c\" e=\"\" q=\"\\\"\"\n");
}

TEST(LoggerTest, LongTextIsCutBetweenCharacters) {
  const std::string exact(kLogTextBytesMax, 'x');
  EXPECT_EQ(TextOfJson(Escaped(LogFormat::kJson, exact), "text"), exact);
  EXPECT_EQ(TextOfJson(Escaped(LogFormat::kJson, exact + "y"), "text"), exact + "...");
  const std::string almost(kLogTextBytesMax - 1, 'x');
  EXPECT_EQ(TextOfJson(Escaped(LogFormat::kJson, almost + "\xc3\xbc"), "text"), almost + "...");
}

TEST(LoggerTest, TheLevelFiltersAndChangesAtRunTime) {
  Kept kept(LogFormat::kHuman, LogLevel::kWarning);
  kept.logger.Info("not this");
  kept.logger.Warning("this");
  EXPECT_FALSE(kept.logger.Enabled(LogLevel::kInfo));
  kept.logger.SetLevel(LogLevel::kDebug);
  kept.logger.Debug("and this");
  kept.logger.SetLevel(LogLevel::kError);
  kept.logger.Warning("not that");
  ASSERT_EQ(kept.lines.size(), 2u);
  EXPECT_EQ(Body(kept.lines[0]), "this\n");
  EXPECT_EQ(Body(kept.lines[1]), "and this\n");
}

TEST(LoggerTest, LinesOfManyThreadsDoNotMix) {
  constexpr int kThreads = 4;
  constexpr int kLines = 200;
  Kept kept(LogFormat::kJson);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++) {
    threads.emplace_back([&kept, t] {
      for (int i = 0; i < kLines; i++) {
        kept.logger.SetLevel(i % 2 == 0 ? LogLevel::kDebug : LogLevel::kInfo);
        kept.logger.Info("m", {{"thread", t}, {"text", std::string(100, 'x')}});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(kept.lines.size(), size_t{kThreads * kLines});
  for (const std::string& line : kept.lines) EXPECT_EQ(TextOfJson(line, "text").size(), 100u);
}

TEST(LoggerTest, WithoutAFunctionLinesGoToStandardErrorUncoloured) {
  testing::internal::CaptureStderr();
  Logger(LogFormat::kHuman, LogLevel::kInfo).Info("here", {{"n", 1}});
  const std::string written = testing::internal::GetCapturedStderr();
  EXPECT_THAT(written, MatchesRegex("[0-9TZ:.-]+ info    here n=1\n"));
}

TEST(LoggerTest, WordsOfLevelsAndFormatsAreThoseOfTheSettings) {
  for (const char* word : {"debug", "info", "warning", "error"}) {
    EXPECT_TRUE(ParseLogLevel(word).ok()) << word;
  }
  EXPECT_EQ(*ParseLogFormat("json"), LogFormat::kJson);
  EXPECT_EQ(*ParseLogFormat("human"), LogFormat::kHuman);
  EXPECT_EQ(ParseLogLevel("warn").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ParseLogFormat("").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace nexus::server
