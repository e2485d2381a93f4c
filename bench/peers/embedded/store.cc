// The engines by name. See store.h.

#include "bench/peers/embedded/store.h"

#include <array>

namespace nexus::bench {
namespace {

constexpr std::array<std::string_view, 6> kEngines = {"nexus", "leveldb", "rocksdb",
                                                      "lmdb",  "sqlite",  "duckdb"};

}  // namespace

Status Store::Submit(std::span<const Row> batch, std::atomic<uint64_t>* acknowledged) {
  NEXUS_RETURN_IF_ERROR(Append(batch));
  for (const Row& row : batch) *acknowledged += row.values.size();
  return OkStatus();
}

std::span<const std::string_view> EngineNames() { return kEngines; }

StatusOr<std::unique_ptr<Store>> NewStore(std::string_view engine,
                                          const std::string& duckdb_library) {
  if (engine == "nexus") return NewNexusStore();
  if (engine == "leveldb") return NewLevelDbStore();
  if (engine == "rocksdb") return NewRocksDbStore();
  if (engine == "lmdb") return NewLmdbStore();
  if (engine == "sqlite") return NewSqliteStore();
  if (engine == "duckdb") return NewDuckDbStore(duckdb_library);
  std::string known;
  for (const std::string_view name : kEngines) {
    if (!known.empty()) known += ", ";
    known += name;
  }
  return NotFound("there is no engine '{}'; there are {}", engine, known);
}

}  // namespace nexus::bench
