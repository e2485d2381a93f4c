// Reading around what is deleted. See deleted_source.h.

#include "engine/deleted_source.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace nexus::engine {
namespace {

class DeletedReader : public SourceReader {
 public:
  DeletedReader(const SampleSource* source, Tombstones tombstones)
      : reader_(source->NewReader()), tombstones_(std::move(tombstones)) {}

  Status Chunks(const SeriesName& series, TimeRange range, std::vector<ChunkRef>* chunks) override {
    whole_.clear();
    NEXUS_RETURN_IF_ERROR(reader_->Chunks(series, range, &whole_));
    if (whole_.empty()) return OkStatus();
    const TimeRange covered = {whole_.front().range.first, whole_.back().range.last};
    const std::vector<TimeRange> deleted = DeletedRanges(tombstones_, series.canonical, covered);
    auto next = deleted.begin();
    for (size_t i = 0; i < whole_.size(); i++) {
      while (next != deleted.end() && next->last < whole_[i].range.first) ++next;
      if (next == deleted.end() || !next->Overlaps(whole_[i].range)) {
        chunks->push_back(whole_[i]);
        chunks->back().place = i;
      } else {
        AppendPieces(i, range, {next, deleted.end()}, chunks);
      }
    }
    return OkStatus();
  }

  StatusOr<SampleSpan> Read(const ChunkRef& chunk, TimeRange range, SampleBuffer* buffer) override {
    const TimeRange within = {std::max(range.first, chunk.range.first),
                              std::min(range.last, chunk.range.last)};
    return reader_->Read(whole_[chunk.place], within, buffer);
  }

  uint64_t held_bytes() const override {
    return reader_->held_bytes() + whole_.capacity() * sizeof(ChunkRef);
  }

 private:
  // What is left of a chunk, as far as it is asked for. `deleted` begins with what touches it.
  void AppendPieces(size_t number, TimeRange range, std::span<const TimeRange> deleted,
                    std::vector<ChunkRef>* chunks) const {
    const ChunkRef& chunk = whole_[number];
    TimeRange left = {std::max(range.first, chunk.range.first),
                      std::min(range.last, chunk.range.last)};
    auto append = [&](TimeRange piece) {
      if (piece.empty()) return;
      ChunkRef ref;
      ref.range = piece;
      ref.count = chunk.count;
      ref.buffer_samples = chunk.buffer_samples;
      ref.place = number;
      chunks->push_back(ref);
    };
    for (const TimeRange& gone : deleted) {
      if (left.empty() || gone.first > left.last) break;
      if (gone.first > left.first) append({left.first, gone.first - 1});
      if (gone.last == std::numeric_limits<int64_t>::max()) return;
      left.first = std::max(left.first, gone.last + 1);
    }
    append(left);
  }

  const std::unique_ptr<SourceReader> reader_;
  const Tombstones tombstones_;  // those that concern the source
  std::vector<ChunkRef> whole_;  // of the series that was asked for last
};

}  // namespace

std::unique_ptr<SourceReader> DeletedSource::NewReader() const {
  Tombstones concerning = TombstonesFor(*tombstones_, mark_, range());
  if (concerning.empty()) return source_->NewReader();
  return std::make_unique<DeletedReader>(source_.get(), std::move(concerning));
}

std::shared_ptr<const SampleSource> WithoutDeleted(
    std::shared_ptr<const SampleSource> source, const std::shared_ptr<const Tombstones>& tombstones,
    const DeleteMark& mark) {
  // The newest one concerns it, or none does.
  if (tombstones->empty() || !Filters(tombstones->back()->order(), mark)) return source;
  return std::make_shared<DeletedSource>(std::move(source), tombstones, mark);
}

}  // namespace nexus::engine
