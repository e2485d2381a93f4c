// A log on the real kernel, for benches. What fails ends the program, with the reason.
// Threading: tasks run on the loop of their environment.

#ifndef NEXUS_BENCH_WAL_BENCH_LOG_H_
#define NEXUS_BENCH_WAL_BENCH_LOG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/real.h"
#include "wal/log.h"
#include "wal/scan.h"

namespace nexus::wal {

inline constexpr RecordKind kBenchKind{1};

void Must(const Status& status);

// Wakes whoever waits for the log.
class Waker : public LogObserver {
 public:
  void OnDurable(Lsn) override { changed.Pulse(); }
  void OnFailed(Status why) override { Must(why); }
  void OnRoom() override { changed.Pulse(); }
  io::Event changed;
};

struct Opened {
  LogScan scan;
  std::unique_ptr<Waker> waker = std::make_unique<Waker>();
  std::unique_ptr<Log> log;
};

// Opens the log of an empty folder that this makes anew; CloseLog ends it.
void OpenLog(io::RealEnvironment* environment, const std::string& folder, Opened* opened);
void CloseLog(io::RealEnvironment* environment, Opened* opened);

// Appends records, each waited for until it is durable; adds the nanoseconds that each took.
io::Task<Status> AppendOneByOne(io::Environment* environment, Opened* opened, uint64_t record_bytes,
                                int rounds, std::vector<int64_t>* nanoseconds);

}  // namespace nexus::wal

#endif  // NEXUS_BENCH_WAL_BENCH_LOG_H_
