// Fuzzes the codecs from the writing side: any values at any timestamps come back bit for bit, by
// way of the whole layer.
//
// The input's first two bytes choose the limits of chunks and pages; then each sample takes nine
// bytes: a step of time (one byte, as a power of two) and eight of value, or one byte that repeats
// the sample before with a small change, so that the fuzzer can build long columns of few bytes.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/labels.h"
#include "layer/layer_builder.h"
#include "layer/layer_reader.h"
#include "layer/layer_verifier.h"
#include "tests/layer/memory_file.h"

namespace nexus::layer {
namespace {

struct Column {
  std::vector<int64_t> ts;
  std::vector<double> values;
};

constexpr size_t kSamplesMax = 20'000;

// Times rise from the least int64 on; a step that would pass the greatest ends the column.
Column ReadSamples(ByteReader* input) {
  Column column;
  auto at = uint64_t{1} << 63;
  uint64_t bits = 0;
  while (input->remaining() > 0 && column.ts.size() < kSamplesMax) {
    const uint8_t head = input->U8();
    uint64_t step = 1;
    if (head < 64) {
      step = uint64_t{1} << head;
      bits = input->U64();
      if (!input->ok()) break;
    } else {
      bits = std::bit_cast<uint64_t>(std::bit_cast<double>(bits) + (head % 7 - 3.0));
      step = 1 + head % 3;
    }
    const uint64_t room = (uint64_t{1} << 63) - 1 - at;
    if (!column.ts.empty()) {
      if (step > room) break;
      at += step;
    }
    column.ts.push_back(static_cast<int64_t>(at));
    column.values.push_back(std::bit_cast<double>(bits));
  }
  return column;
}

bool SameBits(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::bit_cast<uint64_t>(a[i]) != std::bit_cast<uint64_t>(b[i])) return false;
  }
  return true;
}

void Fuzz(ByteReader input) {
  BuilderOptions options;
  options.chunk_samples_max = 1 + input.U8() * 32U;
  options.page_bytes = 256 + input.U8() * 256U;
  const Column wanted = ReadSamples(&input);
  if (wanted.ts.empty()) return;
  LayerBuilder builder(LayerIdentity(), options);
  const std::string labels = Labels::Make("m", {})->Canonical();
  NEXUS_CHECK(builder.AddSeries(labels, {1}, wanted.ts, wanted.values).ok());
  NEXUS_CHECK(builder.Finish().ok());

  auto file = std::make_unique<testing::MemoryFile>(builder.TakeOutput());
  auto reader = LayerReader::Open(std::move(file), nullptr);
  NEXUS_CHECK(reader.ok());
  auto report = VerifyLayer(*reader);
  NEXUS_CHECK(report.ok() && report->ToStatus().ok());
  ReadContext context;
  std::vector<ChunkInfo> chunks;
  NEXUS_CHECK((*reader)->Chunks(0, TimeRange(), &context, &chunks).ok());
  Column got;
  std::vector<int64_t> ts(kChunkSamplesMax);
  std::vector<double> values(kChunkSamplesMax);
  for (const ChunkInfo& chunk : chunks) {
    const auto n = (*reader)->ReadChunk(chunk, TimeRange(), &context, ts, values);
    NEXUS_CHECK(n.ok());
    got.ts.insert(got.ts.end(), ts.data(), ts.data() + *n);
    got.values.insert(got.values.end(), values.data(), values.data() + *n);
  }
  NEXUS_CHECK(got.ts == wanted.ts);
  NEXUS_CHECK(SameBits(got.values, wanted.values));
}

}  // namespace
}  // namespace nexus::layer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  nexus::layer::Fuzz(nexus::ByteReader(nexus::Bytes(bytes, size)));
  return 0;
}
