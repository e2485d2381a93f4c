// The two ends of a layer file: the header that says whose it is, and the tail that says it is
// whole.
//
// Failure: DataLoss if bytes are not what they were written as (magic, hash, reserved zeros,
// sizes); FailedPrecondition for a sound file of a newer version or with unknown incompatible
// features. Threading: values. Format: layer/format.h.

#ifndef NEXUS_LAYER_FILE_HEADER_H_
#define NEXUS_LAYER_FILE_HEADER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"
#include "layer/layer.h"

namespace nexus::layer {

struct FileHeader {
  uint64_t incompatible = 0;
  uint64_t read_only_compatible = 0;
  uint64_t compatible = 0;
  DatabaseId database;
  TenantId tenant;
  BranchId branch;
  uint64_t identity_seed = 0;
  LayerKey key;

  bool operator==(const FileHeader&) const = default;
  // What the checksums of this layer's pages, footer and tail are seeded with.
  uint64_t LayerSeed() const;
};

std::string EncodeFileHeader(const FileHeader& header);
// `path` is for messages.
StatusOr<FileHeader> ParseFileHeader(Bytes bytes, std::string_view path);

struct FileTail {
  uint64_t file_bytes = 0;
  uint64_t footer_offset = 0;
  uint32_t footer_bytes = 0;
  uint64_t footer_hash = 0;

  bool operator==(const FileTail&) const = default;
};

std::string EncodeFileTail(const FileTail& tail, uint64_t layer_seed);
// `file_bytes` is the file's true size.
StatusOr<FileTail> ParseFileTail(Bytes bytes, uint64_t layer_seed, uint64_t file_bytes,
                                 std::string_view path);

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_FILE_HEADER_H_
