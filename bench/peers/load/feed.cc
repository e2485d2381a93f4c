// Slices: made, sent, forgotten. See feed.h.

#include "bench/peers/load/feed.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "bench/telemetry_gen.h"
#include "io/real.h"

namespace nexus::bench {
namespace {

constexpr auto kProgressEvery = std::chrono::milliseconds(20);
// A body is held whole: a sample takes up to some 300 bytes.
constexpr size_t kBatchMax = 1'000'000;
constexpr size_t kConnectionsMax = 64;

double SecondsSince(int64_t from_ns) {
  return static_cast<double>(io::RealMonotonicNanos() - from_ns) * 1e-9;
}

double ProcessCpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Body {
  uint64_t group = 0;
  uint64_t samples = 0;
  uint64_t rows = 0;
};

// A lane with what is known of its bodies.
struct Track {
  std::unique_ptr<Lane> lane;
  std::vector<Body> bodies;
  Body open;
  size_t group_samples = 0;
  size_t tick_samples = 0;
};

// Turns rows into bodies, in groups of whole ticks that are the same for all tracks.
class Cutter {
 public:
  Cutter(size_t batch, std::vector<Track>* tracks) : batch_(batch), tracks_(*tracks) {}

  void Add(const Row& row) {
    Track& track = tracks_[row.source % tracks_.size()];
    if (track.open.rows > 0 && track.open.samples + row.values.size() > batch_) Close(&track);
    track.lane->Add(row);
    track.open.rows++;
    track.open.samples += row.values.size();
    track.tick_samples += row.values.size();
  }

  // True if the group ended with the tick: the next one might not fit.
  bool EndTick() {
    size_t fullest = 0;
    for (Track& track : tracks_) {
      tick_samples_max_ = std::max(tick_samples_max_, track.tick_samples);
      track.group_samples += std::exchange(track.tick_samples, 0);
      fullest = std::max(fullest, track.group_samples);
    }
    open_ticks_++;
    if (fullest + tick_samples_max_ <= batch_) return false;
    EndGroup();
    return true;
  }

  void EndGroup() {
    for (Track& track : tracks_) {
      if (track.open.rows > 0) Close(&track);
      track.group_samples = 0;
    }
    if (open_ticks_ > 0) ticks_of_group_.push_back(std::exchange(open_ticks_, 0));
  }

  // Of all groups before this one.
  uint64_t TicksBefore(uint64_t group) const {
    uint64_t ticks = 0;
    for (uint64_t g = 0; g < std::min<uint64_t>(group, ticks_of_group_.size()); g++) {
      ticks += ticks_of_group_[g];
    }
    return ticks;
  }
  uint64_t groups() const { return ticks_of_group_.size(); }

 private:
  void Close(Track* track) {
    track->lane->Close();
    track->open.group = ticks_of_group_.size();
    track->bodies.push_back(std::exchange(track->open, {}));
  }

  const size_t batch_;
  std::vector<Track>& tracks_;
  size_t tick_samples_max_ = 0;
  uint64_t open_ticks_ = 0;
  std::vector<uint64_t> ticks_of_group_;
};

// Where to stop: asked by each track before its bodies.
class Brake {
 public:
  Brake(double limit_seconds, size_t tracks) : limit_seconds_(limit_seconds), begun_(tracks, 0) {}

  // Whether `track` is to send a body of this group, `seconds` after the start. When the time is
  // over, what any track has begun is the last group of all.
  bool Admits(size_t track, uint64_t group, double seconds) {
    MutexLock lock(&mutex_);
    if (!end_.has_value() && limit_seconds_ > 0 && seconds >= limit_seconds_) {
      end_ = *std::ranges::max_element(begun_);
    }
    if (broken_ || (end_.has_value() && group >= *end_)) return false;
    begun_[track] = std::max(begun_[track], group + 1);
    return true;
  }

  // Of a track that failed: the others stop.
  void Break(const Status& status) {
    MutexLock lock(&mutex_);
    broken_ = true;
    if (status_.ok()) status_ = status;
  }

  Status status() {
    MutexLock lock(&mutex_);
    return status_;
  }
  // The first group that nobody sends.
  std::optional<uint64_t> end() {
    MutexLock lock(&mutex_);
    return end_;
  }

 private:
  const double limit_seconds_;
  Mutex mutex_;
  std::vector<uint64_t> begun_ ABSL_GUARDED_BY(mutex_);  // by track: groups
  std::optional<uint64_t> end_ ABSL_GUARDED_BY(mutex_);
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  Status status_ ABSL_GUARDED_BY(mutex_);
};

// Tells progress until it is destroyed, and then once more.
class Teller {
 public:
  Teller(const std::function<void(uint64_t)>& tell, const std::atomic<uint64_t>& samples) {
    if (!tell) return;
    thread_ = std::jthread([&tell, &samples](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        tell(samples);
        std::this_thread::sleep_for(kProgressEvery);
      }
      tell(samples);
    });
  }

 private:
  std::jthread thread_;
};

class Feeder {
 public:
  Feeder(const FeedOptions& options, Workload* workload)
      : options_(options),
        workload_(workload),
        tracks_(options.connections),
        cutter_(options.batch, &tracks_),
        brake_(options.limit_seconds, options.connections) {}

  StatusOr<FeedResult> Run() {
    for (Track& track : tracks_) {
      NEXUS_ASSIGN_OR_RETURN(track.lane, OpenLane(options_.lane, *workload_, &acknowledged_));
    }
    {
      Teller teller(options_.progress, acknowledged_);
      while (Prepare() && Send()) Clear();
    }
    return Result();
  }

 private:
  // Makes the next slice; false if there are no more rows.
  bool Prepare() {
    const int64_t started = io::RealMonotonicNanos();
    bool full = false;
    while (!full && more_) {
      if (!row_waits_) more_ = row_waits_ = workload_->Next(&row_);
      if (!more_) break;
      const int64_t tick = row_.timestamp_ms / kTickMs;
      if (tick != tick_) {
        if (tick_.has_value() && cutter_.EndTick()) full = Bytes() >= options_.slice_bytes;
        tick_ = tick;
      }
      // The row that found the slice full is the next one's first.
      if (full) break;
      if (!row_.values.empty()) cutter_.Add(row_);
      row_waits_ = false;
    }
    if (!full && tick_.has_value()) {
      cutter_.EndTick();
      cutter_.EndGroup();
      tick_.reset();
    }
    result_.preparing_seconds += SecondsSince(started);
    return std::ranges::any_of(tracks_, [](const Track& track) { return !track.bodies.empty(); });
  }

  size_t Bytes() const {
    size_t bytes = 0;
    for (const Track& track : tracks_) bytes += track.lane->bytes();
    return bytes;
  }

  // False if this was the last slice that is sent.
  bool Send() {
    const double cpu = ProcessCpuSeconds();
    const int64_t started = io::RealMonotonicNanos();
    {
      std::vector<std::jthread> threads;
      for (size_t t = 0; t < tracks_.size(); t++) {
        threads.emplace_back([this, t, started] { SendTrack(t, started); });
      }
    }
    result_.seconds += SecondsSince(started);
    result_.client_cpu_seconds += ProcessCpuSeconds() - cpu;
    return brake_.status().ok() && !brake_.end().has_value();
  }

  void SendTrack(size_t index, int64_t started) {
    Track& track = tracks_[index];
    const double before = result_.seconds;
    for (size_t b = 0; b < track.bodies.size(); b++) {
      const Body& body = track.bodies[b];
      if (!brake_.Admits(index, body.group, before + SecondsSince(started))) break;
      const Status sent = track.lane->Send(b, body.samples, body.rows);
      if (!sent.ok()) return brake_.Break(sent);
    }
    const Status finished = track.lane->Finish();
    if (!finished.ok()) brake_.Break(finished);
  }

  void Clear() {
    for (Track& track : tracks_) {
      track.bodies.clear();
      track.lane->Clear();
    }
  }

  StatusOr<FeedResult> Result() {
    const Status status = brake_.status();
    const bool lost = absl::IsUnavailable(status) && options_.progress;
    if (!status.ok() && !lost) return status;
    for (const Track& track : tracks_) {
      const LaneCounts& counts = track.lane->counts();
      result_.samples += counts.samples;
      result_.bytes += counts.bytes;
      result_.retries += counts.retries;
      result_.ack_ms.insert(result_.ack_ms.end(), counts.ack_ms.begin(), counts.ack_ms.end());
    }
    std::ranges::sort(result_.ack_ms);
    const uint64_t end = brake_.end().value_or(cutter_.groups());
    if (!lost) result_.ticks = cutter_.TicksBefore(end);
    result_.ended = lost ? "connection lost" : brake_.end().has_value() ? "limit" : "all sent";
    return std::move(result_);
  }

  const FeedOptions& options_;
  Workload* const workload_;
  std::vector<Track> tracks_;
  Cutter cutter_;
  Brake brake_;
  std::atomic<uint64_t> acknowledged_ = 0;
  // Of the workload.
  Row row_;
  bool more_ = true;
  bool row_waits_ = false;
  std::optional<int64_t> tick_;
  FeedResult result_;
};

}  // namespace

StatusOr<FeedResult> Feed(const FeedOptions& options, Workload* workload) {
  if (options.batch == 0 || options.batch > kBatchMax) {
    return InvalidArgument("a batch of {} samples: from 1 to {}", options.batch, kBatchMax);
  }
  if (options.connections == 0 || options.connections > kConnectionsMax) {
    return InvalidArgument("{} connections: from 1 to {}", options.connections, kConnectionsMax);
  }
  return Feeder(options, workload).Run();
}

}  // namespace nexus::bench
