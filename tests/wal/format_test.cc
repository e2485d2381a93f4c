// The bytes of headers, frames and names: golden, round trips, and every flipped bit.

#include "wal/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <utility>

#include "base/hash.h"

namespace nexus::wal {
namespace {

using testing::HasSubstr;

std::string Hex(Bytes bytes) {
  std::string hex;
  for (std::byte b : bytes) hex += fmt::format("{:02x}", static_cast<int>(b));
  return hex;
}

SegmentHeader SampleHeader() {
  SegmentHeader header;
  header.database = DatabaseId{0x0102030405060708, 0x090a0b0c0d0e0f10};
  header.open_count = 3;
  header.sequence = 7;
  header.seed = 0x5eed;
  header.base = Lsn{65536};
  header.segment_bytes = 64 << 20;
  header.wall_ns = 1'700'000'000'000'000'000;
  header.durable = Lsn{5000};
  header.predecessor = {Predecessor::Kind::kClosed, 5, Lsn{5000}, 0xabcdef};
  header.cuts = {{5, Lsn{5000}, 0xabcdef}, {4, Lsn{4100}, 77}};
  return header;
}

class HeaderBytes {
 public:
  explicit HeaderBytes(const SegmentHeader& header, int copy = 0) {
    EncodeSegmentHeader(header, copy, bytes);
  }
  StatusOr<SegmentHeader> Decode(int copy = 0) const { return DecodeSegmentHeader(bytes, copy); }
  // As a writer of that kind would have made it: with a checksum that agrees.
  void Rehash() {
    uint64_t hash = XxHash64(Bytes(bytes).first(4088), 0x6e78736567686472);
    StoreUnaligned(bytes.data() + 4088, hash);
  }
  std::array<std::byte, kHeaderCopyBytes> bytes;
};

TEST(SegmentHeaderFormat, ComesBackAsItWas) {
  SegmentHeader header = SampleHeader();
  for (int copy : {0, 1}) {
    StatusOr<SegmentHeader> back = HeaderBytes(header, copy).Decode(copy);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(back->database, header.database);
    EXPECT_EQ(back->open_count, header.open_count);
    EXPECT_EQ(back->sequence, header.sequence);
    EXPECT_EQ(back->seed, header.seed);
    EXPECT_EQ(back->base, header.base);
    EXPECT_EQ(back->segment_bytes, header.segment_bytes);
    EXPECT_EQ(back->wall_ns, header.wall_ns);
    EXPECT_EQ(back->durable, header.durable);
    EXPECT_EQ(back->predecessor.kind, header.predecessor.kind);
    EXPECT_EQ(back->predecessor.sequence, header.predecessor.sequence);
    EXPECT_EQ(back->predecessor.end, header.predecessor.end);
    EXPECT_EQ(back->predecessor.hash, header.predecessor.hash);
    ASSERT_EQ(back->cuts.size(), 2u);
    EXPECT_EQ(back->cuts[1].sequence, 4u);
    EXPECT_EQ(back->cuts[1].end, Lsn{4100});
    EXPECT_EQ(back->cuts[1].hash, 77u);
    EXPECT_EQ(back->range_end().value, 65536 + (64 << 20) - 8192);
  }
}

TEST(SegmentHeaderFormat, EachFlippedBitIsSeen) {
  HeaderBytes header(SampleHeader());
  for (size_t byte = 0; byte < header.bytes.size(); byte++) {
    for (int bit = 0; bit < 8; bit++) {
      header.bytes[byte] ^= std::byte(1 << bit);
      EXPECT_EQ(header.Decode().status().code(), absl::StatusCode::kDataLoss)
          << "byte " << byte << " bit " << bit;
      header.bytes[byte] ^= std::byte(1 << bit);
    }
  }
}

TEST(SegmentHeaderFormat, ACopyInTheOthersPlaceIsNotAccepted) {
  EXPECT_EQ(HeaderBytes(SampleHeader(), 0).Decode(1).status().code(), absl::StatusCode::kDataLoss);
}

TEST(SegmentHeaderFormat, FieldsOutOfRangeAreRefusedThoughTheHashAgrees) {
  auto with = [](size_t offset, uint64_t value) {
    HeaderBytes header(SampleHeader());
    StoreUnaligned(header.bytes.data() + offset, value);
    header.Rehash();
    return header.Decode().status();
  };
  EXPECT_EQ(with(80, 4097).code(), absl::StatusCode::kDataLoss) << "base";
  EXPECT_EQ(with(80, UINT64_MAX - 4095).code(), absl::StatusCode::kDataLoss) << "base";
  EXPECT_EQ(with(88, 5000).code(), absl::StatusCode::kDataLoss) << "segment size";
  EXPECT_EQ(with(88, uint64_t{1} << 40).code(), absl::StatusCode::kDataLoss) << "segment size";
  EXPECT_EQ(with(112, 7).code(), absl::StatusCode::kDataLoss) << "its own predecessor";
  EXPECT_EQ(with(136, kCutsMax + 1).code(), absl::StatusCode::kDataLoss) << "cuts";
  EXPECT_EQ(with(144, 1).code(), absl::StatusCode::kDataLoss) << "reserved";
  EXPECT_EQ(with(4000, 1).code(), absl::StatusCode::kDataLoss) << "reserved";
  Status version = with(8, 9);
  EXPECT_EQ(version.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(version.message()), HasSubstr("version 9"));
  EXPECT_EQ(with(16, 1).code(), absl::StatusCode::kFailedPrecondition) << "incompatible feature";
  EXPECT_EQ(with(24, 1).code(), absl::StatusCode::kFailedPrecondition) << "read-only compatible";
  EXPECT_TRUE(with(32, 1).ok()) << "compatible feature";
}

// docs/format/wal.md shows these bytes.
TEST(FrameFormat, IsTheOneInTheDocumentation) {
  std::array<std::byte, 72> frame{};
  FrameHeader header;
  header.kind = 7;
  header.length = 5;
  header.epoch = 2;
  header.lsn = Lsn{4096};
  header.wall_ns = 1'700'000'000'000'000'000;
  header.durable = Lsn{4096};
  header.previous = 0;
  std::memcpy(frame.data() + kFrameHeaderBytes, "hello", 5);
  FinishFrame(&header, 0x5eed, frame.data());
  EXPECT_EQ(Hex(frame),
            "4e4c4672000700000500000002000000"
            "0010000000000000"
            "00002a36fe9c9717"
            "0010000000000000"
            "0000000000000000"
            "9f73dc0971173e20"
            "244247d34e04c674"
            "68656c6c6f000000");
}

TEST(FrameFormat, HeaderCountsOnlyInItsPlace) {
  std::array<std::byte, 64> bytes{};
  FrameHeader header;
  header.kind = kMarkKind;
  header.epoch = 9;
  header.lsn = Lsn{8192};
  header.durable = Lsn{8192};
  FinishFrame(&header, 1, bytes.data());
  ASSERT_TRUE(DecodeFrameHeader(bytes.data(), 1, 9, Lsn{8192}).has_value());
  EXPECT_FALSE(DecodeFrameHeader(bytes.data(), 2, 9, Lsn{8192}).has_value()) << "seed";
  EXPECT_FALSE(DecodeFrameHeader(bytes.data(), 1, 8, Lsn{8192}).has_value()) << "epoch";
  EXPECT_FALSE(DecodeFrameHeader(bytes.data(), 1, 9, Lsn{8200}).has_value()) << "place";
  for (size_t byte = 0; byte < bytes.size(); byte++) {
    bytes[byte] ^= std::byte{16};
    EXPECT_FALSE(DecodeFrameHeader(bytes.data(), 1, 9, Lsn{8192}).has_value()) << byte;
    bytes[byte] ^= std::byte{16};
  }
}

TEST(FrameFormat, ImpossibleFieldsAreRefusedThoughTheHashAgrees) {
  auto decodes = [](auto change) {
    std::array<std::byte, 64> bytes{};
    FrameHeader header;
    header.kind = 1;
    header.lsn = header.durable = Lsn{4096};
    change(&header);
    // Of a body that is not there: only the header is looked at.
    uint32_t length = std::exchange(header.length, 0);
    FinishFrame(&header, 1, bytes.data());
    StoreUnaligned(bytes.data() + 8, length);
    StoreUnaligned(bytes.data() + 56, XxHash64(Bytes(bytes).first(56), 1));
    return DecodeFrameHeader(bytes.data(), 1, 0, Lsn{4096}).has_value();
  };
  EXPECT_TRUE(decodes([](FrameHeader*) {}));
  EXPECT_TRUE(decodes([](FrameHeader* header) { header->length = kRecordBytesMax; }));
  EXPECT_FALSE(decodes([](FrameHeader* header) { header->length = kRecordBytesMax + 1; }));
  EXPECT_FALSE(decodes([](FrameHeader* header) { header->kind = 0; }));
  EXPECT_FALSE(decodes([](FrameHeader* header) { header->kind = kSegmentStartKind + 1; }));
  EXPECT_FALSE(decodes([](FrameHeader* header) { header->durable = Lsn{4097}; }));
}

TEST(FileNames, ComeBackAndSortByAge) {
  for (FileName::Kind kind :
       {FileName::Kind::kSegment, FileName::Kind::kSpare, FileName::Kind::kSpareUnfinished}) {
    for (uint64_t open_count : {uint64_t{0}, uint64_t{1}, uint64_t{0xffffffff}, UINT64_MAX}) {
      FileName name{kind, open_count, 0xabc};
      std::optional<FileName> back = ParseFileName(ToString(name));
      ASSERT_TRUE(back.has_value()) << ToString(name);
      EXPECT_EQ(back->kind, kind);
      EXPECT_EQ(back->open_count, open_count);
      EXPECT_EQ(back->sequence, 0xabcu);
    }
  }
  EXPECT_LT(ToString({FileName::Kind::kSegment, 9, 255}),
            ToString({FileName::Kind::kSegment, 10, 256}));
}

TEST(FileNames, OthersAreNotTaken) {
  for (const char* name :
       {"", "lock", "segment-", "segment-00000001.log", "segment-1-0000000000000001.log",
        "segment-00000001-0000000000000001", "segment-00000001-0000000000000001.log.tmp",
        "segment-00000001-000000000000000G.log", "segment-00000001-000000000000000A.log",
        "segment-00000001-00000000000000001.log", "segment-00000001--000000000000001.log",
        "spare-00000001-0000000000000001.log.tmp.tmp", "xsegment-00000001-0000000000000001.log"}) {
    EXPECT_FALSE(ParseFileName(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace nexus::wal
