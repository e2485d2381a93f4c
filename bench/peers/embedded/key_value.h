// How samples lie in a key/value engine, and questions answered from a sorted walk over them:
// what LevelDB, RocksDB and LMDB have in common.
//
// Key: series number, then timestamp, both big-endian, the timestamp with its sign bit turned, so
// that the order of bytes is the order of (series, time) for times before 1970, too. Value: the
// eight bytes of the double.
//
// A Cursor of an engine has:
//   bool SeekFirst();                   to the first entry of all
//   bool Seek(std::string_view key);    to the first entry at or behind the key
//   bool SeekBack(std::string_view key) to the last entry at or before the key
//   bool Next();
//   std::string_view key() const; std::string_view value() const;
//   Status status() const;              what ended the walk: OK or the engine's error
// where false says that there is no such entry. Templates, so that a step of the walk is the
// engine's own call and nothing else.
// Threading: values.

#ifndef NEXUS_BENCH_PEERS_EMBEDDED_KEY_VALUE_H_
#define NEXUS_BENCH_PEERS_EMBEDDED_KEY_VALUE_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"
#include "bench/peers/embedded/store.h"
#include "bench/peers/questions.h"
#include "bench/workload.h"

namespace nexus::bench {

inline constexpr uint64_t kSignBit = 1ull << 63;

class Key {
 public:
  Key(uint64_t series, int64_t timestamp_ms) {
    StoreUnaligned(bytes_.data(), __builtin_bswap64(series));
    StoreUnaligned(bytes_.data() + 8,
                   __builtin_bswap64(static_cast<uint64_t>(timestamp_ms) ^ kSignBit));
  }

  std::string_view text() const { return {bytes_.data(), bytes_.size()}; }

 private:
  std::array<char, 16> bytes_;
};

// REQUIRES: the text of a Key.
inline uint64_t SeriesOfKey(std::string_view key) {
  return __builtin_bswap64(LoadUnaligned<uint64_t>(key.data()));
}
inline int64_t TimestampOfKey(std::string_view key) {
  return static_cast<int64_t>(__builtin_bswap64(LoadUnaligned<uint64_t>(key.data() + 8)) ^
                              kSignBit);
}

inline std::string_view ValueText(const double& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}
// REQUIRES: eight bytes.
inline double ValueOfText(std::string_view text) { return LoadUnaligned<double>(text.data()); }

// Calls put(key, value) for each sample of a batch, in its order. `metrics` of a source.
template <typename Put>
Status PutEach(std::span<const Row> batch, size_t metrics, Put&& put) {
  for (const Row& row : batch) {
    for (size_t i = 0; i < row.values.size(); i++) {
      const Key key(row.source * metrics + row.metrics[i], row.timestamp_ms);
      NEXUS_RETURN_IF_ERROR(put(key, row.values[i]));
    }
  }
  return OkStatus();
}

// Calls see(timestamp_ms, value) for the samples of one series in a closed range, ascending.
template <typename Cursor, typename See>
Status VisitRange(Cursor* cursor, uint64_t series, const Question& question, See&& see) {
  const Key first(series, question.from_ms);
  const Key last(series, question.to_ms);
  for (bool at = cursor->Seek(first.text()); at && cursor->key() <= last.text();
       at = cursor->Next()) {
    see(TimestampOfKey(cursor->key()), ValueOfText(cursor->value()));
  }
  return cursor->status();
}

template <typename Cursor>
Status AddLatest(Cursor* cursor, uint64_t series, const Question& question, Answer* answer) {
  const Key first(series, question.from_ms);
  const Key last(series, question.to_ms);
  if (cursor->SeekBack(last.text()) && cursor->key() >= first.text()) {
    answer->count++;
    answer->sum += ValueOfText(cursor->value());
  }
  return cursor->status();
}

template <typename Cursor>
Status AddRaw(Cursor* cursor, uint64_t series, const Question& question, Answer* answer) {
  return VisitRange(cursor, series, question, [&](int64_t, double value) {
    answer->count++;
    answer->sum += value;
  });
}

template <typename Cursor>
Status AddMaxima(Cursor* cursor, uint64_t series, const Question& question, Answer* answer) {
  int64_t minute = -1;
  double max = 0;
  NEXUS_RETURN_IF_ERROR(VisitRange(cursor, series, question, [&](int64_t at, double value) {
    const int64_t here = (at - question.from_ms) / kMaxStepMs;
    if (here == minute) {
      max = std::max(max, value);
      return;
    }
    if (minute >= 0) answer->sum += max;
    answer->count++;
    minute = here;
    max = value;
  }));
  if (minute >= 0) answer->sum += max;
  return OkStatus();
}

template <typename Cursor>
Status AddAverage(Cursor* cursor, uint64_t series, const Question& question, Answer* answer) {
  uint64_t count = 0;
  double sum = 0;
  NEXUS_RETURN_IF_ERROR(VisitRange(cursor, series, question, [&](int64_t, double value) {
    count++;
    sum += value;
  }));
  if (count == 0) return OkStatus();
  answer->count++;
  answer->sum += sum / static_cast<double>(count);
  return OkStatus();
}

// Of the first metric of one source.
template <typename Cursor>
Status AddSource(Cursor* cursor, size_t source, size_t metrics, const Question& question,
                 Answer* answer) {
  const uint64_t series = source * metrics;
  switch (question.kind) {
    case QuestionKind::kLatest:
      return AddLatest(cursor, series, question, answer);
    case QuestionKind::kRaw:
      return AddRaw(cursor, series, question, answer);
    case QuestionKind::kMax:
      return AddMaxima(cursor, series, question, answer);
    case QuestionKind::kAverage:
      return AddAverage(cursor, series, question, answer);
  }
  return InvalidArgument("a question of no kind that there is");
}

template <typename Cursor>
StatusOr<Answer> AnswerByWalking(Cursor* cursor, const Workload& workload,
                                 const Question& question) {
  const size_t metrics = workload.metrics().size();
  Answer answer;
  for (size_t source : question.sources) {
    NEXUS_RETURN_IF_ERROR(AddSource(cursor, source, metrics, question, &answer));
  }
  if (!question.sources.empty()) return answer;
  for (size_t source = 0; source < workload.sources().size(); source++) {
    NEXUS_RETURN_IF_ERROR(AddSource(cursor, source, metrics, question, &answer));
  }
  return answer;
}

template <typename Cursor>
StatusOr<Totals> ScanByWalking(Cursor* cursor) {
  Totals totals;
  for (bool at = cursor->SeekFirst(); at; at = cursor->Next()) {
    totals.samples++;
    totals.sum += ValueOfText(cursor->value());
  }
  NEXUS_RETURN_IF_ERROR(cursor->status());
  return totals;
}

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_EMBEDDED_KEY_VALUE_H_
