// Encoding and checking of a layer file's two ends; see file_header.h.

#include "layer/file_header.h"

#include "base/hash.h"
#include "layer/checksum.h"
#include "layer/format.h"

namespace nexus::layer {

uint64_t FileHeader::LayerSeed() const {
  const std::string bytes = EncodeFileHeader(*this);
  return XxHash64(
      AsBytes(bytes).subspan(kHeaderIdentityOffset, kHeaderReservedOffset - kHeaderIdentityOffset));
}

std::string EncodeFileHeader(const FileHeader& header) {
  std::string out;
  ByteWriter writer(&out);
  writer.Raw(kHeaderMagic);
  writer.U32(kFormatVersion);
  writer.U32(kHeaderBytes);
  writer.U64(header.incompatible);
  writer.U64(header.read_only_compatible);
  writer.U64(header.compatible);
  writer.U64(header.database.high);
  writer.U64(header.database.low);
  writer.U32(header.tenant.value);
  writer.U32(header.branch.value);
  writer.U64(header.identity_seed);
  writer.U64(header.key.open_count);
  writer.U64(header.key.sequence);
  writer.Zeros(kHeaderHashOffset - kHeaderReservedOffset);
  writer.U64(XxHash64(AsBytes(out)));
  return out;
}

StatusOr<FileHeader> ParseFileHeader(Bytes bytes, std::string_view path) {
  if (bytes.size() < kHeaderBytes) {
    return DataLoss("layer {}: {} bytes are too few for a header", path, bytes.size());
  }
  ByteReader reader(bytes.first(kHeaderBytes));
  if (reader.TakeString(kHeaderMagic.size()) != kHeaderMagic) {
    return DataLoss("layer {}: offset 0: no layer begins like this", path);
  }
  const uint64_t stored = LoadUnaligned<uint64_t>(bytes.data() + kHeaderHashOffset);
  if (!ChecksumMatches(XxHash64(bytes.first(kHeaderHashOffset)), stored)) {
    return DataLoss("layer {}: offset 0: the header's checksum is wrong", path);
  }
  const uint32_t version = reader.U32();
  const uint32_t header_bytes = reader.U32();
  FileHeader header;
  header.incompatible = reader.U64();
  header.read_only_compatible = reader.U64();
  header.compatible = reader.U64();
  if (version != kFormatVersion || header_bytes != kHeaderBytes) {
    return FailedPrecondition("layer {}: format version {}, this program reads version {}", path,
                              version, kFormatVersion);
  }
  const uint64_t unknown = header.incompatible & ~kKnownIncompatibleFeatures;
  if (unknown != 0) {
    return FailedPrecondition(
        "layer {}: needs features {:#x} that this program does not have; use a newer one", path,
        unknown);
  }
  header.database.high = reader.U64();
  header.database.low = reader.U64();
  header.tenant.value = reader.U32();
  header.branch.value = reader.U32();
  header.identity_seed = reader.U64();
  header.key.open_count = reader.U64();
  header.key.sequence = reader.U64();
  reader.ExpectZeros(kHeaderHashOffset - kHeaderReservedOffset);
  if (!reader.ok()) {
    return DataLoss("layer {}: offset {}: reserved bytes are not zero", path,
                    kHeaderReservedOffset);
  }
  return header;
}

std::string EncodeFileTail(const FileTail& tail, uint64_t layer_seed) {
  std::string out;
  ByteWriter writer(&out);
  writer.Raw(kTailMagic);
  writer.U64(tail.file_bytes);
  writer.U64(tail.footer_offset);
  writer.U32(tail.footer_bytes);
  writer.U32(0);
  writer.U64(tail.footer_hash);
  writer.Zeros(16);
  writer.U64(XxHash64(AsBytes(out), layer_seed));
  return out;
}

StatusOr<FileTail> ParseFileTail(Bytes bytes, uint64_t layer_seed, uint64_t file_bytes,
                                 std::string_view path) {
  const uint64_t offset = file_bytes - kTailBytes;
  if (bytes.size() != kTailBytes || AsString(bytes.first(kTailMagic.size())) != kTailMagic) {
    return DataLoss(
        "layer {}: offset {}: no layer ends like this; the file is cut off or unfinished", path,
        offset);
  }
  const uint64_t stored = LoadUnaligned<uint64_t>(bytes.data() + kTailHashOffset);
  if (!ChecksumMatches(XxHash64(bytes.first(kTailHashOffset), layer_seed), stored)) {
    return DataLoss("layer {}: offset {}: the tail's checksum is wrong", path, offset);
  }
  ByteReader reader(bytes.subspan(kTailMagic.size()));
  FileTail tail;
  tail.file_bytes = reader.U64();
  tail.footer_offset = reader.U64();
  tail.footer_bytes = reader.U32();
  reader.ExpectZeros(sizeof(uint32_t));
  tail.footer_hash = reader.U64();
  reader.ExpectZeros(16);
  if (!reader.ok()) {
    return DataLoss("layer {}: offset {}: reserved bytes of the tail are not zero", path, offset);
  }
  const bool fits = tail.file_bytes == file_bytes && tail.footer_offset >= kHeaderBytes &&
                    tail.footer_offset <= offset &&
                    tail.footer_bytes == offset - tail.footer_offset;
  if (!fits) {
    return DataLoss("layer {}: offset {}: the tail is of a file of {} bytes, this one has {}", path,
                    offset, tail.file_bytes, file_bytes);
  }
  return tail;
}

}  // namespace nexus::layer
