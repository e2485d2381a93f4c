// LayerReader: looks up series and decodes chunks of one layer file.
//
// Immutable after Open; what it returns never changes. Every byte that takes part in an answer was
// covered by a checksum that was verified when the byte came into memory, so damage is an error and
// never a wrong answer. Resident memory is the footer: about 50 bytes a page of 64 KiB.
// Failure: DataLoss names file, page and offset; FailedPrecondition where the file is sound but not
// ours to read (other database, newer version, unknown incompatible feature); errors of reading as
// io/file_util.h gives them. After an error the reader stays usable for undamaged pages.
// Threading: a LayerReader may be shared by any number of threads; a ReadContext and a SeriesCursor
// belong to one thread at a time. All calls may block on reading the file: workers and callers'
// threads, never a loop.
// Format: docs/format/layer.md.

#ifndef NEXUS_LAYER_LAYER_READER_H_
#define NEXUS_LAYER_LAYER_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "io/file.h"
#include "layer/layer.h"
#include "layer/page_cache.h"
#include "layer/statistics.h"

namespace nexus::layer {

// What the file must be to be opened; what is not given is not asked.
struct LayerExpectation {
  std::optional<DatabaseId> database;
  std::optional<TenantId> tenant;
  std::optional<BranchId> branch;
  std::optional<LayerKey> key;
  std::optional<uint64_t> footer_hash;
};

// One chunk of a series, as its page's columns tell it: nothing of it was decoded yet.
struct ChunkInfo {
  // Where it is; meaningful to the reader that gave it only.
  uint32_t page = 0;
  uint32_t index_in_page = 0;
  TimeRange range;     // first and last timestamp
  uint32_t count = 0;  // samples, at least 1
  Statistics statistics;
};

// One reader's way through layers: keeps the pages last used at hand, so that consecutive chunks of
// a page cost neither a look-up nor a read. May be used with one layer after another. Keeps at most
// three pages alive.
class ReadContext {
 public:
  ReadContext();
  ~ReadContext();
  ReadContext(const ReadContext&) = delete;
  ReadContext& operator=(const ReadContext&) = delete;

 private:
  friend class LayerReader;
  struct Pins;
  std::unique_ptr<Pins> pins_;
};

class LayerReader {
 public:
  // Checks header, tail and footer (three reads) and nothing else. `cache` may be null; else it
  // must outlive the reader. Pages go there under `owner`, a number of PageCache::NewOwner that all
  // readers of this one file may share: pages that one read serve the next, and who gave the number
  // erases them. 0: under a number of the reader's own, which erases them in its end.
  static StatusOr<std::shared_ptr<const LayerReader>> Open(std::unique_ptr<io::File> file,
                                                           PageCache* cache,
                                                           const LayerExpectation& expected = {},
                                                           uint64_t owner = 0);
  ~LayerReader();

  const LayerSummary& summary() const;
  const std::string& path() const;
  // Memory of what is held of the footer, in bytes.
  uint64_t resident_bytes() const;

  // The place of a series in label order, 0..summary().series - 1, or none if it is not in this
  // layer. Costs one page look-up and about a microsecond.
  StatusOr<std::optional<uint32_t>> FindSeries(SeriesId id, ReadContext* context) const;

  // Appends the chunks of a series that overlap `range`, in ascending time. They do not overlap
  // each other. REQUIRES: series < summary().series.
  Status Chunks(uint32_t series, TimeRange range, ReadContext* context,
                std::vector<ChunkInfo>* chunks) const {
    return ColumnChunks(series, 0, range, context, chunks);
  }
  // The same of one of the layer's columns. REQUIRES: column < summary().identity.columns.
  Status ColumnChunks(uint32_t series, uint32_t column, TimeRange range, ReadContext* context,
                      std::vector<ChunkInfo>* chunks) const;

  // Decodes the samples of a chunk that lie within `range` to the front of the two columns and
  // returns how many there are. REQUIRES: both columns have room for chunk.count.
  StatusOr<size_t> ReadChunk(const ChunkInfo& chunk, TimeRange range, ReadContext* context,
                             std::span<int64_t> timestamps, std::span<double> values) const;

  // Pages, for tools: kinds as in layer/format.h.
  struct PageInfo {
    uint8_t kind = 0;
    uint64_t offset = 0;
    uint32_t bytes = 0;
    uint64_t first_item = 0;  // ordinal of its first chunk, timestamp column, series or id block
    uint32_t items = 0;
  };
  uint32_t page_count() const;
  PageInfo page(uint32_t number) const;
  // Reads one page from the file, not from the cache, verifies its checksum and parses it whole.
  Status CheckPage(uint32_t number) const;

 private:
  friend class LayerScan;
  friend class SeriesCursor;
  class Impl;
  explicit LayerReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Walks the series of a layer in label order.
//
//   SeriesCursor cursor(reader);
//   while (cursor.Next()) Use(cursor.labels(), cursor.id());
//   NEXUS_RETURN_IF_ERROR(cursor.status());
class SeriesCursor {
 public:
  // Starts in front of series `first`. Keeps the reader alive. Holds a page of series, up to 0.8
  // MiB; a part of it if that is more than `memory_bytes_max`, and then reads the page anew for the
  // next part (half a millisecond). The labels of one series are held whatever the bound.
  explicit SeriesCursor(std::shared_ptr<const LayerReader> reader, uint32_t first = 0,
                        uint64_t memory_bytes_max = ~uint64_t{0});
  ~SeriesCursor();
  SeriesCursor(const SeriesCursor&) = delete;
  SeriesCursor& operator=(const SeriesCursor&) = delete;

  // False at the end and after an error.
  bool Next();
  const Status& status() const;

  // Of the present series. REQUIRES: Next() returned true.
  std::string_view labels() const;  // canonical form; valid until the next call of Next()
  SeriesId id() const;
  uint32_t ordinal() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_LAYER_READER_H_
