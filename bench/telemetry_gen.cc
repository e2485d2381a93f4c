// The walks and noises of the benchmark data. See telemetry_gen.h.

#include "bench/telemetry_gen.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/check.h"

namespace nexus::bench {
namespace {

// Standard deviation of Gauss(): fixed-point one.
constexpr int64_t kOne = 37'837;
constexpr int64_t kGaussMean = 131'070;
constexpr size_t kWaveTicks = 8'640;
constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;

// Metrics of `mixed`, in their order.
enum MixedMetric : size_t {
  kRequests,
  kBytes,
  kLoad,
  kTemperature,
  kNoise,
  kConstant,
  kSparse,
  kFlag,
  kLatency,
  kMemory,
};

constexpr std::array<std::string_view, kMetricsPerHost> kCpuNames = {
    "usage_user", "usage_system",  "usage_idle",  "usage_nice",  "usage_iowait",
    "usage_irq",  "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice"};
constexpr std::array<std::string_view, kMetricsPerHost> kMixedNames = {
    "requests_total", "bytes_total",  "load_percent", "temperature_c", "noise_wave",
    "limit_const",    "sparse_event", "state_flag",   "latency_ms",    "memory_bytes"};

// The finalizer of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
// generators", 2014).
uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

uint64_t StreamStart(uint64_t seed, uint64_t stream) { return Mix(seed ^ (stream + 1) * kGolden); }

// Nearly normal with mean 0 and standard deviation kOne: the sum of four 16-bit parts.
int64_t Gauss(uint64_t r) {
  uint64_t sum = (r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48);
  return static_cast<int64_t>(sum) - kGaussMean;
}

int64_t Below(uint64_t r, uint64_t n) { return static_cast<int64_t>(r % n); }

}  // namespace

uint64_t TelemetryGenerator::Random::Next() {
  state += kGolden;
  return Mix(state);
}

TelemetryGenerator::TelemetryGenerator(DataSet data_set, size_t hosts, uint64_t seed)
    : data_set_(data_set), hosts_(hosts), seed_(seed) {
  random_.resize(series());
  state_.resize(series());
  values_.resize(series());
  present_.assign(series(), 1);
  timestamps_ms_.resize(hosts);
  for (size_t s = 0; s < series(); s++) {
    random_[s].state = StreamStart(seed, s);
    Start(s);
  }
  if (data_set == DataSet::kMixed) {
    for (size_t i = 0; i < kWaveTicks; i++) {
      double angle = 6.283185307179586 * static_cast<double>(i) / 8640.0;
      wave_.push_back(static_cast<double>(std::llround(std::sin(angle) * 1e9)) / 1e9);
    }
  }
  Compute();
}

void TelemetryGenerator::Start(size_t s) {
  uint64_t r = random_[s].Next();
  int64_t& x = state_[s];
  if (data_set_ == DataSet::kCpu) {
    x = Below(r, 100 * kOne + 1);
    return;
  }
  switch (s % kMetricsPerHost) {
    case kRequests:
      x = Below(r, 1'000'000);
      break;
    case kBytes:
      x = Below(r, 1ull << 40);
      break;
    case kLoad:
      x = Below(r, 100 * kOne + 1);
      break;
    case kTemperature:
      x = 2000 + Below(r, 6000);
      break;  // hundredths of a degree
    case kNoise:
      x = Below(r, kWaveTicks);
      break;  // phase
    case kConstant:
      x = Below(r, 1000);
      break;
    case kSparse:
      x = -1;
      break;
    case kFlag:
      x = static_cast<int64_t>(r & 1);
      break;
    case kLatency:
      x = 1000 + Below(r, 1000);
      break;
    case kMemory:
      x = Below(r, 1ull << 22);
      break;  // pages of 4096
  }
}

void TelemetryGenerator::Step(size_t s) {
  uint64_t r = random_[s].Next();
  int64_t& x = state_[s];
  if (data_set_ == DataSet::kCpu) {
    x = std::clamp<int64_t>(x + Gauss(r), 0, 100 * kOne);
    return;
  }
  switch (s % kMetricsPerHost) {
    case kRequests:
      x = (r >> 52) == 0 ? 0 : x + Below(r, 100);
      break;
    case kBytes:
      x = (r >> 51) == 0 ? 0 : x + Below(r, 1'500'000);
      break;
    case kLoad:
      x = std::clamp<int64_t>(x + Gauss(r), 0, 100 * kOne);
      break;
    case kTemperature:
      if ((r & 7) == 0) x = std::clamp<int64_t>(x + Below(r >> 3, 51) - 25, -2000, 12000);
      break;
    case kNoise:
    case kConstant:
      break;
    case kSparse:
      x = (r & 31) == 0 ? Below(r >> 8, 1001) : -1;
      break;
    case kFlag:
      x ^= (r & 255) == 0 ? 1 : 0;
      break;
    case kLatency: {
      int64_t tail = (r & 7) == 0 ? Below(r >> 32, 50) : 0;
      x = 1000 + Below(r >> 8, 1000) * (1 + tail);
      break;
    }
    case kMemory:
      x = std::clamp<int64_t>(x + Gauss(r) / 1024, 0, 1 << 22);
      break;
  }
}

void TelemetryGenerator::NextTick() {
  tick_++;
  for (size_t s = 0; s < series(); s++) Step(s);
  Compute();
}

void TelemetryGenerator::Compute() {
  if (data_set_ == DataSet::kMixed) {
    for (size_t host = 0; host < hosts_; host++) ComputeMixed(host);
    return;
  }
  for (size_t s = 0; s < series(); s++) values_[s] = static_cast<double>(state_[s] / kOne);
  std::fill(timestamps_ms_.begin(), timestamps_ms_.end(), kFirstTickMs + tick_ * kTickMs);
}

// Every step is one IEEE operation, in this order.
double TelemetryGenerator::Noise(size_t s) const {
  uint64_t r = random_[s].state;
  double gauss = static_cast<double>(Gauss(Mix(r ^ 0xa5a5a5a5a5a5a5a5))) * (1.0 / 37837.0);
  double uniform =
      static_cast<double>(Mix(r ^ 0x5a5a5a5a5a5a5a5a) >> 11) * (1.0 / 9007199254740992.0);
  double wave = 40.0 * wave_[static_cast<size_t>(tick_ + state_[s]) % kWaveTicks];
  double level = 50.0 + wave;
  level = level + gauss;
  return level + uniform * 0.0009765625;
}

void TelemetryGenerator::ComputeMixed(size_t host) {
  uint64_t place =
      seed_ * 31 + host * 1000003ull + static_cast<uint64_t>(tick_) * 7919ull * 65537ull;
  uint64_t jitter = Mix(place);
  timestamps_ms_[host] =
      kFirstTickMs + tick_ * kTickMs + ((jitter & 3) == 0 ? Below(jitter >> 8, 16) : 0);
  const int64_t* state = &state_[host * kMetricsPerHost];
  double* values = &values_[host * kMetricsPerHost];
  values[kRequests] = static_cast<double>(state[kRequests]);
  values[kBytes] = static_cast<double>(state[kBytes]);
  values[kLoad] = static_cast<double>(state[kLoad] * 100 / kOne) / 100.0;
  values[kTemperature] = static_cast<double>(state[kTemperature]) / 100.0;
  values[kNoise] = Noise(host * kMetricsPerHost + kNoise);
  values[kConstant] = static_cast<double>(state[kConstant]) / 10.0;
  bool happens = state[kSparse] >= 0;
  present_[host * kMetricsPerHost + kSparse] = happens;
  values[kSparse] = static_cast<double>(happens ? state[kSparse] : 0);
  values[kFlag] = static_cast<double>(state[kFlag]);
  values[kLatency] = static_cast<double>(state[kLatency]) / 1000.0;
  values[kMemory] = static_cast<double>(state[kMemory] * 4096);
}

std::string_view TelemetryGenerator::MetricName(size_t metric) const {
  return (data_set_ == DataSet::kCpu ? kCpuNames : kMixedNames)[metric];
}

Labels TelemetryGenerator::LabelsOf(size_t series) const {
  static constexpr std::array<const char*, 9> kRegions = {
      "us-east-1",      "us-west-1",      "us-west-2",      "eu-west-1", "eu-central-1",
      "ap-southeast-1", "ap-southeast-2", "ap-northeast-1", "sa-east-1"};
  static constexpr std::array<const char*, 3> kSystems = {"Ubuntu16.10", "Ubuntu16.04LTS",
                                                          "Ubuntu15.10"};
  static constexpr std::array<const char*, 2> kArchitectures = {"x64", "x86"};
  static constexpr std::array<const char*, 4> kTeams = {"SF", "NYC", "LON", "CHI"};
  static constexpr std::array<const char*, 3> kEnvironments = {"production", "staging", "test"};
  const size_t host = series / kMetricsPerHost;
  Random random{StreamStart(seed_ ^ 0x7a6573, host)};
  auto pick = [&](uint64_t n) { return static_cast<size_t>(random.Next() % n); };
  std::vector<Label> labels;
  auto add = [&](const char* name, std::string value) {
    labels.push_back({name, std::move(value)});
  };
  size_t region = pick(kRegions.size());
  std::string zone(1, "abcde"[pick(region % 3 + 2)]);
  add("hostname", "host_" + std::to_string(host));
  add("region", kRegions[region]);
  add("datacenter", kRegions[region] + zone);
  add("rack", std::to_string(pick(100)));
  add("os", kSystems[pick(3)]);
  add("arch", kArchitectures[pick(2)]);
  add("team", kTeams[pick(4)]);
  add("service", std::to_string(pick(20)));
  add("service_version", std::to_string(pick(2)));
  add("service_environment", kEnvironments[pick(3)]);
  StatusOr<Labels> made =
      Labels::Make(std::string(MetricName(series % kMetricsPerHost)), std::move(labels));
  NEXUS_CHECK(made.ok());
  return *std::move(made);
}

}  // namespace nexus::bench
