// Machine: the small vocabulary of the simulator's tests - one world, driven a call at a time.
//
// Each call runs on the loop to its end; Flying operations are submitted and left in flight.
// Threading: one thread.

#ifndef NEXUS_TESTS_IO_SIM_MACHINE_H_
#define NEXUS_TESTS_IO_SIM_MACHINE_H_

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "io/file_util.h"
#include "io/sim/world.h"

namespace nexus::sim {

// Both outcomes of a fair choice are missed by this many seeds once in 2^200 runs, one outcome in
// eight once in 10^11.
inline constexpr uint64_t kSeeds = 200;

// How often each outcome was seen.
using Outcomes = std::map<std::string, int>;

inline Outcomes OverSeeds(const std::function<std::string(uint64_t seed)>& run) {
  Outcomes seen;
  for (uint64_t seed = 0; seed < kSeeds; seed++) seen[run(seed)]++;
  return seen;
}

// A file's content of whole sectors as one character each: the one it is filled with, '0' for
// zeros, '?' for a mixture.
inline std::string BySector(std::string_view content) {
  std::string sectors;
  for (size_t at = 0; at < content.size(); at += io::kSectorBytes) {
    const std::string_view sector = content.substr(at, io::kSectorBytes);
    const bool uniform = sector.find_first_not_of(sector[0]) == std::string_view::npos;
    sectors += !uniform ? '?' : sector[0] == '\0' ? '0' : sector[0];
  }
  return sectors;
}

// An operation left in flight.
struct Flying : io::FileOp {
  Flying(io::File* file, Kind op, uint64_t at, MutableBytes bytes)
      : FileOp(op, at, bytes, &Complete) {
    file->Submit(this);
  }
  static void Complete(FileOp* op) { static_cast<Flying*>(op)->landed = true; }
  bool landed = false;
};

// Sector-aligned memory of `sectors` sectors, each filled with its letter of `letters`.
inline io::AlignedBuffer Sectors(std::string_view letters) {
  io::AlignedBuffer buffer(letters.size() * io::kSectorBytes);
  for (size_t i = 0; i < letters.size(); i++) {
    std::memset(buffer.data() + i * io::kSectorBytes, letters[i], io::kSectorBytes);
  }
  return buffer;
}

// GCC 12 cannot return these awaiters' values from lambdas' coroutines; free functions can.
inline io::Task<int64_t> ReadTask(io::File* file, uint64_t offset, MutableBytes into) {
  co_return co_await io::Read(file, offset, into);
}
inline io::Task<int64_t> WriteTask(io::File* file, uint64_t offset, Bytes from) {
  co_return co_await io::Write(file, offset, from);
}
inline io::Task<int64_t> SyncTask(io::File* file) { co_return co_await io::Sync(file); }

inline io::OpenFlags ForWriting(bool direct = false) {
  io::OpenFlags flags;
  flags.write = flags.create = true;
  flags.direct = direct;
  return flags;
}

struct Machine {
  explicit Machine(uint64_t seed, Options options = {}) : world(seed, std::move(options)) {
    world.Boot();
  }
  explicit Machine(ChoiceSource* choices, Options options = {})
      : world(choices, 1, std::move(options)) {
    world.Boot();
  }

  io::Disk* disk() { return world.environment()->disk(); }
  std::unique_ptr<io::File> Open(const std::string& path, io::OpenFlags flags = ForWriting()) {
    io::OpenResult opened = world.RunTask(disk()->Open(path, flags));
    EXPECT_EQ(opened.error, 0) << path;
    return std::move(opened.file);
  }
  int64_t Write(io::File* file, uint64_t offset, std::string_view bytes) {
    return world.RunTask(WriteTask(file, offset, AsBytes(bytes)));
  }
  // Writes whole sectors from sector `first` on, one for each letter.
  int64_t WriteSectors(io::File* file, uint64_t first, std::string_view letters) {
    const io::AlignedBuffer buffer = Sectors(letters);
    return world.RunTask(WriteTask(file, first * io::kSectorBytes, buffer.span()));
  }
  int64_t Sync(io::File* file) { return world.RunTask(SyncTask(file)); }
  int64_t Read(io::File* file, uint64_t offset, std::string* into) {
    return world.RunTask(ReadTask(file, offset, std::as_writable_bytes(std::span(*into))));
  }
  int SyncDirectory(const std::string& path) { return world.RunTask(disk()->SyncDirectory(path)); }
  int Rename(const std::string& from, const std::string& to) {
    return world.RunTask(disk()->Rename(from, to));
  }
  int Unlink(const std::string& path) { return world.RunTask(disk()->Unlink(path)); }

  // A file with this durable content, open for writing.
  std::unique_ptr<io::File> Durable(const std::string& path, std::string_view letters,
                                    bool direct = false) {
    world.disk().WriteDurable(path, Sectors(letters).span());
    return Open(path, ForWriting(direct));
  }
  // Ends the incarnation and begins the next.
  void PowerCut() {
    world.Crash(CrashKind::kPowerCut);
    world.Boot();
  }
  void ProcessKill() {
    world.Crash(CrashKind::kProcessKill);
    world.Boot();
  }
  // What is there, by sector; "absent" if nothing is.
  std::string Seen(std::string_view path) {
    const std::optional<std::string> content = world.disk().ReadVisible(path);
    return content ? BySector(*content) : "absent";
  }

  World world;
};

}  // namespace nexus::sim

#endif  // NEXUS_TESTS_IO_SIM_MACHINE_H_
