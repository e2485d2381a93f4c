// QueryLeases: cursors that are open, so that one past its deadline lets its layers go though
// nobody reads from it.
//
// A query that is being worked on looks at its deadline itself (query_guard.h). One whose reader
// has stopped does not come as far, and its version would hold layers - their files and their place
// in memory - as long as the reader likes. Whoever has use for the room calls ReleaseOverdue. A
// select that has shown samples where they lie in a memtable keeps its memtables until it is
// destroyed: the reader may be looking at them.
//
// Failure: a released cursor gives DeadlineExceeded. Threading: any thread. A cursor that is at
// work is passed by: nobody waits for it.

#ifndef NEXUS_ENGINE_QUERY_LEASES_H_
#define NEXUS_ENGINE_QUERY_LEASES_H_

#include <cstdint>
#include <list>
#include <memory>

#include "base/mutex.h"
#include "base/status.h"
#include "engine/query.h"

namespace nexus::engine {

// A cursor that can let go of its sources.
class ReleasableCursor : public Cursor {
 public:
  // What it reads from is gone for it; the chunk that it gave last stays valid. Every Next gives
  // `why` from now on.
  virtual void Release(Status why) = 0;
};

class QueryLeases {
 public:
  QueryLeases() = default;
  QueryLeases(const QueryLeases&) = delete;
  QueryLeases& operator=(const QueryLeases&) = delete;

  // The cursor, which is released once `deadline_ns` of the monotonic clock has passed. It must not
  // outlive the leases.
  std::unique_ptr<Cursor> Lease(std::unique_ptr<ReleasableCursor> cursor, int64_t deadline_ns,
                                int64_t deadline_ms);

  // Releases all that are past their deadline by now and not at work. Returns how many.
  uint64_t ReleaseOverdue(int64_t now_ns);

  // Cursors that are open and not released.
  uint64_t open() const;

 private:
  class LeasedCursor;

  mutable Mutex mutex_;
  std::list<LeasedCursor*> cursors_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_QUERY_LEASES_H_
