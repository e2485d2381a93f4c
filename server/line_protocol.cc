// The grammar of a line. See line_protocol.h.

#include "server/line_protocol.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <span>
#include <utility>

#include "base/bytes.h"

namespace nexus::server {
namespace {

// What ends or escapes a part of a line.
constexpr std::string_view kSpecial = ",= \\";

constexpr std::array<bool, 256> TableOf(std::string_view characters) {
  std::array<bool, 256> table = {};
  for (char c : characters) table[static_cast<uint8_t>(c)] = true;
  return table;
}
constexpr std::array<bool, 256> kEndsFieldName = TableOf(kSpecial);
constexpr std::array<bool, 256> kEndsValue = TableOf(", ");

// Where the text that begins at `at` is ended by a character of `ends`, or its size.
size_t EndOf(std::string_view text, size_t at, const std::array<bool, 256>& ends) {
  while (at < text.size() && !ends[static_cast<uint8_t>(text[at])]) at++;
  return at;
}

// Behind the backslash at `at` and what it escapes. What it does not escape ends no part, so it may
// be passed over too.
size_t BehindEscape(std::string_view text, size_t at) { return std::min(at + 2, text.size()); }

Status Expected(std::string_view text, size_t at, size_t first_column, std::string_view what) {
  const size_t column = first_column + at + 1;
  if (at >= text.size())
    return InvalidArgument("column {}: expected {}, found the end of the line", column, what);
  return InvalidArgument("column {}: expected {}, found '{}'", column, what, text.substr(at, 1));
}

// The whole text as a number. A plus sign, which from_chars does not know, is allowed.
template <typename Number>
std::errc ParseNumber(std::string_view text, Number* number) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  if (error == std::errc() && stop != text.data() + text.size()) return std::errc::invalid_argument;
  return error;
}

template <typename Integer>
std::errc ParseInteger(std::string_view text, double* value) {
  Integer number = 0;
  std::errc error = ParseNumber(text, &number);
  *value = static_cast<double>(number);
  return error;
}

std::errc ParseValue(std::string_view text, double* value) {
  if (text.empty()) return std::errc::invalid_argument;
  std::string_view front = text.substr(0, text.size() - 1);
  switch (text.back()) {
    case 'i':
      return ParseInteger<int64_t>(front, value);
    case 'u':
      return ParseInteger<uint64_t>(front, value);
    case 't':
    case 'T':
    case 'e':
    case 'E':
      if (text == "t" || text == "T" || text == "true" || text == "True" || text == "TRUE") {
        *value = 1;
        return std::errc();
      }
      [[fallthrough]];
    case 'f':
    case 'F':
      if (text == "f" || text == "F" || text == "false" || text == "False" || text == "FALSE") {
        *value = 0;
        return std::errc();
      }
      [[fallthrough]];
    default:
      return ParseNumber(text, value);
  }
}

// Takes fields and timestamp in turn; the series is what stands before the first blank.
class LineScanner {
 public:
  LineScanner(std::string_view text, size_t start, RawLine* line)
      : text_(text), line_(line), start_(start), at_(start) {}

  Status Scan() {
    SkipSeries();
    line_->series = text_.substr(start_, at_ - start_);
    line_->series_column = start_;
    if (!Take(' ')) return ExpectedHere("a blank and then fields");
    SkipBlanks();
    do {
      NEXUS_RETURN_IF_ERROR(ScanField());
    } while (Take(','));
    SkipBlanks();
    return at_ < text_.size() ? ScanTimestamp() : OkStatus();
  }

 private:
  bool Take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    at_++;
    return true;
  }
  void SkipBlanks() {
    while (Take(' ')) {
    }
  }
  Status ExpectedHere(std::string_view what) const { return Expected(text_, at_, 0, what); }

  // To the first blank that is not escaped. Most series have no escape at all, and two searches at
  // memory speed tell; no byte is searched twice for the same.
  void SkipSeries() {
    size_t blank = std::min(text_.find(' ', at_), text_.size());
    size_t escape = text_.substr(0, blank).find('\\', at_);
    while (escape != std::string_view::npos) {
      at_ = BehindEscape(text_, escape);
      if (at_ > blank) blank = std::min(text_.find(' ', at_), text_.size());
      escape = text_.substr(0, blank).find('\\', at_);
    }
    at_ = blank;
  }

  Status ScanField() {
    const size_t start = at_;
    at_ = EndOf(text_, at_, kEndsFieldName);
    while (at_ < text_.size() && text_[at_] == '\\') {
      at_ = EndOf(text_, BehindEscape(text_, at_), kEndsFieldName);
    }
    RawField field{text_.substr(start, at_ - start), 0};
    if (field.name.empty()) return ExpectedHere("a field name");
    if (!Take('=')) return ExpectedHere("'=' after the field name");
    if (at_ < text_.size() && text_[at_] == '"') return SkipString();
    const size_t end = EndOf(text_, at_, kEndsValue);
    std::errc error = ParseValue(text_.substr(at_, end - at_), &field.value);
    if (error == std::errc::result_out_of_range)
      return InvalidArgument("column {}: the number is out of range", at_ + 1);
    if (error != std::errc()) return ExpectedHere("a number, true, false or a string");
    at_ = end;
    line_->fields.push_back(field);
    return OkStatus();
  }

  Status SkipString() {
    const size_t start = at_++;
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size())
      return InvalidArgument("column {}: the string has no closing quote", start + 1);
    at_++;
    line_->skipped_fields++;
    return OkStatus();
  }

  Status ScanTimestamp() {
    int64_t timestamp = 0;
    std::string_view rest = text_.substr(at_);
    auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), timestamp);
    if (error == std::errc::result_out_of_range)
      return InvalidArgument("column {}: the timestamp is out of range", at_ + 1);
    if (error != std::errc()) return ExpectedHere("a timestamp (an integer)");
    at_ += static_cast<size_t>(stop - rest.data());
    SkipBlanks();
    if (at_ < text_.size()) return ExpectedHere("the end of the line");
    line_->timestamp = timestamp;
    return OkStatus();
  }

  const std::string_view text_;
  RawLine* const line_;
  const size_t start_;
  size_t at_;
};

// Reads names off the front of a raw series. Behind it stands the blank that ends it.
class SeriesParser {
 public:
  SeriesParser(std::string_view text, size_t first_column)
      : text_(text), first_column_(first_column) {}

  bool Take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    at_++;
    return true;
  }
  // Up to an unescaped character of `ends`.
  Status Name(std::string_view ends, std::string_view what, std::string* out) {
    const size_t start = at_;
    while (at_ < text_.size() && ends.find(text_[at_]) == std::string_view::npos) {
      at_ = text_[at_] == '\\' ? BehindEscape(text_, at_) : at_ + 1;
    }
    *out = Unescape(text_.substr(start, at_ - start));
    return out->empty() ? ExpectedHere(what) : OkStatus();
  }
  Status ExpectedHere(std::string_view what) const {
    if (at_ < text_.size()) return Expected(text_, at_, first_column_, what);
    return Expected(" ", 0, first_column_ + at_, what);
  }

 private:
  const std::string_view text_;
  const size_t first_column_;
  size_t at_ = 0;
};

}  // namespace

std::optional<std::string_view> LineSplitter::Next(std::string_view buffer) {
  size_t end = buffer.find('\n', searched_);
  if (end == std::string_view::npos) {
    searched_ = buffer.size();
    return std::nullopt;
  }
  std::string_view line = buffer.substr(at_, end - at_);
  at_ = end + 1;
  searched_ = at_;
  return line;
}

size_t LineSplitter::TakeConsumed() {
  searched_ -= at_;
  return std::exchange(at_, 0);
}

Status ScanLine(std::string_view text, RawLine* line) {
  line->series = {};
  line->series_column = 0;
  line->fields.clear();
  line->skipped_fields = 0;
  line->timestamp.reset();
  if (text.ends_with('\r')) text.remove_suffix(1);
  size_t start = text.find_first_not_of(' ');
  if (start == std::string_view::npos || text[start] == '#') return OkStatus();
  return LineScanner(text, start, line).Scan();
}

bool IsStatsd(std::string_view text) {
  bool colon = false;
  for (size_t i = 0; i < text.size() && text[i] != ' '; i++) {
    if (text[i] == '\\') {
      i++;
    } else if (text[i] == ':') {
      colon = true;
    } else if (text[i] == '|' && colon) {
      return true;
    }
  }
  return false;
}

Hash128 HashSeries(std::string_view series, uint64_t seed) {
  return XxHash128(AsBytes(series), seed);
}

Hash128 HashField(const Hash128& series, std::string_view field, uint64_t seed) {
  // XXH3 takes up to 240 bytes at once. A longer name is stood in for by its own hash.
  constexpr size_t kInPlaceMax = 240 - sizeof(Hash128);
  std::array<std::byte, sizeof(Hash128) + kInPlaceMax> key;
  std::memcpy(key.data(), &series, sizeof(series));
  Hash128 long_name;
  Bytes name = AsBytes(field);
  if (name.size() > kInPlaceMax) {
    long_name = XxHash128(name, seed);
    name = std::as_bytes(std::span(&long_name, 1));
  }
  std::memcpy(key.data() + sizeof(series), name.data(), name.size());
  return XxHash128(Bytes(key).first(sizeof(series) + name.size()), seed);
}

std::string Unescape(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  for (size_t at = 0; at < raw.size(); at++) {
    bool escapes = raw[at] == '\\' && at + 1 < raw.size() &&
                   kSpecial.find(raw[at + 1]) != std::string_view::npos;
    out += escapes ? raw[++at] : raw[at];
  }
  return out;
}

Status ParseSeries(std::string_view series, size_t first_column, std::string* measurement,
                   std::vector<Label>* tags) {
  tags->clear();
  SeriesParser parser(series, first_column);
  NEXUS_RETURN_IF_ERROR(parser.Name(",", "a measurement", measurement));
  while (parser.Take(',')) {
    Label tag;
    NEXUS_RETURN_IF_ERROR(parser.Name("=,", "a tag name", &tag.name));
    if (!parser.Take('=')) return parser.ExpectedHere("'=' after the tag name");
    NEXUS_RETURN_IF_ERROR(parser.Name(",", "a tag value", &tag.value));
    tags->push_back(std::move(tag));
  }
  return OkStatus();
}

Status ParseLine(std::string_view text, ParsedLine* line) {
  line->measurement.clear();
  line->tags.clear();
  line->fields.clear();
  line->skipped_fields = 0;
  line->timestamp.reset();
  RawLine raw;
  NEXUS_RETURN_IF_ERROR(ScanLine(text, &raw));
  line->skipped_fields = raw.skipped_fields;
  line->timestamp = raw.timestamp;
  if (raw.series.empty()) return OkStatus();
  NEXUS_RETURN_IF_ERROR(
      ParseSeries(raw.series, raw.series_column, &line->measurement, &line->tags));
  for (const RawField& field : raw.fields) {
    line->fields.push_back({Unescape(field.name), field.value});
  }
  return OkStatus();
}

std::string MetricOf(std::string_view measurement, std::string_view field) {
  std::string metric(measurement);
  metric += '_';
  return metric += field;
}

}  // namespace nexus::server
