// Logger: what the server has to tell, as lines for people or as JSON, one object a line.
//
//   2026-11-21T04:00:00.123Z info    listening address=127.0.0.1:8080
//   {"time":"2026-11-21T04:00:00.123456Z","level":"info","message":"listening","address":"..."}
//
// One call is one line: control characters and bytes that are not UTF-8 are escaped or replaced, so
// that what a peer sent can neither forge a line nor break the JSON. A text longer than
// kLogTextBytesMax is cut and ends in "...".
// Failure: a line that cannot be written is lost; logging never throws and never ends the process.
// Threading: any thread; lines do not mix. Log waits for as long as standard error does.

#ifndef NEXUS_SERVER_LOGGER_H_
#define NEXUS_SERVER_LOGGER_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "base/status.h"

namespace nexus::server {

// Room for an error message with a path in it; a peer cannot fill a disk with one line.
inline constexpr size_t kLogTextBytesMax = 2048;

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kHuman, kJson };

// "debug", "info", "warning", "error"; "human", "json". InvalidArgument for another word.
StatusOr<LogLevel> ParseLogLevel(std::string_view word);
StatusOr<LogFormat> ParseLogFormat(std::string_view word);

// A field's value: text, a number or true/false. Refers to the text, which must outlive the call.
class LogValue {
 public:
  using Variant = std::variant<std::string_view, bool, int64_t, uint64_t, double>;
  LogValue(std::string_view text) : value_(text) {}  // NOLINT: implicit by design
  LogValue(const std::string& text) : value_(std::string_view(text)) {}  // NOLINT
  LogValue(const char* text) : value_(std::string_view(text)) {}         // NOLINT
  LogValue(std::same_as<bool> auto value) : value_(bool{value}) {}       // NOLINT
  LogValue(std::signed_integral auto value) : value_(int64_t{value}) {}  // NOLINT
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) LogValue(T value) : value_(uint64_t{value}) {}  // NOLINT
  LogValue(double value) : value_(value) {}                                        // NOLINT

  const Variant& get() const { return value_; }

 private:
  Variant value_;
};

// REQUIRES: a key is one of the server's own words, none of "time", "level", "message".
struct LogField {
  std::string_view key;
  LogValue value;
};

class Logger {
 public:
  // To standard error; people's lines are coloured where it is a terminal.
  Logger(LogFormat format, LogLevel level);
  // To `write`, which gets each line with its end; calls do not overlap. For tests.
  Logger(LogFormat format, LogLevel level, std::function<void(std::string_view line)> write);
  ~Logger();
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  // Writes a line unless `level` is below the filter.
  void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});
  void Debug(std::string_view message, std::initializer_list<LogField> fields = {}) {
    Log(LogLevel::kDebug, message, fields);
  }
  void Info(std::string_view message, std::initializer_list<LogField> fields = {}) {
    Log(LogLevel::kInfo, message, fields);
  }
  void Warning(std::string_view message, std::initializer_list<LogField> fields = {}) {
    Log(LogLevel::kWarning, message, fields);
  }
  void Error(std::string_view message, std::initializer_list<LogField> fields = {}) {
    Log(LogLevel::kError, message, fields);
  }

  // Whether a line of this level would be written: for lines that are costly to put together.
  bool Enabled(LogLevel level) const;
  // Changes the filter, from the next line on.
  void SetLevel(LogLevel level);

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_LOGGER_H_
