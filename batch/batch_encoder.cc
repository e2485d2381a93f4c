// Writing batch records. See batch_encoder.h.

#include "batch/batch_encoder.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/check.h"

namespace nexus::batch {
namespace {

// Shorter runs stay loose. A row saves the 4 bytes of each timestamp, a series those of each id,
// for a header of 32.
constexpr size_t kRowSamplesMin = 8;
constexpr size_t kSeriesSamplesMin = 8;

constexpr size_t kFirstCapacityBytes = 4096;

std::byte* BytesOf(const std::unique_ptr<uint64_t[]>& words) {
  return reinterpret_cast<std::byte*>(words.get());
}

// The length of the run of one instant that `samples` starts with. It ends before a sample of its
// first series, which begins the next row.
size_t RowRun(std::span<const SeriesSample> samples) {
  size_t n = 1;
  while (n < samples.size() && samples[n].timestamp == samples[0].timestamp &&
         samples[n].series != samples[0].series) {
    n++;
  }
  return n;
}

size_t SeriesRun(std::span<const SeriesSample> samples) {
  size_t n = 1;
  while (n < samples.size() && samples[n].series == samples[0].series) n++;
  return n;
}

// Writes the timestamps as multiples of `kUnit` from `base`; false if they are none, or too large.
template <int64_t kUnit, typename TimestampAt>
bool WriteMultiples(size_t count, TimestampAt timestamp_at, int64_t base, int32_t* out) {
  for (size_t i = 0; i < count; i++) {
    auto distance =
        static_cast<int64_t>(static_cast<uint64_t>(timestamp_at(i)) - static_cast<uint64_t>(base));
    int64_t multiple = distance / kUnit;
    if (multiple * kUnit != distance || multiple < std::numeric_limits<int32_t>::min() ||
        multiple > std::numeric_limits<int32_t>::max()) {
      return false;
    }
    out[i] = static_cast<int32_t>(multiple);
  }
  return true;
}

}  // namespace

BatchEncoder::BatchEncoder(TenantId tenant, BranchId branch) { Reset(tenant, branch); }

void BatchEncoder::Reset(TenantId tenant, BranchId branch) {
  header_ = {};
  header_.tenant = tenant.value;
  header_.branch = branch.value;
  previous_row_ = {};
  rejected_.clear();
  size_ = 0;
  Extend(sizeof(BatchHeader));
}

void BatchEncoder::SetTarget(TenantId tenant, BranchId branch) {
  header_.tenant = tenant.value;
  header_.branch = branch.value;
}

void BatchEncoder::SetExactlyOnce(const ExactlyOnce& triple) {
  header_.flags |= kBatchHasTriple;
  header_.producer_high = triple.producer_high;
  header_.producer_low = triple.producer_low;
  header_.epoch = triple.epoch;
  header_.sequence = triple.sequence;
}

// Room for `bytes` more, rounded up to the alignment with zeros. Addresses given before are void.
std::byte* BatchEncoder::Extend(size_t bytes) {
  size_t padded = AlignUp(bytes, kRecordAlignment);
  if (size_ + padded > capacity_) {
    size_t capacity =
        AlignUp(std::max({size_ + padded, capacity_ * 2, kFirstCapacityBytes}), kRecordAlignment);
    auto words = std::make_unique_for_overwrite<uint64_t[]>(capacity / sizeof(uint64_t));
    if (size_ > 0) std::memcpy(words.get(), words_.get(), size_);
    words_ = std::move(words);
    capacity_ = capacity;
  }
  std::byte* at = BytesOf(words_) + size_;
  std::memset(at + bytes, 0, padded - bytes);
  size_ += padded;
  return at;
}

SectionHeader* BatchEncoder::SectionAt(size_t offset) {
  return reinterpret_cast<SectionHeader*>(BytesOf(words_) + offset);
}

// Appends a section header; returns its offset.
size_t BatchEncoder::BeginSection(SectionKind kind, size_t sample_count) {
  NEXUS_CHECK(sample_count <= std::numeric_limits<uint32_t>::max() - header_.sample_count);
  size_t offset = size_;
  Extend(sizeof(SectionHeader));
  SectionHeader section = {};
  section.kind = static_cast<uint8_t>(kind);
  section.sample_count = static_cast<uint32_t>(sample_count);
  *SectionAt(offset) = section;
  header_.section_count++;
  header_.sample_count += section.sample_count;
  return offset;
}

template <typename IdAt>
bool BatchEncoder::RepeatsPreviousRow(size_t count, IdAt id_at) const {
  if (previous_row_.sample_count != count) return false;
  const std::byte* column = BytesOf(words_) + previous_row_.column;
  const uint64_t base = previous_row_.base;
  uint64_t difference = 0;
  if (previous_row_.coding == IdCoding::kOffsets32) {
    const auto* offsets = reinterpret_cast<const uint32_t*>(column);
    if (base + offsets[0] != id_at(0)) return false;
    for (size_t i = 0; i < count; i++) difference |= (base + offsets[i]) ^ id_at(i);
  } else {
    const auto* ids = reinterpret_cast<const uint64_t*>(column);
    if (ids[0] != id_at(0)) return false;
    for (size_t i = 0; i < count; i++) difference |= ids[i] ^ id_at(i);
  }
  return difference == 0;
}

// Offsets are taken from the multiple of 2^32 below the ids: then the same series always have the
// same bytes, whatever else is in their section, and the memtable knows them again.
template <typename IdAt>
void BatchEncoder::AppendIds(size_t section, size_t count, IdAt id_at) {
  const size_t column = size_;
  const uint64_t base = id_at(0) & ~uint64_t{std::numeric_limits<uint32_t>::max()};
  auto* offsets = reinterpret_cast<uint32_t*>(Extend(sizeof(uint32_t) * count));
  uint64_t high = 0;
  for (size_t i = 0; i < count; i++) {
    uint64_t id = id_at(i);
    high |= id ^ base;
    offsets[i] = static_cast<uint32_t>(id);
  }
  if (high <= std::numeric_limits<uint32_t>::max()) {
    SectionAt(section)->id_coding = static_cast<uint8_t>(IdCoding::kOffsets32);
    SectionAt(section)->id_base = base;
    return;
  }
  size_ = column;
  auto* ids = reinterpret_cast<uint64_t*>(Extend(sizeof(uint64_t) * count));
  for (size_t i = 0; i < count; i++) ids[i] = id_at(i);
  SectionAt(section)->id_coding = static_cast<uint8_t>(IdCoding::kIds64);
}

template <typename IdAt>
void BatchEncoder::AppendRowIds(size_t section, size_t count, IdAt id_at) {
  if (RepeatsPreviousRow(count, id_at)) {
    SectionAt(section)->id_coding = static_cast<uint8_t>(IdCoding::kAsPreviousRow);
    return;
  }
  previous_row_.column = size_;
  AppendIds(section, count, id_at);
  previous_row_.sample_count = static_cast<uint32_t>(count);
  previous_row_.coding = static_cast<IdCoding>(SectionAt(section)->id_coding);
  previous_row_.base = SectionAt(section)->id_base;
}

// Tries whole seconds, milliseconds, microseconds and nanoseconds from the first timestamp.
template <typename TimestampAt>
void BatchEncoder::AppendTimestamps(size_t section, size_t count, TimestampAt timestamp_at) {
  const size_t column = size_;
  const int64_t base = timestamp_at(0);
  auto* multiples = reinterpret_cast<int32_t*>(Extend(sizeof(int32_t) * count));
  int64_t unit = 0;
  if (WriteMultiples<1'000'000'000>(count, timestamp_at, base, multiples)) {
    unit = 1'000'000'000;
  } else if (WriteMultiples<1'000'000>(count, timestamp_at, base, multiples)) {
    unit = 1'000'000;
  } else if (WriteMultiples<1'000>(count, timestamp_at, base, multiples)) {
    unit = 1'000;
  } else if (WriteMultiples<1>(count, timestamp_at, base, multiples)) {
    unit = 1;
  }
  if (unit != 0) {
    SectionAt(section)->timestamp_coding = static_cast<uint8_t>(TimestampCoding::kMultiples32);
    SectionAt(section)->timestamp_base = base;
    SectionAt(section)->timestamp_unit = unit;
    return;
  }
  size_ = column;
  auto* times = reinterpret_cast<int64_t*>(Extend(sizeof(int64_t) * count));
  for (size_t i = 0; i < count; i++) times[i] = timestamp_at(i);
  SectionAt(section)->timestamp_coding = static_cast<uint8_t>(TimestampCoding::kTimes64);
}

void BatchEncoder::AppendValues(std::span<const SeriesSample> samples) {
  auto* values = reinterpret_cast<double*>(Extend(sizeof(double) * samples.size()));
  for (size_t i = 0; i < samples.size(); i++) values[i] = samples[i].value;
}

void BatchEncoder::AddRow(int64_t timestamp, std::span<const SeriesId> series,
                          std::span<const double> values) {
  NEXUS_CHECK(series.size() == values.size());
  if (series.empty()) return;
  size_t section = BeginSection(SectionKind::kRow, series.size());
  SectionAt(section)->timestamp_coding = static_cast<uint8_t>(TimestampCoding::kOne);
  SectionAt(section)->timestamp_base = timestamp;
  AppendRowIds(section, series.size(), [series](size_t i) { return series.data()[i].value; });
  std::memcpy(Extend(values.size_bytes()), values.data(), values.size_bytes());
}

void BatchEncoder::AppendRow(std::span<const SeriesSample> samples) {
  size_t section = BeginSection(SectionKind::kRow, samples.size());
  SectionAt(section)->timestamp_coding = static_cast<uint8_t>(TimestampCoding::kOne);
  SectionAt(section)->timestamp_base = samples[0].timestamp;
  AppendRowIds(section, samples.size(),
               [samples](size_t i) { return samples.data()[i].series.value; });
  AppendValues(samples);
}

void BatchEncoder::AddSeries(SeriesId series, std::span<const int64_t> timestamps,
                             std::span<const double> values) {
  NEXUS_CHECK(timestamps.size() == values.size());
  if (timestamps.empty()) return;
  size_t section = BeginSection(SectionKind::kSeries, timestamps.size());
  SectionAt(section)->id_coding = static_cast<uint8_t>(IdCoding::kOne);
  SectionAt(section)->id_base = series.value;
  AppendTimestamps(section, timestamps.size(),
                   [timestamps](size_t i) { return timestamps.data()[i]; });
  std::memcpy(Extend(values.size_bytes()), values.data(), values.size_bytes());
}

void BatchEncoder::AppendSeries(std::span<const SeriesSample> samples) {
  size_t section = BeginSection(SectionKind::kSeries, samples.size());
  SectionAt(section)->id_coding = static_cast<uint8_t>(IdCoding::kOne);
  SectionAt(section)->id_base = samples[0].series.value;
  AppendTimestamps(section, samples.size(),
                   [samples](size_t i) { return samples.data()[i].timestamp; });
  AppendValues(samples);
}

void BatchEncoder::AppendLoose(std::span<const SeriesSample> samples) {
  if (samples.empty()) return;
  size_t section = BeginSection(SectionKind::kLoose, samples.size());
  AppendIds(section, samples.size(),
            [samples](size_t i) { return samples.data()[i].series.value; });
  AppendTimestamps(section, samples.size(),
                   [samples](size_t i) { return samples.data()[i].timestamp; });
  AppendValues(samples);
}

void BatchEncoder::Add(std::span<const SeriesSample> samples) {
  size_t loose = 0;  // samples [loose, at) are in no section yet
  size_t at = 0;
  while (at < samples.size()) {
    std::span<const SeriesSample> rest = samples.subspan(at);
    size_t row = RowRun(rest);
    size_t series = row > 1 ? 1 : SeriesRun(rest);
    if (row >= kRowSamplesMin) {
      AppendLoose(samples.subspan(loose, at - loose));
      AppendRow(rest.first(row));
      loose = at + row;
    } else if (series >= kSeriesSamplesMin) {
      AppendLoose(samples.subspan(loose, at - loose));
      AppendSeries(rest.first(series));
      loose = at + series;
    }
    at += std::max(row, series);
  }
  AppendLoose(samples.subspan(loose));
}

void BatchEncoder::Reject(uint32_t first, uint32_t count) {
  if (count == 0) return;
  uint64_t free_from =
      rejected_.empty() ? 0 : uint64_t{rejected_.back().first} + rejected_.back().count;
  NEXUS_CHECK(first >= free_from);
  NEXUS_CHECK(uint64_t{first} + count <= header_.sample_count);
  if (!rejected_.empty() && first == free_from) {
    rejected_.back().count += count;
  } else {
    rejected_.push_back({first, count});
  }
}

Bytes BatchEncoder::Finish() {
  header_.rejected_count = static_cast<uint32_t>(rejected_.size());
  const size_t sections_end = size_;
  std::span<const std::byte> ranges = std::as_bytes(std::span(rejected_));
  std::byte* at = Extend(ranges.size());
  if (!ranges.empty()) std::memcpy(at, ranges.data(), ranges.size());
  Bytes body(BytesOf(words_), size_);
  size_ = sections_end;  // what is added next overwrites the ranges
  std::memcpy(BytesOf(words_), &header_, sizeof(header_));
  return body;
}

}  // namespace nexus::batch
