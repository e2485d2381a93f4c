// SQLite as a store: a table in the order of (series, time) without row ids, a transaction a batch,
// in WAL mode and synchronous=FULL, which syncs the log at each commit.
//
// Does no work for labels: see store.h. Its page cache serves reads and writes, so it has the
// memory of both. Statements are prepared once.

#include <sqlite3.h>

#include <memory>
#include <string>

#include "bench/peers/embedded/store.h"

namespace nexus::bench {
namespace {

constexpr char kInsert[] = "INSERT OR REPLACE INTO samples VALUES (?1, ?2, ?3)";
// Of one series each: ?1 series, ?2 and ?3 the closed range. The answer's value is column 0.
constexpr char kLatest[] =
    "SELECT value FROM samples WHERE series = ?1 AND ts BETWEEN ?2 AND ?3 ORDER BY ts DESC LIMIT 1";
constexpr char kRaw[] =
    "SELECT value, ts FROM samples WHERE series = ?1 AND ts BETWEEN ?2 AND ?3 ORDER BY ts";
constexpr char kMax[] =
    "SELECT max(value), (ts - ?2) / 60000 FROM samples WHERE series = ?1 AND ts BETWEEN ?2 AND ?3 "
    "GROUP BY 2";
constexpr char kAverage[] =
    "SELECT avg(value) FROM samples WHERE series = ?1 AND ts BETWEEN ?2 AND ?3";
static_assert(kMaxStepMs == 60'000, "stands in kMax");

const char* TextOf(QuestionKind kind) {
  switch (kind) {
    case QuestionKind::kLatest:
      return kLatest;
    case QuestionKind::kRaw:
      return kRaw;
    case QuestionKind::kMax:
      return kMax;
    case QuestionKind::kAverage:
      break;
  }
  return kAverage;
}

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

class SqliteStore : public Store {
 public:
  std::string version() const override { return sqlite3_libversion(); }

  Status Open(const StoreOptions& options) override {
    options_ = options;
    path_ = options.directory + "/samples.sqlite";
    sqlite3* opened = nullptr;
    const int error = sqlite3_open(path_.c_str(), &opened);
    database_.reset(opened);
    NEXUS_RETURN_IF_ERROR(Converted(error, "open"));
    NEXUS_RETURN_IF_ERROR(Run("PRAGMA journal_mode=WAL"));
    NEXUS_RETURN_IF_ERROR(
        Run(options.durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF"));
    // Negative: in KiB.
    constexpr size_t kCacheKib = (kWriteMemoryBytes + kCacheBytes) / 1024;
    NEXUS_RETURN_IF_ERROR(Run(fmt::format("PRAGMA cache_size=-{}", kCacheKib)));
    NEXUS_RETURN_IF_ERROR(
        Run("CREATE TABLE IF NOT EXISTS samples (series INTEGER, ts INTEGER, value REAL, "
            "PRIMARY KEY (series, ts)) WITHOUT ROWID"));
    return Prepare(kInsert, &insert_);
  }

  Status Append(std::span<const Row> batch) override {
    NEXUS_RETURN_IF_ERROR(Run("BEGIN"));
    Status inserted = Insert(batch);
    if (!inserted.ok()) {
      Run("ROLLBACK").IgnoreError();  // the first error is the one to tell
      return inserted;
    }
    return Run("COMMIT");
  }

  Status Settle() override { return Run("PRAGMA wal_checkpoint(TRUNCATE)"); }

  StatusOr<bool> Compact() override {
    NEXUS_RETURN_IF_ERROR(Run("VACUUM"));
    NEXUS_RETURN_IF_ERROR(Settle());
    return true;
  }

  StatusOr<Answer> Ask(const Question& question) override {
    if (question_ == nullptr || question_kind_ != question.kind) {
      NEXUS_RETURN_IF_ERROR(Prepare(TextOf(question.kind), &question_));
      question_kind_ = question.kind;
    }
    Answer answer;
    for (size_t source : question.sources) {
      NEXUS_RETURN_IF_ERROR(AddSource(source, question, &answer));
    }
    if (!question.sources.empty()) return answer;
    for (size_t source = 0; source < options_.workload->sources().size(); source++) {
      NEXUS_RETURN_IF_ERROR(AddSource(source, question, &answer));
    }
    return answer;
  }

  StatusOr<Totals> Scan() override {
    Statement all;
    NEXUS_RETURN_IF_ERROR(Prepare("SELECT value FROM samples", &all));
    Answer answer;
    NEXUS_RETURN_IF_ERROR(AddRows(all.get(), &answer));
    return Totals{answer.count, answer.sum};
  }

  Status Close() override {
    insert_.reset();
    question_.reset();
    database_.reset();
    return OkStatus();
  }

 private:
  Status Converted(int error, std::string_view operation) const {
    if (error == SQLITE_OK || error == SQLITE_ROW || error == SQLITE_DONE) return OkStatus();
    return Unavailable("sqlite {} {}: {}", operation, path_, sqlite3_errmsg(database_.get()));
  }

  Status Run(const std::string& text) {
    const int error = sqlite3_exec(database_.get(), text.c_str(), nullptr, nullptr, nullptr);
    return Converted(error, text);
  }

  Status Prepare(const char* text, Statement* statement) {
    sqlite3_stmt* prepared = nullptr;
    const int error = sqlite3_prepare_v3(database_.get(), text, -1, SQLITE_PREPARE_PERSISTENT,
                                         &prepared, nullptr);
    statement->reset(prepared);
    return Converted(error, text);
  }

  Status Insert(std::span<const Row> batch) {
    const size_t metrics = options_.workload->metrics().size();
    for (const Row& row : batch) {
      for (size_t i = 0; i < row.values.size(); i++) {
        const auto series = static_cast<int64_t>(row.source * metrics + row.metrics[i]);
        sqlite3_bind_int64(insert_.get(), 1, series);
        sqlite3_bind_int64(insert_.get(), 2, row.timestamp_ms);
        sqlite3_bind_double(insert_.get(), 3, row.values[i]);
        const int error = sqlite3_step(insert_.get());
        sqlite3_reset(insert_.get());
        NEXUS_RETURN_IF_ERROR(Converted(error, "insert into"));
      }
    }
    return OkStatus();
  }

  Status AddSource(size_t source, const Question& question, Answer* answer) {
    const auto series = static_cast<int64_t>(source * options_.workload->metrics().size());
    sqlite3_bind_int64(question_.get(), 1, series);
    sqlite3_bind_int64(question_.get(), 2, question.from_ms);
    sqlite3_bind_int64(question_.get(), 3, question.to_ms);
    return AddRows(question_.get(), answer);
  }

  // Runs a statement to its end. A value that is NULL is none.
  Status AddRows(sqlite3_stmt* statement, Answer* answer) {
    int at = sqlite3_step(statement);
    for (; at == SQLITE_ROW; at = sqlite3_step(statement)) {
      if (sqlite3_column_type(statement, 0) == SQLITE_NULL) continue;
      answer->count++;
      answer->sum += sqlite3_column_double(statement, 0);
    }
    sqlite3_reset(statement);
    return Converted(at, "read");
  }

  StoreOptions options_;
  std::string path_;
  std::unique_ptr<sqlite3, CloseDatabase> database_;  // outlives its statements
  Statement insert_;
  Statement question_;
  QuestionKind question_kind_ = QuestionKind::kLatest;
};

}  // namespace

std::unique_ptr<Store> NewSqliteStore() { return std::make_unique<SqliteStore>(); }

}  // namespace nexus::bench
