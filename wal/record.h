// What the log carries: opaque records of a small kind, at positions that are never re-used.
//
// The log knows nothing of what a record means. One record is one frame: whole or absent, never
// split between writes. A record's LSN is the place of its frame in the log stream; its end is the
// watermark at which it is durable, applied, replayed. Threading: values.

#ifndef NEXUS_WAL_RECORD_H_
#define NEXUS_WAL_RECORD_H_

#include <cstdint>

#include "base/bytes.h"
#include "base/types.h"

namespace nexus::wal {

// What kind of record this is; the values 1..63 are the engine's to give, the log keeps those above
// for frames of its own.
enum class RecordKind : uint8_t {};
inline constexpr uint8_t kRecordKindMax = 63;

// A frame is at most 16 MiB (DESIGN section 4), its header 64 bytes of that.
inline constexpr uint64_t kFrameBytesMax = uint64_t{16} << 20;
inline constexpr uint64_t kRecordBytesMax = kFrameBytesMax - 64;

// Who may use what is left when the disk is full.
enum class Urgency : uint8_t {
  kBatch,  // samples: refused when only the last spare segment is left
  kEdit,   // changes of the database's shape, which free space: may use the last spare segment
};

// Where a record stands. The next record may begin above `end`: writes are padded to the sector.
struct AppendResult {
  Lsn begin;
  Lsn end;
};

// A record as it is read back. `body` points into the reader's window.
struct RecordView {
  RecordKind kind{};
  Lsn begin;
  Lsn end;
  int64_t wall_ns = 0;  // the wall clock when it was appended
  Bytes body;
};

}  // namespace nexus::wal

#endif  // NEXUS_WAL_RECORD_H_
