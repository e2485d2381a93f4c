// Store: one engine linked into this process, as the comparison sees it - what can be asked of
// nexus, LevelDB, RocksDB, LMDB, SQLite and DuckDB alike.
//
// Work that a side does not do, to be said beside every comparison:
//   nexus                    all of it: a series is found by tenant, metric name and labels, and is
//                            made when its first sample comes; questions name series by selectors
//   leveldb, rocksdb, lmdb   no labels, no metric names, no tenants: the number of the series is
//                            given, as the first half of a 16-byte key; the caller aggregates
//   sqlite                   the same, with aggregates of its own
//   duckdb                   the same, in a wide table without an index; a sample that comes twice
//                            is there twice
// Memory: what the engines may use is set alike where it can be set (kWriteMemoryBytes,
// kCacheBytes), everything else is left as the engine has it.
//
// Errors: a message names the engine, its operation and the directory or file. Threading: one
// thread calls; engines have threads of their own.

#ifndef NEXUS_BENCH_PEERS_EMBEDDED_STORE_H_
#define NEXUS_BENCH_PEERS_EMBEDDED_STORE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "bench/peers/questions.h"
#include "bench/workload.h"

namespace nexus::bench {

// nexus's own defaults, given to each engine that can be told: samples not yet sorted into files,
// and pages read.
inline constexpr size_t kWriteMemoryBytes = 256 << 20;
inline constexpr size_t kCacheBytes = 16 << 20;

struct StoreOptions {
  std::string directory;
  // If false a commit need not be on stable storage when it returns.
  bool durable = true;
  // How many metrics a source has, and its names. Outlives the store. Settle, Compact and Scan can
  // do without.
  const Workload* workload = nullptr;
};

// Of all samples of all series.
struct Totals {
  uint64_t samples = 0;
  double sum = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  virtual std::string version() const = 0;
  // Samples of one commit where the caller does not say.
  virtual size_t batch_samples() const { return 1000; }

  // Opens what is in the directory, recovering it, or makes it there. REQUIRES: the directory
  // exists. Errors: FailedPrecondition - `durable` is false and this engine cannot be told so.
  virtual Status Open(const StoreOptions& options) = 0;

  // Commits rows as one whole. Series number: source * metrics + metric, as in Workload.
  virtual Status Append(std::span<const Row> batch) = 0;

  // True if commits can be handed over without waiting for each. Submit then raises `acknowledged`
  // by the batch's samples, on some thread, once they are committed; Wait returns when all are, or
  // with the first error.
  virtual bool pipelined() const { return false; }
  virtual Status Submit(std::span<const Row> batch, std::atomic<uint64_t>* acknowledged);
  virtual Status Wait() { return OkStatus(); }

  // Moves what is in logs and memory to where it stays, as far as the engine can be told to.
  virtual Status Settle() = 0;
  // False if the engine has nothing of the kind.
  virtual StatusOr<bool> Compact() { return false; }
  // Bytes of samples and index as the engine counts them, without logs and reserved space; nullopt
  // if it does not tell.
  virtual StatusOr<std::optional<uint64_t>> DataBytes() { return std::optional<uint64_t>(); }

  virtual StatusOr<Answer> Ask(const Question& question) = 0;
  virtual StatusOr<Totals> Scan() = 0;

  // Makes everything durable and frees the directory. The destructor does it too, silently.
  virtual Status Close() = 0;
};

// In the order of the tables.
std::span<const std::string_view> EngineNames();

// `duckdb_library` is the path of libduckdb.so, which is loaded when that engine is asked for.
// Errors: NotFound - an unknown engine (the message lists those there are), one that the program is
// built without, or no DuckDB there.
StatusOr<std::unique_ptr<Store>> NewStore(std::string_view engine,
                                          const std::string& duckdb_library);

// One per file; a program may be built without some (BUILD.bazel).
std::unique_ptr<Store> NewNexusStore();
std::unique_ptr<Store> NewLevelDbStore();
std::unique_ptr<Store> NewRocksDbStore();
std::unique_ptr<Store> NewLmdbStore();
std::unique_ptr<Store> NewSqliteStore();
StatusOr<std::unique_ptr<Store>> NewDuckDbStore(const std::string& library);

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_EMBEDDED_STORE_H_
