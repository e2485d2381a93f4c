// Images of an LMDB data file. See lmdb_shadow.h.

#include "io/sim/lmdb_shadow.h"

#include <cstring>
#include <fstream>

#include "base/check.h"

namespace nexus::sim {
namespace {

using io::kSectorBytes;

std::string DataFile(const std::string& folder) { return folder + "/data.mdb"; }

}  // namespace

LmdbShadow::Image LmdbShadow::ReadImage(const std::string& folder) const {
  std::ifstream file(DataFile(folder), std::ios::binary);
  const bool data_file_is_readable = file.is_open();
  NEXUS_CHECK(data_file_is_readable);
  const Image& previous = images_.back();
  Image image;
  Block page;
  while (file.read(reinterpret_cast<char*>(page.bytes.data()), kSectorBytes)) {
    const size_t i = image.size();
    const bool same = i < previous.size() &&
                      std::memcmp(previous[i]->bytes.data(), page.bytes.data(), kSectorBytes) == 0;
    image.push_back(same ? previous[i] : std::make_shared<const Block>(page));
  }
  // LMDB's pages are the system's, 4 KiB here; the file is whole pages.
  NEXUS_CHECK(file.gcount() == 0);
  return image;
}

void LmdbShadow::OnCommit(const std::string& folder) { images_.push_back(ReadImage(folder)); }

void LmdbShadow::OnSynced(const std::string& folder) {
  Image synced = ReadImage(folder);
  images_.clear();
  images_.push_back(std::move(synced));
}

void LmdbShadow::Crash(CrashKind kind) {
  if (kind == CrashKind::kProcessKill) return;
  const uint64_t lost = choices_->Choose(Stream::kCrash, images_.size());
  images_.resize(images_.size() - lost);
  // What has survived a power cut is on the disk.
  images_.erase(images_.begin(), images_.end() - 1);
}

bool LmdbShadow::Restore(const std::string& folder) const {
  if (images_.back().empty()) return false;
  std::ofstream file(DataFile(folder), std::ios::binary | std::ios::trunc);
  for (const BlockRef& page : images_.back()) {
    file.write(reinterpret_cast<const char*>(page->bytes.data()), kSectorBytes);
  }
  file.close();
  const bool data_file_is_written = !file.fail();
  NEXUS_CHECK(data_file_is_written);
  return true;
}

}  // namespace nexus::sim
