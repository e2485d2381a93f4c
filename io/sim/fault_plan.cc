// Scripted and random faults. See fault_plan.h.

#include "io/sim/fault_plan.h"

#include <cerrno>

#include "base/check.h"
#include "io/file.h"

namespace nexus::sim {

const char* OpName(Op op) {
  static constexpr std::array<const char*, kOpCount> kNames = {
      "read",   "write", "sync",  "open",    "create", "allocate", "truncate",  "rename",
      "unlink", "mkdir", "rmdir", "syncdir", "list",   "lock",     "freespace", "link"};
  return kNames[static_cast<size_t>(op)];
}

void FaultPlan::Fail(OpFilter filter, uint64_t nth, int error, bool from_then_on) {
  NEXUS_CHECK(nth > 0);
  NEXUS_CHECK(error < 0);
  rules_.push_back({std::move(filter), nth - 1, from_then_on, error, std::nullopt});
}

void FaultPlan::Shorten(OpFilter filter, uint64_t nth, uint64_t bytes, bool from_then_on) {
  NEXUS_CHECK(nth > 0);
  rules_.push_back({std::move(filter), nth - 1, from_then_on, 0, bytes});
}

bool FaultPlan::DecideByRule(Op op, std::string_view path, Verdict* verdict) {
  // Every rule that matches counts the operation; the first that is due decides.
  bool decided = false;
  for (size_t i = 0; i < rules_.size();) {
    Rule& rule = rules_[i];
    if (!rule.filter.Matches(op, path)) {
      i++;
      continue;
    }
    if (rule.skip > 0) {
      rule.skip--;
      i++;
      continue;
    }
    if (decided) {
      i++;
      continue;
    }
    decided = true;
    verdict->error = rule.error;
    verdict->bytes_max = rule.bytes_max;
    if (rule.from_then_on) {
      i++;
    } else {
      rules_.erase(rules_.begin() + static_cast<ptrdiff_t>(i));
    }
  }
  if (decided) {
    rules_hit_++;
    trace_->Event(TraceTag::kFault, {static_cast<uint64_t>(op)}, "  fault: {} {} by rule: {}",
                  OpName(op), path, verdict->error);
  }
  return decided;
}

// Everything a class needs is drawn even where another class has hit already, so that its stream
// does not depend on the others.
bool FaultPlan::Draw(Fault fault) {
  return options_->mask.Has(fault) && choices_->Chance(StreamOf(fault), options_->faults[fault]);
}

void FaultPlan::Count(Fault fault) {
  hits_[static_cast<size_t>(fault)]++;
  trace_->Event(TraceTag::kFault, {kOpCount + static_cast<uint64_t>(fault)}, "  fault: {}",
                FaultName(fault));
}

bool FaultPlan::Hits(Fault fault) {
  if (!Draw(fault)) return false;
  Count(fault);
  return true;
}

void FaultPlan::Take(Fault fault, int error, Verdict* verdict) {
  verdict->random = true;
  verdict->fault = fault;
  verdict->error = error;
  Count(fault);
}

void FaultPlan::Random(Fault fault, int error, Verdict* verdict) {
  if (Draw(fault) && !verdict->random) Take(fault, error, verdict);
}

void FaultPlan::Damaged(Fault fault, uint64_t bytes, Verdict* verdict) {
  if (bytes == 0 || !Draw(fault)) return;
  const uint64_t damaged_byte = choices_->Choose(StreamOf(fault), bytes);
  const uint64_t damage = choices_->Choose(StreamOf(fault), 8);
  if (verdict->random) return;
  Take(fault, 0, verdict);
  verdict->damaged_byte = damaged_byte;
  verdict->damage = damage;
}

void FaultPlan::Shortened(Fault fault, uint64_t bytes, bool direct, Verdict* verdict) {
  const uint64_t grain = direct ? io::kSectorBytes : 1;
  if (bytes <= grain || !Draw(fault)) return;
  const uint64_t ways = (bytes - 1) / grain;
  const uint64_t bytes_max = grain * (ways - choices_->Choose(StreamOf(fault), ways));
  if (verdict->random) return;
  Take(fault, 0, verdict);
  verdict->bytes_max = bytes_max;
}

void FaultPlan::DecideRead(uint64_t bytes, bool direct, Verdict* verdict) {
  Random(Fault::kInterrupted, -EINTR, verdict);
  Damaged(Fault::kReadError, bytes, verdict);
  Damaged(Fault::kBitRot, bytes, verdict);
  Damaged(Fault::kMisdirectedRead, bytes, verdict);
  Shortened(Fault::kShortRead, bytes, direct, verdict);
}

void FaultPlan::DecideWrite(uint64_t bytes, bool direct, Verdict* verdict) {
  Random(Fault::kInterrupted, -EINTR, verdict);
  Random(Fault::kWriteError, -EIO, verdict);
  Random(Fault::kNoSpace, -ENOSPC, verdict);
  Random(Fault::kQuota, -EDQUOT, verdict);
  Random(Fault::kReadOnlyError, -EROFS, verdict);
  Shortened(Fault::kShortWrite, bytes, direct, verdict);
}

Verdict FaultPlan::Decide(Op op, std::string_view path, uint64_t bytes, bool direct) {
  Verdict verdict;
  if (DecideByRule(op, path, &verdict)) return verdict;
  switch (op) {
    case Op::kRead:
      DecideRead(bytes, direct, &verdict);
      break;
    case Op::kWrite:
      DecideWrite(bytes, direct, &verdict);
      break;
    case Op::kSync:
      Random(Fault::kSyncError, -EIO, &verdict);
      break;
    case Op::kSyncDirectory:
      Random(Fault::kDirectorySyncError, -EIO, &verdict);
      break;
    case Op::kCreate:
    case Op::kAllocate:
    case Op::kMakeDirectory:
    case Op::kLink:
      Random(Fault::kNoSpace, -ENOSPC, &verdict);
      Random(Fault::kMetadataError, -EIO, &verdict);
      break;
    case Op::kOpen:
    case Op::kTruncate:
    case Op::kRename:
    case Op::kUnlink:
    case Op::kRemoveDirectory:
      Random(Fault::kMetadataError, -EIO, &verdict);
      break;
    case Op::kList:
    case Op::kLock:
    case Op::kFreeSpace:
      break;
  }
  return verdict;
}

}  // namespace nexus::sim
