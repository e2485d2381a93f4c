// Reading and writing of times. See time_text.h.

#include "base/time_text.h"

#include <charconv>
#include <cmath>

namespace nexus {
namespace {

using Wide = __int128;  // nanoseconds of any year that four digits name

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kDaySeconds = 86'400;

Status BadTime(std::string_view text) {
  return InvalidArgument(
      "\"{}\" is not a time; accepted are 2026-01-31T12:00:00Z (RFC 3339), 2026-01-31 12:00:00 "
      "(UTC), Unix "
      "seconds, ms, us or ns, and now-15m",
      text.substr(0, 80));
}

Status OutOfRangeTime(std::string_view text) {
  return InvalidArgument("time \"{}\" is out of range: the years 1678 to 2262 are",
                         text.substr(0, 80));
}

std::optional<int64_t> Narrow(Wide ns) {
  if (ns < INT64_MIN || ns > INT64_MAX) return std::nullopt;
  return static_cast<int64_t>(ns);
}

// Days since 1970-01-01 of a proleptic Gregorian date. Source: Howard Hinnant, "chrono-Compatible
// Low-Level Date Algorithms", days_from_civil: years begin in March, eras have 400 of them.
int64_t DaysOf(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2;
  int64_t era = (year >= 0 ? year : year - 399) / 400;
  int64_t year_of_era = year - era * 400;
  int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

struct Date {
  int64_t year, month, day;
};

// The inverse: civil_from_days.
Date DateOf(int64_t days) {
  days += 719'468;
  int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  int64_t day_of_era = days - era * 146'097;
  int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted_month = (5 * day_of_year + 2) / 153;
  int64_t month = shifted_month + (shifted_month < 10 ? 3 : -9);
  return {year_of_era + era * 400 + (month <= 2), month,
          day_of_year - (153 * shifted_month + 2) / 5 + 1};
}

int64_t DaysInMonth(int64_t year, int64_t month) {
  static constexpr int64_t kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 && leap ? 29 : kDays[month - 1];
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool done() const { return text_.empty(); }
  bool Take(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  // Exactly `digits` of them.
  bool Number(size_t digits, int64_t* value) {
    if (text_.size() < digits) return false;
    *value = 0;
    for (char c : text_.substr(0, digits)) {
      if (c < '0' || c > '9') return false;
      *value = *value * 10 + (c - '0');
    }
    text_.remove_prefix(digits);
    return true;
  }
  // One to nine digits as a fraction of a second, in ns; finer ones are refused.
  bool Fraction(int64_t* ns) {
    *ns = 0;
    int64_t unit = kSecond;
    while (!text_.empty() && text_.front() >= '0' && text_.front() <= '9') {
      unit /= 10;
      if (unit == 0) return false;
      *ns += (text_.front() - '0') * unit;
      text_.remove_prefix(1);
    }
    return unit < kSecond;
  }

 private:
  std::string_view text_;
};

// "Z", "+02:00", "-0530", or nothing: seconds to subtract.
bool ScanZone(Scanner* scanner, int64_t* offset_seconds) {
  *offset_seconds = 0;
  if (scanner->done() || scanner->Take('Z') || scanner->Take('z')) return true;
  int64_t sign = scanner->Take('+') ? 1 : scanner->Take('-') ? -1 : 0;
  int64_t hours = 0, minutes = 0;
  if (sign == 0 || !scanner->Number(2, &hours)) return false;
  scanner->Take(':');
  if (!scanner->Number(2, &minutes) || hours > 23 || minutes > 59) return false;
  *offset_seconds = sign * (hours * 3600 + minutes * 60);
  return true;
}

// nullopt if it is no date of this form.
std::optional<Wide> ScanDateTime(std::string_view text) {
  Scanner scanner(text);
  int64_t year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, ns = 0, offset = 0;
  bool date = scanner.Number(4, &year) && scanner.Take('-') && scanner.Number(2, &month) &&
              scanner.Take('-') && scanner.Number(2, &day);
  if (!date || month < 1 || month > 12 || day < 1 || day > DaysInMonth(year, month))
    return std::nullopt;
  if (!scanner.done()) {
    if (!scanner.Take('T') && !scanner.Take('t') && !scanner.Take(' ')) return std::nullopt;
    bool clock = scanner.Number(2, &hour) && scanner.Take(':') && scanner.Number(2, &minute);
    if (!clock || hour > 23 || minute > 59) return std::nullopt;
    // A leap second counts as the first of the next minute.
    if (scanner.Take(':') && (!scanner.Number(2, &second) || second > 60)) return std::nullopt;
    if (scanner.Take('.') && !scanner.Fraction(&ns)) return std::nullopt;
    if (!ScanZone(&scanner, &offset) || !scanner.done()) return std::nullopt;
  }
  int64_t seconds =
      DaysOf(year, month, day) * kDaySeconds + hour * 3600 + minute * 60 + second - offset;
  return static_cast<Wide>(seconds) * kSecond + ns;
}

// "1735689600", "1735689600.5", "1735689600123": nullopt if it is no number.
std::optional<Wide> ScanEpoch(std::string_view text) {
  bool negative = text.starts_with('-');
  std::string_view digits = text.substr(negative ? 1 : 0);
  size_t point = digits.find('.');
  uint64_t whole = 0;
  std::string_view integer = digits.substr(0, point);
  auto [end, error] = std::from_chars(integer.data(), integer.data() + integer.size(), whole);
  if (error != std::errc() || end != integer.data() + integer.size()) return std::nullopt;
  Wide unit = whole < 100'000'000'000           ? kSecond
              : whole < 100'000'000'000'000     ? 1'000'000
              : whole < 100'000'000'000'000'000 ? 1'000
                                                : 1;
  int64_t fraction = 0;
  if (point != std::string_view::npos) {
    Scanner scanner(digits.substr(point + 1));
    if (!scanner.Fraction(&fraction) || !scanner.done() || unit != kSecond) return std::nullopt;
  }
  Wide ns = static_cast<Wide>(whole) * unit + fraction;
  return negative ? -ns : ns;
}

int64_t NanosOfUnit(std::string_view unit) {
  if (unit == "ns") return 1;
  if (unit == "us") return 1'000;
  if (unit == "ms") return 1'000'000;
  if (unit == "s") return kSecond;
  if (unit == "m") return 60 * kSecond;
  if (unit == "h") return 3600 * kSecond;
  if (unit == "d") return kDaySeconds * kSecond;
  if (unit == "w") return 7 * kDaySeconds * kSecond;
  return 0;
}

}  // namespace

StatusOr<int64_t> ParseTime(std::string_view text, std::optional<int64_t> now_ns) {
  if (text.starts_with("now")) {
    if (!now_ns.has_value())
      return InvalidArgument("\"{}\": now means nothing here", text.substr(0, 80));
    std::string_view rest = text.substr(3);
    if (rest.empty()) return *now_ns;
    if (rest.front() != '-' && rest.front() != '+') return BadTime(text);
    StatusOr<int64_t> distance = ParseDuration(rest.substr(1));
    if (!distance.ok()) return BadTime(text);
    Wide at = static_cast<Wide>(*now_ns) +
              (rest.front() == '-' ? -static_cast<Wide>(*distance) : *distance);
    if (std::optional<int64_t> ns = Narrow(at)) return *ns;
    return OutOfRangeTime(text);
  }
  std::optional<Wide> at = ScanDateTime(text);
  if (!at.has_value()) at = ScanEpoch(text);
  if (!at.has_value()) return BadTime(text);
  if (std::optional<int64_t> ns = Narrow(*at)) return *ns;
  return OutOfRangeTime(text);
}

StatusOr<int64_t> ParseDuration(std::string_view text) {
  auto bad = [&] {
    return InvalidArgument(
        "\"{}\" is not a duration; accepted are 250ms, 10s, 5m, 1h, 1h30m, 7d, 2w",
        text.substr(0, 80));
  };
  Wide total = 0;
  std::string_view rest = text;
  if (rest.empty()) return bad();
  while (!rest.empty()) {
    double number = 0;
    auto [end, error] =
        std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
    if (error != std::errc() || number < 0) return bad();
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    size_t letters = 0;
    while (letters < rest.size() && rest[letters] >= 'a' && rest[letters] <= 'z') letters++;
    int64_t unit = NanosOfUnit(rest.substr(0, letters));
    if (unit == 0) return bad();
    rest.remove_prefix(letters);
    double ns = number * static_cast<double>(unit);
    if (!(ns < 9.2e18))
      return InvalidArgument("duration \"{}\" is longer than 292 years", text.substr(0, 80));
    total += static_cast<Wide>(std::llround(ns));
  }
  if (total > INT64_MAX)
    return InvalidArgument("duration \"{}\" is longer than 292 years", text.substr(0, 80));
  return static_cast<int64_t>(total);
}

std::string FormatTime(int64_t ns) {
  int64_t seconds = ns / kSecond - (ns % kSecond < 0);
  int64_t fraction = ns - seconds * kSecond;
  int64_t days = seconds / kDaySeconds - (seconds % kDaySeconds < 0);
  int64_t clock = seconds - days * kDaySeconds;
  Date date = DateOf(days);
  std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", date.year, date.month,
                                date.day, clock / 3600, clock / 60 % 60, clock % 60);
  if (fraction != 0) {
    out += fmt::format(".{:09}", fraction);
    while (out.back() == '0') out.pop_back();
  }
  return out + 'Z';
}

}  // namespace nexus
