// SeriesBook: the numbers that a client has given to series of one tenant and branch.
//
// Numbers rise by one from 1 and last as long as the client, whatever becomes of its connections:
// on each the series are registered in this order, so that a batch that was encoded once can be
// sent on any. Memory: about 100 bytes and the labels for each series.
// Threading: any thread.

#ifndef NEXUS_CLIENT_SERIES_BOOK_H_
#define NEXUS_CLIENT_SERIES_BOOK_H_

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "base/types.h"

namespace nexus::client {

class SeriesBook {
 public:
  // The number of a series, given now if it has none. REQUIRES: canonical form.
  SeriesId Number(std::string canonical);
  // Numbers 1 to size() are given.
  uint64_t size() const;
  // The canonical labels of a number that is given; valid as long as the book.
  std::string_view Canonical(uint64_t number) const;

 private:
  mutable Mutex mutex_;
  // A deque: its strings stay where they are, and the keys below point into them.
  std::deque<std::string> series_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<absl::string_view, uint64_t> numbers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nexus::client

#endif  // NEXUS_CLIENT_SERIES_BOOK_H_
