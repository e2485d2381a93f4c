// A scrub's report in words. See scrub_output.h.

#include "server/scrub_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

#include "base/time_text.h"
#include "server/query_output.h"
#include "server/terminal.h"

namespace nexus::server {
namespace {

// Calls visit(name, figure) for every figure, in the order of the output.
template <typename AnyReport, typename Visit>
void VisitFigures(AnyReport& report, Visit&& visit) {
  visit("files", report.files);
  visit("layers", report.layers);
  visit("layer_bytes", report.layer_bytes);
  visit("layer_pages", report.layer_pages);
  visit("chunks", report.chunks);
  visit("samples", report.samples);
  visit("log_segments", report.log_segments);
  visit("log_bytes", report.log_bytes);
  visit("log_records", report.log_records);
  visit("catalog_pages", report.catalog_pages);
  visit("catalog_values", report.catalog_values);
  visit("series", report.series);
  visit("images", report.images);
  visit("seconds", report.seconds);
}

// The engine's finding as the protocol's, and back.
template <typename To, typename From>
To FindingAs(const From& from) {
  To finding;
  finding.file = from.file;
  finding.offset = from.offset;
  finding.what = from.what;
  finding.series = from.series;
  finding.series_count = from.series_count;
  finding.range = from.range;
  finding.way_out = from.way_out;
  return finding;
}

std::string FindingJson(const ScrubFinding& finding) {
  std::string json = fmt::format("{{\"file\":{}", JsonString(finding.file));
  if (finding.offset) json += fmt::format(",\"offset\":{}", *finding.offset);
  json += fmt::format(",\"what\":{}", JsonString(finding.what));
  json += fmt::format(",\"series_count\":{},\"series\":[", finding.series_count);
  for (const std::string& series : finding.series) {
    if (json.back() != '[') json += ',';
    json += JsonString(series);
  }
  json += ']';
  if (finding.range) {
    json +=
        fmt::format(",\"first_ns\":{},\"last_ns\":{}", finding.range->first, finding.range->last);
  }
  return json + fmt::format(",\"way_out\":{}}}", JsonString(finding.way_out));
}

std::string FindingText(const ScrubFinding& finding) {
  std::string text = fmt::format("DAMAGE {}", finding.file);
  if (finding.offset) text += fmt::format(" at offset {}", *finding.offset);
  text += fmt::format("\n  {}\n", finding.what);
  if (finding.series_count > 0) {
    text += fmt::format("  series ({}):", FormatCount(finding.series_count));
    for (const std::string& series : finding.series) text += " " + series;
    text += finding.series_count > finding.series.size() ? " ...\n" : "\n";
  }
  if (finding.range) {
    text += fmt::format("  samples of {} to {}\n", FormatTime(finding.range->first),
                        FormatTime(finding.range->last));
  }
  return text + fmt::format("  way out: {}\n", finding.way_out);
}

}  // namespace

protocol::ScrubReply ScrubReplyOf(const ScrubReport& report) {
  protocol::ScrubReply reply;
  VisitFigures(report, [&](const char* name, const auto& value) {
    reply.figures.push_back({name, value});
  });
  reply.finding_count = report.finding_count;
  for (const ScrubFinding& finding : report.findings) {
    reply.findings.push_back(FindingAs<protocol::ScrubFinding>(finding));
  }
  reply.notes = report.notes;
  return reply;
}

ScrubReport ScrubReportFrom(const protocol::ScrubReply& reply) {
  ScrubReport report;
  VisitFigures(report, [&](std::string_view name, auto& value) {
    for (const protocol::Stat& figure : reply.figures) {
      const auto* given = std::get_if<std::remove_cvref_t<decltype(value)>>(&figure.value);
      if (figure.name == name && given != nullptr) value = *given;
    }
  });
  report.finding_count = std::max<uint64_t>(reply.finding_count, reply.findings.size());
  for (const protocol::ScrubFinding& finding : reply.findings) {
    report.findings.push_back(FindingAs<ScrubFinding>(finding));
  }
  report.notes = reply.notes;
  return report;
}

std::string ScrubJson(const ScrubReport& report) {
  std::string json = fmt::format("{{\"clean\":{},\"finding_count\":{},\"findings\":[",
                                 report.clean(), report.finding_count);
  for (const ScrubFinding& finding : report.findings) {
    if (json.back() != '[') json += ',';
    json += FindingJson(finding);
  }
  json += "],\"notes\":[";
  for (const std::string& note : report.notes) {
    if (json.back() != '[') json += ',';
    json += JsonString(note);
  }
  json += ']';
  VisitFigures(report, [&](const char* name, const auto& value) {
    json += fmt::format(",\"{}\":{}", name, value);
  });
  return json + "}\n";
}

std::string ScrubTable(const ScrubReport& report) {
  std::string out;
  for (const ScrubFinding& finding : report.findings) out += FindingText(finding);
  if (report.finding_count > report.findings.size()) {
    out += fmt::format("DAMAGE in {} more places\n", report.finding_count - report.findings.size());
  }
  for (const std::string& note : report.notes) out += fmt::format("note: {}\n", note);
  auto row = [&](std::string_view name, std::string_view value) {
    out += fmt::format("{:<10} {}\n", name, value);
  };
  row("layers", fmt::format("{} of {}: {} pages, {} chunks, {} samples", report.layers,
                            FormatBytes(report.layer_bytes), FormatCount(report.layer_pages),
                            FormatCount(report.chunks), FormatCount(report.samples)));
  row("log", fmt::format("{} segments of {}: {} records", report.log_segments,
                         FormatBytes(report.log_bytes), FormatCount(report.log_records)));
  row("catalog",
      fmt::format("{} pages, {} values, {} series, {} images", FormatCount(report.catalog_pages),
                  FormatCount(report.catalog_values), FormatCount(report.series), report.images));
  row("files", fmt::format("{} in {}", report.files, FormatSeconds(report.seconds)));
  out += report.clean() ? std::string("sound: nothing is damaged, and all parts agree\n")
                        : fmt::format("DAMAGED: {} places\n", report.finding_count);
  return out;
}

}  // namespace nexus::server
