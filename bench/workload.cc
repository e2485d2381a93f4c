// The workloads over the generator and the recordings. See workload.h.

#include "bench/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <utility>

#include "base/check.h"
#include "bench/telemetry_gen.h"

namespace nexus::bench {
namespace {

constexpr int64_t kLateByMs = 3 * 86'400'000;
constexpr size_t kLateOneIn = 5;
constexpr int64_t kPodTicksMin = 18;
constexpr int64_t kPodTicksMax = 120;

std::vector<std::string_view> MetricNames(const TelemetryGenerator& generator) {
  std::vector<std::string_view> names;
  for (size_t m = 0; m < kMetricsPerHost; m++) names.push_back(generator.MetricName(m));
  return names;
}

// Rows of the generator, host by host and tick by tick.
class Generated : public Workload {
 public:
  Generated(DataSet set, const WorkloadOptions& options)
      : ticks_(options.ticks),
        set_(set),
        generator_(set, options.hosts, options.seed),
        metrics_(MetricNames(generator_)) {
    for (size_t h = 0; h < options.hosts; h++) {
      Source& source = sources_.emplace_back();
      source.tags = generator_.LabelsOf(h * kMetricsPerHost).labels();
    }
  }

  std::string_view measurement() const override { return set_ == DataSet::kCpu ? "cpu" : "mixed"; }
  std::span<const std::string_view> metrics() const override { return metrics_; }
  std::span<const Source> sources() const override { return sources_; }
  int64_t first_ms() const override { return kFirstTickMs; }
  // Jitter reaches 15 ms.
  int64_t last_ms() const override {
    return kFirstTickMs + (ticks_ - 1) * kTickMs + (set_ == DataSet::kMixed ? 15 : 0);
  }

  bool Next(Row* row) override {
    if (host_ == generator_.hosts()) {
      host_ = 0;
      generator_.NextTick();
    }
    if (generator_.tick() == ticks_) return false;
    size_t present = 0;
    for (size_t m = 0; m < kMetricsPerHost; m++) {
      const size_t series = host_ * kMetricsPerHost + m;
      if (!generator_.present(series)) continue;
      present_[present] = static_cast<uint8_t>(m);
      values_[present++] = generator_.value(series);
    }
    row->source = host_;
    row->timestamp_ms = generator_.timestamp_ms(host_);
    row->metrics = std::span(present_).first(present);
    row->values = std::span(values_).first(present);
    host_++;
    return true;
  }

 protected:
  int64_t tick() const { return generator_.tick(); }

  std::vector<Source> sources_;
  const int64_t ticks_;

 private:
  const DataSet set_;
  TelemetryGenerator generator_;
  const std::vector<std::string_view> metrics_;
  size_t host_ = 0;
  std::array<uint8_t, kMetricsPerHost> present_ = {};
  std::array<double, kMetricsPerHost> values_ = {};
};

class Tenants : public Generated {
 public:
  explicit Tenants(const WorkloadOptions& options) : Generated(DataSet::kCpu, options) {
    for (size_t t = 0; t < sources_.size(); t++) sources_[t].tenant = fmt::format("tenant-{}", t);
  }
};

// The generator's hosts are places where one pod follows another.
class Churn : public Generated {
 public:
  explicit Churn(const WorkloadOptions& options) : Generated(DataSet::kCpu, options) {
    std::mt19937_64 random(options.seed);
    sources_.clear();
    pods_.resize(options.hosts);
    for (size_t place = 0; place < options.hosts; place++) {
      for (int64_t end = 0; end < ticks_;) {
        constexpr uint64_t kSpan = kPodTicksMax - kPodTicksMin + 1;
        const uint64_t r = random();
        // The first ones are found in the middle of their lives.
        const int64_t life = kPodTicksMin + static_cast<int64_t>(r % kSpan);
        end += end == 0 ? 1 + life * static_cast<int64_t>(r >> 32 & 0xff) / 256 : life;
        pods_[place].push_back({end, sources_.size()});
        Source& pod = sources_.emplace_back();
        pod.tags = {{"app", fmt::format("service-{}", place % 20)},
                    {"namespace", fmt::format("team-{}", place % 5)},
                    {"node", fmt::format("node-{}", place / 20)},
                    {"pod", fmt::format("service-{}-{:010x}", place % 20, r >> 24)}};
      }
    }
  }

  bool Next(Row* row) override {
    if (!Generated::Next(row)) return false;
    std::vector<Pod>& pods = pods_[row->source];
    // Lives are in the order of their ends; the one that is over goes.
    if (pods.front().end_tick <= tick()) pods.erase(pods.begin());
    row->source = pods.front().source;
    return true;
  }

 private:
  struct Pod {
    int64_t end_tick;
    size_t source;
  };
  std::vector<std::vector<Pod>> pods_;
};

// Holds the rows that are late: a fifth of all.
class Backfill : public Generated {
 public:
  explicit Backfill(const WorkloadOptions& options)
      : Generated(DataSet::kCpu, options), random_(options.seed) {}

  int64_t first_ms() const override { return kFirstTickMs - kLateByMs; }

  bool Next(Row* row) override {
    while (Generated::Next(row)) {
      if (row->source % kLateOneIn != 0) return true;
      Late& late = late_.emplace_back();
      late.source = row->source;
      late.timestamp_ms = row->timestamp_ms - kLateByMs;
      std::ranges::copy(row->metrics, late.metrics.begin());
      std::ranges::copy(row->values, late.values.begin());
    }
    if (next_ == 0) Shuffle();
    if (next_ == late_.size()) return false;
    const Late& late = late_[next_++];
    *row = {late.source, late.timestamp_ms, late.metrics, late.values};
    return true;
  }

 private:
  struct Late {
    size_t source;
    int64_t timestamp_ms;
    std::array<uint8_t, kMetricsPerHost> metrics;
    std::array<double, kMetricsPerHost> values;
  };

  // Fisher and Yates; the standard's shuffle is free to differ between libraries.
  void Shuffle() {
    for (size_t i = late_.size(); i > 1; i--) std::swap(late_[i - 1], late_[random_() % i]);
  }

  std::mt19937_64 random_;
  std::vector<Late> late_;
  size_t next_ = 0;
};

class Recorded : public Workload {
 public:
  static StatusOr<std::unique_ptr<Workload>> Open(const std::string& directory) {
    auto set = std::make_unique<Recorded>();
    std::vector<std::filesystem::path> files;
    std::error_code error;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory, error)) {
      if (entry.path().extension() == ".csv") files.push_back(entry.path());
    }
    if (error || files.empty()) {
      return NotFound("no recordings (*.csv with timestamp,value) below '{}'", directory);
    }
    std::ranges::sort(files);
    for (const std::filesystem::path& file : files) NEXUS_RETURN_IF_ERROR(set->Read(file));
    std::ranges::stable_sort(set->samples_, {}, &Sample::timestamp_ms);
    return std::unique_ptr<Workload>(std::move(set));
  }

  std::string_view measurement() const override { return "nab"; }
  std::span<const std::string_view> metrics() const override { return kMetrics; }
  std::span<const Source> sources() const override { return sources_; }
  int64_t first_ms() const override { return samples_.front().timestamp_ms; }
  int64_t last_ms() const override { return samples_.back().timestamp_ms; }

  bool Next(Row* row) override {
    if (next_ == samples_.size()) return false;
    const Sample& sample = samples_[next_++];
    *row = {sample.source, sample.timestamp_ms, kFirst, std::span(&sample.value, 1)};
    return true;
  }

 private:
  struct Sample {
    size_t source;
    int64_t timestamp_ms;
    double value;
  };
  static constexpr std::array<std::string_view, 1> kMetrics = {"value"};
  static constexpr std::array<uint8_t, 1> kFirst = {0};

  Status Read(const std::filesystem::path& path) {
    const size_t source = sources_.size();
    sources_.emplace_back().tags = {{"file", path.stem().string()},
                                    {"group", path.parent_path().filename().string()}};
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    for (int number = 2; std::getline(file, line); number++) {
      int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, used = 0;
      if (std::sscanf(line.c_str(), "%4d-%2d-%2d %2d:%2d:%2d,%n", &year, &month, &day, &hour,
                      &minute, &second, &used) != 6 ||
          used == 0) {
        return InvalidArgument("{}:{}: not a time and a value", path.string(), number);
      }
      double value = 0;
      const char* begin = line.c_str() + used;
      if (std::from_chars(begin, line.c_str() + line.size(), value).ec != std::errc()) {
        return InvalidArgument("{}:{}: not a value", path.string(), number);
      }
      const auto date = std::chrono::sys_days(std::chrono::year(year) / month / day);
      const int64_t days = date.time_since_epoch().count();
      const int64_t seconds = days * 86'400 + hour * 3600 + minute * 60 + second;
      samples_.push_back({source, seconds * 1000, value});
    }
    return OkStatus();
  }

  std::vector<Source> sources_;
  std::vector<Sample> samples_;
  size_t next_ = 0;
};

}  // namespace

Labels Workload::LabelsOf(size_t series) const {
  const Source& source = sources()[series / metrics().size()];
  StatusOr<Labels> labels =
      Labels::Make(std::string(metrics()[series % metrics().size()]), source.tags);
  NEXUS_CHECK(labels.ok());
  return *std::move(labels);
}

StatusOr<std::unique_ptr<Workload>> OpenWorkload(const WorkloadOptions& options) {
  if (options.name == "nab") return Recorded::Open(options.directory);
  if (options.hosts == 0 || options.ticks <= 0) {
    return InvalidArgument("a data set has at least one host and one tick");
  }
  std::unique_ptr<Workload> workload;
  if (options.name == "cpu") workload = std::make_unique<Generated>(DataSet::kCpu, options);
  if (options.name == "mixed") workload = std::make_unique<Generated>(DataSet::kMixed, options);
  if (options.name == "churn") workload = std::make_unique<Churn>(options);
  if (options.name == "backfill") workload = std::make_unique<Backfill>(options);
  if (options.name == "tenants") workload = std::make_unique<Tenants>(options);
  if (workload == nullptr) {
    return InvalidArgument(
        "there is no workload '{}'; there are cpu, mixed, churn, backfill, tenants and nab",
        options.name);
  }
  return workload;
}

}  // namespace nexus::bench
