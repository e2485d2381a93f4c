// Fuzzes times and durations as people write them: what is read can be written and read back, and
// a duration is the distance between two times.
//
// The input is the text.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/time_text.h"

namespace nexus {
namespace {

void FuzzTime(std::string_view text) {
  // Far from both ends, so that durations can go either way.
  constexpr int64_t kNow = 1'714'566'600'000'000'000;
  const StatusOr<int64_t> time = ParseTime(text, kNow);
  if (!time.ok()) {
    NEXUS_CHECK(absl::IsInvalidArgument(time.status()));
    // What is no time with a clock is none without.
    NEXUS_CHECK(!ParseTime(text).ok());
    return;
  }
  const std::string written = FormatTime(*time);
  NEXUS_CHECK(*ParseTime(written) == *time);
  // Without a clock it is the same time, or refused.
  const StatusOr<int64_t> clockless = ParseTime(text);
  NEXUS_CHECK(!clockless.ok() || *clockless == *time);
}

void FuzzDuration(std::string_view text) {
  const StatusOr<int64_t> duration = ParseDuration(text);
  if (!duration.ok()) {
    NEXUS_CHECK(absl::IsInvalidArgument(duration.status()));
    return;
  }
  NEXUS_CHECK(*duration >= 0);
  NEXUS_CHECK(*ParseDuration(std::to_string(*duration) + "ns") == *duration);
  NEXUS_CHECK(*ParseTime("now+" + std::string(text), 0) == *duration);
  NEXUS_CHECK(*ParseTime("now-" + std::string(text), 0) == -*duration);
}

}  // namespace
}  // namespace nexus

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  nexus::FuzzTime(text);
  nexus::FuzzDuration(text);
  return 0;
}
