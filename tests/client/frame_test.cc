// Frames: every damaged bit is seen, every cut waits, what is unknown is refused by name.

#include "client/protocol/frame.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "client/protocol/frame_reader.h"
#include "tests/client/frames.h"

namespace nexus::protocol {
namespace {

using Step = FrameReader::Step;

std::string Text(const Status& status) { return std::string(FromAbsl(status.message())); }

class FrameTest : public testing::TestWithParam<uint32_t> {
 protected:
  FrameTest() { reader_.set_body_bytes_max(kBodyBytesMax); }
  Seen Read(std::string_view stream) { return ReadAll(&reader_, stream); }
  // Of one frame that is passed over.
  std::string Refusal(std::string_view frame) {
    FrameReader reader(Side::kClient);
    reader.set_body_bytes_max(kBodyBytesMax);
    // Behind it the stream goes on.
    Seen seen = ReadAll(&reader, std::string(frame) + MakeFrame(Header(Opcode::kPing, 9), ""));
    if (!seen.end.ok()) return "framing lost: " + Text(seen.end);
    if (seen.frames.size() != 2) return "not two frames";
    if (seen.frames[1].step != Step::kFrame) return "the next frame was lost";
    return Text(seen.frames[0].status);
  }
  std::string Loss(std::string_view frame) {
    FrameReader reader(Side::kClient);
    return Text(ReadAll(&reader, frame).end);
  }
  FrameReader reader_{Side::kClient};
};

// Both kinds of checksum.
INSTANTIATE_TEST_SUITE_P(Checksums, FrameTest, testing::Values(0u, kFlagCrc32));

TEST_P(FrameTest, AFrameComesBack) {
  Seen seen =
      Read(MakeFrame(Header(Opcode::kWriteBatch, 77, GetParam() | kFlagBuffered, 3), "body"));
  ASSERT_EQ(seen.frames.size(), 1u);
  EXPECT_EQ(seen.frames[0].step, Step::kFrame);
  EXPECT_EQ(seen.frames[0].header.opcode, Opcode::kWriteBatch);
  EXPECT_EQ(seen.frames[0].header.flags, GetParam() | kFlagBuffered);
  EXPECT_EQ(seen.frames[0].header.request_id, 77u);
  EXPECT_EQ(seen.frames[0].header.target, 3u);
  EXPECT_EQ(seen.frames[0].body, "body");
  EXPECT_TRUE(reader_.at_boundary());
}

TEST_P(FrameTest, EveryFlippedBitIsSeen) {
  const std::string good =
      MakeFrame(Header(Opcode::kRegisterSeries, 5, GetParam(), 1), "some body");
  for (size_t bit = 0; bit < good.size() * 8; bit++) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    FrameReader reader(Side::kClient);
    Seen seen = ReadAll(&reader, bad);
    if (bit < kHeaderBytes * 8) {
      EXPECT_FALSE(seen.end.ok()) << bit;
      EXPECT_TRUE(seen.frames.empty()) << bit;
    } else {
      // A damaged body leaves the framing whole.
      ASSERT_EQ(seen.frames.size(), 1u) << bit;
      EXPECT_EQ(seen.frames[0].step, Step::kRefused) << bit;
      EXPECT_TRUE(absl::IsDataLoss(seen.frames[0].status)) << bit;
      EXPECT_TRUE(reader.at_boundary()) << bit;
    }
  }
}

TEST_P(FrameTest, EveryCutWaitsForTheRest) {
  const std::string whole = MakeFrame(Header(Opcode::kQuery, 5, GetParam()), "a selector");
  for (size_t cut = 0; cut < whole.size(); cut++) {
    FrameReader reader(Side::kClient);
    Seen seen = ReadAll(&reader, std::string_view(whole).substr(0, cut));
    EXPECT_TRUE(seen.end.ok()) << cut;
    EXPECT_TRUE(seen.frames.empty()) << cut;
    EXPECT_EQ(reader.at_boundary(), cut == 0) << cut;
    seen = ReadAll(&reader, std::string_view(whole).substr(cut));
    ASSERT_EQ(seen.frames.size(), 1u) << cut;
    EXPECT_EQ(seen.frames[0].body, "a selector") << cut;
  }
}

TEST_F(FrameTest, WhatIsUnknownIsRefusedByNameAndPassedOver) {
  const std::string frame = MakeFrame(Header(Opcode::kQuery, 5), "body");
  EXPECT_EQ(Refusal(WithField(frame, 5, uint8_t{50})), "opcode 50 of request 5: no such request");
  // A reply is no request.
  EXPECT_EQ(Refusal(WithField(frame, 5, uint8_t{64})), "WELCOME of request 5: no such request");
  EXPECT_EQ(Refusal(WithField(frame, 8, uint32_t{0x8000})),
            "QUERY of request 5: critical flags 0x8000 are unknown here");
  // A flag of another opcode.
  EXPECT_EQ(Refusal(WithField(frame, 8, kFlagBuffered)),
            "QUERY of request 5: critical flags 0x2 are unknown here");
}

TEST_F(FrameTest, UnknownIgnorableFlagsArePassedOver) {
  Seen seen = Read(MakeFrame(Header(Opcode::kQuery, 5, kFlagsIgnorable), "body"));
  ASSERT_EQ(seen.frames.size(), 1u);
  EXPECT_EQ(seen.frames[0].step, Step::kFrame);
}

TEST_F(FrameTest, ABodyTooLongIsPassedOverWithoutBeingKept) {
  FrameReader reader(Side::kClient);
  reader.set_body_bytes_max(kBodyBytesMax);
  std::string head = WithField(MakeFrame(Header(Opcode::kPing, 5), ""), 12, uint32_t{100u << 20});
  Seen seen = ReadAll(&reader, head);
  ASSERT_EQ(seen.frames.size(), 1u);
  EXPECT_TRUE(absl::IsResourceExhausted(seen.frames[0].status)) << seen.frames[0].status;
  std::string piece(1 << 20, 'x');
  for (int i = 0; i < 100; i++) {
    EXPECT_FALSE(reader.at_boundary());
    EXPECT_TRUE(ReadAll(&reader, piece).frames.empty());
  }
  EXPECT_EQ(reader.memory_bytes(), 0u);
  EXPECT_TRUE(reader.at_boundary());
  EXPECT_EQ(ReadAll(&reader, MakeFrame(Header(Opcode::kPing, 6), "")).frames.size(), 1u);
}

TEST_F(FrameTest, AStrangerIsNotReadForLong) {
  FrameReader reader(Side::kClient);
  std::string frame =
      MakeFrame(Header(Opcode::kWriteBatch, 5), std::string(kHelloBytesMax + 1, 'x'));
  EXPECT_TRUE(absl::IsResourceExhausted(ReadAll(&reader, frame).end));
}

TEST_F(FrameTest, WhatLosesFramingSaysWhere) {
  const std::string frame = MakeFrame(Header(Opcode::kQuery, 5), "body");
  EXPECT_EQ(Loss("GET / HTTP/1.1\r\n" + std::string(64, ' ')),
            "frame: magic at byte 0 of the header is not NXP1");
  EXPECT_EQ(Loss(WithField(frame, 4, uint8_t{9})),
            "frame: version 9 at byte 4 of the header; this side speaks version 0");
  EXPECT_EQ(Loss(WithField(frame, 6, uint16_t{72})),
            "frame: header length at byte 6 of the header is 72, not 64");
  EXPECT_EQ(Loss(WithField(frame, 28, uint32_t{1})),
            "frame: a reserved field at byte 28 of the header is not zero");
  EXPECT_EQ(Loss(WithField(frame, 40, uint64_t{1})),
            "frame: a reserved field at byte 40 of the header is not zero");
  EXPECT_EQ(Loss(WithField(frame, 48, uint64_t{1})),
            "frame: a reserved field at byte 48 of the header is not zero");
  std::string damaged = frame;
  damaged[12]++;
  EXPECT_EQ(Loss(damaged),
            "frame: checksum at byte 56 of the header does not agree with the header");
}

TEST_F(FrameTest, LostFramingStaysLost) {
  FrameReader reader(Side::kClient);
  EXPECT_FALSE(ReadAll(&reader, std::string(64, 'x')).end.ok());
  EXPECT_FALSE(ReadAll(&reader, MakeFrame(Header(Opcode::kPing, 1), "")).end.ok());
}

TEST_F(FrameTest, TheFirstFrameDecidesTheKindOfChecksum) {
  FrameReader reader(Side::kClient);
  EXPECT_FALSE(reader.checksum_kind().has_value());
  EXPECT_TRUE(ReadAll(&reader, MakeFrame(Header(Opcode::kPing, 1, kFlagCrc32), "")).end.ok());
  EXPECT_EQ(reader.checksum_kind(), ChecksumKind::kCrc32);
  EXPECT_EQ(Text(ReadAll(&reader, MakeFrame(Header(Opcode::kPing, 2), "")).end),
            "PING of request 2: its checksums are of another kind than the first frame's");
}

TEST_F(FrameTest, AHeaderAloneCostsNoMemory) {
  reader_.set_big_body_bytes(UINT32_MAX);
  std::string frame = MakeFrame(Header(Opcode::kWriteBatch, 5), std::string(kBatchBytesMax, 'x'));
  Read(std::string_view(frame).substr(0, kHeaderBytes));
  EXPECT_EQ(reader_.memory_bytes(), 0u);
  Read(std::string_view(frame).substr(kHeaderBytes, 1000));
  EXPECT_LE(reader_.memory_bytes(), 4096u);
  Read(std::string_view(frame).substr(kHeaderBytes + 1000, 100'000));
  EXPECT_LE(reader_.memory_bytes(), 202'000u);
  EXPECT_EQ(Read(std::string_view(frame).substr(kHeaderBytes + 101'000)).frames.size(), 1u);
}

TEST_F(FrameTest, ABigBodyGoesStraightToItsPlace) {
  reader_.set_big_body_bytes(kBigBodyBytes);
  std::string body(100'000, 'b');
  body[50'000] = 'c';
  std::string stream = MakeFrame(Header(Opcode::kWriteBatch, 5), body);
  // The first piece holds the header and the first 10 bytes.
  Bytes input = AsBytes(std::string_view(stream).substr(0, kHeaderBytes + 10));
  Frame frame;
  StatusOr<Step> step = reader_.Next(&input, &frame);
  ASSERT_TRUE(step.ok());
  ASSERT_EQ(*step, Step::kBigBody);
  EXPECT_EQ(frame.header.request_id, 5u);
  EXPECT_EQ(frame.header.body_bytes, body.size());
  std::vector<std::byte> place(body.size());
  reader_.ReceiveInto(place);
  EXPECT_EQ(*reader_.Next(&input, &frame), Step::kMore);
  MutableBytes wanted = reader_.wanted();
  EXPECT_EQ(wanted.data(), place.data() + 10);
  EXPECT_EQ(wanted.size(), body.size() - 10);
  std::copy_n(AsBytes(stream).begin() + kHeaderBytes + 10, wanted.size(), wanted.begin());
  reader_.Received(wanted.size());
  ASSERT_EQ(*reader_.Next(&input, &frame), Step::kFrame);
  EXPECT_EQ(frame.body.data(), place.data());
  EXPECT_EQ(AsString(frame.body), body);
  EXPECT_EQ(reader_.memory_bytes(), 0u);
  EXPECT_TRUE(reader_.wanted().empty());
}

TEST_F(FrameTest, ABigBodyCanBePassedOver) {
  reader_.set_big_body_bytes(kBigBodyBytes);
  std::string stream = MakeFrame(Header(Opcode::kWriteBatch, 5), std::string(100'000, 'b')) +
                       MakeFrame(Header(Opcode::kPing, 6), "");
  Bytes input = AsBytes(stream);
  Frame frame;
  ASSERT_EQ(*reader_.Next(&input, &frame), Step::kBigBody);
  reader_.Skip();
  ASSERT_EQ(*reader_.Next(&input, &frame), Step::kFrame);
  EXPECT_EQ(frame.header.request_id, 6u);
}

TEST_F(FrameTest, ABodyMadeInPlaceIsTheSameFrame) {
  std::string out = "before";
  size_t begin = BeginFrame(&out);
  out += "body";
  FinishFrame(Header(Opcode::kQuery, 5), begin, &out);
  EXPECT_EQ(out, "before" + MakeFrame(Header(Opcode::kQuery, 5), "body"));
}

// One frame of an arbitrary stream, and what the test does with it if it is big.
struct Sent {
  FrameHeader header;
  std::string body;
  int big_choice = 0;  // 0: left to the reader, 1: given a place, 2: passed over
};

rc::Gen<Sent> ArbitraryFrame() {
  return rc::gen::exec([] {
    Sent sent;
    sent.header = Header(*rc::gen::element(Opcode::kWriteBatch, Opcode::kQuery, Opcode::kPing),
                         *rc::gen::arbitrary<uint64_t>(), 0, *rc::gen::arbitrary<uint32_t>());
    if (sent.header.opcode != Opcode::kPing) {
      sent.body.assign(*rc::gen::element<size_t>(0, 1, 100, 5000, 16384, 70'000),
                       *rc::gen::arbitrary<char>());
    }
    sent.big_choice = *rc::gen::inRange(0, 3);
    return sent;
  });
}

// Hands the stream to a reader in pieces of arbitrary sizes.
class Splitter {
 public:
  Splitter(std::string stream, const std::vector<Sent>& sent)
      : stream_(std::move(stream)), sent_(sent) {
    reader_.set_body_bytes_max(kBodyBytesMax);
    reader_.set_big_body_bytes(kBigBodyBytes);
  }
  void Run() {
    size_t at = 0;
    while (at < stream_.size()) {
      size_t size =
          std::min(stream_.size() - at, *rc::gen::element<size_t>(1, 63, 64, 65, 4096, 100'000));
      Bytes piece = AsBytes(std::string_view(stream_).substr(at, size));
      at += size;
      MutableBytes wanted = reader_.wanted();
      if (!wanted.empty() && *rc::gen::arbitrary<bool>()) {
        size_t direct = std::min(wanted.size(), piece.size());
        std::copy_n(piece.begin(), direct, wanted.begin());
        piece = piece.subspan(direct);
        reader_.Received(direct);
      }
      Drain(&piece);
    }
    RC_ASSERT(next_ == sent_.size());
    RC_ASSERT(reader_.at_boundary());
  }

 private:
  void Drain(Bytes* piece) {
    while (true) {
      Frame frame;
      StatusOr<Step> step = reader_.Next(piece, &frame);
      RC_ASSERT(step.ok());
      if (*step == Step::kMore) return;
      const Sent& sent = sent_.at(next_);
      RC_ASSERT(frame.header.request_id == sent.header.request_id);
      RC_ASSERT(frame.header.target == sent.header.target);
      if (*step == Step::kBigBody) {
        if (sent.big_choice == 1) {
          place_.resize(frame.header.body_bytes);
          reader_.ReceiveInto(place_);
        } else if (sent.big_choice == 2) {
          reader_.Skip();
          next_++;
        }
        continue;
      }
      RC_ASSERT(*step == Step::kFrame);
      RC_ASSERT(AsString(frame.body) == sent.body);
      next_++;
    }
  }

  FrameReader reader_{Side::kClient};
  const std::string stream_;
  const std::vector<Sent>& sent_;
  size_t next_ = 0;
  std::vector<std::byte> place_;
};

RC_GTEST_PROP(FrameProperty, HoweverAStreamIsCutItsFramesAreTheSame, ()) {
  std::vector<Sent> sent = *rc::gen::container<std::vector<Sent>>(ArbitraryFrame());
  std::string stream;
  for (const Sent& frame : sent) stream += MakeFrame(frame.header, frame.body);
  Splitter(std::move(stream), sent).Run();
}

}  // namespace
}  // namespace nexus::protocol
