// RocksDB as a store: one key a sample, a synchronous write a batch, zstd blocks on every level.
//
// Does no work for labels: see store.h. Keys and questions: key_value.h.

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/version.h>
#include <rocksdb/write_batch.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "bench/peers/embedded/key_value.h"
#include "bench/peers/embedded/store.h"

namespace nexus::bench {
namespace {

Status Converted(const rocksdb::Status& status, std::string_view operation) {
  if (status.ok()) return OkStatus();
  return Unavailable("rocksdb {}: {}", operation, status.ToString());
}

rocksdb::Slice SliceOf(std::string_view text) { return {text.data(), text.size()}; }
std::string_view TextOf(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

class RocksDbCursor {
 public:
  explicit RocksDbCursor(rocksdb::DB* db) : iterator_(db->NewIterator(rocksdb::ReadOptions())) {}

  bool SeekFirst() {
    iterator_->SeekToFirst();
    return iterator_->Valid();
  }
  bool Seek(std::string_view key) {
    iterator_->Seek(SliceOf(key));
    return iterator_->Valid();
  }
  bool SeekBack(std::string_view at_most) {
    iterator_->SeekForPrev(SliceOf(at_most));
    return iterator_->Valid();
  }
  bool Next() {
    iterator_->Next();
    return iterator_->Valid();
  }
  std::string_view key() const { return TextOf(iterator_->key()); }
  std::string_view value() const { return TextOf(iterator_->value()); }
  Status status() const { return Converted(iterator_->status(), "read"); }

 private:
  const std::unique_ptr<rocksdb::Iterator> iterator_;
};

class RocksDbStore : public Store {
 public:
  std::string version() const override {
    return fmt::format("{}.{}.{}", ROCKSDB_MAJOR, ROCKSDB_MINOR, ROCKSDB_PATCH);
  }

  Status Open(const StoreOptions& options) override {
    options_ = options;
    rocksdb::Options settings;
    settings.create_if_missing = true;
    settings.compression = rocksdb::kZSTD;
    // It holds two: one that is written to and one that is being sorted into a file.
    settings.write_buffer_size = kWriteMemoryBytes / 2;
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(kCacheBytes);
    settings.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    rocksdb::DB* opened = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(settings, options.directory, &opened);
    db_.reset(opened);
    return Converted(status, fmt::format("open {}", options.directory));
  }

  Status Append(std::span<const Row> batch) override {
    batch_.Clear();
    auto put = [this](const Key& key, const double& value) {
      return Converted(batch_.Put(SliceOf(key.text()), SliceOf(ValueText(value))), "put");
    };
    NEXUS_RETURN_IF_ERROR(PutEach(batch, options_.workload->metrics().size(), put));
    rocksdb::WriteOptions settings;
    settings.sync = options_.durable;
    return Converted(db_->Write(settings, &batch_), "write");
  }

  Status Settle() override {
    NEXUS_RETURN_IF_ERROR(Converted(db_->Flush(rocksdb::FlushOptions()), "flush"));
    while (Counted("rocksdb.compaction-pending") + Counted("rocksdb.num-running-compactions") > 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return OkStatus();
  }

  StatusOr<bool> Compact() override {
    rocksdb::CompactRangeOptions settings;
    settings.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
    NEXUS_RETURN_IF_ERROR(Converted(db_->CompactRange(settings, nullptr, nullptr), "compact"));
    return true;
  }

  StatusOr<Answer> Ask(const Question& question) override {
    RocksDbCursor cursor(db_.get());
    return AnswerByWalking(&cursor, *options_.workload, question);
  }

  StatusOr<Totals> Scan() override {
    RocksDbCursor cursor(db_.get());
    return ScanByWalking(&cursor);
  }

  Status Close() override {
    if (db_ == nullptr) return OkStatus();
    Status status = Converted(db_->Close(), "close");
    db_.reset();
    return status;
  }

 private:
  uint64_t Counted(const std::string& property) const {
    uint64_t value = 0;
    return db_->GetIntProperty(property, &value) ? value : 0;
  }

  StoreOptions options_;
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::WriteBatch batch_;
};

}  // namespace

std::unique_ptr<Store> NewRocksDbStore() { return std::make_unique<RocksDbStore>(); }

}  // namespace nexus::bench
