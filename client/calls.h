// The questions of a Client: answers that are collected, and one that streams to a reader on
// another thread.
//
// OnReply and OnEnd come on the client's loop; the waiting side is any other thread.

#ifndef NEXUS_CLIENT_CALLS_H_
#define NEXUS_CLIENT_CALLS_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "client/protocol/backup.h"
#include "client/protocol/branches.h"
#include "client/protocol/cardinality.h"
#include "client/protocol/delete.h"
#include "client/protocol/format.h"
#include "client/protocol/progress.h"
#include "client/protocol/query.h"
#include "client/protocol/retention.h"
#include "client/protocol/rollups.h"
#include "client/protocol/scrub.h"
#include "client/protocol/tenants.h"
#include "client/session.h"

namespace nexus::client {

// A call that ends, with what came collected.
class CollectingCall : public Call {
 public:
  CollectingCall() = default;
  // `progress` is told what PROGRESS says, on the loop.
  explicit CollectingCall(std::function<void(const protocol::Progress&)> progress)
      : progress_(std::move(progress)) {}

  // On the loop, as soon as it is asked.
  void Asked(Session* session, uint64_t number) {
    session_ = session;
    number_ = number;
  }
  // Blocks. Any thread but the loop.
  Status Wait() {
    finished_.Wait();
    return status_;
  }
  // After Wait.
  std::vector<std::string>& strings() { return strings_; }
  std::vector<protocol::Stat>& stats() { return stats_; }
  protocol::ScrubReply& scrub() { return scrub_; }
  std::vector<protocol::BranchEntry>& branches() { return branches_; }
  std::vector<protocol::TenantEntry>& tenants() { return tenants_; }
  protocol::CardinalityReply& cardinality() { return cardinality_; }
  protocol::RetentionList& retention() { return retention_; }
  protocol::RollupList& rollups() { return rollups_; }
  const protocol::Count& count() const { return count_; }
  const protocol::BackupReply& backup() const { return backup_; }

  Status OnReply(protocol::Opcode opcode, Bytes body) override {
    if (opcode == protocol::Opcode::kStatsReply) {
      NEXUS_ASSIGN_OR_RETURN(stats_, protocol::DecodeStats(body));
      return OkStatus();
    }
    if (opcode == protocol::Opcode::kBranchList) {
      NEXUS_ASSIGN_OR_RETURN(branches_, protocol::DecodeBranchList(body));
      return OkStatus();
    }
    if (opcode == protocol::Opcode::kTenantList) {
      NEXUS_ASSIGN_OR_RETURN(tenants_, protocol::DecodeTenantList(body));
      return OkStatus();
    }
    if (opcode == protocol::Opcode::kCardinalityReply) {
      NEXUS_ASSIGN_OR_RETURN(cardinality_, protocol::DecodeCardinalityReply(body));
      return OkStatus();
    }
    if (opcode == protocol::Opcode::kRetentionList) {
      NEXUS_ASSIGN_OR_RETURN(retention_, protocol::DecodeRetentionList(body));
      return OkStatus();
    }
    if (opcode == protocol::Opcode::kRollupList) {
      NEXUS_ASSIGN_OR_RETURN(rollups_, protocol::DecodeRollupList(body));
      return OkStatus();
    }
    if (opcode == protocol::Opcode::kScrubReply) {
      NEXUS_ASSIGN_OR_RETURN(scrub_, protocol::DecodeScrubReply(body));
      return OkStatus();
    }
    if (opcode == protocol::Opcode::kProgress) {
      NEXUS_ASSIGN_OR_RETURN(protocol::Progress progress, protocol::DecodeProgress(body));
      if (progress_) progress_(progress);
      return OkStatus();
    }
    if (opcode == protocol::Opcode::kBackupReply) {
      NEXUS_ASSIGN_OR_RETURN(backup_, protocol::DecodeBackupReply(body));
      return OkStatus();
    }
    if (opcode == protocol::Opcode::kCount) {
      NEXUS_ASSIGN_OR_RETURN(count_, protocol::DecodeCount(body));
      return OkStatus();
    }
    // What is collected is taken as it comes.
    session_->Grant(number_, 1);
    protocol::StringsReader reader(body);
    std::string_view text;
    while (true) {
      NEXUS_ASSIGN_OR_RETURN(bool more, reader.Next(&text));
      if (!more) return OkStatus();
      strings_.emplace_back(text);
    }
  }
  void OnEnd(const Status& status, const protocol::ResultEnd&) override {
    status_ = status;
    finished_.Notify();
  }

 private:
  Session* session_ = nullptr;
  uint64_t number_ = 0;
  std::vector<std::string> strings_;
  std::vector<protocol::Stat> stats_;
  protocol::ScrubReply scrub_;
  std::vector<protocol::BranchEntry> branches_;
  std::vector<protocol::TenantEntry> tenants_;
  protocol::CardinalityReply cardinality_;
  protocol::RetentionList retention_;
  protocol::RollupList rollups_;
  protocol::Count count_;
  protocol::BackupReply backup_;
  const std::function<void(const protocol::Progress&)> progress_;
  Status status_;
  Notification finished_;
};

// Frames of a result on their way to a reader. Holds at most as many as the server has credit for.
class StreamingCall : public Call {
 public:
  Status OnReply(protocol::Opcode, Bytes body) override {
    MutexLock lock(&mutex_);
    frames_.emplace_back(AsString(body));
    changed_.NotifyAll();
    return OkStatus();
  }
  void OnEnd(const Status& status, const protocol::ResultEnd& end) override {
    MutexLock lock(&mutex_);
    ended_ = true;
    status_ = status;
    end_ = end;
    changed_.NotifyAll();
  }

  // The next frame's body; false at the end. Blocks. Errors: what ended the call before its end.
  StatusOr<bool> Take(std::string* body) {
    MutexLock lock(&mutex_);
    while (frames_.empty() && !ended_) changed_.Wait(&mutex_);
    if (frames_.empty()) {
      if (!status_.ok()) return status_;
      return false;
    }
    *body = std::move(frames_.front());
    frames_.pop_front();
    return true;
  }
  protocol::ResultEnd end() {
    MutexLock lock(&mutex_);
    return end_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::deque<std::string> frames_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  Status status_ ABSL_GUARDED_BY(mutex_);
  protocol::ResultEnd end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nexus::client

#endif  // NEXUS_CLIENT_CALLS_H_
