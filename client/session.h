// Session: a client's end of the protocol, as a pure state machine - bytes in, bytes out, calls
// back. No I/O, no clock, no threads: the transport (client/link.h), a test or the simulator hands
// it bytes and the time.
//
// A session outlives its connections. What was asked waits for one, is sent ahead of its answers,
// and is asked again on the next if the connection is lost: batches exactly once (write_queue.h),
// questions if nothing of their answer was handed out yet. On each connection it says HELLO, opens
// targets and producers and registers series as they are used.
//
// The order of events: OnConnected; OnReceive, TakeOutput and OnOutputSent any number of times;
// OnDisconnected when the stream is gone and no output is being sent any more. set_now() goes
// before each, and OnTime every 50 ms or so.
//
// Failure: what a server says is checked; a server that breaks the protocol loses the connection
// (OnReceive returns why). An error that no connection can mend - another database, another version
// - ends everything (failure()). Callbacks run at the end of the event that caused them and may
// call the session. Threading: one thread at a time.

#ifndef NEXUS_CLIENT_SESSION_H_
#define NEXUS_CLIENT_SESSION_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/bytes.h"
#include "base/status.h"
#include "base/types.h"
#include "client/protocol/frame_reader.h"
#include "client/protocol/handshake.h"
#include "client/protocol/query.h"
#include "client/protocol/registration.h"
#include "client/series_book.h"
#include "client/write_queue.h"

namespace nexus::client {

// A question, and where its answer goes.
class Call {
 public:
  virtual ~Call() = default;
  // A reply that brings something: RESULT, STRINGS or STATS_REPLY. The body is valid during the
  // call. An error says that it is malformed and ends the connection.
  virtual Status OnReply(protocol::Opcode opcode, Bytes body) = 0;
  // The end: once, the last. Of an OK one `end` tells what a query did.
  virtual void OnEnd(const Status& status, const protocol::ResultEnd& end) = 0;
};

struct CallRequest {
  protocol::Opcode opcode = protocol::Opcode::kPing;
  uint32_t target = 0;  // of Session::Target
  std::string body;
  int64_t deadline_ns = 0;
  std::shared_ptr<Call> call;
};

// Bytes to send: `head`, then the body of `batch` if there is one (batch->Finish(), unchanged until
// OnOutputSent).
struct Output {
  std::string head;
  std::shared_ptr<batch::BatchEncoder> batch;
  Bytes body;
};

class Session {
 public:
  struct Options {
    std::string name = "nexus client";  // told to the server
    DatabaseId expected;                // zero: any, but the same on every connection
    protocol::ChecksumKind checksums = protocol::ChecksumKind::kXxh3;
    ProducerId producer;  // random
    // Where series have their numbers. Made if null.
    std::shared_ptr<SeriesBooks> books;
    uint64_t seed = 0;  // of the jitter; random
  };

  explicit Session(Options options);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // ---- Asking; connected or not.

  // The client's number for a tenant and branch; lasts as long as the session.
  uint32_t Target(std::string_view tenant, std::string_view branch);
  // The series that batches of this target name: those of its tenant. Any thread may use the book.
  std::shared_ptr<SeriesBook> Book(uint32_t target) const;
  // REQUIRES: its ids are numbers of the target's book; it has samples.
  void Append(uint32_t target, std::unique_ptr<Write> write);
  // Returns the number of the call.
  uint64_t Ask(CallRequest request);
  // Lets the server send `frames` more of an answer.
  void Grant(uint64_t call, uint32_t frames);
  // Ends a call as Cancelled now, and at the server soon.
  void Cancel(uint64_t call);

  // ---- The connection.

  void OnConnected();
  // Bytes that arrived. After an error nothing more is taken from this connection.
  Status OnReceive(Bytes bytes);
  // What to send next; nullopt if there is nothing now.
  std::optional<Output> TakeOutput();
  void OnOutputSent();
  void OnDisconnected(const Status& why);

  // ---- Time.

  void set_now(int64_t now_ns) { now_ns_ = now_ns; }
  // Ends what is late. An error: the server has been silent for so long that the connection should
  // be given up.
  Status OnTime(int64_t now_ns);
  // Something waits for an answer or a connection.
  bool busy() const;

  // Nothing is asked any more: all that waits ends with this status.
  void Shutdown(const Status& status);
  // Not OK: no connection is worth while.
  const Status& failure() const { return failure_; }
  // Greeted; the server's answer to HELLO.
  const std::optional<protocol::Welcome>& welcome() const { return welcome_; }

 private:
  struct TargetState;
  struct Asked {
    uint64_t number = 0;
    CallRequest request;
    uint64_t request_id = 0;  // 0: not sent
    bool answered = false;    // something of the answer was handed out
  };
  // What a request that is under way was.
  struct UnderWay {
    protocol::Opcode opcode = protocol::Opcode::kPing;
    uint32_t target = 0;
    uint32_t wire_target = 0;
    uint64_t call = 0;
  };

  protocol::FrameHeader Header(protocol::Opcode opcode, uint32_t wire_target);
  uint64_t SendRequest(protocol::Opcode opcode, uint32_t target, std::string_view body,
                       std::string* out, uint64_t call = 0);
  void SendHello(std::string* out);
  Status SendTarget(uint32_t target, std::string* out);
  void SendSeries(uint32_t target, uint64_t last, std::string* out);
  void SendCalls(std::string* out);
  void SendWrites(Output* output);
  bool SendWrite(uint32_t target, const Write& write, Output* output);
  bool RoomForRequest() const;

  Status OnFrame(const protocol::FrameHeader& header, Bytes body);
  Status OnFinal(UnderWay under_way, const protocol::FrameHeader& header, Bytes body);
  Status OnWelcome(Bytes body);
  Status OnError(UnderWay under_way, uint64_t request_id, Bytes body);
  void OnTargetError(const UnderWay& under_way, uint64_t request_id,
                     const protocol::ErrorReply& error);
  void EndCall(uint64_t call, const Status& status, const protocol::ResultEnd& end = {});
  void EndEverything(const Status& status);
  void ExpireCalls();
  void Finish();

  Options options_;
  std::vector<std::unique_ptr<TargetState>> targets_;
  absl::flat_hash_map<std::pair<std::string, std::string>, uint32_t> target_numbers_;
  std::map<uint64_t, std::unique_ptr<Asked>> calls_;  // in the order asked
  std::deque<uint64_t> waiting_;                      // calls not sent, oldest first
  uint64_t next_call_ = 1;
  uint64_t next_request_ = 1;
  int64_t now_ns_ = 0;
  DatabaseId database_;  // of the first connection
  Status failure_;
  Completions completions_;
  bool finishing_ = false;

  // Of the connection.
  bool connected_ = false;
  bool hello_sent_ = false;
  std::optional<protocol::Welcome> welcome_;
  std::optional<protocol::FrameReader> reader_;
  std::optional<protocol::RegistrationWriter> registration_;
  absl::flat_hash_map<uint64_t, UnderWay> under_way_;
  std::string control_;  // CREDIT, CANCEL and PING to be sent
  uint32_t next_wire_target_ = 1;
  int outputs_ = 0;  // taken and not sent
  int64_t heard_ns_ = 0;
  int64_t pinged_ns_ = 0;
};

}  // namespace nexus::client

#endif  // NEXUS_CLIENT_SESSION_H_
