// Loading of libduckdb.so. See duckdb_library.h.

#include "bench/peers/embedded/duckdb_library.h"

#include <dlfcn.h>

namespace nexus::bench {
namespace {

constexpr char kWayOut[] =
    "get it with `npm pack @duckdb/node-bindings-linux-x64` and give the path of its libduckdb.so "
    "by --duckdb";

template <typename Function>
Status Find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  if (*function != nullptr) return OkStatus();
  return NotFound("duckdb: the library has no {}; {}", name, kWayOut);
}

}  // namespace

StatusOr<DuckDbLibrary> DuckDbLibrary::Load(const std::string& path) {
  if (path.empty()) return NotFound("duckdb: no library was named; {}", kWayOut);
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return NotFound("duckdb: {}; {}", dlerror(), kWayOut);
  DuckDbLibrary found = {};
#define NEXUS_FIND(name) NEXUS_RETURN_IF_ERROR(Find(library, "duckdb_" #name, &found.name))
  NEXUS_FIND(library_version);
  NEXUS_FIND(free);
  NEXUS_FIND(open_ext);
  NEXUS_FIND(close);
  NEXUS_FIND(connect);
  NEXUS_FIND(disconnect);
  NEXUS_FIND(query);
  NEXUS_FIND(result_error);
  NEXUS_FIND(destroy_result);
  NEXUS_FIND(prepare);
  NEXUS_FIND(prepare_error);
  NEXUS_FIND(bind_int64);
  NEXUS_FIND(execute_prepared);
  NEXUS_FIND(destroy_prepare);
  NEXUS_FIND(fetch_chunk);
  NEXUS_FIND(data_chunk_get_size);
  NEXUS_FIND(data_chunk_get_column_count);
  NEXUS_FIND(data_chunk_get_vector);
  NEXUS_FIND(vector_get_data);
  NEXUS_FIND(vector_get_validity);
  NEXUS_FIND(destroy_data_chunk);
  NEXUS_FIND(create_logical_type);
  NEXUS_FIND(destroy_logical_type);
  NEXUS_FIND(create_data_chunk);
  NEXUS_FIND(data_chunk_reset);
  NEXUS_FIND(data_chunk_set_size);
  NEXUS_FIND(vector_ensure_validity_writable);
  NEXUS_FIND(validity_set_row_invalid);
  NEXUS_FIND(vector_size);
  NEXUS_FIND(appender_create);
  NEXUS_FIND(appender_error);
  NEXUS_FIND(append_data_chunk);
  NEXUS_FIND(appender_flush);
  NEXUS_FIND(appender_destroy);
#undef NEXUS_FIND
  return found;
}

}  // namespace nexus::bench
