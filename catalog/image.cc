// Encoding and decoding of images. See image.h.

#include "catalog/image.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/status_place.h"
#include "catalog/format.h"
#include "catalog/image_format.h"
#include "catalog/record_codec.h"

namespace nexus::catalog {
namespace {

TenantId KeyOf(const TenantRecord& r) { return r.id; }
std::pair<TenantId, BranchId> KeyOf(const BranchRecord& r) { return {r.tenant, r.id}; }
LayerKey KeyOf(const LayerRecord& r) { return r.key(); }
const std::string& KeyOf(const Setting& r) { return r.name; }
ProducerKey KeyOf(const ProducerRecord& r) { return r.key(); }
std::pair<TenantId, SeriesId> KeyOf(const SeriesDefinition& r) { return {r.tenant, r.id}; }
TombstoneKey KeyOf(const TombstoneRecord& r) { return r.key(); }

std::string Describe(const TenantRecord& r) { return fmt::format("tenant {}", r.id.value); }
std::string Describe(const BranchRecord& r) {
  return fmt::format("branch {} of tenant {}", r.id.value, r.tenant.value);
}
std::string Describe(const LayerRecord& r) { return fmt::format("layer {}", r.file_name); }
std::string Describe(const Setting& r) { return fmt::format("setting {}", r.name); }

std::string Describe(const ProducerRecord& r) {
  return fmt::format("producer {:016x}{:016x}", r.id.high, r.id.low);
}

std::string Describe(const SeriesDefinition& r) {
  return fmt::format("series {} of tenant {}", r.id.value, r.tenant.value);
}

std::string Describe(const TombstoneRecord& r) {
  return fmt::format("the delete of branch {} of tenant {} at LSN {}", r.branch.value,
                     r.tenant.value, r.order.lsn.value);
}

template <typename Record>
bool ByKey(const Record& a, const Record& b) {
  return KeyOf(a) < KeyOf(b);
}

template <typename Record>
Status SortAndCheck(std::vector<Record>* records) {
  std::sort(records->begin(), records->end(), ByKey<Record>);
  for (size_t i = 0; i < records->size(); i++) {
    NEXUS_RETURN_IF_ERROR(CheckRecord((*records)[i]));
    if (i > 0 && !ByKey((*records)[i - 1], (*records)[i])) {
      return InvalidArgument("{} is listed twice", Describe((*records)[i]));
    }
  }
  return OkStatus();
}

uint64_t SectionHash(uint64_t header_hash, std::string_view section) {
  Hasher64 hasher(header_hash);
  hasher.Update(AsBytes(section.substr(0, kImageSectionHashAt)));
  hasher.Update(AsBytes(section.substr(kImageSectionHeaderBytes)));
  return hasher.Digest();
}

// A section with its hash left zero: the header's hash, which seeds it, comes last.
template <typename Record>
std::string EncodeSection(ImageSection kind, const std::vector<Record>& records) {
  std::string body;
  ByteWriter body_writer(&body);
  for (const Record& record : records) Encode(record, &body_writer);
  std::string section;
  ByteWriter writer(&section);
  writer.U32(static_cast<uint32_t>(kind));
  writer.U32(0);
  writer.U64(records.size());
  writer.U64(body.size());
  writer.U64(0);
  writer.Raw(body);
  return section;
}

std::string EncodeHeader(const ImageContents& contents, uint64_t file_bytes) {
  std::string header;
  ByteWriter writer(&header);
  writer.Raw(kImageMagic);
  writer.U32(kImageVersion);
  writer.U32(kImageSections);
  writer.Zeros(3 * sizeof(uint64_t));  // features
  writer.U64(contents.database.high);
  writer.U64(contents.database.low);
  writer.U64(contents.lsn.value);
  writer.U64(contents.open_count);
  writer.U64(contents.next_series_id);
  writer.U64(file_bytes);
  writer.Zeros(kImageReservedBytes);
  NEXUS_CHECK(header.size() == kImageHeaderHashAt);
  writer.U64(XxHash64(AsBytes(header)));
  return header;
}

class ImageDecoder {
 public:
  ImageDecoder(std::string_view bytes, std::string_view file_name)
      : bytes_(bytes), file_name_(file_name) {}

  StatusOr<ImageContents> Decode() {
    NEXUS_RETURN_IF_ERROR(DecodeHeader());
    at_ = kImageHeaderBytes;
    NEXUS_RETURN_IF_ERROR(DecodeSection(ImageSection::kTenants, &contents_.tenants));
    NEXUS_RETURN_IF_ERROR(DecodeSection(ImageSection::kBranches, &contents_.branches));
    NEXUS_RETURN_IF_ERROR(DecodeSection(ImageSection::kLayers, &contents_.layers));
    NEXUS_RETURN_IF_ERROR(DecodeSection(ImageSection::kSettings, &contents_.settings));
    NEXUS_RETURN_IF_ERROR(DecodeSection(ImageSection::kProducers, &contents_.producers));
    NEXUS_RETURN_IF_ERROR(DecodeSection(ImageSection::kUnlayered, &contents_.unlayered));
    NEXUS_RETURN_IF_ERROR(DecodeSection(ImageSection::kTombstones, &contents_.tombstones));
    if (at_ != bytes_.size()) return Damaged(at_, "bytes behind the last section");
    return std::move(contents_);
  }

 private:
  Status Damaged(size_t offset, std::string_view what) const {
    return AtOffset(
        DataLoss("{}: damaged at offset {}: {}; use the older image", file_name_, offset, what),
        offset);
  }

  Status DecodeHeader() {
    if (bytes_.size() < kImageHeaderBytes) return Damaged(bytes_.size(), "the header is cut off");
    ByteReader in(bytes_.substr(0, kImageHeaderBytes));
    if (in.TakeString(kImageMagic.size()) != kImageMagic) return Damaged(0, "no image (bad magic)");
    header_hash_ = LoadUnaligned<uint64_t>(bytes_.data() + kImageHeaderHashAt);
    if (XxHash64(AsBytes(bytes_.substr(0, kImageHeaderHashAt))) != header_hash_) {
      return Damaged(0, "the header's checksum does not match");
    }
    uint32_t version = in.U32();
    if (version != kImageVersion) {
      return FailedPrecondition(
          "{}: image version {} is not known to this nexus (it knows {}); use the release that "
          "wrote it",
          file_name_, version, kImageVersion);
    }
    uint32_t sections = in.U32();
    uint64_t incompatible = in.U64();
    in.Take(2 * sizeof(uint64_t));  // bits that do not keep anyone from reading
    if (incompatible != 0) {
      return FailedPrecondition(
          "{}: needs features {:#x} that this nexus does not have; use a "
          "newer release",
          file_name_, incompatible);
    }
    if (sections != kImageSections) return Damaged(12, "wrong number of sections");
    contents_.database.high = in.U64();
    contents_.database.low = in.U64();
    contents_.lsn.value = in.U64();
    contents_.open_count = in.U64();
    contents_.next_series_id = in.U64();
    if (in.U64() != bytes_.size()) return Damaged(80, "the file's length is not the one stored");
    in.ExpectZeros(kImageReservedBytes);
    if (!in.ok()) return Damaged(88, "reserved bytes are not zero");
    return OkStatus();
  }

  template <typename Record>
  Status DecodeSection(ImageSection kind, std::vector<Record>* records) {
    if (bytes_.size() - at_ < kImageSectionHeaderBytes) {
      return Damaged(at_, "the section's header is cut off");
    }
    ByteReader header(bytes_.substr(at_, kImageSectionHeaderBytes));
    bool right_kind = header.U32() == static_cast<uint32_t>(kind) && header.U32() == 0;
    const uint64_t count = header.U64();
    const uint64_t body_bytes = header.U64();
    const uint64_t hash = header.U64();
    if (!right_kind) return Damaged(at_, "not the section that belongs here");
    if (body_bytes > bytes_.size() - at_ - kImageSectionHeaderBytes) {
      return Damaged(at_, "the section is cut off");
    }
    std::string_view section = bytes_.substr(at_, kImageSectionHeaderBytes + body_bytes);
    if (SectionHash(header_hash_, section) != hash) {
      return Damaged(at_, "the section's checksum does not match");
    }
    NEXUS_RETURN_IF_ERROR(DecodeRecords(section.substr(kImageSectionHeaderBytes), count, records));
    at_ += section.size();
    return OkStatus();
  }

  template <typename Record>
  Status DecodeRecords(std::string_view body, uint64_t count, std::vector<Record>* records) {
    ByteReader in(body);
    const size_t body_at = at_ + kImageSectionHeaderBytes;
    for (uint64_t i = 0; i < count; i++) {
      const size_t record_at = body_at + in.position();
      catalog::Decode(&in, &records->emplace_back());
      if (!in.ok()) return Damaged(record_at, "malformed record");
      if (i > 0 && !ByKey((*records)[i - 1], (*records)[i])) {
        return Damaged(record_at, "records out of order");
      }
    }
    if (!in.done()) return Damaged(body_at + in.position(), "bytes behind the last record");
    return OkStatus();
  }

  const std::string_view bytes_;
  const std::string_view file_name_;
  ImageContents contents_;
  uint64_t header_hash_ = 0;
  size_t at_ = 0;
};

constexpr std::string_view kNamePrefix = "catalog-";
constexpr std::string_view kNameSuffix = ".image";
constexpr size_t kLsnDigits = 16;

}  // namespace

StatusOr<std::string> EncodeImage(ImageContents contents) {
  NEXUS_RETURN_IF_ERROR(SortAndCheck(&contents.tenants));
  NEXUS_RETURN_IF_ERROR(SortAndCheck(&contents.branches));
  NEXUS_RETURN_IF_ERROR(SortAndCheck(&contents.layers));
  NEXUS_RETURN_IF_ERROR(SortAndCheck(&contents.settings));
  NEXUS_RETURN_IF_ERROR(SortAndCheck(&contents.producers));
  NEXUS_RETURN_IF_ERROR(SortAndCheck(&contents.unlayered));
  NEXUS_RETURN_IF_ERROR(SortAndCheck(&contents.tombstones));
  std::string sections[kImageSections] = {
      EncodeSection(ImageSection::kTenants, contents.tenants),
      EncodeSection(ImageSection::kBranches, contents.branches),
      EncodeSection(ImageSection::kLayers, contents.layers),
      EncodeSection(ImageSection::kSettings, contents.settings),
      EncodeSection(ImageSection::kProducers, contents.producers),
      EncodeSection(ImageSection::kUnlayered, contents.unlayered),
      EncodeSection(ImageSection::kTombstones, contents.tombstones),
  };
  uint64_t file_bytes = kImageHeaderBytes;
  for (const std::string& section : sections) file_bytes += section.size();
  std::string image = EncodeHeader(contents, file_bytes);
  const uint64_t header_hash = LoadUnaligned<uint64_t>(image.data() + kImageHeaderHashAt);
  for (std::string& section : sections) {
    StoreUnaligned(section.data() + kImageSectionHashAt, SectionHash(header_hash, section));
    image += section;
  }
  return image;
}

StatusOr<ImageContents> DecodeImage(std::string_view bytes, std::string_view file_name) {
  return ImageDecoder(bytes, file_name).Decode();
}

std::string ImageFileName(Lsn lsn) {
  return fmt::format("{}{:016x}{}", kNamePrefix, lsn.value, kNameSuffix);
}

std::optional<Lsn> ParseImageFileName(std::string_view name) {
  if (name.size() != kNamePrefix.size() + kLsnDigits + kNameSuffix.size()) return std::nullopt;
  if (!name.starts_with(kNamePrefix) || !name.ends_with(kNameSuffix)) return std::nullopt;
  Lsn lsn;
  for (char c : name.substr(kNamePrefix.size(), kLsnDigits)) {
    bool digit = c >= '0' && c <= '9';
    bool letter = c >= 'a' && c <= 'f';
    if (!digit && !letter) return std::nullopt;
    lsn.value = lsn.value << 4 | static_cast<uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return lsn;
}

}  // namespace nexus::catalog
