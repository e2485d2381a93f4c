// Fuzzes the settings of `nexus serve`: the YAML file, and a value from the environment or the
// command line - with them the sizes, durations, addresses and switches.
//
// The first byte: 0 takes the rest for the file; others choose a setting and one of the other two
// places, and the rest is its value. What is taken, printed and loaded again is the same; what is
// refused says so by name, in a message that does not grow with the input.

#include "server/settings.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/labels.h"

namespace nexus::server {
namespace {

// The longest names, ranges and a part of the value.
constexpr size_t kMessageBytesMax = 4096;

std::optional<std::string> Nothing(const std::string&) { return std::nullopt; }

std::string VariableOf(std::string name) {
  for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return "NEXUS_" + name;
}

StatusOr<LoadedSettings> Load(uint8_t where, const std::string& text) {
  if (where == 0) return LoadSettings({}, Nothing, ConfigFile{"nexus.yaml", text});
  static const std::vector<SettingInfo> kSettings = DescribeSettings();
  const std::string name = kSettings[where / 2 % kSettings.size()].name;
  if (where % 2 == 0) return LoadSettings({{name, text}}, Nothing, std::nullopt);
  auto environment = [&](const std::string& variable) {
    return variable == VariableOf(name) ? std::optional<std::string>(text) : std::nullopt;
  };
  return LoadSettings({}, environment, std::nullopt);
}

bool Same(const LoadedSettings& one, const LoadedSettings& other) {
  const ReloadedSettings reloaded = Reload(one, other);
  return reloaded.effective.empty() && reloaded.needs_restart.empty();
}

// Only UTF-8 is printed as it is; labels are that too.
bool IsText(const Settings& settings) {
  return Labels::Make("metric", {{"path", settings.data + settings.listen}}).ok();
}

void Fuzz(uint8_t where, const std::string& text) {
  const StatusOr<LoadedSettings> loaded = Load(where, text);
  if (!loaded.ok()) {
    NEXUS_CHECK(absl::IsInvalidArgument(loaded.status()));
    NEXUS_CHECK(loaded.status().message().size() <= kMessageBytesMax);
    return;
  }
  const std::string printed = PrintSettings(*loaded);
  const auto again = LoadSettings({}, Nothing, ConfigFile{"printed.yaml", printed});
  if (!again.ok()) {
    NEXUS_CHECK(!IsText(loaded->settings));
    return;
  }
  if (IsText(loaded->settings)) NEXUS_CHECK(Same(*loaded, *again));
  (void)CheckData(loaded->settings).ok();
  (void)CheckListen(loaded->settings).ok();
}

}  // namespace
}  // namespace nexus::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  nexus::server::Fuzz(data[0], std::string(reinterpret_cast<const char*>(data + 1), size - 1));
  return 0;
}
