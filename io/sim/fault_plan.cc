// Scripted and random faults. See fault_plan.h.

#include "io/sim/fault_plan.h"

#include <cerrno>

#include "base/check.h"
#include "io/file.h"

namespace nexus::sim {

const char* OpName(Op op) {
  static constexpr std::array<const char*, kOpCount> kNames = {
      "read",   "write", "sync",  "open",    "create", "allocate", "truncate", "rename",
      "unlink", "mkdir", "rmdir", "syncdir", "list",   "lock",     "freespace"};
  return kNames[static_cast<size_t>(op)];
}

void FaultPlan::Fail(OpFilter filter, uint64_t nth, int error, bool from_then_on) {
  NEXUS_CHECK(nth > 0);
  NEXUS_CHECK(error < 0);
  rules_.push_back({std::move(filter), nth - 1, from_then_on, error, std::nullopt});
}

void FaultPlan::Shorten(OpFilter filter, uint64_t bytes) {
  rules_.push_back({std::move(filter), 0, false, 0, bytes});
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

bool FaultPlan::Hits(Fault fault) {
  if (!options_->mask.Has(fault)) return false;
  if (!choices_->Chance(StreamOf(fault), options_->faults[fault])) return false;
  hits_[static_cast<size_t>(fault)]++;
  trace_->Event(TraceTag::kFault, {100 + static_cast<uint64_t>(fault)}, "  fault: {}",
                FaultName(fault));
  return true;
}

bool FaultPlan::Random(Fault fault, int error, Verdict* verdict) {
  // Drawn even if another class has hit already, so that this one's stream does not depend on it.
  if (!Hits(fault) || verdict->random) return false;
  verdict->random = true;
  verdict->fault = fault;
  verdict->error = error;
  return true;
}

void FaultPlan::Shortened(Fault fault, uint64_t bytes, bool direct, Verdict* verdict) {
  const uint64_t grain = direct ? io::kSectorBytes : 1;
  if (bytes <= grain) return;
  if (!Random(fault, 0, verdict)) return;
  const uint64_t ways = (bytes - 1) / grain;
  verdict->bytes_max = grain * (ways - choices_->Choose(StreamOf(fault), ways));
}

void FaultPlan::DecideRead(uint64_t bytes, bool direct, Verdict* verdict) {
  Random(Fault::kInterrupted, -EINTR, verdict);
  Random(Fault::kReadError, 0, verdict);
  Random(Fault::kBitRot, 0, verdict);
  Random(Fault::kMisdirectedRead, 0, verdict);
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
