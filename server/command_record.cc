// `nexus record`: this machine's telemetry into an embedded database, shown live.

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <vector>

#include "base/time_text.h"
#include "io/file_util.h"
#include "server/command.h"
#include "server/host_sampler.h"
#include "server/signals.h"

namespace nexus::server {
namespace {

constexpr int64_t kMillisecondNs = 1'000'000;
constexpr size_t kSparkColumns = 48;

struct RecordArguments {
  std::string data;
  std::string interval = "1s";
  std::string duration;
};

// A row of the live view: the last values of one figure as a sparkline.
class Spark {
 public:
  Spark(std::string name, std::string unit) : name_(std::move(name)), unit_(std::move(unit)) {}

  void Add(double value) {
    values_.push_back(value);
    if (values_.size() > kSparkColumns) values_.pop_front();
  }
  std::string Line() const {
    static constexpr const char* kBars[] = {"\u2581", "\u2582", "\u2583", "\u2584",
                                            "\u2585", "\u2586", "\u2587", "\u2588"};
    if (values_.empty()) return fmt::format("  {:<12}\n", name_);
    double high = *std::max_element(values_.begin(), values_.end());
    double low = std::min(0.0, *std::min_element(values_.begin(), values_.end()));
    std::string bars;
    for (double value : values_) {
      double part = high - low <= 0 ? 0 : (value - low) / (high - low);
      bars += kBars[static_cast<size_t>(part * 7.999)];
    }
    return fmt::format("  {:<12} {:>9.4g} {:<6} {}\n", name_, values_.back(), unit_, bars);
  }

 private:
  const std::string name_;
  const std::string unit_;
  std::deque<double> values_;
};

// Figures that the live view derives from counters.
class LiveFigures {
 public:
  void Add(const HostReadings& readings, double seconds) {
    double busy = 0, idle = 0, received = 0, written = 0, available = 0, total = 0;
    for (size_t i = 0; i < readings.present.size(); i++) {
      const Labels& labels = readings.series[readings.present[i]];
      double value = readings.values[i];
      const std::string& metric = labels.metric();
      std::string_view mode = labels.Get("mode");
      if (metric == "node_cpu_seconds_total" && !mode.starts_with("guest")) {
        (mode == "idle" || mode == "iowait" ? idle : busy) += value;
      }
      if (metric == "node_network_receive_bytes_total") received += value;
      if (metric == "node_disk_written_bytes_total") written += value;
      if (metric == "node_memory_MemAvailable_bytes") available = value;
      if (metric == "node_memory_MemTotal_bytes") total = value;
      if (metric == "node_load1") load_.Add(value);
    }
    if (seen_ && busy + idle > cpu_total_)
      cpu_.Add(100 * (busy - cpu_busy_) / (busy + idle - cpu_total_));
    if (seen_ && seconds > 0)
      network_.Add(std::max(0.0, received - received_) / seconds / (1 << 20));
    if (seen_ && seconds > 0) disk_.Add(std::max(0.0, written - written_) / seconds / (1 << 20));
    if (total > 0) memory_.Add(100 * (total - available) / total);
    seen_ = true;
    cpu_busy_ = busy;
    cpu_total_ = busy + idle;
    received_ = received;
    written_ = written;
  }
  std::string Lines() const {
    return cpu_.Line() + memory_.Line() + load_.Line() + disk_.Line() + network_.Line();
  }
  static constexpr size_t kLines = 5;

 private:
  Spark cpu_{"cpu busy", "%"};
  Spark memory_{"memory used", "%"};
  Spark load_{"load (1 min)", ""};
  Spark disk_{"disk writes", "MiB/s"};
  Spark network_{"net receive", "MiB/s"};
  bool seen_ = false;
  double cpu_busy_ = 0, cpu_total_ = 0, received_ = 0, written_ = 0;
};

class Recorder {
 public:
  Recorder(Database* database, HostSampler* sampler, std::string directory)
      : database_(database), sampler_(sampler), directory_(std::move(directory)) {}

  // Records until `until_ns` (monotonic; 0: for ever) or a stop signal.
  Status Run(int64_t interval_ns, int64_t until_ns) {
    int64_t next = io::RealMonotonicNanos();
    while (true) {
      NEXUS_RETURN_IF_ERROR(RecordOnce());
      NEXUS_RETURN_IF_ERROR(Show());
      next += interval_ns;
      const int64_t now = io::RealMonotonicNanos();
      // A machine that slept, or a slow disk: go on from now instead of catching up.
      if (next < now) next = now;
      if (until_ns != 0 && next >= until_ns) return OkStatus();
      if (WaitForSignal(next - now) == Signal::kStop) return OkStatus();
    }
  }

  uint64_t samples() const { return samples_; }

 private:
  Status RecordOnce() {
    NEXUS_ASSIGN_OR_RETURN(const HostReadings* readings, sampler_->Sample());
    if (ids_.size() < readings->series.size()) {
      std::span<const Labels> added = std::span(readings->series).subspan(ids_.size());
      NEXUS_ASSIGN_OR_RETURN(std::vector<SeriesId> made, database_->Series(added));
      ids_.insert(ids_.end(), made.begin(), made.end());
    }
    std::vector<SeriesId> row;
    for (uint32_t place : readings->present) row.push_back(ids_[place]);
    WriteBatch batch;
    batch.AddRow(io::RealWallNanos(), row, readings->values);
    const int64_t started = io::RealMonotonicNanos();
    NEXUS_RETURN_IF_ERROR(database_->Append(std::move(batch)).status());
    const int64_t acked = io::RealMonotonicNanos();
    ack_ns_ = acked - started;
    samples_ += row.size();
    figures_.Add(*readings, last_ns_ == 0 ? 0 : static_cast<double>(acked - last_ns_) * 1e-9);
    last_ns_ = acked;
    return OkStatus();
  }

  Status Show() {
    NEXUS_ASSIGN_OR_RETURN(Stats stats, database_->GetStats());
    std::string summary =
        fmt::format("{} series, {} samples stored, last scrape durable in {:.2f} ms, LSN {}",
                    FormatCount(stats.series), FormatCount(stats.samples),
                    static_cast<double>(ack_ns_) / kMillisecondNs, stats.durable_lsn.value);
    if (!OutputIsTerminal()) {
      WriteOutput(summary + "\n");
      return OkStatus();
    }
    std::string out;
    if (drawn_) out += fmt::format("\x1b[{}A", LiveFigures::kLines + 2);
    drawn_ = true;
    std::string lines =
        fmt::format("recording into {}   (Ctrl-C ends it)\n  {}\n", directory_, summary) +
        figures_.Lines();
    for (size_t at = 0; at < lines.size();) {
      size_t end = lines.find('\n', at);
      out += lines.substr(at, end - at) + "\x1b[K\n";
      at = end + 1;
    }
    WriteOutput(out);
    return OkStatus();
  }

  Database* const database_;
  HostSampler* const sampler_;
  const std::string directory_;
  std::vector<SeriesId> ids_;
  LiveFigures figures_;
  uint64_t samples_ = 0;
  int64_t ack_ns_ = 0;
  int64_t last_ns_ = 0;
  bool drawn_ = false;
};

int Run(const RecordArguments& arguments) {
  StatusOr<int64_t> interval = ParseDuration(arguments.interval);
  if (!interval.ok()) return Fail(Annotate(interval.status(), "--interval"));
  if (*interval < 10 * kMillisecondNs)
    return Fail(InvalidArgument("--interval {}: at least 10ms", arguments.interval));
  int64_t until = 0;
  if (!arguments.duration.empty()) {
    StatusOr<int64_t> duration = ParseDuration(arguments.duration);
    if (!duration.ok()) return Fail(Annotate(duration.status(), "--for"));
    until = io::RealMonotonicNanos() + std::max<int64_t>(*duration, 1);
  }
  BlockSignals(false);
  StatusOr<OpenedDatabase> opened = OpenDatabase(arguments.data, true);
  if (!opened.ok()) return Fail(opened.status());
  StatusOr<io::RealEnvironment*> environment = GetEnvironment();
  if (!environment.ok()) return Fail(environment.status());
  io::Disk* disk = (*environment)->disk();
  StatusOr<std::string> host = io::ReadWholeFileBlocking(disk, "/proc/sys/kernel/hostname", 4096);
  std::string host_name = host.ok() ? host->substr(0, host->find('\n')) : "";
  HostSampler sampler(disk, "", host_name);
  Recorder recorder(opened->database.get(), &sampler, arguments.data);
  Status status = recorder.Run(*interval, until);
  Status closed = opened->database->Close();
  if (status.ok()) status = closed;
  if (!status.ok()) return Fail(status);
  WriteOutput(fmt::format("recorded {} samples into {}; all of them are durable\n",
                          FormatCount(recorder.samples()), arguments.data));
  return Finish(*opened->database);
}

}  // namespace

void AddRecordCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand("record", "Record this machine's telemetry, shown live");
  auto arguments = std::make_shared<RecordArguments>();
  command->add_option("--data", arguments->data, "the database's folder; made if missing")
      ->required()
      ->type_name("DIR");
  command->add_option("--interval", arguments->interval, "time between scrapes")
      ->capture_default_str()
      ->type_name("D");
  command->add_option("--for", arguments->duration, "stop after this time; else at Ctrl-C")
      ->type_name("D");
  command->callback(
      [invocation, arguments] { invocation->run = [arguments] { return Run(*arguments); }; });
}

}  // namespace nexus::server
