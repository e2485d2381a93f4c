// Fuzzes the walk over a segment's frames: it never leaves the file, never goes back, never
// believes a length without its hash, gives whole frames only, and shows the same through any
// window.
//
// The input is the data of a segment behind its header. It is walked as it is, and again with its
// checksums made right (repair.h).

#include "wal/segment_reader.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "fuzz/wal/repair.h"
#include "tests/wal/memory_file.h"

namespace nexus::wal {
namespace {

using Step = SegmentReader::Step;

void CheckFrame(const Step& step, const SegmentIdentity& identity) {
  const FrameHeader& frame = *step.frame;
  NEXUS_CHECK(step.body.size() == frame.length);
  NEXUS_CHECK(step.end == step.offset + frame.frame_bytes());
  NEXUS_CHECK(frame.lsn == identity.LsnAt(step.offset));
  // Made again from what was read, the frame is the same.
  std::vector<std::byte> made(frame.frame_bytes());
  if (!step.body.empty()) {
    std::memcpy(made.data() + kFrameHeaderBytes, step.body.data(), step.body.size());
  }
  FrameHeader again = frame;
  again.hash = again.body_hash = 0;
  bool zeros_behind = again.length % kFrameAlignment == 0;
  FinishFrame(&again, identity.seed, made.data());
  NEXUS_CHECK(!zeros_behind || again.hash == frame.hash);
}

// The walk as numbers, for comparing.
std::vector<uint64_t> Walk(const std::string& file_bytes, const SegmentIdentity& identity,
                           uint64_t window) {
  MemoryFile file(file_bytes);
  SegmentReader reader(&file, identity, file_bytes.size(), window);
  std::vector<uint64_t> walk;
  uint64_t at = kSegmentDataBegin;
  while (true) {
    Step step = reader.Next();
    NEXUS_CHECK(step.offset >= at && step.end >= step.offset);
    NEXUS_CHECK(step.end <= std::max<uint64_t>(file_bytes.size(), kSegmentDataBegin));
    walk.insert(walk.end(), {static_cast<uint64_t>(step.kind), step.offset, step.end});
    if (step.kind == Step::Kind::kEnd) break;
    NEXUS_CHECK(step.end > step.offset);
    at = step.end;
    if (step.kind == Step::Kind::kFrame) CheckFrame(step, identity);
  }
  NEXUS_CHECK(file.largest_read() <= std::max(window, file_bytes.size() + io::kSectorBytes));
  return walk;
}

}  // namespace
}  // namespace nexus::wal

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using nexus::wal::kSegmentDataBegin;
  std::string file(kSegmentDataBegin, '\0');
  file.append(reinterpret_cast<const char*>(data), std::min<std::size_t>(size, 1 << 16));
  const nexus::wal::SegmentIdentity identity{0x5eed, 3, nexus::Lsn{1 << 20}};
  for (int repaired = 0; repaired < 2; repaired++) {
    std::vector<uint64_t> walk = nexus::wal::Walk(file, identity, 1 << 20);
    NEXUS_CHECK(nexus::wal::Walk(file, identity, 4096) == walk);
    nexus::wal::RepairFrames(identity, 0, &file);
  }
  return 0;
}
