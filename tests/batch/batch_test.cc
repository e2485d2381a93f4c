// Batch records: what is added comes back, in order and bit for bit; what is damaged is refused.

#include "batch/batch.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "batch/batch_encoder.h"

namespace nexus::batch {
namespace {

constexpr int64_t kFirstTimestamp = std::numeric_limits<int64_t>::min();
constexpr int64_t kLastTimestamp = std::numeric_limits<int64_t>::max();

// A sample by its bits, so that NaNs compare.
struct Written {
  uint64_t series = 0;
  int64_t timestamp = 0;
  uint64_t bits = 0;
  bool operator==(const Written&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const Written& w) {
    return out << w.series << "@" << w.timestamp << "=" << std::hex << w.bits << std::dec;
  }
};

SeriesSample ToSample(const Written& written) {
  return {{written.series}, written.timestamp, std::bit_cast<double>(written.bits)};
}

std::vector<Written> Accepted(const BatchView& batch) {
  std::vector<Written> samples;
  VisitAccepted(batch, [&](const SectionView& section, size_t first, size_t count) {
    std::vector<int64_t> timestamps(count);
    section.timestamps.Decode(first, count, timestamps.data());
    for (size_t i = first; i < first + count; i++) {
      EXPECT_EQ(section.timestamps[i], timestamps[i - first]);
      samples.push_back({section.ids[i].value, section.timestamps[i],
                         std::bit_cast<uint64_t>(section.values[i])});
    }
  });
  return samples;
}

std::vector<SectionView> SectionsOf(const BatchView& batch) {
  std::vector<SectionView> list;
  BatchView::Sections sections = batch.sections();
  for (SectionView section; sections.Next(&section);) list.push_back(section);
  return list;
}

BatchView Parsed(BatchEncoder* encoder) {
  StatusOr<BatchView> batch = BatchView::Parse(encoder->Finish());
  EXPECT_TRUE(batch.ok()) << batch.status();
  return batch.ok() ? *batch : BatchView();
}

// The bytes of a body, 8-byte aligned, to be changed.
class Body {
 public:
  explicit Body(Bytes bytes) : words_(bytes.size() / 8 + 1), size_(bytes.size()) {
    std::memcpy(words_.data(), bytes.data(), bytes.size());
  }
  template <typename T>
  Body& Set(size_t at, T value) {
    StoreUnaligned(reinterpret_cast<std::byte*>(words_.data()) + at, value);
    return *this;
  }
  Bytes bytes() const { return Prefix(size_); }
  Bytes Prefix(size_t size) const {
    return {reinterpret_cast<const std::byte*>(words_.data()), size};
  }
  std::string Error() const { return std::string(BatchView::Parse(bytes()).status().message()); }

 private:
  std::vector<uint64_t> words_;
  size_t size_;
};

TEST(BatchRecord, RowKeepsItsColumns) {
  BatchEncoder encoder(TenantId{3}, BranchId{4});
  std::vector<SeriesId> ids = {{10}, {7}, {900}};
  std::vector<double> values = {1.5, -0.0, std::bit_cast<double>(0x7ff4dead0000beefull)};
  encoder.AddRow(-5, ids, values);
  BatchView batch = Parsed(&encoder);
  EXPECT_EQ(batch.tenant(), TenantId{3});
  EXPECT_EQ(batch.branch(), BranchId{4});
  EXPECT_EQ(batch.sample_count(), 3u);
  EXPECT_FALSE(batch.exactly_once().has_value());
  std::vector<SectionView> sections = SectionsOf(batch);
  ASSERT_EQ(sections.size(), 1u);
  EXPECT_EQ(sections[0].kind, SectionKind::kRow);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(sections[0].values) % 8, 0u);
  EXPECT_EQ(std::memcmp(sections[0].values, values.data(), 24), 0);
  EXPECT_EQ(Accepted(batch), (std::vector<Written>{{10, -5, std::bit_cast<uint64_t>(1.5)},
                                                   {7, -5, 0x8000000000000000ull},
                                                   {900, -5, 0x7ff4dead0000beefull}}));
}

TEST(BatchRecord, RowsThatRepeatTheirIdsStoreThemOnce) {
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  std::vector<SeriesId> ids;
  for (uint64_t i = 0; i < 100; i++) ids.push_back({1000 + 3 * i});
  std::vector<double> values(100, 2.5);
  encoder.AddRow(1, ids, values);
  uint64_t one_row = encoder.bytes();
  encoder.AddRow(2, ids, values);
  EXPECT_EQ(encoder.bytes() - one_row, sizeof(SectionHeader) + 100 * 8);
  ids[99].value++;
  encoder.AddRow(3, ids, values);
  BatchView batch = Parsed(&encoder);
  std::vector<SectionView> sections = SectionsOf(batch);
  ASSERT_EQ(sections.size(), 3u);
  EXPECT_FALSE(sections[0].ids_as_previous_row);
  EXPECT_TRUE(sections[1].ids_as_previous_row);
  EXPECT_FALSE(sections[2].ids_as_previous_row);
  EXPECT_EQ(sections[1].ids[99].value, 1297u);
  EXPECT_EQ(sections[2].ids[99].value, 1298u);
}

TEST(BatchRecord, IdsBeyond32BitsOfEachOtherAreStoredWhole) {
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  std::vector<SeriesId> near = {{(7ull << 32) + 1}, {(7ull << 32) + 0xffffffffu}};
  std::vector<SeriesId> far = {{1}, {std::numeric_limits<uint64_t>::max()}};
  std::vector<double> values = {1, 2};
  encoder.AddRow(1, near, values);
  encoder.AddRow(2, far, values);
  encoder.AddRow(3, far, values);
  BatchView batch = Parsed(&encoder);
  std::vector<SectionView> sections = SectionsOf(batch);
  EXPECT_EQ(sections[0].ids.coding(), IdCoding::kOffsets32);
  EXPECT_EQ(sections[0].ids[1], near[1]);
  EXPECT_EQ(sections[1].ids.coding(), IdCoding::kIds64);
  EXPECT_EQ(sections[1].ids[1], far[1]);
  EXPECT_TRUE(sections[2].ids_as_previous_row);
  EXPECT_EQ(sections[2].ids[1], far[1]);
}

TEST(BatchRecord, TimestampsTakeTheLargestUnitThatFits) {
  struct Case {
    std::vector<int64_t> timestamps;
    TimestampCoding coding;
    size_t column_bytes;
  };
  const std::vector<Case> cases = {
      {{0, 1'000'000'000, -7'000'000'000}, TimestampCoding::kMultiples32, 16},
      {{5, 5 + 3'000'000, 5}, TimestampCoding::kMultiples32, 16},
      {{7, 8, 9}, TimestampCoding::kMultiples32, 16},
      {{kFirstTimestamp, kFirstTimestamp + 1'000, kFirstTimestamp},
       TimestampCoding::kMultiples32,
       16},
      {{0, 1, 1ll << 40}, TimestampCoding::kTimes64, 24},
      {{kFirstTimestamp, kLastTimestamp, 0}, TimestampCoding::kTimes64, 24},
  };
  for (const Case& c : cases) {
    BatchEncoder encoder(TenantId{0}, BranchId{0});
    std::vector<double> values(c.timestamps.size(), 1);
    encoder.AddSeries(SeriesId{9}, c.timestamps, values);
    EXPECT_EQ(encoder.bytes(),
              sizeof(BatchHeader) + sizeof(SectionHeader) + c.column_bytes + 8 * values.size());
    BatchView batch = Parsed(&encoder);
    SectionView section = SectionsOf(batch)[0];
    EXPECT_EQ(section.timestamps.coding(), c.coding);
    for (size_t i = 0; i < values.size(); i++) {
      EXPECT_EQ(section.timestamps[i], c.timestamps[i]);
      EXPECT_EQ(section.ids[i], SeriesId{9});
    }
  }
}

TEST(BatchRecord, SamplesOfOneInstantBecomeRows) {
  std::vector<SeriesSample> samples;
  for (int64_t t = 0; t < 3; t++) {
    for (uint64_t id = 1; id <= 20; id++) samples.push_back({{id}, t * 10, 0.5});
  }
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  encoder.Add(samples);
  BatchView batch = Parsed(&encoder);
  std::vector<SectionView> sections = SectionsOf(batch);
  ASSERT_EQ(sections.size(), 3u);
  for (const SectionView& section : sections) EXPECT_EQ(section.kind, SectionKind::kRow);
  EXPECT_TRUE(sections[2].ids_as_previous_row);
}

TEST(BatchRecord, SamplesOfOneSeriesBecomeSeries) {
  std::vector<SeriesSample> samples;
  for (uint64_t id = 1; id <= 3; id++) {
    for (int64_t t = 0; t < 20; t++) samples.push_back({{id}, t * 10, 0.5});
  }
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  encoder.Add(samples);
  BatchView batch = Parsed(&encoder);
  std::vector<SectionView> sections = SectionsOf(batch);
  ASSERT_EQ(sections.size(), 3u);
  for (const SectionView& section : sections) EXPECT_EQ(section.kind, SectionKind::kSeries);
}

TEST(BatchRecord, ShortRunsStayLooseTogether) {
  std::vector<SeriesSample> samples;
  for (uint64_t i = 0; i < 50; i++) samples.push_back({{1 + i % 3}, static_cast<int64_t>(i), 1});
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  encoder.Add(samples);
  BatchView batch = Parsed(&encoder);
  std::vector<SectionView> sections = SectionsOf(batch);
  ASSERT_EQ(sections.size(), 1u);
  EXPECT_EQ(sections[0].kind, SectionKind::kLoose);
  EXPECT_EQ(sections[0].sample_count, 50u);
}

TEST(BatchRecord, TheTripleComesBack) {
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  encoder.SetExactlyOnce({1, 2, 3, 4});
  BatchView batch = Parsed(&encoder);
  EXPECT_EQ(batch.exactly_once(), (ExactlyOnce{1, 2, 3, 4}));
  EXPECT_EQ(batch.sample_count(), 0u);
  encoder.Reset(TenantId{0}, BranchId{0});
  EXPECT_FALSE(Parsed(&encoder).exactly_once().has_value());
}

TEST(BatchRecord, RejectedSamplesAreSkipped) {
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  std::vector<SeriesId> ids = {{1}, {2}, {3}};
  std::vector<double> values = {1, 2, 3};
  for (int64_t t = 0; t < 4; t++) encoder.AddRow(t, ids, values);  // samples 0..11
  encoder.Reject(1, 1);
  encoder.Reject(2, 2);  // joins the one before; crosses into the second row
  encoder.Reject(5, 5);  // the end of the second row, the third whole, one of the fourth
  BatchView batch = Parsed(&encoder);
  EXPECT_EQ(batch.rejected().size(), 2u);
  EXPECT_EQ(batch.rejected_samples(), 8u);
  std::vector<std::pair<uint64_t, int64_t>> left;
  for (const Written& w : Accepted(batch)) left.push_back({w.series, w.timestamp});
  EXPECT_EQ(left, (std::vector<std::pair<uint64_t, int64_t>>{{1, 0}, {2, 1}, {2, 3}, {3, 3}}));
}

TEST(BatchRecord, MoreCanBeAddedAfterFinish) {
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  std::vector<SeriesId> ids = {{1}, {2}};
  std::vector<double> values = {1, 2};
  encoder.AddRow(1, ids, values);
  encoder.Reject(0, 1);
  Bytes first = encoder.Finish();
  EXPECT_EQ(first.size(), encoder.bytes());
  EXPECT_EQ(Accepted(Parsed(&encoder)).size(), 1u);
  encoder.AddRow(2, ids, values);
  EXPECT_EQ(Accepted(Parsed(&encoder)).size(), 3u);
}

// The worked example of docs/format/record.md.
TEST(BatchRecord, BytesAreAsDocumented) {
  BatchEncoder encoder(TenantId{1}, BranchId{2});
  std::vector<SeriesId> ids = {{5}, {6}, {9}};
  std::vector<double> values = {1, 2, -0.0};
  encoder.AddRow(1'000'000'000, ids, values);
  encoder.Reject(1, 1);
  Bytes body = encoder.Finish();
  std::string hex;
  for (std::byte b : body) fmt::format_to(std::back_inserter(hex), "{:02x}", static_cast<int>(b));
  EXPECT_EQ(hex,
            "01000000"
            "02000000"
            "00000000"
            "01000000"
            "03000000"
            "01000000"
            "0000000000000000"
            "0000000000000000"
            "0000000000000000"
            "0000000000000000"
            "0000000000000000"
            "01"
            "02"
            "01"
            "00"
            "03000000"
            "0000000000000000"
            "00ca9a3b00000000"
            "0000000000000000"
            "05000000"
            "06000000"
            "09000000"
            "00000000"
            "000000000000f03f"
            "0000000000000040"
            "0000000000000080"
            "01000000"
            "01000000");
}

TEST(BatchRecord, EveryPrefixIsRefused) {
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  std::vector<SeriesId> ids = {{1}, {2}, {3}};
  std::vector<int64_t> timestamps = {1, 2, 3};
  std::vector<double> values = {1, 2, 3};
  encoder.AddRow(1, ids, values);
  encoder.AddSeries(SeriesId{4}, timestamps, values);
  encoder.Add(std::vector<SeriesSample>{{{1}, 5, 1}, {{2}, 1ll << 60, 2}});
  encoder.Reject(1, 1);
  Body body(encoder.Finish());
  for (size_t size = 0; size < body.bytes().size(); size++) {
    Status status = BatchView::Parse(body.Prefix(size)).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << size << ": " << status;
  }
  EXPECT_TRUE(BatchView::Parse(body.bytes()).ok());
}

TEST(BatchRecord, EachDamagedFieldIsNamed) {
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  std::vector<SeriesId> ids = {{1}, {2}, {3}};
  std::vector<double> values = {1, 2, 3};
  encoder.AddRow(1, ids, values);  // section at 64, ids at 96, values at 112
  encoder.AddRow(2, ids, values);  // section at 136
  encoder.Reject(1, 1);            // at 192
  const Body good(encoder.Finish());
  ASSERT_EQ(good.Error(), "");
  auto error = [&](size_t at, auto value) { return Body(good.bytes()).Set(at, value).Error(); };
  EXPECT_NE(error(8, uint32_t{2}).find("unknown flag"), std::string::npos);
  EXPECT_NE(error(12, uint32_t{1}).find("belong to no section"), std::string::npos);
  EXPECT_NE(error(12, uint32_t{3}).find("cut section header"), std::string::npos);
  EXPECT_NE(error(16, uint32_t{7}).find("sample count"), std::string::npos);
  EXPECT_NE(error(20, ~uint32_t{0}).find("rejected ranges"), std::string::npos);
  EXPECT_NE(error(24, uint64_t{1}).find("triple"), std::string::npos);
  EXPECT_NE(error(56, uint64_t{1}).find("reserved"), std::string::npos);
  EXPECT_NE(error(64, uint8_t{9}).find("unknown section kind"), std::string::npos);
  EXPECT_NE(error(65, uint8_t{4}).find("repeats the ids"), std::string::npos);
  EXPECT_NE(error(66, uint8_t{2}).find("unknown section kind or coding"), std::string::npos);
  EXPECT_NE(error(67, uint8_t{1}).find("unused field"), std::string::npos);
  EXPECT_NE(error(68, uint32_t{0}).find("without samples"), std::string::npos);
  EXPECT_NE(error(68, ~uint32_t{0}).find("longer than the body"), std::string::npos);
  EXPECT_NE(error(88, uint64_t{1}).find("unused field"), std::string::npos);
  EXPECT_NE(error(108, uint8_t{1}).find("padding"), std::string::npos);
  EXPECT_NE(error(144, uint64_t{1}).find("unused field"), std::string::npos);
  EXPECT_NE(error(192, uint32_t{6}).find("rejected ranges"), std::string::npos);
  EXPECT_NE(error(196, uint32_t{0}).find("rejected ranges"), std::string::npos);
  EXPECT_NE(error(196, ~uint32_t{0}).find("rejected ranges"), std::string::npos);
}

TEST(BatchRecord, AMisalignedBodyIsRefused) {
  BatchEncoder encoder(TenantId{0}, BranchId{0});
  std::vector<uint64_t> words(20);
  Bytes body = encoder.Finish();
  std::byte* shifted = reinterpret_cast<std::byte*>(words.data()) + 4;
  std::memcpy(shifted, body.data(), body.size());
  EXPECT_TRUE(absl::IsInvalidArgument(BatchView::Parse({shifted, body.size()}).status()));
}

// Few series and instants, so that runs of both kinds arise; any bits as values.
rc::Gen<std::vector<Written>> ArbitrarySamples() {
  auto timestamp = rc::gen::oneOf(rc::gen::inRange<int64_t>(0, 4), rc::gen::arbitrary<int64_t>(),
                                  rc::gen::element(kFirstTimestamp, kLastTimestamp));
  auto series = rc::gen::oneOf(rc::gen::inRange<uint64_t>(1, 5), rc::gen::arbitrary<uint64_t>());
  auto run = rc::gen::mapcat(
      rc::gen::tuple(rc::gen::inRange(0, 3), rc::gen::inRange<size_t>(1, 30), timestamp, series),
      [=](const std::tuple<int, size_t, int64_t, uint64_t>& shape) {
        auto [kind, length, ts, id] = shape;
        auto of_kind = rc::gen::build<Written>(
            rc::gen::set(&Written::series, kind == 1 ? rc::gen::just(id) : series),
            rc::gen::set(&Written::timestamp, kind == 2 ? rc::gen::just(ts) : timestamp),
            rc::gen::set(&Written::bits));
        return rc::gen::container<std::vector<Written>>(length, of_kind);
      });
  return rc::gen::map(rc::gen::container<std::vector<std::vector<Written>>>(run),
                      [](const std::vector<std::vector<Written>>& runs) {
                        std::vector<Written> all;
                        for (const auto& r : runs) all.insert(all.end(), r.begin(), r.end());
                        return all;
                      });
}

RC_GTEST_PROP(BatchRecordProperty, WhatIsAddedComesBackInOrder, ()) {
  std::vector<Written> samples = *ArbitrarySamples();
  std::vector<SeriesSample> given;
  for (const Written& w : samples) given.push_back(ToSample(w));
  BatchEncoder encoder(TenantId{1}, BranchId{1});
  size_t cut = samples.empty() ? 0 : *rc::gen::inRange<size_t>(0, samples.size());
  encoder.Add(std::span(given).first(cut));
  encoder.Add(std::span(given).subspan(cut));
  StatusOr<BatchView> batch = BatchView::Parse(encoder.Finish());
  RC_ASSERT(batch.ok());
  RC_ASSERT(batch->sample_count() == samples.size());
  RC_ASSERT(Accepted(*batch) == samples);
}

RC_GTEST_PROP(BatchRecordProperty, ExactlyTheRejectedAreSkipped, ()) {
  std::vector<Written> samples = *ArbitrarySamples();
  std::vector<SeriesSample> given;
  for (const Written& w : samples) given.push_back(ToSample(w));
  BatchEncoder encoder(TenantId{1}, BranchId{1});
  encoder.Add(given);
  std::vector<Written> kept;
  for (uint32_t i = 0; i < samples.size(); i++) {
    if (*rc::gen::inRange(0, 3) == 0) {
      encoder.Reject(i, 1);
    } else {
      kept.push_back(samples[i]);
    }
  }
  StatusOr<BatchView> batch = BatchView::Parse(encoder.Finish());
  RC_ASSERT(batch.ok());
  RC_ASSERT(Accepted(*batch) == kept);
}

}  // namespace
}  // namespace nexus::batch
