// The grammar of a line. See line_protocol.h.

#include "server/line_protocol.h"

#include <charconv>
#include <utility>

namespace nexus::server {
namespace {

class LineParser {
 public:
  LineParser(std::string_view text, ParsedLine* line) : text_(text), line_(line) {}

  Status Parse() {
    NEXUS_RETURN_IF_ERROR(ParseName(", ", "a measurement", &line_->measurement));
    while (Take(',')) NEXUS_RETURN_IF_ERROR(ParseTag());
    if (!Take(' ')) return Expected("a blank and then fields");
    SkipBlanks();
    do {
      NEXUS_RETURN_IF_ERROR(ParseField());
    } while (Take(','));
    SkipBlanks();
    if (at_ < text_.size()) NEXUS_RETURN_IF_ERROR(ParseTimestamp());
    return OkStatus();
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
  Status Expected(std::string_view what) const {
    if (at_ >= text_.size())
      return InvalidArgument("column {}: expected {}, found the end of the line", at_ + 1, what);
    return InvalidArgument("column {}: expected {}, found '{}'", at_ + 1, what,
                           text_.substr(at_, 1));
  }

  // Up to an unescaped character of `ends`; a backslash before a special character is dropped.
  Status ParseName(std::string_view ends, std::string_view what, std::string* out) {
    out->clear();
    while (at_ < text_.size() && ends.find(text_[at_]) == std::string_view::npos) {
      char c = text_[at_++];
      bool escapes = c == '\\' && at_ < text_.size() &&
                     std::string_view(",= \\").find(text_[at_]) != std::string_view::npos;
      *out += escapes ? text_[at_++] : c;
    }
    return out->empty() ? Expected(what) : OkStatus();
  }

  Status ParseTag() {
    Label tag;
    NEXUS_RETURN_IF_ERROR(ParseName("=, ", "a tag name", &tag.name));
    if (!Take('=')) return Expected("'=' after the tag name");
    NEXUS_RETURN_IF_ERROR(ParseName(", ", "a tag value", &tag.value));
    line_->tags.push_back(std::move(tag));
    return OkStatus();
  }

  Status ParseField() {
    LineField field;
    NEXUS_RETURN_IF_ERROR(ParseName("=, ", "a field name", &field.name));
    if (!Take('=')) return Expected("'=' after the field name");
    if (at_ < text_.size() && text_[at_] == '"') {
      NEXUS_RETURN_IF_ERROR(SkipString());
      line_->skipped_fields++;
      return OkStatus();
    }
    size_t end = std::min(text_.find_first_of(", ", at_), text_.size());
    std::errc error = ParseValue(text_.substr(at_, end - at_), &field.value);
    if (error == std::errc::result_out_of_range)
      return InvalidArgument("column {}: the number is out of range", at_ + 1);
    if (error != std::errc()) return Expected("a number, true, false or a string");
    at_ = end;
    line_->fields.push_back(std::move(field));
    return OkStatus();
  }

  Status SkipString() {
    const size_t start = at_++;
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size())
      return InvalidArgument("column {}: the string has no closing quote", start + 1);
    at_++;
    return OkStatus();
  }

  static std::errc ParseValue(std::string_view text, double* value) {
    if (text == "t" || text == "T" || text == "true" || text == "True" || text == "TRUE") {
      *value = 1;
      return std::errc();
    }
    if (text == "f" || text == "F" || text == "false" || text == "False" || text == "FALSE") {
      *value = 0;
      return std::errc();
    }
    if (text.ends_with('i')) return ParseInteger<int64_t>(text, value);
    if (text.ends_with('u')) return ParseInteger<uint64_t>(text, value);
    return ParseNumber(text, value);
  }

  template <typename Integer>
  static std::errc ParseInteger(std::string_view text, double* value) {
    Integer number = 0;
    std::errc error = ParseNumber(text.substr(0, text.size() - 1), &number);
    *value = static_cast<double>(number);
    return error;
  }

  // The whole text as a number. A plus sign, which from_chars does not know, is allowed.
  template <typename Number>
  static std::errc ParseNumber(std::string_view text, Number* number) {
    if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
    auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
    if (error == std::errc() && stop != text.data() + text.size())
      return std::errc::invalid_argument;
    return error;
  }

  Status ParseTimestamp() {
    int64_t timestamp = 0;
    std::string_view rest = text_.substr(at_);
    auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), timestamp);
    if (error == std::errc::result_out_of_range)
      return InvalidArgument("column {}: the timestamp is out of range", at_ + 1);
    if (error != std::errc()) return Expected("a timestamp (an integer)");
    at_ += static_cast<size_t>(stop - rest.data());
    SkipBlanks();
    if (at_ < text_.size()) return Expected("the end of the line");
    line_->timestamp = timestamp;
    return OkStatus();
  }

  const std::string_view text_;
  ParsedLine* const line_;
  size_t at_ = 0;
};

}  // namespace

Status ParseLine(std::string_view text, ParsedLine* line) {
  line->measurement.clear();
  line->tags.clear();
  line->fields.clear();
  line->skipped_fields = 0;
  line->timestamp.reset();
  if (text.ends_with('\r')) text.remove_suffix(1);
  size_t start = text.find_first_not_of(' ');
  if (start == std::string_view::npos || text[start] == '#') return OkStatus();
  text.remove_prefix(start);
  return LineParser(text, line).Parse();
}

std::string MetricOf(const ParsedLine& line, const LineField& field) {
  return line.measurement + "_" + field.name;
}

}  // namespace nexus::server
