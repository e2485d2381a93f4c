// Machine: a simulated machine with a log on it, in the few words that the tests of wal/ need.
//
// Small everywhere, so that rotation, full buffers and trimming are common: segments of 32 KiB,
// buffers of 8 KiB. Failures of the harness itself end the test (NEXUS_CHECK). Threading: one.

#ifndef NEXUS_TESTS_WAL_HARNESS_H_
#define NEXUS_TESTS_WAL_HARNESS_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/hash.h"
#include "io/file_util.h"
#include "io/sim/world.h"
#include "wal/cursor.h"
#include "wal/folder_lock.h"
#include "wal/format.h"
#include "wal/log.h"
#include "wal/scan.h"

// An error's text, not only that there was one.
#define ASSERT_OK(expr)                                 \
  do {                                                  \
    ::nexus::Status assert_status_ = (expr);            \
    ASSERT_TRUE(assert_status_.ok()) << assert_status_; \
  } while (false)

namespace nexus::wal {

inline constexpr char kFolder[] = "/db";
inline constexpr DatabaseId kDatabase{0x1234, 0x5678};
inline constexpr RecordKind kText{7};

// What the log told its owner.
class Recorder : public LogObserver {
 public:
  void OnDurable(Lsn lsn) override {
    NEXUS_CHECK(lsn > durable);
    NEXUS_CHECK(failed.ok());
    durable = lsn;
    durable_calls++;
  }
  void OnFailed(Status why) override {
    NEXUS_CHECK(failed.ok());
    failed = std::move(why);
  }
  void OnRoom() override { rooms++; }

  Lsn durable;
  int durable_calls = 0;
  Status failed;
  int rooms = 0;
};

struct TextRecord {
  std::string text;
  Lsn begin;
  Lsn end;
  bool operator==(const TextRecord& other) const {
    return text == other.text && begin == other.begin && end == other.end;
  }
};

inline io::Task<Status> CollectRecords(io::Environment* environment, LogScan scan,
                                       CursorOptions options, std::vector<TextRecord>* records) {
  LogCursor cursor(environment, scan, options);
  while (true) {
    NEXUS_CO_ASSIGN_OR_RETURN(std::span<const RecordView> some, co_await cursor.Next());
    if (some.empty()) co_return OkStatus();
    for (const RecordView& record : some) {
      records->push_back({std::string(AsString(record.body)), record.begin, record.end});
    }
  }
}

class Machine {
 public:
  explicit Machine(uint64_t seed = 1, sim::Options world_options = {})
      : world(seed, std::move(world_options)) {
    SetUp();
  }
  // In a world that `choices` decides about; they outlive it.
  explicit Machine(sim::ChoiceSource* choices, sim::Options world_options = {})
      : world(choices, /*seed=*/1, std::move(world_options)) {
    SetUp();
  }
  ~Machine() {
    // Files and frames go after the crash, as the world demands.
    if (world.alive()) world.Crash(sim::CrashKind::kProcessKill);
    log.reset();
    lock.reset();
  }

  // Boots if need be, locks, scans and starts. The error of any.
  Status Open(Witness known = {}) {
    std::optional<Status> opened = TryOpen(known);
    NEXUS_CHECK(opened.has_value());
    return *opened;
  }
  // The same; nothing if the world crashed meanwhile.
  std::optional<Status> TryOpen(Witness known = {}) {
    Boot();
    observer = std::make_unique<Recorder>();
    options.open_count++;
    known.database = kDatabase;
    return world.TryRunTask(OpenTask(this, known));
  }
  void Boot() {
    if (!world.alive()) environment = world.Boot();
  }
  void Crash(sim::CrashKind kind) {
    if (world.alive()) world.Crash(kind);
    log.reset();
    lock.reset();
  }
  // Closes in order and ends the process.
  Status Close() {
    Status closed = world.RunTask(log->Close());
    log.reset();
    lock.reset();
    world.Crash(sim::CrashKind::kProcessKill);
    return closed;
  }

  StatusOr<AppendResult> TryAppend(std::string_view text, Urgency urgency = Urgency::kBatch) {
    Bytes piece = AsBytes(text);
    StatusOr<AppendResult> result = AppendResult();
    world.RunOnLoop([&] { result = log->Append(kText, {&piece, 1}, urgency); });
    return result;
  }
  bool CanAppend(size_t bytes) {
    bool can = false;
    world.RunOnLoop([&] { can = log->CanAppend(bytes); });
    return can;
  }
  // Waits for room; the append must then be taken.
  AppendResult Append(std::string_view text) {
    bool room = world.RunUntil([&] { return CanAppend(text.size()); });
    NEXUS_CHECK(room);
    StatusOr<AppendResult> result = TryAppend(text);
    NEXUS_CHECK(result.ok());
    return *result;
  }
  AppendResult AppendDurable(std::string_view text) {
    AppendResult result = Append(text);
    NEXUS_CHECK(Sync().ok());
    return result;
  }
  Status Sync() { return world.RunTask(log->Sync()); }
  Status Trim(Lsn below) { return world.RunTask(log->Trim(below)); }

  StatusOr<LogScan> Scan(Witness known = {}) {
    Boot();
    return world.RunTask(ScanLog(environment, kFolder, known, nullptr));
  }
  // The records of the log as it stands now.
  StatusOr<std::vector<TextRecord>> Records(CursorOptions cursor = {}) {
    NEXUS_ASSIGN_OR_RETURN(LogScan scanned, Scan());
    return RecordsOf(scanned, cursor);
  }
  StatusOr<std::vector<TextRecord>> RecordsOf(const LogScan& scanned, CursorOptions cursor = {}) {
    std::vector<TextRecord> records;
    NEXUS_RETURN_IF_ERROR(world.RunTask(CollectRecords(environment, scanned, cursor, &records)));
    return records;
  }
  std::vector<std::string> Texts(CursorOptions cursor = {}) {
    StatusOr<std::vector<TextRecord>> records = Records(cursor);
    NEXUS_CHECK(records.ok());
    std::vector<std::string> texts;
    for (const TextRecord& record : *records) texts.push_back(record.text);
    return texts;
  }

  // Files of the folder whose names begin with `prefix`, oldest first.
  std::vector<std::string> Files(std::string_view prefix) const {
    std::vector<std::string> found;
    for (const std::string& path : world_files()) {
      if (path.starts_with(std::string(kFolder) + "/" + std::string(prefix))) found.push_back(path);
    }
    return found;
  }
  std::vector<std::string> world_files() const {
    return const_cast<sim::World&>(world).disk().VisibleFiles();
  }

  sim::World world;
  io::Environment* environment = nullptr;
  LogOptions options;
  LogScan scan;  // of the last Open
  std::unique_ptr<Recorder> observer;
  std::unique_ptr<Log> log;
  std::unique_ptr<io::FileLock> lock;

 private:
  void SetUp() {
    options.directory = kFolder;
    options.database = kDatabase;
    options.segment_bytes = 32 << 10;
    options.buffer_bytes = 8 << 10;
    options.buffers = 4;
    environment = world.Boot();
    NEXUS_CHECK(world.RunTask(io::MakeDirectories(environment->disk(), kFolder)).ok());
  }

  static io::Task<Status> OpenTask(Machine* machine, Witness known) {
    // Without the lock, writes that a killed process left behind could land after the scan.
    machine->lock.reset();
    NEXUS_CO_ASSIGN_OR_RETURN(
        machine->lock, co_await AcquireFolderLock(machine->environment, kFolder, 60'000'000'000));
    NEXUS_CO_ASSIGN_OR_RETURN(machine->scan,
                              co_await ScanLog(machine->environment, kFolder, known, nullptr));
    NEXUS_CO_ASSIGN_OR_RETURN(
        machine->log, co_await Log::Start(machine->environment, machine->options, &machine->scan,
                                          machine->observer.get()));
    co_return OkStatus();
  }
};

}  // namespace nexus::wal

#endif  // NEXUS_TESTS_WAL_HARNESS_H_
