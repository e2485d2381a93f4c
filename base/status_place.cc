// Offsets as payloads of a status. See status_place.h.

#include "base/status_place.h"

#include <charconv>
#include <string>

#include "absl/strings/cord.h"

namespace nexus {
namespace {

constexpr char kOffsetPayload[] = "nexus/offset";

}  // namespace

Status AtOffset(Status status, uint64_t offset) {
  // An OK status takes no payload.
  status.SetPayload(kOffsetPayload, absl::Cord(fmt::format("{}", offset)));
  return status;
}

std::optional<uint64_t> OffsetOf(const Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kOffsetPayload);
  if (!payload.has_value()) return std::nullopt;
  const std::string text(*payload);
  uint64_t offset = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), offset);
  return parsed.ec == std::errc() ? std::optional(offset) : std::nullopt;
}

}  // namespace nexus
