// JSON by simdjson. See answers.h.

#include "bench/peers/load/answers.h"

#include <simdjson.h>

#include <charconv>

namespace nexus::bench {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;

constexpr size_t kBytesOfMessageMax = 200;

Status Unexpected(std::string_view what, std::string_view body) {
  return DataLoss("an answer is not as expected: {}, in: {}", what,
                  body.substr(0, kBytesOfMessageMax));
}

// Values are texts there: "42", "1e+06", "NaN".
bool AddText(std::string_view text, Answer* answer) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  answer->count++;
  answer->sum += value;
  return true;
}

// A point is [time, "value"].
bool AddPoint(const element& point, Answer* answer) {
  std::string_view text;
  return point.at(1).get(text) == simdjson::SUCCESS && AddText(text, answer);
}

bool AddSeries(const element& series, Answer* answer) {
  element point;
  if (series["value"].get(point) == simdjson::SUCCESS) return AddPoint(point, answer);
  array points;
  if (series["values"].get(points) != simdjson::SUCCESS) return false;
  for (const element& one : points) {
    if (!AddPoint(one, answer)) return false;
  }
  return true;
}

// Rows are [time, value].
bool AddRows(const element& series, Answer* answer) {
  array rows;
  if (series["values"].get(rows) != simdjson::SUCCESS) return false;
  for (const element& row : rows) {
    element cell;
    if (row.at(1).get(cell) != simdjson::SUCCESS) return false;
    if (cell.is_null()) continue;
    double value = 0;
    if (cell.get(value) != simdjson::SUCCESS) return false;
    answer->count++;
    answer->sum += value;
  }
  return true;
}

}  // namespace

StatusOr<Answer> ParsePrometheus(std::string_view body) {
  simdjson::dom::parser parser;
  element document;
  if (parser.parse(body.data(), body.size()).get(document) != simdjson::SUCCESS) {
    return Unexpected("no JSON", body);
  }
  std::string_view error;
  if (document["error"].get(error) == simdjson::SUCCESS) {
    return FailedPrecondition("the server says: {}", error);
  }
  array result;
  if (document["data"]["result"].get(result) != simdjson::SUCCESS) {
    return Unexpected("no data.result", body);
  }
  Answer answer;
  for (const element& series : result) {
    if (!AddSeries(series, &answer)) return Unexpected("a series without values", body);
  }
  return answer;
}

StatusOr<Answer> ParseExport(std::string_view body) {
  Answer answer;
  simdjson::dom::parser parser;
  while (!body.empty()) {
    const size_t end = std::min(body.find('\n'), body.size());
    const std::string_view line = body.substr(0, end);
    body.remove_prefix(std::min(end + 1, body.size()));
    if (line.empty()) continue;
    array values;
    element document;
    if (parser.parse(line.data(), line.size()).get(document) != simdjson::SUCCESS ||
        document["values"].get(values) != simdjson::SUCCESS) {
      return Unexpected("a line without values", line);
    }
    for (const element& one : values) {
      double value = 0;
      if (one.get(value) != simdjson::SUCCESS) return Unexpected("no number", line);
      answer.count++;
      answer.sum += value;
    }
  }
  return answer;
}

StatusOr<Answer> ParseInflux(std::string_view body) {
  simdjson::dom::parser parser;
  element document;
  if (parser.parse(body.data(), body.size()).get(document) != simdjson::SUCCESS) {
    return Unexpected("no JSON", body);
  }
  std::string_view error;
  element result;
  if (document["error"].get(error) == simdjson::SUCCESS) {
    return FailedPrecondition("the server says: {}", error);
  }
  if (document["results"].at(0).get(result) != simdjson::SUCCESS) {
    return Unexpected("no results", body);
  }
  if (result["error"].get(error) == simdjson::SUCCESS) {
    return FailedPrecondition("the server says: {}", error);
  }
  Answer answer;
  array all;
  // Without any value there is no series.
  if (result["series"].get(all) != simdjson::SUCCESS) return answer;
  for (const element& series : all) {
    if (!AddRows(series, &answer)) return Unexpected("a series without values", body);
  }
  return answer;
}

}  // namespace nexus::bench
