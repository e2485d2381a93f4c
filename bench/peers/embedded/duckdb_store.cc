// DuckDB as a store: one wide table (host, ts, a column of doubles a metric), filled by an appender
// in whole chunks, a transaction a batch, which it writes and syncs at its commit.
//
// No index, hence no upsert: a sample that comes twice is there twice. A commit of 1,000 samples is
// not what it is made for: a batch is 50,000 rows where the caller does not say. Its memory and
// threads are its own defaults (80 % of the machine's memory, all its cores). Does no work for
// labels: see store.h. Statements are prepared once.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bench/peers/embedded/duckdb_library.h"
#include "bench/peers/embedded/store.h"

namespace nexus::bench {
namespace {

constexpr size_t kBatchRows = 50'000;
constexpr size_t kKeyColumns = 2;  // host, ts

// A result and its chunks, freed at the end.
class Result {
 public:
  explicit Result(const DuckDbLibrary& library) : library_(library) {}
  Result(const Result&) = delete;
  Result& operator=(const Result&) = delete;
  ~Result() {
    if (chunk_ != nullptr) library_.destroy_data_chunk(&chunk_);
    library_.destroy_result(&result_);
  }

  DuckResult* out() { return &result_; }
  std::string error() {
    const char* text = library_.result_error(&result_);
    return text == nullptr ? "no reason given" : text;
  }

  bool NextChunk() {
    if (chunk_ != nullptr) library_.destroy_data_chunk(&chunk_);
    chunk_ = library_.fetch_chunk(result_);
    return chunk_ != nullptr;
  }
  size_t rows() const { return library_.data_chunk_get_size(chunk_); }
  size_t columns() const { return library_.data_chunk_get_column_count(chunk_); }

  // REQUIRES: the column is of this type.
  template <typename T>
  const T* Column(size_t column) const {
    return static_cast<const T*>(library_.vector_get_data(VectorOf(column)));
  }
  bool Has(size_t column, size_t row) const {
    const uint64_t* validity = library_.vector_get_validity(VectorOf(column));
    return validity == nullptr || (validity[row / 64] >> (row % 64) & 1) != 0;
  }

 private:
  DuckVector VectorOf(size_t column) const {
    return library_.data_chunk_get_vector(chunk_, column);
  }

  const DuckDbLibrary& library_;
  DuckResult result_;
  DuckChunk chunk_ = nullptr;
};

// A chunk that is filled row by row.
class Filling {
 public:
  Filling(const DuckDbLibrary& library, size_t metrics)
      : library_(library), capacity_(library.vector_size()) {
    std::vector<DuckType> types;
    types.push_back(library_.create_logical_type(kDuckUinteger));
    types.push_back(library_.create_logical_type(kDuckBigint));
    for (size_t m = 0; m < metrics; m++) types.push_back(library_.create_logical_type(kDuckDouble));
    chunk_ = library_.create_data_chunk(types.data(), types.size());
    for (DuckType& type : types) library_.destroy_logical_type(&type);
    values_.resize(metrics);
    validity_.resize(metrics);
    Clear();
  }
  Filling(const Filling&) = delete;
  Filling& operator=(const Filling&) = delete;
  ~Filling() { library_.destroy_data_chunk(&chunk_); }

  void Add(const Row& row) {
    hosts_[rows_] = static_cast<uint32_t>(row.source);
    timestamps_[rows_] = row.timestamp_ms;
    size_t given = 0;
    for (size_t m = 0; m < values_.size(); m++) {
      if (given < row.metrics.size() && row.metrics[given] == m) {
        values_[m][rows_] = row.values[given++];
      } else {
        library_.validity_set_row_invalid(Validity(m), rows_);
      }
    }
    rows_++;
  }

  size_t rows() const { return rows_; }
  bool full() const { return rows_ == capacity_; }
  // With the size that was reached.
  DuckChunk chunk() {
    library_.data_chunk_set_size(chunk_, rows_);
    return chunk_;
  }

  void Clear() {
    library_.data_chunk_reset(chunk_);
    rows_ = 0;
    hosts_ = static_cast<uint32_t*>(Data(0));
    timestamps_ = static_cast<int64_t*>(Data(1));
    for (size_t m = 0; m < values_.size(); m++) {
      values_[m] = static_cast<double*>(Data(kKeyColumns + m));
      validity_[m] = nullptr;
    }
  }

 private:
  void* Data(size_t column) {
    return library_.vector_get_data(library_.data_chunk_get_vector(chunk_, column));
  }

  // Only a column with gaps has one.
  uint64_t* Validity(size_t metric) {
    if (validity_[metric] == nullptr) {
      const DuckVector vector = library_.data_chunk_get_vector(chunk_, kKeyColumns + metric);
      library_.vector_ensure_validity_writable(vector);
      validity_[metric] = library_.vector_get_validity(vector);
    }
    return validity_[metric];
  }

  const DuckDbLibrary& library_;
  const size_t capacity_;
  DuckChunk chunk_ = nullptr;
  size_t rows_ = 0;
  uint32_t* hosts_ = nullptr;
  int64_t* timestamps_ = nullptr;
  std::vector<double*> values_;
  std::vector<uint64_t*> validity_;
};

// The values of an answer are the last column.
std::string TextOf(const Question& question) {
  switch (question.kind) {
    case QuestionKind::kLatest:
      return "SELECT arg_max(m0, ts) FROM samples WHERE ts BETWEEN ? AND ? AND host = ?";
    case QuestionKind::kRaw:
      return "SELECT ts, m0 FROM samples WHERE ts BETWEEN ? AND ? AND host = ?";
    case QuestionKind::kMax: {
      std::string hosts;
      for (size_t s = 0; s < question.sources.size(); s++) hosts += s == 0 ? "?" : ", ?";
      return fmt::format(
          "SELECT host, (ts - {}) // {} AS step, max(m0) FROM samples "
          "WHERE ts BETWEEN ? AND ? AND host IN ({}) GROUP BY host, step",
          question.from_ms, kMaxStepMs, hosts);
    }
    case QuestionKind::kAverage:
      break;
  }
  return "SELECT host, avg(m0) FROM samples WHERE ts BETWEEN ? AND ? GROUP BY host";
}

class DuckDbStore : public Store {
 public:
  explicit DuckDbStore(const DuckDbLibrary& library) : library_(library) {}
  DuckDbStore(const DuckDbStore&) = delete;
  DuckDbStore& operator=(const DuckDbStore&) = delete;
  ~DuckDbStore() override { CloseAll(); }

  std::string version() const override {
    std::string_view text = library_.library_version();
    if (text.starts_with('v')) text.remove_prefix(1);
    return std::string(text);
  }

  // Of rows with ten metrics.
  size_t batch_samples() const override { return kBatchRows * 10; }

  Status Open(const StoreOptions& options) override {
    if (!options.durable) {
      return FailedPrecondition("duckdb syncs every commit and cannot be told otherwise");
    }
    options_ = options;
    path_ = options.directory + "/samples.duckdb";
    char* error = nullptr;
    if (library_.open_ext(path_.c_str(), &database_, nullptr, &error) != kDuckSuccess) {
      const std::string reason = error == nullptr ? "no reason given" : error;
      if (error != nullptr) library_.free(error);
      return Unavailable("duckdb open {}: {}", path_, reason);
    }
    if (library_.connect(database_, &connection_) != kDuckSuccess) {
      return Unavailable("duckdb connect {}: no reason given", path_);
    }
    if (options.workload == nullptr) return OkStatus();
    std::string columns;
    for (size_t m = 0; m < options.workload->metrics().size(); m++) {
      columns += fmt::format(", m{} DOUBLE", m);
    }
    return Run(fmt::format(
        "CREATE TABLE IF NOT EXISTS samples (host UINTEGER NOT NULL, ts BIGINT NOT NULL{})",
        columns));
  }

  Status Append(std::span<const Row> batch) override {
    if (appender_ == nullptr) NEXUS_RETURN_IF_ERROR(OpenAppender());
    NEXUS_RETURN_IF_ERROR(Run("BEGIN TRANSACTION"));
    for (const Row& row : batch) {
      filling_->Add(row);
      if (filling_->full()) NEXUS_RETURN_IF_ERROR(HandOver());
    }
    if (filling_->rows() > 0) NEXUS_RETURN_IF_ERROR(HandOver());
    NEXUS_RETURN_IF_ERROR(Appended(library_.appender_flush(appender_)));
    return Run("COMMIT");
  }

  Status Settle() override { return Run("CHECKPOINT"); }

  StatusOr<Answer> Ask(const Question& question) override {
    NEXUS_ASSIGN_OR_RETURN(const DuckStatement statement, Prepared(TextOf(question)));
    library_.bind_int64(statement, 1, question.from_ms);
    library_.bind_int64(statement, 2, question.to_ms);
    for (size_t s = 0; s < question.sources.size(); s++) {
      library_.bind_int64(statement, 3 + s, static_cast<int64_t>(question.sources[s]));
    }
    Result result(library_);
    if (library_.execute_prepared(statement, result.out()) != kDuckSuccess) {
      return Unavailable("duckdb query {}: {}", path_, result.error());
    }
    Answer answer;
    while (result.NextChunk()) {
      const size_t last = result.columns() - 1;
      const double* values = result.Column<double>(last);
      for (size_t row = 0; row < result.rows(); row++) {
        if (!result.Has(last, row)) continue;
        answer.count++;
        answer.sum += values[row];
      }
    }
    return answer;
  }

  StatusOr<Totals> Scan() override {
    NEXUS_ASSIGN_OR_RETURN(const size_t metrics, CountMetrics());
    std::string counts = "0", sums = "0.0";
    for (size_t m = 0; m < metrics; m++) {
      counts += fmt::format(" + count(m{})", m);
      sums += fmt::format(" + coalesce(sum(m{}), 0)", m);
    }
    Result result(library_);
    NEXUS_RETURN_IF_ERROR(Query(
        fmt::format("SELECT ({})::BIGINT, ({})::DOUBLE FROM samples", counts, sums), &result));
    if (!result.NextChunk()) return Unavailable("duckdb scan {}: no answer", path_);
    return Totals{static_cast<uint64_t>(result.Column<int64_t>(0)[0]), result.Column<double>(1)[0]};
  }

  Status Close() override {
    CloseAll();
    return OkStatus();
  }

 private:
  Status Query(const std::string& text, Result* result) {
    if (library_.query(connection_, text.c_str(), result->out()) == kDuckSuccess) return OkStatus();
    return Unavailable("duckdb {}: {}: {}", path_, text, result->error());
  }

  Status Run(const std::string& text) {
    Result result(library_);
    return Query(text, &result);
  }

  StatusOr<size_t> CountMetrics() {
    Result result(library_);
    NEXUS_RETURN_IF_ERROR(
        Query("SELECT count(*)::BIGINT FROM pragma_table_info('samples')", &result));
    if (!result.NextChunk()) return Unavailable("duckdb {}: no columns are told", path_);
    return static_cast<size_t>(result.Column<int64_t>(0)[0]) - kKeyColumns;
  }

  StatusOr<DuckStatement> Prepared(const std::string& text) {
    DuckStatement& statement = statements_[text];
    if (statement != nullptr) return statement;
    if (library_.prepare(connection_, text.c_str(), &statement) == kDuckSuccess) return statement;
    const char* reason = library_.prepare_error(statement);
    return Unavailable("duckdb {}: {}: {}", path_, text, reason == nullptr ? "" : reason);
  }

  Status OpenAppender() {
    filling_ = std::make_unique<Filling>(library_, options_.workload->metrics().size());
    return Appended(library_.appender_create(connection_, nullptr, "samples", &appender_));
  }

  Status Appended(int state) const {
    if (state == kDuckSuccess) return OkStatus();
    const char* reason = library_.appender_error(appender_);
    return Unavailable("duckdb append to {}: {}", path_, reason == nullptr ? "" : reason);
  }

  Status HandOver() {
    NEXUS_RETURN_IF_ERROR(Appended(library_.append_data_chunk(appender_, filling_->chunk())));
    filling_->Clear();
    return OkStatus();
  }

  void CloseAll() {
    if (appender_ != nullptr) library_.appender_destroy(&appender_);
    filling_.reset();
    for (auto& [text, statement] : statements_) library_.destroy_prepare(&statement);
    statements_.clear();
    if (connection_ != nullptr) library_.disconnect(&connection_);
    if (database_ != nullptr) library_.close(&database_);
  }

  const DuckDbLibrary library_;
  StoreOptions options_;
  std::string path_;
  DuckDatabase database_ = nullptr;
  DuckConnection connection_ = nullptr;
  DuckAppender appender_ = nullptr;
  std::unique_ptr<Filling> filling_;
  std::map<std::string, DuckStatement> statements_;  // by text
};

}  // namespace

StatusOr<std::unique_ptr<Store>> NewDuckDbStore(const std::string& library) {
  NEXUS_ASSIGN_OR_RETURN(const DuckDbLibrary loaded, DuckDbLibrary::Load(library));
  return std::make_unique<DuckDbStore>(loaded);
}

}  // namespace nexus::bench
