// What a backup did, by its two descriptions: the engine's and the wire's.
//
// Threading: pure functions.

#ifndef NEXUS_SERVER_WIRE_BACKUP_H_
#define NEXUS_SERVER_WIRE_BACKUP_H_

#include "client/protocol/backup.h"
#include "engine/backup_report.h"

namespace nexus::server {

inline protocol::BackupReply WireBackup(const BackupResult& made) {
  protocol::BackupReply reply;
  reply.lsn = made.lsn;
  reply.layers = made.layers;
  reply.layer_bytes = made.layer_bytes;
  reply.kept = made.placed.kept;
  reply.linked = made.placed.linked;
  reply.copied = made.placed.copied;
  reply.copied_bytes = made.placed.copied_bytes;
  reply.removed = made.removed;
  reply.not_removed = made.not_removed;
  return reply;
}

inline BackupResult EngineBackup(const protocol::BackupReply& reply) {
  BackupResult made;
  made.lsn = reply.lsn;
  made.layers = reply.layers;
  made.layer_bytes = reply.layer_bytes;
  made.placed.kept = reply.kept;
  made.placed.linked = reply.linked;
  made.placed.copied = reply.copied;
  made.placed.copied_bytes = reply.copied_bytes;
  made.removed = reply.removed;
  made.not_removed = reply.not_removed;
  return made;
}

}  // namespace nexus::server

#endif  // NEXUS_SERVER_WIRE_BACKUP_H_
