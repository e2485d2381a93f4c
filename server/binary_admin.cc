// What is asked of a database besides writing and reading, over the wire: branches, retention,
// compaction, deletes, scrubs and backups. See binary_session.h; tenants: binary_tenants.cc.

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "client/protocol/backup.h"
#include "client/protocol/delete.h"
#include "client/protocol/progress.h"
#include "client/protocol/scrub.h"
#include "engine/backup.h"
#include "engine/scrub.h"
#include "server/binary_session.h"
#include "server/scrub_output.h"
#include "server/wire_backup.h"
#include "server/wire_branches.h"
#include "server/wire_retention.h"

namespace nexus::server {
namespace {

using protocol::Frame;
using protocol::Opcode;

// What the counting of a delete may take at most, whatever the client asks: what follows on the
// connection waits for it.
constexpr uint32_t kDeleteDeadlineMsMax = 600'000;
// Often enough for a progress bar, rare enough to cost nothing.
constexpr int64_t kProgressPauseNs = 200'000'000;

}  // namespace

ProgressCallback BinarySession::ProgressOf(BinarySession* session, Service* service, Ticket ticket,
                                           uint64_t request_id) {
  auto told_ns = std::make_shared<int64_t>(service->environment()->MonotonicNanos());
  return [session, service, ticket, request_id, told_ns](const Progress& at) {
    const int64_t now_ns = service->environment()->MonotonicNanos();
    if (!ticket.alive() || now_ns - *told_ns < kProgressPauseNs) return;
    if (session->transport_->queued_bytes() >= kOutputBytesMax) return;
    *told_ns = now_ns;
    std::string body;
    protocol::Encode(protocol::Progress{std::string(at.activity), at.done, at.total}, &body);
    session->Reply(Opcode::kProgress, request_id, body);
  };
}

io::Task<void> BinarySession::Branches(BinarySession* session, Service* service, Ticket ticket,
                                       uint64_t request_id, std::string tenant,
                                       protocol::Branches asked) {
  engine::DatabaseCore* core = service->core();
  if (asked.action == protocol::BranchAction::kList) {
    StatusOr<std::vector<BranchInfo>> branches = co_await core->Branches(std::move(tenant));
    if (ticket.alive()) session->Answer(request_id, Opcode::kBranchList, branches, WireBranches);
    co_return;
  }
  const BranchKind kind = EngineKind(asked.kind);
  Status status;
  if (asked.action == protocol::BranchAction::kCreate) {
    status = co_await core->CreateBranch(asked.name, kind, asked.from, tenant);
  } else {
    status = co_await core->DeleteBranch(asked.name, kind, tenant);
  }
  if (ticket.alive()) session->AnswerDone(request_id, status);
}

io::Task<void> BinarySession::Retention(BinarySession* session, Service* service, Ticket ticket,
                                        uint64_t request_id, std::string tenant,
                                        protocol::Retention asked) {
  engine::DatabaseCore* core = service->core();
  Status status;
  if (asked.action == protocol::RetentionAction::kSet) {
    status = co_await core->SetRetention(EngineRules(asked.rules), tenant);
  } else if (asked.action == protocol::RetentionAction::kAcceptClock) {
    status = co_await core->AcceptRetentionClock();
  }
  if (!ticket.alive()) co_return;
  StatusOr<RetentionInfo> info = core->Retention(tenant);
  if (!status.ok()) info = status;
  session->Answer(request_id, Opcode::kRetentionList, info, WireRetention);
}

void BinarySession::HandleCompact(const Frame& frame) {
  const uint64_t id = frame.header.request_id;
  StatusOr<protocol::CompactAction> action = protocol::DecodeCompact(frame.body);
  if (!action.ok()) return SendError(id, protocol::ToErrorReply(action.status()));
  BeginRequest();
  engine::DatabaseCore* core = service_->core();
  switch (*action) {
    case protocol::CompactAction::kPause:
      core->PauseCompaction();
      return Finish(Opcode::kDone, id, {});
    case protocol::CompactAction::kResume:
      core->ResumeCompaction();
      return Finish(Opcode::kDone, id, {});
    case protocol::CompactAction::kEverything:
      return service_->Spawn(Compact(this, service_, ticket_, id));
  }
}

io::Task<void> BinarySession::Compact(BinarySession* session, Service* service, Ticket ticket,
                                      uint64_t request_id) {
  Status status =
      co_await service->core()->Compact(ProgressOf(session, service, ticket, request_id));
  if (ticket.alive()) session->AnswerDone(request_id, status);
}

void BinarySession::HandleDelete(const Frame& frame) {
  const uint64_t id = frame.header.request_id;
  StatusOr<Target*> target = TargetOf(frame.header.target);
  if (!target.ok()) return SendError(id, protocol::ToErrorReply(target.status()));
  StatusOr<protocol::Delete> asked = protocol::DecodeDelete(frame.body);
  if (!asked.ok()) return SendError(id, protocol::ToErrorReply(asked.status()));
  DeleteRequest request;
  request.selector = asked->selector;
  request.range = asked->range;
  request.tenant = (*target)->tenant;
  request.branch = (*target)->branch;
  request.dry_run = asked->dry_run;
  request.everywhere = asked->everywhere;
  if (asked->deadline_ms > 0) {
    request.limits.deadline_ms = std::min(asked->deadline_ms, kDeleteDeadlineMsMax);
  }
  BeginRequest();
  deleting_ = true;
  service_->Spawn(Delete(this, service_, ticket_, id, std::move(request)));
}

io::Task<void> BinarySession::Delete(BinarySession* session, Service* service, Ticket ticket,
                                     uint64_t request_id, DeleteRequest request) {
  StatusOr<DeleteResult> result = co_await service->core()->Delete(std::move(request));
  if (!ticket.alive()) co_return;
  session->deleting_ = false;
  session->Answer(request_id, Opcode::kCount, result, [](const DeleteResult& deleted) {
    return protocol::Count{deleted.series, deleted.samples, deleted.series_with_samples,
                           deleted.frozen_left};
  });
}

void BinarySession::HandleScrub(const Frame& frame) {
  const uint64_t id = frame.header.request_id;
  auto cancel = std::make_shared<std::atomic<bool>>(false);
  cancels_[id] = cancel;
  BeginRequest();
  service_->Spawn(Scrub(this, service_, ticket_, id, std::move(cancel)));
}

void BinarySession::CancelLongRequests() {
  for (auto& [id, cancel] : cancels_) cancel->store(true);
}

void BinarySession::HandleBackup(const Frame& frame) {
  const uint64_t id = frame.header.request_id;
  StatusOr<protocol::Backup> asked = protocol::DecodeBackup(frame.body);
  Status allowed = asked.status();
  if (asked.ok()) allowed = CheckDestination(service_->backup_policy(), asked->destination);
  if (!allowed.ok()) return SendError(id, protocol::ToErrorReply(allowed));
  auto cancel = std::make_shared<std::atomic<bool>>(false);
  cancels_[id] = cancel;
  BeginRequest();
  service_->Spawn(
      Backup(this, service_, ticket_, id, std::move(asked->destination), std::move(cancel)));
}

io::Task<void> BinarySession::Backup(BinarySession* session, Service* service, Ticket ticket,
                                     uint64_t request_id, std::string destination,
                                     std::shared_ptr<std::atomic<bool>> cancel) {
  BackupOptions options;
  options.cancel = cancel.get();
  options.progress = ProgressOf(session, service, ticket, request_id);
  StatusOr<BackupResult> made =
      co_await engine::Backup(service->core(), std::move(destination), options);
  if (!ticket.alive()) co_return;
  session->cancels_.erase(request_id);
  session->Answer(request_id, Opcode::kBackupReply, made, WireBackup);
}

io::Task<void> BinarySession::Scrub(BinarySession* session, Service* service, Ticket ticket,
                                    uint64_t request_id,
                                    std::shared_ptr<std::atomic<bool>> cancel) {
  ScrubOptions options;
  options.cancel = cancel.get();
  options.progress = ProgressOf(session, service, ticket, request_id);
  StatusOr<ScrubReport> report = co_await engine::Scrub(service->core(), options);
  if (!ticket.alive()) co_return;
  session->cancels_.erase(request_id);
  session->Answer(request_id, Opcode::kScrubReply, report, ScrubReplyOf);
}

}  // namespace nexus::server
