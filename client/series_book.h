// SeriesBook: the numbers that a client has given to the series of one tenant.
//
// Numbers rise by one from 1 and last as long as the client, whatever becomes of its connections:
// on each the series are registered in this order, so that a batch that was encoded once can be
// sent on any. Memory: about 100 bytes and the labels for each series.
// Threading: any thread.

#ifndef NEXUS_CLIENT_SERIES_BOOK_H_
#define NEXUS_CLIENT_SERIES_BOOK_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
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

// The books of all tenants.
class SeriesBooks {
 public:
  // Made at the first asking.
  std::shared_ptr<SeriesBook> Of(std::string_view tenant);

 private:
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<SeriesBook>, std::less<>> books_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nexus::client

#endif  // NEXUS_CLIENT_SERIES_BOOK_H_
