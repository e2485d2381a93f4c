// LayerReaders: the readers of layers that are in memory, bounded in bytes.
//
// A reader is the verified list of a layer's pages, some 50 bytes for each 64 KiB of the file. It
// is made when a LayerFile is first read and kept until others need its room: of those that nobody
// uses just now, the one used longest ago goes. Readers in use are never taken away: the bound is
// passed by what they have, and met again at the next opening. Descriptors are bounded apart, in
// io/file_cache.h: a reader opens its file for each read, if it is not open.
//
// Failure: what the opening gives; nothing of it is kept. Threading: any thread; opening is done
// without the lock, and where two do it at once, one of them for nothing.

#ifndef NEXUS_ENGINE_LAYER_READERS_H_
#define NEXUS_ENGINE_LAYER_READERS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "catalog/records.h"
#include "engine/layer_file.h"
#include "layer/page_cache.h"

namespace nexus::engine {

class LayerReaders {
 public:
  using OpenFunction = std::function<StatusOr<LayerReaderPtr>(const LayerFile&)>;

  // Readers are kept up to `bytes_max` together. `open` makes one; it blocks, on any thread.
  // `pages`, where readers put pages under LayerFile::pages_owner, may be null; it must outlive the
  // LayerReaders, which must outlive every LayerFile.
  LayerReaders(uint64_t bytes_max, layer::PageCache* pages, OpenFunction open)
      : bytes_max_(bytes_max), pages_(pages), open_(std::move(open)) {}
  LayerReaders(const LayerReaders&) = delete;
  LayerReaders& operator=(const LayerReaders&) = delete;

  // One for each file: branches that list it share it.
  std::shared_ptr<LayerFile> Make(const catalog::LayerRecord& record) {
    return std::make_shared<LayerFile>(this, record);
  }

  StatusOr<LayerReaderPtr> ReaderOf(const LayerFile* file);
  // The file's end: its reader and pages go.
  void Forget(const LayerFile* file);

  struct Counters {
    uint64_t readers = 0;   // in memory
    uint64_t bytes = 0;     // of these
    uint64_t openings = 0;  // of readers, ever
  };
  Counters counters() const;

 private:
  // Takes out readers that nobody uses until the bound is kept, or there are none.
  void MakeRoom(std::vector<LayerReaderPtr>* out) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  LayerReaderPtr TakeReader(const LayerFile* file) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint64_t bytes_max_;
  layer::PageCache* const pages_;
  const OpenFunction open_;
  mutable Mutex mutex_;
  LayerFile::Readers readers_ ABSL_GUARDED_BY(mutex_);  // used longest ago first
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t openings_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_LAYER_READERS_H_
