// Makes a fuzzer's bytes pass the checksums, so that it gets at what is behind them.
//
// What has a frame's magic number gets the right place, epoch and hashes; what has a segment's
// magic number gets the right hash. All other fields stay the fuzzer's. Threading: pure functions.

#ifndef NEXUS_FUZZ_WAL_REPAIR_H_
#define NEXUS_FUZZ_WAL_REPAIR_H_

#include <algorithm>
#include <cstring>
#include <string>

#include "base/bytes.h"
#include "base/hash.h"
#include "wal/format.h"
#include "wal/segment_reader.h"

namespace nexus::wal {

// The hash of a header copy, as wal/format.cc makes it.
inline void RepairSegmentHeader(int copy, MutableBytes header) {
  constexpr size_t kHashOffset = kHeaderCopyBytes - 8;
  uint64_t seed = 0x6e78736567686472 + static_cast<uint64_t>(copy);
  StoreUnaligned(header.data() + kHashOffset, XxHash64(Bytes(header).first(kHashOffset), seed));
}

struct FramesEnd {
  uint64_t offset = kSegmentDataBegin;
  uint64_t hash = 0;
};

// Repairs the frames of a segment file in place, first to last, as the chain behind the frame of
// hash `previous`. A fuzzer that wants a frame to stay bad says so in the lowest bits of the field
// for the body's hash: 1 the body, 2 the header, 3 the link. Returns the end of the last frame.
inline FramesEnd RepairFrames(const SegmentIdentity& identity, uint64_t previous,
                              std::string* file) {
  FramesEnd last{kSegmentDataBegin, previous};
  auto* bytes = reinterpret_cast<std::byte*>(file->data());
  for (uint64_t at = kSegmentDataBegin; at + kFrameHeaderBytes <= file->size();) {
    std::byte* frame = bytes + at;
    uint64_t length = LoadUnaligned<uint32_t>(frame + 8);
    uint64_t end = at + FrameBytes(length);
    if (LoadUnaligned<uint32_t>(frame) != kFrameMagic || end > file->size()) {
      at += kFrameAlignment;
      continue;
    }
    uint64_t wish = LoadUnaligned<uint64_t>(frame + 48) & 3;
    StoreUnaligned(frame + 12, identity.epoch);
    StoreUnaligned(frame + 16, identity.LsnAt(at).value);
    if (wish != 3) StoreUnaligned(frame + 40, last.hash);
    Bytes body(frame + kFrameHeaderBytes, end - at - kFrameHeaderBytes);
    if (wish != 1) StoreUnaligned(frame + 48, FrameBodyHash(body, identity.seed));
    uint64_t hash = XxHash64(Bytes(frame, kFrameHeaderBytes - 8), identity.seed);
    if (wish != 2) StoreUnaligned(frame + 56, hash);
    last = {end, hash};
    at = end;
  }
  return last;
}

}  // namespace nexus::wal

#endif  // NEXUS_FUZZ_WAL_REPAIR_H_
