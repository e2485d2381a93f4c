// Walking a segment's frames: whole, damaged, truncated, through windows of any size.

#include "wal/segment_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <utility>

#include "tests/wal/memory_file.h"

namespace nexus::wal {
namespace {

using Step = SegmentReader::Step;

// Builds the data of a segment; the header is left out, the reader does not look at it.
class Builder {
 public:
  explicit Builder(uint64_t file_bytes) : bytes_(file_bytes, '\0') {}

  // Adds a frame at the current place and returns its offset.
  uint64_t Add(std::string_view body) {
    uint64_t offset = at_;
    FrameHeader header;
    header.kind = 1;
    header.length = static_cast<uint32_t>(body.size());
    header.epoch = identity.epoch;
    header.lsn = identity.LsnAt(at_);
    header.previous = previous_;
    std::memcpy(bytes_.data() + at_ + kFrameHeaderBytes, body.data(), body.size());
    FinishFrame(&header, identity.seed, reinterpret_cast<std::byte*>(bytes_.data() + at_));
    previous_ = header.hash;
    at_ += header.frame_bytes();
    return offset;
  }
  void NextSector() { at_ = AlignUp(at_, io::kSectorBytes); }
  void SkipTo(uint64_t offset) { at_ = offset; }
  uint64_t at() const { return at_; }
  std::string& bytes() { return bytes_; }

  SegmentIdentity identity{0x5eed, 3, Lsn{1 << 20}};

 private:
  std::string bytes_;
  uint64_t at_ = kSegmentDataBegin;
  uint64_t previous_ = 0;
};

// The walk as text: "frame <offset> <body>", "bad <offset>..<end>", "end <offset>".
std::string Walk(const std::string& bytes, const SegmentIdentity& identity,
                 uint64_t window = kReadWindowBytes) {
  MemoryFile file(bytes);
  SegmentReader reader(&file, identity, bytes.size(), window);
  std::string walk;
  while (true) {
    Step step = reader.Next();
    if (step.kind == Step::Kind::kEnd) return walk + fmt::format("end {}", step.offset);
    if (step.kind == Step::Kind::kFrame) {
      walk += fmt::format("frame {} {}\n", step.offset, AsString(step.body));
    } else {
      walk += fmt::format("bad {}..{}{}\n", step.offset, step.end,
                          step.frame.has_value() ? " with a header" : "");
    }
  }
}

TEST(SegmentReader, WalksFramesAndPadding) {
  Builder segment(32 << 10);
  segment.Add("a");
  segment.Add("");
  segment.NextSector();
  segment.Add("after padding");
  EXPECT_EQ(Walk(segment.bytes(), segment.identity),
            "frame 8192 a\nframe 8264 \nframe 12288 after padding\nend 16384");
}

TEST(SegmentReader, AnEmptySegmentEndsAtItsBeginning) {
  EXPECT_EQ(Walk(std::string(32 << 10, '\0'), SegmentIdentity()), "end 8192");
  EXPECT_EQ(Walk(std::string(32 << 10, '\xff'), SegmentIdentity()), "end 8192");
  EXPECT_EQ(Walk("", SegmentIdentity()), "end 8192");
}

TEST(SegmentReader, FramesOfAnotherLifeAreNotSeen) {
  Builder segment(32 << 10);
  segment.Add("old");
  SegmentIdentity other = segment.identity;
  other.seed++;
  EXPECT_EQ(Walk(segment.bytes(), other), "end 8192");
  other = segment.identity;
  other.epoch++;
  EXPECT_EQ(Walk(segment.bytes(), other), "end 8192");
  other = segment.identity;
  other.base.value += 4096;
  EXPECT_EQ(Walk(segment.bytes(), other), "end 8192");
}

TEST(SegmentReader, GoesOnBehindABadHeader) {
  Builder segment(32 << 10);
  uint64_t first = segment.Add("first");
  segment.Add("second");
  segment.bytes()[first + 20] ^= 1;
  EXPECT_EQ(Walk(segment.bytes(), segment.identity),
            "bad 8192..8264\nframe 8264 second\nend 12288");
}

TEST(SegmentReader, GoesOnBehindABadBody) {
  Builder segment(32 << 10);
  uint64_t first = segment.Add("first");
  segment.Add("second");
  segment.bytes()[first + kFrameHeaderBytes + 6] ^= 1;  // in the zeros behind the body
  EXPECT_EQ(Walk(segment.bytes(), segment.identity),
            "bad 8192..8264 with a header\nframe 8264 second\nend 12288");
}

TEST(SegmentReader, FindsAFrameFarBehindAHole) {
  Builder segment(256 << 10);
  segment.SkipTo(200 << 10);
  segment.Add("far");
  EXPECT_EQ(Walk(segment.bytes(), segment.identity),
            "bad 8192..204800\nframe 204800 far\nend 208896");
}

TEST(SegmentReader, AFrameCutOffByTheFilesEndIsBad) {
  Builder segment(32 << 10);
  segment.Add("whole");
  segment.Add(std::string(3000, 'x'));
  segment.bytes().resize(9000);
  EXPECT_EQ(Walk(segment.bytes(), segment.identity),
            "frame 8192 whole\nbad 8264..9000 with a header\nend 9000");
}

TEST(SegmentReader, WindowsOfAnySizeShowTheSame) {
  Builder segment(512 << 10);
  uint64_t state = 1;
  for (int i = 0; i < 60; i++) {
    state = state * 6364136223846793005 + 1442695040888963407;
    segment.Add(std::string((state >> 33) % 15'000, static_cast<char>('a' + i % 26)));
    if (state % 3 == 0) segment.NextSector();
    if (segment.at() > 480 << 10) break;
  }
  for (uint64_t damaged : {20'000U, 100'001U, 250'000U}) segment.bytes()[damaged] ^= 4;
  std::string whole = Walk(segment.bytes(), segment.identity);
  EXPECT_THAT(whole, testing::HasSubstr("bad"));
  for (uint64_t window : {4096U, 8192U, 12'288U, 40'960U, 262'144U}) {
    EXPECT_EQ(Walk(segment.bytes(), segment.identity, window), whole) << window;
  }
}

TEST(SegmentReader, AClaimedLengthIsNotBelievedWithoutItsHash) {
  Builder segment(32 << 10);
  uint64_t first = segment.Add("first");
  uint32_t huge = 0xfffffff0;
  std::memcpy(segment.bytes().data() + first + 8, &huge, 4);
  MemoryFile file(segment.bytes());
  SegmentReader reader(&file, segment.identity, segment.bytes().size(), 4096);
  EXPECT_EQ(reader.Next().kind, Step::Kind::kEnd);
  EXPECT_LE(file.largest_read(), 8192u);
}

TEST(SegmentReader, BodiesStayUntilTheWindowMoves) {
  Builder segment(64 << 10);
  for (int i = 0; i < 10; i++) segment.Add(std::string(1000, static_cast<char>('0' + i)));
  MemoryFile file(segment.bytes());
  SegmentReader reader(&file, segment.identity, segment.bytes().size(), 8192);
  int windows = 0;
  int frames = 0;
  for (bool ended = false; !ended; windows++) {
    std::vector<std::pair<Bytes, char>> bodies;
    while (std::optional<Step> step = reader.NextInWindow()) {
      ended = step->kind == Step::Kind::kEnd;
      if (ended) break;
      bodies.emplace_back(step->body, static_cast<char>('0' + frames++));
    }
    for (const auto& [body, letter] : bodies) EXPECT_EQ(AsString(body), std::string(1000, letter));
    if (!ended) reader.MoveWindow();
  }
  EXPECT_EQ(frames, 10);
  EXPECT_GT(windows, 1);
}

}  // namespace
}  // namespace nexus::wal
