// Rollups over the wire: which a tenant keeps. See binary_session.h.

#include <utility>

#include "server/binary_session.h"
#include "server/wire_rollups.h"

namespace nexus::server {

using protocol::Opcode;

io::Task<void> BinarySession::Rollups(BinarySession* session, Service* service, Ticket ticket,
                                      uint64_t request_id, std::string tenant,
                                      protocol::Rollups asked) {
  engine::DatabaseCore* core = service->core();
  Status status;
  if (asked.action == protocol::RollupAction::kSet) {
    status = co_await core->SetRollups(EngineRollups(asked.rules), tenant);
  }
  if (!ticket.alive()) co_return;
  StatusOr<std::vector<RollupRule>> rules = core->Rollups(tenant);
  if (!status.ok()) rules = status;
  session->Answer(request_id, Opcode::kRollupList, rules, [](const auto& kept) {
    protocol::RollupList list;
    list.rules = WireRollups(kept);
    return list;
  });
}

}  // namespace nexus::server
