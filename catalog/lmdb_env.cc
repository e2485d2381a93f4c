// LMDB behind names, checks and statuses. See lmdb_env.h.

#include "catalog/lmdb_env.h"

#include <cerrno>
#include <utility>

#include "base/check.h"

namespace nexus::catalog {
namespace {

// NOTLS: a read transaction may move between threads. NORDAHEAD: look-ups are random.
// NOMETASYNC: one flush a commit instead of two; the catalog makes up for it with Sync. Never
// WRITEMAP (a stray pointer would damage the file) nor NOSYNC (a power cut would).
constexpr unsigned kEnvFlags = MDB_NOTLS | MDB_NORDAHEAD | MDB_NOMETASYNC;
constexpr mdb_mode_t kFileMode = 0644;
constexpr uint64_t kMapAlignment = 1 << 16;  // no page of any machine is larger

MDB_val ToVal(std::string_view s) { return {s.size(), const_cast<char*>(s.data())}; }
std::string_view FromVal(const MDB_val& v) {
  return {static_cast<const char*>(v.mv_data), v.mv_size};
}

// The payload of a value whose checksum holds, or nullopt.
std::optional<std::string_view> Unseal(Tree tree, std::string_view key, std::string_view value) {
  if (value.size() < kChecksumBytes) return std::nullopt;
  std::string_view payload = value.substr(kChecksumBytes);
  bool good = LoadUnaligned<uint64_t>(value.data()) == ValueChecksum(tree, key, payload);
  return good ? std::optional(payload) : std::nullopt;
}

std::string Hex(std::string_view bytes) {
  std::string out;
  for (char c : bytes) out += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return out;
}

}  // namespace

StatusOr<std::shared_ptr<LmdbEnv>> LmdbEnv::Open(const LmdbOptions& options) {
  std::shared_ptr<LmdbEnv> env(new LmdbEnv(options));
  int rc = mdb_env_create(&env->env_);
  if (rc != MDB_SUCCESS) {
    env->env_ = nullptr;
    return env->Error(rc, "create");
  }
  rc = mdb_env_set_mapsize(env->env_, options.map_bytes / kMapAlignment * kMapAlignment);
  if (rc == MDB_SUCCESS) rc = mdb_env_set_maxdbs(env->env_, kTrees);
  if (rc == MDB_SUCCESS) rc = mdb_env_set_maxreaders(env->env_, options.readers_max);
  if (rc != MDB_SUCCESS) return env->Error(rc, "configure");
  unsigned flags = kEnvFlags | (options.read_only ? MDB_RDONLY : 0) |
                   (options.read_only && options.exclusive ? MDB_NOLOCK : 0);
  rc = mdb_env_open(env->env_, options.directory.c_str(), flags, kFileMode);
  if (rc == ENOENT) return NotFound("{}: no catalog there", options.directory);
  // LMDB begins a file of no bytes by writing its first pages, which a read-only one refuses.
  if (rc == EBADF && options.read_only) {
    return OutOfRange("{}: the catalog's file is empty", options.directory);
  }
  if (rc != MDB_SUCCESS) return env->Error(rc, "open");
  // Slots of readers whose process died; without this they would keep pages from being used again.
  int dead = 0;
  rc = mdb_reader_check(env->env_, &dead);
  if (rc != MDB_SUCCESS) return env->Error(rc, "check the readers of");
  return env;
}

LmdbEnv::~LmdbEnv() {
  if (env_ != nullptr) mdb_env_close(env_);
}

StatusOr<bool> LmdbEnv::OpenTrees(bool create) {
  MDB_txn* txn = nullptr;
  int rc = mdb_txn_begin(env_, nullptr, create ? 0 : MDB_RDONLY, &txn);
  if (rc != MDB_SUCCESS) return Error(rc, "begin on");
  for (size_t i = 0; i < kTrees && rc == MDB_SUCCESS; i++) {
    rc = mdb_dbi_open(txn, kTreeNames[i], create ? MDB_CREATE : 0, &dbis_[i]);
  }
  if (rc != MDB_SUCCESS) {
    mdb_txn_abort(txn);
    if (rc == MDB_NOTFOUND) return false;
    return Error(rc, "open the trees of");
  }
  rc = mdb_txn_commit(txn);
  if (rc != MDB_SUCCESS) return Error(rc, "commit to");
  return true;
}

std::string DatabaseDirectory(const std::string& catalog_directory) {
  size_t slash = catalog_directory.rfind('/');
  return slash == std::string::npos ? "." : catalog_directory.substr(0, slash);
}

Status LmdbEnv::Error(int code, std::string_view operation) const {
  switch (code) {
    case MDB_MAP_FULL:
      return ResourceExhausted(
          "catalog {}: the map of {} bytes is full; open the database with a larger one",
          directory(), options_.map_bytes);
    case MDB_TXN_FULL:
      return ResourceExhausted("catalog {}: a transaction has grown too large", directory());
    case MDB_READERS_FULL:
      return ResourceExhausted("catalog {}: {} queries read it at once; no more fit", directory(),
                               options_.readers_max);
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INCOMPATIBLE:
    case MDB_VERSION_MISMATCH:
    case MDB_BAD_TXN:
    case MDB_CURSOR_FULL:
    case MDB_PAGE_FULL:
      return DataLoss("catalog {}: cannot {} it: {}; run nexus catalog rebuild {}", directory(),
                      operation, mdb_strerror(code), DatabaseDirectory(directory()));
    case MDB_PANIC:
      return Unavailable("catalog {}: a write has failed before; reopen the database", directory());
    case MDB_MAP_RESIZED:
      return Unavailable("catalog {}: another process has made it larger; reopen it", directory());
    default:
      break;
  }
  if (code > 0) return ErrnoStatus(code, fmt::format("{} the catalog", operation), directory());
  return Unavailable("catalog {}: cannot {} it: {}", directory(), operation, mdb_strerror(code));
}

Status LmdbEnv::Damaged(Tree tree, std::string_view key) const {
  return DataLoss("catalog {}: {} value with key {} is damaged; run nexus catalog rebuild {}",
                  directory(), NameOf(tree), Hex(key), DatabaseDirectory(directory()));
}

std::string_view ValueBuilder::Seal(Tree tree, std::string_view key) {
  std::string_view payload = std::string_view(bytes_).substr(kChecksumBytes);
  StoreUnaligned(bytes_.data(), ValueChecksum(tree, key, payload));
  return bytes_;
}

StatusOr<LmdbTxn> LmdbTxn::Begin(std::shared_ptr<const LmdbEnv> env, Kind kind) {
  MDB_txn* txn = nullptr;
  int rc = mdb_txn_begin(env->get(), nullptr, kind == Kind::kRead ? MDB_RDONLY : 0, &txn);
  if (rc != MDB_SUCCESS) return env->Error(rc, "begin a transaction on");
  return LmdbTxn(std::move(env), txn);
}

LmdbTxn::LmdbTxn(LmdbTxn&& other) noexcept
    : env_(std::move(other.env_)), txn_(std::exchange(other.txn_, nullptr)) {}

LmdbTxn::~LmdbTxn() {
  if (txn_ != nullptr) mdb_txn_abort(txn_);
}

StatusOr<std::optional<std::string_view>> LmdbTxn::Get(Tree tree, std::string_view key) const {
  MDB_val k = ToVal(key);
  MDB_val v;
  int rc = mdb_get(txn_, env_->dbi(tree), &k, &v);
  if (rc == MDB_NOTFOUND) return std::optional<std::string_view>();
  if (rc != MDB_SUCCESS) return env_->Error(rc, "read");
  std::optional<std::string_view> payload = Unseal(tree, key, FromVal(v));
  if (!payload) return env_->Damaged(tree, key);
  return payload;
}

Status LmdbTxn::Put(Tree tree, std::string_view key, ValueBuilder* value) const {
  MDB_val k = ToVal(key);
  MDB_val v = ToVal(value->Seal(tree, key));
  int rc = mdb_put(txn_, env_->dbi(tree), &k, &v, 0);
  return rc == MDB_SUCCESS ? OkStatus() : env_->Error(rc, "write");
}

Status LmdbTxn::Delete(Tree tree, std::string_view key) const {
  MDB_val k = ToVal(key);
  int rc = mdb_del(txn_, env_->dbi(tree), &k, nullptr);
  return rc == MDB_SUCCESS || rc == MDB_NOTFOUND ? OkStatus() : env_->Error(rc, "write");
}

uint64_t LmdbTxn::Entries(Tree tree) const {
  MDB_stat stat{};
  NEXUS_CHECK(mdb_stat(txn_, env_->dbi(tree), &stat) == MDB_SUCCESS);
  return stat.ms_entries;
}

uint64_t LmdbTxn::BytesInUse() const {
  // LMDB's own trees, of free pages (0) and of named trees (1), have the first two numbers.
  constexpr MDB_dbi kOwnTrees[] = {0, 1};
  constexpr uint64_t kMetaPages = 2;
  uint64_t pages = kMetaPages;
  MDB_stat stat{};
  auto add = [&](MDB_dbi dbi) {
    NEXUS_CHECK(mdb_stat(txn_, dbi, &stat) == MDB_SUCCESS);
    pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
  };
  for (MDB_dbi dbi : kOwnTrees) add(dbi);
  for (MDB_dbi dbi : env_->dbis()) add(dbi);
  return pages * stat.ms_psize;
}

uint64_t LmdbTxn::BytesInFile() const {
  MDB_envinfo info{};
  MDB_stat stat{};
  NEXUS_CHECK(mdb_env_info(env_->get(), &info) == MDB_SUCCESS);
  NEXUS_CHECK(mdb_env_stat(env_->get(), &stat) == MDB_SUCCESS);
  return (info.me_last_pgno + 1) * stat.ms_psize;
}

// LMDB calls a write that was short EIO, of its own accord: a disk that has room for a part of it
// does that. Nothing refers to those pages yet, so it is as harmless as ENOSPC - unlike a call that
// failed with EIO, a flush above all, which is known by errno.
int LmdbTxn::Commit() {
  errno = 0;
  const int rc = mdb_txn_commit(std::exchange(txn_, nullptr));
  return rc == EIO && errno != EIO ? ENOSPC : rc;
}

LmdbCursor::LmdbCursor(const LmdbTxn& txn, Tree tree) : txn_(txn), tree_(tree) {
  // Fails only for a transaction that is over or a tree that was never opened.
  NEXUS_CHECK(mdb_cursor_open(txn.get(), txn.env().dbi(tree), &cursor_) == MDB_SUCCESS);
}

LmdbCursor::~LmdbCursor() { mdb_cursor_close(cursor_); }

StatusOr<bool> LmdbCursor::Move(MDB_cursor_op op) {
  MDB_val k = ToVal(key_);
  MDB_val v{};
  int rc = mdb_cursor_get(cursor_, &k, &v, op);
  if (rc == MDB_NOTFOUND) {
    key_ = {};
    value_ = {};
    return false;
  }
  if (rc != MDB_SUCCESS) return txn_.env().Error(rc, "read");
  key_ = FromVal(k);
  value_ = FromVal(v);
  return true;
}

StatusOr<bool> LmdbCursor::First() { return Move(MDB_FIRST); }

StatusOr<bool> LmdbCursor::SeekAtOrAfter(std::string_view key) {
  key_ = key;
  return Move(MDB_SET_RANGE);
}

StatusOr<bool> LmdbCursor::SeekAtOrBefore(std::string_view key) {
  NEXUS_ASSIGN_OR_RETURN(bool found, SeekAtOrAfter(key));
  if (!found) return Move(MDB_LAST);
  if (key_ == key) return true;
  return Move(MDB_PREV);
}

StatusOr<bool> LmdbCursor::Next() { return Move(MDB_NEXT); }

StatusOr<std::string_view> LmdbCursor::Payload() const {
  std::optional<std::string_view> payload = Unseal(tree_, key_, value_);
  if (!payload) return txn_.env().Damaged(tree_, key_);
  return *payload;
}

Status LmdbCursor::Put(std::string_view key, ValueBuilder* value) {
  MDB_val k = ToVal(key);
  MDB_val v = ToVal(value->Seal(tree_, key));
  int rc = mdb_cursor_put(cursor_, &k, &v, 0);
  return rc == MDB_SUCCESS ? OkStatus() : txn_.env().Error(rc, "write");
}

Status LmdbCursor::PutIfAbsent(std::string_view key, ValueBuilder* value,
                               std::optional<std::string_view>* existing) {
  existing->reset();
  MDB_val k = ToVal(key);
  MDB_val v = ToVal(value->Seal(tree_, key));
  int rc = mdb_cursor_put(cursor_, &k, &v, MDB_NOOVERWRITE);
  if (rc == MDB_SUCCESS) return OkStatus();
  if (rc != MDB_KEYEXIST) return txn_.env().Error(rc, "write");
  *existing = Unseal(tree_, key, FromVal(v));
  return *existing ? OkStatus() : txn_.env().Damaged(tree_, key);
}

Status LmdbCursor::DeleteHere() {
  int rc = mdb_cursor_del(cursor_, 0);
  return rc == MDB_SUCCESS ? OkStatus() : txn_.env().Error(rc, "write");
}

}  // namespace nexus::catalog
