// PromQL and InfluxQL. See requests.h.

#include "bench/peers/load/requests.h"

#include <fmt/format.h>

#include <array>
#include <set>
#include <utility>

#include "base/check.h"
#include "bench/peers/load/http.h"

namespace nexus::bench {
namespace {

constexpr std::array<std::pair<System, std::string_view>, 4> kSystems = {{
    {System::kNexus, "nexus"},
    {System::kPrometheus, "prometheus"},
    {System::kVictoriaMetrics, "victoriametrics"},
    {System::kInfluxDb, "influxdb"},
}};

bool TellsApart(std::span<const Source> sources, size_t tag) {
  std::set<std::string_view> values;
  for (const Source& source : sources) {
    if (tag >= source.tags.size() || source.tags[tag].name != sources[0].tags[tag].name ||
        !values.insert(source.tags[tag].value).second) {
      return false;
    }
  }
  return true;
}

// Backslashes and the quote, for a text between quotes.
std::string Quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (char c : text) {
    if (c == quote || c == '\\') out += '\\';
    out += c;
  }
  return out + quote;
}

std::string RegexLiteral(std::string_view text) {
  constexpr std::string_view kSpecial = "\\.+*?()|[]{}^$";
  std::string out;
  for (char c : text) {
    if (kSpecial.find(c) != kSpecial.npos) out += '\\';
    out += c;
  }
  return out;
}

// Seconds with milliseconds, as the API of Prometheus takes a time.
std::string Time(int64_t ms) { return fmt::format("{}.{:03}", ms / 1000, ms % 1000); }

std::string Instant(std::string_view query, int64_t at_ms) {
  return fmt::format("/api/v1/query?time={}&query={}", Time(at_ms), UrlEncoded(query));
}

// Of both, but for the range of a window of `ms` milliseconds and what else must be told.
struct Dialect {
  int64_t shorter_ms;
  std::string_view parameters;

  std::string Range(int64_t ms) const { return fmt::format("[{}ms]", ms - shorter_ms); }
};
constexpr Dialect kPrometheusDialect = {1, ""};
constexpr Dialect kVictoriaMetricsDialect = {0, "&nocache=1"};

std::string PromTarget(const Dialect& dialect, const Subject& subject, const Question& question) {
  const std::string selector = SelectorOf(subject, question.sources);
  const std::string window = dialect.Range(question.to_ms - question.from_ms + 1);
  std::string target;
  switch (question.kind) {
    case QuestionKind::kLatest:
      target = subject.steady
                   ? Instant(selector, question.to_ms)
                   : Instant(fmt::format("last_over_time({}{})", selector, window), question.to_ms);
      break;
    case QuestionKind::kRaw:
      target = Instant(selector + window, question.to_ms);
      break;
    case QuestionKind::kMax:
      target = fmt::format(
          "/api/v1/query_range?start={}&end={}&step={}&query={}",
          Time(question.from_ms + kMaxStepMs - 1), Time(question.to_ms), kMaxStepMs / 1000,
          UrlEncoded(fmt::format("max_over_time({}{})", selector, dialect.Range(kMaxStepMs))));
      break;
    case QuestionKind::kAverage:
      target =
          Instant(fmt::format("avg by ({}) (avg_over_time({}{}))", subject.tag, selector, window),
                  question.to_ms);
      break;
  }
  return fmt::format("{}{}", target, dialect.parameters);
}

std::string VictoriaMetricsTarget(const Subject& subject, const Question& question) {
  if (question.kind != QuestionKind::kRaw) {
    return PromTarget(kVictoriaMetricsDialect, subject, question);
  }
  return fmt::format("/api/v1/export?start={}&end={}&match[]={}", Time(question.from_ms),
                     Time(question.to_ms), UrlEncoded(SelectorOf(subject, question.sources)));
}

std::string InfluxTarget(const Subject& subject, const Question& question) {
  std::string sources;
  for (size_t source : question.sources) {
    sources += fmt::format("{}{} = {}", sources.empty() ? "" : " OR ", Quoted(subject.tag, '"'),
                           Quoted(subject.values[source], '\''));
  }
  std::string where =
      fmt::format("time >= {}ms AND time <= {}ms", question.from_ms, question.to_ms);
  if (!sources.empty()) where = fmt::format("({}) AND {}", sources, where);
  const std::string field = Quoted(subject.field, '"');
  const std::string tag = Quoted(subject.tag, '"');
  std::string what, group;
  switch (question.kind) {
    case QuestionKind::kLatest:
      what = fmt::format("last({})", field);
      break;
    case QuestionKind::kRaw:
      what = field;
      break;
    case QuestionKind::kMax:
      what = fmt::format("max({})", field);
      group = fmt::format(" GROUP BY time({}ms, {}ms), {} fill(none)", kMaxStepMs,
                          question.from_ms % kMaxStepMs, tag);
      break;
    case QuestionKind::kAverage:
      what = fmt::format("mean({})", field);
      group = fmt::format(" GROUP BY {}", tag);
      break;
  }
  return fmt::format("/query?db={}&epoch=ms&q={}", UrlEncoded(subject.database),
                     UrlEncoded(fmt::format("SELECT {} FROM {} WHERE {}{}", what,
                                            Quoted(subject.measurement, '"'), where, group)));
}

}  // namespace

StatusOr<System> SystemOf(std::string_view name) {
  for (const auto& [system, known] : kSystems) {
    if (known == name) return system;
  }
  return InvalidArgument(
      "there is no system '{}'; there are nexus, prometheus, victoriametrics and influxdb", name);
}

StatusOr<Subject> SubjectOf(const Workload& workload, std::string_view workload_name,
                            std::string_view metric_prefix, std::string_view database) {
  Subject subject;
  subject.field = workload.metrics().front();
  subject.metric = fmt::format("{}{}", metric_prefix, subject.field);
  subject.measurement = workload.measurement();
  subject.database = database;
  subject.steady = workload_name == "cpu" || workload_name == "mixed" || workload_name == "tenants";
  const std::span<const Source> sources = workload.sources();
  for (size_t tag = 0; tag < sources.front().tags.size(); tag++) {
    if (!TellsApart(sources, tag)) continue;
    subject.tag = sources.front().tags[tag].name;
    for (const Source& source : sources) subject.values.push_back(source.tags[tag].value);
    return subject;
  }
  return FailedPrecondition("no tag of the workload '{}' tells its sources apart", workload_name);
}

std::string SelectorOf(const Subject& subject, const std::vector<size_t>& sources) {
  if (sources.empty()) return subject.metric;
  if (sources.size() == 1) {
    return fmt::format("{}{{{}={}}}", subject.metric, subject.tag,
                       Quoted(subject.values[sources[0]], '"'));
  }
  std::string any;
  for (size_t source : sources) {
    any += fmt::format("{}{}", any.empty() ? "" : "|", RegexLiteral(subject.values[source]));
  }
  return fmt::format("{}{{{}=~{}}}", subject.metric, subject.tag, Quoted(any, '"'));
}

std::string TargetOf(System system, const Subject& subject, const Question& question) {
  NEXUS_CHECK(system != System::kNexus);
  if (system == System::kInfluxDb) return InfluxTarget(subject, question);
  if (system == System::kVictoriaMetrics) return VictoriaMetricsTarget(subject, question);
  return PromTarget(kPrometheusDialect, subject, question);
}

}  // namespace nexus::bench
