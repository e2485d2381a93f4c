// spdlog gives the filter, the time, the colours and the lock around a line; the text and its
// escapes are ours. See logger.h.

#include "server/logger.h"

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ansicolor_sink.h>

#include <cmath>
#include <utility>

#include "base/labels.h"
#include "base/mutex.h"

namespace nexus::server {
namespace {

// %v is what RenderHuman or RenderJson made; %^ to %$ is coloured.
constexpr const char* kHumanPattern = "%Y-%m-%dT%H:%M:%S.%eZ %^%-7l%$ %v";
constexpr const char* kJsonPattern = R"({"time":"%Y-%m-%dT%H:%M:%S.%fZ","level":"%l",%v})";

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      break;
  }
  return spdlog::level::err;
}

// Length of the UTF-8 character at the front of `text`, which is not empty; 0 if there is none.
size_t Utf8Length(std::string_view text) {
  for (size_t length = 1; length <= 4 && length <= text.size(); length++) {
    if (IsValidUtf8(text.substr(0, length))) return length;
  }
  return 0;
}

// Appends `text` with control characters as \uXXXX (or \n, \t), with U+FFFD for each byte that is
// no UTF-8, and with `"` and `\` behind a backslash if it stands in quotes. Cuts at
// kLogTextBytesMax, between characters.
void AppendEscaped(std::string_view text, bool quoted, std::string* out) {
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const size_t length = Utf8Length(rest);
    if (at + length > kLogTextBytesMax || at >= kLogTextBytesMax) {
      *out += "...";
      return;
    }
    const char c = rest.front();
    if (length == 0) {
      *out += "\xef\xbf\xbd";
    } else if (quoted && (c == '"' || c == '\\')) {
      *out += '\\';
      *out += c;
    } else if (c == '\n') {
      *out += "\\n";
    } else if (c == '\t') {
      *out += "\\t";
    } else if (length == 1 && (c < 0x20 || c == 0x7f)) {
      *out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else if (length == 2 && static_cast<uint8_t>(c) == 0xc2 &&
               static_cast<uint8_t>(rest[1]) < 0xa0) {
      // U+0080 to U+009F: a terminal takes some of them for the begin of a command.
      *out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<uint8_t>(rest[1])));
    } else {
      *out += rest.substr(0, length);
    }
    at += length == 0 ? 1 : length;
  }
}

void AppendQuoted(std::string_view text, std::string* out) {
  *out += '"';
  AppendEscaped(text, true, out);
  *out += '"';
}

// A word stands as it is; what would read as several words, or as an escape, stands in quotes.
bool NeedsQuotes(std::string_view text) {
  if (text.empty()) return true;
  for (char c : text) {
    if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '=') return true;
  }
  return false;
}

void AppendNumber(bool value, bool, std::string* out) { *out += value ? "true" : "false"; }
void AppendNumber(int64_t value, bool, std::string* out) { *out += fmt::to_string(value); }
void AppendNumber(uint64_t value, bool, std::string* out) { *out += fmt::to_string(value); }
// JSON has no word for what is not finite; it is a string there, as in query results.
void AppendNumber(double value, bool json, std::string* out) {
  if (std::isfinite(value)) {
    *out += fmt::format("{}", value);
    return;
  }
  const std::string_view word = std::isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  *out += json ? fmt::format("\"{}\"", word) : std::string(word);
}

void AppendValue(const LogValue& value, bool json, std::string* out) {
  if (const auto* text = std::get_if<std::string_view>(&value.get())) {
    if (json || NeedsQuotes(*text)) return AppendQuoted(*text, out);
    return AppendEscaped(*text, false, out);
  }
  std::visit(
      [&](const auto& number) {
        if constexpr (!std::same_as<std::decay_t<decltype(number)>, std::string_view>) {
          AppendNumber(number, json, out);
        }
      },
      value.get());
}

// message key=value key="some words"
std::string RenderHuman(std::string_view message, std::initializer_list<LogField> fields) {
  std::string out;
  AppendEscaped(message, false, &out);
  for (const LogField& field : fields) {
    out += ' ';
    out += field.key;
    out += '=';
    AppendValue(field.value, false, &out);
  }
  return out;
}

// "message":"...","key":value: the rest of the object that kJsonPattern begins.
std::string RenderJson(std::string_view message, std::initializer_list<LogField> fields) {
  std::string out = "\"message\":";
  AppendQuoted(message, &out);
  for (const LogField& field : fields) {
    out += ',';
    AppendQuoted(field.key, &out);
    out += ':';
    AppendValue(field.value, true, &out);
  }
  return out;
}

// Hands each line to a function, one at a time.
class FunctionSink : public spdlog::sinks::sink {
 public:
  explicit FunctionSink(std::function<void(std::string_view)> write) : write_(std::move(write)) {}

  void log(const spdlog::details::log_msg& message) override {
    MutexLock lock(&mutex_);
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    write_(std::string_view(line.data(), line.size()));
  }
  void flush() override {}
  void set_pattern(const std::string& pattern) override {
    set_formatter(std::make_unique<spdlog::pattern_formatter>(pattern));
  }
  void set_formatter(std::unique_ptr<spdlog::formatter> formatter) override {
    MutexLock lock(&mutex_);
    formatter_ = std::move(formatter);
  }

 private:
  const std::function<void(std::string_view)> write_;
  Mutex mutex_;
  std::unique_ptr<spdlog::formatter> formatter_ ABSL_GUARDED_BY(mutex_) =
      std::make_unique<spdlog::pattern_formatter>();
};

}  // namespace

StatusOr<LogLevel> ParseLogLevel(std::string_view word) {
  if (word == "debug") return LogLevel::kDebug;
  if (word == "info") return LogLevel::kInfo;
  if (word == "warning") return LogLevel::kWarning;
  if (word == "error") return LogLevel::kError;
  return InvalidArgument("log level '{}': must be debug, info, warning or error", word);
}

StatusOr<LogFormat> ParseLogFormat(std::string_view word) {
  if (word == "human") return LogFormat::kHuman;
  if (word == "json") return LogFormat::kJson;
  return InvalidArgument("log format '{}': must be human or json", word);
}

class Logger::Impl {
 public:
  Impl(LogFormat format, LogLevel level, spdlog::sink_ptr sink)
      : format_(format), logger_("nexus", std::move(sink)) {
    logger_.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        format == LogFormat::kJson ? kJsonPattern : kHumanPattern, spdlog::pattern_time_type::utc));
    logger_.set_level(ToSpdlog(level));
    // By default spdlog writes its own troubles between our lines.
    logger_.set_error_handler([](const std::string&) {});
  }

  void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
    const std::string text =
        format_ == LogFormat::kJson ? RenderJson(message, fields) : RenderHuman(message, fields);
    logger_.log(ToSpdlog(level), spdlog::string_view_t(text));
  }
  bool Enabled(LogLevel level) const { return logger_.should_log(ToSpdlog(level)); }
  void SetLevel(LogLevel level) { logger_.set_level(ToSpdlog(level)); }

 private:
  const LogFormat format_;
  spdlog::logger logger_;
};

Logger::Logger(LogFormat format, LogLevel level)
    : impl_(std::make_unique<Impl>(format, level,
                                   std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>())) {}

Logger::Logger(LogFormat format, LogLevel level, std::function<void(std::string_view)> write)
    : impl_(std::make_unique<Impl>(format, level,
                                   std::make_shared<FunctionSink>(std::move(write)))) {}

Logger::~Logger() = default;

void Logger::Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (impl_->Enabled(level)) impl_->Log(level, message, fields);
}

bool Logger::Enabled(LogLevel level) const { return impl_->Enabled(level); }

void Logger::SetLevel(LogLevel level) { impl_->SetLevel(level); }

}  // namespace nexus::server
