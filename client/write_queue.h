// WriteQueue: the batches of one tenant and branch on their way to the server, exactly once.
//
// Durable batches are numbered in the order they were given; the server takes each number once and
// in order (docs/format/protocol.md, OPEN_PRODUCER). Batches are sent ahead of their answers. When
// one is refused, those behind it are refused too, as a gap; so nothing more is sent until all that
// is under way is answered, and then the rest goes again from the lowest number that is missing:
//
//   refused for good   its caller is told; the numbers of those behind it move down by one
//   refused this time  sent again, after the server's retry-after or the backoff
//   connection lost    sent again under the same number: the server answers what it has
//
// A lost connection may deliver late what was sent on it. While numbers stay, that does no harm:
// the server takes each once. But a number that is given back moves those behind it, and a late
// copy under an old number would be taken for another batch. So numbers move only when nothing is
// under way, and where a lost connection may still hold copies, under a new epoch, which fences
// them.
//
// Buffered batches are not numbered. A lost connection ends them as Unavailable: the server may
// have them or not.
//
// Callbacks are collected and run by the session (TakeCompletions), never from within. Threading:
// one thread at a time.

#ifndef NEXUS_CLIENT_WRITE_QUEUE_H_
#define NEXUS_CLIENT_WRITE_QUEUE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "batch/batch_encoder.h"
#include "client/backoff.h"
#include "client/protocol/write.h"

namespace nexus::client {

// What became of an acknowledged batch.
struct WriteOutcome {
  Lsn end;  // the log position behind it
  bool duplicate = false;
  uint32_t accepted = 0;      // samples
  protocol::Ranges rejected;  // ordinals of the samples that were not
  std::string reason;         // why, if some were rejected and the server said so
};
using WriteCallback = std::function<void(StatusOr<WriteOutcome>)>;
using Completions = std::vector<std::function<void()>>;

struct Write {
  // The batch: ids are numbers of the target's SeriesBook; no tenant, branch or triple yet.
  std::shared_ptr<batch::BatchEncoder> batch;
  uint64_t last_series = 0;  // the highest id in it
  bool buffered = false;
  int64_t deadline_ns = 0;  // of the session's clock
  WriteCallback done;

  // The queue's.
  enum class State : uint8_t { kQueued, kSent, kAgain };
  State state = State::kQueued;
  uint64_t sequence = 0;    // 0: none yet, or buffered
  uint64_t request_id = 0;  // of its last sending; 0: never sent
  bool uncertain = false;   // a copy was sent of which nobody knows what became
};

// Batches under way, numbered or not: as many as the server remembers the answers of for one
// producer, and 64 MiB.
inline constexpr size_t kWindowBatches = 64;
inline constexpr uint64_t kWindowBytes = 64ull << 20;

class WriteQueue {
 public:
  // `producer` is random, and no other client's.
  WriteQueue(ProducerId producer, uint64_t seed) : producer_(producer), backoff_(seed) {}

  void Add(std::unique_ptr<Write> write);
  bool empty() const { return queue_.empty(); }

  // ---- Sending.

  // True if OPEN_PRODUCER should be sent now; then call ProducerRequested.
  bool wants_producer(int64_t now_ns) const;
  protocol::OpenProducer ProducerRequested();
  // The batch to send next, or null: none, not now, or the window is full.
  const Write* Next(int64_t now_ns) const;
  // That batch goes out as this request: seals its header. Nothing writes to it before Settle.
  void Sent(uint64_t request_id);
  // The batch Next() returned, which was never sent, cannot be.
  void Refuse(Status status);

  // ---- Answers.

  void OnAck(uint64_t request_id, protocol::WriteAck ack, const std::string& reason);
  void OnError(uint64_t request_id, const protocol::ErrorReply& error, int64_t now_ns);
  void OnProducer(const protocol::Producer& producer);
  void OnProducerError(const protocol::ErrorReply& error, int64_t now_ns);
  // The connection is gone; what was sent has no answer.
  void OnDisconnected();

  // ---- Between events.

  // `sends_idle`: no batch that was Sent() is still being read. Makes what was refused ready to be
  // sent again once nothing is under way.
  void Settle(bool sends_idle);
  // Ends batches whose deadline is over. Of one that was sent the caller is told that the outcome
  // is unknown; it is sent again all the same, since the numbers behind it depend on it.
  void Expire(int64_t now_ns);
  // Ends all batches; later ones end at once.
  void Fail(const Status& status);
  // Appends the callbacks to run.
  void TakeCompletions(Completions* out);

  uint64_t epoch() const { return epoch_; }

 private:
  enum class ProducerState : uint8_t { kClosed, kAsked, kOpen };

  size_t Find(uint64_t request_id) const;
  void Complete(Write* write, StatusOr<WriteOutcome> outcome);
  void Remove(size_t index);
  void Again(size_t index);
  void Wait(int64_t now_ns, uint32_t retry_after_ms);
  void Forgotten(uint64_t expected);
  void Fence();
  size_t under_way() const;

  const ProducerId producer_;
  Backoff backoff_;
  // Sent ones come before queued ones.
  std::deque<std::unique_ptr<Write>> queue_;
  size_t sent_ = 0;  // of state kSent or kAgain
  uint64_t window_bytes_ = 0;
  ProducerState producer_state_ = ProducerState::kClosed;
  // The client names it: an OPEN_PRODUCER that asks the server to choose, and arrives late from a
  // lost connection, would fence the client itself.
  uint64_t epoch_ = 1;
  uint64_t next_sequence_ = 1;
  // Nothing is sent until all that is under way is answered.
  bool recovering_ = false;
  // Numbers of batches that were refused for good, since the last Settle; and whether a lost
  // connection may hold a copy of one.
  std::vector<uint64_t> returned_;
  bool returned_uncertain_ = false;
  int64_t retry_at_ns_ = 0;
  Status failure_;
  Completions completions_;
};

}  // namespace nexus::client

#endif  // NEXUS_CLIENT_WRITE_QUEUE_H_
