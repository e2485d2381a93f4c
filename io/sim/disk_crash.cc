// What a process kill and a power cut do to the simulated disk. See disk.h; what becomes of each
// file is in inode_crash.cc, of the names in namespace.cc.

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "io/sim/transfer.h"

namespace nexus::sim {
namespace {

bool ChangesTheDisk(const MetadataOp& op) {
  switch (op.op) {
    case Op::kOpen:
      return op.flags.truncate;
    case Op::kCreate:
    case Op::kAllocate:
    case Op::kTruncate:
    case Op::kRename:
    case Op::kLink:
    case Op::kUnlink:
    case Op::kMakeDirectory:
    case Op::kRemoveDirectory:
      return true;
    default:
      return false;
  }
}

}  // namespace

// Of the metadata operations in flight, each has happened or not.
void Disk::SettleMetadataInFlight() {
  const std::vector<MetadataOp*> in_flight = std::move(metadata_);
  metadata_.clear();
  for (MetadataOp* op : in_flight) {
    if (!ChangesTheDisk(*op) || op->verdict.error != 0) continue;
    if (choices_->Choose(Stream::kCrash, 2) == 0) Execute(op);
  }
}

// Decides what becomes of an operation in flight when its process is killed. False: nothing.
bool Disk::LeaveBehind(Transfer* t) {
  t->op = nullptr;
  if (t->kind == io::FileOp::Kind::kRead) return false;
  const uint64_t ways = t->kind == io::FileOp::Kind::kSync    ? 2
                        : t->kind == io::FileOp::Kind::kWrite ? 3
                                                              : 4;
  switch (static_cast<Fate>(choices_->Choose(Stream::kCrash, ways))) {
    case Fate::kWhole:
      break;
    case Fate::kDropped:
      return false;
    case Fate::kPart:
      t->verdict.bytes_max =
          choices_->Choose(Stream::kCrash, t->bytes.size() / io::kSectorBytes + 1) *
          io::kSectorBytes;
      break;
    case Fate::kWriteOnly:
      t->kind = io::FileOp::Kind::kWrite;
      break;
  }
  // The engine's buffer goes with the process.
  t->kept.assign(t->bytes.begin(), t->bytes.end());
  t->bytes = t->kept;
  return true;
}

void Disk::ProcessKill(int64_t pid) {
  SettleMetadataInFlight();
  std::vector<Transfer*> ended;
  for (const auto& t : transfers_) {
    // Those of earlier victims stay as they are.
    if (t->op != nullptr && !LeaveBehind(t.get())) ended.push_back(t.get());
  }
  for (Transfer* t : ended) Recycle(t);
  for (const auto& t : transfers_) scheduler_->At(t->due_ns, t.get());
  names_.VisitAll([](const NodeRef& node) { node->handles = 0; });
  RecountSpace();
  for (auto& [id, lock] : locks_) {
    if (lock.pid == pid) lock.dead = true;
  }
  ReleaseLocksOfDead(pid);
  trace_->Event(TraceTag::kSurvival, {transfers_.size()}, "{} left behind: {} operations",
                scheduler_->now(), transfers_.size());
}

// Frees the locks of a dead process, unless it has operations in flight: its lock is registered in
// the kernel's I/O context and lives as long as that.
void Disk::ReleaseLocksOfDead(int64_t pid) {
  for (const auto& t : transfers_) {
    if (t->pid == pid) return;
  }
  std::erase_if(locks_,
                [&](const auto& lock) { return lock.second.dead && lock.second.pid == pid; });
}

void Disk::FinishLeftBehind(Transfer* t) {
  const int64_t pid = t->pid;
  Recycle(t);
  ReleaseLocksOfDead(pid);
}

void Disk::PowerCut() {
  SettleMetadataInFlight();
  std::map<const Node*, std::vector<InFlightWrite>> in_flight;
  for (const auto& t : transfers_) {
    if (!t->writes() || !t->file->write || read_only_) continue;
    in_flight[t->file->node.get()].push_back({t->offset, t->bytes});
  }
  const uint32_t garbage =
      options_->mask.Has(Fault::kGarbageSector) ? options_->faults[Fault::kGarbageSector] : 0;
  const Survival survival{choices_, &garbage_, garbage};
  names_.VisitAll([&](const NodeRef& node) {
    auto writes = in_flight.find(node.get());
    node->file->PowerCut(writes == in_flight.end() ? std::span<const InFlightWrite>()
                                                   : std::span<const InFlightWrite>(writes->second),
                         survival);
    node->handles = 0;
  });
  names_.PowerCut(choices_);
  while (!transfers_.empty()) Recycle(transfers_.back().get());
  locks_.clear();
  RecountSpace();
  for (const auto& [path, node] : names_.Files(/*durable=*/true)) {
    trace_->Event(TraceTag::kSurvival, {node->file->id(), node->file->size()},
                  "{} survived: {} {} bytes", scheduler_->now(), path, node->file->size());
  }
}

size_t Disk::left_behind() const {
  return static_cast<size_t>(std::count_if(transfers_.begin(), transfers_.end(),
                                           [](const auto& t) { return t->op == nullptr; }));
}

}  // namespace nexus::sim
