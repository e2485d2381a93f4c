// Sealing and checking frames. See frame.h.

#include "client/protocol/frame.h"

#include <zlib.h>

#include <cstring>

#include "base/check.h"
#include "base/hash.h"

namespace nexus::protocol {
namespace {

Status BadField(std::string_view field, size_t offset, std::string_view what) {
  return InvalidArgument("frame: {} at byte {} of the header {}", field, offset, what);
}

const char* NameOfReply(Opcode opcode);

}  // namespace

uint32_t BodyBytesMax(Opcode opcode) {
  switch (opcode) {
    case Opcode::kPing:
    case Opcode::kStats:
    case Opcode::kFlush:
    case Opcode::kScrub:
    case Opcode::kDone:
      return 0;
    case Opcode::kHello:
    case Opcode::kWelcome:
      return kHelloBytesMax;
    case Opcode::kBackup:
      return 2 * kHelloBytesMax;
    case Opcode::kOpenTarget:
    case Opcode::kOpenProducer:
    case Opcode::kCancel:
    case Opcode::kCredit:
    case Opcode::kCompact:
    case Opcode::kBranches:
    case Opcode::kTenants:
    case Opcode::kCardinality:
    case Opcode::kProducer:
    case Opcode::kResultEnd:
    case Opcode::kProgress:
    case Opcode::kCount:
    case Opcode::kBackupReply:
      return 256;
    case Opcode::kRollups:
    case Opcode::kRollupList:
      return 512;
    case Opcode::kRegisterSeries:
      return kRegistrationBytesMax;
    case Opcode::kWriteBatch:
      return kBatchBytesMax;
    case Opcode::kQuery:
    case Opcode::kLabels:
    case Opcode::kSeries:
    case Opcode::kDelete:
      return 256u << 10;
    case Opcode::kResult:
    case Opcode::kStrings:
    case Opcode::kStatsReply:
    case Opcode::kBranchList:
    case Opcode::kRetention:
    case Opcode::kRetentionList:
      return 2 * kResultBytesMax;
    case Opcode::kWriteAck:
    case Opcode::kScrubReply:
    case Opcode::kTenantList:
    case Opcode::kCardinalityReply:
    case Opcode::kError:
      return kBodyBytesMax;
  }
  return 0;
}

bool IsSentBy(Side side, uint8_t opcode) {
  bool request = opcode < static_cast<uint8_t>(Opcode::kWelcome);
  return *NameOf(static_cast<Opcode>(opcode)) != '\0' && request == (side == Side::kClient);
}

const char* NameOf(Opcode opcode) {
  switch (opcode) {
    case Opcode::kHello:
      return "HELLO";
    case Opcode::kPing:
      return "PING";
    case Opcode::kOpenTarget:
      return "OPEN_TARGET";
    case Opcode::kRegisterSeries:
      return "REGISTER_SERIES";
    case Opcode::kWriteBatch:
      return "WRITE_BATCH";
    case Opcode::kOpenProducer:
      return "OPEN_PRODUCER";
    case Opcode::kQuery:
      return "QUERY";
    case Opcode::kLabels:
      return "LABELS";
    case Opcode::kSeries:
      return "SERIES";
    case Opcode::kStats:
      return "STATS";
    case Opcode::kFlush:
      return "FLUSH";
    case Opcode::kCancel:
      return "CANCEL";
    case Opcode::kCredit:
      return "CREDIT";
    case Opcode::kScrub:
      return "SCRUB";
    case Opcode::kCompact:
      return "COMPACT";
    case Opcode::kDelete:
      return "DELETE";
    case Opcode::kBranches:
      return "BRANCHES";
    case Opcode::kBackup:
      return "BACKUP";
    case Opcode::kTenants:
      return "TENANTS";
    case Opcode::kCardinality:
      return "CARDINALITY";
    case Opcode::kRetention:
      return "RETENTION";
    case Opcode::kRollups:
      return "ROLLUPS";
    default:
      return NameOfReply(opcode);
  }
}

namespace {

const char* NameOfReply(Opcode opcode) {
  switch (opcode) {
    case Opcode::kBackupReply:
      return "BACKUP_REPLY";
    case Opcode::kWelcome:
      return "WELCOME";
    case Opcode::kDone:
      return "DONE";
    case Opcode::kWriteAck:
      return "WRITE_ACK";
    case Opcode::kProducer:
      return "PRODUCER";
    case Opcode::kResult:
      return "RESULT";
    case Opcode::kStrings:
      return "STRINGS";
    case Opcode::kResultEnd:
      return "RESULT_END";
    case Opcode::kStatsReply:
      return "STATS_REPLY";
    case Opcode::kProgress:
      return "PROGRESS";
    case Opcode::kScrubReply:
      return "SCRUB_REPLY";
    case Opcode::kCount:
      return "COUNT";
    case Opcode::kBranchList:
      return "BRANCH_LIST";
    case Opcode::kTenantList:
      return "TENANT_LIST";
    case Opcode::kCardinalityReply:
      return "CARDINALITY_REPLY";
    case Opcode::kRetentionList:
      return "RETENTION_LIST";
    case Opcode::kRollupList:
      return "ROLLUP_LIST";
    case Opcode::kError:
      return "ERROR";
    default:
      return "";
  }
}

}  // namespace

uint64_t Checksum(ChecksumKind kind, Bytes bytes) {
  if (kind == ChecksumKind::kXxh3) return XxHash64(bytes);
  // A length of 32 bits suffices: bodies are at most 16 MiB.
  return crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size()));
}

HeaderBytes SealFrame(FrameHeader* header, Bytes body) {
  NEXUS_CHECK(body.size() <= kBodyBytesMax);
  header->body_bytes = static_cast<uint32_t>(body.size());
  header->body_checksum = Checksum(header->checksum_kind(), body);
  WireHeader wire = {};
  std::memcpy(wire.magic, kMagic, sizeof(kMagic));
  wire.version = kVersion;
  wire.opcode = static_cast<uint8_t>(header->opcode);
  wire.header_bytes = kHeaderBytes;
  wire.flags = header->flags;
  wire.body_bytes = header->body_bytes;
  wire.request_id = header->request_id;
  wire.target = header->target;
  wire.body_checksum = header->body_checksum;
  HeaderBytes bytes;
  std::memcpy(bytes.data(), &wire, sizeof(wire));
  constexpr size_t kSealed = offsetof(WireHeader, header_checksum);
  uint64_t checksum = Checksum(header->checksum_kind(), Bytes(bytes).first(kSealed));
  StoreUnaligned(bytes.data() + kSealed, checksum);
  return bytes;
}

void AppendFrame(FrameHeader header, Bytes body, std::string* out) {
  HeaderBytes bytes = SealFrame(&header, body);
  out->append(AsString(bytes));
  out->append(AsString(body));
}

size_t BeginFrame(std::string* out) {
  size_t begin = out->size();
  out->append(kHeaderBytes, '\0');
  return begin;
}

void FinishFrame(FrameHeader header, size_t begin, std::string* out) {
  NEXUS_CHECK(begin + kHeaderBytes <= out->size());
  Bytes body = AsBytes(std::string_view(*out).substr(begin + kHeaderBytes));
  HeaderBytes bytes = SealFrame(&header, body);
  std::memcpy(out->data() + begin, bytes.data(), bytes.size());
}

StatusOr<FrameHeader> DecodeHeader(Bytes bytes) {
  NEXUS_CHECK(bytes.size() >= kHeaderBytes);
  auto wire = LoadUnaligned<WireHeader>(bytes.data());
  if (std::memcmp(wire.magic, kMagic, sizeof(kMagic)) != 0) {
    return BadField("magic", 0, "is not NXP1");
  }
  // Before the checksum: another version may keep it elsewhere, and deserves to be told.
  if (wire.version != kVersion) {
    return FailedPrecondition(
        "frame: version {} at byte 4 of the header; this side speaks version {}", wire.version,
        kVersion);
  }
  FrameHeader header;
  header.flags = wire.flags;
  constexpr size_t kSealed = offsetof(WireHeader, header_checksum);
  if (Checksum(header.checksum_kind(), bytes.first(kSealed)) != wire.header_checksum) {
    return BadField("checksum", kSealed, "does not agree with the header");
  }
  if (wire.header_bytes != kHeaderBytes) {
    return BadField("header length", offsetof(WireHeader, header_bytes),
                    fmt::format("is {}, not {}", wire.header_bytes, kHeaderBytes));
  }
  if (wire.reserved0 != 0) {
    return BadField("a reserved field", offsetof(WireHeader, reserved0), "is not zero");
  }
  if (wire.reserved1 != 0) {
    return BadField("a reserved field", offsetof(WireHeader, reserved1), "is not zero");
  }
  if (wire.reserved2 != 0) {
    return BadField("a reserved field", offsetof(WireHeader, reserved2), "is not zero");
  }
  header.opcode = static_cast<Opcode>(wire.opcode);
  header.target = wire.target;
  header.request_id = wire.request_id;
  header.body_bytes = wire.body_bytes;
  header.body_checksum = wire.body_checksum;
  return header;
}

Status CheckHeader(const FrameHeader& header, Side side) {
  if (!IsSentBy(side, static_cast<uint8_t>(header.opcode))) {
    return Unimplemented("{}: no such {}", Describe(header),
                         side == Side::kClient ? "request" : "reply");
  }
  uint32_t unknown = header.flags & kFlagsCritical & ~kFlagsKnown;
  if (header.opcode != Opcode::kWriteBatch) unknown |= header.flags & kFlagBuffered;
  if (unknown != 0) {
    return Unimplemented("{}: critical flags {:#x} are unknown here", Describe(header), unknown);
  }
  if (header.body_bytes > BodyBytesMax(header.opcode)) {
    return ResourceExhausted("{}: a body of {} bytes; at most {} are accepted", Describe(header),
                             header.body_bytes, BodyBytesMax(header.opcode));
  }
  return OkStatus();
}

std::string Describe(const FrameHeader& header) {
  std::string name = NameOf(header.opcode);
  if (name.empty()) name = fmt::format("opcode {}", static_cast<int>(header.opcode));
  return fmt::format("{} of request {}", name, header.request_id);
}

}  // namespace nexus::protocol
