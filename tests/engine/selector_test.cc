// Tests of selectors: grammar, errors with their columns, and what matches.

#include "engine/selector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/labels.h"
#include "re2/re2.h"

namespace nexus::engine {
namespace {

std::string Canonical(std::string metric, std::vector<Label> labels) {
  return Labels::Make(std::move(metric), std::move(labels))->Canonical();
}

bool Selects(std::string_view selector, const std::string& canonical) {
  StatusOr<Selector> parsed = Selector::Parse(selector);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.ok() && parsed->Matches(canonical);
}

TEST(SelectorParse, ReadsWhatTheGrammarAllows) {
  struct Case {
    std::string_view text;
    std::string_view parsed;
  };
  for (const Case& c : std::vector<Case>{
           {"cpu", R"({__name__="cpu"})"},
           {" cpu { } ", R"({__name__="cpu"})"},
           {"{}", "{}"},
           {"page.views-total:rate5m", R"({__name__="page.views-total:rate5m"})"},
           {R"(cpu{host="a"})", R"({__name__="cpu",host="a"})"},
           {R"(cpu{host="a",})", R"({__name__="cpu",host="a"})"},
           {"cpu{ a = 'x' , b != `y` ,c=~\"z.*\",d!~\"w\"}",
            R"({__name__="cpu",a="x",b!="y",c=~"z.*",d!~"w"})"},
           {R"({__name__=~"cpu|mem"})", R"({__name__=~"cpu|mem"})"},
           {R"({"disk usage", "two words"="x"})", R"({__name__="disk usage","two words"="x"})"},
           {R"({a="\x41\102\u00e9\U0001F600\t\"\'\\"})", "{a=\"AB\u00e9\U0001F600\t\\\"'\\\\\"}"},
           {R"({a='it\'s "so"'})", R"({a="it's \"so\""})"},
           {R"({a=`\d+`})", R"({a="\\d+"})"},
           {R"({a="}",b=","})", R"({a="}",b=","})"},
           {R"({a!="",a!="x"})", R"({a!="",a!="x"})"},
       }) {
    StatusOr<Selector> selector = Selector::Parse(c.text);
    ASSERT_TRUE(selector.ok()) << c.text << ": " << selector.status();
    EXPECT_EQ(selector->ToString(), c.parsed) << c.text;
  }
}

TEST(SelectorParse, ErrorsNameTheColumnAndWhatWasExpected) {
  struct Case {
    std::string_view text;
    std::string_view error;
  };
  for (const Case& c : std::vector<Case>{
           {"", "empty selector: name a metric, or write {} for all series"},
           {"  ", "empty selector"},
           {"5xx", "column 1: expected a metric name or '{', found '5'"},
           {"=\"x\"", "column 1: expected a metric name or '{'"},
           {"cpu x", "column 5: expected the end of the selector, found 'x'"},
           {"cpu{", "column 5: expected a label name or '}', found the end"},
           {"cpu{host", "column 9: expected '=', '!=', '=~' or '!~', found the end"},
           {"cpu{host}", "column 9: expected '=', '!=', '=~' or '!~', found '}'"},
           {"cpu{host>\"a\"}", "column 9: expected '=', '!=', '=~' or '!~', found '>'"},
           {"cpu{host=a}", "column 10: expected a quoted string, found 'a'"},
           {"cpu{host==\"a\"}", "column 10: expected a quoted string, found '='"},
           {"cpu{host=\"a\"", "column 13: expected ',' or '}', found the end"},
           {"cpu{host=\"a\" b=\"c\"}", "column 14: expected ',' or '}', found 'b'"},
           {"cpu{,}", "column 5: expected a label name or '}', found ','"},
           {"cpu{host=\"a", "column 10: string without its closing \""},
           {"cpu{host='a\"", "column 10: string without its closing '"},
           {R"(cpu{host="\d"})", "column 11: unknown escape"},
           {R"(cpu{host="\x4"})", "column 11: expected 2 hexadecimal digits"},
           {R"(cpu{host="\400"})", "column 11: octal escape above \\377"},
           {R"(cpu{host="\ud800"})", "column 11: escape is not a Unicode character"},
           {R"(cpu{host="\U00110000"})", "column 11: escape is not a Unicode character"},
           {R"(cpu{host="\xff"})", "column 10: string is not UTF-8"},
           {"cpu{host=~\"(a\"}", "column 11: regular expression (a is refused: missing ): (a"},
           {"cpu{host=~\"a\\\\yb\"}", "column 11: regular expression"},
           {"cpu{__name__=\"mem\"}", "column 19: the metric name is given twice"},
           {"{\"cpu\",\"mem\"}", "the metric name is given twice"},
           {"{\"\"}", "column 2: the metric name is empty"},
           {"{\"\"=\"a\"}", "column 2: the label name is empty"},
           {"cpu{\u00e9=\"a\"}", "column 5: expected a label name or '}', found a non-ASCII char"},
           {"cpu}", "column 4: expected the end of the selector, found '}'"},
       }) {
    StatusOr<Selector> selector = Selector::Parse(c.text);
    ASSERT_FALSE(selector.ok()) << c.text;
    EXPECT_EQ(selector.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(FromAbsl(selector.status().message())),
                testing::HasSubstr(std::string(c.error)))
        << c.text;
  }
}

TEST(SelectorParse, ErrorFarInsideALongSelectorShowsItsSurroundings) {
  std::string text = "cpu{a=~\"" + std::string(1000, 'x') + "\",here?}";
  Status status = Selector::Parse(text).status();
  EXPECT_THAT(std::string(FromAbsl(status.message())), testing::HasSubstr("here?}: column 1015"));
}

TEST(SelectorParse, BoundsAreEnforced) {
  std::string many = "{";
  for (size_t i = 0; i < kMatchersMax; i++) many += "a=\"x\",";
  EXPECT_TRUE(Selector::Parse(many + "}").ok());
  EXPECT_THAT(std::string(FromAbsl(Selector::Parse(many + "a=\"x\"}").status().message())),
              testing::HasSubstr("more than 64 matchers"));

  std::string longest = "{a=\"" + std::string(kSelectorBytesMax - 6, 'x') + "\"}";
  EXPECT_TRUE(Selector::Parse(longest).ok());
  EXPECT_FALSE(Selector::Parse(longest + " ").ok());

  // A million copies of a character class do not fit the bound of a compiled expression.
  Status huge = Selector::Parse("{a=~\"((\\\\pL{100}){100}){100}\"}").status();
  EXPECT_EQ(huge.code(), absl::StatusCode::kInvalidArgument);
}

TEST(SelectorMatch, AnAbsentLabelIsTheEmptyString) {
  std::string with = Canonical("cpu", {{"host", "a"}});
  std::string without = Canonical("cpu", {});
  EXPECT_TRUE(Selects(R"({host=""})", without));
  EXPECT_FALSE(Selects(R"({host=""})", with));
  EXPECT_TRUE(Selects(R"({host!=""})", with));
  EXPECT_FALSE(Selects(R"({host!=""})", without));
  EXPECT_TRUE(Selects(R"({host!="b"})", without));
  EXPECT_TRUE(Selects(R"({host=~"b|"})", without));
  EXPECT_FALSE(Selects(R"({host=~"b|"})", with));
  EXPECT_TRUE(Selects(R"({host=~".*"})", without));
  EXPECT_FALSE(Selects(R"({host=~".+"})", without));
  EXPECT_TRUE(Selects(R"({host!~".+"})", without));
  EXPECT_FALSE(Selects(R"({host!~".*"})", with));
}

TEST(SelectorMatch, ExpressionsMatchTheWholeValue) {
  std::string series = Canonical("cpu", {{"host", "web-1\nb"}});
  EXPECT_FALSE(Selects(R"({host=~"web"})", series));
  EXPECT_FALSE(Selects(R"({host=~"web|1"})", series));
  EXPECT_FALSE(Selects(R"({host=~"web-1"})", series));
  EXPECT_TRUE(Selects(R"({host=~"web.*"})", series));
  EXPECT_TRUE(Selects(R"({host=~"(?i)WEB.*"})", series));
  EXPECT_TRUE(Selects(R"({__name__=~"c.u"})", series));
  EXPECT_TRUE(Selects("{}", series));
  EXPECT_FALSE(Selects("{}", "no metric end"));
}

TEST(SelectorMatch, AlternationsOfPlainTextAreSpelledOut) {
  struct Case {
    std::string_view regex;
    std::optional<std::vector<std::string>> literals;
  };
  for (const Case& c : std::vector<Case>{
           {"GET|PUT|GET", {{"GET", "PUT"}}},
           {"(b|a)", {{"a", "b"}}},
           {"(?:a|)", {{"", "a"}}},
           {R"(10\.0\.0\.1)", {{"10.0.0.1"}}},
           {"", {{""}}},
           {"a.c", std::nullopt},
           {"(a)|(b)", std::nullopt},
           {R"(a\d)", std::nullopt},
           {R"((a\))", std::nullopt},
           {"(?i:a)", std::nullopt},
           {"a{2}", std::nullopt},
           {"^a$", std::nullopt},
       }) {
    StatusOr<Matcher> matcher = Matcher::Make("x", MatchOperator::kRegex, std::string(c.regex));
    if (c.regex == R"((a\))") {
      EXPECT_FALSE(matcher.ok());
      continue;
    }
    ASSERT_TRUE(matcher.ok()) << c.regex << ": " << matcher.status();
    EXPECT_EQ(matcher->literals(), c.literals) << c.regex;
  }
}

TEST(SelectorMatch, RequiredPrefixesAreFound) {
  auto prefix = [](std::string regex) {
    return Matcher::Make("x", MatchOperator::kRegex, std::move(regex))->prefix();
  };
  EXPECT_EQ(prefix("web-.*"), "web-");
  EXPECT_EQ(prefix("web-(1|2)[0-9]*"), "web-");
  EXPECT_EQ(prefix("web-1*"), "web-");
  EXPECT_EQ(prefix("(?i)web.*"), "");
  EXPECT_EQ(prefix("web.*|db.*"), "");
}

// Expressions over a small alphabet, so that they often match values over the same alphabet.
rc::Gen<std::string> SmallRegex() {
  return rc::gen::map(
      rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
          "a", "b", "ab", "|", ".", "a*", "b?", "(a|b)", "[ab]", "\\.", "a+", "^", "$", "(?:ba)+")),
      [](const std::vector<std::string>& parts) {
        std::string regex;
        for (const std::string& part : parts) regex += part;
        return regex;
      });
}

RC_GTEST_PROP(SelectorMatch, AgreesWithAnUnoptimisedExpression, ()) {
  std::string regex = *SmallRegex();
  std::string value = *rc::gen::container<std::string>(rc::gen::element('a', 'b', '.'));
  re2::RE2::Options options;
  options.set_dot_nl(true);
  re2::RE2 plain("^(?:" + regex + ")$", options);
  RC_ASSERT(plain.ok());
  StatusOr<Matcher> matcher = Matcher::Make("x", MatchOperator::kRegex, regex);
  RC_ASSERT(matcher.ok());
  RC_ASSERT(matcher->Matches(value) == re2::RE2::PartialMatch(value, plain));
  StatusOr<Matcher> negated = Matcher::Make("x", MatchOperator::kNotRegex, regex);
  RC_ASSERT(negated->Matches(value) != matcher->Matches(value));
}

}  // namespace
}  // namespace nexus::engine
