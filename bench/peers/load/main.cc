// load: the client of the comparison, which feeds servers and asks them. See docs/benchmarks.md.
//
//   load feed PATH --address HOST:PORT [workload] [--batch N] [--connections N] [--limit S]
//   load latency PATH --address HOST:PORT --count N      batches of ten samples, each waited for
//   load series PATH --address HOST:PORT --count N       new series, a sample each
//   load ask SYSTEM --address HOST:PORT [workload] --kind K --count N
//   load count SYSTEM --address HOST:PORT [workload]     what there is of the first metric
//   load truth [workload] --kind K --count N             the right answers
//
// Each prints one JSON object on one line; `feed --progress` prints lines `acknowledged N` before
// it. Errors go to standard error, with exit status 1; 2 is wrong usage.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "bench/peers/load/ask.h"
#include "bench/peers/load/extra.h"
#include "bench/peers/load/feed.h"
#include "bench/peers/load/figures.h"
#include "bench/peers/load/requests.h"
#include "bench/peers/questions.h"
#include "bench/workload.h"

namespace nexus::bench {
namespace {

constexpr size_t kLatencySamples = kMetricsPerHost;

struct Settings {
  WorkloadOptions workload;
  FeedOptions feed;
  bool progress = false;
  std::string system;
  std::string address;
  std::string kind;
  std::string metric_prefix;
  std::string database = "bench";
  size_t count = 1000;
  size_t answers = 10;
  bool cold = false;
  bool extra = false;
};

void Print(const std::string& line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

Status RunFeed(Settings settings) {
  NEXUS_ASSIGN_OR_RETURN(auto workload, OpenWorkload(settings.workload));
  if (settings.progress) {
    settings.feed.progress = [](uint64_t samples) {
      Print(fmt::format("acknowledged {}", samples));
    };
  }
  if (settings.extra) {
    workload = std::make_unique<ExtraWorkload>(*workload, "extra", settings.workload.hosts,
                                               static_cast<size_t>(settings.workload.ticks));
  }
  NEXUS_ASSIGN_OR_RETURN(const FeedResult result, Feed(settings.feed, workload.get()));
  Figures figures;
  figures.Add("path", settings.feed.lane.path).Add("samples", result.samples);
  if (result.ticks.has_value()) {
    figures.Add("ticks", *result.ticks);
  } else {
    figures.AddNull("ticks");
  }
  figures.Add("seconds", result.seconds)
      .Add("bytes_sent", result.bytes)
      .Add("acks", static_cast<uint64_t>(result.ack_ms.size()))
      .Add("ack_p50_ms", Quantile(result.ack_ms, 0.5))
      .Add("ack_p99_ms", Quantile(result.ack_ms, 0.99))
      .Add("retries", result.retries)
      .Add("client_cpu_seconds", result.client_cpu_seconds)
      .Add("preparing_seconds", result.preparing_seconds)
      .Add("ended", result.ended);
  Print(figures.ToJson());
  return OkStatus();
}

Status RunLatency(Settings settings) {
  if (settings.feed.lane.path == "influx-tcp") {
    return InvalidArgument("influx-tcp is acknowledged at the end of a stream, not by the batch");
  }
  NEXUS_ASSIGN_OR_RETURN(auto before, OpenWorkload(settings.workload));
  ExtraWorkload workload(*before, "latency", 1, settings.count);
  settings.feed.batch = kLatencySamples;
  settings.feed.connections = 1;
  settings.feed.lane.one_by_one = true;
  NEXUS_ASSIGN_OR_RETURN(const FeedResult result, Feed(settings.feed, &workload));
  Print(Figures()
            .Add("path", settings.feed.lane.path)
            .Add("count", static_cast<uint64_t>(result.ack_ms.size()))
            .Add("p50_ms", Quantile(result.ack_ms, 0.5))
            .Add("p95_ms", Quantile(result.ack_ms, 0.95))
            .Add("p99_ms", Quantile(result.ack_ms, 0.99))
            .ToJson());
  return OkStatus();
}

Status RunSeries(Settings settings) {
  NEXUS_ASSIGN_OR_RETURN(auto before, OpenWorkload(settings.workload));
  const size_t sources = (settings.count + kMetricsPerHost - 1) / kMetricsPerHost;
  ExtraWorkload workload(*before, "new", sources, 1);
  NEXUS_ASSIGN_OR_RETURN(const FeedResult result, Feed(settings.feed, &workload));
  Print(Figures()
            .Add("path", settings.feed.lane.path)
            .Add("series", result.samples)
            .Add("seconds", result.seconds)
            .Add("series_per_second", static_cast<double>(result.samples) / result.seconds)
            .Add("client_cpu_seconds", result.client_cpu_seconds)
            .ToJson());
  return OkStatus();
}

Status RunAsk(Settings settings) {
  NEXUS_ASSIGN_OR_RETURN(const System system, SystemOf(settings.system));
  NEXUS_ASSIGN_OR_RETURN(const QuestionKind kind, QuestionKindOf(settings.kind));
  NEXUS_ASSIGN_OR_RETURN(auto workload, OpenWorkload(settings.workload));
  NEXUS_ASSIGN_OR_RETURN(
      const Subject subject,
      SubjectOf(*workload, settings.workload.name, settings.metric_prefix, settings.database));
  const std::vector<Question> all = QuestionsOf(*workload, kind, settings.count + kWarmUpQuestions);
  const std::span<const Question> questions = std::span(all).first(settings.count);
  const std::span<const Question> warm_up =
      settings.cold ? std::span<const Question>() : std::span(all).subspan(settings.count);
  NEXUS_ASSIGN_OR_RETURN(AskResult result,
                         Ask(system, settings.address, subject, *workload, warm_up, questions));
  std::ranges::sort(result.ms);
  Print(Figures()
            .Add("system", settings.system)
            .Add("kind", settings.kind)
            .Add("count", static_cast<uint64_t>(result.ms.size()))
            .Add("p50_ms", Quantile(result.ms, 0.5))
            .Add("p95_ms", Quantile(result.ms, 0.95))
            .Add("p99_ms", Quantile(result.ms, 0.99))
            .Add("answers", result.answers, settings.answers)
            .ToJson());
  return OkStatus();
}

Status RunCount(Settings settings) {
  NEXUS_ASSIGN_OR_RETURN(const System system, SystemOf(settings.system));
  NEXUS_ASSIGN_OR_RETURN(auto workload, OpenWorkload(settings.workload));
  NEXUS_ASSIGN_OR_RETURN(
      const Subject subject,
      SubjectOf(*workload, settings.workload.name, settings.metric_prefix, settings.database));
  Question all = QuestionsOf(*workload, QuestionKind::kLatest, 1).front();
  all.kind = QuestionKind::kRaw;
  all.sources.clear();
  NEXUS_ASSIGN_OR_RETURN(const AskResult result,
                         Ask(system, settings.address, subject, *workload, {}, std::span(&all, 1)));
  Print(Figures()
            .Add("system", settings.system)
            .Add("samples", result.answers[0].count)
            .Add("sum", result.answers[0].sum)
            .ToJson());
  return OkStatus();
}

Status RunTruth(Settings settings) {
  NEXUS_ASSIGN_OR_RETURN(const QuestionKind kind, QuestionKindOf(settings.kind));
  NEXUS_ASSIGN_OR_RETURN(auto workload, OpenWorkload(settings.workload));
  const std::vector<Question> questions = QuestionsOf(*workload, kind, settings.count);
  const std::vector<Answer> answers = AnswersOf(workload.get(), questions);
  Print(Figures()
            .Add("system", "truth")
            .Add("kind", settings.kind)
            .Add("count", static_cast<uint64_t>(answers.size()))
            .Add("answers", answers, settings.answers)
            .ToJson());
  return OkStatus();
}

void AddWorkload(CLI::App* command, Settings* settings) {
  command
      ->add_option("--workload", settings->workload.name,
                   "cpu, mixed, churn, backfill, tenants or nab")
      ->capture_default_str();
  command->add_option("--hosts", settings->workload.hosts, "of the workload")
      ->capture_default_str();
  command->add_option("--ticks", settings->workload.ticks, "of 10 s")->capture_default_str();
  command->add_option("--seed", settings->workload.seed, "of the workload")->capture_default_str();
  command->add_option("--directory", settings->workload.directory, "recordings of nab");
}

void AddPath(CLI::App* command, Settings* settings) {
  command
      ->add_option("path", settings->feed.lane.path,
                   "influx-http, influx-tcp, remote-write or nxp1")
      ->required();
  command->add_option("--address", settings->feed.lane.address, "HOST:PORT")->required();
  command->add_option("--url", settings->feed.lane.url,
                      "target of a POST (default /write?db=bench or /api/v1/write)");
  command->add_flag("--no-answer", settings->feed.lane.no_answer,
                    "influx-tcp: the server does not answer at the end of a stream");
}

void AddBatches(CLI::App* command, Settings* settings) {
  command->add_option("--batch", settings->feed.batch, "samples")->capture_default_str();
  command->add_option("--connections", settings->feed.connections, "each with sources of its own")
      ->capture_default_str();
}

void AddQuestions(CLI::App* command, Settings* settings) {
  AddWorkload(command, settings);
  command->add_option("--kind", settings->kind, "latest, raw, max or average")->required();
  command->add_option("--count", settings->count, "of questions")->capture_default_str();
  command->add_option("--answers", settings->answers, "how many of them to print")
      ->capture_default_str();
}

void AddSystem(CLI::App* command, Settings* settings) {
  command->add_option("system", settings->system, "nexus, prometheus, victoriametrics or influxdb")
      ->required();
  command->add_option("--address", settings->address, "HOST:PORT")->required();
  command->add_option("--metric-prefix", settings->metric_prefix,
                      "of line protocol: the measurement and _, as cpu_");
  command->add_option("--database", settings->database, "of InfluxDB")->capture_default_str();
}

// The command chosen, ready to run.
using Command = Status (*)(Settings);

void Declare(CLI::App* app, Settings* settings, Command* chosen) {
  app->require_subcommand(1);
  auto add = [&](const char* name, const char* what, Command command) {
    CLI::App* added = app->add_subcommand(name, what);
    added->callback([=] { *chosen = command; });
    return added;
  };
  CLI::App* feed = add("feed", "send a workload", RunFeed);
  AddPath(feed, settings);
  AddWorkload(feed, settings);
  AddBatches(feed, settings);
  feed->add_option("--limit", settings->feed.limit_seconds, "seconds of sending; 0: all of it")
      ->capture_default_str();
  feed->add_flag("--extra", settings->extra,
                 "rows of other hosts, behind the workload's end: no question is about them");
  feed->add_flag("--progress", settings->progress,
                 "print `acknowledged N` while it goes; a lost connection is no error then");
  CLI::App* latency = add("latency", "time batches of ten samples", RunLatency);
  AddPath(latency, settings);
  AddWorkload(latency, settings);
  latency->add_option("--count", settings->count, "of batches")->capture_default_str();
  CLI::App* series = add("series", "make new series", RunSeries);
  AddPath(series, settings);
  AddWorkload(series, settings);
  AddBatches(series, settings);
  series->add_option("--count", settings->count, "of series, in tens")->capture_default_str();
  CLI::App* ask = add("ask", "ask questions", RunAsk);
  AddSystem(ask, settings);
  AddQuestions(ask, settings);
  CLI::App* count = add("count", "count what there is of the first metric", RunCount);
  AddSystem(count, settings);
  AddWorkload(count, settings);
  ask->add_flag("--cold", settings->cold, "without questions to warm up");
  AddQuestions(add("truth", "the right answers", RunTruth), settings);
}

}  // namespace
}  // namespace nexus::bench

int main(int argc, char** argv) {
  nexus::bench::Settings settings;
  nexus::bench::Command chosen = nullptr;
  CLI::App app("Feeds and asks the servers of the comparison");
  nexus::bench::Declare(&app, &settings, &chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const nexus::Status status = chosen(settings);
  if (status.ok()) return 0;
  fmt::print(stderr, "load: {}\n", nexus::FromAbsl(status.message()));
  return 1;
}
