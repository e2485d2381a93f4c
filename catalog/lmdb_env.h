// A thin layer over LMDB: environment, transactions, cursors, checked values, errors with names.
//
// Values go in and out through here alone, so each is sealed with its checksum when written and
// checked when read (format.h). Threading: LmdbEnv is shared; a transaction and its cursors belong
// to one thread at a time, a write transaction to the one that began it.
// How it fails: Error() turns LMDB's codes into statuses with the folder, the operation and the
// way out.

#ifndef NEXUS_CATALOG_LMDB_ENV_H_
#define NEXUS_CATALOG_LMDB_ENV_H_

#include <lmdb.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"
#include "catalog/format.h"

namespace nexus::catalog {

// The folder of the database that a catalog's folder is in, as `nexus catalog rebuild` wants it.
std::string DatabaseDirectory(const std::string& catalog_directory);

struct LmdbOptions {
  std::string directory;
  uint64_t map_bytes = 0;
  uint32_t readers_max = 0;
  bool read_only = false;
  // Read-only, and nobody else has it open: not even the reader table is written.
  bool exclusive = false;
};

class LmdbEnv {
 public:
  // Opens or (unless read_only) makes data.mdb and lock.mdb in the folder; opens no tree. Errors:
  // NotFound if read_only and there is no file or folder, OutOfRange if read_only and the file has
  // no bytes, and those of Error().
  static StatusOr<std::shared_ptr<LmdbEnv>> Open(const LmdbOptions& options);
  ~LmdbEnv();
  LmdbEnv(const LmdbEnv&) = delete;
  LmdbEnv& operator=(const LmdbEnv&) = delete;

  // Opens all trees, or makes them if `create`. False if one is missing. Before any other use.
  StatusOr<bool> OpenTrees(bool create);

  MDB_env* get() const { return env_; }
  MDB_dbi dbi(Tree tree) const { return dbis_[IndexOf(tree)]; }
  const std::array<MDB_dbi, kTrees>& dbis() const { return dbis_; }
  const std::string& directory() const { return options_.directory; }
  const LmdbOptions& options() const { return options_; }

  // The status of an LMDB code or errno, never OK.
  Status Error(int code, std::string_view operation) const;
  // DataLoss for a value that fails its checksum or its decoder.
  Status Damaged(Tree tree, std::string_view key) const;

 private:
  explicit LmdbEnv(LmdbOptions options) : options_(std::move(options)) {}

  const LmdbOptions options_;
  MDB_env* env_ = nullptr;
  std::array<MDB_dbi, kTrees> dbis_{};
};

// A payload with room for its checksum before it, built in a buffer that is used again.
class ValueBuilder {
 public:
  ValueBuilder() { Clear(); }
  void Clear() { bytes_.assign(kChecksumBytes, '\0'); }
  std::string* bytes() { return &bytes_; }  // append to it
  ByteWriter writer() { return ByteWriter(&bytes_); }
  std::string_view Seal(Tree tree, std::string_view key);

 private:
  std::string bytes_;
};

// A handle: what it writes is the environment's, so writing through a const one is fine. Ends
// without effect unless Commit was called.
class LmdbTxn {
 public:
  enum class Kind : uint8_t { kRead, kWrite };
  static StatusOr<LmdbTxn> Begin(std::shared_ptr<const LmdbEnv> env, Kind kind);
  LmdbTxn(LmdbTxn&& other) noexcept;
  LmdbTxn& operator=(LmdbTxn&&) = delete;
  ~LmdbTxn();

  MDB_txn* get() const { return txn_; }
  const LmdbEnv& env() const { return *env_; }

  // The payload under a key, checked, or nullopt. Valid until the next write or the end of the
  // transaction.
  StatusOr<std::optional<std::string_view>> Get(Tree tree, std::string_view key) const;
  Status Put(Tree tree, std::string_view key, ValueBuilder* value) const;
  // An absent key is fine.
  Status Delete(Tree tree, std::string_view key) const;
  uint64_t Entries(Tree tree) const;
  // Bytes of the pages that hold data, LMDB's own included; of all pages of the file.
  uint64_t BytesInUse() const;
  uint64_t BytesInFile() const;

  // Ends the transaction, whatever comes of it; the LMDB code.
  int Commit();

 private:
  LmdbTxn(std::shared_ptr<const LmdbEnv> env, MDB_txn* txn) : env_(std::move(env)), txn_(txn) {}

  std::shared_ptr<const LmdbEnv> env_;
  MDB_txn* txn_;
};

// A place in one tree. REQUIRES: the transaction outlives it and stays where it is.
class LmdbCursor {
 public:
  LmdbCursor(const LmdbTxn& txn, Tree tree);
  ~LmdbCursor();
  LmdbCursor(const LmdbCursor&) = delete;
  LmdbCursor& operator=(const LmdbCursor&) = delete;

  // Each returns whether it stands on an entry afterwards; if not, only a Seek may follow.
  StatusOr<bool> First();
  StatusOr<bool> SeekAtOrAfter(std::string_view key);
  StatusOr<bool> SeekAtOrBefore(std::string_view key);
  StatusOr<bool> Next();

  std::string_view key() const { return key_; }
  // The payload here, checked. Both valid until the next move or write.
  StatusOr<std::string_view> Payload() const;

  // Writes `key`; the cursor stands on it.
  Status Put(std::string_view key, ValueBuilder* value);
  // Writes `key` unless it is there: then `existing` is its payload, checked.
  Status PutIfAbsent(std::string_view key, ValueBuilder* value,
                     std::optional<std::string_view>* existing);
  // Removes the entry here.
  Status DeleteHere();

 private:
  StatusOr<bool> Move(MDB_cursor_op op);

  const LmdbTxn& txn_;
  const Tree tree_;
  MDB_cursor* cursor_ = nullptr;
  std::string_view key_;
  std::string_view value_;
};

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_LMDB_ENV_H_
