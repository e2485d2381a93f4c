// The protocol's bytes as they are written down: testdata/golden.txt, checked both ways.
//
// Each line is a name and a frame in hex. What this program sends is that, and what that says is
// what this program reads. Clients in other languages hold themselves to the same file.
//
// Until the first tagged release the protocol may change on purpose: then write the file anew with
//   NEXUS_GOLDEN_WRITE=$PWD/tests/client/testdata/golden.txt bazel-bin/tests/client/golden_test
// and say in the commit what changed.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "batch/batch_encoder.h"
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
#include "tests/client/frames.h"

namespace nexus::protocol {
namespace {

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hex;
}

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

// A frame of the file, and what must hold of a body that was read from it.
struct Vector {
  Side side = Side::kClient;
  FrameHeader header;
  std::string body;
  std::function<bool(Bytes)> reads_back;
};

template <typename Message, typename Decode>
Vector Of(Side side, Opcode opcode, const Message& message, Decode decode, uint32_t flags = 0) {
  Vector made;
  made.side = side;
  made.header = Header(opcode, 0x1122334455667788, flags, 2);
  Encode(message, &made.body);
  made.reads_back = [=](Bytes body) {
    auto back = decode(body);
    return back.ok() && *back == message;
  };
  return made;
}

Vector Empty(Side side, Opcode opcode) {
  Vector made;
  made.side = side;
  made.header = Header(opcode, 3);
  made.reads_back = [](Bytes body) { return body.empty(); };
  return made;
}

Vector RegisterSeries() {
  Vector made = Empty(Side::kClient, Opcode::kRegisterSeries);
  std::vector<std::string> series = {
      "up\xff"
      "job\xfe"
      "n\xff",
      "up\xff"
      "job\xfe"
      "m\xff"};
  RegistrationWriter writer;
  writer.Begin(1);
  for (const std::string& canonical : series) EXPECT_TRUE(writer.Add(canonical));
  writer.Finish(&made.body);
  made.reads_back = [series](Bytes body) {
    SymbolTable symbols;
    auto reader = RegistrationReader::Open(body, 1, &symbols);
    std::string canonical;
    for (const std::string& expected : series) {
      if (!reader.ok() || !reader->Next(&canonical).ok() || canonical != expected) return false;
    }
    return !*reader->Next(&canonical);
  };
  return made;
}

Vector WriteBatch() {
  Vector made = Empty(Side::kClient, Opcode::kWriteBatch);
  made.header.flags = kFlagBuffered;
  batch::BatchEncoder encoder({0}, {0});
  encoder.SetExactlyOnce({1, 2, 3, 4});
  std::vector<SeriesId> series = {{1}, {2}};
  std::vector<double> values = {1, -0.0};
  encoder.AddRow(1'000'000'000, series, values);
  made.body = AsString(encoder.Finish());
  made.reads_back = [](Bytes body) {
    std::vector<uint64_t> aligned(body.size() / 8);
    std::memcpy(aligned.data(), body.data(), body.size());
    auto batch = batch::BatchView::Parse(std::as_bytes(std::span(aligned)));
    return batch.ok() && batch->sample_count() == 2 && batch->exactly_once()->sequence == 4;
  };
  return made;
}

Vector Result() {
  Vector made = Empty(Side::kServer, Opcode::kResult);
  std::vector<int64_t> timestamps = {-1, 1'000'000'000};
  std::vector<double> values = {1.5, 2.5};
  ResultPart part;
  part.series_index = 7;
  part.labels = "up\xff";
  part.timestamps = ColumnBytes(std::span(timestamps));
  part.values = ColumnBytes(std::span(values));
  AppendPart(part, &made.body);
  made.reads_back = [](Bytes body) {
    ResultReader reader(body);
    ResultPart back;
    return *reader.Next(&back) && back.series_index == 7 && back.labels == "up\xff" &&
           back.samples() == 2 && back.timestamp(0) == -1 && back.values.size() == 16;
  };
  return made;
}

Vector Strings() {
  Vector made = Empty(Side::kServer, Opcode::kStrings);
  AppendString("host", &made.body);
  AppendString("job", &made.body);
  made.reads_back = [](Bytes body) {
    StringsReader reader(body);
    std::string_view first;
    std::string_view second;
    return *reader.Next(&first) && *reader.Next(&second) && first == "host" && second == "job";
  };
  return made;
}

Vector Statistics() {
  Vector made = Empty(Side::kServer, Opcode::kStatsReply);
  Encode(std::vector<Stat>{{"series", uint64_t{5}}, {"ratio", 0.5}, {"io", "sim"}}, &made.body);
  made.reads_back = [](Bytes body) {
    auto stats = DecodeStats(body);
    return stats.ok() && stats->size() == 3 && std::get<uint64_t>((*stats)[0].value) == 5 &&
           std::get<std::string>((*stats)[2].value) == "sim";
  };
  return made;
}

Vector Scrubbed() {
  Vector made = Empty(Side::kServer, Opcode::kScrubReply);
  ScrubReply reply;
  reply.figures = {{"layers", uint64_t{2}}};
  reply.finding_count = 3;
  reply.findings.resize(2);
  reply.findings[0] = {
      "/db/layers/a.layer", 128,       "its checksum is wrong", {"up{job=\"a\"}"}, 7,
      TimeRange{-1, 1000},  "a backup"};
  reply.findings[1].file = "/db/wal/x";
  reply.notes = {"one", "two"};
  Encode(reply, &made.body);
  made.reads_back = [reply](Bytes body) {
    auto read = DecodeScrubReply(body);
    return read.ok() && read->findings == reply.findings && read->finding_count == 3 &&
           read->notes == reply.notes && std::get<uint64_t>(read->figures[0].value) == 2;
  };
  return made;
}

Vector ListedBranches() {
  Vector made = Empty(Side::kServer, Opcode::kBranchList);
  const std::vector<BranchEntry> entries = {
      {"main", BranchKind::kBranch, "", 0, Lsn{}, 3, 300, 100},
      {"before", BranchKind::kSnapshot, "main", 1'700'000'000'000'000'000, Lsn{4096}, 2, 200, 0}};
  Encode(entries, &made.body);
  made.reads_back = [entries](Bytes body) {
    auto read = DecodeBranchList(body);
    return read.ok() && *read == entries;
  };
  return made;
}

Vector ListedTenants() {
  Vector made = Empty(Side::kServer, Opcode::kTenantList);
  const std::vector<TenantEntry> entries = {
      {"default", {kNoQuota, kNoQuota, kNoQuota, kNoQuota, kNoQuota}, 1, 2, 3, 4, 5, 6, 7, 16},
      {"acme", {1000, 50, 1 << 20, kNoQuota, 8}, 9, 10, 11, 12, 13, 14, 15, 17}};
  Encode(entries, &made.body);
  made.reads_back = [entries](Bytes body) {
    auto read = DecodeTenantList(body);
    return read.ok() && *read == entries;
  };
  return made;
}

Tenants SomeTenants() {
  Tenants tenants;
  tenants.action = TenantAction::kSet;
  tenants.name = "acme";
  tenants.quotas[0] = 1000;
  tenants.quotas[2] = kNoQuota;
  return tenants;
}

CardinalityReply SomeCardinality() {
  CardinalityReply reply;
  reply.series = 300;
  reply.grown = 7;
  reply.metrics = 1;
  reply.labels = 2;
  reply.pairs = 3;
  reply.lists[0] = {{"up", "", 300, 7}};
  reply.lists[2] = {{"job", "n", 200, 5}, {"host", "a", 100, 0}};
  reply.lists[5] = {{"job", "n", 200, 5}};
  return reply;
}

Vector Cancel() {
  Vector made = Empty(Side::kClient, Opcode::kCancel);
  EncodeCancel(77, &made.body);
  made.reads_back = [](Bytes body) { return *DecodeCancel(body) == 77; };
  return made;
}

// Of compaction, deletes, branches, tenants, retention and backups.
std::map<std::string, Vector> VectorsOfLayers() {
  constexpr Side kClient = Side::kClient;
  constexpr Side kServer = Side::kServer;
  return {
      {"compact", Of(kClient, Opcode::kCompact, CompactAction::kPause, DecodeCompact)},
      {"branches", Of(kClient, Opcode::kBranches,
                      Branches{BranchAction::kCreate, BranchKind::kSnapshot, "before", "main"},
                      DecodeBranches)},
      {"branch_list", ListedBranches()},
      {"tenants", Of(kClient, Opcode::kTenants, SomeTenants(), DecodeTenants)},
      {"tenant_list", ListedTenants()},
      {"cardinality", Of(kClient, Opcode::kCardinality, Cardinality{25}, DecodeCardinality)},
      {"cardinality_reply",
       Of(kServer, Opcode::kCardinalityReply, SomeCardinality(), DecodeCardinalityReply)},
      {"retention",
       Of(kClient, Opcode::kRetention,
          Retention{RetentionAction::kSet, {{"{job=\"dev\"}", 604'800'000'000'000}, {"{}", 1}}},
          DecodeRetention)},
      {"retention_list",
       Of(kServer, Opcode::kRetentionList,
          RetentionList{true, false, 1'700'000'000'000'000'000, -1, 3, {{"{}", 5}}},
          DecodeRetentionList)},
      {"rollups", Of(kClient, Opcode::kRollups,
                     Rollups{RollupAction::kSet, {{60'000'000'000, 7}, {3'600'000'000'000, 0}}},
                     DecodeRollups)},
      {"rollup_list",
       Of(kServer, Opcode::kRollupList, RollupList{{{60'000'000'000, 0}}}, DecodeRollupList)},
      {"delete", Of(kClient, Opcode::kDelete, Delete{true, true, 5000, {-1, 99}, "up{job=\"n\"}"},
                    DecodeDelete)},
      {"backup", Of(kClient, Opcode::kBackup, Backup{"/srv/backup"}, DecodeBackup)},
      {"backup_reply", Of(kServer, Opcode::kBackupReply,
                          BackupReply{Lsn{1}, 2, 3, 4, 5, 6, 7, 8, 9}, DecodeBackupReply)},
      {"count", Of(kServer, Opcode::kCount, Count{1, 2, 3, 4}, DecodeCount)},
  };
}

std::map<std::string, Vector> Vectors() {
  constexpr Side kClient = Side::kClient;
  constexpr Side kServer = Side::kServer;
  Hello hello{0, {1, 2, 3}, {0x0123456789abcdef, 0xfedcba9876543210}, "example 1.0"};
  ErrorReply error;
  error.code = absl::StatusCode::kOutOfRange;
  error.error_class = ErrorClass::kFix;
  error.reason = ErrorReason::kSequenceGap;
  error.retry_after_ms = 250;
  error.expected = 5;
  error.message = "expected sequence 5";
  error.rejected = {{1, 2}, {300, 1}};
  Query query{QueryKind::kAggregate,
              Function::kPercentile,
              true,
              1000,
              {-5, 5},
              60'000'000'000,
              99.9,
              "up{job=\"n\"}",
              {"host"},
              "before"};
  std::map<std::string, Vector> vectors = {
      {"ping", Empty(kClient, Opcode::kPing)},
      {"hello", Of(kClient, Opcode::kHello, hello, DecodeHello)},
      {"hello_crc32", Of(kClient, Opcode::kHello, hello, DecodeHello, kFlagCrc32)},
      {"welcome",
       Of(kServer, Opcode::kWelcome,
          Welcome{0, {}, {1, 2}, {10, 20, 30, 40, 50, 60}, "nexus 0.1.0"}, DecodeWelcome)},
      {"open_target",
       Of(kClient, Opcode::kOpenTarget, OpenTarget{"acme", "main"}, DecodeOpenTarget)},
      {"register_series", RegisterSeries()},
      {"write_batch", WriteBatch()},
      {"write_ack", Of(kServer, Opcode::kWriteAck,
                       WriteAck{{4096}, true, 7, {{2, 1}, {200, 300}}, {}}, DecodeWriteAck)},
      {"open_producer",
       Of(kClient, Opcode::kOpenProducer, OpenProducer{1, 2, 3}, DecodeOpenProducer)},
      {"producer", Of(kServer, Opcode::kProducer, Producer{3, 4}, DecodeProducer)},
      {"query", Of(kClient, Opcode::kQuery, query, DecodeQuery)},
      {"labels", Of(kClient, Opcode::kLabels, LabelsQuery{"job", "up"}, DecodeLabels)},
      {"series", Of(kClient, Opcode::kSeries, SeriesQuery{1000, "up"}, DecodeSeries)},
      {"cancel", Cancel()},
      {"credit", Of(kClient, Opcode::kCredit, Credit{77, 4}, DecodeCredit)},
      {"result", Result()},
      {"strings", Strings()},
      {"result_end",
       Of(kServer, Opcode::kResultEnd, ResultEnd{1, 2, 3, 4, 5, 6, 7, 8}, DecodeResultEnd)},
      {"stats_reply", Statistics()},
      {"progress", Of(kServer, Opcode::kProgress, Progress{"checking", 5, 10}, DecodeProgress)},
      {"scrub_reply", Scrubbed()},
      {"error", Of(kServer, Opcode::kError, error, DecodeError)},
  };
  vectors.merge(VectorsOfLayers());
  return vectors;
}

constexpr char kPath[] = "tests/client/testdata/golden.txt";

std::map<std::string, std::string> Written() {
  std::map<std::string, std::string> written;
  std::ifstream file(kPath);
  std::string name;
  std::string hex;
  while (file >> name >> hex) written[name] = FromHex(hex);
  return written;
}

TEST(Golden, WhatIsSentIsAsWritten) {
  const std::map<std::string, Vector> vectors = Vectors();
  if (const char* path = std::getenv("NEXUS_GOLDEN_WRITE"); path != nullptr) {
    std::ofstream file(path);
    for (const auto& [name, made] : vectors) {
      file << name << " " << Hex(MakeFrame(made.header, made.body)) << "\n";
    }
    return;
  }
  std::map<std::string, std::string> written = Written();
  EXPECT_EQ(written.size(), vectors.size());
  for (const auto& [name, made] : vectors) {
    EXPECT_EQ(Hex(written[name]), Hex(MakeFrame(made.header, made.body))) << name;
  }
}

TEST(Golden, WhatIsWrittenIsRead) {
  const std::map<std::string, Vector> vectors = Vectors();
  for (const auto& [name, frame] : Written()) {
    ASSERT_TRUE(vectors.contains(name)) << name;
    const Vector& made = vectors.at(name);
    FrameReader reader(made.side);
    Seen seen = ReadAll(&reader, frame);
    ASSERT_EQ(seen.frames.size(), 1u) << name << ": " << seen.end;
    EXPECT_EQ(seen.frames[0].header.opcode, made.header.opcode) << name;
    EXPECT_EQ(seen.frames[0].header.flags, made.header.flags) << name;
    EXPECT_EQ(seen.frames[0].header.request_id, made.header.request_id) << name;
    EXPECT_EQ(seen.frames[0].header.target, made.header.target) << name;
    EXPECT_TRUE(made.reads_back(AsBytes(seen.frames[0].body))) << name;
  }
}

}  // namespace
}  // namespace nexus::protocol
