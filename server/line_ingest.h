// LineIngest: bytes of Influx line protocol in, durable batches out.
//
// Lines are parsed where they lie; only a line that the bytes end in the middle of is copied, and
// waits for its rest. A series is found by a seeded hash of its raw bytes in a bounded cache; what
// is not there is parsed, looked up in the database and, if it is new, given an id together with
// all other new ones of its batch. A line is in one batch, so after a crash all of it is there or
// none. A batch is appended when it has kIngestBatchSamples, or when the bytes run out while
// nothing of this ingest is in flight: a slow client gets small batches at once, a fast one large
// ones.
//
// What is wrong in a line is counted by reason (Metrics::parse_errors) and the line passed over.
// Failure: the first batch that the database refuses ends the ingest (status()); lines behind it
// are dropped, batches in flight beside it may still be stored and are counted.
// Bounds: one line of kIngestLineBytesMax, one batch, kSessionBytesMax of encoded batches in
// flight; beyond these Add takes no more. Threading: loop only. May be destroyed at any time:
// batches in flight end by themselves.

#ifndef NEXUS_SERVER_LINE_INGEST_H_
#define NEXUS_SERVER_LINE_INGEST_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/types.h"
#include "batch/batch.h"
#include "batch/batch_encoder.h"
#include "engine/idle_series.h"
#include "server/line_protocol.h"
#include "server/service.h"
#include "server/session.h"

namespace nexus::server {

// The longest line of honest line protocol seen has some 10 KiB. The newline does not count.
inline constexpr size_t kIngestLineBytesMax = 64 << 10;
// A durable round takes 0.1 to 1 ms here, in which a fast client sends some 4,000 samples: with
// twice that the log always has the next batch, and an acknowledgement still waits for few.
inline constexpr size_t kIngestBatchSamples = 8192;
// Keys a connection holds; 25 bytes in a table of twice as many places: 6.5 MB at most. An agent
// that sends more series than that over one connection pays for parsing them, nothing else.
inline constexpr size_t kIngestCachedSeriesMax = 1 << 17;
// Of a body that must be one batch: no record holds more, each takes the 8 bytes of its value.
inline constexpr size_t kIngestSamplesMax = (16 << 20) / 8;
// Lines that are named to the client.
inline constexpr size_t kIngestBadLinesKept = 10;

// The raw bytes of a series and a field -> its id. Made once for a connection, for one tenant.
class SeriesCache {
 public:
  explicit SeriesCache(uint64_t seed) : seed_(seed) {}
  uint64_t seed() const { return seed_; }
  // Null if unknown; valid until the next Insert.
  SeriesId* Find(const Hash128& key);
  // What is there already stays. Empties itself first when it is full.
  void Insert(const Hash128& key, SeriesId id);
  void Erase(const Hash128& key) { ids_.erase(key); }
  void Clear() { ids_.clear(); }
  // Empties itself if series were forgotten since the last call: their ids are not to be named.
  void Refresh(uint64_t generation) {
    if (generation_ != generation) Clear();
    generation_ = generation;
  }

 private:
  const uint64_t seed_;
  uint64_t generation_ = 1;  // DatabaseState::series_generation, which begins so
  absl::flat_hash_map<Hash128, SeriesId> ids_;
};

struct LineIngestOptions {
  // The tenant's and branch's numbers, and the tenant's identity seed.
  engine::PublishedState::Found target;
  int64_t nanos_per_unit = 1;  // of timestamps in lines
  // All lines are one batch under this number, appended at the end. One that does not fit a record
  // ends with OutOfRange, one without a sample with InvalidArgument.
  std::optional<batch::ExactlyOnce> once;
  uint64_t in_flight_bytes_max = kSessionBytesMax;
};

struct BadLine {
  uint64_t number = 0;  // from 1
  std::string reason;
};

class LineIngest : private engine::SeriesHolder {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // busy(), finished() or status() may have changed. From the loop, never inside a call to the
    // ingest, which may be destroyed here.
    virtual void OnIngestChange() = 0;
  };

  // All three outlive the ingest.
  LineIngest(Service* service, SeriesCache* cache, Owner* owner, LineIngestOptions options);
  ~LineIngest() override;
  LineIngest(const LineIngest&) = delete;
  LineIngest& operator=(const LineIngest&) = delete;

  // Takes lines off the front of `text`: how many bytes. Fewer than all if it became busy; the rest
  // is to be given again when it is not.
  size_t Add(std::string_view text);
  // New series are being given ids, or as much is in flight as may be.
  bool busy() const;
  // No more bytes come. Text behind the last newline is a line too if `last_line_counts`.
  // REQUIRES: Add took all it was given.
  void End(bool last_line_counts);
  // End was called and everything is acknowledged or refused.
  bool finished() const { return ended_ && !interning_ && in_flight_ == 0 && samples_.empty(); }
  // Nothing is under way in the database.
  bool idle() const { return !interning_ && in_flight_ == 0; }

  // OK, or the first refusal.
  const Status& status() const { return status_; }
  // Lines whose samples are stored; blank lines, comments and lines of strings alone are none.
  uint64_t accepted_lines() const { return accepted_lines_; }
  // Lines that could not be read, are older than the tenant keeps, or name series beyond its quota.
  uint64_t rejected_lines() const { return rejected_lines_; }
  // Those that are too old.
  uint64_t expired_lines() const { return expired_lines_; }
  // Why those beyond the quota were rejected; OK if there are none.
  const Status& refused_series() const { return refused_series_; }
  // The first of them.
  const std::vector<BadLine>& bad_lines() const { return bad_lines_; }
  // Behind the last stored batch.
  Lsn end() const { return end_; }

 private:
  class Request;
  // A series that has no id yet stands in samples as its place in new_series_ with this bit.
  static constexpr uint64_t kNewSeriesBit = 1ull << 63;

  static io::Task<void> InternNew(LineIngest* ingest, Ticket ticket, Service* service,
                                  TenantId tenant, std::vector<std::string> canonicals);
  void OnInterned(StatusOr<engine::Interner::WithinQuota> interned);
  // Takes lines out again whose series are beyond the tenant's quota.
  void DropRefused(const Status& refused);
  void OnReleased(std::unique_ptr<Request> request);
  void RejectExpired(const Request& request);
  // Of lines that are read and not yet submitted.
  void KeepHeld(engine::IdleSeries* idle) const override;

  size_t AddRestOfLine(std::string_view text);
  void TakeLine(std::string_view text);
  void CommitIfFull();
  void Reject(std::string_view reason, std::string message);
  void Reject(std::string_view reason, uint64_t line, std::string message);
  void RejectStatsd();
  bool ReadTimestamp(int64_t* timestamp_ns);
  bool NameSeries();
  Status NameNewSeries();

  // Takes the last line when all bytes came, and appends what was collected if it is time to.
  void Proceed();
  void Commit();
  void Submit();
  std::unique_ptr<Request> NewRequest();
  void Refuse(Status status);

  Service* const service_;
  engine::Interner* const interner_;
  SeriesCache* const cache_;
  Owner* const owner_;
  const LineIngestOptions options_;
  Ticket ticket_;
  uint64_t series_generation_ = 0;  // when the batch's new series were asked for

  // Text.
  std::string partial_;    // a line without its end
  bool skipping_ = false;  // the rest of a line that is too long
  bool last_line_counts_ = false;
  bool ended_ = false;
  uint64_t line_number_ = 0;
  RawLine line_;
  std::string measurement_;
  std::vector<Label> tags_;
  std::vector<SeriesId> line_series_;  // of the line's fields
  struct NewField {
    size_t place;  // in the line's fields
    Hash128 key;
    SeriesId id;            // 0: not known to the database
    std::string canonical;  // then
  };
  std::vector<NewField> new_fields_;

  // The batch being collected.
  std::vector<batch::SeriesSample> samples_;
  struct Line {
    uint64_t number;
    size_t samples;
  };
  std::vector<Line> lines_;              // what samples_ came from, in order
  std::vector<std::string> new_series_;  // canonical forms of series without an id
  std::vector<Hash128> new_keys_;        // theirs in the cache
  uint64_t new_series_bytes_ = 0;
  bool interning_ = false;

  // In the database.
  uint64_t in_flight_ = 0;
  uint64_t in_flight_bytes_ = 0;
  std::vector<std::unique_ptr<Request>> free_requests_;

  Status status_;
  Status refused_series_;
  uint64_t accepted_lines_ = 0;
  uint64_t rejected_lines_ = 0;
  uint64_t expired_lines_ = 0;
  std::vector<BadLine> bad_lines_;
  Lsn end_;
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_LINE_INGEST_H_
