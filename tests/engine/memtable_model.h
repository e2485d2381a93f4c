// A memtable beside a model of it, and batches made at random: for the tests and the fuzzer.
//
// The model keeps every write of each series and timestamp, so that any version can be asked what
// it should hold.

#ifndef NEXUS_TESTS_ENGINE_MEMTABLE_MODEL_H_
#define NEXUS_TESTS_ENGINE_MEMTABLE_MODEL_H_

#include <algorithm>
#include <bit>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/labels.h"
#include "engine/batch.h"
#include "engine/memtable.h"
#include "engine/tombstone.h"

namespace nexus::engine {

inline constexpr int64_t kFirstTimestamp = std::numeric_limits<int64_t>::min();
inline constexpr int64_t kLastTimestamp = std::numeric_limits<int64_t>::max();

// What series number `series` is called: s{n="5",odd="1"}.
inline std::string LabelsOf(uint64_t series) {
  return Labels::Make("s", {{"n", std::to_string(series)}, {"odd", std::to_string(series % 2)}})
      ->Canonical();
}

using Samples = std::vector<std::pair<int64_t, uint64_t>>;  // timestamp, bits

// A memtable, the batches applied to it, and the limit after each.
class Table {
 public:
  explicit Table(uint32_t shapes_max = 4096, const Memtable* predecessor = nullptr)
      : pool(std::make_shared<MemtablePool>()),
        memtable(pool, MemtableOptions{shapes_max}, predecessor) {}

  void Apply(BatchEncoder* encoder) {
    StatusOr<BatchView> batch = BatchView::Parse(encoder->Finish());
    NEXUS_CHECK(batch.ok());
    memtable.Apply(*batch);
    limits.push_back(memtable.limit());
    encoder->Reset(TenantId{0}, BranchId{0});
  }
  // Deletes what the series of these numbers have in the range (LabelsOf).
  void Delete(const std::string& selector, TimeRange range) {
    catalog::TombstoneRecord record;
    record.selector = selector;
    record.range = range;
    auto tombstone = Tombstone::Make(std::move(record));
    NEXUS_CHECK(tombstone.ok());
    memtable.Delete(*tombstone);
    memtable.Publish();
    limits.push_back(memtable.limit());
  }
  void Row(int64_t timestamp, const std::vector<uint64_t>& series, double value) {
    BatchEncoder encoder(TenantId{0}, BranchId{0});
    std::vector<SeriesId> ids;
    std::vector<double> values;
    for (uint64_t id : series) {
      ids.push_back({id});
      values.push_back(value++);
    }
    encoder.AddRow(timestamp, ids, values);
    Apply(&encoder);
  }
  void One(uint64_t series, int64_t timestamp, double value) {
    BatchEncoder encoder(TenantId{0}, BranchId{0});
    encoder.Add(std::vector<SeriesSample>{{{series}, timestamp, value}});
    Apply(&encoder);
  }

  Samples Read(uint64_t series, TimeRange range, uint32_t limit) const {
    std::vector<int64_t> timestamps;
    std::vector<double> values;
    memtable.Read(SeriesId{series}, range, limit, &timestamps, &values,
                  memtable.DeletedRowsOf(LabelsOf(series), limit));
    NEXUS_CHECK(timestamps.size() == values.size());
    Samples samples;
    for (size_t i = 0; i < timestamps.size(); i++) {
      samples.push_back({timestamps[i], std::bit_cast<uint64_t>(values[i])});
    }
    return samples;
  }
  Samples Read(uint64_t series) const { return Read(series, {}, memtable.limit()); }

  std::shared_ptr<MemtablePool> pool;
  Memtable memtable;
  std::vector<uint32_t> limits = {0};  // limits[k]: of the first k batches
};

inline uint64_t Bits(double value) { return std::bit_cast<uint64_t>(value); }

inline std::vector<uint64_t> Consecutive(uint64_t first, uint64_t count) {
  std::vector<uint64_t> ids(count);
  for (uint64_t i = 0; i < count; i++) ids[i] = first + i;
  return ids;
}

// ---- Against a model.

// What was written to each series and timestamp: (batch, bits), oldest first.
using Model = std::map<uint64_t, std::map<int64_t, std::vector<std::pair<uint32_t, uint64_t>>>>;

// A delete among the batches: of all series, of odd or even ones, or of one.
struct ModelDelete {
  uint32_t number = 0;  // among the batches
  std::string selector;
  std::function<bool(uint64_t)> covers;
  TimeRange range;
};
using ModelDeletes = std::vector<ModelDelete>;

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {
    for (size_t i = 0; i < 4; i++) {
      std::vector<uint64_t> list(1 + Below(40));
      for (uint64_t& id : list) id = Id();
      lists_.push_back(list);
    }
    if (Below(4) == 0) lists_.push_back(Consecutive(1, 500 + Below(700)));
  }

  // Fills the encoder with a batch and enters what it accepts into the model.
  void Batch(uint32_t number, BatchEncoder* encoder, Model* model) {
    std::vector<SeriesSample> samples;  // in the order of the batch
    for (uint64_t parts = 1 + Below(4); parts > 0; parts--) {
      switch (Below(3)) {
        case 0:
          Row(encoder, &samples);
          break;
        case 1:
          Series(encoder, &samples);
          break;
        case 2:
          Loose(encoder, &samples);
          break;
      }
    }
    bool reject = Below(3) == 0;
    for (uint32_t i = 0; i < samples.size(); i++) {
      if (reject && Below(10) == 0) {
        encoder->Reject(i, 1);
        continue;
      }
      (*model)[samples[i].series.value][samples[i].timestamp].push_back(
          {number, Bits(samples[i].value)});
    }
  }

  // A delete in the place of a batch.
  ModelDelete Delete(uint32_t number) {
    ModelDelete made;
    made.number = number;
    made.range = {Timestamp(), Timestamp()};
    if (made.range.empty()) std::swap(made.range.first, made.range.last);
    if (Below(4) == 0) made.range = {};
    const uint64_t chosen = Id();
    switch (Below(3)) {
      case 0:
        made.selector = "{}";
        made.covers = [](uint64_t) { return true; };
        break;
      case 1:
        made.selector = "s{odd=~\"[13579]\"}";
        made.covers = [](uint64_t series) { return series % 2 == 1; };
        break;
      default:
        made.selector = "s{n=\"" + std::to_string(chosen) + "\"}";
        made.covers = [chosen](uint64_t series) { return series == chosen; };
    }
    return made;
  }

  uint64_t Below(uint64_t bound) { return random_() % bound; }

  int64_t Timestamp() {
    switch (Below(20)) {
      case 0:
        return kFirstTimestamp;
      case 1:
        return kLastTimestamp;
      case 2:
        return static_cast<int64_t>(Below(50));
      default:
        return clock_ += static_cast<int64_t>(Below(3));
    }
  }

 private:
  uint64_t Id() { return Below(8) == 0 ? random_() : 1 + Below(60); }
  double Value() { return std::bit_cast<double>(random_()); }

  void Row(BatchEncoder* encoder, std::vector<SeriesSample>* samples) {
    const std::vector<uint64_t>& list = lists_[Below(lists_.size())];
    for (uint64_t rows = 1 + Below(3); rows > 0; rows--) {
      int64_t timestamp = Timestamp();
      std::vector<SeriesId> ids;
      std::vector<double> values;
      for (uint64_t id : list) {
        ids.push_back({id});
        values.push_back(Value());
        samples->push_back({{id}, timestamp, values.back()});
      }
      encoder->AddRow(timestamp, ids, values);
    }
  }
  void Series(BatchEncoder* encoder, std::vector<SeriesSample>* samples) {
    uint64_t id = Id();
    std::vector<int64_t> timestamps(1 + Below(Below(10) == 0 ? 3000 : 30));
    std::vector<double> values;
    bool ascending = Below(2) == 0;
    for (int64_t& timestamp : timestamps) {
      timestamp = ascending ? ++clock_ : Timestamp();
      values.push_back(Value());
      samples->push_back({{id}, timestamp, values.back()});
    }
    encoder->AddSeries(SeriesId{id}, timestamps, values);
  }
  void Loose(BatchEncoder* encoder, std::vector<SeriesSample>* samples) {
    std::vector<SeriesSample> loose(1 + Below(Below(10) == 0 ? 5000 : 20));
    for (SeriesSample& sample : loose) sample = {{Id()}, Timestamp(), Value()};
    encoder->Add(loose);
    samples->insert(samples->end(), loose.begin(), loose.end());
  }

  std::mt19937_64 random_;
  std::vector<std::vector<uint64_t>> lists_;
  int64_t clock_ = 0;
};

inline Samples Expected(const Model& model, uint64_t series, TimeRange range, uint32_t batches,
                        const ModelDeletes& deletes = {}) {
  Samples samples;
  auto at = model.find(series);
  if (at == model.end()) return samples;
  for (const auto& [timestamp, writes] : at->second) {
    if (!range.Contains(timestamp)) continue;
    auto later = std::find_if(writes.begin(), writes.end(),
                              [&](const auto& write) { return write.first >= batches; });
    if (later == writes.begin()) continue;
    const auto& write = *(later - 1);
    const bool is_deleted =
        std::any_of(deletes.begin(), deletes.end(), [&](const ModelDelete& one) {
          return one.number < batches && one.number > write.first && one.covers(series) &&
                 one.range.Contains(timestamp);
        });
    if (!is_deleted) samples.push_back({timestamp, write.second});
  }
  return samples;
}

}  // namespace nexus::engine

#endif  // NEXUS_TESTS_ENGINE_MEMTABLE_MODEL_H_
