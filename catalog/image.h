// Images: everything the catalog holds but the labels that layers hold too, as one checksummed
// file.
//
// A checkpoint writes one; `nexus catalog rebuild` starts from the newest that is whole and takes
// the rest from the log and the labels in the layers. These are pure functions between contents
// and bytes: the engine writes the file (io::ReplaceFile) and reads it.
// How it fails: every byte is covered by a checksum or is checked to be what it must be, so any
// flipped bit or missing byte is DataLoss. Threading: pure functions.
// Format: docs/format/catalog.md, image_format.h.

#ifndef NEXUS_CATALOG_IMAGE_H_
#define NEXUS_CATALOG_IMAGE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "catalog/records.h"

namespace nexus::catalog {

struct ImageContents {
  DatabaseId database;
  Lsn lsn;  // everything in the log below it is contained
  uint64_t open_count = 0;
  uint64_t next_series_id = 1;
  std::vector<TenantRecord> tenants;      // ascending by id
  std::vector<BranchRecord> branches;     // ascending by (tenant, id)
  std::vector<LayerRecord> layers;        // live and garbage, ascending by key
  std::vector<Setting> settings;          // of the database, ascending by name
  std::vector<ProducerRecord> producers;  // ascending by key
  // Every series of which no live layer has the labels, and maybe others; ascending by (tenant,
  // id).
  std::vector<SeriesDefinition> unlayered;
  std::vector<TombstoneRecord> tombstones;  // ascending by key

  bool operator==(const ImageContents&) const = default;
};

// The bytes of an image file; about 150 bytes a layer and a series in no layer. Sorts what is not
// sorted. Errors: InvalidArgument if two records have one key or a record breaks a limit of
// records.h.
StatusOr<std::string> EncodeImage(ImageContents contents);

// Errors, each with `file_name`, the offset and what was wrong: DataLoss (damaged),
// FailedPrecondition (another version, an unknown incompatible feature).
StatusOr<ImageContents> DecodeImage(std::string_view bytes, std::string_view file_name);

// "catalog-<lsn, 16 hex digits>.image"; names sort as their LSNs do.
std::string ImageFileName(Lsn lsn);
// The LSN of such a name, or nullopt if it is none.
std::optional<Lsn> ParseImageFileName(std::string_view name);

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_IMAGE_H_
