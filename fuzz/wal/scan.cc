// Fuzzes recovery: whatever stands in the segment files, the scan ends with a verdict, and a log it
// calls good opens, reads back, and reads back the same after a power cut.
//
// The input is cut into up to three files: a byte for the length (in 512), the header's fields,
// then data. Headers and frames are made to pass their checksums (repair.h), so the fuzzer plays
// with links, cuts, places, durable LSNs and hashes.

#include "wal/scan.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "fuzz/wal/repair.h"
#include "tests/wal/harness.h"

namespace nexus::wal {
namespace {

constexpr size_t kFieldBytes = 256;        // of a header, taken from the input
constexpr uint64_t kFileBytes = 32 << 10;  // the smallest segment

// A segment file whose header and data come from `input`, behind one that ended as `before` says.
std::string MakeFile(uint64_t sequence, Bytes input, Predecessor* before) {
  std::string file(kFileBytes, '\0');
  Bytes fields = input.first(std::min(input.size(), kFieldBytes));
  Bytes data = input.subspan(fields.size());
  std::memcpy(file.data(), fields.data(), fields.size());
  uint64_t data_bytes = std::min<uint64_t>(data.size(), kFileBytes - kSegmentDataBegin);
  if (data_bytes > 0) std::memcpy(file.data() + kSegmentDataBegin, data.data(), data_bytes);

  // What no scan would get past.
  std::memcpy(file.data(), kSegmentMagic, sizeof(kSegmentMagic));
  std::memset(file.data() + 8, 0, 4);    // version
  std::memset(file.data() + 16, 0, 24);  // features
  StoreUnaligned(file.data() + 40, kDatabase.high);
  StoreUnaligned(file.data() + 48, kDatabase.low);
  StoreUnaligned(file.data() + 64, sequence);
  StoreUnaligned(file.data() + 88, kFileBytes);
  uint64_t base = LoadUnaligned<uint64_t>(file.data() + 80) % (1 << 20) * io::kSectorBytes;
  StoreUnaligned(file.data() + 80, base);
  uint64_t seed = LoadUnaligned<uint64_t>(file.data() + 72);
  // The link is made right unless the fuzzer's byte for the predecessor is odd.
  if ((static_cast<uint8_t>(file[112]) & 1) == 0) {
    StoreUnaligned(file.data() + 112, before->sequence);
    StoreUnaligned(file.data() + 120, before->end.value);
    StoreUnaligned(file.data() + 128, before->hash);
  }
  SegmentIdentity identity{seed, static_cast<uint32_t>(sequence), Lsn{base}};
  FramesEnd last = RepairFrames(identity, before->hash, &file);
  *before = {Predecessor::Kind::kClosed, sequence, identity.LsnAt(last.offset), last.hash};

  std::memcpy(file.data() + kHeaderCopyBytes, file.data(), kHeaderCopyBytes);
  for (int copy = 0; copy < kHeaderCopies; copy++) {
    auto* at =
        reinterpret_cast<std::byte*>(file.data()) + copy * static_cast<int>(kHeaderCopyBytes);
    RepairSegmentHeader(copy, MutableBytes(at, kHeaderCopyBytes));
  }
  return file;
}

void PutFiles(Machine* machine, Bytes input) {
  Predecessor before;
  for (uint64_t sequence = 1; sequence <= 3 && !input.empty(); sequence++) {
    size_t bytes = std::min<size_t>((static_cast<size_t>(input[0]) + 1) * 512, input.size() - 1);
    FileName name{FileName::Kind::kSegment, 1, sequence};
    std::string file = MakeFile(sequence, input.subspan(1, bytes), &before);
    machine->world.disk().WriteDurable(std::string(kFolder) + "/" + ToString(name), AsBytes(file));
    input = input.subspan(1 + bytes);
  }
}

std::vector<std::string> TextsOf(Machine* machine) {
  StatusOr<std::vector<TextRecord>> records = machine->RecordsOf(machine->scan);
  NEXUS_CHECK(records.ok());
  std::vector<std::string> texts;
  for (const TextRecord& record : *records) texts.push_back(record.text);
  return texts;
}

void Fuzz(Bytes input) {
  Machine machine;
  PutFiles(&machine, input);
  StatusOr<LogScan> scan = machine.Scan();
  if (!scan.ok()) return;
  CursorOptions skip;
  skip.skip_damaged = true;
  bool skippable = machine.RecordsOf(*scan, skip).ok();
  NEXUS_CHECK(skippable);
  if (!scan->status().ok()) return;
  NEXUS_CHECK(scan->durable <= scan->end);
  StatusOr<std::vector<TextRecord>> records = machine.RecordsOf(*scan);
  NEXUS_CHECK(records.ok() && records->size() == scan->records());
  if (!machine.Open().ok()) return;
  std::vector<std::string> texts = TextsOf(&machine);
  NEXUS_CHECK(texts.size() == records->size());
  for (size_t i = 0; i < texts.size(); i++) NEXUS_CHECK(texts[i] == (*records)[i].text);
  machine.Crash(sim::CrashKind::kPowerCut);
  Status again = machine.Open();
  NEXUS_CHECK(again.ok());
  NEXUS_CHECK(TextsOf(&machine) == texts);
}

}  // namespace
}  // namespace nexus::wal

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  nexus::wal::Fuzz(std::as_bytes(std::span(data, size)));
  return 0;
}
