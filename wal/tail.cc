// Reading and encoding an unconfirmed tail. See tail.h.

#include "wal/tail.h"

#include <cstring>
#include <utility>

#include "wal/cursor.h"
#include "wal/format.h"

namespace nexus::wal {

io::Task<StatusOr<Tail>> ReadTail(io::Environment* environment, LogScan scan) {
  Tail tail;
  if (scan.tail_frame_bytes == 0) co_return tail;
  CursorOptions options;
  options.from = scan.tail_begin;
  LogCursor cursor(environment, scan, options);
  while (true) {
    NEXUS_CO_ASSIGN_OR_RETURN(std::span<const RecordView> records, co_await cursor.Next());
    if (records.empty()) break;
    for (const RecordView& record : records) {
      std::string body(AsString(record.body));
      tail.frame_bytes += FrameBytes(body.size());
      tail.record_bytes += body.size();
      tail.records.push_back({record.kind, record.wall_ns, std::move(body)});
    }
  }
  co_return tail;
}

TailImage EncodeTail(const Tail& tail, const SegmentIdentity& identity, uint64_t previous_hash,
                     Lsn durable) {
  TailImage image;
  image.bytes = io::AlignedBuffer(AlignUp(tail.frame_bytes, io::kSectorBytes));
  image.last_hash = previous_hash;
  for (const Tail::Record& record : tail.records) {
    std::byte* at = image.bytes.data() + image.frame_bytes;
    FrameHeader header;
    header.kind = static_cast<uint8_t>(record.kind);
    header.length = static_cast<uint32_t>(record.body.size());
    header.epoch = identity.epoch;
    header.lsn = identity.LsnAt(kSegmentDataBegin + image.frame_bytes);
    header.wall_ns = record.wall_ns;
    header.durable = durable;
    header.previous = image.last_hash;
    std::memcpy(at + kFrameHeaderBytes, record.body.data(), record.body.size());
    FinishFrame(&header, identity.seed, at);
    image.last_hash = header.hash;
    image.frame_bytes += header.frame_bytes();
  }
  return image;
}

}  // namespace nexus::wal
