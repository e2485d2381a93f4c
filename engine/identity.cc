// The bytes of the file IDENTITY. See identity.h.

#include "engine/identity.h"

#include "base/bytes.h"
#include "base/hash.h"

namespace nexus::engine {
namespace {

constexpr std::string_view kMagic = "NXIDENT\n";
constexpr uint32_t kVersion = 0;
constexpr size_t kReservedBytes = 12;
constexpr size_t kHashAt = kIdentityBytes - sizeof(uint64_t);
constexpr uint64_t kKnownIncompatibleFeatures = 0;
constexpr uint64_t kKnownReadOnlyFeatures = 0;

}  // namespace

std::string EncodeIdentity(const Identity& identity) {
  std::string out;
  ByteWriter writer(&out);
  writer.Raw(kMagic);
  writer.U32(kVersion);
  writer.U32(0);
  writer.U64(identity.database.high);
  writer.U64(identity.database.low);
  writer.I64(identity.created_wall_ns);
  writer.U64(kKnownIncompatibleFeatures);
  writer.U64(kKnownReadOnlyFeatures);
  writer.U64(0);  // compatible features
  writer.U64(identity.origin.high);
  writer.U64(identity.origin.low);
  writer.U32(identity.timeline);
  writer.Zeros(kReservedBytes);
  writer.U64(XxHash64(AsBytes(out)));
  return out;
}

StatusOr<Identity> ParseIdentity(std::string_view bytes, std::string_view path) {
  ByteReader reader(bytes);
  if (reader.TakeString(kMagic.size()) != kMagic) {
    return DataLoss("{}: not an identity file of nexus (bad magic); restore it from a backup",
                    path);
  }
  // Before length and hash: those of another version may be others.
  if (uint32_t version = reader.U32(); version != kVersion) {
    return FailedPrecondition(
        "{}: format version {} is not known to this nexus (it knows {}); use the "
        "release that wrote it, or export and import",
        path, version, kVersion);
  }
  if (bytes.size() != kIdentityBytes) {
    return DataLoss("{}: {} bytes long, expected {}; restore it from a backup", path, bytes.size(),
                    kIdentityBytes);
  }
  if (XxHash64(AsBytes(bytes.substr(0, kHashAt))) !=
      LoadUnaligned<uint64_t>(bytes.data() + kHashAt)) {
    return DataLoss("{}: checksum does not match; restore it from a backup", path);
  }
  reader.ExpectZeros(sizeof(uint32_t));
  Identity identity;
  identity.database.high = reader.U64();
  identity.database.low = reader.U64();
  identity.created_wall_ns = reader.I64();
  // A database is never opened for reading alone, so both kinds refuse it.
  const uint64_t unknown =
      (reader.U64() & ~kKnownIncompatibleFeatures) | (reader.U64() & ~kKnownReadOnlyFeatures);
  if (unknown != 0) {
    return FailedPrecondition(
        "{}: needs features {:#x} that this nexus does not have; use a newer release", path,
        unknown);
  }
  reader.U64();  // compatible features
  identity.origin.high = reader.U64();
  identity.origin.low = reader.U64();
  identity.timeline = reader.U32();
  reader.ExpectZeros(kReservedBytes);
  if (!reader.ok()) {
    return DataLoss("{}: reserved bytes are not zero; restore it from a backup", path);
  }
  return identity;
}

}  // namespace nexus::engine
