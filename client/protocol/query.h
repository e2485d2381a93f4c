// Questions and their answers: QUERY, LABELS, SERIES; RESULT, STRINGS, RESULT_END, STATS_REPLY.
//
// Results stream: any number of RESULT or STRINGS frames, each within kResultBytesMax plus one
// item, then one RESULT_END - or an ERROR, after which what came before was right but not whole.
// The server sends kInitialCredit of them by itself and more as CREDIT allows, so that a slow
// reader costs neither side memory and holds up no other reply.
//
// Decoders take untrusted bodies. Errors of all: InvalidArgument, naming message, field and offset.
// Encoders append the body to `out`. Threading: pure functions.
// Format: docs/format/protocol.md.

#ifndef NEXUS_CLIENT_PROTOCOL_QUERY_H_
#define NEXUS_CLIENT_PROTOCOL_QUERY_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "base/types.h"
#include "client/protocol/field_reader.h"

namespace nexus::protocol {

enum class QueryKind : uint8_t { kSelect = 1, kAggregate = 2, kLatest = 3 };

enum class Function : uint8_t {
  kNone = 0,  // of kSelect and kLatest
  kAvg = 1,
  kMin = 2,
  kMax = 3,
  kSum = 4,
  kCount = 5,
  kFirst = 6,
  kLast = 7,
  kRate = 8,
  kPercentile = 9,
};

struct Query {
  QueryKind kind = QueryKind::kSelect;
  Function function = Function::kNone;
  bool grouped = false;      // by `by`, which may be empty: one group
  uint32_t deadline_ms = 0;  // from when the server takes it; 0: the server's
  TimeRange range;           // closed
  int64_t step_ns = 0;       // of kAggregate; 0: the whole range
  double percentile = 0;     // of kPercentile
  std::string selector;
  std::vector<std::string> by;
  std::string as_of;  // a snapshot of the target's tenant, read instead of its branch; or empty
  bool operator==(const Query&) const = default;
};

struct LabelsQuery {
  std::string label;     // empty: the names of labels; else the values of this one
  std::string selector;  // may be empty: everything
  bool operator==(const LabelsQuery&) const = default;
};

// Answered with the canonical labels (base/labels.h) of the matching series, in label order.
struct SeriesQuery {
  uint64_t limit = 0;  // ResourceExhausted beyond
  std::string selector;
  bool operator==(const SeriesQuery&) const = default;
};

// The server may send `frames` more RESULT or STRINGS frames for a request. Not answered; of a
// request that has ended, passed over.
struct Credit {
  uint64_t request_id = 0;
  uint32_t frames = 0;
  bool operator==(const Credit&) const = default;
};

// What a query did, at its end.
struct ResultEnd {
  uint64_t items = 0;    // series, or strings
  uint64_t samples = 0;  // delivered
  uint64_t chunks_decoded = 0;
  uint64_t chunks_by_statistics = 0;
  uint64_t layers = 0;
  uint64_t memtables = 0;
  uint64_t rollup_layers = 0;   // whose buckets were used in place of samples
  uint64_t rollup_buckets = 0;  // so used
  bool operator==(const ResultEnd&) const = default;
};

// A figure of STATS.
struct Stat {
  std::string name;  // as in `nexus stats --format json`
  std::variant<uint64_t, double, std::string> value;
};

void Encode(const Query& query, std::string* out);
void Encode(const LabelsQuery& query, std::string* out);
void Encode(const SeriesQuery& query, std::string* out);
void Encode(const Credit& credit, std::string* out);
void Encode(const ResultEnd& end, std::string* out);
// REQUIRES: at most kStatsMax.
void Encode(std::span<const Stat> stats, std::string* out);

StatusOr<Query> DecodeQuery(Bytes body);
StatusOr<LabelsQuery> DecodeLabels(Bytes body);
StatusOr<SeriesQuery> DecodeSeries(Bytes body);
StatusOr<Credit> DecodeCredit(Bytes body);
StatusOr<ResultEnd> DecodeResultEnd(Bytes body);
StatusOr<std::vector<Stat>> DecodeStats(Bytes body);

// ---- RESULT: parts, each samples of one series or group.

struct ResultPart {
  uint64_t series_index = 0;  // 0, 1, ...: the same for all parts of one series, never falling
  // Canonical labels, in the first part of a series; empty in others. A group's has the `by` labels
  // and may lack a metric name.
  std::string_view labels;
  // Columns of equal length, ascending in time, at any address: int64[], and uint64[] with the bits
  // of the doubles.
  Bytes timestamps;
  Bytes values;

  size_t samples() const { return timestamps.size() / 8; }
  int64_t timestamp(size_t i) const { return LoadUnaligned<int64_t>(timestamps.data() + 8 * i); }
  double value(size_t i) const { return LoadUnaligned<double>(values.data() + 8 * i); }
};

// Bytes of a part; the body of a RESULT is a sequence of parts. A part is to fit a frame: at most
// kResultSamplesMax samples.
inline constexpr size_t kResultSamplesMax = 16'000;
size_t EncodedBytes(const ResultPart& part);
void AppendPart(const ResultPart& part, std::string* out);

// Walks the parts of a RESULT. The body outlives it.
class ResultReader {
 public:
  explicit ResultReader(Bytes body) : reader_("RESULT", body) {}
  // The next part; false at the end. Errors: InvalidArgument.
  StatusOr<bool> Next(ResultPart* part);

 private:
  FieldReader reader_;
};

// ---- STRINGS: strings, each with its length.

// Of a label name or value, or of canonical labels.
inline constexpr size_t kStringBytesMax = 65536;
void AppendString(std::string_view text, std::string* out);

// Walks the strings of a STRINGS. The body outlives it.
class StringsReader {
 public:
  explicit StringsReader(Bytes body) : reader_("STRINGS", body) {}
  // The next string, which stays in the body; false at the end. Errors: InvalidArgument.
  StatusOr<bool> Next(std::string_view* text);

 private:
  FieldReader reader_;
};

}  // namespace nexus::protocol

#endif  // NEXUS_CLIENT_PROTOCOL_QUERY_H_
