// The bytes of the file BACKUP. See backup_manifest.h.

#include "engine/backup_manifest.h"

#include "base/bytes.h"
#include "base/hash.h"

namespace nexus::engine {
namespace {

constexpr std::string_view kMagic = "NXBACKUP";
constexpr uint32_t kVersion = 0;
constexpr size_t kReservedBytes = 32;
constexpr size_t kHashAt = kBackupManifestBytes - sizeof(uint64_t);
constexpr std::string_view kWayOut =
    "take another backup, or make a new one in an empty folder with nexus backup";

}  // namespace

std::string EncodeBackupManifest(const BackupManifest& manifest) {
  std::string out;
  ByteWriter writer(&out);
  writer.Raw(kMagic);
  writer.U32(kVersion);
  writer.U32(0);
  writer.Zeros(3 * sizeof(uint64_t));  // features: incompatible, read-only compatible, compatible
  writer.U64(manifest.identity.database.high);
  writer.U64(manifest.identity.database.low);
  writer.U64(manifest.identity.origin.high);
  writer.U64(manifest.identity.origin.low);
  writer.U32(manifest.identity.timeline);
  writer.U32(0);
  writer.I64(manifest.identity.created_wall_ns);
  writer.U64(manifest.lsn.value);
  writer.I64(manifest.made_wall_ns);
  writer.Zeros(kReservedBytes);
  writer.U64(XxHash64(AsBytes(out)));
  return out;
}

StatusOr<BackupManifest> ParseBackupManifest(std::string_view bytes, std::string_view path) {
  ByteReader reader(bytes);
  if (reader.TakeString(kMagic.size()) != kMagic) {
    return DataLoss("{}: not the manifest of a backup by nexus (bad magic); {}", path, kWayOut);
  }
  // Before length and hash: those of another version may be others.
  if (uint32_t version = reader.U32(); version != kVersion) {
    return FailedPrecondition(
        "{}: format version {} is not known to this nexus (it knows {}); use the release that "
        "wrote it",
        path, version, kVersion);
  }
  if (bytes.size() != kBackupManifestBytes) {
    return DataLoss("{}: {} bytes long, expected {}; {}", path, bytes.size(), kBackupManifestBytes,
                    kWayOut);
  }
  if (XxHash64(AsBytes(bytes.substr(0, kHashAt))) !=
      LoadUnaligned<uint64_t>(bytes.data() + kHashAt)) {
    return DataLoss("{}: checksum does not match; {}", path, kWayOut);
  }
  reader.ExpectZeros(sizeof(uint32_t));
  // A backup is written to, and a restored one will be: both kinds refuse it.
  uint64_t unknown = reader.U64();
  unknown |= reader.U64();
  if (unknown != 0) {
    return FailedPrecondition(
        "{}: needs features {:#x} that this nexus does not have; use a newer release", path,
        unknown);
  }
  reader.U64();  // compatible features
  BackupManifest manifest;
  manifest.identity.database.high = reader.U64();
  manifest.identity.database.low = reader.U64();
  manifest.identity.origin.high = reader.U64();
  manifest.identity.origin.low = reader.U64();
  manifest.identity.timeline = reader.U32();
  reader.ExpectZeros(sizeof(uint32_t));
  manifest.identity.created_wall_ns = reader.I64();
  manifest.lsn.value = reader.U64();
  manifest.made_wall_ns = reader.I64();
  reader.ExpectZeros(kReservedBytes);
  if (!reader.ok()) return DataLoss("{}: reserved bytes are not zero; {}", path, kWayOut);
  return manifest;
}

}  // namespace nexus::engine
