// Times and durations as people write them (T and D of DESIGN section 13), and times as they read
// them.
//
// All arithmetic is checked: what does not fit into int64 nanoseconds is refused, never wrapped.
// Every error is InvalidArgument, quotes the text and says what is accepted. The clock is the
// caller's. Threading: pure functions.

#ifndef NEXUS_BASE_TIME_TEXT_H_
#define NEXUS_BASE_TIME_TEXT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace nexus {

// Reads a time; nanoseconds since the Unix epoch. Accepted are
//   2024-05-01T12:30:00Z, 2024-05-01T14:30:00.25+02:00   RFC 3339; UTC if no offset is given
//   2024-05-01 12:30:00, 2024-05-01 12:30, 2024-05-01    the same with a space; without what is 0
//   1714566600, 1714566600.25, -5                        Unix time, see below
//   now, now-15m, now+1h30m                              `now_ns`, and a duration from it
// Without `now_ns` the last line is refused.
//
// The unit of Unix time follows from the magnitude of its whole part: seconds below 10^10 (to the
// year 2286, beyond the range of nanoseconds), milliseconds below 10^13, microseconds below 10^16,
// nanoseconds from there. So the times of today are told apart by their 10, 13, 16 or 19 digits,
// and what lies within 115 days of 1970 can be written in seconds only. A fraction is read exactly;
// one finer than a nanosecond is refused unless it is zeros. Second 60 is a leap second, only where
// the UTC day ends, and is the next day's first.
StatusOr<int64_t> ParseTime(std::string_view text, std::optional<int64_t> now_ns = std::nullopt);

// Reads a duration in nanoseconds, never negative: numbers with units w, d, h, m, s, ms, us, ns,
// larger units first: 10s, 5m, 1h30m, 250ms, 1.5h, 1d, 1w. A day has 24 hours. What is finer than a
// nanosecond is refused.
StatusOr<int64_t> ParseDuration(std::string_view text);

// A time in RFC 3339, UTC, with as many digits of the fraction as it has: 2024-05-01T12:30:00.25Z.
// Any time: all lie in the years 1677 to 2262. ParseTime gives it back.
std::string FormatTime(int64_t time_ns);

}  // namespace nexus

#endif  // NEXUS_BASE_TIME_TEXT_H_
