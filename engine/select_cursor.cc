// The cursors of raw samples: SelectCursor and LatestCursor. See cursors.h.

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/cursors.h"
#include "engine/merge.h"
#include "engine/query_base.h"

namespace nexus::engine {
namespace {

// Pieces shorter than this are collected before they are delivered: a copy costs about 0.3 ns a
// sample, a delivery about 50 ns and whatever the user does once a chunk.
constexpr size_t kDeliveredInPlaceMin = 1024;

class SelectCursor : public QueryBase {
 public:
  SelectCursor(ReadView* view, const SelectQuery& query)
      : QueryBase(query.limits, *view),
        reader_(TakeSources(view, query.range), query.range, &guard_, &statistics_) {
    collected_.Reserve(kDeliveredSamplesMax);
  }

 protected:
  StatusOr<bool> Advance(SeriesChunk* chunk) override {
    size_t used = 0;
    for (;;) {
      if (pending_.empty()) {
        NEXUS_ASSIGN_OR_RETURN(bool more, NextPiece());
        if (!more && used > 0) break;
        if (!more) {
          NEXUS_ASSIGN_OR_RETURN(bool opened, NextSeries());
          if (!opened) return false;
          continue;
        }
      }
      bool in_place = pending_.count >= kDeliveredInPlaceMin;
      if (in_place && used == 0) {
        SampleSpan span = pending_.First(std::min(pending_.count, kDeliveredSamplesMax));
        pending_ = pending_.From(span.count);
        Deliver(span, chunk);
        return true;
      }
      if (in_place || used + pending_.count > kDeliveredSamplesMax) break;
      std::memcpy(collected_.timestamps() + used, pending_.timestamps,
                  pending_.count * sizeof(int64_t));
      std::memcpy(collected_.values() + used, pending_.values, pending_.count * sizeof(double));
      used += pending_.count;
      pending_ = {};
    }
    Deliver({collected_.timestamps(), collected_.values(), used}, chunk);
    return true;
  }

  void Drop(Sources which) override {
    if (which == Sources::kAll) {
      reader_.DropAll();
      next_series_ = series_.size();
      open_ = false;
      pending_ = {};
    } else {
      reader_.DropLayers();
    }
  }

 private:
  StatusOr<bool> NextSeries() {
    if (next_series_ == series_.size()) return false;
    NEXUS_RETURN_IF_ERROR(reader_.Open(NameOf(next_series_++)));
    open_ = true;
    shown_ = false;
    return true;
  }

  // Gets pending_; false at the end of the series.
  StatusOr<bool> NextPiece() {
    if (!open_) return false;
    Piece piece;
    NEXUS_ASSIGN_OR_RETURN(open_, reader_.Next(nullptr, &piece));
    pending_ = piece.span;
    return open_;
  }

  void Deliver(SampleSpan span, SeriesChunk* chunk) {
    if (!shown_) {
      Show(series_.canonical(next_series_ - 1));
      statistics_.series++;
      shown_ = true;
    }
    Fill(span, chunk);
  }

  SeriesReader reader_;
  size_t next_series_ = 0;
  bool open_ = false;   // the reader is on series next_series_ - 1
  bool shown_ = false;  // a chunk of it was delivered
  SampleSpan pending_;  // of the piece given last, not yet delivered
  SampleBuffer collected_;
};

// Newest samples by asking each source, newest first.
class LatestReader {
 public:
  explicit LatestReader(const std::vector<std::shared_ptr<const SampleSource>>& sources,
                        TimeRange range)
      : range_(range) {
    for (size_t i = sources.size(); i-- > 0;) {
      TimeRange covered = sources[i]->range();
      if (covered.empty() || !covered.Overlaps(range)) continue;
      sources_.push_back({sources[i], sources[i]->NewReader()});
    }
  }

  void Drop() { sources_.clear(); }

  StatusOr<std::optional<Sample>> Find(const SeriesName& series) {
    std::optional<Sample> best;
    for (const Source& source : sources_) {
      // An older source must be newer in time to win.
      if (best && source.source->range().last <= best->timestamp) continue;
      NEXUS_ASSIGN_OR_RETURN(std::optional<Sample> found, source.reader->Latest(series, range_));
      if (found && (!best || found->timestamp > best->timestamp)) best = found;
    }
    return best;
  }

 private:
  struct Source {
    std::shared_ptr<const SampleSource> source;
    std::unique_ptr<SourceReader> reader;
  };
  const TimeRange range_;
  std::vector<Source> sources_;  // newest in write order first
};

class LatestCursor : public QueryBase {
 public:
  LatestCursor(ReadView* view, const SelectQuery& query)
      : QueryBase(query.limits, *view), reader_(TakeSources(view, query.range), query.range) {}

 protected:
  StatusOr<bool> Advance(SeriesChunk* chunk) override {
    while (next_series_ < series_.size()) {
      NEXUS_RETURN_IF_ERROR(guard_.Check());
      size_t at = next_series_++;
      NEXUS_ASSIGN_OR_RETURN(std::optional<Sample> latest, reader_.Find(NameOf(at)));
      if (!latest) continue;
      latest_ = *latest;
      statistics_.series++;
      Show(series_.canonical(at));
      Fill({&latest_.timestamp, &latest_.value, 1}, chunk);
      return true;
    }
    return false;
  }

  // The sample that was shown is a copy.
  void Drop(Sources) override {
    reader_.Drop();
    next_series_ = series_.size();
  }

 private:
  LatestReader reader_;
  size_t next_series_ = 0;
  Sample latest_;
};

template <typename T>
StatusOr<std::unique_ptr<Cursor>> Make(ReadView view, const SelectQuery& query) {
  auto cursor = std::make_unique<T>(&view, query);
  NEXUS_RETURN_IF_ERROR(cursor->Resolve(view.index.get(), query));
  return LeasedBy(view.leases, std::move(cursor));
}

}  // namespace

StatusOr<std::unique_ptr<Cursor>> MakeSelectCursor(ReadView view, const SelectQuery& query) {
  return Make<SelectCursor>(std::move(view), query);
}

StatusOr<std::unique_ptr<Cursor>> MakeLatestCursor(ReadView view, const SelectQuery& query) {
  return Make<LatestCursor>(std::move(view), query);
}

StatusOr<std::optional<Sample>> LatestSample(
    const std::vector<std::shared_ptr<const SampleSource>>& sources, const SeriesName& series,
    TimeRange range) {
  return LatestReader(sources, range).Find(series);
}

}  // namespace nexus::engine
