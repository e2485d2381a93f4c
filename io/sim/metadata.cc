// Open, names, space and locks of the simulated disk: D4, D5. See disk.h.

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "base/hash.h"
#include "io/sim/disk.h"

namespace nexus::sim {

MetadataOp::MetadataOp(Disk* on, Op asked, std::string name)
    : io::RunNode(&Disk::Perform), disk(on), op(asked), path(std::move(name)) {}

void Disk::Start(MetadataOp* op) {
  submitted_[static_cast<size_t>(op->op)]++;
  op->verdict = faults_.Decide(op->op, op->path, 0, false);
  op->covers = names_.next_sequence();
  if (op->file != nullptr) op->file->in_flight++;
  metadata_.push_back(op);
  scheduler_->At(scheduler_->now() + scheduler_->Delay(options_->metadata), op);
}

void Disk::Perform(io::RunNode* node) {
  auto* op = static_cast<MetadataOp*>(node);
  Disk* disk = op->disk;
  std::erase(disk->metadata_, op);
  if (op->file != nullptr) op->file->in_flight--;
  op->error = op->verdict.error != 0 ? op->verdict.error : disk->Execute(op);
  disk->trace_->Event(TraceTag::kMetadata,
                      {static_cast<uint64_t>(op->op), XxHash64(AsBytes(op->path)),
                       XxHash64(AsBytes(op->to)), op->bytes, static_cast<uint64_t>(op->error)},
                      "{} {} {} {} {}: {}", disk->scheduler_->now(), OpName(op->op), op->path,
                      op->to, op->bytes, op->error);
  op->waiter.resume();
}

int Disk::Execute(MetadataOp* op) {
  NodeRef replaced;
  int error = 0;
  switch (op->op) {
    case Op::kOpen:
    case Op::kCreate:
      return ExecuteOpen(op);
    case Op::kAllocate:
      return ExecuteAllocate(op);
    case Op::kTruncate:
      return ExecuteTruncate(op);
    case Op::kList:
      return ExecuteList(op);
    case Op::kLock:
      return ExecuteLock(op);
    case Op::kSyncDirectory:
      return ExecuteSyncDirectory(op);
    case Op::kFreeSpace:
      return ExecuteFreeSpace(op);
    case Op::kRename:
      replaced = names_.Find(op->to).second;
      error = read_only_ ? -EROFS : names_.Rename(op->path, op->to);
      break;
    case Op::kUnlink:
      replaced = names_.Find(op->path).second;
      error = read_only_ ? -EROFS : names_.Unlink(op->path);
      break;
    case Op::kLink:
      return read_only_ ? -EROFS : names_.Link(op->path, op->to);
    case Op::kMakeDirectory:
      // An existing name is told even where nothing can be written, as the kernel does.
      if (names_.Find(op->path).first == 0) return -EEXIST;
      return read_only_ ? -EROFS : names_.MakeDirectory(op->path);
    case Op::kRemoveDirectory:
      return read_only_ ? -EROFS : names_.RemoveDirectory(op->path);
    case Op::kRead:
    case Op::kWrite:
    case Op::kSync:
      NEXUS_CHECK(false);
  }
  if (error == 0 && replaced != nullptr) ReleaseIfUnused(replaced);
  return error;
}

int Disk::CreateFile(const std::string& path, NodeRef* node) {
  if (read_only_) return -EROFS;
  *node = std::make_shared<Node>(std::make_unique<Inode>(next_inode_id_++));
  return names_.Create(path, *node);
}

int Disk::ExecuteOpen(MetadataOp* op) {
  auto [error, node] = names_.Find(op->path);
  if (error == -ENOENT && op->flags.create) {
    error = CreateFile(op->path, &node);
  } else if (error == 0 && op->flags.create && op->flags.exclusive) {
    return -EEXIST;
  }
  if (error != 0) return error;
  if (node->is_directory()) return -EISDIR;
  if (op->flags.write && read_only_) return -EROFS;
  if (op->flags.truncate) {
    const uint64_t before = node->file->allocated_sectors();
    node->file->Truncate(0);
    Account(*node, before);
  }
  op->file = std::make_shared<OpenFile>();
  op->file->node = node;
  op->file->path = op->path;
  op->file->write = op->flags.write;
  op->file->direct = op->flags.direct && options_->direct_io;
  node->handles++;
  return 0;
}

std::shared_ptr<OpenFile> Disk::OpenNow(const std::string& path, int* error) {
  MetadataOp op(this, Op::kOpen, path);
  submitted_[static_cast<size_t>(Op::kOpen)]++;
  const Verdict verdict = faults_.Decide(Op::kOpen, path, 0, false);
  *error = verdict.error != 0 ? verdict.error : ExecuteOpen(&op);
  trace_->Event(TraceTag::kMetadata, {XxHash64(AsBytes(path)), static_cast<uint64_t>(*error)},
                "{} open now {}: {}", scheduler_->now(), path, *error);
  return op.file;
}

int Disk::ExecuteAllocate(MetadataOp* op) {
  if (!op->file->write) return -EBADF;
  if (read_only_) return -EROFS;
  Inode* inode = op->file->node->file.get();
  if (RoomFor(*inode, 0, op->bytes) < op->bytes) return -ENOSPC;
  const uint64_t before = inode->allocated_sectors();
  inode->Allocate(op->bytes);
  Account(*op->file->node, before);
  return 0;
}

int Disk::ExecuteTruncate(MetadataOp* op) {
  if (!op->file->write) return -EINVAL;
  if (read_only_) return -EROFS;
  Inode* inode = op->file->node->file.get();
  const uint64_t before = inode->allocated_sectors();
  inode->Truncate(op->bytes);
  Account(*op->file->node, before);
  return 0;
}

int Disk::ExecuteList(MetadataOp* op) {
  const auto [error, node] = names_.Find(op->path);
  if (error != 0) return error;
  if (!node->is_directory()) return -ENOTDIR;
  for (const auto& [name, child] : node->visible) {
    io::DirectoryEntry entry;
    entry.name = name;
    entry.is_directory = child->is_directory();
    entry.bytes = child->is_directory() ? 0 : child->file->size();
    op->entries.push_back(std::move(entry));
  }
  return 0;
}

int Disk::ExecuteLock(MetadataOp* op) {
  auto [error, node] = names_.Find(op->path);
  if (error == -ENOENT) error = CreateFile(op->path, &node);
  if (error != 0) return error;
  if (node->is_directory()) return -EISDIR;
  const auto [held, taken] = locks_.try_emplace(node->file->id(), Lock{op->pid});
  if (!taken) {
    op->pid = held->second.pid;
    return -EWOULDBLOCK;
  }
  op->lock_id = node->file->id();
  if (read_only_) return 0;
  const uint64_t before = node->file->allocated_sectors();
  node->file->Truncate(0);
  node->file->Write(0, AsBytes(fmt::format("{}\n", op->pid)));
  Account(*node, before);
  return 0;
}

int Disk::ExecuteSyncDirectory(MetadataOp* op) {
  const auto [error, node] = names_.Find(op->path);
  if (error != 0) return error;
  if (!node->is_directory()) return -ENOTDIR;
  if (read_only_) return -EROFS;
  names_.Sync(node, op->covers);
  return 0;
}

int Disk::ExecuteFreeSpace(MetadataOp* op) {
  const auto [error, node] = names_.Find(op->path);
  if (error != 0) return error;
  op->bytes = capacity_bytes_ > used_bytes() ? capacity_bytes_ - used_bytes() : 0;
  return 0;
}

void Disk::Close(OpenFile* file) {
  NEXUS_CHECK(file->in_flight == 0);
  file->node->handles--;
  ReleaseIfUnused(file->node);
}

void Disk::ReleaseIfUnused(const NodeRef& node) {
  if (node->is_directory() || node->links > 0 || node->handles > 0) return;
  used_sectors_ -= node->file->allocated_sectors();
}

void Disk::RecountSpace() {
  used_sectors_ = 0;
  for (const auto& [path, node] : names_.Files(/*durable=*/false)) {
    used_sectors_ += node->file->allocated_sectors();
  }
}

}  // namespace nexus::sim
