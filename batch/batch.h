// BatchView: a batch record read in place.
//
// A batch holds samples as sections, each in the form that its samples have: a row (one instant,
// many series: a scrape), a series (one id, many timestamps: an import), or loose samples. Columns
// are 8-byte aligned and are used where they lie, in the log buffer. Within a batch later samples
// are later writes: of two samples of one series and timestamp the one with the higher ordinal
// wins. The ordinal of a sample is its number in the record, from 0, over all sections.
//
// Parse checks every byte that is not a sample, so that walking a parsed batch cannot fail or leave
// the body. Threading: values; the body must outlive them unchanged.
// Format: docs/format/record.md, format.h.

#ifndef NEXUS_BATCH_BATCH_H_
#define NEXUS_BATCH_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/status.h"
#include "base/types.h"
#include "batch/format.h"

namespace nexus::batch {

// Names one append of one producer, so that a repeated one is known (DESIGN section 4).
struct ExactlyOnce {
  uint64_t producer_high = 0;
  uint64_t producer_low = 0;
  uint64_t epoch = 0;
  uint64_t sequence = 0;
  bool operator==(const ExactlyOnce&) const = default;
};

// The ids of a section's samples.
class IdColumn {
 public:
  IdColumn() = default;
  IdColumn(IdCoding coding, uint64_t base, const std::byte* data)
      : coding_(coding), base_(base), data_(data) {}

  SeriesId operator[](size_t i) const {
    switch (coding_) {
      case IdCoding::kOffsets32:
        return {base_ + LoadUnaligned<uint32_t>(data_ + 4 * i)};
      case IdCoding::kIds64:
        return {LoadUnaligned<uint64_t>(data_ + 8 * i)};
      default:
        return {base_};
    }
  }
  // kOne, kOffsets32 or kIds64.
  IdCoding coding() const { return coding_; }
  uint64_t base() const { return base_; }
  size_t width() const {
    return coding_ == IdCoding::kOffsets32 ? 4 : coding_ == IdCoding::kIds64 ? 8 : 0;
  }
  // The encoded ids [first, first + count). Equal bytes, coding and base are equal ids.
  Bytes encoded(size_t first, size_t count) const {
    return {data_ + width() * first, width() * count};
  }
  // Writes ids [first, first + count) to `out`.
  void Decode(size_t first, size_t count, uint64_t* out) const;

 private:
  IdCoding coding_ = IdCoding::kOne;
  uint64_t base_ = 0;
  const std::byte* data_ = nullptr;
};

// The timestamps of a section's samples.
class TimestampColumn {
 public:
  TimestampColumn() = default;
  TimestampColumn(TimestampCoding coding, int64_t base, int64_t unit, const std::byte* data)
      : coding_(coding), base_(base), unit_(unit), data_(data) {}

  int64_t operator[](size_t i) const {
    switch (coding_) {
      case TimestampCoding::kMultiples32: {
        auto multiple = static_cast<uint64_t>(int64_t{LoadUnaligned<int32_t>(data_ + 4 * i)});
        return static_cast<int64_t>(static_cast<uint64_t>(base_) +
                                    multiple * static_cast<uint64_t>(unit_));
      }
      case TimestampCoding::kTimes64:
        return LoadUnaligned<int64_t>(data_ + 8 * i);
      default:
        return base_;
    }
  }
  TimestampCoding coding() const { return coding_; }
  // Writes timestamps [first, first + count) to `out`.
  void Decode(size_t first, size_t count, int64_t* out) const;

 private:
  TimestampCoding coding_ = TimestampCoding::kOne;
  int64_t base_ = 0;
  int64_t unit_ = 0;
  const std::byte* data_ = nullptr;
};

struct SectionView {
  SectionKind kind = SectionKind::kLoose;
  // A row whose ids are those of the row section before it.
  bool ids_as_previous_row = false;
  uint32_t first_sample = 0;  // ordinal of its first sample in the record
  uint32_t sample_count = 0;  // at least 1
  IdColumn ids;
  TimestampColumn timestamps;
  const double* values = nullptr;  // sample_count of them, 8-byte aligned
};

class BatchView {
 public:
  // Reads the body of a kBatch record. Costs some ns a section, none a sample.
  // Errors: DataLoss - what is wrong, at which byte of the body. InvalidArgument - the body does
  // not start at an address divisible by 8.
  static StatusOr<BatchView> Parse(Bytes body);

  TenantId tenant() const { return {header_.tenant}; }
  BranchId branch() const { return {header_.branch}; }
  std::optional<ExactlyOnce> exactly_once() const;
  uint32_t section_count() const { return header_.section_count; }
  // Rejected samples included.
  uint32_t sample_count() const { return header_.sample_count; }
  std::span<const RejectedRange> rejected() const { return rejected_; }
  uint64_t rejected_samples() const;

  // Walks the sections in order.
  class Sections {
   public:
    // The next section; false at the end.
    bool Next(SectionView* section);

   private:
    friend class BatchView;
    explicit Sections(const BatchView& batch)
        : at_(batch.sections_), left_(batch.header_.section_count) {}
    const std::byte* at_;
    uint32_t left_;
    uint32_t first_sample_ = 0;
    IdColumn row_ids_;
  };
  Sections sections() const { return Sections(*this); }

 private:
  BatchHeader header_ = {};
  const std::byte* sections_ = nullptr;
  std::span<const RejectedRange> rejected_;
};

// Calls visit(section, first, count) for every longest run of samples of one section that are not
// rejected, in order; `first` counts from the section's first sample.
template <typename Visit>
void VisitAccepted(const BatchView& batch, Visit&& visit) {
  std::span<const RejectedRange> rejected = batch.rejected();
  BatchView::Sections sections = batch.sections();
  SectionView section;
  size_t next = 0;
  while (sections.Next(&section)) {
    uint64_t at = section.first_sample;
    const uint64_t end = at + section.sample_count;
    while (at < end) {
      while (next < rejected.size() &&
             uint64_t{rejected[next].first} + rejected[next].count <= at) {
        next++;
      }
      if (next == rejected.size() || rejected[next].first >= end) {
        visit(section, at - section.first_sample, end - at);
        break;
      }
      if (rejected[next].first > at) {
        visit(section, at - section.first_sample, rejected[next].first - at);
      }
      at = uint64_t{rejected[next].first} + rejected[next].count;
    }
  }
}

}  // namespace nexus::batch

#endif  // NEXUS_BATCH_BATCH_H_
