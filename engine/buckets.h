// Buckets: the division of a query's time range into steps.
//
// Bucket k is [k*step, (k+1)*step), by floor division for negative times too, cut to the range;
// with step 0 there is one bucket, the whole range. No arithmetic here overflows, INT64_MIN and
// INT64_MAX included: a bucket that would begin below INT64_MIN begins there. Threading: a value.

#ifndef NEXUS_ENGINE_BUCKETS_H_
#define NEXUS_ENGINE_BUCKETS_H_

#include <algorithm>
#include <cstdint>
#include <limits>

#include "base/types.h"

namespace nexus::engine {

struct Buckets {
  TimeRange range;
  int64_t step_ns = 0;  // not negative

  // The number of the bucket that holds `ts`.
  int64_t IndexOf(int64_t ts) const {
    if (step_ns == 0) return 0;
    int64_t quotient = ts / step_ns;
    return ts % step_ns < 0 ? quotient - 1 : quotient;
  }

  // What a bucket's row is stamped with: its beginning, not cut to the range.
  int64_t StampOf(int64_t index) const {
    if (step_ns == 0) return range.first;
    int64_t stamp;
    // Only the lowest bucket can begin out of reach.
    if (__builtin_mul_overflow(index, step_ns, &stamp)) return std::numeric_limits<int64_t>::min();
    return stamp;
  }

  // The last timestamp of a bucket.
  int64_t LastOf(int64_t index) const {
    if (step_ns == 0) return range.last;
    // index * step + (step - 1), written so that only the true result can be out of reach.
    int64_t last;
    bool over = index < 0 ? __builtin_mul_overflow(index + 1, step_ns, &last) ||
                                __builtin_sub_overflow(last, 1, &last)
                          : __builtin_mul_overflow(index, step_ns, &last) ||
                                __builtin_add_overflow(last, step_ns - 1, &last);
    return over ? range.last : std::min(last, range.last);
  }

  // True if all of `other` lies within the range and within one bucket.
  bool HoldInOne(TimeRange other) const {
    return range.Contains(other) && IndexOf(other.first) == IndexOf(other.last);
  }

  // What a rate is divided by.
  double seconds() const {
    double ns = static_cast<double>(step_ns);
    if (step_ns == 0) {
      ns = static_cast<double>(static_cast<uint64_t>(range.last) -
                               static_cast<uint64_t>(range.first)) +
           1.0;
    }
    return ns / 1e9;
  }
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_BUCKETS_H_
