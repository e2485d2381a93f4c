// Disk::Transfer: one read, write or sync on its way to the simulated disk. Internal to Disk.

#ifndef NEXUS_IO_SIM_TRANSFER_H_
#define NEXUS_IO_SIM_TRANSFER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "io/sim/disk.h"

namespace nexus::sim {

struct Disk::Transfer : io::RunNode {
  explicit Transfer(Disk* on) : io::RunNode(&Disk::Complete), disk(on) {}

  bool writes() const {
    return kind == io::FileOp::Kind::kWrite || kind == io::FileOp::Kind::kWriteThenSync;
  }
  bool syncs() const {
    return kind == io::FileOp::Kind::kSync || kind == io::FileOp::Kind::kWriteThenSync;
  }

  Disk* const disk;
  io::FileOp* op = nullptr;  // null: its process is dead
  std::shared_ptr<OpenFile> file;
  io::FileOp::Kind kind = io::FileOp::Kind::kRead;
  uint64_t number = 0;
  int64_t pid = 0;
  uint64_t offset = 0;
  MutableBytes bytes;
  uint64_t bytes_hash = 0;      // of a write, when it was submitted
  std::vector<std::byte> kept;  // a dead process's buffer
  uint64_t covers = 0;          // a sync: the changes below this
  int64_t due_ns = 0;
  Verdict verdict;  // of the read or write
  Verdict sync_verdict;
};

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_TRANSFER_H_
