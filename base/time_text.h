// Points in time and durations as people write them (DESIGN section 13).
//
// Time:      RFC 3339 ("2026-01-31T12:00:00.5Z", "...+02:00"; a blank for the T; without zone: UTC;
// a date
//            alone: its midnight UTC), "now", "now-15m", "now+1h", or a number since the Unix epoch
//            whose unit follows from its size: below 10^11 seconds (fractions allowed), below 10^14
//            milliseconds, below 10^17 microseconds, else nanoseconds. So every unit covers the
//            years 1973 to 5138.
// Duration:  a number and a unit: ns, us, ms, s, m, h, d, w ("90s", "1.5h"); several may be joined
// ("1h30m"). All within int64 nanoseconds (years 1678 to 2262). Errors: InvalidArgument says what
// is accepted. Threading: pure functions.

#ifndef NEXUS_BASE_TIME_TEXT_H_
#define NEXUS_BASE_TIME_TEXT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace nexus {

// Nanoseconds since the Unix epoch. Without `now_ns`, "now" is refused.
StatusOr<int64_t> ParseTime(std::string_view text, std::optional<int64_t> now_ns = std::nullopt);

// Nanoseconds; not negative.
StatusOr<int64_t> ParseDuration(std::string_view text);

// RFC 3339 in UTC with the fraction's trailing zeros left out: "2026-01-31T12:00:00.5Z". ParseTime
// gives the same number back.
std::string FormatTime(int64_t ns);

}  // namespace nexus

#endif  // NEXUS_BASE_TIME_TEXT_H_
