// Batches on their way. See write_queue.h.

#include "client/write_queue.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted.h"

namespace nexus::client {
namespace {

constexpr int64_t kNanosPerMilli = 1'000'000;

}  // namespace

void WriteQueue::Add(std::unique_ptr<Write> write) {
  if (!failure_.ok()) {
    Complete(write.get(), failure_);
    return;
  }
  queue_.push_back(std::move(write));
}

void WriteQueue::Complete(Write* write, StatusOr<WriteOutcome> outcome) {
  if (write->done == nullptr) return;
  completions_.push_back([done = std::exchange(write->done, nullptr),
                          result = std::move(outcome)]() mutable { done(std::move(result)); });
}

void WriteQueue::TakeCompletions(Completions* out) {
  out->insert(out->end(), std::make_move_iterator(completions_.begin()),
              std::make_move_iterator(completions_.end()));
  completions_.clear();
}

bool WriteQueue::wants_producer(int64_t now_ns) const {
  if (producer_state_ != ProducerState::kClosed || recovering_ || now_ns < retry_at_ns_) {
    return false;
  }
  return std::any_of(queue_.begin(), queue_.end(), [](const auto& w) { return !w->buffered; });
}

protocol::OpenProducer WriteQueue::ProducerRequested() {
  producer_state_ = ProducerState::kAsked;
  return {producer_.high, producer_.low, epoch_};
}

size_t WriteQueue::under_way() const {
  return static_cast<size_t>(
      std::count_if(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(sent_),
                    [](const auto& w) { return w->state == Write::State::kSent; }));
}

const Write* WriteQueue::Next(int64_t now_ns) const {
  if (recovering_ || now_ns < retry_at_ns_ || sent_ == queue_.size()) return nullptr;
  const Write* write = queue_[sent_].get();
  if (!write->buffered && producer_state_ != ProducerState::kOpen) return nullptr;
  // One batch may always be under way, however large.
  if (sent_ >= kWindowBatches) return nullptr;
  if (sent_ > 0 && window_bytes_ + write->batch->bytes() > kWindowBytes) return nullptr;
  return write;
}

void WriteQueue::Sent(uint64_t request_id) {
  Write* write = queue_[sent_].get();
  if (!write->buffered) {
    if (NEXUS_PLANTED("client-renumbers") && write->request_id != 0) write->sequence = 0;
    if (write->sequence == 0) write->sequence = next_sequence_++;
    write->batch->SetExactlyOnce({producer_.high, producer_.low, epoch_, write->sequence});
  }
  write->state = Write::State::kSent;
  write->request_id = request_id;
  window_bytes_ += write->batch->bytes();
  sent_++;
}

void WriteQueue::Refuse(Status status) {
  Complete(queue_[sent_].get(), std::move(status));
  queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(sent_));
}

size_t WriteQueue::Find(uint64_t request_id) const {
  for (size_t i = 0; i < sent_; i++) {
    if (queue_[i]->request_id == request_id && queue_[i]->state == Write::State::kSent) return i;
  }
  return sent_;
}

// REQUIRES: of those sent.
void WriteQueue::Remove(size_t index) {
  window_bytes_ -= queue_[index]->batch->bytes();
  queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(index));
  sent_--;
}

void WriteQueue::OnAck(uint64_t request_id, protocol::WriteAck ack, const std::string& reason) {
  size_t index = Find(request_id);
  if (index == sent_) return;
  Write* write = queue_[index].get();
  WriteOutcome outcome;
  outcome.end = ack.end;
  outcome.duplicate = ack.duplicate;
  outcome.accepted = ack.accepted;
  outcome.rejected = std::move(ack.rejected);
  if (!outcome.rejected.empty()) {
    outcome.reason = ack.reason.empty() ? reason : std::move(ack.reason);
  }
  Complete(write, std::move(outcome));
  backoff_.Reset();
  if (std::any_of(returned_.begin(), returned_.end(),
                  [&](uint64_t returned) { return returned < write->sequence; })) {
    // The numbers behind can no longer be told apart.
    return Fail(FailedPrecondition("the server took batch {} though it had refused one before it",
                                   write->sequence));
  }
  Remove(index);
}

void WriteQueue::Wait(int64_t now_ns, uint32_t retry_after_ms) {
  // One wait for all that are refused together.
  if (retry_at_ns_ > now_ns) return;
  int64_t asked = int64_t{retry_after_ms} * kNanosPerMilli;
  retry_at_ns_ = now_ns + std::max(asked, backoff_.Next());
}

// It is to be sent again, when nothing is under way.
void WriteQueue::Again(size_t index) {
  queue_[index]->state = Write::State::kAgain;
  recovering_ = true;
}

void WriteQueue::OnError(uint64_t request_id, const protocol::ErrorReply& error, int64_t now_ns) {
  size_t index = Find(request_id);
  if (index == sent_) return;
  Write* write = queue_[index].get();
  switch (error.reason) {
    case protocol::ErrorReason::kStaleEpoch:
      return Fail(FailedPrecondition("another client writes as this one: {}", error.message));
    case protocol::ErrorReason::kSequenceGap:
      // Follows from another refusal, which says how long to wait.
      return Again(index);
    case protocol::ErrorReason::kUnknownProducer:
      producer_state_ = ProducerState::kClosed;
      return Again(index);
    case protocol::ErrorReason::kNone:
    case protocol::ErrorReason::kShuttingDown:
      break;
  }
  bool retry = error.error_class == protocol::ErrorClass::kRetry;
  bool surely_not_taken = error.code == absl::StatusCode::kResourceExhausted;
  if (retry && (surely_not_taken || !write->buffered)) {
    if (!surely_not_taken) write->uncertain = true;
    Wait(now_ns, error.retry_after_ms);
    return Again(index);
  }
  Complete(write, protocol::ToStatus(error));
  if (write->sequence != 0) {
    returned_.push_back(write->sequence);
    returned_uncertain_ |= write->uncertain;
    recovering_ = true;
  }
  Remove(index);
}

void WriteQueue::OnProducer(const protocol::Producer& producer) {
  producer_state_ = ProducerState::kOpen;
  backoff_.Reset();
  const uint64_t expected = producer.last_sequence + 1;
  uint64_t lowest = next_sequence_;
  for (const std::unique_ptr<Write>& write : queue_) {
    if (write->sequence != 0) lowest = std::min(lowest, write->sequence);
  }
  if (expected > next_sequence_) {
    Fail(FailedPrecondition("the server has batch {} of this client, which sent {}",
                            producer.last_sequence, next_sequence_ - 1));
  } else if (expected < lowest) {
    Forgotten(expected);
  }
}

// The server has forgotten the producer, and with it which of these it has.
void WriteQueue::Forgotten(uint64_t expected) {
  for (std::unique_ptr<Write>& write : queue_) {
    write->sequence = 0;
    if (!write->uncertain) continue;
    Complete(write.get(), Unavailable("the server has forgotten this client: it may have the batch "
                                      "or not"));
  }
  std::erase_if(queue_, [](const auto& write) { return write->uncertain; });
  next_sequence_ = expected;
  Fence();
}

// Copies of an older epoch are refused once the next one is open.
void WriteQueue::Fence() {
  epoch_++;
  producer_state_ = ProducerState::kClosed;
}

void WriteQueue::OnProducerError(const protocol::ErrorReply& error, int64_t now_ns) {
  producer_state_ = ProducerState::kClosed;
  if (error.reason == protocol::ErrorReason::kStaleEpoch) {
    return Fail(FailedPrecondition("another client writes as this one: {}", error.message));
  }
  if (error.error_class != protocol::ErrorClass::kFix) return Wait(now_ns, error.retry_after_ms);
  // None can be sent; a later one asks again.
  Status status = protocol::ToStatus(error);
  for (size_t i = queue_.size(); i-- > sent_;) {
    if (queue_[i]->buffered || queue_[i]->sequence != 0) continue;
    Complete(queue_[i].get(), status);
    queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  Wait(now_ns, error.retry_after_ms);
}

void WriteQueue::OnDisconnected() {
  producer_state_ = ProducerState::kClosed;
  for (size_t i = 0; i < sent_;) {
    Write* write = queue_[i].get();
    bool sent = write->state == Write::State::kSent;
    if (sent && write->buffered) {
      Complete(write, Unavailable("the connection was lost: the server may have the batch or not"));
      Remove(i);
      continue;
    }
    write->uncertain |= sent;
    Again(i++);
  }
  Settle(true);
}

void WriteQueue::Settle(bool sends_idle) {
  if (!recovering_ || !sends_idle || under_way() > 0) return;
  bool late_copies = returned_uncertain_;
  for (size_t i = 0; i < sent_; i++) {
    Write* write = queue_[i].get();
    write->state = Write::State::kQueued;
    auto moved = static_cast<uint64_t>(
        std::count_if(returned_.begin(), returned_.end(),
                      [&](uint64_t returned) { return returned < write->sequence; }));
    late_copies |= moved > 0 && write->uncertain;
    write->sequence -= moved;
  }
  if (late_copies) Fence();
  next_sequence_ -= returned_.size();
  returned_.clear();
  returned_uncertain_ = false;
  sent_ = 0;
  window_bytes_ = 0;
  recovering_ = false;
}

void WriteQueue::Expire(int64_t now_ns) {
  for (size_t i = queue_.size(); i-- > 0;) {
    Write* write = queue_[i].get();
    if (write->done == nullptr || now_ns < write->deadline_ns) continue;
    if (write->request_id != 0) {
      Complete(write, DeadlineExceeded("no answer in time: the server may have the batch or not"));
    } else {
      Complete(write, DeadlineExceeded("not sent in time: the server does not have the batch"));
      queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

void WriteQueue::Fail(const Status& status) {
  failure_ = status;
  for (std::unique_ptr<Write>& write : queue_) Complete(write.get(), status);
  queue_.clear();
  sent_ = 0;
  window_bytes_ = 0;
  recovering_ = false;
  returned_.clear();
}

}  // namespace nexus::client
