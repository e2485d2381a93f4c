// Tenants over the wire: making, changing and listing them, and what their series come from. See
// binary_session.h.

#include <utility>

#include "server/binary_session.h"
#include "server/wire_cardinality.h"
#include "server/wire_tenants.h"

namespace nexus::server {

using protocol::Opcode;

void BinarySession::HandleTenants(const protocol::Frame& frame) {
  const uint64_t id = frame.header.request_id;
  StatusOr<protocol::Tenants> asked = protocol::DecodeTenants(frame.body);
  if (!asked.ok()) return SendError(id, protocol::ToErrorReply(asked.status()));
  BeginRequest();
  if (asked->action == protocol::TenantAction::kList) {
    return service_->Spawn(ListTenants(this, service_, ticket_, id));
  }
  service_->Spawn(ChangeTenant(this, service_, ticket_, id, *std::move(asked)));
}

io::Task<void> BinarySession::ListTenants(BinarySession* session, Service* service, Ticket ticket,
                                          uint64_t request_id) {
  std::vector<TenantInfo> tenants = co_await service->core()->DescribeTenants();
  if (!ticket.alive()) co_return;
  std::string body;
  protocol::Encode(WireTenantList(tenants), &body);
  session->Finish(Opcode::kTenantList, request_id, body);
}

io::Task<void> BinarySession::ChangeTenant(BinarySession* session, Service* service, Ticket ticket,
                                           uint64_t request_id, protocol::Tenants asked) {
  const QuotaChanges quotas = EngineQuotas(asked);
  Status status;
  if (asked.action == protocol::TenantAction::kCreate) {
    status = co_await service->core()->CreateTenant(asked.name, quotas);
  } else if (asked.action == protocol::TenantAction::kDelete) {
    status = co_await service->core()->DeleteTenant(asked.name);
  } else {
    status = co_await service->core()->SetTenant(asked.name, quotas);
  }
  if (ticket.alive()) session->AnswerDone(request_id, status);
}

io::Task<void> BinarySession::Cardinality(BinarySession* session, Service* service, Ticket ticket,
                                          uint64_t request_id, std::string tenant,
                                          protocol::Cardinality asked) {
  StatusOr<CardinalityReport> report =
      co_await service->core()->Cardinality(std::move(tenant), asked.top);
  if (!ticket.alive()) co_return;
  session->Answer(request_id, Opcode::kCardinalityReply, report, WireCardinality);
}

}  // namespace nexus::server
