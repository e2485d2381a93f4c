// Fuzzes the reader of layer files: whatever the bytes, an answer or an error - no crash, no read
// outside, no allocation out of proportion to the file.
//
// --config=fuzz builds the reader with checksums that always match (layer/checksum.h), so that the
// parsers behind them are reached. There a file that reads whole may hold anything; in every other
// build it must also pass verification, since then the bytes are what a builder wrote.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "layer/layer_reader.h"
#include "layer/layer_verifier.h"
#include "tests/layer/memory_file.h"

namespace nexus::layer {
namespace {

// Chunks decoded of one input: a few kilobytes can describe millions of samples in constant
// chunks, and the fuzzer wants many inputs a second.
constexpr size_t kChunksMax = 200;

void ReadEverything(const std::shared_ptr<const LayerReader>& reader) {
  ReadContext context;
  std::vector<ChunkInfo> chunks;
  std::vector<int64_t> timestamps(8192);
  std::vector<double> values(8192);
  size_t decoded = 0;
  SeriesCursor cursor(reader);
  while (cursor.Next() && decoded < kChunksMax) {
    (void)reader->FindSeries(cursor.id(), &context).ok();
    chunks.clear();
    (void)reader->Chunks(cursor.ordinal(), TimeRange(), &context, &chunks).ok();
    for (const ChunkInfo& chunk : chunks) {
      if (++decoded > kChunksMax) break;
      // Whole, and a part that cuts both ends.
      (void)reader->ReadChunk(chunk, TimeRange(), &context, timestamps, values).ok();
      const TimeRange part{chunk.range.first / 2, chunk.range.last / 2};
      (void)reader->ReadChunk(chunk, part, &context, timestamps, values).ok();
    }
  }
  for (uint32_t page = 0; page < reader->page_count(); ++page) {
    (void)reader->CheckPage(page).ok();
  }
}

void Fuzz(std::string input) {
  PageCache cache(1 << 20);
  auto reader = LayerReader::Open(std::make_unique<testing::MemoryFile>(std::move(input)), &cache);
  if (!reader.ok()) return;
  ReadEverything(*reader);
  uint64_t calls = 0;
  (void)VerifyLayer(*reader, [&](VerifyProgress) { return ++calls < 20; }).ok();
}

}  // namespace
}  // namespace nexus::layer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  nexus::layer::Fuzz(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
