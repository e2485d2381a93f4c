// A scanner over the text, calendar arithmetic from <chrono>, checked sums. See time_text.h.

#include "base/time_text.h"

#include <charconv>
#include <chrono>
#include <limits>
#include <optional>
#include <utility>

namespace nexus {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;
constexpr int64_t kSecondsPerDay = 86'400;
constexpr int kNanoDigits = 9;

constexpr std::string_view kTimesAccepted =
    "accepted are RFC 3339 (2024-05-01T12:30:00Z), 2024-05-01 12:30:00 (UTC), Unix time in s, ms, "
    "us or ns, now, now-15m";
constexpr std::string_view kDurationsAccepted =
    "accepted are numbers with units, larger first: 10s, 5m, 1h30m, 250ms, 1d, 1w (w d h m s ms us "
    "ns)";

// Long or unprintable input is not repeated as it is.
std::string Shown(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, 64)) out += c >= 0x20 && c < 0x7f ? c : '?';
  return text.size() > 64 ? out + "..." : out;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Takes pieces off the front of a text; each taker leaves it alone if the piece is not there.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }
  // Which of `any` stands at the front, or 0.
  char TakeAny(std::string_view any) {
    if (rest_.empty() || any.find(rest_.front()) == std::string_view::npos) return 0;
    char taken = rest_.front();
    rest_.remove_prefix(1);
    return taken;
  }
  bool Take(std::string_view word) {
    if (rest_.substr(0, word.size()) != word) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  // All digits at the front.
  std::string_view TakeDigits() {
    size_t n = 0;
    while (n < rest_.size() && IsDigit(rest_[n])) n++;
    std::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return taken;
  }
  // A number of exactly `digits` digits (at most 9).
  std::optional<int> TakeNumber(size_t digits) {
    int value = 0;
    for (size_t i = 0; i < digits; i++) {
      if (i >= rest_.size() || !IsDigit(rest_[i])) return std::nullopt;
      value = value * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(digits);
    return value;
  }
  std::string_view TakeAll() { return std::exchange(rest_, {}); }

 private:
  std::string_view rest_;
};

// Digits as a number, or nothing if there are none or it is too large.
std::optional<uint64_t> ToNumber(std::string_view digits) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

// What sums are made in: any of two 64-bit factors and a third number fits.
using Wide = __int128;

std::optional<int64_t> ToNanos(Wide value) {
  if (value < std::numeric_limits<int64_t>::min()) return std::nullopt;
  if (value > std::numeric_limits<int64_t>::max()) return std::nullopt;
  return static_cast<int64_t>(value);
}

Status TimeError(std::string_view text, std::string_view why) {
  return InvalidArgument("time \"{}\": {}; {}", Shown(text), why, kTimesAccepted);
}
Status OutOfTimeRange(std::string_view text) {
  return TimeError(text,
                   "outside 1677-09-21T00:12:43.145224192Z to 2262-04-11T23:47:16.854775807Z");
}
Status TooFine(std::string_view text) { return TimeError(text, "finer than a nanosecond"); }
Status DurationError(std::string_view text, std::string_view why) {
  return InvalidArgument("duration \"{}\": {}; {}", Shown(text), why, kDurationsAccepted);
}

// The digits after a point as a multiple of 10^-places; nothing if that loses a digit.
std::optional<int64_t> FractionOf(std::string_view digits, int places) {
  int64_t value = 0;
  for (size_t i = 0; i < digits.size() || i < static_cast<size_t>(places); i++) {
    int digit = i < digits.size() ? digits[i] - '0' : 0;
    if (i < static_cast<size_t>(places)) {
      value = value * 10 + digit;
    } else if (digit != 0) {
      return std::nullopt;
    }
  }
  return value;
}

struct Date {
  int year = 0;
  int month = 0;
  int day = 0;
};

// Seconds from the epoch to the date's first moment, or nothing if there is no such date.
std::optional<int64_t> ToSeconds(Date date) {
  std::chrono::year_month_day calendar{std::chrono::year(date.year),
                                       std::chrono::month(static_cast<unsigned>(date.month)),
                                       std::chrono::day(static_cast<unsigned>(date.day))};
  if (!calendar.ok()) return std::nullopt;
  std::chrono::sys_days days{calendar};
  return days.time_since_epoch().count() * kSecondsPerDay;
}

// yyyy-mm-dd, not checked against the calendar.
std::optional<Date> TakeDate(Scanner* scanner) {
  std::optional<int> year = scanner->TakeNumber(4);
  if (!year || !scanner->Take("-")) return std::nullopt;
  std::optional<int> month = scanner->TakeNumber(2);
  if (!month || !scanner->Take("-")) return std::nullopt;
  std::optional<int> day = scanner->TakeNumber(2);
  if (!day) return std::nullopt;
  return Date{*year, *month, *day};
}

struct Clock {
  int64_t seconds = 0;
  bool leap = false;  // second 60
};

// hh:mm:ss or hh:mm, or nothing if it is neither.
std::optional<Clock> TakeClock(Scanner* scanner) {
  std::optional<int> hour = scanner->TakeNumber(2);
  if (!hour || !scanner->Take(":")) return std::nullopt;
  std::optional<int> minute = scanner->TakeNumber(2);
  if (!minute) return std::nullopt;
  std::optional<int> second = scanner->Take(":") ? scanner->TakeNumber(2) : 0;
  if (!second || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  return Clock{(*hour * 60 + *minute) * 60 + *second, *second == 60};
}

// +hh:mm or -hhmm or Z or nothing at all as seconds east of UTC; nothing if it is none.
std::optional<int64_t> TakeOffset(Scanner* scanner) {
  if (scanner->done() || scanner->TakeAny("Zz") != 0) return 0;
  char sign = scanner->TakeAny("+-");
  if (sign == 0) return std::nullopt;
  std::optional<int> hour = scanner->TakeNumber(2);
  scanner->Take(":");
  std::optional<int> minute = scanner->TakeNumber(2);
  if (!hour || !minute || *hour > 23 || *minute > 59) return std::nullopt;
  int64_t seconds = (*hour * 60 + *minute) * 60;
  return sign == '-' ? -seconds : seconds;
}

// A date alone, or with a separator, a clock time, a fraction, an offset.
StatusOr<int64_t> ParseCalendar(std::string_view text) {
  Scanner scanner(text);
  std::optional<Date> date = TakeDate(&scanner);
  bool alone = scanner.done();
  if (!date || (!alone && scanner.TakeAny("Tt ") == 0)) return TimeError(text, "not a time");
  std::optional<int64_t> midnight = ToSeconds(*date);
  if (!midnight) return TimeError(text, "no such day");
  std::optional<Clock> clock = alone ? Clock() : TakeClock(&scanner);
  if (!clock) return TimeError(text, "no such time of day");
  std::string_view fraction;
  if (scanner.Take(".")) {
    fraction = scanner.TakeDigits();
    if (fraction.empty()) return TimeError(text, "a point without digits");
  }
  std::optional<int64_t> offset = TakeOffset(&scanner);
  if (!offset || !scanner.done()) return TimeError(text, "no offset from UTC at the end");
  int64_t seconds = *midnight + clock->seconds - *offset;
  if (clock->leap && seconds % kSecondsPerDay != 0) {
    return TimeError(text, "no leap second there");
  }
  std::optional<int64_t> nanos = FractionOf(fraction, kNanoDigits);
  if (!nanos) return TooFine(text);
  std::optional<int64_t> time = ToNanos(Wide{seconds} * kNanosPerSecond + *nanos);
  if (!time) return OutOfTimeRange(text);
  return *time;
}

// The unit that a Unix time's whole part is in: digits of a nanosecond after its point.
int UnixFractionDigits(uint64_t whole) {
  if (whole < 10'000'000'000) return 9;
  if (whole < 10'000'000'000'000) return 6;
  return whole < 10'000'000'000'000'000 ? 3 : 0;
}

StatusOr<int64_t> ParseUnix(std::string_view text) {
  Scanner scanner(text);
  bool negative = scanner.TakeAny("+-") == '-';
  std::string_view digits = scanner.TakeDigits();
  std::string_view fraction;
  if (digits.empty()) return TimeError(text, "not a time");
  if (scanner.Take(".")) {
    fraction = scanner.TakeDigits();
    if (fraction.empty()) return TimeError(text, "a point without digits");
  }
  if (!scanner.done()) return TimeError(text, "something follows the number");
  std::optional<uint64_t> whole = ToNumber(digits);
  if (!whole) return OutOfTimeRange(text);
  int places = UnixFractionDigits(*whole);
  std::optional<int64_t> part = FractionOf(fraction, places);
  if (!part) return TooFine(text);
  Wide magnitude = Wide{*whole};
  for (int i = 0; i < places; i++) magnitude *= 10;
  magnitude += *part;
  std::optional<int64_t> time = ToNanos(negative ? -magnitude : magnitude);
  if (!time) return OutOfTimeRange(text);
  return *time;
}

StatusOr<int64_t> ParseNow(std::string_view text, std::optional<int64_t> now_ns) {
  if (!now_ns) return InvalidArgument("time \"{}\": now means nothing here", Shown(text));
  Scanner scanner(text);
  scanner.Take("now");
  if (scanner.done()) return *now_ns;
  char sign = scanner.TakeAny("+-");
  if (sign == 0) return TimeError(text, "only + or - and a duration may follow now");
  StatusOr<int64_t> duration = ParseDuration(scanner.TakeAll());
  if (!duration.ok()) {
    return Annotate(duration.status(), fmt::format("time \"{}\"", Shown(text)));
  }
  std::optional<int64_t> time =
      ToNanos(Wide{*now_ns} + (sign == '-' ? -Wide{*duration} : *duration));
  if (!time) return OutOfTimeRange(text);
  return *time;
}

struct Unit {
  std::string_view name;
  int64_t nanos;
};

// Larger ones first.
constexpr Unit kUnits[] = {
    {"w", 7 * kSecondsPerDay* kNanosPerSecond},
    {"d", kSecondsPerDay* kNanosPerSecond},
    {"h", 3600 * kNanosPerSecond},
    {"m", 60 * kNanosPerSecond},
    {"s", kNanosPerSecond},
    {"ms", 1'000'000},
    {"us", 1'000},
    {"ns", 1},
};

// The unit at the front of the text that comes after `larger`, or null. Of two that fit, as m and
// ms, the longer.
const Unit* TakeUnit(Scanner* scanner, const Unit* larger) {
  const Unit* found = nullptr;
  for (const Unit& unit : kUnits) {
    Scanner attempt = *scanner;
    bool fits =
        attempt.Take(unit.name) && (found == nullptr || unit.name.size() > found->name.size());
    if (fits) found = &unit;
  }
  if (found == nullptr || (larger != nullptr && found <= larger)) return nullptr;
  scanner->Take(found->name);
  return found;
}

// `unit` times the number 0.<digits>, or nothing if that is no whole number of nanoseconds.
std::optional<int64_t> PartOf(int64_t unit, std::string_view digits) {
  // A week, which the others divide, is 2^16 * 5^11 * 189 ns: whole parts of it end within 16
  // digits.
  constexpr int kDigitsMax = 18;
  std::optional<int64_t> numerator = FractionOf(digits, kDigitsMax);
  if (!numerator) return std::nullopt;
  Wide product = Wide{unit} * *numerator;
  constexpr int64_t kDenominator = 1'000'000'000'000'000'000;
  if (product % kDenominator != 0) return std::nullopt;
  return static_cast<int64_t>(product / kDenominator);
}

}  // namespace

StatusOr<int64_t> ParseTime(std::string_view text, std::optional<int64_t> now_ns) {
  if (text.substr(0, 3) == "now") return ParseNow(text, now_ns);
  // A date is four digits and a hyphen; no number looks like that.
  bool calendar = text.size() > 4 && text[4] == '-' && IsDigit(text[0]);
  return calendar ? ParseCalendar(text) : ParseUnix(text);
}

StatusOr<int64_t> ParseDuration(std::string_view text) {
  Scanner scanner(text);
  if (scanner.done()) return DurationError(text, "empty");
  int64_t total = 0;
  const Unit* unit = nullptr;
  while (!scanner.done()) {
    std::string_view digits = scanner.TakeDigits();
    std::string_view fraction;
    bool point = scanner.Take(".");
    if (point) fraction = scanner.TakeDigits();
    if (digits.empty() || (point && fraction.empty())) {
      return DurationError(text, "a number is missing");
    }
    unit = TakeUnit(&scanner, unit);
    if (unit == nullptr) return DurationError(text, "a unit is missing, unknown or out of order");
    std::optional<int64_t> part = PartOf(unit->nanos, fraction);
    if (!part) return DurationError(text, "finer than a nanosecond");
    std::optional<uint64_t> amount = ToNumber(digits);
    std::optional<int64_t> sum;
    if (amount) sum = ToNanos(Wide{*amount} * unit->nanos + *part + total);
    if (!sum) return DurationError(text, "longer than 292 years");
    total = *sum;
  }
  return total;
}

std::string FormatTime(int64_t time_ns) {
  // Divisions that round down, also before the epoch; none of these can overflow.
  int64_t nanos = time_ns % kNanosPerSecond;
  int64_t seconds = time_ns / kNanosPerSecond;
  if (nanos < 0) {
    nanos += kNanosPerSecond;
    seconds--;
  }
  int64_t clock = seconds % kSecondsPerDay;
  if (clock < 0) clock += kSecondsPerDay;
  std::chrono::days days((seconds - clock) / kSecondsPerDay);
  std::chrono::year_month_day date{std::chrono::sys_days(days)};
  std::string text =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  clock / 3600, clock / 60 % 60, clock % 60);
  if (nanos != 0) {
    text += fmt::format(".{:09}", nanos);
    text.erase(text.find_last_not_of('0') + 1);
  }
  return text + "Z";
}

}  // namespace nexus
