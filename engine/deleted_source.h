// DeletedSource: a source without the samples that tombstones delete of it. See sample_source.h,
// tombstone.h.
//
// It stands around a layer or a sealed memtable that some tombstone of the branch may concern.
// A chunk that no tombstone touches is handed on with its statistics; one that is touched is handed
// on as the pieces that are left, without statistics, since those count what is deleted. A series
// that has no chunk in the range costs nothing; of one that has, the labels are tried against each
// tombstone that overlaps the source.
//
// Downside: a chunk that is cut in n pieces is decoded n times.

#ifndef NEXUS_ENGINE_DELETED_SOURCE_H_
#define NEXUS_ENGINE_DELETED_SOURCE_H_

#include <memory>
#include <utility>

#include "engine/sample_source.h"
#include "engine/tombstone.h"

namespace nexus::engine {

class DeletedSource : public SampleSource {
 public:
  // `tombstones`: those of the branch. `mark`: of what the source reads.
  DeletedSource(std::shared_ptr<const SampleSource> source,
                std::shared_ptr<const Tombstones> tombstones, const DeleteMark& mark)
      : source_(std::move(source)), tombstones_(std::move(tombstones)), mark_(mark) {}

  Kind kind() const override { return source_->kind(); }
  TimeRange range() const override { return source_->range(); }
  WriteOrder end() const override { return source_->end(); }
  bool asks_labels() const override { return true; }
  std::unique_ptr<SourceReader> NewReader() const override;

 private:
  const std::shared_ptr<const SampleSource> source_;
  const std::shared_ptr<const Tombstones> tombstones_;
  const DeleteMark mark_;
};

// The source as queries of the branch must see it: itself if no tombstone can concern it.
std::shared_ptr<const SampleSource> WithoutDeleted(
    std::shared_ptr<const SampleSource> source, const std::shared_ptr<const Tombstones>& tombstones,
    const DeleteMark& mark);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_DELETED_SOURCE_H_
