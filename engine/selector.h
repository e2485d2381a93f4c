// Selector: a Prometheus-style choice of series, parsed: metric{a="b",c!="d",e=~"re",f!~"re"}.
//
// Grammar (blanks are allowed between tokens):
//   selector = name ["{" [matchers] "}"] | "{" [matchers] "}"
//   matchers = matcher {"," matcher} [","]
//   matcher  = (name | string) ("=" | "!=" | "=~" | "!~") string
//            | string                             a metric name, as in Prometheus 3
//   name     = an ASCII letter, "_" or ":", then such, digits, "." and "-" (DogStatsD dots are
//   kept) string   = "..." or '...' with Go's escapes (\a \b \f \n \r \t \v \\ \" \' \ooo \xHH
//   \uHHHH
//              \UHHHHHHHH), or `...` taken as it is
// The metric name is the label __name__; it may be matched as such unless it is given by itself.
// `{}` selects every series. Names outside the grammar are quoted: {"disk usage", "two words"="x"}.
//
// Meaning: all matchers must hold. An absent label has the value "", so a="" holds for series
// without a, and so does every matcher that the empty string satisfies. Regular expressions are
// RE2's, must match the whole value, and "." matches a newline too (as in Prometheus 3).
//
// Errors: InvalidArgument with the selector, the column (in bytes, from 1), what was found and what
// was expected. Bounds: the constants below. Threading: immutable, any thread.

#ifndef NEXUS_ENGINE_SELECTOR_H_
#define NEXUS_ENGINE_SELECTOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace re2 {
class RE2;
}

namespace nexus::engine {

// A selector names a handful of labels. 64 KiB hold the 64 matchers below at 1 KiB each, enough for
// the long alternations that dashboards generate.
inline constexpr size_t kSelectorBytesMax = 65536;
inline constexpr size_t kMatchersMax = 64;
// RE2's compiled program and its lazily built automaton, for each expression: 64 matchers stay
// within 64 MiB. An expression that needs more is refused when it is parsed.
inline constexpr int64_t kRegexMemoryBytesMax = 1 << 20;

enum class MatchOperator : uint8_t { kEqual, kNotEqual, kRegex, kNotRegex };

// "=", "!=", "=~", "!~".
std::string_view OperatorText(MatchOperator op);

class Matcher {
 public:
  // Errors: InvalidArgument for a regular expression that RE2 refuses, with its reason.
  static StatusOr<Matcher> Make(std::string label, MatchOperator op, std::string text);

  const std::string& label() const { return label_; }
  MatchOperator op() const { return op_; }
  // The value compared with, or the regular expression.
  const std::string& text() const { return text_; }

  // True if a series whose label has this value satisfies the matcher ("" for an absent label).
  bool Matches(std::string_view value) const { return Accepts(value) != negated_; }
  // True if series without the label satisfy it.
  bool matches_empty() const { return matches_empty_; }
  // "!=" and "!~": Matches() is the opposite of Accepts().
  bool negated() const { return negated_; }
  // True if `value` is the text, or a whole match of the expression.
  bool Accepts(std::string_view value) const;
  // If only finitely many values are accepted and the text spells them out - an equality, or an
  // expression like "a|b|c" or "(?:GET|PUT)" - those values, sorted, each once. Else nullopt.
  const std::optional<std::vector<std::string>>& literals() const { return literals_; }
  // Every accepted value begins with this.
  const std::string& prefix() const { return prefix_; }

 private:
  Matcher() = default;

  std::string label_;
  MatchOperator op_ = MatchOperator::kEqual;
  std::string text_;
  bool negated_ = false;
  bool matches_empty_ = false;
  std::optional<std::vector<std::string>> literals_;
  std::string prefix_;
  std::shared_ptr<const re2::RE2> regex_;  // null if literals_ are all there is to it
};

class Selector {
 public:
  // Every series.
  Selector() = default;

  static StatusOr<Selector> Parse(std::string_view text);

  // In the order written, the metric name in front first.
  std::span<const Matcher> matchers() const { return matchers_; }

  // True if the series with these labels is selected: the definition that index look-ups must
  // agree with. A malformed canonical form is not selected.
  bool Matches(std::string_view canonical) const;

  // A selector text that parses to the same: {__name__="cpu",host=~"a.*"}.
  std::string ToString() const;

 private:
  std::vector<Matcher> matchers_;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_SELECTOR_H_
