// Options of an embedded database: what each setting bounds, its unit, default, range and cost.
//
// Threading: plain values.

#ifndef NEXUS_ENGINE_OPTIONS_H_
#define NEXUS_ENGINE_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace nexus {

// Long work tells how far it is: `done` of `total` units (bytes or samples; total 0 if unknown).
struct Progress {
  std::string_view activity;  // "recovering", "flushing", ...
  uint64_t done = 0;
  uint64_t total = 0;
};
using ProgressCallback = std::function<void(const Progress&)>;

struct Options {
  // The folder. Made, with its parents, unless `create` is false; NotFound then.
  std::string directory;
  bool create = true;

  // Memory for samples not yet in layers, in bytes: active plus sealed memtables. At half of it the
  // active memtable is sealed and flushed; at the whole of it appends wait (ResourceExhausted after
  // `admission_timeout_ms`). More memory makes longer chunks: fewer bytes a sample, and more log to
  // replay after a crash. Default 256 MiB, at least 256 KiB.
  uint64_t memtable_bytes = 256ull << 20;
  // Memory for verified layer pages, in bytes. Default 16 MiB, may be 0.
  uint64_t page_cache_bytes = 16ull << 20;
  // Files of layers that are open at once. Queries and compactions that read more open and close
  // them in turn, some 5 us each. Default 0: a quarter of what the process may open
  // (RLIMIT_NOFILE), 16 to 4,096.
  uint32_t layer_files_open_max = 0;
  // Memory for the metadata of layers, in bytes: some 50 bytes for each 64 KiB of a layer that was
  // read. A query that reads more layers than fit reads their metadata anew, some 30 us a layer.
  // What is being read just now is held beyond it. Default 64 MiB, may be 0.
  uint64_t layer_metadata_bytes = 64ull << 20;
  // Size of a log segment in bytes; about four are kept. Default 32 MiB, 64 KiB to 1 GiB, a
  // multiple of 64 KiB.
  uint64_t log_segment_bytes = 32ull << 20;
  // Log held before a flush is forced, in bytes: bounds replay time. Default 512 MiB.
  uint64_t log_bytes_max = 512ull << 20;
  // A memtable that has samples is flushed after this time, so that the log can be trimmed.
  // Default 1 h; 0 switches it off.
  int64_t flush_interval_ms = 3'600'000;
  // A memtable with at most so many bytes of samples is written to the log again where that is to
  // be trimmed, instead of becoming a small layer: its samples stay in memory until they are more.
  // At most a quarter of a segment is written so at a time. Default 64 KiB; 0 switches it off.
  uint64_t carry_bytes_max = 64 << 10;
  // Preallocated file that is given up at ENOSPC so that flushes can finish. Default 256 MiB, 0 for
  // none.
  uint64_t reserve_bytes = 256ull << 20;
  // How long an append may wait for memory or log room before ResourceExhausted. Default 30 s.
  int64_t admission_timeout_ms = 30'000;
  // How long Open waits for a folder that is in use. Default 5 s.
  int64_t lock_wait_ms = 5'000;
  // Upper bound of the catalog's file in bytes (address space, not memory). Default 64 GiB.
  uint64_t catalog_bytes_max = 64ull << 30;
  // Whether layers are merged into time windows in the background. Without it they pile up until
  // Database::Compact. Default on.
  bool compaction = true;
  // Widths of the windows of levels 1, 2, ...: durations, each a multiple of the one before, 1 to 6
  // of them (compaction/windows.h). Layers that were written with others are cut anew by and by.
  std::string compaction_windows = "2h,1d,30d";
  // Pace of the compactor: bytes of layers it writes a second (0: no bound), and what it takes of
  // one worker's time, in percent. More of either finishes sooner and leaves less to ingestion and
  // queries on a machine that has no core to spare. Defaults 128 MiB/s and 50, range 1 to 100.
  uint64_t compaction_bytes_per_second = 128ull << 20;
  int compaction_cpu_percent = 50;
  // Flushes that are waited for before they are merged. More of it writes less and lets queries
  // read more layers. Default 8, at least 2.
  uint32_t compaction_fan_in = 8;
  // A window is finished - merged whole into its level - once nothing was added to it for so long.
  // Longer writes less while a backfill runs. Default 2 h.
  int64_t compaction_quiet_ms = 7'200'000;
  // A layer that the compactor writes ends with the series at hand at this size, so that no file
  // is too large to be written again. Default 1 GiB, at least 64 KiB.
  uint64_t compaction_output_bytes_max = 1ull << 30;
  // A series of which no sample is left - deleted, expired, its branch gone - stays known for so
  // long at least, then it is forgotten with its labels (Database::Series). More of it serves
  // writers that pause for longer, and keeps labels that no sample has. Default 10 min; at least 0.
  int64_t series_grace_ms = 600'000;
  // Threads for encoding and decoding. Default 1.
  int workers = 1;

  // Called on a thread of the database while it opens and flushes; must not call back into it.
  ProgressCallback progress;
};

}  // namespace nexus

#endif  // NEXUS_ENGINE_OPTIONS_H_
