// Fuzzes the decoders of messages: no crash, no memory out of proportion, stable when encoded
// again.
//
// The first byte is the opcode, the rest the body.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "client/protocol/backup.h"
#include "client/protocol/branches.h"
#include "client/protocol/cardinality.h"
#include "client/protocol/delete.h"
#include "client/protocol/handshake.h"
#include "client/protocol/progress.h"
#include "client/protocol/query.h"
#include "client/protocol/registration.h"
#include "client/protocol/retention.h"
#include "client/protocol/rollups.h"
#include "client/protocol/scrub.h"
#include "client/protocol/tenants.h"
#include "client/protocol/write.h"

namespace nexus::protocol {
namespace {

// What was decoded, encoded again, must decode to the same bytes.
template <typename Decode>
void Fuzz(Decode decode, Bytes body) {
  auto message = decode(body);
  if (!message.ok()) return;
  std::string once;
  Encode(*message, &once);
  auto again = decode(AsBytes(once));
  NEXUS_CHECK(again.ok());
  std::string twice;
  Encode(*again, &twice);
  NEXUS_CHECK(once == twice);
}

void FuzzRegistration(Bytes body) {
  SymbolTable symbols;
  StatusOr<RegistrationReader> reader = RegistrationReader::Open(body, 1, &symbols);
  if (!reader.ok()) return;
  std::vector<std::string> series;
  std::string canonical;
  while (true) {
    StatusOr<bool> more = reader->Next(&canonical);
    if (!more.ok()) return;
    if (!*more) break;
    series.push_back(canonical);
  }
  RegistrationWriter writer;
  writer.Begin(1);
  for (const std::string& one : series) {
    if (!writer.Add(one)) return;
  }
  std::string again;
  writer.Finish(&again);
  SymbolTable others;
  reader = RegistrationReader::Open(AsBytes(again), 1, &others);
  NEXUS_CHECK(reader.ok());
  for (const std::string& one : series) {
    NEXUS_CHECK(*reader->Next(&canonical));
    NEXUS_CHECK(canonical == one);
  }
}

void FuzzResult(Bytes body) {
  ResultReader reader(body);
  std::string again;
  ResultPart part;
  while (true) {
    StatusOr<bool> more = reader.Next(&part);
    if (!more.ok()) return;
    if (!*more) break;
    AppendPart(part, &again);
  }
  // There is one way to write a part.
  NEXUS_CHECK(again == AsString(body));
}

void FuzzStrings(Bytes body) {
  StringsReader reader(body);
  size_t bytes = 0;
  std::string_view text;
  while (true) {
    StatusOr<bool> more = reader.Next(&text);
    if (!more.ok() || !*more) break;
    bytes += text.size();
  }
  NEXUS_CHECK(bytes <= body.size());
}

// Of compaction, deletes, branches, tenants, retention and backups.
void FuzzLifeOfLayers(Opcode opcode, Bytes body) {
  switch (opcode) {
    case Opcode::kCompact:
      return Fuzz(DecodeCompact, body);
    case Opcode::kBackup:
      return Fuzz(DecodeBackup, body);
    case Opcode::kBackupReply:
      return Fuzz(DecodeBackupReply, body);
    case Opcode::kBranches:
      return Fuzz(DecodeBranches, body);
    case Opcode::kBranchList:
      return Fuzz(DecodeBranchList, body);
    case Opcode::kTenants:
      return Fuzz(DecodeTenants, body);
    case Opcode::kTenantList:
      return Fuzz(DecodeTenantList, body);
    case Opcode::kCardinality:
      return Fuzz(DecodeCardinality, body);
    case Opcode::kCardinalityReply:
      return Fuzz(DecodeCardinalityReply, body);
    case Opcode::kRetention:
      return Fuzz(DecodeRetention, body);
    case Opcode::kRetentionList:
      return Fuzz(DecodeRetentionList, body);
    case Opcode::kRollups:
      return Fuzz(DecodeRollups, body);
    case Opcode::kRollupList:
      return Fuzz(DecodeRollupList, body);
    case Opcode::kDelete:
      return Fuzz(DecodeDelete, body);
    case Opcode::kCount:
      return Fuzz(DecodeCount, body);
    default:
      return;
  }
}

void FuzzMessage(Opcode opcode, Bytes body) {
  switch (opcode) {
    case Opcode::kHello:
      return Fuzz(DecodeHello, body);
    case Opcode::kWelcome:
      return Fuzz(DecodeWelcome, body);
    case Opcode::kOpenTarget:
      return Fuzz(DecodeOpenTarget, body);
    case Opcode::kRegisterSeries:
      return FuzzRegistration(body);
    case Opcode::kWriteAck:
      return Fuzz(DecodeWriteAck, body);
    case Opcode::kOpenProducer:
      return Fuzz(DecodeOpenProducer, body);
    case Opcode::kProducer:
      return Fuzz(DecodeProducer, body);
    case Opcode::kQuery:
      return Fuzz(DecodeQuery, body);
    case Opcode::kLabels:
      return Fuzz(DecodeLabels, body);
    case Opcode::kSeries:
      return Fuzz(DecodeSeries, body);
    case Opcode::kCredit:
      return Fuzz(DecodeCredit, body);
    case Opcode::kResult:
      return FuzzResult(body);
    case Opcode::kStrings:
      return FuzzStrings(body);
    case Opcode::kResultEnd:
      return Fuzz(DecodeResultEnd, body);
    case Opcode::kStatsReply:
      return Fuzz(DecodeStats, body);
    case Opcode::kProgress:
      return Fuzz(DecodeProgress, body);
    case Opcode::kCompact:
    case Opcode::kBackup:
    case Opcode::kBackupReply:
    case Opcode::kBranches:
    case Opcode::kBranchList:
    case Opcode::kTenants:
    case Opcode::kTenantList:
    case Opcode::kCardinality:
    case Opcode::kCardinalityReply:
    case Opcode::kRetention:
    case Opcode::kRetentionList:
    case Opcode::kRollups:
    case Opcode::kRollupList:
    case Opcode::kDelete:
    case Opcode::kCount:
      return FuzzLifeOfLayers(opcode, body);
    case Opcode::kScrubReply:
      return Fuzz(DecodeScrubReply, body);
    case Opcode::kError:
      return Fuzz(DecodeError, body);
    case Opcode::kCancel:
      return static_cast<void>(DecodeCancel(body));
    case Opcode::kPing:
    case Opcode::kWriteBatch:
    case Opcode::kStats:
    case Opcode::kFlush:
    case Opcode::kScrub:
    case Opcode::kDone:
      return;
  }
}

}  // namespace
}  // namespace nexus::protocol

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  nexus::protocol::FuzzMessage(static_cast<nexus::protocol::Opcode>(data[0]),
                               std::as_bytes(std::span(data + 1, size - 1)));
  return 0;
}
