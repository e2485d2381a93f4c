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
#include "client/protocol/format.h"
#include "client/protocol/progress.h"
#include "client/protocol/query.h"
#include "client/session.h"

namespace nexus::client {

// A call that ends: strings that came are collected, any other reply is given to who reads it.
class CollectingCall : public Call {
 public:
  using ReplyFunction = std::function<Status(Bytes body)>;
  using ProgressFunction = std::function<void(const protocol::Progress&)>;

  CollectingCall() = default;
  // On the loop, and before Wait returns: `reply` reads what ends the call, `progress` is told what
  // PROGRESS says. Both may be null.
  explicit CollectingCall(ReplyFunction reply, ProgressFunction progress = nullptr)
      : reply_(std::move(reply)), progress_(std::move(progress)) {}

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

  Status OnReply(protocol::Opcode opcode, Bytes body) override {
    if (opcode == protocol::Opcode::kStrings) return OnStrings(body);
    if (opcode == protocol::Opcode::kProgress) return OnProgress(body);
    return reply_ ? reply_(body) : OkStatus();
  }
  void OnEnd(const Status& status, const protocol::ResultEnd&) override {
    status_ = status;
    finished_.Notify();
  }

 private:
  Status OnStrings(Bytes body) {
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
  Status OnProgress(Bytes body) {
    NEXUS_ASSIGN_OR_RETURN(protocol::Progress progress, protocol::DecodeProgress(body));
    if (progress_) progress_(progress);
    return OkStatus();
  }

  Session* session_ = nullptr;
  uint64_t number_ = 0;
  std::vector<std::string> strings_;
  const ReplyFunction reply_;
  const ProgressFunction progress_;
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
