// See query_leases.h.

#include "engine/query_leases.h"

#include <utility>

namespace nexus::engine {

class QueryLeases::LeasedCursor : public Cursor {
 public:
  LeasedCursor(QueryLeases* leases, std::unique_ptr<ReleasableCursor> cursor, int64_t deadline_ns,
               int64_t deadline_ms)
      : leases_(leases),
        deadline_ns_(deadline_ns),
        deadline_ms_(deadline_ms),
        cursor_(std::move(cursor)) {
    MutexLock lock(&leases_->mutex_);
    place_ = leases_->cursors_.insert(leases_->cursors_.end(), this);
  }
  ~LeasedCursor() override {
    // From here on it is not released by others.
    MutexLock lock(&leases_->mutex_);
    if (!released_) leases_->cursors_.erase(place_);
  }

  StatusOr<bool> Next(SeriesChunk* chunk) override {
    MutexLock lock(&mutex_);
    return cursor_->Next(chunk);
  }
  const QueryStatistics& statistics() const override { return cursor_->statistics(); }

  // With the mutex of the leases held. False if it is not due, or at work.
  bool ReleaseIfOverdue(int64_t now_ns) {
    if (now_ns < deadline_ns_ || !mutex_.TryLock()) return false;
    cursor_->Release(
        DeadlineExceeded("query took longer than its deadline of {} ms", deadline_ms_));
    released_ = true;
    mutex_.Unlock();
    return true;
  }

 private:
  QueryLeases* const leases_;
  const int64_t deadline_ns_;
  const int64_t deadline_ms_;
  // Guarded by the mutex of the leases.
  std::list<LeasedCursor*>::iterator place_;  // there unless released_
  bool released_ = false;
  Mutex mutex_;  // held by who works with the cursor
  const std::unique_ptr<ReleasableCursor> cursor_;
};

std::unique_ptr<Cursor> QueryLeases::Lease(std::unique_ptr<ReleasableCursor> cursor,
                                           int64_t deadline_ns, int64_t deadline_ms) {
  return std::make_unique<LeasedCursor>(this, std::move(cursor), deadline_ns, deadline_ms);
}

uint64_t QueryLeases::ReleaseOverdue(int64_t now_ns) {
  MutexLock lock(&mutex_);
  const size_t before = cursors_.size();
  cursors_.remove_if([now_ns](LeasedCursor* cursor) { return cursor->ReleaseIfOverdue(now_ns); });
  return before - cursors_.size();
}

uint64_t QueryLeases::open() const {
  MutexLock lock(&mutex_);
  return cursors_.size();
}

}  // namespace nexus::engine
