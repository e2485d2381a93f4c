// LayerFile: a layer of the layer map as a source of samples, read by way of readers that are
// opened when they are asked for.
//
// The layer map, and each version that a query holds, name a layer by this: its name and what must
// be in it, neither a descriptor nor a page list. A reader (layer/layer_reader.h) is borrowed from
// LayerReaders for one call at a time, so that a query over any number of layers holds the metadata
// of one; whoever needs it longer holds the file, too.
// Who has a LayerFile may open it at any time. So the file keeps its name until the last one is
// gone: garbage.h.
//
// Failure: DataLoss names the file - missing, damaged, or not the one that was published; what
// opening and reading give. An error is not kept: the next call tries again. Threading: any thread;
// what opens or reads blocks.

#ifndef NEXUS_ENGINE_LAYER_FILE_H_
#define NEXUS_ENGINE_LAYER_FILE_H_

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "base/status.h"
#include "base/types.h"
#include "catalog/records.h"
#include "engine/sample_source.h"
#include "layer/layer_reader.h"

namespace nexus::engine {

class LayerFile;
class LayerReaders;

using LayerReaderPtr = std::shared_ptr<const layer::LayerReader>;

// The file that a record of the catalog names, whichever branch's record it is.
struct LayerFileName {
  explicit LayerFileName(const catalog::LayerRecord& record)
      : name(record.file_name),
        key{record.open_count, record.sequence},
        tenant(record.tenant),
        footer_hash(record.footer_hash) {}

  std::string name;
  layer::LayerKey key;
  TenantId tenant;
  uint64_t footer_hash = 0;
};

class LayerFile final : public SampleSource {
 public:
  // `readers` must outlive it.
  LayerFile(LayerReaders* readers, const catalog::LayerRecord& record);
  ~LayerFile() override;
  LayerFile(const LayerFile&) = delete;
  LayerFile& operator=(const LayerFile&) = delete;

  const LayerFileName& name() const { return name_; }
  // Under which the page cache has the file's pages.
  uint64_t pages_owner() const { return pages_owner_; }

  Kind kind() const override { return Kind::kLayer; }
  TimeRange range() const override { return range_; }
  WriteOrder end() const override { return end_; }
  std::unique_ptr<SourceReader> NewReader() const override;

  // A reader, for as long as somebody has this LayerFile.
  StatusOr<LayerReaderPtr> Reader() const;
  // What a reader of the file gave, of which it is known that it was there: that it is missing is
  // damage.
  Status Told(Status status) const;

  // Memory of the object, without its reader, in bytes.
  uint64_t memory_bytes() const;

 private:
  friend class LayerReaders;
  using Readers = std::list<const LayerFile*>;

  LayerReaders* const readers_;
  const LayerFileName name_;
  const TimeRange range_;
  const WriteOrder end_;
  const uint64_t pages_owner_;

  // Guarded by the mutex of readers_, which keeps the reader here.
  mutable LayerReaderPtr reader_;  // null: not in memory
  mutable uint64_t reader_bytes_ = 0;
  mutable bool was_opened_ = false;
  mutable Readers place_;  // among those that have a reader; itself alone if it has none
  const Readers::iterator at_;
};

using LayerFilePtr = std::shared_ptr<const LayerFile>;

// A reader that holds its file, too, so that its name stays as long.
StatusOr<LayerReaderPtr> HoldReader(LayerFilePtr file);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_LAYER_FILE_H_
