// BACKUP, BACKUP_REPLY: a copy of the server's database on the server's machine.
//
// Decoding takes any bytes and bounds every allocation by those there are. Threading: values.
// Format: docs/format/protocol.md.

#ifndef NEXUS_CLIENT_PROTOCOL_BACKUP_H_
#define NEXUS_CLIENT_PROTOCOL_BACKUP_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/status.h"
#include "base/types.h"

namespace nexus::protocol {

// The longest path that Linux takes.
inline constexpr size_t kDestinationBytesMax = 4096;

// BACKUP. PROGRESS on the way. It ends when the connection does, or by CANCEL.
struct Backup {
  std::string destination;  // an absolute path of the server's machine

  bool operator==(const Backup&) const = default;
};
void Encode(const Backup& backup, std::string* out);
// Errors: InvalidArgument.
StatusOr<Backup> DecodeBackup(Bytes body);

// BACKUP_REPLY: as engine/backup_report.h has it.
struct BackupReply {
  Lsn lsn;
  uint64_t layers = 0;
  uint64_t layer_bytes = 0;
  uint64_t kept = 0;
  uint64_t linked = 0;
  uint64_t copied = 0;
  uint64_t copied_bytes = 0;
  uint64_t removed = 0;
  uint64_t not_removed = 0;

  bool operator==(const BackupReply&) const = default;
};
void Encode(const BackupReply& reply, std::string* out);
// Errors: InvalidArgument.
StatusOr<BackupReply> DecodeBackupReply(Bytes body);

}  // namespace nexus::protocol

#endif  // NEXUS_CLIENT_PROTOCOL_BACKUP_H_
