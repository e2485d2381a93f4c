// BinarySession: the server's end of the wire protocol NXP1 (docs/format/protocol.md).
//
// Frames are handled in the order they come; batches are appended in that order, and everything
// else may answer when it is done. A registration of new series holds up what follows it on the
// connection, since batches behind it use its numbers; so does a delete, which must not take what
// comes behind it. Bodies of 16 KiB and more are received
// straight into the buffer that the log is written from. Bounds: kSessionBytesMax of batches and
// kRequestsMax requests unanswered - then it stops reading. Failure: an error frame by name; the
// connection ends only when framing, or the numbering of series, is lost. Threading: loop.

#ifndef NEXUS_SERVER_BINARY_SESSION_H_
#define NEXUS_SERVER_BINARY_SESSION_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/protocol/branches.h"
#include "client/protocol/cardinality.h"
#include "client/protocol/frame_reader.h"
#include "client/protocol/handshake.h"
#include "client/protocol/registration.h"
#include "client/protocol/retention.h"
#include "client/protocol/rollups.h"
#include "client/protocol/tenants.h"
#include "client/protocol/write.h"
#include "server/body_buffer.h"
#include "server/query_job.h"
#include "server/series_numbers.h"
#include "server/service.h"
#include "server/session.h"

namespace nexus::server {

class BinarySession : public Session {
 public:
  // Both outlive it.
  BinarySession(Service* service, Transport* transport);
  ~BinarySession() override;

  void OnBytes(Bytes bytes) override;
  void OnReceived() override;
  void OnEnd() override;
  void OnWritable() override;
  void OnStopping() override;

 private:
  class BatchRequest;
  struct Target {
    std::string tenant = "default";
    std::string branch = "main";
    TenantId tenant_id;
    BranchId branch_id;
    uint64_t identity_seed = 0;
    bool read_only = false;  // a snapshot
    Status status;           // why it cannot be used
    Status refused_series;   // why some of its numbers stand for no series, if by a quota
    SeriesNumbers series;
  };

  void Process(Bytes input);
  void Handle(const protocol::Frame& frame);
  void HandleHello(const protocol::Frame& frame);
  void HandleOpenTarget(const protocol::Frame& frame);
  void HandleRegister(const protocol::Frame& frame);
  void HandleBatch(const protocol::Frame& frame);
  void HandleOpenProducer(const protocol::Frame& frame);
  void HandleQuery(const protocol::Frame& frame);
  void HandleCancel(const protocol::Frame& frame);
  void HandleCredit(const protocol::Frame& frame);
  // Scrubs and backups: who asked is gone, nobody wants to know.
  void CancelLongRequests();

  // The session is theirs to touch only while the ticket is alive; they start later, so also at
  // once.
  static io::Task<void> Register(BinarySession* session, Service* service, Ticket ticket,
                                 uint64_t request_id, TenantId tenant, Target* target,
                                 std::vector<std::string> canonicals);
  static io::Task<void> OpenProducer(BinarySession* session, Service* service, Ticket ticket,
                                     uint64_t request_id, protocol::OpenProducer open,
                                     std::string tenant, std::string branch);
  static io::Task<void> GiveStats(BinarySession* session, Service* service, Ticket ticket,
                                  uint64_t request_id);
  static io::Task<void> Flush(BinarySession* session, Service* service, Ticket ticket,
                              uint64_t request_id);
  // These: binary_admin.cc.
  void HandleScrub(const protocol::Frame& frame);
  void HandleBackup(const protocol::Frame& frame);
  void HandleDelete(const protocol::Frame& frame);
  static io::Task<void> Branches(BinarySession* session, Service* service, Ticket ticket,
                                 uint64_t request_id, std::string tenant, protocol::Branches asked);
  static io::Task<void> Rollups(BinarySession* session, Service* service, Ticket ticket,
                                uint64_t request_id, std::string tenant, protocol::Rollups asked);
  static io::Task<void> Retention(BinarySession* session, Service* service, Ticket ticket,
                                  uint64_t request_id, std::string tenant,
                                  protocol::Retention asked);
  void HandleCompact(const protocol::Frame& frame);
  static io::Task<void> Compact(BinarySession* session, Service* service, Ticket ticket,
                                uint64_t request_id);
  // Tells the client how far a long request is, now and then.
  static ProgressCallback ProgressOf(BinarySession* session, Service* service, Ticket ticket,
                                     uint64_t request_id);
  static io::Task<void> Scrub(BinarySession* session, Service* service, Ticket ticket,
                              uint64_t request_id, std::shared_ptr<std::atomic<bool>> cancel);
  static io::Task<void> Backup(BinarySession* session, Service* service, Ticket ticket,
                               uint64_t request_id, std::string destination,
                               std::shared_ptr<std::atomic<bool>> cancel);
  static io::Task<void> Delete(BinarySession* session, Service* service, Ticket ticket,
                               uint64_t request_id, DeleteRequest request);
  // These: binary_tenants.cc.
  void HandleTenants(const protocol::Frame& frame);
  static io::Task<void> ListTenants(BinarySession* session, Service* service, Ticket ticket,
                                    uint64_t request_id);
  static io::Task<void> ChangeTenant(BinarySession* session, Service* service, Ticket ticket,
                                     uint64_t request_id, protocol::Tenants asked);
  static io::Task<void> Cardinality(BinarySession* session, Service* service, Ticket ticket,
                                    uint64_t request_id, std::string tenant,
                                    protocol::Cardinality asked);

  void FinishRegister(uint64_t request_id, Target* target,
                      const std::vector<std::string>& canonicals,
                      const StatusOr<engine::Interner::WithinQuota>& interned);

  // OK if the target can be used.
  StatusOr<Target*> TargetOf(uint32_t number);
  StatusOr<Target*> FindTarget(Target* target);
  void BatchReleased(uint64_t bytes);
  void BatchDone(BatchRequest* request, const Status& status);
  protocol::ErrorReply ErrorOf(const BatchRequest& request, const Status& status);

  void BeginRequest() { requests_++; }
  // Begins a request of a tenant: `serve` is told its name and what is asked of it.
  template <typename Asked, typename Serve>
  void ServeTenant(const protocol::Frame& frame, StatusOr<Asked> asked, Serve serve) {
    const uint64_t id = frame.header.request_id;
    if (!asked.ok()) return SendError(id, protocol::ToErrorReply(asked.status()));
    StatusOr<Target*> target = TargetOf(frame.header.target);
    if (!target.ok()) return SendError(id, protocol::ToErrorReply(target.status()));
    BeginRequest();
    service_->Spawn(serve(this, service_, ticket_, id, (*target)->tenant, *std::move(asked)));
  }
  void Reply(protocol::Opcode opcode, uint64_t request_id, std::string_view body);
  // The final reply of a request that was begun.
  void Finish(protocol::Opcode opcode, uint64_t request_id, std::string_view body);
  void FinishError(uint64_t request_id, const Status& status);
  // The final reply of a request that was begun: its error, or what `wire` makes of the result.
  template <typename Result, typename Wire>
  void Answer(uint64_t request_id, protocol::Opcode opcode, const StatusOr<Result>& result,
              Wire wire) {
    if (!result.ok()) return FinishError(request_id, result.status());
    std::string body;
    Encode(wire(*result), &body);  // the protocol's
    Finish(opcode, request_id, body);
  }
  void AnswerDone(uint64_t request_id, const Status& status) {
    if (!status.ok()) return FinishError(request_id, status);
    Finish(protocol::Opcode::kDone, request_id, {});
  }
  void SendError(uint64_t request_id, const protocol::ErrorReply& error);
  // The connection ends.
  void Fatal(const Status& status, std::string_view reason);
  bool MustWait() const;
  void Unblock();
  void CloseIfDone();

  Service* const service_;
  Transport* const transport_;
  Ticket ticket_;
  protocol::FrameReader reader_;
  protocol::SymbolTable symbols_;
  bool greeted_ = false;
  bool closing_ = false;      // nothing more is read
  bool ended_ = false;        // by the peer, or the server is stopping
  bool registering_ = false;  // what follows waits
  bool deleting_ = false;     // likewise
  bool paused_ = false;
  std::string waiting_;  // input that came while it had to wait

  std::map<uint32_t, Target> targets_;
  std::map<uint64_t, std::shared_ptr<QueryJob>> queries_;  // by request id
  // What stops the scrubs and backups of this connection, by request id.
  std::map<uint64_t, std::shared_ptr<std::atomic<bool>>> cancels_;
  std::unique_ptr<BatchRequest> receiving_;  // its body is on the way
  uint64_t batch_bytes_ = 0;                 // in the database
  uint32_t requests_ = 0;                    // begun, without final reply
  std::string frame_;
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_BINARY_SESSION_H_
