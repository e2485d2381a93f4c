// What tests of frames share: making them, and damaging them.

#ifndef NEXUS_TESTS_CLIENT_FRAMES_H_
#define NEXUS_TESTS_CLIENT_FRAMES_H_

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "client/protocol/frame.h"
#include "client/protocol/frame_reader.h"

namespace nexus::protocol {

inline FrameHeader Header(Opcode opcode, uint64_t request_id, uint32_t flags = 0,
                          uint32_t target = 0) {
  FrameHeader header;
  header.opcode = opcode;
  header.request_id = request_id;
  header.flags = flags;
  header.target = target;
  return header;
}

inline std::string MakeFrame(const FrameHeader& header, std::string_view body) {
  std::string out;
  AppendFrame(header, AsBytes(body), &out);
  return out;
}

// The frame with `value` at `offset` of its header, and the header's checksum made good again.
template <typename T>
std::string WithField(std::string frame, size_t offset, T value) {
  std::memcpy(frame.data() + offset, &value, sizeof(value));
  uint64_t checksum =
      Checksum((LoadUnaligned<uint32_t>(frame.data() + 8) & kFlagCrc32) != 0 ? ChecksumKind::kCrc32
                                                                             : ChecksumKind::kXxh3,
               AsBytes(std::string_view(frame).substr(0, 56)));
  std::memcpy(frame.data() + 56, &checksum, sizeof(checksum));
  return frame;
}

// What a reader made of a stream.
struct Seen {
  struct One {
    FrameReader::Step step = FrameReader::Step::kMore;
    FrameHeader header;
    std::string body;
    Status status;
  };
  std::vector<One> frames;  // kFrame and kRefused
  Status end;               // of the stream: framing lost, or OK
};

// Reads all of `stream` with nothing cut.
inline Seen ReadAll(FrameReader* reader, std::string_view stream) {
  Seen seen;
  Bytes input = AsBytes(stream);
  while (true) {
    Frame frame;
    StatusOr<FrameReader::Step> step = reader->Next(&input, &frame);
    if (!step.ok()) {
      seen.end = step.status();
      return seen;
    }
    if (*step == FrameReader::Step::kMore) return seen;
    if (*step == FrameReader::Step::kBigBody) continue;
    seen.frames.push_back({*step, frame.header, std::string(AsString(frame.body)), frame.status});
  }
}

}  // namespace nexus::protocol

#endif  // NEXUS_TESTS_CLIENT_FRAMES_H_
