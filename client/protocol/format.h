// The bytes of the wire protocol NXP1: the frame header, opcodes, flags, limits.
//
// A connection is two streams of frames, requests one way and replies the other. A frame is a
// header of 64 bytes and a body. All integers are little-endian. The header's checksum is verified
// before its length is believed, so a damaged length never swallows what follows; everything that
// is known to be unused is zero and checked.
// Format: docs/format/protocol.md.

#ifndef NEXUS_CLIENT_PROTOCOL_FORMAT_H_
#define NEXUS_CLIENT_PROTOCOL_FORMAT_H_

#include <cstddef>
#include <cstdint>

namespace nexus::protocol {

inline constexpr char kMagic[4] = {'N', 'X', 'P', '1'};
// Version 0: any change is allowed until the first release; another version is refused by name.
inline constexpr uint8_t kVersion = 0;

// The header as it stands on the wire.
struct WireHeader {
  char magic[4];
  uint8_t version;
  uint8_t opcode;
  uint16_t header_bytes;     // sizeof(WireHeader)
  uint32_t flags;            // low half critical, high half ignorable
  uint32_t body_bytes;       // of what follows the header
  uint64_t request_id;       // chosen by the client, repeated in every reply to the request
  uint32_t target;           // a connection's number for a tenant and branch; 0: default, main
  uint32_t reserved0;        // zero
  uint64_t body_checksum;    // of the body
  uint64_t reserved1;        // zero
  uint64_t reserved2;        // zero
  uint64_t header_checksum;  // of the 56 bytes before
};
inline constexpr size_t kHeaderBytes = 64;
static_assert(sizeof(WireHeader) == kHeaderBytes && kHeaderBytes % 8 == 0);
static_assert(offsetof(WireHeader, request_id) == 16 && offsetof(WireHeader, body_checksum) == 32 &&
              offsetof(WireHeader, header_checksum) == 56);

// Critical flags (bits 0..15): a frame with one that is unknown is refused.
// The frame's checksums are CRC-32 (zlib's, in the low half) instead of XXH3-64. The client's first
// frame decides for both directions of the connection.
inline constexpr uint32_t kFlagCrc32 = 1u << 0;
// WRITE_BATCH: acknowledge when the batch is in the log buffer instead of on stable storage.
inline constexpr uint32_t kFlagBuffered = 1u << 1;
inline constexpr uint32_t kFlagsCritical = 0x0000ffff;
inline constexpr uint32_t kFlagsKnown = kFlagCrc32 | kFlagBuffered;
// Ignorable flags (bits 16..31): unknown ones are passed over. None is defined yet.
inline constexpr uint32_t kFlagsIgnorable = 0xffff0000;

// Requests are below 64, replies from 64 on. The comment names what answers a request; ERROR may
// answer any.
enum class Opcode : uint8_t {
  kHello = 1,           // WELCOME. The first frame of a connection.
  kPing = 2,            // DONE
  kOpenTarget = 3,      // DONE. Gives a number to a tenant and branch.
  kRegisterSeries = 4,  // DONE. Gives numbers to series.
  kWriteBatch = 5,      // WRITE_ACK
  kOpenProducer = 6,    // PRODUCER
  kQuery = 7,           // RESULT*, RESULT_END
  kLabels = 8,          // STRINGS*, RESULT_END
  kSeries = 9,          // STRINGS*, RESULT_END
  kStats = 10,          // STATS_REPLY
  kFlush = 11,          // DONE
  kCancel = 12,         // DONE; what is cancelled ends with its own final reply
  kCredit = 13,         // nothing. Lets the server send more frames of a result.
  kScrub = 14,          // PROGRESS*, SCRUB_REPLY
  kCompact = 15,        // PROGRESS*, DONE
  kDelete = 16,         // COUNT
  kBranches = 17,       // BRANCH_LIST, or DONE
  kTenants = 18,        // TENANT_LIST, or DONE
  kRetention = 19,      // RETENTION_LIST
  kBackup = 20,         // PROGRESS*, BACKUP_REPLY
  kCardinality = 21,    // CARDINALITY_REPLY
  kRollups = 22,        // ROLLUP_LIST

  kWelcome = 64,
  kDone = 65,
  kWriteAck = 66,
  kProducer = 67,
  kResult = 68,
  kStrings = 69,
  kResultEnd = 70,
  kStatsReply = 71,
  kProgress = 72,
  kScrubReply = 73,
  kCount = 75,
  kBranchList = 76,
  kRetentionList = 77,
  kTenantList = 78,
  kBackupReply = 79,
  kCardinalityReply = 80,
  kRollupList = 81,
  kError = 127,
};

// Whose frames: requests come from clients, replies from servers.
enum class Side : uint8_t { kClient, kServer };

// Three words of features as in every format of nexus. A peer that does not know a bit of the first
// refuses the connection; of the second, refuses writes; of the third, passes over it. None is
// defined yet.
struct FeatureWords {
  uint64_t incompatible = 0;
  uint64_t read_compatible = 0;
  uint64_t compatible = 0;
  bool operator==(const FeatureWords&) const = default;
};

// ---- Limits.

// A record of the log holds 16 MiB less its frame header, so a batch of that size fits a frame.
inline constexpr uint32_t kBodyBytesMax = 16u << 20;
// Room for a record's frame header and for 8,000 rejected ranges, which the server appends.
inline constexpr uint32_t kBatchBytesMax = kBodyBytesMax - (64u << 10);
// Until HELLO is accepted, a stranger may make the server hold no more than this.
inline constexpr uint32_t kHelloBytesMax = 4096;
// Bodies of batches from this size on may be received straight into a buffer of the receiver's:
// below it, copying costs less than a receive of its own (5 us against 1 us at 16 KiB).
inline constexpr uint32_t kBigBodyBytes = 16u << 10;
// Frames of results stay below this plus the labels of one series: a query holds one of them, and
// at 16 bytes a sample one carries 16,000.
inline constexpr uint32_t kResultBytesMax = 256u << 10;
// RESULT and STRINGS frames that a server may send for one request ahead of CREDIT: 2 MiB, which a
// loopback moves in the time of a wake-up or two, and which a client holds for a reader that is
// slow - while the other replies of the connection go past it.
inline constexpr uint32_t kInitialCredit = 8;
// The most that may be outstanding.
inline constexpr uint32_t kCreditMax = 1024;

inline constexpr size_t kClientNameBytesMax = 64;
inline constexpr size_t kTargetNameBytesMax = 64;  // of a tenant's or branch's name
inline constexpr size_t kMessageBytesMax = 4096;   // of an error
inline constexpr size_t kSelectorBytesMax = 32768;
inline constexpr size_t kByLabelsMax = 128;
inline constexpr size_t kStatsMax = 1024;

// Series of one REGISTER_SERIES, and the bytes of their labels written out: a dictionary could
// otherwise make 8 GiB of 1 MiB.
inline constexpr uint32_t kRegisteredSeriesMax = 65536;
inline constexpr uint32_t kRegistrationBytesMax = 1u << 20;
inline constexpr uint64_t kRegisteredLabelBytesMax = 8u << 20;
// The dictionary of a connection: 4 MiB at the server for each.
inline constexpr uint32_t kSymbolsMax = 65536;
inline constexpr uint32_t kSymbolBytesMax = 4u << 20;

// The largest body of a frame of this kind, after HELLO; 0 for one that has none, and for an
// opcode that is unknown.
uint32_t BodyBytesMax(Opcode opcode);
// Whether `side` sends frames of this kind. False for an unknown one.
bool IsSentBy(Side side, uint8_t opcode);
// "WRITE_BATCH"; "opcode 77" for an unknown one is made by the caller from the empty name.
const char* NameOf(Opcode opcode);

}  // namespace nexus::protocol

#endif  // NEXUS_CLIENT_PROTOCOL_FORMAT_H_
