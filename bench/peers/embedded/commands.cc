// What the commands share. See commands.h.

#include "bench/peers/embedded/commands.h"

#include <filesystem>
#include <utility>

namespace nexus::bench {
namespace {

Status CheckDirectory(const std::string& directory, bool create) {
  std::error_code error;
  if (create) {
    std::filesystem::create_directories(directory, error);
    if (!error) return OkStatus();
    return InvalidArgument("make {}: {}; give another place by --dir", directory, error.message());
  }
  const bool empty = std::filesystem::is_empty(directory, error);
  if (!error && !empty) return OkStatus();
  return NotFound("no data in '{}'{}{}; write some first: embedded ingest ENGINE --dir {}",
                  directory, error ? ": " : "", error ? error.message() : "", directory);
}

}  // namespace

JsonLine Session::Begin(const Place& place) const {
  JsonLine line;
  line.Add("engine", place.engine).Add("version", store->version());
  line.AddFlag("durable", !place.buffered);
  return line;
}

StatusOr<Session> OpenSession(const Place& place, bool create) {
  Session session;
  NEXUS_ASSIGN_OR_RETURN(session.store, NewStore(place.engine, place.duckdb_library));
  NEXUS_ASSIGN_OR_RETURN(session.workload, OpenWorkload(place.workload));
  NEXUS_RETURN_IF_ERROR(CheckDirectory(place.directory, create));
  session.options = {
      .directory = place.directory, .durable = !place.buffered, .workload = session.workload.get()};
  Stopwatch watch;
  watch.Resume();
  NEXUS_RETURN_IF_ERROR(session.store->Open(session.options));
  session.open_seconds = watch.seconds();
  return session;
}

StatusOr<JsonLine> ListEngines(const std::string& duckdb_library) {
  std::string engines;
  for (const std::string_view name : EngineNames()) {
    JsonLine engine;
    engine.Add("engine", name);
    const auto store = NewStore(name, duckdb_library);
    if (store.ok()) {
      engine.Add("version", (*store)->version());
    } else {
      engine.AddNull("version");
    }
    if (!engines.empty()) engines += ", ";
    engines += engine.text();
  }
  JsonLine line;
  line.AddJson("engines", "[" + engines + "]");
  return line;
}

}  // namespace nexus::bench
