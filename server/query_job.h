// QueryJob: one query of a connection, run on workers, streamed under the reader's credit.
//
// A worker makes a frame's worth of the answer at a time, tenants taking turns (fair_turns.h); the
// loop sends it when the reader has credit and the connection has room, so that a slow reader holds
// one frame and a cursor - and through that the layers and memtables of its version, until its
// deadline: then they are freed, whether or not the reader comes back. Cancelled, dropped with its
// connection, or past its deadline, a query that is being worked on ends at the next chunk.
// Threading: loop; the cursor is used by one worker at a time.

#ifndef NEXUS_SERVER_QUERY_JOB_H_
#define NEXUS_SERVER_QUERY_JOB_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "base/status.h"
#include "client/protocol/query.h"
#include "engine/cursors.h"
#include "io/task.h"
#include "server/service.h"

namespace nexus::server {

// What is asked of which tenant and branch.
struct Question {
  std::string tenant;
  std::string branch;
  std::variant<protocol::Query, protocol::LabelsQuery, protocol::SeriesQuery> query;
};

class QueryJob {
 public:
  // What the connection hears, on the loop; nothing once the job is dropped.
  struct Listener {
    // A body of RESULT or STRINGS.
    std::function<void(std::string_view body, bool strings)> on_part;
    std::function<void(const StatusOr<protocol::ResultEnd>&)> on_end;
    // Whether the connection can take another frame; if not, Wake follows when it can.
    std::function<bool()> has_room;
  };

  // The deadline counts from here.
  QueryJob(Service* service, Question question, Listener listener, uint32_t credit);

  // Runs to the end. `job` keeps itself alive.
  static io::Task<void> Run(std::shared_ptr<QueryJob> job);

  void Cancel() { Stop(); }
  // Nobody listens any more.
  void Drop() {
    dropped_ = true;
    Stop();
  }
  void AddCredit(uint32_t frames) {
    credit_ += frames;
    wake_.Pulse();
  }
  // No more credit comes: what needs more than there is, is cancelled.
  void EndCredit() {
    credit_ends_ = true;
    wake_.Pulse();
  }
  void Wake() { wake_.Pulse(); }

 private:
  // Wakes the job at its deadline while it waits for its reader.
  class Alarm;
  struct Part {
    std::string body;
    bool last = false;
  };

  void Stop() {
    cancel_.store(true, std::memory_order_relaxed);
    wake_.Pulse();
  }
  // On a worker.
  StatusOr<Part> NextPart();
  Status Open();
  StatusOr<Part> NextSamples();
  StatusOr<Part> NextStrings();
  // DeadlineExceeded if the reader comes too late.
  io::Task<Status> WaitForRoom();
  Status LateStatus() const;

  Service* const service_;
  const Question question_;
  const Listener listener_;
  const int64_t deadline_ms_;
  const int64_t deadline_ns_;  // monotonic
  uint64_t credit_;
  bool credit_ends_ = false;
  std::atomic<bool> cancel_ = false;
  bool dropped_ = false;
  io::Event wake_;

  // The answer under way.
  bool open_ = false;
  std::unique_ptr<Cursor> cursor_;
  uint64_t last_series_ = UINT64_MAX;
  std::vector<std::string> strings_;
  size_t next_string_ = 0;
  protocol::ResultEnd end_;
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_QUERY_JOB_H_
