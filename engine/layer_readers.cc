// Which readers stay in memory. See layer_readers.h.

#include "engine/layer_readers.h"

#include <utility>

namespace nexus::engine {

StatusOr<LayerReaderPtr> LayerReaders::ReaderOf(const LayerFile* file) {
  {
    MutexLock lock(&mutex_);
    if (file->reader_ != nullptr) {
      readers_.splice(readers_.end(), readers_, file->at_);
      return file->reader_;
    }
  }
  NEXUS_ASSIGN_OR_RETURN(LayerReaderPtr opened, open_(*file));
  // Destroyed without the lock: it closes files.
  std::vector<LayerReaderPtr> out;
  MutexLock lock(&mutex_);
  openings_++;
  if (file->reader_ != nullptr) return file->reader_;
  file->reader_ = opened;
  file->reader_bytes_ = opened->resident_bytes();
  file->was_opened_ = true;
  bytes_ += file->reader_bytes_;
  readers_.splice(readers_.end(), file->place_);
  MakeRoom(&out);
  return opened;
}

LayerReaderPtr LayerReaders::TakeReader(const LayerFile* file) {
  bytes_ -= file->reader_bytes_;
  file->place_.splice(file->place_.begin(), readers_, file->at_);
  return std::move(file->reader_);
}

void LayerReaders::MakeRoom(std::vector<LayerReaderPtr>* out) {
  auto at = readers_.begin();
  while (bytes_ > bytes_max_ && at != readers_.end()) {
    const LayerFile* const file = *at++;
    // Others get theirs here, under the lock, so that nobody joins in meanwhile.
    if (file->reader_.use_count() == 1) out->push_back(TakeReader(file));
  }
}

void LayerReaders::Forget(const LayerFile* file) {
  LayerReaderPtr out;
  {
    MutexLock lock(&mutex_);
    if (file->reader_ != nullptr) out = TakeReader(file);
    if (!file->was_opened_) return;
  }
  if (pages_ != nullptr) pages_->Erase(file->pages_owner_);
}

LayerReaders::Counters LayerReaders::counters() const {
  MutexLock lock(&mutex_);
  return {readers_.size(), bytes_, openings_};
}

}  // namespace nexus::engine
