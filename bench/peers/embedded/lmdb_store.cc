// LMDB as a store: one key a sample, a transaction with sorted puts a batch, synced at its commit.
//
// Its memory is the kernel's page cache: the limits of store.h do not apply. Does no work for
// labels: see store.h. Keys and questions: key_value.h.

#include <lmdb.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "bench/peers/embedded/key_value.h"
#include "bench/peers/embedded/store.h"

namespace nexus::bench {
namespace {

// Address space, not memory: 43.2 M samples take 2.8 GB.
constexpr size_t kMapBytes = 64ull << 30;

Status Converted(int error, std::string_view operation) {
  if (error == MDB_SUCCESS) return OkStatus();
  return Unavailable("lmdb {}: {}", operation, mdb_strerror(error));
}

MDB_val Given(std::string_view text) { return {text.size(), const_cast<char*>(text.data())}; }
std::string_view TextOf(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

// A read transaction and a cursor in it.
class LmdbCursor {
 public:
  LmdbCursor() = default;
  LmdbCursor(const LmdbCursor&) = delete;
  LmdbCursor& operator=(const LmdbCursor&) = delete;
  ~LmdbCursor() {
    if (cursor_ != nullptr) mdb_cursor_close(cursor_);
    if (transaction_ != nullptr) mdb_txn_abort(transaction_);
  }

  Status Open(MDB_env* environment, MDB_dbi table) {
    const int error = mdb_txn_begin(environment, nullptr, MDB_RDONLY, &transaction_);
    NEXUS_RETURN_IF_ERROR(Converted(error, "begin a read"));
    return Converted(mdb_cursor_open(transaction_, table, &cursor_), "open a cursor");
  }

  bool SeekFirst() { return Move(MDB_FIRST); }
  bool Seek(std::string_view key) {
    key_ = Given(key);
    return Move(MDB_SET_RANGE);
  }
  bool SeekBack(std::string_view at_most) {
    if (!Seek(at_most)) return Move(MDB_LAST);
    return key() == at_most || Move(MDB_PREV);
  }
  bool Next() { return Move(MDB_NEXT); }
  std::string_view key() const { return TextOf(key_); }
  std::string_view value() const { return TextOf(value_); }
  Status status() const { return Converted(error_ == MDB_NOTFOUND ? MDB_SUCCESS : error_, "read"); }

 private:
  bool Move(MDB_cursor_op operation) {
    error_ = mdb_cursor_get(cursor_, &key_, &value_, operation);
    return error_ == MDB_SUCCESS;
  }

  MDB_txn* transaction_ = nullptr;
  MDB_cursor* cursor_ = nullptr;
  MDB_val key_ = {};
  MDB_val value_ = {};
  int error_ = MDB_SUCCESS;
};

class LmdbStore : public Store {
 public:
  LmdbStore() = default;
  LmdbStore(const LmdbStore&) = delete;
  LmdbStore& operator=(const LmdbStore&) = delete;
  ~LmdbStore() override { CloseEnvironment(); }

  std::string version() const override {
    return fmt::format("{}.{}.{}", MDB_VERSION_MAJOR, MDB_VERSION_MINOR, MDB_VERSION_PATCH);
  }

  Status Open(const StoreOptions& options) override {
    options_ = options;
    NEXUS_RETURN_IF_ERROR(Converted(mdb_env_create(&environment_), "start"));
    NEXUS_RETURN_IF_ERROR(Converted(mdb_env_set_mapsize(environment_, kMapBytes), "set its size"));
    const unsigned flags = options.durable ? 0 : MDB_NOSYNC;
    const int error = mdb_env_open(environment_, options.directory.c_str(), flags, 0644);
    NEXUS_RETURN_IF_ERROR(Converted(error, fmt::format("open {}", options.directory)));
    MDB_txn* transaction = nullptr;
    NEXUS_RETURN_IF_ERROR(
        Converted(mdb_txn_begin(environment_, nullptr, 0, &transaction), "begin"));
    const int opened = mdb_dbi_open(transaction, nullptr, 0, &table_);
    if (opened != MDB_SUCCESS) mdb_txn_abort(transaction);
    NEXUS_RETURN_IF_ERROR(Converted(opened, "open its table"));
    return Converted(mdb_txn_commit(transaction), "commit");
  }

  Status Append(std::span<const Row> batch) override {
    MDB_txn* transaction = nullptr;
    NEXUS_RETURN_IF_ERROR(
        Converted(mdb_txn_begin(environment_, nullptr, 0, &transaction), "begin"));
    Status put = PutSorted(transaction, batch);
    if (!put.ok()) {
      mdb_txn_abort(transaction);
      return put;
    }
    return Converted(mdb_txn_commit(transaction), "commit");
  }

  // Every commit is where it stays already, but for its sync if that was put off.
  Status Settle() override { return Converted(mdb_env_sync(environment_, 1), "sync"); }

  // A copy without the free pages, in the place of the file.
  StatusOr<bool> Compact() override {
    const std::filesystem::path directory(options_.directory);
    const std::filesystem::path copy = directory / "copy";
    std::error_code error;
    std::filesystem::create_directory(copy, error);
    if (error) return Unavailable("lmdb: make {}: {}", copy.string(), error.message());
    NEXUS_RETURN_IF_ERROR(
        Converted(mdb_env_copy2(environment_, copy.c_str(), MDB_CP_COMPACT), "copy"));
    CloseEnvironment();
    std::filesystem::rename(copy / "data.mdb", directory / "data.mdb", error);
    if (error) return Unavailable("lmdb: rename {}: {}", copy.string(), error.message());
    std::filesystem::remove_all(copy, error);
    NEXUS_RETURN_IF_ERROR(Open(options_));
    return true;
  }

  StatusOr<Answer> Ask(const Question& question) override {
    LmdbCursor cursor;
    NEXUS_RETURN_IF_ERROR(cursor.Open(environment_, table_));
    return AnswerByWalking(&cursor, *options_.workload, question);
  }

  StatusOr<Totals> Scan() override {
    LmdbCursor cursor;
    NEXUS_RETURN_IF_ERROR(cursor.Open(environment_, table_));
    return ScanByWalking(&cursor);
  }

  Status Close() override {
    if (environment_ == nullptr) return OkStatus();
    Status status = Settle();
    CloseEnvironment();
    return status;
  }

 private:
  // Sorted, neighbours in a page are put one after the other. Equal keys keep their order: the
  // later one wins.
  Status PutSorted(MDB_txn* transaction, std::span<const Row> batch) {
    sorted_.clear();
    auto hold = [this](const Key& key, double value) {
      sorted_.emplace_back(key, value);
      return OkStatus();
    };
    NEXUS_RETURN_IF_ERROR(PutEach(batch, options_.workload->metrics().size(), hold));
    std::ranges::stable_sort(sorted_, {}, [](const auto& entry) { return entry.first.text(); });
    for (const auto& [key, value] : sorted_) {
      MDB_val key_given = Given(key.text());
      MDB_val value_given = Given(ValueText(value));
      const int error = mdb_put(transaction, table_, &key_given, &value_given, 0);
      NEXUS_RETURN_IF_ERROR(Converted(error, fmt::format("put into {}", options_.directory)));
    }
    return OkStatus();
  }

  void CloseEnvironment() {
    if (environment_ != nullptr) mdb_env_close(environment_);
    environment_ = nullptr;
  }

  StoreOptions options_;
  MDB_env* environment_ = nullptr;
  MDB_dbi table_ = 0;
  std::vector<std::pair<Key, double>> sorted_;
};

}  // namespace

std::unique_ptr<Store> NewLmdbStore() { return std::make_unique<LmdbStore>(); }

}  // namespace nexus::bench
