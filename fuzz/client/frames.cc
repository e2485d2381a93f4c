// Fuzzes the frame reader: however a stream is cut, the same frames come of it.
//
// The first byte chooses: bit 0 the side, bit 1 whether checksums are made good (so that the fuzzer
// gets at what is behind them), bit 2 whether big bodies are taken, bits 3..7 the size of pieces.
// The rest is the stream. It is read whole and in pieces; both must see the same. Where checksums
// are made good, a frame says by the lowest bit of its body's checksum that it wants to stay bad.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "client/protocol/frame.h"
#include "client/protocol/frame_reader.h"

namespace nexus::protocol {
namespace {

// Fixes the checksums of what has a frame's magic where a frame may begin.
void Repair(std::string* stream) {
  size_t at = 0;
  while (at + kHeaderBytes <= stream->size()) {
    char* frame = stream->data() + at;
    auto wire = LoadUnaligned<WireHeader>(frame);
    if (std::memcmp(wire.magic, kMagic, sizeof(kMagic)) != 0) return;
    ChecksumKind kind = (wire.flags & kFlagCrc32) != 0 ? ChecksumKind::kCrc32 : ChecksumKind::kXxh3;
    size_t body_bytes = std::min<size_t>(wire.body_bytes, stream->size() - at - kHeaderBytes);
    Bytes body = AsBytes(std::string_view(frame + kHeaderBytes, body_bytes));
    if ((wire.body_checksum & 1) == 0) wire.body_checksum = Checksum(kind, body);
    StoreUnaligned(frame, wire);
    Bytes sealed = AsBytes(std::string_view(frame, offsetof(WireHeader, header_checksum)));
    wire.header_checksum = Checksum(kind, sealed);
    StoreUnaligned(frame, wire);
    at += kHeaderBytes + body_bytes;
  }
}

struct Seen {
  std::string frames;  // a line for each, and for the end
  bool lost = false;
};

// Feeds the stream in pieces of `piece` bytes; big bodies go to a place of ours if `direct`.
Seen Read(Side sender, std::string_view stream, size_t piece, bool direct) {
  FrameReader reader(sender);
  reader.set_body_bytes_max(1u << 20);
  reader.set_big_body_bytes(direct ? 64 : UINT32_MAX);
  std::vector<std::byte> place;
  Seen seen;
  while (!stream.empty() && !seen.lost) {
    Bytes input = AsBytes(stream.substr(0, piece));
    stream.remove_prefix(input.size());
    while (true) {
      Frame frame;
      StatusOr<FrameReader::Step> step = reader.Next(&input, &frame);
      if (!step.ok()) {
        seen.frames += FromAbsl(step.status().message());
        seen.lost = true;
        break;
      }
      if (*step == FrameReader::Step::kMore) break;
      if (*step == FrameReader::Step::kBigBody) {
        NEXUS_CHECK(frame.header.body_bytes <= 1u << 20);
        place.resize(frame.header.body_bytes);
        reader.ReceiveInto(place);
        continue;
      }
      seen.frames += Describe(frame.header) + " " + std::string(FromAbsl(frame.status.message()));
      seen.frames += AsString(frame.body);
      seen.frames += '\n';
    }
    NEXUS_CHECK(reader.memory_bytes() <= (1u << 20) + 8);
  }
  return seen;
}

}  // namespace
}  // namespace nexus::protocol

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using nexus::protocol::Read;
  using nexus::protocol::Seen;
  using nexus::protocol::Side;
  if (size == 0) return 0;
  std::string stream(reinterpret_cast<const char*>(data + 1), size - 1);
  if ((data[0] & 2) != 0) nexus::protocol::Repair(&stream);
  Side sender = (data[0] & 1) != 0 ? Side::kServer : Side::kClient;
  Seen whole = Read(sender, stream, stream.size(), false);
  Seen pieces = Read(sender, stream, 1 + (data[0] >> 3) * size_t{7}, (data[0] & 4) != 0);
  NEXUS_CHECK(whole.frames == pieces.frames);
  NEXUS_CHECK(whole.lost == pieces.lost);
  return 0;
}
