// Fuzz target of the selector parser: any bytes parse or are refused with a column; what parses is
// written back to a text that parses to the same, and matching against labels never fails.

#include "engine/selector.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using nexus::engine::Selector;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  nexus::StatusOr<Selector> selector = Selector::Parse(text);
  if (!selector.ok()) {
    NEXUS_CHECK(selector.status().code() == absl::StatusCode::kInvalidArgument);
    return 0;
  }
  std::string written = selector->ToString();
  // Quoting can make a text longer than the bound.
  if (written.size() > nexus::engine::kSelectorBytesMax) return 0;
  nexus::StatusOr<Selector> again = Selector::Parse(written);
  NEXUS_CHECK(again.ok());
  NEXUS_CHECK(again->ToString() == written);
  for (std::string_view canonical : {"cpu\xFF", "cpu\xFFhost\xFEweb-1\xFF", "torn", ""}) {
    NEXUS_CHECK(selector->Matches(canonical) == again->Matches(canonical));
  }
  return 0;
}
