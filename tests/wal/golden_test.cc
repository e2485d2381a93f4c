// A log as it is written down: testdata/golden_v0.txt, two segments of version 0, checked both
// ways.
//
// The file has, for each segment, its name, its bytes and each 32 of them that are not all zero, by
// offset. What this program writes is that, and what that says is what this program reads.
//
// Until the first tagged release the format may change on purpose: then write the file anew with
//   NEXUS_GOLDEN_WRITE=$PWD/tests/wal/testdata/golden_v0.txt bazel-bin/tests/wal/golden_test
// and say in the commit what changed.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>

#include "base/bytes.h"
#include "tests/wal/harness.h"

namespace nexus::wal {
namespace {

constexpr char kPath[] = "tests/wal/testdata/golden_v0.txt";
constexpr uint64_t kSegmentBytes = 32 << 10;
constexpr size_t kLineBytes = 32;
constexpr auto kTextKind = static_cast<uint8_t>(kText);
constexpr int64_t kWallNs = 1'700'000'000'000'000'000;

// A segment as a log writes it.
class SegmentImage {
 public:
  explicit SegmentImage(SegmentHeader header) : header_(std::move(header)) {
    header_.database = kDatabase;
    header_.open_count = 1;
    header_.segment_bytes = kSegmentBytes;
    header_.wall_ns = kWallNs;
    for (int copy = 0; copy < kHeaderCopies; copy++) {
      EncodeSegmentHeader(
          header_, copy,
          At(static_cast<uint64_t>(copy) * kHeaderCopyBytes).first(kHeaderCopyBytes));
    }
  }
  // A frame behind the last one.
  void Add(uint8_t kind, Lsn durable, uint64_t* previous, std::string_view body) {
    FrameHeader frame;
    frame.kind = kind;
    frame.length = static_cast<uint32_t>(body.size());
    frame.epoch = header_.epoch();
    frame.lsn = end();
    frame.wall_ns = kWallNs + static_cast<int64_t>(offset_);
    frame.durable = durable;
    frame.previous = *previous;
    MutableBytes at = At(offset_);
    std::memcpy(at.data() + kFrameHeaderBytes, body.data(), body.size());
    FinishFrame(&frame, header_.seed, at.data());
    *previous = frame.hash;
    offset_ += frame.frame_bytes();
  }
  // What follows is another write.
  void EndWrite() { offset_ = AlignUp(offset_, io::kSectorBytes); }
  Lsn end() const { return Lsn{header_.base.value + (offset_ - kSegmentDataBegin)}; }
  const SegmentHeader& header() const { return header_; }
  const std::string& bytes() const { return bytes_; }
  std::string name() const {
    return ToString({FileName::Kind::kSegment, header_.open_count, header_.sequence});
  }

 private:
  MutableBytes At(uint64_t offset) {
    return std::as_writable_bytes(std::span(bytes_)).subspan(offset);
  }

  SegmentHeader header_;
  std::string bytes_ = std::string(kSegmentBytes, '\0');
  uint64_t offset_ = kSegmentDataBegin;
};

const std::string kLong(300, 'l');

// Two records in one write and one in the next; then, rotated in full flight, the start of the
// segment, a record and the mark that closes the log.
std::map<std::string, std::string> GoldenLog() {
  uint64_t previous = 0;
  SegmentHeader header;
  header.sequence = 3;
  header.seed = 0x5eed'5eed;
  header.base = Lsn{4096};
  SegmentImage first(header);
  first.Add(kTextKind, Lsn{4096}, &previous, "first");
  first.Add(kTextKind, Lsn{4096}, &previous, kLong);
  first.EndWrite();
  first.Add(kTextKind, Lsn{4096 + FrameBytes(5) + FrameBytes(300)}, &previous, "");

  header.sequence = 5;
  header.seed = 0xfeed'feed;
  header.base = first.header().range_end();
  header.durable = Lsn{4096 + FrameBytes(5) + FrameBytes(300)};
  header.predecessor = {Predecessor::Kind::kOpen, 3, Lsn{}, 0};
  header.cuts = {{2, Lsn{4000}, 77}};
  SegmentImage second(header);
  std::string start;
  ByteWriter(&start).U64(3);
  ByteWriter(&start).U64(first.end().value);
  second.Add(kSegmentStartKind, first.end(), &previous, start);
  second.Add(kTextKind, first.end(), &previous, "last");
  const Lsn durable = second.end();
  second.EndWrite();
  second.Add(kMarkKind, durable, &previous, "");
  return {{first.name(), first.bytes()}, {second.name(), second.bytes()}};
}

std::string Shown(const std::map<std::string, std::string>& files) {
  std::string text;
  for (const auto& [name, bytes] : files) {
    text += fmt::format("{} {}\n", name, bytes.size());
    for (size_t at = 0; at < bytes.size(); at += kLineBytes) {
      const std::string line = bytes.substr(at, kLineBytes);
      if (line.find_first_not_of('\0') == std::string::npos) continue;
      text += fmt::format("{:05x} ", at);
      for (char c : line) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
      text += '\n';
    }
  }
  return text;
}

std::string ReadFile() {
  std::ifstream file(kPath);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::map<std::string, std::string> Parsed() {
  std::map<std::string, std::string> files;
  std::ifstream file(kPath);
  std::string* bytes = nullptr;
  for (std::string key, value; file >> key >> value;) {
    if (key.starts_with("segment-")) {
      bytes = &files[key];
      bytes->resize(std::stoul(value));
      continue;
    }
    const size_t at = std::stoul(key, nullptr, 16);
    for (size_t i = 0; i < kLineBytes; i++) {
      bytes->at(at + i) = static_cast<char>(std::stoul(value.substr(2 * i, 2), nullptr, 16));
    }
  }
  return files;
}

TEST(GoldenLog, IsWrittenByteForByte) {
  const std::string written = Shown(GoldenLog());
  if (const char* path = std::getenv("NEXUS_GOLDEN_WRITE"); path != nullptr) {
    std::ofstream(path) << written;
    return;
  }
  EXPECT_TRUE(written == ReadFile())
      << "the format changed; if that was meant, see the head of this file";
}

TEST(GoldenLog, IsReadAsItWasWritten) {
  Machine machine;
  const std::map<std::string, std::string> files = Parsed();
  ASSERT_EQ(files.size(), 2u);
  for (const auto& [name, bytes] : files) {
    machine.world.disk().WriteDurable(io::JoinPath(kFolder, name), AsBytes(bytes));
  }
  StatusOr<LogScan> scan = machine.Scan();
  ASSERT_TRUE(scan.ok()) << scan.status();
  ASSERT_OK(scan->status());
  EXPECT_EQ(scan->torn_bytes, 0u);
  EXPECT_EQ(scan->open_count_max, 1u);
  // The mark vouches for all records.
  EXPECT_EQ(scan->tail_begin, scan->records_end);
  const std::vector<std::string> texts = {"first", kLong, "", "last"};
  EXPECT_EQ(machine.Texts(), texts);
  // It can be written on.
  ASSERT_OK(machine.Open());
  machine.AppendDurable("today");
  machine.Crash(sim::CrashKind::kPowerCut);
  EXPECT_EQ(machine.Texts().back(), "today");
  EXPECT_EQ(machine.Texts().size(), texts.size() + 1);
}

}  // namespace
}  // namespace nexus::wal
