// The engines by name. See store.h.

#include "bench/peers/embedded/store.h"

#include <algorithm>
#include <array>

namespace nexus::bench {
namespace {

constexpr std::array<std::string_view, 6> kEngines = {"nexus", "leveldb", "rocksdb",
                                                      "lmdb",  "sqlite",  "duckdb"};

// Those that this program is built with (BUILD.bazel) and that need nothing more to be made.
std::unique_ptr<Store> NewBuiltIn(std::string_view engine) {
  if (engine == "nexus") return NewNexusStore();
#ifndef NEXUS_BENCH_WITHOUT_LEVELDB
  if (engine == "leveldb") return NewLevelDbStore();
#endif
#ifndef NEXUS_BENCH_WITHOUT_ROCKSDB
  if (engine == "rocksdb") return NewRocksDbStore();
#endif
#ifndef NEXUS_BENCH_WITHOUT_LMDB
  if (engine == "lmdb") return NewLmdbStore();
#endif
#ifndef NEXUS_BENCH_WITHOUT_SQLITE
  if (engine == "sqlite") return NewSqliteStore();
#endif
  return nullptr;
}

}  // namespace

Status Store::Submit(std::span<const Row> batch, std::atomic<uint64_t>* acknowledged) {
  NEXUS_RETURN_IF_ERROR(Append(batch));
  for (const Row& row : batch) *acknowledged += row.values.size();
  return OkStatus();
}

std::span<const std::string_view> EngineNames() { return kEngines; }

StatusOr<std::unique_ptr<Store>> NewStore(std::string_view engine,
                                          const std::string& duckdb_library) {
  if (engine == "duckdb") return NewDuckDbStore(duckdb_library);
  if (std::unique_ptr<Store> store = NewBuiltIn(engine)) return store;
  if (std::ranges::find(kEngines, engine) != kEngines.end()) {
    return NotFound("this program is built without {}: see bench/peers/embedded/BUILD.bazel",
                    engine);
  }
  std::string known;
  for (const std::string_view name : kEngines) {
    if (!known.empty()) known += ", ";
    known += name;
  }
  return NotFound("there is no engine '{}'; there are {}", engine, known);
}

}  // namespace nexus::bench
