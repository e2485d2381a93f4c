// Checking and walking batch records. See batch.h.

#include "batch/batch.h"

#include <cstring>

namespace nexus::batch {
namespace {

// Bytes of the columns behind a section header, each padded to the record's alignment.
struct SectionBytes {
  uint64_t ids = 0;
  uint64_t timestamps = 0;
  uint64_t values = 0;
  uint64_t total() const { return ids + timestamps + values; }
};

uint64_t Padded(uint64_t bytes) { return AlignUp(bytes, kRecordAlignment); }

// REQUIRES: a known coding. At most 3 * 8 * 2^32 bytes: no overflow.
SectionBytes SizesOf(const SectionHeader& section) {
  uint64_t count = section.sample_count;
  SectionBytes bytes;
  switch (static_cast<IdCoding>(section.id_coding)) {
    case IdCoding::kOffsets32:
      bytes.ids = Padded(4 * count);
      break;
    case IdCoding::kIds64:
      bytes.ids = 8 * count;
      break;
    case IdCoding::kOne:
    case IdCoding::kAsPreviousRow:
      break;
  }
  switch (static_cast<TimestampCoding>(section.timestamp_coding)) {
    case TimestampCoding::kMultiples32:
      bytes.timestamps = Padded(4 * count);
      break;
    case TimestampCoding::kTimes64:
      bytes.timestamps = 8 * count;
      break;
    case TimestampCoding::kOne:
      break;
  }
  bytes.values = 8 * count;
  return bytes;
}

bool CodingsFit(const SectionHeader& section) {
  auto ids = static_cast<IdCoding>(section.id_coding);
  auto timestamps = static_cast<TimestampCoding>(section.timestamp_coding);
  bool id_column = ids == IdCoding::kOffsets32 || ids == IdCoding::kIds64;
  bool timestamp_column =
      timestamps == TimestampCoding::kMultiples32 || timestamps == TimestampCoding::kTimes64;
  switch (static_cast<SectionKind>(section.kind)) {
    case SectionKind::kRow:
      return (id_column || ids == IdCoding::kAsPreviousRow) && timestamps == TimestampCoding::kOne;
    case SectionKind::kLoose:
      return id_column && timestamp_column;
    case SectionKind::kSeries:
      return ids == IdCoding::kOne && timestamp_column;
  }
  return false;
}

// What the codings leave unused must be zero.
bool UnusedFieldsAreZero(const SectionHeader& section) {
  auto ids = static_cast<IdCoding>(section.id_coding);
  auto timestamps = static_cast<TimestampCoding>(section.timestamp_coding);
  bool uses_id_base = ids == IdCoding::kOne || ids == IdCoding::kOffsets32;
  bool uses_timestamp_base = timestamps != TimestampCoding::kTimes64;
  bool uses_unit = timestamps == TimestampCoding::kMultiples32;
  return section.reserved == 0 && (uses_id_base || section.id_base == 0) &&
         (uses_timestamp_base || section.timestamp_base == 0) &&
         (uses_unit || section.timestamp_unit == 0);
}

bool PaddingIsZero(const std::byte* column, uint64_t used, uint64_t padded) {
  for (uint64_t i = used; i < padded; i++) {
    if (column[i] != std::byte{0}) return false;
  }
  return true;
}

Status Malformed(size_t at, std::string_view what) {
  return DataLoss("batch record: {} at byte {} of its body", what, at);
}

// What the sections before have established.
struct Walk {
  uint64_t samples = 0;
  uint64_t row_samples = 0;  // of the last row section; 0 if there was none
};

// Checks the section at `at` of `sections` and moves behind it.
Status CheckSection(Bytes body, size_t end, size_t* at, Walk* walk) {
  if (end - *at < sizeof(SectionHeader)) return Malformed(*at, "a cut section header");
  auto section = LoadUnaligned<SectionHeader>(body.data() + *at);
  if (!CodingsFit(section)) return Malformed(*at, "an unknown section kind or coding");
  if (!UnusedFieldsAreZero(section)) return Malformed(*at, "an unused field that is not zero");
  if (section.sample_count == 0) return Malformed(*at, "a section without samples");
  if (static_cast<IdCoding>(section.id_coding) == IdCoding::kAsPreviousRow &&
      section.sample_count != walk->row_samples) {
    return Malformed(*at, "a row that repeats the ids of a row of another length, or of none");
  }
  SectionBytes bytes = SizesOf(section);
  size_t columns = *at + sizeof(SectionHeader);
  if (end - columns < bytes.total())
    return Malformed(*at, "a section that is longer than the body");
  const std::byte* ids = body.data() + columns;
  bool offsets = static_cast<IdCoding>(section.id_coding) == IdCoding::kOffsets32;
  bool multiples =
      static_cast<TimestampCoding>(section.timestamp_coding) == TimestampCoding::kMultiples32;
  uint64_t used = uint64_t{4} * section.sample_count;
  if ((offsets && !PaddingIsZero(ids, used, bytes.ids)) ||
      (multiples && !PaddingIsZero(ids + bytes.ids, used, bytes.timestamps))) {
    return Malformed(*at, "padding that is not zero in the section");
  }
  if (static_cast<SectionKind>(section.kind) == SectionKind::kRow) {
    walk->row_samples = section.sample_count;
  }
  walk->samples += section.sample_count;
  *at = columns + bytes.total();
  return OkStatus();
}

Status CheckRejected(std::span<const RejectedRange> rejected, uint32_t samples, size_t at) {
  uint64_t free_from = 0;
  for (const RejectedRange& range : rejected) {
    uint64_t end = uint64_t{range.first} + range.count;
    if (range.count == 0 || range.first < free_from || end > samples) {
      return Malformed(at, "rejected ranges that are empty, out of order or beyond the samples");
    }
    free_from = end;
  }
  return OkStatus();
}

Status CheckHeader(const BatchHeader& header, size_t body_bytes) {
  if ((header.flags & ~kBatchFlagsKnown) != 0) return Malformed(8, "an unknown flag");
  if (header.reserved != 0) return Malformed(56, "a reserved field that is not zero");
  bool triple = (header.flags & kBatchHasTriple) != 0;
  if (!triple &&
      (header.producer_high | header.producer_low | header.epoch | header.sequence) != 0) {
    return Malformed(24, "an exactly-once triple that the flags do not announce");
  }
  if (uint64_t{header.rejected_count} * sizeof(RejectedRange) > body_bytes - sizeof(BatchHeader)) {
    return Malformed(20, "more rejected ranges than the body can hold");
  }
  return OkStatus();
}

}  // namespace

void IdColumn::Decode(size_t first, size_t count, uint64_t* out) const {
  switch (coding_) {
    case IdCoding::kIds64:
      std::memcpy(out, data_ + 8 * first, 8 * count);
      return;
    case IdCoding::kOffsets32:
      for (size_t i = 0; i < count; i++) {
        out[i] = base_ + LoadUnaligned<uint32_t>(data_ + 4 * (first + i));
      }
      return;
    case IdCoding::kOne:
    case IdCoding::kAsPreviousRow:
      for (size_t i = 0; i < count; i++) out[i] = base_;
      return;
  }
}

void TimestampColumn::Decode(size_t first, size_t count, int64_t* out) const {
  switch (coding_) {
    case TimestampCoding::kTimes64:
      std::memcpy(out, data_ + 8 * first, 8 * count);
      return;
    case TimestampCoding::kMultiples32:
      for (size_t i = 0; i < count; i++) out[i] = (*this)[first + i];
      return;
    case TimestampCoding::kOne:
      for (size_t i = 0; i < count; i++) out[i] = base_;
      return;
  }
}

StatusOr<BatchView> BatchView::Parse(Bytes body) {
  if (reinterpret_cast<uintptr_t>(body.data()) % kRecordAlignment != 0) {
    return InvalidArgument("batch record: its body lies at an address not divisible by {}",
                           kRecordAlignment);
  }
  if (body.size() < sizeof(BatchHeader)) return Malformed(0, "a cut header");
  BatchView batch;
  batch.header_ = LoadUnaligned<BatchHeader>(body.data());
  const BatchHeader& header = batch.header_;
  NEXUS_RETURN_IF_ERROR(CheckHeader(header, body.size()));
  size_t end = body.size() - header.rejected_count * sizeof(RejectedRange);
  size_t at = sizeof(BatchHeader);
  Walk walk;
  for (uint32_t i = 0; i < header.section_count; i++) {
    NEXUS_RETURN_IF_ERROR(CheckSection(body, end, &at, &walk));
  }
  if (at != end) return Malformed(at, "bytes that belong to no section");
  if (walk.samples != header.sample_count) return Malformed(16, "a sample count that is wrong");
  // Every part is a multiple of 8 bytes long, so `end` is aligned.
  batch.rejected_ = {reinterpret_cast<const RejectedRange*>(body.data() + end),
                     header.rejected_count};
  NEXUS_RETURN_IF_ERROR(CheckRejected(batch.rejected_, header.sample_count, end));
  batch.sections_ = body.data() + sizeof(BatchHeader);
  return batch;
}

std::optional<ExactlyOnce> BatchView::exactly_once() const {
  if ((header_.flags & kBatchHasTriple) == 0) return std::nullopt;
  return ExactlyOnce{header_.producer_high, header_.producer_low, header_.epoch, header_.sequence};
}

uint64_t BatchView::rejected_samples() const {
  uint64_t samples = 0;
  for (const RejectedRange& range : rejected_) samples += range.count;
  return samples;
}

bool BatchView::Sections::Next(SectionView* section) {
  if (left_ == 0) return false;
  left_--;
  auto header = LoadUnaligned<SectionHeader>(at_);
  SectionBytes bytes = SizesOf(header);
  const std::byte* columns = at_ + sizeof(SectionHeader);
  auto id_coding = static_cast<IdCoding>(header.id_coding);
  section->kind = static_cast<SectionKind>(header.kind);
  section->ids_as_previous_row = id_coding == IdCoding::kAsPreviousRow;
  section->first_sample = first_sample_;
  section->sample_count = header.sample_count;
  section->ids =
      section->ids_as_previous_row ? row_ids_ : IdColumn(id_coding, header.id_base, columns);
  section->timestamps =
      TimestampColumn(static_cast<TimestampCoding>(header.timestamp_coding), header.timestamp_base,
                      header.timestamp_unit, columns + bytes.ids);
  section->values = reinterpret_cast<const double*>(columns + bytes.ids + bytes.timestamps);
  if (section->kind == SectionKind::kRow) row_ids_ = section->ids;
  first_sample_ += header.sample_count;
  at_ = columns + bytes.total();
  return true;
}

}  // namespace nexus::batch
