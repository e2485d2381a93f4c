// Starting a log: checks, syncs, and the handover to LogImpl. See log.h.

#include "wal/log.h"

#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "wal/format.h"
#include "wal/log_impl.h"

namespace nexus::wal {
namespace {

bool IsSectorMultiple(uint64_t bytes, uint64_t min, uint64_t max) {
  return bytes % io::kSectorBytes == 0 && min <= bytes && bytes <= max;
}

Status CheckOptions(const LogOptions& options) {
  if (!IsSectorMultiple(options.segment_bytes, kSegmentBytesMin, kSegmentBytesMax)) {
    return InvalidArgument("segment_bytes {} is not a multiple of {} in [{}, {}]",
                           options.segment_bytes, io::kSectorBytes, kSegmentBytesMin,
                           kSegmentBytesMax);
  }
  uint64_t capacity = options.segment_bytes - kSegmentDataBegin;
  uint64_t buffer_bytes_max = std::min(capacity, kFrameBytesMax);
  if (!IsSectorMultiple(options.buffer_bytes, 2 * io::kSectorBytes, buffer_bytes_max)) {
    return InvalidArgument("buffer_bytes {} is not a multiple of {} in [{}, {}]",
                           options.buffer_bytes, io::kSectorBytes, 2 * io::kSectorBytes,
                           buffer_bytes_max);
  }
  if (options.buffers < 2 || options.buffers > 1024) {
    return InvalidArgument("buffers {} is not in [2, 1024]", options.buffers);
  }
  if (options.writes_in_flight_max < 1 || options.writes_in_flight_max > 64) {
    return InvalidArgument("writes_in_flight_max {} is not in [1, 64]",
                           options.writes_in_flight_max);
  }
  if (options.spares_min < 2 || options.spares_max < options.spares_min) {
    return InvalidArgument("spares_min {} and spares_max {} are not 2 <= min <= max",
                           options.spares_min, options.spares_max);
  }
  if (options.base_above.value > UINT64_MAX / 2) {
    return InvalidArgument("base_above {} leaves no log positions", options.base_above.value);
  }
  return OkStatus();
}

Status CheckScan(const LogOptions& options, const LogScan& scan) {
  NEXUS_RETURN_IF_ERROR(scan.status());
  if (scan.directory != options.directory) {
    return InvalidArgument("the scan is of {}, the log is to start in {}", scan.directory,
                           options.directory);
  }
  if (scan.database.has_value() && *scan.database != options.database) {
    return FailedPrecondition("{} holds the log of another database", scan.directory);
  }
  return OkStatus();
}

// A planted bug: what was in flight at the crash is taken for the past.
void TrustTail(LogScan* scan) {
  if (scan->segments.empty()) return;
  const SegmentScan& last = scan->segments.back();
  scan->last = {Predecessor::Kind::kClosed, last.sequence, last.end(), last.last_hash};
  scan->confirmed = scan->segments;
  scan->tail_begin = scan->end;
  scan->tail_frame_bytes = 0;
}

}  // namespace

io::Task<StatusOr<std::unique_ptr<Log>>> Log::Start(io::Environment* environment,
                                                    LogOptions options, LogScan* scan,
                                                    LogObserver* observer) {
  NEXUS_CO_RETURN_IF_ERROR(CheckOptions(options));
  NEXUS_CO_RETURN_IF_ERROR(CheckScan(options, *scan));
  if (NEXUS_PLANTED("tail-applied-before-synced")) TrustTail(scan);
  auto log = std::make_unique<LogImpl>(environment, std::move(options), *scan, observer);
  NEXUS_CO_RETURN_IF_ERROR(co_await log->Open(scan));
  co_return std::unique_ptr<Log>(std::move(log));
}

}  // namespace nexus::wal
