// Reading images. See image_files.h.

#include "engine/image_files.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "io/file_util.h"

namespace nexus::engine {
io::Task<StatusOr<std::vector<ImageFile>>> ReadImageFiles(io::Disk* disk, Folder folder,
                                                          DatabaseId database) {
  NEXUS_CO_ASSIGN_OR_RETURN(auto entries, co_await io::List(disk, folder.root));
  std::vector<ImageFile> images;
  for (const io::DirectoryEntry& entry : entries) {
    std::optional<Lsn> lsn = catalog::ParseImageFileName(entry.name);
    if (!lsn.has_value()) continue;
    std::string path = io::JoinPath(folder.root, entry.name);
    StatusOr<std::string> bytes = co_await io::ReadWholeFile(disk, path, kImageBytesMax);
    StatusOr<catalog::ImageContents> contents =
        bytes.ok() ? catalog::DecodeImage(*bytes, path)
                   : StatusOr<catalog::ImageContents>(bytes.status());
    if (contents.ok() && contents->database != database) {
      co_return FailedPrecondition(
          "{}: the image belongs to another database; move it out of the folder", path);
    }
    ImageFile image{entry.name, std::move(path), *lsn, std::move(contents), !bytes.ok()};
    images.push_back(std::move(image));
  }
  auto older = [](const ImageFile& a, const ImageFile& b) { return a.lsn < b.lsn; };
  std::sort(images.begin(), images.end(), older);
  co_return images;
}

}  // namespace nexus::engine
