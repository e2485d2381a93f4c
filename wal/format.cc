// Encoding and decoding of segment and frame headers, and of file names. See format.h.

#include "wal/format.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/check.h"
#include "base/hash.h"
#include "base/planted.h"

namespace nexus::wal {
namespace {

// Offsets in a copy of the segment header. Each version keeps the magic at 0, the version at 8 and
// the hash in the last 8 bytes, so that a program tells a newer format from a damaged one.
constexpr size_t kCutsOffset = 256;
constexpr size_t kCutBytes = 24;
constexpr size_t kHashOffset = kHeaderCopyBytes - 8;
static_assert(kCutsOffset + kCutsMax * kCutBytes <= kHashOffset);

// Hashing each copy with a seed of its own notices a copy read from the other's place.
constexpr uint64_t kHeaderHashSeed = 0x6e78736567686472;

// Features this program knows, by class: of the first all must be known, the second only to write.
constexpr uint64_t kIncompatibleFeatures = 0;
constexpr uint64_t kReadOnlyCompatibleFeatures = 0;
constexpr uint64_t kCompatibleFeatures = 0;

uint64_t HeaderHash(Bytes bytes, int copy) {
  return XxHash64(bytes.first(kHashOffset), kHeaderHashSeed + static_cast<uint64_t>(copy));
}

void AppendFields(const SegmentHeader& header, ByteWriter* out) {
  out->Raw(std::string_view(kSegmentMagic, sizeof(kSegmentMagic)));
  out->U32(kFormatVersion);
  out->U32(static_cast<uint32_t>(header.predecessor.kind));
  out->U64(kIncompatibleFeatures);
  out->U64(kReadOnlyCompatibleFeatures);
  out->U64(kCompatibleFeatures);
  out->U64(header.database.high);
  out->U64(header.database.low);
  out->U64(header.open_count);
  out->U64(header.sequence);
  out->U64(header.seed);
  out->U64(header.base.value);
  out->U64(header.segment_bytes);
  out->I64(header.wall_ns);
  out->U64(header.durable.value);
  out->U64(header.predecessor.sequence);
  out->U64(header.predecessor.end.value);
  out->U64(header.predecessor.hash);
  out->U64(header.cuts.size());
  out->Zeros(kCutsOffset - out->size());
  for (const Cut& cut : header.cuts) {
    out->U64(cut.sequence);
    out->U64(cut.end.value);
    out->U64(cut.hash);
  }
  out->Zeros(kHashOffset - out->size());
}

// What the fields of a header whose hash agrees must still satisfy.
Status CheckFields(const SegmentHeader& header, uint32_t predecessor_kind, uint64_t cut_count) {
  if (header.segment_bytes < kSegmentBytesMin || header.segment_bytes > kSegmentBytesMax ||
      header.segment_bytes % io::kSectorBytes != 0) {
    return DataLoss("segment size {} is out of range", header.segment_bytes);
  }
  if (header.base.value % io::kSectorBytes != 0 ||
      header.base.value > UINT64_MAX - kSegmentBytesMax) {
    return DataLoss("base LSN {} is out of range", header.base.value);
  }
  if (predecessor_kind > static_cast<uint32_t>(Predecessor::Kind::kOpen) ||
      (predecessor_kind != 0 && header.predecessor.sequence >= header.sequence)) {
    return DataLoss("predecessor {} of kind {} is out of range", header.predecessor.sequence,
                    predecessor_kind);
  }
  if (cut_count > kCutsMax) return DataLoss("{} cuts are more than {}", cut_count, kCutsMax);
  return OkStatus();
}

Status CheckVersion(uint32_t version, uint64_t incompatible, uint64_t read_only_compatible) {
  if (version != kFormatVersion) {
    return FailedPrecondition("log format version {}, this program knows version {}", version,
                              kFormatVersion);
  }
  // The log has no read-only way of opening, so it must know the second class as well.
  uint64_t unknown = (incompatible & ~kIncompatibleFeatures) |
                     (read_only_compatible & ~kReadOnlyCompatibleFeatures);
  if (unknown != 0) {
    return FailedPrecondition("log features {:#x} are unknown to this program", unknown);
  }
  return OkStatus();
}

// A whole number in hex digits of at least `width`.
std::optional<uint64_t> ParseHex(std::string_view digits, size_t width) {
  uint64_t value = 0;
  const char* end = digits.data() + digits.size();
  auto [at, error] = std::from_chars(digits.data(), end, value, 16);
  if (error != std::errc() || at != end) return std::nullopt;
  // One spelling a number: fixed width in lower case, longer only where the number needs it.
  if (digits != fmt::format("{:0{}x}", value, width)) return std::nullopt;
  return value;
}

constexpr size_t kOpenCountDigits = 8;
constexpr size_t kSequenceDigits = 16;

}  // namespace

void EncodeSegmentHeader(const SegmentHeader& header, int copy, MutableBytes out) {
  NEXUS_CHECK(out.size() == kHeaderCopyBytes);
  NEXUS_CHECK(header.cuts.size() <= kCutsMax);
  std::string bytes;
  ByteWriter writer(&bytes);
  AppendFields(header, &writer);
  writer.U64(HeaderHash(AsBytes(bytes), copy));
  std::memcpy(out.data(), bytes.data(), bytes.size());
}

StatusOr<SegmentHeader> DecodeSegmentHeader(Bytes bytes, int copy) {
  if (bytes.size() != kHeaderCopyBytes) return DataLoss("the file ends inside the segment header");
  ByteReader in(bytes);
  if (in.TakeString(sizeof(kSegmentMagic)) !=
      std::string_view(kSegmentMagic, sizeof(kSegmentMagic))) {
    return DataLoss("no segment header");
  }
  if (LoadUnaligned<uint64_t>(bytes.data() + kHashOffset) != HeaderHash(bytes, copy)) {
    return DataLoss("the segment header fails its checksum");
  }
  SegmentHeader header;
  uint32_t version = in.U32();
  uint32_t predecessor_kind = in.U32();
  uint64_t incompatible = in.U64();
  uint64_t read_only_compatible = in.U64();
  in.U64();  // compatible features need not be known
  NEXUS_RETURN_IF_ERROR(CheckVersion(version, incompatible, read_only_compatible));
  header.database.high = in.U64();
  header.database.low = in.U64();
  header.open_count = in.U64();
  header.sequence = in.U64();
  header.seed = in.U64();
  header.base.value = in.U64();
  header.segment_bytes = in.U64();
  header.wall_ns = in.I64();
  header.durable.value = in.U64();
  header.predecessor.kind = static_cast<Predecessor::Kind>(predecessor_kind);
  header.predecessor.sequence = in.U64();
  header.predecessor.end.value = in.U64();
  header.predecessor.hash = in.U64();
  uint64_t cut_count = in.U64();
  in.ExpectZeros(kCutsOffset - in.position());
  NEXUS_RETURN_IF_ERROR(CheckFields(header, predecessor_kind, cut_count));
  for (uint64_t i = 0; i < cut_count; i++) {
    Cut& cut = header.cuts.emplace_back();
    cut.sequence = in.U64();
    cut.end.value = in.U64();
    cut.hash = in.U64();
  }
  in.ExpectZeros(kHashOffset - in.position());
  if (!in.ok()) return DataLoss("a reserved byte of the segment header is not zero");
  return header;
}

void FinishFrame(FrameHeader* header, uint64_t seed, std::byte* at) {
  std::byte* body = at + kFrameHeaderBytes;
  uint64_t padded = header->frame_bytes() - kFrameHeaderBytes;
  std::memset(body + header->length, 0, padded - header->length);
  header->body_hash = FrameBodyHash(Bytes(body, padded), seed);
  // The reserved 16 bits behind the kind stay zero.
  uint32_t version_and_kind = kFormatVersion | uint32_t{header->kind} << 8;
  StoreUnaligned(at, kFrameMagic);
  StoreUnaligned(at + 4, version_and_kind);
  StoreUnaligned(at + 8, header->length);
  StoreUnaligned(at + 12, header->epoch);
  StoreUnaligned(at + 16, header->lsn.value);
  StoreUnaligned(at + 24, header->wall_ns);
  StoreUnaligned(at + 32, header->durable.value);
  StoreUnaligned(at + 40, header->previous);
  StoreUnaligned(at + 48, header->body_hash);
  header->hash = XxHash64(Bytes(at, kFrameHeaderBytes - 8), seed);
  StoreUnaligned(at + 56, header->hash);
}

std::optional<FrameHeader> DecodeFrameHeader(const std::byte* bytes, uint64_t seed, uint32_t epoch,
                                             Lsn place) {
  if (LoadUnaligned<uint32_t>(bytes) != kFrameMagic) return std::nullopt;
  if (LoadUnaligned<uint64_t>(bytes + 16) != place.value &&
      !NEXUS_PLANTED("stale-frame-accepted")) {
    return std::nullopt;
  }
  FrameHeader header;
  header.hash = LoadUnaligned<uint64_t>(bytes + 56);
  if (header.hash != XxHash64(Bytes(bytes, kFrameHeaderBytes - 8), seed)) return std::nullopt;
  uint32_t version_and_kind = LoadUnaligned<uint32_t>(bytes + 4);
  header.kind = static_cast<uint8_t>(version_and_kind >> 8);
  header.length = LoadUnaligned<uint32_t>(bytes + 8);
  header.epoch = LoadUnaligned<uint32_t>(bytes + 12);
  header.lsn = place;
  header.wall_ns = LoadUnaligned<int64_t>(bytes + 24);
  header.durable.value = LoadUnaligned<uint64_t>(bytes + 32);
  header.previous = LoadUnaligned<uint64_t>(bytes + 40);
  header.body_hash = LoadUnaligned<uint64_t>(bytes + 48);
  if ((version_and_kind & 0xffff00ff) != kFormatVersion) return std::nullopt;
  if (header.kind == 0 || header.kind > kSegmentStartKind) return std::nullopt;
  if (NEXUS_PLANTED("stale-frame-accepted")) {
    header.epoch = epoch;
    header.lsn = place;
  }
  if (header.epoch != epoch || header.length > kRecordBytesMax) return std::nullopt;
  if (header.durable > place && !NEXUS_PLANTED("stale-frame-accepted")) return std::nullopt;
  return header;
}

uint64_t FrameBodyHash(Bytes padded_body, uint64_t seed) { return XxHash64(padded_body, seed); }

std::string ToString(const FileName& name) {
  std::string_view stem = name.kind == FileName::Kind::kSegment ? "segment" : "spare";
  std::string_view suffix = name.kind == FileName::Kind::kSpareUnfinished ? ".tmp" : "";
  return fmt::format("{}-{:0{}x}-{:0{}x}.log{}", stem, name.open_count, kOpenCountDigits,
                     name.sequence, kSequenceDigits, suffix);
}

std::optional<FileName> ParseFileName(std::string_view name) {
  FileName parsed;
  if (name.starts_with("segment-")) {
    parsed.kind = FileName::Kind::kSegment;
    name.remove_prefix(8);
  } else if (name.starts_with("spare-")) {
    parsed.kind = FileName::Kind::kSpare;
    name.remove_prefix(6);
    if (name.ends_with(".tmp")) {
      parsed.kind = FileName::Kind::kSpareUnfinished;
      name.remove_suffix(4);
    }
  } else {
    return std::nullopt;
  }
  if (!name.ends_with(".log")) return std::nullopt;
  name.remove_suffix(4);
  size_t dash = name.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  std::optional<uint64_t> open_count = ParseHex(name.substr(0, dash), kOpenCountDigits);
  std::optional<uint64_t> sequence = ParseHex(name.substr(dash + 1), kSequenceDigits);
  if (!open_count.has_value() || !sequence.has_value()) return std::nullopt;
  parsed.open_count = *open_count;
  parsed.sequence = *sequence;
  return parsed;
}

}  // namespace nexus::wal
