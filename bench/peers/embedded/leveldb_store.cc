// LevelDB as a store: one key a sample, a synchronous write a batch, snappy blocks (its default).
//
// Does no work for labels: see store.h. Keys and questions: key_value.h.

#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/write_batch.h>

#include <memory>
#include <string>

#include "bench/peers/embedded/key_value.h"
#include "bench/peers/embedded/store.h"

namespace nexus::bench {
namespace {

Status Converted(const leveldb::Status& status, std::string_view operation) {
  if (status.ok()) return OkStatus();
  return Unavailable("leveldb {}: {}", operation, status.ToString());
}

leveldb::Slice SliceOf(std::string_view text) { return {text.data(), text.size()}; }
std::string_view TextOf(const leveldb::Slice& slice) { return {slice.data(), slice.size()}; }

class LevelDbCursor {
 public:
  explicit LevelDbCursor(leveldb::DB* db) : iterator_(db->NewIterator(leveldb::ReadOptions())) {}

  bool SeekFirst() {
    iterator_->SeekToFirst();
    return iterator_->Valid();
  }
  bool Seek(std::string_view key) {
    iterator_->Seek(SliceOf(key));
    return iterator_->Valid();
  }
  bool SeekBack(std::string_view at_most) {
    if (!Seek(at_most)) {
      iterator_->SeekToLast();
    } else if (key() > at_most) {
      iterator_->Prev();
    }
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
  const std::unique_ptr<leveldb::Iterator> iterator_;
};

class LevelDbStore : public Store {
 public:
  std::string version() const override {
    return fmt::format("{}.{}", leveldb::kMajorVersion, leveldb::kMinorVersion);
  }

  Status Open(const StoreOptions& options) override {
    options_ = options;
    cache_.reset(leveldb::NewLRUCache(kCacheBytes));
    leveldb::Options settings;
    settings.create_if_missing = true;
    settings.block_cache = cache_.get();
    // It holds two: one that is written to and one that is being sorted into a file.
    settings.write_buffer_size = kWriteMemoryBytes / 2;
    leveldb::DB* opened = nullptr;
    const leveldb::Status status = leveldb::DB::Open(settings, options.directory, &opened);
    db_.reset(opened);
    return Converted(status, fmt::format("open {}", options.directory));
  }

  Status Append(std::span<const Row> batch) override {
    batch_.Clear();
    NEXUS_RETURN_IF_ERROR(PutEach(batch, options_.workload->metrics().size(),
                                  [this](const Key& key, const double& value) {
                                    batch_.Put(SliceOf(key.text()), SliceOf(ValueText(value)));
                                    return OkStatus();
                                  }));
    leveldb::WriteOptions settings;
    settings.sync = options_.durable;
    return Converted(db_->Write(settings, &batch_), "write");
  }

  // It has no call for that, but opening sorts what its log held into files.
  Status Settle() override {
    NEXUS_RETURN_IF_ERROR(Close());
    return Open(options_);
  }

  StatusOr<bool> Compact() override {
    db_->CompactRange(nullptr, nullptr);
    return true;
  }

  StatusOr<Answer> Ask(const Question& question) override {
    LevelDbCursor cursor(db_.get());
    return AnswerByWalking(&cursor, *options_.workload, question);
  }

  StatusOr<Totals> Scan() override {
    LevelDbCursor cursor(db_.get());
    return ScanByWalking(&cursor);
  }

  Status Close() override {
    db_.reset();
    return OkStatus();
  }

 private:
  StoreOptions options_;
  std::unique_ptr<leveldb::Cache> cache_;  // outlives the database
  std::unique_ptr<leveldb::DB> db_;
  leveldb::WriteBatch batch_;
};

}  // namespace

std::unique_ptr<Store> NewLevelDbStore() { return std::make_unique<LevelDbStore>(); }

}  // namespace nexus::bench
