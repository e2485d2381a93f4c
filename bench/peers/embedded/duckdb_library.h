// DuckDbLibrary: the functions of DuckDB's C API that the comparison uses, found in libduckdb.so
// when it is loaded.
//
// Written after the documented C API (duckdb.org/docs/stable/clients/c/api), which is stable across
// releases: Debian has no package of DuckDB and its npm package has the library without a header.
// Handles are opaque. Errors: those of Load, see there. Threading: constant after Load.

#ifndef NEXUS_BENCH_PEERS_EMBEDDED_DUCKDB_LIBRARY_H_
#define NEXUS_BENCH_PEERS_EMBEDDED_DUCKDB_LIBRARY_H_

#include <cstdint>
#include <string>

#include "base/status.h"

namespace nexus::bench {

using DuckDatabase = struct DuckDatabaseHandle*;
using DuckConnection = struct DuckConnectionHandle*;
using DuckConfig = struct DuckConfigHandle*;
using DuckStatement = struct DuckStatementHandle*;
using DuckAppender = struct DuckAppenderHandle*;
using DuckType = struct DuckTypeHandle*;
using DuckChunk = struct DuckChunkHandle*;
using DuckVector = struct DuckVectorHandle*;

// duckdb_result: the caller provides its memory, the library alone looks into it.
struct DuckResult {
  uint64_t columns = 0;
  uint64_t rows = 0;
  uint64_t rows_changed = 0;
  void* column_data = nullptr;
  char* error_message = nullptr;
  void* internal = nullptr;
};

// duckdb_state.
inline constexpr int kDuckSuccess = 0;
// duckdb_type.
inline constexpr int kDuckBigint = 5;
inline constexpr int kDuckUinteger = 8;
inline constexpr int kDuckDouble = 11;

struct DuckDbLibrary {
  const char* (*library_version)();
  void (*free)(void*);

  // The error text, if any, is freed with `free`.
  int (*open_ext)(const char* path, DuckDatabase*, DuckConfig, char** error);
  void (*close)(DuckDatabase*);
  int (*connect)(DuckDatabase, DuckConnection*);
  void (*disconnect)(DuckConnection*);

  int (*query)(DuckConnection, const char* text, DuckResult*);
  const char* (*result_error)(DuckResult*);
  void (*destroy_result)(DuckResult*);
  int (*prepare)(DuckConnection, const char* text, DuckStatement*);
  const char* (*prepare_error)(DuckStatement);
  int (*bind_int64)(DuckStatement, uint64_t index, int64_t value);  // from 1
  int (*execute_prepared)(DuckStatement, DuckResult*);
  void (*destroy_prepare)(DuckStatement*);

  // The next chunk, or null at the end.
  DuckChunk (*fetch_chunk)(DuckResult);
  uint64_t (*data_chunk_get_size)(DuckChunk);
  uint64_t (*data_chunk_get_column_count)(DuckChunk);
  DuckVector (*data_chunk_get_vector)(DuckChunk, uint64_t column);
  void* (*vector_get_data)(DuckVector);
  // A bit a row, set if there is a value; null if all are.
  uint64_t* (*vector_get_validity)(DuckVector);
  void (*destroy_data_chunk)(DuckChunk*);

  DuckType (*create_logical_type)(int type);
  void (*destroy_logical_type)(DuckType*);
  DuckChunk (*create_data_chunk)(DuckType* types, uint64_t count);
  void (*data_chunk_reset)(DuckChunk);
  void (*data_chunk_set_size)(DuckChunk, uint64_t rows);
  void (*vector_ensure_validity_writable)(DuckVector);
  void (*validity_set_row_invalid)(uint64_t* validity, uint64_t row);
  uint64_t (*vector_size)();  // rows of a full chunk

  int (*appender_create)(DuckConnection, const char* schema, const char* table, DuckAppender*);
  const char* (*appender_error)(DuckAppender);
  int (*append_data_chunk)(DuckAppender, DuckChunk);
  int (*appender_flush)(DuckAppender);
  int (*appender_destroy)(DuckAppender*);

  // Loads the library and leaves it loaded. Errors: NotFound - no path, no library there, or one
  // without a function named above.
  static StatusOr<DuckDbLibrary> Load(const std::string& path);
};

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_EMBEDDED_DUCKDB_LIBRARY_H_
