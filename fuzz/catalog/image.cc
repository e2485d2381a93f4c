// Fuzzes the decoder of images: no crash, no over-allocation, stable re-encoding.
//
// Each input is tried as it is, and then with its length and checksums made right, so that the
// fuzzer gets past them to the structure behind.

#include "catalog/image.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "catalog/image_format.h"

namespace nexus::catalog {
namespace {

constexpr size_t kFileBytesAt = 80;

void FuzzImage(std::string_view bytes) {
  StatusOr<ImageContents> contents = DecodeImage(bytes, "fuzz.image");
  if (!contents.ok()) return;
  StatusOr<std::string> encoded = EncodeImage(*contents);
  NEXUS_CHECK(encoded.ok());
  StatusOr<ImageContents> again = DecodeImage(*encoded, "again.image");
  NEXUS_CHECK(again.ok());
  NEXUS_CHECK(*again == *contents);
}

// Makes the length and the checksums fit, as far as the sections hold together.
void Heal(std::string* image) {
  if (image->size() < kImageHeaderBytes) return;
  StoreUnaligned(image->data() + kFileBytesAt, static_cast<uint64_t>(image->size()));
  std::string_view all(*image);
  const uint64_t header_hash = XxHash64(AsBytes(all.substr(0, kImageHeaderHashAt)));
  StoreUnaligned(image->data() + kImageHeaderHashAt, header_hash);
  size_t at = kImageHeaderBytes;
  while (image->size() - at >= kImageSectionHeaderBytes) {
    const uint64_t body = LoadUnaligned<uint64_t>(image->data() + at + 16);
    if (body > image->size() - at - kImageSectionHeaderBytes) return;
    Hasher64 hasher(header_hash);
    hasher.Update(AsBytes(all.substr(at, kImageSectionHashAt)));
    hasher.Update(AsBytes(all.substr(at + kImageSectionHeaderBytes, body)));
    StoreUnaligned(image->data() + at + kImageSectionHashAt, hasher.Digest());
    at += kImageSectionHeaderBytes + body;
  }
}

}  // namespace
}  // namespace nexus::catalog

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  nexus::catalog::FuzzImage(bytes);
  nexus::catalog::Heal(&bytes);
  nexus::catalog::FuzzImage(bytes);
  return 0;
}
