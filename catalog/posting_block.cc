// Encoding and decoding of posting blocks. See posting_block.h.

#include "catalog/posting_block.h"

#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "catalog/format.h"

namespace nexus::catalog {
namespace {

enum Encoding : uint8_t { kDeltas = 0, kBitmap = 1, kRuns = 2 };

constexpr size_t kBodyBytesMax = kPostingBlockBytesMax - 1;

size_t VarintBytes(uint64_t v) { return (static_cast<size_t>(std::bit_width(v | 1)) + 6) / 7; }

// The first ids that fit into one block, and their smallest encoding.
struct Measured {
  size_t count = 1;
  Encoding encoding = kDeltas;
};

// Each of the three sizes only grows as ids are added, so the smallest does too.
Measured MeasureBlock(std::span<const uint64_t> ids) {
  const size_t most = std::min(ids.size(), kPostingBlockIdsMax);
  Measured fits;
  size_t deltas = 0;
  size_t closed_runs = 0;
  uint64_t run = 0;  // length - 1 of the open run
  for (size_t i = 1; i < most; i++) {
    const uint64_t skipped = ids[i] - ids[i - 1] - 1;
    if (skipped == 0) {
      run++;
      deltas++;
    } else {
      closed_runs += VarintBytes(run) + VarintBytes(skipped - 1);
      deltas += VarintBytes(skipped);
      run = 0;
    }
    const uint64_t bitmap = (ids[i] - ids.front()) / 8 + 1;
    const size_t runs = closed_runs + VarintBytes(run);
    const uint64_t smallest = std::min<uint64_t>({deltas, bitmap, runs});
    if (smallest > kBodyBytesMax) break;
    fits.count = i + 1;
    fits.encoding = deltas == smallest ? kDeltas : runs == smallest ? kRuns : kBitmap;
  }
  return fits;
}

void EncodeDeltas(std::span<const uint64_t> ids, ByteWriter* out) {
  for (size_t i = 1; i < ids.size(); i++) out->Varint(ids[i] - ids[i - 1] - 1);
}

void EncodeBitmap(std::span<const uint64_t> ids, std::string* out) {
  const size_t begin = out->size();
  out->append((ids.back() - ids.front()) / 8 + 1, '\0');
  for (uint64_t id : ids) {
    uint64_t bit = id - ids.front();
    char& byte = (*out)[begin + bit / 8];
    byte = static_cast<char>(byte | (1 << bit % 8));
  }
}

void EncodeRuns(std::span<const uint64_t> ids, ByteWriter* out) {
  uint64_t run = 0;
  for (size_t i = 1; i < ids.size(); i++) {
    uint64_t skipped = ids[i] - ids[i - 1] - 1;
    if (skipped == 0) {
      run++;
      continue;
    }
    out->Varint(run);
    out->Varint(skipped - 1);
    run = 0;
  }
  out->Varint(run);
}

// Collects ids that ascend; refuses overflow and more than a block holds.
class IdSink {
 public:
  IdSink(uint64_t first, std::vector<uint64_t>* ids)
      : ids_(ids), begin_(ids->size()), next_(first) {
    Skip(0, 1);
  }

  // Leaves out `skipped` ids after the last one, then takes `count`.
  void Skip(uint64_t skipped, uint64_t count) {
    ok_ = ok_ && count <= kPostingBlockIdsMax - (ids_->size() - begin_) &&
          skipped <= UINT64_MAX - next_ && count <= UINT64_MAX - next_ - skipped;
    if (!ok_) return;
    next_ += skipped;
    for (uint64_t i = 0; i < count; i++) ids_->push_back(next_++);
  }

  bool ok() const { return ok_; }
  bool Finish(bool well_formed) {
    ok_ = ok_ && well_formed;
    if (!ok_) ids_->resize(begin_);
    return ok_;
  }

 private:
  std::vector<uint64_t>* ids_;
  const size_t begin_;
  uint64_t next_;
  bool ok_ = true;
};

bool DecodeBitmap(std::string_view body, IdSink* sink) {
  if (body.empty() || body.back() == '\0' || (body.front() & 1) == 0) return false;
  uint64_t last = 0;  // bit 0 is taken already
  for (size_t i = 0; i < body.size(); i++) {
    for (unsigned byte = static_cast<uint8_t>(body[i]); byte != 0 && sink->ok(); byte &= byte - 1) {
      uint64_t bit = i * 8 + static_cast<unsigned>(std::countr_zero(byte));
      if (bit > 0) sink->Skip(bit - last - 1, 1);
      last = bit;
    }
  }
  return true;
}

bool DecodeRuns(std::string_view body, IdSink* sink) {
  ByteReader in(body);
  sink->Skip(0, in.Varint());
  while (in.ok() && !in.done() && sink->ok()) {
    uint64_t gap = in.Varint();
    uint64_t length = in.Varint();
    if (gap == UINT64_MAX || length == UINT64_MAX) return false;
    sink->Skip(gap + 1, length + 1);
  }
  return in.ok();
}

bool DecodeDeltas(std::string_view body, IdSink* sink) {
  ByteReader in(body);
  while (in.ok() && !in.done() && sink->ok()) sink->Skip(in.Varint(), 1);
  return in.ok();
}

}  // namespace

bool FitsPostingBlock(std::span<const uint64_t> ids) {
  return MeasureBlock(ids).count == ids.size();
}

size_t EncodePostingBlock(std::span<const uint64_t> ids, std::string* out) {
  const Measured measured = MeasureBlock(ids);
  ids = ids.first(measured.count);
  ByteWriter writer(out);
  writer.U8(measured.encoding);
  switch (measured.encoding) {
    case kDeltas:
      EncodeDeltas(ids, &writer);
      break;
    case kBitmap:
      EncodeBitmap(ids, out);
      break;
    case kRuns:
      EncodeRuns(ids, &writer);
      break;
  }
  return ids.size();
}

bool DecodePostingBlock(uint64_t first, std::string_view payload, std::vector<uint64_t>* ids) {
  if (payload.empty() || payload.size() > kPostingBlockBytesMax || first == UINT64_MAX)
    return false;
  std::string_view body = payload.substr(1);
  IdSink sink(first, ids);
  switch (payload.front()) {
    case kDeltas:
      return sink.Finish(DecodeDeltas(body, &sink));
    case kRuns:
      return sink.Finish(DecodeRuns(body, &sink));
    case kBitmap:
      return sink.Finish(DecodeBitmap(body, &sink));
    default:
      return sink.Finish(false);
  }
}

}  // namespace nexus::catalog
