// embedded: measures engines that are linked into this process - nexus, LevelDB, RocksDB, LMDB,
// SQLite, DuckDB - over the same data, one thing at a time.
//
//   bazel run --config=release //bench/peers/embedded:embedded -- COMMAND ENGINE --dir DIR
//   [options]
//
// Prints one JSON object on one line and ends with 0; or the error, to stderr, and ends with 1.
// What each engine does and is spared: store.h. Needs Debian's libleveldb-dev, librocksdb-dev,
// liblmdb-dev and libsqlite3-dev to be built, and libduckdb.so (see --duckdb) to run that engine.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>

#include "bench/peers/embedded/commands.h"

namespace nexus::bench {
namespace {

struct Arguments {
  Place place;
  IngestOptions ingest;
  AskOptions ask;
  bool compact = false;
  uint64_t count = 1000;
  std::optional<uint64_t> expected_samples;
};

using Command = std::function<StatusOr<JsonLine>()>;

void AddWorkload(CLI::App* command, WorkloadOptions* workload) {
  command->add_option("--workload", workload->name, "cpu, mixed, churn, backfill, tenants or nab")
      ->capture_default_str();
  command->add_option("--hosts", workload->hosts, "sources of it")->capture_default_str();
  command->add_option("--ticks", workload->ticks, "10 s intervals")->capture_default_str();
  command->add_option("--seed", workload->seed, "of its values")->capture_default_str();
  command->add_option("--directory", workload->directory, "of the recordings, for nab");
}

void AddPlace(CLI::App* command, Place* place) {
  command->add_option("engine", place->engine, "see `embedded list`")->required();
  command->add_option("--dir", place->directory, "of the engine's files")->required();
  AddWorkload(command, &place->workload);
}

void AddQuestions(CLI::App* command, AskOptions* ask) {
  command->add_option("--kind", ask->kind, "latest, raw, max or average")->capture_default_str();
  command->add_option("--count", ask->count, "of questions")->capture_default_str();
  command->add_option("--answers", ask->answers, "how many to tell, at most")
      ->capture_default_str();
}

class Program {
 public:
  Program() : app_("Measures engines that are linked into this process, over the same data.") {
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.add_option("--duckdb", arguments_.place.duckdb_library, "path of libduckdb.so");
    AddWrites();
    AddReads();
  }

  int Run(int argc, char** argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app_.exit(error) == 0 ? 0 : 1;
    }
    const StatusOr<JsonLine> line = command_();
    if (!line.ok()) {
      fmt::print(stderr, "embedded: {}\n", FromAbsl(line.status().message()));
      return 1;
    }
    fmt::print("{}\n", line->text());
    return std::fflush(stdout) == 0 ? 0 : 1;
  }

 private:
  CLI::App* Add(const char* name, const char* description, Command command) {
    CLI::App* added = app_.add_subcommand(name, description);
    added->callback([this, command = std::move(command)] { command_ = command; });
    return added;
  }

  void AddWrites() {
    Place* place = &arguments_.place;
    IngestOptions* options = &arguments_.ingest;
    CLI::App* ingest = Add("ingest", "append a workload",
                           [this] { return Ingest(arguments_.place, arguments_.ingest); });
    AddPlace(ingest, place);
    ingest->add_option("--limit", options->limit_seconds, "stop at a tick's end after so long, s");
    ingest->add_option("--batch", options->batch_samples,
                       "samples of a commit (default 1000; duckdb 500000)");
    ingest->add_flag("--synchronous", options->synchronous, "wait for each commit");
    ingest->add_flag("--buffered", place->buffered, "commits need not be durable");
    ingest->add_flag("--progress", options->progress, "print `acknowledged N` every 20 ms");

    CLI::App* latency = Add("latency", "time durable commits of ten samples",
                            [this] { return MeasureLatency(arguments_.place, arguments_.count); });
    AddPlace(latency, place);
    latency->add_option("--count", arguments_.count, "of commits")->capture_default_str();

    CLI::App* series = Add("series", "make series of one sample each",
                           [this] { return MakeSeries(arguments_.place, arguments_.count); });
    AddPlace(series, place);
    series->add_option("--count", arguments_.count, "of series")->capture_default_str();

    CLI::App* tenants = Add("tenants", "make a workload's tenants in a database of nexus",
                            [this] { return MakeTenants(arguments_.place); });
    tenants->add_option("--dir", place->directory, "of the database")->required();
    AddWorkload(tenants, &place->workload);
  }

  void AddReads() {
    Place* place = &arguments_.place;
    CLI::App* settle = Add("settle", "flush, and tell the bytes on disk",
                           [this] { return Settle(arguments_.place, arguments_.compact); });
    AddPlace(settle, place);
    settle->add_flag("--compact", arguments_.compact, "then compact, where the engine can");

    CLI::App* ask =
        Add("ask", "time questions", [this] { return Ask(arguments_.place, arguments_.ask); });
    AddPlace(ask, place);
    AddQuestions(ask, &arguments_.ask);
    ask->add_flag("--cold", arguments_.ask.cold, "time the very first ones, too");

    CLI::App* truth = Add("truth", "the right answers, without an engine",
                          [this] { return Truth(arguments_.place.workload, arguments_.ask); });
    AddWorkload(truth, &place->workload);
    AddQuestions(truth, &arguments_.ask);

    AddPlace(Add("scan", "count and sum of all samples", [this] { return Scan(arguments_.place); }),
             place);

    CLI::App* restart = Add("restart", "time to the first right answer", [this] {
      return Restart(arguments_.place, arguments_.expected_samples);
    });
    AddPlace(restart, place);
    restart->add_option("--expect", arguments_.expected_samples,
                        "samples that were acknowledged; counts those that are there");

    Add("list", "the engines and their versions",
        [this] { return ListEngines(arguments_.place.duckdb_library); });
  }

  CLI::App app_;
  Arguments arguments_;
  Command command_;
};

}  // namespace
}  // namespace nexus::bench

int main(int argc, char** argv) {
  nexus::bench::Program program;
  return program.Run(argc, argv);
}
