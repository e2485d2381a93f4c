// ClientCore: the inside of a Client: a loop with a session and its link, and the way there from
// other threads.
//
// Threading: what says so is the loop's; the rest is any thread's.

#ifndef NEXUS_CLIENT_CLIENT_CORE_H_
#define NEXUS_CLIENT_CLIENT_CORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "client/calls.h"
#include "client/client.h"
#include "client/link.h"
#include "client/session.h"
#include "io/real.h"
#include "io/task.h"

namespace nexus::client {

// Batches handed over and not answered: beyond it AppendAsync blocks. The session's window twice,
// so that one fills while the other is under way.
inline constexpr uint64_t kQueuedBytesMax = 2 * kWindowBytes;

class ClientCore {
 public:
  ClientCore(std::unique_ptr<io::RealEnvironment> environment, ClientOptions options);
  ~ClientCore();

  // Waits for the server's greeting.
  Status Connect();

  SeriesBooks* books() { return books_.get(); }
  int64_t Deadline(int64_t timeout_ms) const;

  // Runs `task` on the loop, in the order of the calls, and sends what it made.
  void Submit(std::function<void()> task);
  void Append(const Scope& scope, std::unique_ptr<Write> write);
  void Sync();
  // Asks, on the loop; `number` is of Session::Ask.
  void Ask(const Scope& scope, protocol::Opcode opcode, std::string body,
           std::shared_ptr<CollectingCall> call);
  void Stream(const Scope& scope, std::string body, std::shared_ptr<StreamingCall> call,
              std::shared_ptr<uint64_t> number);
  // Asks and waits for the end. Any thread but the loop.
  Status AskAndWait(const Scope& scope, protocol::Opcode opcode, std::string body = {},
                    CollectingCall::ProgressFunction progress = nullptr);
  // The same for a request whose reply `decode` reads.
  template <typename Reply>
  StatusOr<Reply> AskFor(const Scope& scope, protocol::Opcode opcode, std::string body,
                         StatusOr<Reply> (*decode)(Bytes),
                         CollectingCall::ProgressFunction progress = nullptr) {
    Reply reply;
    auto read = [&reply, decode](Bytes answered) -> Status {
      NEXUS_ASSIGN_OR_RETURN(reply, decode(answered));
      return OkStatus();
    };
    auto call = std::make_shared<CollectingCall>(read, std::move(progress));
    Ask(scope, opcode, std::move(body), call);
    NEXUS_RETURN_IF_ERROR(call->Wait());
    return reply;
  }
  StatusOr<std::vector<std::string>> Strings(const Scope& scope, protocol::Opcode opcode,
                                             std::string body);

  Session* session() { return session_.get(); }  // the loop's
  ServerInfo server() const;

 private:
  // The node that brings tasks to the loop; posted while it has some.
  struct Inbox : io::RunNode {
    explicit Inbox(ClientCore* owner) : io::RunNode(&RunTasks), client(owner) {}
    ClientCore* client;
  };
  static void RunTasks(io::RunNode* node);
  io::Task<bool> Joined();
  CallRequest Request(const Scope& scope, protocol::Opcode opcode, std::string body,
                      std::shared_ptr<Call> call);

  const ClientOptions options_;
  const std::shared_ptr<SeriesBooks> books_ = std::make_shared<SeriesBooks>();
  std::unique_ptr<io::RealEnvironment> environment_;
  Inbox inbox_{this};

  // The loop's.
  std::unique_ptr<Session> session_;
  std::unique_ptr<Link> link_;
  std::optional<io::TaskScope> scope_;

  mutable Mutex mutex_;
  CondVar answered_;
  std::vector<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  uint64_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_append_ ABSL_GUARDED_BY(mutex_) = 0;
  std::set<uint64_t> appends_ ABSL_GUARDED_BY(mutex_);  // not answered
  ServerInfo server_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nexus::client

#endif  // NEXUS_CLIENT_CLIENT_CORE_H_
