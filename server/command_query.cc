// `nexus query`: samples or aggregates of the series a selector matches.

#include <fmt/format.h>

#include <memory>
#include <vector>

#include "base/time_text.h"
#include "engine/query.h"
#include "server/command.h"
#include "server/command_target.h"
#include "server/plot.h"
#include "server/query_output.h"
#include "server/terminal.h"

namespace nexus::server {
namespace {

struct QueryArguments {
  Where where;
  std::string selector;
  std::string from;
  std::string to;
  std::string step;
  std::string aggregate;
  std::string as_of;
  std::vector<std::string> by;
  bool grouped = false;
  std::string format = "table";
  bool plot = false;
  bool statistics = false;
};

// Bounds what --plot holds in memory: 16 bytes each.
constexpr uint64_t kPlottedSamplesMax = 4'000'000;

// What is asked, as far as it can be told without the database. Raw samples are asked for by the
// `select` of it alone.
StatusOr<AggregateQuery> QueryOf(const QueryArguments& arguments) {
  AggregateQuery query;
  query.select.selector = arguments.selector;
  query.select.tenant = arguments.where.tenant;
  query.select.branch = arguments.where.branch;
  query.select.as_of = arguments.as_of;
  NEXUS_ASSIGN_OR_RETURN(query.select.range, RangeOf(arguments.from, arguments.to));
  if (arguments.aggregate.empty()) {
    if (!arguments.step.empty())
      return InvalidArgument("--step needs --agg: say how to join the samples of a step");
    if (arguments.grouped)
      return InvalidArgument("--by needs --agg: say how to join the series of a group");
    return query;
  }
  NEXUS_RETURN_IF_ERROR(ParseAggregate(arguments.aggregate, &query.function, &query.percentile));
  if (!arguments.step.empty()) {
    NEXUS_ASSIGN_OR_RETURN(query.step_ns, ParseDuration(arguments.step));
    if (query.step_ns <= 0) return InvalidArgument("--step {} is not positive", arguments.step);
  }
  query.grouped = arguments.grouped;
  query.by = arguments.by;
  return query;
}

Status Print(Cursor* cursor, OutputFormat format) {
  QueryWriter writer(format);
  SeriesChunk chunk;
  while (true) {
    NEXUS_ASSIGN_OR_RETURN(bool more, cursor->Next(&chunk));
    if (!more) break;
    if (!writer.Write(chunk)) return OkStatus();
  }
  writer.Finish();
  return OkStatus();
}

Status PrintPlot(Cursor* cursor) {
  std::vector<PlotSeries> series;
  uint64_t samples = 0;
  SeriesChunk chunk;
  while (true) {
    NEXUS_ASSIGN_OR_RETURN(bool more, cursor->Next(&chunk));
    if (!more) break;
    if (series.size() <= chunk.series_index) series.resize(chunk.series_index + 1);
    PlotSeries& one = series[chunk.series_index];
    one.name = SeriesName(chunk);
    // Series that will not be drawn are only counted.
    if (chunk.series_index >= kPlottedSeriesMax) continue;
    samples += chunk.timestamps.size();
    if (samples > kPlottedSamplesMax) {
      return ResourceExhausted(
          "more than {} samples to plot; aggregate them with --step and --agg, or narrow "
          "--from and --to",
          kPlottedSamplesMax);
    }
    one.timestamps.insert(one.timestamps.end(), chunk.timestamps.begin(), chunk.timestamps.end());
    one.values.insert(one.values.end(), chunk.values.begin(), chunk.values.end());
  }
  PlotOptions options;
  options.columns = GetTerminalSize().columns;
  options.color = OutputIsTerminal();
  WriteOutput(Plot(series, options));
  return OkStatus();
}

std::string StatisticsText(const QueryStatistics& done) {
  return fmt::format(
      "{} series, {} rows; {} layers and {} memtables; {} chunks decoded, {} by statistics; {} "
      "buckets of {} layers of rollups",
      done.series, done.samples, done.layers, done.memtables, done.chunks_decoded,
      done.chunks_by_statistics, done.rollup_buckets, done.rollup_layers);
}

Status Show(const QueryArguments& arguments, const AggregateQuery& query, CommandTarget* target) {
  NEXUS_ASSIGN_OR_RETURN(std::unique_ptr<Cursor> cursor, arguments.aggregate.empty()
                                                             ? target->Select(query.select)
                                                             : target->Aggregate(query));
  OutputFormat format = arguments.format == "json"  ? OutputFormat::kJson
                        : arguments.format == "csv" ? OutputFormat::kCsv
                                                    : OutputFormat::kTable;
  NEXUS_RETURN_IF_ERROR(arguments.plot ? PrintPlot(cursor.get()) : Print(cursor.get(), format));
  if (arguments.statistics) WriteError(StatisticsText(cursor->statistics()));
  return OkStatus();
}

int Run(const QueryArguments& arguments) {
  // Before a recovery is waited for.
  StatusOr<AggregateQuery> query = QueryOf(arguments);
  if (!query.ok()) return Fail(query.status());
  StatusOr<std::unique_ptr<CommandTarget>> target = OpenTarget(arguments.where, false);
  if (!target.ok()) return Fail(target.status());
  return CloseTarget(Show(arguments, *query, target->get()), target->get());
}

}  // namespace

void AddQueryCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand("query", "Print or plot samples, raw or aggregated");
  auto arguments = std::make_shared<QueryArguments>();
  AddWhere(command, &arguments->where);
  command
      ->add_option("SELECTOR", arguments->selector,
                   "which series: name{label=\"v\",other=~\"regex\"}")
      ->required();
  command
      ->add_option("--from", arguments->from, "first time: RFC 3339, Unix s/ms/us/ns, or now-15m")
      ->type_name("T");
  command->add_option("--to", arguments->to, "last time, likewise")->type_name("T");
  command->add_option("--step", arguments->step, "width of a bucket: 10s, 5m, 1h")->type_name("D");
  command
      ->add_option("--agg", arguments->aggregate,
                   "avg, min, max, sum, count, first, last, rate, p50 ... p99.9")
      ->type_name("F");
  CLI::Option* by = command
                        ->add_option("--by", arguments->by,
                                     "labels to group series by, with commas; \"\" for one group")
                        ->delimiter(',')
                        ->type_name("LABELS");
  command->add_option("--as-of", arguments->as_of, "a snapshot: read what it holds")
      ->type_name("SNAPSHOT");
  command->add_option("--format", arguments->format, "table, json or csv")
      ->check(CLI::IsMember({"table", "json", "csv"}))
      ->capture_default_str();
  command->add_flag("--plot", arguments->plot, "draw a chart on the terminal");
  command->add_flag("--statistics", arguments->statistics,
                    "tell on stderr what was read for it, rollups among it");
  command->callback([invocation, arguments, by] {
    arguments->grouped = by->count() > 0;
    std::erase(arguments->by, "");
    invocation->run = [arguments] { return Run(*arguments); };
  });
}

}  // namespace nexus::server
