// The images of the catalog in a database's folder, read and judged.
//
// Reads only: what is to be done with a damaged image is the caller's to say. Threading: the task
// runs on the loop.

#ifndef NEXUS_ENGINE_IMAGE_FILES_H_
#define NEXUS_ENGINE_IMAGE_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "catalog/image.h"
#include "engine/folder.h"
#include "io/file.h"
#include "io/task.h"

namespace nexus::engine {

// 150 bytes a layer: room for 400,000 of them.
inline constexpr uint64_t kImageBytesMax = 64ull << 20;

struct ImageFile {
  std::string name;
  std::string path;
  Lsn lsn;  // as its name says
  // Errors: DataLoss - damaged; FailedPrecondition - of a newer nexus; those of reading.
  StatusOr<catalog::ImageContents> contents;
  // The error is one of reading: the file may be sound.
  bool unreadable = false;
};

// Every image of the folder, oldest first. Errors: FailedPrecondition - one is of another database;
// those of listing the folder.
io::Task<StatusOr<std::vector<ImageFile>>> ReadImageFiles(io::Disk* disk, Folder folder,
                                                          DatabaseId database);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_IMAGE_FILES_H_
