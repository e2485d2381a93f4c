// Encoding and decoding. See backup.h.

#include "client/protocol/backup.h"

#include "client/protocol/field_reader.h"

namespace nexus::protocol {

void Encode(const Backup& backup, std::string* out) {
  ByteWriter(out).LengthPrefixed(backup.destination);
}

StatusOr<Backup> DecodeBackup(Bytes body) {
  FieldReader reader("BACKUP", body);
  Backup backup;
  backup.destination = std::string(reader.Text("destination", kDestinationBytesMax));
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return backup;
}

void Encode(const BackupReply& reply, std::string* out) {
  ByteWriter writer(out);
  writer.U64(reply.lsn.value);
  writer.U64(reply.layers);
  writer.U64(reply.layer_bytes);
  writer.U64(reply.kept);
  writer.U64(reply.linked);
  writer.U64(reply.copied);
  writer.U64(reply.copied_bytes);
  writer.U64(reply.removed);
  writer.U64(reply.not_removed);
}

StatusOr<BackupReply> DecodeBackupReply(Bytes body) {
  FieldReader reader("BACKUP_REPLY", body);
  BackupReply reply;
  reply.lsn.value = reader.U64("LSN");
  reply.layers = reader.U64("layers");
  reply.layer_bytes = reader.U64("layer bytes");
  reply.kept = reader.U64("kept");
  reply.linked = reader.U64("linked");
  reply.copied = reader.U64("copied");
  reply.copied_bytes = reader.U64("copied bytes");
  reply.removed = reader.U64("removed");
  reply.not_removed = reader.U64("not removed");
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  return reply;
}

}  // namespace nexus::protocol
