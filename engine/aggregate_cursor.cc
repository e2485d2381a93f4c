// AggregateCursor: buckets of each series, or of groups of series. See cursors.h; aggregate.h says
// what the functions mean.
//
// A series by itself streams: rows leave as its buckets end. A group is computed whole before its
// first row leaves, because its series are read one after the other; its rows count against the
// query's memory.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/labels.h"
#include "engine/aggregate.h"
#include "engine/buckets.h"
#include "engine/cursors.h"
#include "engine/merge.h"
#include "engine/query_base.h"
#include "engine/rollup_reader.h"

namespace nexus::engine {
namespace {

// A group's series in label order. Its key is its labels in canonical form; the metric is empty
// unless it is grouped by.
struct Group {
  std::string key;
  std::vector<uint32_t> series;
};

// Memory of a group and of one more series in it, generously: strings, hash slot, growth.
constexpr uint64_t kGroupBytes = 2 * sizeof(Group) + 96;
constexpr uint64_t kGroupSeriesBytes = 2 * sizeof(uint32_t);

// `by` sorted, without `__name__`.
void AppendGroupKey(std::string_view canonical, bool by_metric, const std::vector<std::string>& by,
                    std::string* key) {
  auto wanted = by.begin();
  VisitCanonical(canonical, [&](std::string_view name, std::string_view value) {
    if (name == kMetricNameLabel) {
      if (by_metric) *key += value;
      *key += '\xFF';
      return;
    }
    while (wanted != by.end() && *wanted < name) ++wanted;
    if (wanted == by.end() || *wanted != name) return;
    *key += name;
    *key += '\xFE';
    *key += value;
    *key += '\xFF';
  });
}

StatusOr<std::vector<Group>> MakeGroups(const SeriesList& series, std::vector<std::string> by,
                                        QueryGuard* guard) {
  std::sort(by.begin(), by.end());
  by.erase(std::unique(by.begin(), by.end()), by.end());
  bool by_metric = std::erase(by, kMetricNameLabel) > 0;
  std::vector<Group> groups;
  absl::flat_hash_map<std::string, size_t> numbers;
  std::string key;
  for (size_t i = 0; i < series.size(); i++) {
    key.clear();
    AppendGroupKey(series.canonical(i), by_metric, by, &key);
    auto [number, is_new] = numbers.try_emplace(key, groups.size());
    uint64_t bytes = kGroupSeriesBytes + (is_new ? kGroupBytes + 2 * key.size() : 0);
    NEXUS_RETURN_IF_ERROR(guard->Reserve(bytes, "groups"));
    if (is_new) groups.push_back({key, {}});
    groups[number->second].series.push_back(static_cast<uint32_t>(i));
  }
  std::sort(groups.begin(), groups.end(),
            [](const Group& a, const Group& b) { return a.key < b.key; });
  return groups;
}

// Cuts the pieces of one series into buckets. Calls emit(bucket, State&, samples) -> Status for
// each bucket with samples, ascending, when its last sample was seen.
template <typename State>
class Folder {
 public:
  Folder(const Buckets& buckets, QueryGuard* guard) : buckets_(buckets), guard_(guard) {}

  void Start() {
    state_ = State();
    samples_ = 0;
  }

  template <typename Emit>
  Status Add(const Piece& piece, Emit&& emit) {
    if constexpr (State::kFromStatistics) {
      if (piece.chunk != nullptr) {
        NEXUS_RETURN_IF_ERROR(Enter(piece.chunk->range.first, emit));
        state_.AddChunk(*piece.chunk);
        samples_ += piece.chunk->count;
        return OkStatus();
      }
    }
    if constexpr (!State::kRollup.empty()) {
      if (piece.bucket != nullptr) {
        NEXUS_RETURN_IF_ERROR(Enter(piece.bucket->start, emit));
        state_.AddBucket(*piece.bucket);
        samples_ += piece.bucket->count;
        return OkStatus();
      }
    }
    if constexpr (State::kBytesPerSample > 0) {
      NEXUS_RETURN_IF_ERROR(
          guard_->Reserve(piece.span.count * State::kBytesPerSample, "values of a bucket"));
    }
    for (SampleSpan left = piece.span; !left.empty();) {
      NEXUS_RETURN_IF_ERROR(Enter(left.front(), emit));
      size_t count = left.back() <= last_ ? left.count : left.CountBefore(last_ + 1);
      state_.Add(left.First(count));
      samples_ += count;
      left = left.From(count);
    }
    return OkStatus();
  }

  // Ends the series.
  template <typename Emit>
  Status Finish(Emit&& emit) {
    if (samples_ > 0) NEXUS_RETURN_IF_ERROR(emit(bucket_, state_, samples_));
    samples_ = 0;
    return OkStatus();
  }

 private:
  // Makes the bucket of `ts` the present one.
  template <typename Emit>
  Status Enter(int64_t ts, Emit&& emit) {
    if (samples_ > 0 && ts <= last_) return OkStatus();
    if (samples_ > 0) {
      NEXUS_RETURN_IF_ERROR(emit(bucket_, state_, samples_));
      state_.StartNext();
      samples_ = 0;
    }
    bucket_ = buckets_.IndexOf(ts);
    last_ = buckets_.LastOf(bucket_);
    return OkStatus();
  }

  const Buckets buckets_;
  QueryGuard* const guard_;
  State state_;
  uint64_t samples_ = 0;  // in state_'s bucket
  int64_t bucket_ = 0;
  int64_t last_ = 0;  // timestamp of the bucket
};

// The buckets of one group while its series are folded into it.
template <typename State>
class BucketTable {
 public:
  struct Row {
    int64_t bucket = 0;
    State state;
  };
  // With the vector's growth, a slot of the map at its lowest load, and the finished row.
  static constexpr uint64_t kRowBytes =
      2 * sizeof(Row) + 2 * (2 * sizeof(int64_t) + 1) + sizeof(Sample);

  Status Merge(int64_t bucket, State& state, QueryGuard* guard) {
    // Series of a group mostly have the same buckets, in the same order.
    if (hint_ < rows_.size() && rows_[hint_].bucket == bucket) {
      rows_[hint_++].state.Merge(state);
      return OkStatus();
    }
    auto [number, is_new] = numbers_.try_emplace(bucket, rows_.size());
    hint_ = number->second + 1;
    if (!is_new) {
      rows_[number->second].state.Merge(state);
      return OkStatus();
    }
    NEXUS_RETURN_IF_ERROR(guard->Reserve(kRowBytes, "buckets of a group"));
    rows_.push_back({bucket, std::move(state)});
    return OkStatus();
  }
  void StartSeries() { hint_ = 0; }
  uint64_t reserved_bytes() const { return rows_.size() * kRowBytes; }

  // All rows in ascending order.
  std::vector<Row>& Sorted() {
    std::sort(rows_.begin(), rows_.end(),
              [](const Row& a, const Row& b) { return a.bucket < b.bucket; });
    return rows_;
  }

 private:
  std::vector<Row> rows_;
  absl::flat_hash_map<int64_t, size_t> numbers_;  // bucket -> place in rows_
  size_t hint_ = 0;
};

template <typename State>
class AggregateCursor : public QueryBase {
 public:
  AggregateCursor(ReadView* view, const AggregateQuery& query)
      : QueryBase(query.select.limits, *view),
        buckets_{query.select.range, query.step_ns},
        spec_{query.function, query.percentile, buckets_.seconds()},
        grouped_(query.grouped),
        reader_(TakeSources(view, query.select.range),
                State::kRollup.empty() ? nullptr : std::move(view->rollups), buckets_,
                State::kRollup, &guard_, &statistics_),
        folder_(buckets_, &guard_) {}

  Status Prepare(SeriesIndex* index, const AggregateQuery& query) {
    NEXUS_RETURN_IF_ERROR(Resolve(index, query.select));
    if (!grouped_) return OkStatus();
    NEXUS_ASSIGN_OR_RETURN(groups_, MakeGroups(series_, query.by, &guard_));
    return OkStatus();
  }

 protected:
  StatusOr<bool> Advance(SeriesChunk* chunk) override {
    while (given_ == stamps_.size()) {
      stamps_.clear();
      values_.clear();
      given_ = 0;
      NEXUS_ASSIGN_OR_RETURN(bool more, grouped_ ? NextGroup() : NextRows());
      if (!more) return false;
    }
    if (!shown_) Show(key_);
    shown_ = true;
    size_t count = std::min(stamps_.size() - given_, kDeliveredSamplesMax);
    Fill({stamps_.data() + given_, values_.data() + given_, count}, chunk);
    given_ += count;
    return true;
  }

  // Rows are the cursor's own.
  void Drop(Sources) override {
    reader_.DropAll();
    next_ = grouped_ ? groups_.size() : series_.size();
    open_ = false;
  }

 private:
  // Computes rows of the present series until there is a chunk of them, or begins the next.
  StatusOr<bool> NextRows() {
    if (!open_) {
      if (next_ == series_.size()) return false;
      key_ = series_.canonical(next_);
      NEXUS_RETURN_IF_ERROR(OpenSeries(next_++));
      shown_ = false;
    }
    auto emit = [this](int64_t bucket, State& state, uint64_t samples) {
      AddRow(bucket, state);
      guard_.Release(samples * State::kBytesPerSample);
      return OkStatus();
    };
    while (open_ && stamps_.size() < kDeliveredSamplesMax) {
      NEXUS_RETURN_IF_ERROR(FoldPiece(emit));
    }
    return true;
  }

  // Computes all rows of the next group.
  StatusOr<bool> NextGroup() {
    if (next_ == groups_.size()) return false;
    const Group& group = groups_[next_++];
    key_ = group.key;
    shown_ = false;
    guard_.Release(group_bytes_);
    group_bytes_ = 0;
    BucketTable<State> table;
    auto emit = [&](int64_t bucket, State& state, uint64_t samples) {
      group_bytes_ += samples * State::kBytesPerSample;
      return table.Merge(bucket, state, &guard_);
    };
    for (uint32_t series : group.series) {
      table.StartSeries();
      NEXUS_RETURN_IF_ERROR(OpenSeries(series));
      while (open_) NEXUS_RETURN_IF_ERROR(FoldPiece(emit));
    }
    for (auto& row : table.Sorted()) AddRow(row.bucket, row.state);
    group_bytes_ += table.reserved_bytes();
    return true;
  }

  Status OpenSeries(size_t series) {
    NEXUS_RETURN_IF_ERROR(reader_.Open(NameOf(series)));
    folder_.Start();
    open_ = true;
    any_samples_ = false;
    return OkStatus();
  }

  template <typename Emit>
  Status FoldPiece(Emit&& emit) {
    Piece piece;
    NEXUS_ASSIGN_OR_RETURN(open_, reader_.Next(State::kFromStatistics, &piece));
    if (!open_) return folder_.Finish(emit);
    if (!any_samples_) statistics_.series++;
    any_samples_ = true;
    return folder_.Add(piece, emit);
  }

  void AddRow(int64_t bucket, State& state) {
    stamps_.push_back(buckets_.StampOf(bucket));
    values_.push_back(state.Result(spec_));
  }

  const Buckets buckets_;
  const AggregateSpec spec_;
  const bool grouped_;
  RollupReader reader_;
  Folder<State> folder_;
  std::vector<Group> groups_;
  size_t next_ = 0;           // series or group
  bool open_ = false;         // the reader is on a series
  bool any_samples_ = false;  // of that series
  std::string key_;           // canonical labels of what the rows belong to
  bool shown_ = false;        // a chunk of it was given
  std::vector<int64_t> stamps_;
  std::vector<double> values_;
  size_t given_ = 0;          // rows given
  uint64_t group_bytes_ = 0;  // reserved for the group whose rows are being given
};

Status CheckQuery(const AggregateQuery& query) {
  if (query.step_ns < 0) return InvalidArgument("step of {} ns is negative", query.step_ns);
  bool percentile = query.function == AggregateFunction::kPercentile;
  if (percentile && !(query.percentile > 0 && query.percentile <= 100)) {
    return InvalidArgument("percentile {} is not above 0 and at most 100", query.percentile);
  }
  if (!query.grouped && !query.by.empty()) {
    return InvalidArgument("labels to group by are given, but the query is not grouped");
  }
  if (query.by.size() > kLabelsMax) {
    return InvalidArgument("{} labels to group by; a series has at most {}", query.by.size(),
                           kLabelsMax);
  }
  for (const std::string& name : query.by) {
    if (name.empty()) return InvalidArgument("the name of a label to group by is empty");
  }
  return OkStatus();
}

template <typename State>
StatusOr<std::unique_ptr<Cursor>> Make(ReadView view, const AggregateQuery& query) {
  auto cursor = std::make_unique<AggregateCursor<State>>(&view, query);
  NEXUS_RETURN_IF_ERROR(cursor->Prepare(view.index.get(), query));
  return LeasedBy(view.leases, std::move(cursor));
}

}  // namespace

StatusOr<std::unique_ptr<Cursor>> MakeAggregateCursor(ReadView view, const AggregateQuery& query) {
  NEXUS_RETURN_IF_ERROR(CheckQuery(query));
  switch (query.function) {
    case AggregateFunction::kAvg:
    case AggregateFunction::kSum:
      return Make<SumState>(std::move(view), query);
    case AggregateFunction::kMin:
      return Make<ExtremeState<false>>(std::move(view), query);
    case AggregateFunction::kMax:
      return Make<ExtremeState<true>>(std::move(view), query);
    case AggregateFunction::kCount:
      return Make<CountState>(std::move(view), query);
    case AggregateFunction::kFirst:
      return Make<EdgeState<false>>(std::move(view), query);
    case AggregateFunction::kLast:
      return Make<EdgeState<true>>(std::move(view), query);
    case AggregateFunction::kRate:
      return Make<RateState>(std::move(view), query);
    case AggregateFunction::kPercentile:
      return Make<PercentileState>(std::move(view), query);
  }
  return InvalidArgument("unknown aggregate function {}", static_cast<int>(query.function));
}

}  // namespace nexus::engine
