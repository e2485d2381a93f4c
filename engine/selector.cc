// Parsing and matching of selectors. See selector.h.

#include "engine/selector.h"

#include <algorithm>
#include <utility>

#include "base/labels.h"
#include "re2/re2.h"

namespace nexus::engine {
namespace {

// A required prefix longer than this saves nothing more.
constexpr int kPrefixBytesMax = 32;
// So much of a selector or an expression is repeated in an error.
constexpr size_t kShownBytesMax = 120;

re2::StringPiece Piece(std::string_view s) { return {s.data(), s.size()}; }

std::string Shown(std::string_view s) {
  std::string out;
  for (char c : s.substr(0, kShownBytesMax)) {
    bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    out += control ? '?' : c;
  }
  if (s.size() > kShownBytesMax) out += "...";
  return out;
}

bool IsNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
}
bool IsNameByte(char c) { return IsNameStart(c) || (c >= '0' && c <= '9') || c == '.' || c == '-'; }
bool IsName(std::string_view s) {
  return !s.empty() && IsNameStart(s[0]) && std::all_of(s.begin(), s.end(), IsNameByte);
}

// A backslash before such a byte makes it plain; RE2 refuses or gives a meaning to the others.
bool IsPunctuation(char c) {
  bool word =
      (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  return !word && static_cast<unsigned char>(c) < 0x80;
}

// The values that an expression spells out: alternatives of plain text, maybe in one group around
// all of it. Nullopt if it says anything else.
std::optional<std::vector<std::string>> SpelledOut(std::string_view regex) {
  if (regex.size() >= 2 && regex.front() == '(' && regex.back() == ')' &&
      regex[regex.size() - 2] != '\\') {
    regex = regex.substr(1, regex.size() - 2);
    if (regex.substr(0, 2) == "?:") regex.remove_prefix(2);
  }
  std::vector<std::string> values(1);
  for (size_t i = 0; i < regex.size(); i++) {
    char c = regex[i];
    if (c == '|') {
      values.emplace_back();
      continue;
    }
    if (c == '\\') {
      if (i + 1 == regex.size() || !IsPunctuation(regex[i + 1])) return std::nullopt;
      c = regex[++i];
    } else if (std::string_view(".*+?()[]{}^$").find(c) != std::string_view::npos) {
      return std::nullopt;
    }
    values.back() += c;
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

// What every match of the expression begins with: the common beginning of the least and the
// greatest string that can match.
std::string RequiredPrefix(const re2::RE2& regex) {
  std::string least;
  std::string greatest;
  if (!regex.PossibleMatchRange(&least, &greatest, kPrefixBytesMax)) return {};
  auto end = std::mismatch(least.begin(), least.end(), greatest.begin(), greatest.end()).first;
  return std::string(least.begin(), end);
}

// One selector text being read. Errors name the column that `at_` stands on.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Status Run(std::vector<Matcher>* matchers) {
    SkipBlanks();
    if (AtEnd())
      return InvalidArgument("empty selector: name a metric, or write {{}} for all series");
    if (IsNameStart(text_[at_])) {
      NEXUS_RETURN_IF_ERROR(AddMetric(TakeName(), matchers));
      SkipBlanks();
    } else if (text_[at_] != '{') {
      return Expected("a metric name or '{'");
    }
    if (Take('{')) NEXUS_RETURN_IF_ERROR(Braces(matchers));
    SkipBlanks();
    if (!AtEnd()) return Expected("the end of the selector");
    return OkStatus();
  }

 private:
  bool AtEnd() const { return at_ == text_.size(); }
  void SkipBlanks() {
    while (!AtEnd() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos)
      at_++;
  }
  bool Take(char c) {
    if (AtEnd() || text_[at_] != c) return false;
    at_++;
    return true;
  }
  std::string TakeName() {
    size_t begin = at_;
    while (!AtEnd() && IsNameByte(text_[at_])) at_++;
    return std::string(text_.substr(begin, at_ - begin));
  }

  Status Error(size_t at, std::string_view what) const {
    // Of a long selector the part around the column is shown.
    size_t begin =
        at > kShownBytesMax / 2 && text_.size() > kShownBytesMax ? at - kShownBytesMax / 2 : 0;
    std::string_view dots = begin > 0 ? "..." : "";
    return InvalidArgument("selector {}{}: column {}: {}", dots, Shown(text_.substr(begin)), at + 1,
                           what);
  }
  Status Expected(std::string_view what) const {
    std::string found = AtEnd() ? "the end" : fmt::format("'{}'", Shown(text_.substr(at_, 1)));
    if (!AtEnd() && static_cast<unsigned char>(text_[at_]) >= 0x80) found = "a non-ASCII character";
    return Error(at_, fmt::format("expected {}, found {}", what, found));
  }

  Status AddMetric(std::string name, std::vector<Matcher>* matchers) {
    metric_given_ = true;
    return Add(at_, std::string(kMetricNameLabel), MatchOperator::kEqual, std::move(name),
               matchers);
  }

  Status Add(size_t at, std::string label, MatchOperator op, std::string text,
             std::vector<Matcher>* matchers) {
    if (matchers->size() == kMatchersMax) {
      return Error(at, fmt::format("more than {} matchers", kMatchersMax));
    }
    StatusOr<Matcher> matcher = Matcher::Make(std::move(label), op, std::move(text));
    if (!matcher.ok()) return Error(at, FromAbsl(matcher.status().message()));
    matchers->push_back(*std::move(matcher));
    return OkStatus();
  }

  // What follows "{", up to and with "}".
  Status Braces(std::vector<Matcher>* matchers) {
    for (;;) {
      SkipBlanks();
      if (Take('}')) break;
      NEXUS_RETURN_IF_ERROR(OneMatcher(matchers));
      SkipBlanks();
      if (Take(',')) continue;
      if (Take('}')) break;
      return Expected("',' or '}'");
    }
    if (!metric_given_) return OkStatus();
    auto named = std::count_if(matchers->begin(), matchers->end(), [](const Matcher& matcher) {
      return matcher.label() == kMetricNameLabel;
    });
    if (named > 1) return Error(at_ - 1, "the metric name is given twice");
    return OkStatus();
  }

  Status OneMatcher(std::vector<Matcher>* matchers) {
    size_t begin = at_;
    std::string label;
    bool quoted = AtString();
    if (quoted) {
      NEXUS_RETURN_IF_ERROR(TakeString(&label));
    } else if (!AtEnd() && IsNameStart(text_[at_])) {
      label = TakeName();
    } else {
      return Expected("a label name or '}'");
    }
    SkipBlanks();
    bool alone = AtEnd() || text_[at_] == ',' || text_[at_] == '}';
    if (quoted && alone) {
      if (label.empty()) return Error(begin, "the metric name is empty");
      return AddMetric(std::move(label), matchers);
    }
    if (label.empty()) return Error(begin, "the label name is empty");
    MatchOperator op;
    if (!TakeOperator(&op)) return Expected("'=', '!=', '=~' or '!~'");
    SkipBlanks();
    size_t value_at = at_;
    if (!AtString()) return Expected("a quoted string");
    std::string value;
    NEXUS_RETURN_IF_ERROR(TakeString(&value));
    return Add(value_at, std::move(label), op, std::move(value), matchers);
  }

  bool TakeOperator(MatchOperator* op) {
    for (MatchOperator candidate : {MatchOperator::kRegex, MatchOperator::kNotRegex,
                                    MatchOperator::kNotEqual, MatchOperator::kEqual}) {
      std::string_view spelled = OperatorText(candidate);
      if (text_.substr(at_, spelled.size()) != spelled) continue;
      at_ += spelled.size();
      *op = candidate;
      return true;
    }
    return false;
  }

  bool AtString() const {
    return !AtEnd() && (text_[at_] == '"' || text_[at_] == '\'' || text_[at_] == '`');
  }

  Status TakeString(std::string* out) {
    size_t begin = at_;
    char quote = text_[at_++];
    while (!AtEnd() && text_[at_] != quote) {
      if (text_[at_] == '\\' && quote != '`') {
        NEXUS_RETURN_IF_ERROR(TakeEscape(out));
      } else {
        *out += text_[at_++];
      }
    }
    if (!Take(quote)) return Error(begin, fmt::format("string without its closing {}", quote));
    if (!IsValidUtf8(*out)) return Error(begin, "string is not UTF-8");
    return OkStatus();
  }

  Status TakeEscape(std::string* out) {
    size_t begin = at_++;
    if (AtEnd()) return Error(begin, "the selector ends within an escape");
    char kind = text_[at_++];
    static constexpr std::string_view kLetters = "abfnrtv\\'\"";
    static constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
    if (size_t letter = kLetters.find(kind); letter != std::string_view::npos) {
      *out += kMeanings[letter];
      return OkStatus();
    }
    switch (kind) {
      case 'x':
        return TakeNumber(begin, 16, 2, out);
      case 'u':
        return TakeNumber(begin, 16, 4, out);
      case 'U':
        return TakeNumber(begin, 16, 8, out);
      default:
        break;
    }
    if (kind < '0' || kind > '7') {
      return Error(begin, "unknown escape; for a backslash write \\\\ or quote the string with `");
    }
    at_--;
    return TakeNumber(begin, 8, 3, out);
  }

  // A byte (\xHH, \ooo) or a code point (\u, \U) of exactly `digits` digits.
  Status TakeNumber(size_t begin, uint32_t base, int digits, std::string* out) {
    uint32_t number = 0;
    for (int i = 0; i < digits; i++) {
      uint32_t digit = AtEnd() ? 99 : DigitOf(text_[at_]);
      if (digit >= base) {
        return Error(begin, fmt::format("expected {} {} digits in the escape", digits,
                                        base == 16 ? "hexadecimal" : "octal"));
      }
      number = number * base + digit;
      at_++;
    }
    if (digits <= 3) {
      if (number > 0xff) return Error(begin, "octal escape above \\377");
      *out += static_cast<char>(number);
      return OkStatus();
    }
    if (number > 0x10ffff || (number >= 0xd800 && number <= 0xdfff)) {
      return Error(begin, "escape is not a Unicode character");
    }
    AppendUtf8(number, out);
    return OkStatus();
  }

  static uint32_t DigitOf(char c) {
    if (c >= '0' && c <= '9') return static_cast<uint32_t>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<uint32_t>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<uint32_t>(c - 'A' + 10);
    return 99;
  }

  static void AppendUtf8(uint32_t code_point, std::string* out) {
    auto put = [out](uint32_t byte) { *out += static_cast<char>(byte); };
    if (code_point < 0x80) return put(code_point);
    if (code_point < 0x800) {
      put(0xc0 | code_point >> 6);
    } else if (code_point < 0x10000) {
      put(0xe0 | code_point >> 12);
      put(0x80 | (code_point >> 6 & 0x3f));
    } else {
      put(0xf0 | code_point >> 18);
      put(0x80 | (code_point >> 12 & 0x3f));
      put(0x80 | (code_point >> 6 & 0x3f));
    }
    put(0x80 | (code_point & 0x3f));
  }

  const std::string_view text_;
  size_t at_ = 0;
  bool metric_given_ = false;
};

void AppendQuoted(std::string_view s, std::string* out) {
  *out += '"';
  for (char c : s) {
    if (c == '\\' || c == '"') *out += '\\';
    if (c == '\n') {
      *out += "\\n";
    } else {
      *out += c;
    }
  }
  *out += '"';
}

// The value of a label in a canonical form, "" if absent; nullopt if the form is malformed.
std::optional<std::string_view> FindLabel(std::string_view canonical, std::string_view label) {
  std::string_view found;
  bool well_formed = VisitCanonical(canonical, [&](std::string_view name, std::string_view value) {
    if (name == label) found = value;
  });
  if (!well_formed) return std::nullopt;
  return found;
}

}  // namespace

std::string_view OperatorText(MatchOperator op) {
  switch (op) {
    case MatchOperator::kEqual:
      return "=";
    case MatchOperator::kNotEqual:
      return "!=";
    case MatchOperator::kRegex:
      return "=~";
    case MatchOperator::kNotRegex:
      return "!~";
  }
  return "?";
}

StatusOr<Matcher> Matcher::Make(std::string label, MatchOperator op, std::string text) {
  Matcher matcher;
  matcher.label_ = std::move(label);
  matcher.op_ = op;
  matcher.text_ = std::move(text);
  matcher.negated_ = op == MatchOperator::kNotEqual || op == MatchOperator::kNotRegex;
  bool is_regex = op == MatchOperator::kRegex || op == MatchOperator::kNotRegex;
  if (is_regex) {
    matcher.literals_ = SpelledOut(matcher.text_);
  } else {
    matcher.literals_.emplace({matcher.text_});
  }
  if (!matcher.literals_) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_dot_nl(true);
    options.set_max_mem(kRegexMemoryBytesMax);
    auto regex = std::make_shared<re2::RE2>(Piece(matcher.text_), options);
    if (!regex->ok()) {
      return InvalidArgument("regular expression {} is refused: {}", Shown(matcher.text_),
                             Shown(regex->error()));
    }
    matcher.prefix_ = RequiredPrefix(*regex);
    matcher.regex_ = std::move(regex);
  }
  matcher.matches_empty_ = matcher.Matches("");
  return matcher;
}

bool Matcher::Accepts(std::string_view value) const {
  if (literals_) return std::binary_search(literals_->begin(), literals_->end(), value);
  if (value.substr(0, prefix_.size()) != prefix_) return false;
  return re2::RE2::FullMatch(Piece(value), *regex_);
}

StatusOr<Selector> Selector::Parse(std::string_view text) {
  if (text.size() > kSelectorBytesMax) {
    return InvalidArgument("selector of {} bytes; at most {} are allowed", text.size(),
                           kSelectorBytesMax);
  }
  Selector selector;
  NEXUS_RETURN_IF_ERROR(Parser(text).Run(&selector.matchers_));
  return selector;
}

bool Selector::Matches(std::string_view canonical) const {
  for (const Matcher& matcher : matchers_) {
    std::optional<std::string_view> value = FindLabel(canonical, matcher.label());
    if (!value || !matcher.Matches(*value)) return false;
  }
  return !matchers_.empty() || FindLabel(canonical, kMetricNameLabel).has_value();
}

std::string Selector::ToString() const {
  std::string out = "{";
  for (const Matcher& matcher : matchers_) {
    if (out.size() > 1) out += ',';
    if (IsName(matcher.label())) {
      out += matcher.label();
    } else {
      AppendQuoted(matcher.label(), &out);
    }
    out += OperatorText(matcher.op());
    AppendQuoted(matcher.text(), &out);
  }
  return out + '}';
}

}  // namespace nexus::engine
