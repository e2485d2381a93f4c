// Reads, writes and syncs of the simulated disk: D1, D2, D3, D8, D9, D10. See disk.h.

#include "io/sim/transfer.h"

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "base/hash.h"

namespace nexus::sim {
namespace {

using io::FileOp;
using io::kSectorBytes;

const char* KindName(FileOp::Kind kind) {
  switch (kind) {
    case FileOp::Kind::kRead:
      return "read";
    case FileOp::Kind::kWrite:
      return "write";
    case FileOp::Kind::kSync:
      return "sync";
    case FileOp::Kind::kWriteThenSync:
      return "write+sync";
  }
  return "?";
}

bool IsAligned(uint64_t offset, MutableBytes bytes) {
  const auto address = reinterpret_cast<uintptr_t>(bytes.data());
  return (offset | bytes.size() | address) % kSectorBytes == 0;
}

}  // namespace

Disk::Transfer* Disk::NewTransfer() {
  if (pool_.empty()) {
    transfers_.push_back(std::make_unique<Transfer>(this));
  } else {
    transfers_.push_back(std::move(pool_.back()));
    pool_.pop_back();
  }
  return transfers_.back().get();
}

void Disk::Recycle(Transfer* transfer) {
  auto at = std::find_if(transfers_.begin(), transfers_.end(),
                         [&](const auto& each) { return each.get() == transfer; });
  NEXUS_CHECK(at != transfers_.end());
  transfer->op = nullptr;
  transfer->file.reset();
  transfer->kept.clear();
  pool_.push_back(std::move(*at));
  transfers_.erase(at);
}

void Disk::CheckNoOverlap(const Transfer& transfer) const {
  const uint64_t end = transfer.offset + transfer.bytes.size();
  for (const auto& other : transfers_) {
    if (other.get() == &transfer || !other->writes()) continue;
    if (other->op == nullptr || other->file->node != transfer.file->node) continue;
    const bool writes_in_flight_overlap =
        transfer.offset < other->offset + other->bytes.size() && other->offset < end;
    NEXUS_CHECK(!writes_in_flight_overlap);
  }
}

void Disk::Submit(std::shared_ptr<OpenFile> file, FileOp* op, int64_t pid) {
  const bool syncs_only = op->kind == FileOp::Kind::kSync;
  if (file->direct && !syncs_only) NEXUS_CHECK(IsAligned(op->offset, op->buffer));
  Transfer* t = NewTransfer();
  t->op = op;
  t->kind = op->kind;
  t->number = next_operation_++;
  t->pid = pid;
  t->offset = syncs_only ? 0 : op->offset;
  t->bytes = syncs_only ? MutableBytes() : op->buffer;
  t->bytes_hash = t->writes() ? XxHash64(t->bytes) : 0;
  t->covers = file->node->file->next_sequence();
  t->file = std::move(file);
  t->file->in_flight++;
  if (t->writes() && options_->check_overlapping_writes) CheckNoOverlap(*t);
  trace_->Event(TraceTag::kSubmit,
                {t->number, static_cast<uint64_t>(t->kind), XxHash64(AsBytes(t->file->path)),
                 t->offset, t->bytes.size(), t->bytes_hash},
                "{} submit #{} {} {} @{}+{}", scheduler_->now(), t->number, KindName(t->kind),
                t->file->path, t->offset, t->bytes.size());
  t->verdict = Verdict();
  t->sync_verdict = Verdict();
  if (!syncs_only) {
    const Op kind = t->writes() ? Op::kWrite : Op::kRead;
    submitted_[static_cast<size_t>(kind)]++;
    t->verdict = faults_.Decide(kind, t->file->path, t->bytes.size(), t->file->direct);
  }
  int64_t delay = 0;
  if (!syncs_only) delay += scheduler_->Delay(t->writes() ? options_->write : options_->read);
  if (t->syncs()) {
    submitted_[static_cast<size_t>(Op::kSync)]++;
    t->sync_verdict = faults_.Decide(Op::kSync, t->file->path, 0, false);
    delay += scheduler_->Delay(options_->sync);
  }
  t->due_ns = scheduler_->now() + delay;
  scheduler_->At(t->due_ns, t);
}

void Disk::Complete(io::RunNode* node) {
  auto* t = static_cast<Transfer*>(node);
  Disk* disk = t->disk;
  int64_t result = 0;
  int64_t sync_result = 0;
  disk->Land(t, &result, &sync_result);
  disk->trace_->Event(
      TraceTag::kComplete,
      {t->number, static_cast<uint64_t>(result), static_cast<uint64_t>(sync_result)},
      "{} complete #{} {} {}: {} {}", disk->scheduler_->now(), t->number, KindName(t->kind),
      t->file->path, result, sync_result);
  FileOp* op = t->op;
  if (op == nullptr) {
    disk->FinishLeftBehind(t);
    return;
  }
  t->file->in_flight--;
  disk->Recycle(t);
  op->result = result;
  op->sync_result = sync_result;
  op->done(op);
}

void Disk::Land(Transfer* t, int64_t* result, int64_t* sync_result) {
  switch (t->kind) {
    case FileOp::Kind::kRead:
      *result = LandRead(*t->file, t->offset, t->bytes, t->verdict);
      return;
    case FileOp::Kind::kSync:
      *result = LandSync(*t, Inode::kNoChange);
      return;
    case FileOp::Kind::kWrite:
    case FileOp::Kind::kWriteThenSync:
      break;
  }
  if (options_->check_write_buffers) {
    const bool buffer_is_unchanged = XxHash64(t->bytes) == t->bytes_hash;
    NEXUS_CHECK(buffer_is_unchanged);
  }
  uint64_t sequence = Inode::kNoChange;
  *result = LandWrite(*t, &sequence);
  if (!t->syncs()) return;
  const bool whole = *result == static_cast<int64_t>(t->bytes.size());
  *sync_result = whole ? LandSync(*t, sequence) : -ECANCELED;
}

void Disk::DamageAtRest(Inode* inode, uint64_t offset, uint64_t bytes, const Verdict& verdict) {
  const uint64_t at = offset + verdict.damaged_byte % bytes;
  const uint64_t sector = at / kSectorBytes;
  if (!inode->AtRest(sector)) return;
  if (verdict.fault == Fault::kReadError) {
    inode->MakeUnreadable(sector);
  } else if (verdict.fault == Fault::kBitRot) {
    inode->FlipBit(at, static_cast<int>(verdict.damage));
  } else {
    const uint64_t sectors = AlignUp(inode->size(), kSectorBytes) / kSectorBytes;
    inode->Misdirect(sector, (sector + 1 + verdict.damage) % sectors);
  }
}

int64_t Disk::LandRead(const OpenFile& file, uint64_t offset, MutableBytes into,
                       const Verdict& verdict) {
  if (verdict.error != 0) return verdict.error;
  Inode* inode = file.node->file.get();
  const uint64_t there = offset < inode->size() ? inode->size() - offset : 0;
  uint64_t bytes = std::min<uint64_t>(into.size(), there);
  if (bytes == 0) return 0;
  if (verdict.random && verdict.fault != Fault::kShortRead) {
    DamageAtRest(inode, offset, bytes, verdict);
  }
  if (inode->Unreadable(offset, bytes)) return -EIO;
  bytes = std::min(bytes, verdict.bytes_max.value_or(bytes));
  return static_cast<int64_t>(inode->Read(offset, into.first(bytes)));
}

int64_t Disk::ReadNow(const OpenFile& file, uint64_t offset, MutableBytes into) {
  if (file.direct) NEXUS_CHECK(IsAligned(offset, into));
  submitted_[static_cast<size_t>(Op::kRead)]++;
  const Verdict verdict = faults_.Decide(Op::kRead, file.path, into.size(), file.direct);
  const int64_t result = LandRead(file, offset, into, verdict);
  trace_->Event(TraceTag::kComplete,
                {XxHash64(AsBytes(file.path)), offset, into.size(), static_cast<uint64_t>(result)},
                "{} read now {} @{}+{}: {}", scheduler_->now(), file.path, offset, into.size(),
                result);
  return result;
}

// How much of a write fits on the disk.
uint64_t Disk::RoomFor(const Inode& inode, uint64_t offset, uint64_t bytes) const {
  const uint64_t capacity = capacity_bytes_ / kSectorBytes;
  const uint64_t room = capacity > used_sectors_ ? capacity - used_sectors_ : 0;
  if (inode.MissingSectors(offset, bytes) <= room) return bytes;
  uint64_t fits = 0;
  while (fits < bytes) {
    const uint64_t next = std::min(bytes, AlignUp(offset + fits + 1, kSectorBytes) - offset);
    if (inode.MissingSectors(offset, next) > room) break;
    fits = next;
  }
  return fits;
}

// Counts what a file grew or shrank by; one that nothing refers to any more takes no space.
void Disk::Account(const Node& node, uint64_t sectors_before) {
  if (node.links == 0 && node.handles == 0) return;
  used_sectors_ += node.file->allocated_sectors() - sectors_before;
}

// D9: after EIO any of the sectors may have been written.
void Disk::LandSomeSectors(const Transfer& t) {
  Inode* inode = t.file->node->file.get();
  for (uint64_t done = 0; done < t.bytes.size();) {
    const uint64_t at = t.offset + done;
    const uint64_t n = std::min(t.bytes.size() - done, kSectorBytes - at % kSectorBytes);
    if (choices_->Choose(StreamOf(Fault::kWriteError), 2) == 1 && RoomFor(*inode, at, n) == n) {
      const uint64_t before = inode->allocated_sectors();
      inode->Write(at, Bytes(t.bytes).subspan(done, n));
      Account(*t.file->node, before);
    }
    done += n;
  }
}

int64_t Disk::LandWrite(const Transfer& t, uint64_t* sequence) {
  if (!t.file->write) return -EBADF;
  if (read_only_) return -EROFS;
  if (t.file->failed || t.verdict.error == -EIO) {
    LandSomeSectors(t);
    return -EIO;
  }
  if (t.verdict.error != 0) return t.verdict.error;
  Inode* inode = t.file->node->file.get();
  const uint64_t wanted =
      std::min<uint64_t>(t.bytes.size(), t.verdict.bytes_max.value_or(t.bytes.size()));
  const uint64_t bytes = RoomFor(*inode, t.offset, wanted);
  if (bytes == 0 && wanted > 0) return -ENOSPC;
  const uint64_t before = inode->allocated_sectors();
  *sequence = inode->Write(t.offset, Bytes(t.bytes).first(bytes));
  Account(*t.file->node, before);
  return static_cast<int64_t>(bytes);
}

int64_t Disk::LandSync(const Transfer& t, uint64_t own) {
  Inode* inode = t.file->node->file.get();
  if (t.file->failed) return -EIO;
  int error = t.sync_verdict.error;
  if (read_only_ && inode->pending()) error = -EIO;
  if (error == 0) {
    inode->MakeDurable(t.covers, own);
    return 0;
  }
  inode->LoseUnsynced(choices_);
  t.file->failed = true;
  return error;
}

}  // namespace nexus::sim
