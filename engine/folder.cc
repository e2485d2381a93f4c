// Making and recognising a database's folder. See folder.h.

#include "engine/folder.h"

#include <utility>

#include "base/bytes.h"
#include "base/hash.h"
#include "io/file_util.h"
#include "wal/folder_lock.h"

namespace nexus::engine {
namespace {

// IDENTITY: magic, version, reserved, database id, created, three feature words, reserved, hash.
constexpr std::string_view kMagic = "NXIDENT\n";
constexpr uint32_t kVersion = 0;
constexpr size_t kReservedBytes = 32;
constexpr size_t kIdentityBytes = 8 + 4 + 4 + 16 + 8 + 3 * 8 + kReservedBytes + 8;
constexpr uint64_t kKnownIncompatibleFeatures = 0;

std::string Under(const std::string& root, std::string_view name) {
  return io::JoinPath(root, name);
}

}  // namespace

Folder::Folder(std::string at)
    : root(std::move(at)),
      identity(Under(root, "IDENTITY")),
      wal(Under(root, "wal")),
      layers(Under(root, "layers")),
      catalog(Under(root, "catalog")),
      reserve(Under(root, "reserve")),
      quarantine(Under(root, "quarantine")) {}

std::string EncodeIdentity(const Identity& identity) {
  std::string out;
  ByteWriter writer(&out);
  writer.Raw(kMagic);
  writer.U32(kVersion);
  writer.U32(0);
  writer.U64(identity.database.high);
  writer.U64(identity.database.low);
  writer.I64(identity.created_wall_ns);
  writer.Zeros(3 * sizeof(uint64_t));  // features: incompatible, read-only compatible, compatible
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
  uint64_t expected = LoadUnaligned<uint64_t>(bytes.data() + kIdentityBytes - 8);
  if (XxHash64(AsBytes(bytes.substr(0, kIdentityBytes - 8))) != expected) {
    return DataLoss("{}: checksum does not match; restore it from a backup", path);
  }
  reader.ExpectZeros(4);
  Identity identity;
  identity.database.high = reader.U64();
  identity.database.low = reader.U64();
  identity.created_wall_ns = reader.I64();
  uint64_t incompatible = reader.U64();
  reader.Take(2 * sizeof(uint64_t));
  if ((incompatible & ~kKnownIncompatibleFeatures) != 0) {
    return FailedPrecondition(
        "{}: needs features {:#x} that this nexus does not have; use a newer release", path,
        incompatible);
  }
  reader.ExpectZeros(kReservedBytes);
  if (!reader.ok())
    return DataLoss("{}: reserved bytes are not zero; restore it from a backup", path);
  return identity;
}

namespace {

io::Task<StatusOr<OpenedFolder>> CreateFolder(io::Environment* environment, Folder folder) {
  io::Disk* disk = environment->disk();
  NEXUS_CO_RETURN_IF_ERROR(co_await io::MakeDirectories(disk, folder.wal));
  NEXUS_CO_RETURN_IF_ERROR(co_await io::MakeDirectories(disk, folder.layers));
  NEXUS_CO_RETURN_IF_ERROR(co_await io::MakeDirectories(disk, folder.quarantine));
  Identity identity;
  identity.database = {environment->random()->Next(), environment->random()->Next()};
  identity.created_wall_ns = environment->WallNanos();
  NEXUS_CO_RETURN_IF_ERROR(
      co_await io::ReplaceFile(disk, folder.identity, EncodeIdentity(identity)));
  co_return OpenedFolder(identity, true);
}

// Names that an earlier creation, cut short before the identity file was in place, may have left.
bool IsOurs(std::string_view name) {
  return name == wal::kLockFileName || name == "wal" || name == "layers" || name == "catalog" ||
         name == "quarantine" || name == "IDENTITY.tmp";
}

}  // namespace

io::Task<StatusOr<OpenedFolder>> OpenFolder(io::Environment* environment, Folder folder,
                                            bool create) {
  io::Disk* disk = environment->disk();
  StatusOr<std::string> bytes =
      co_await io::ReadWholeFile(disk, folder.identity, kIdentityBytes + 1);
  if (bytes.ok()) {
    NEXUS_CO_ASSIGN_OR_RETURN(Identity identity, ParseIdentity(*bytes, folder.identity));
    co_return OpenedFolder(identity, false);
  }
  if (absl::IsResourceExhausted(bytes.status())) {
    co_return DataLoss("{}: longer than an identity file; restore it from a backup",
                       folder.identity);
  }
  if (!absl::IsNotFound(bytes.status())) co_return bytes.status();
  if (!create) co_return NotFound("{}: no nexus database there", folder.root);
  StatusOr<std::vector<io::DirectoryEntry>> entries = co_await io::List(disk, folder.root);
  if (!entries.ok() && !absl::IsNotFound(entries.status())) co_return entries.status();
  if (entries.ok()) {
    for (const io::DirectoryEntry& entry : *entries) {
      if (IsOurs(entry.name)) continue;
      co_return FailedPrecondition(
          "{}: the folder is not empty (it holds \"{}\") and is no nexus database; give an empty "
          "or a "
          "new folder",
          folder.root, entry.name);
    }
  }
  co_return co_await CreateFolder(environment, std::move(folder));
}

}  // namespace nexus::engine
