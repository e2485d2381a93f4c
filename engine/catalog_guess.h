// GuessCatalog: what an image of the catalog would have held, as far as layers and log tell - for a
// database whose images are all lost.
//
// The guess stands for the moment at which the log begins: replaying the whole log on top of it
// gives the present. So it lists the layers that were published before, and invents only what no
// edit of the log makes: the names of older tenants and branches. Layer files that no publish edit
// names and whose records the log still holds are of a flush that did not end: they are left out,
// and replay writes them anew - unless the log is damaged, when such a file may be all there is.
// With a log that is lost altogether the guess stands behind every layer.
// Of a compaction's output and its inputs one side is listed: the output where the log or a missing
// input tells that it was published, else the inputs. Threading: pure functions.

#ifndef NEXUS_ENGINE_CATALOG_GUESS_H_
#define NEXUS_ENGINE_CATALOG_GUESS_H_

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "catalog/image.h"
#include "engine/log_survey.h"
#include "layer/layer.h"
#include "wal/scan.h"

namespace nexus::engine {

// What is left of a database without images.
struct Remains {
  DatabaseId database;
  std::vector<layer::LayerSummary> layers;  // every layer file of the database
  wal::LogScan scan;
  LogSurvey log;  // what the records of the scan say
};

struct CatalogGuess {
  catalog::ImageContents contents;
  // What cannot be known, or was invented, a sentence each.
  std::vector<std::string> unknown;
};

// `random` gives identity seeds for tenants that have no layer. Errors: DataLoss - layers of one
// tenant disagree.
StatusOr<CatalogGuess> GuessCatalog(const Remains& remains,
                                    const std::function<uint64_t()>& random);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_CATALOG_GUESS_H_
