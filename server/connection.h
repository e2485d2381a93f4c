// Connection: one peer - a stream, the session that its first bytes ask for, and what goes back.
//
// First-byte rules (DESIGN section 11), in order: 0x16 0x03 is TLS, "NXP1" binary frames, a method
// followed by a space and '/' HTTP, '{' or '[' JSON, anything else lines of text. Until they are
// decided at most kFirstBytesMax are kept. Replies of one turn of the loop go out as one send,
// while the next are gathered. A connection ends when its session says so, its peer is gone, or it
// was silent too long; it is destroyed once no operation of its stream is in flight. Threading:
// loop.

#ifndef NEXUS_SERVER_CONNECTION_H_
#define NEXUS_SERVER_CONNECTION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "io/executor.h"
#include "io/stream.h"
#include "server/service.h"
#include "server/session.h"

namespace nexus::server {

enum class Protocol : uint8_t { kUndecided, kTls, kBinary, kHttp, kJson, kText };
// What a stream that begins with these bytes speaks; kUndecided if more are needed to tell.
Protocol Recognise(std::string_view first);
// The most bytes that Recognise may need.
inline constexpr size_t kFirstBytesMax = 16;

using SessionFactory =
    std::function<std::unique_ptr<Session>(Protocol protocol, Transport* transport)>;

class Connection : public Transport, private io::StreamHandler {
 public:
  // `on_gone` is called, later and once, when the connection may be destroyed; `why` is for the
  // log.
  using OnGone = std::function<void(Connection*, std::string_view why)>;
  Connection(Service* service, std::unique_ptr<io::Stream> stream, const SessionFactory* factory,
             OnGone on_gone);
  ~Connection() override;

  void Start() { stream_->Start(this); }
  // The server is stopping: no new requests. A connection that has not said what it speaks ends.
  void Stop();
  // Ends it now.
  void Abort(std::string_view why);
  // Of the last byte received or sent.
  int64_t active_ns() const { return active_ns_; }
  // Of the moment when everything was said and only the peer's end is waited for; nullopt before.
  std::optional<int64_t> lingering_since_ns() const { return lingering_since_ns_; }
  // Nothing was asked yet.
  bool undecided() const { return session_ == nullptr; }

  // ---- Transport.
  void Write(std::string_view bytes) override;
  uint64_t queued_bytes() const override { return gathering_.size() + sending_.size(); }
  void Pause() override;
  void Resume() override;
  void ReceiveInto(MutableBytes buffer) override;
  void CloseAfterWrites(std::string_view why) override;
  const std::string& peer() const override { return peer_; }

 private:
  struct SendNode : io::SendOp {
    SendNode(Connection* c, Done sent) : SendOp(sent), connection(c) {}
    Connection* connection;
  };
  struct ReceiveNode : io::ReceiveOp {
    ReceiveNode(Connection* c, MutableBytes into, Done received)
        : ReceiveOp(into, received), connection(c) {}
    Connection* connection;
  };
  struct TurnNode : io::RunNode {
    TurnNode(Connection* c, Function f) : RunNode(f), connection(c) {}
    Connection* connection;
    bool scheduled = false;
  };

  void OnReceive(Bytes bytes) override;
  void OnReceiveEnd(int error) override;
  static void SendDone(io::SendOp* op);
  static void ReceiveDone(io::ReceiveOp* op);
  static void EndOfTurn(io::RunNode* node);

  void Decide(std::string_view bytes, bool ended);
  void ScheduleTurn();
  void SendGathered();
  void Touch();
  void End(std::string_view why, bool abort);
  void FinishIfQuiet();
  void Linger();

  Service* const service_;
  const SessionFactory* const factory_;
  const OnGone on_gone_;
  std::unique_ptr<io::Stream> stream_;
  const std::string peer_;
  std::unique_ptr<Session> session_;
  std::string first_;  // until the protocol is decided
  int64_t active_ns_ = 0;

  std::string gathering_;  // written, not handed to the stream
  std::string sending_;    // in flight
  bool send_in_flight_ = false;
  bool was_full_ = false;
  std::unique_ptr<ReceiveNode> receive_;
  SendNode send_;
  TurnNode turn_;
  bool closing_ = false;  // once everything written has gone out
  bool peer_ended_ = false;
  std::optional<int64_t> lingering_since_ns_;
  bool ended_ = false;  // the stream is gone
  bool told_ = false;
  std::string why_;
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_CONNECTION_H_
