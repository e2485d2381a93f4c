// BatchEncoder: writes the body of a batch record.
//
// Rows and series are copied column by column; loose samples are grouped in one pass into the
// sections that fit them. Later samples are later writes, in the order of the calls and within
// each call: grouping never reorders. Nothing fails: the caller bounds bytes() by what a record may
// hold (16 MiB). Threading: one thread at a time; encoders are independent, producers encode in
// parallel.
// Format: docs/format/record.md, format.h.

#ifndef NEXUS_BATCH_BATCH_ENCODER_H_
#define NEXUS_BATCH_BATCH_ENCODER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/types.h"
#include "batch/batch.h"
#include "batch/format.h"

namespace nexus::batch {

struct SeriesSample {
  SeriesId series;
  int64_t timestamp = 0;
  double value = 0;
};

class BatchEncoder {
 public:
  BatchEncoder(TenantId tenant, BranchId branch);
  BatchEncoder(const BatchEncoder&) = delete;
  BatchEncoder& operator=(const BatchEncoder&) = delete;

  // Starts a new batch; keeps the memory of the old one.
  void Reset(TenantId tenant, BranchId branch);
  // For batches whose tenant and branch are known only when they are appended.
  void SetTarget(TenantId tenant, BranchId branch);
  void SetExactlyOnce(const ExactlyOnce& triple);

  // Samples of one instant. The ids are stored once for rows that repeat them one after another.
  // REQUIRES: equal sizes.
  void AddRow(int64_t timestamp, std::span<const SeriesId> series, std::span<const double> values);
  // Samples of one series, in any order of time. REQUIRES: equal sizes.
  void AddSeries(SeriesId series, std::span<const int64_t> timestamps,
                 std::span<const double> values);
  // Samples in any order. Runs of one instant become rows, runs of one series become series.
  void Add(std::span<const SeriesSample> samples);

  // Marks samples [first, first + count) as rejected. REQUIRES: they were added, and lie behind
  // those marked before.
  void Reject(uint32_t first, uint32_t count);

  uint32_t sample_count() const { return header_.sample_count; }
  // Of the record's body.
  uint64_t bytes() const { return size_ + rejected_.size() * sizeof(RejectedRange); }

  // The body, 8-byte aligned; valid until the encoder changes. May be called again after more was
  // added.
  Bytes Finish();

 private:
  // The row section that a next row may repeat the ids of.
  struct PreviousRow {
    uint32_t sample_count = 0;  // 0: none
    IdCoding coding = IdCoding::kOne;
    uint64_t base = 0;
    size_t column = 0;  // offset of its ids
  };

  std::byte* Extend(size_t bytes);
  size_t BeginSection(SectionKind kind, size_t sample_count);
  template <typename IdAt>
  bool RepeatsPreviousRow(size_t count, IdAt id_at) const;
  template <typename IdAt>
  void AppendIds(size_t section, size_t count, IdAt id_at);
  template <typename TimestampAt>
  void AppendTimestamps(size_t section, size_t count, TimestampAt timestamp_at);
  template <typename IdAt>
  void AppendRowIds(size_t section, size_t count, IdAt id_at);
  void AppendRow(std::span<const SeriesSample> samples);
  void AppendSeries(std::span<const SeriesSample> samples);
  void AppendLoose(std::span<const SeriesSample> samples);
  void AppendValues(std::span<const SeriesSample> samples);
  SectionHeader* SectionAt(size_t offset);

  BatchHeader header_ = {};
  PreviousRow previous_row_;
  // Words, so that the body is 8-byte aligned; not a vector, which would clear what is about to be
  // written.
  std::unique_ptr<uint64_t[]> words_;
  size_t size_ = 0;      // bytes used
  size_t capacity_ = 0;  // bytes
  std::vector<RejectedRange> rejected_;
};

}  // namespace nexus::batch

#endif  // NEXUS_BATCH_BATCH_ENCODER_H_
