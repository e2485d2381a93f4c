// Brings layer files into a folder of layers: by a second name for the same file where the file
// system can, else by a copy. Layers are never changed, so a file may have any number of names.
//
// A file stands under its name only when it is whole: what is made is "<name>.tmp" until then. The
// names are durable after a sync of the folder, which is the caller's.
// Threading: the tasks run on the loop; checking blocks and runs on workers.

#ifndef NEXUS_ENGINE_LAYER_PLACE_H_
#define NEXUS_ENGINE_LAYER_PLACE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "catalog/records.h"
#include "engine/backup_report.h"
#include "io/environment.h"
#include "io/task.h"
#include "layer/layer_reader.h"

namespace nexus::engine {

// The files of layers, each once: branches share them.
struct LayerFileSet {
  LayerFileSet() = default;
  explicit LayerFileSet(const std::vector<catalog::LayerRecord>& layers);

  std::map<std::string, catalog::LayerRecord, std::less<>> by_name;
  uint64_t bytes = 0;
};

class LayerPlacer {
 public:
  // `origin` is the id that stands in the layers. `go_on` is asked between pieces of a copy, and
  // told how many bytes of layers are done; an error ends the work.
  LayerPlacer(io::Environment* environment, DatabaseId origin,
              std::function<Status(uint64_t done)> go_on);

  // Makes to/<file name> the layer of the record, from from/<file name>. What is there already is
  // kept if it is that layer (by its footer's hash, which covers every page's checksum), and
  // replaced if not.
  io::Task<Status> Place(catalog::LayerRecord record, std::string from, std::string to);
  // Opens directory/<file name>. Blocks. Errors: DataLoss - it is not the layer of the record.
  StatusOr<std::shared_ptr<const layer::LayerReader>> Open(const catalog::LayerRecord& record,
                                                           const std::string& directory) const;
  // Reads it all and checks everything. DataLoss names the first damage.
  io::Task<Status> Verify(catalog::LayerRecord record, std::string directory);

  const LayersPlaced& placed() const { return placed_; }
  uint64_t bytes() const { return bytes_done_; }

 private:
  io::Task<StatusOr<bool>> IsThere(catalog::LayerRecord record, std::string directory);
  io::Task<Status> Copy(std::string from, std::string to);

  io::Environment* const environment_;
  const DatabaseId origin_;
  const std::function<Status(uint64_t)> go_on_;
  LayersPlaced placed_;
  uint64_t bytes_done_ = 0;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_LAYER_PLACE_H_
