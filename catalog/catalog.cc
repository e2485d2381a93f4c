// Opening, committing and syncing the catalog. See catalog.h.

#include "catalog/catalog.h"

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "base/mutex.h"
#include "catalog/lmdb_env.h"
#include "catalog/reader_state.h"
#include "catalog/record_codec.h"
#include "catalog/tenant_purge.h"
#include "catalog/update_writer.h"

namespace nexus::catalog {
namespace {

constexpr uint64_t kMapBytesMin = 1 << 20;

// Whether a commit that failed with this code may be tried again. Space may come back; after
// anything else - a failed flush above all - what is on the disk is unknown.
bool MayRetry(int code) {
  return code == ENOSPC || code == EDQUOT || code == MDB_MAP_FULL || code == MDB_TXN_FULL;
}

// The meta record, or nullopt if none was ever committed.
StatusOr<std::optional<Meta>> ReadMeta(const std::shared_ptr<LmdbEnv>& env) {
  NEXUS_ASSIGN_OR_RETURN(bool trees, env->OpenTrees(/*create=*/false));
  if (!trees) return std::optional<Meta>();
  NEXUS_ASSIGN_OR_RETURN(LmdbTxn txn, LmdbTxn::Begin(env, LmdbTxn::Kind::kRead));
  NEXUS_ASSIGN_OR_RETURN(auto payload, txn.Get(Tree::kMeta, kMetaKey));
  if (!payload) return std::optional<Meta>();
  StatusOr<Meta> meta = DecodeMeta(*payload);
  if (!meta.ok()) return Annotate(meta.status(), fmt::format("catalog {}", env->directory()));
  return std::optional(*meta);
}

std::string ToString(DatabaseId id) { return fmt::format("{:016x}{:016x}", id.high, id.low); }

Status CheckMeta(const Meta& meta, const CatalogOptions& options) {
  if (options.database && meta.database != *options.database) {
    return FailedPrecondition(
        "catalog {} belongs to database {}, not to {}: it was copied here from another one; put "
        "the right one back, or run nexus catalog rebuild {}",
        options.directory, ToString(meta.database), ToString(*options.database),
        DatabaseDirectory(options.directory));
  }
  uint64_t unknown = meta.features.read_only & ~kKnownReadOnlyFeatures;
  if (options.mode == OpenMode::kOpen && unknown != 0) {
    return FailedPrecondition(
        "catalog {} has features {:#x} that this nexus can only read; open it read-only or use a "
        "newer release",
        options.directory, unknown);
  }
  return OkStatus();
}

// Makes the trees and the first meta record. A crash before its commit leaves an empty catalog, in
// which this may be called again.
Status CreateTrees(const std::shared_ptr<LmdbEnv>& env, const CatalogOptions& options) {
  NEXUS_CHECK(options.database.has_value());
  NEXUS_RETURN_IF_ERROR(env->OpenTrees(/*create=*/true).status());
  NEXUS_ASSIGN_OR_RETURN(LmdbTxn txn, LmdbTxn::Begin(env, LmdbTxn::Kind::kWrite));
  Meta meta;
  meta.database = *options.database;
  ValueBuilder value;
  ByteWriter writer = value.writer();
  Encode(meta, &writer);
  NEXUS_RETURN_IF_ERROR(txn.Put(Tree::kMeta, kMetaKey, &value));
  int rc = txn.Commit();
  return rc == MDB_SUCCESS ? OkStatus() : env->Error(rc, "commit to");
}

LmdbOptions ToLmdb(const CatalogOptions& options, bool read_only) {
  return {options.directory, options.map_bytes, options.readers_max, read_only, options.exclusive};
}

}  // namespace

struct Catalog::State {
  State(CatalogOptions chosen, std::shared_ptr<LmdbEnv> opened, const Meta& found)
      : options(std::move(chosen)), env(std::move(opened)), meta(found) {}

  Status CheckWritable() const;
  StatusOr<Meta> WriteAndCommit(const Update& update, const Meta& before);
  Status EndTransaction(LmdbTxn* txn);
  Status Latch(Status status);

  const CatalogOptions options;
  const std::shared_ptr<LmdbEnv> env;

  // The catalog thread's.
  UpdateWriter writer;
  Status latched;
  bool unsynced = false;
  // A commit has failed since the last good one. Its flush may have lost the last good one's meta
  // page, which no later flush would write again; the next good commit writes it anew.
  bool commit_failed = false;

  mutable Mutex mutex;
  Meta meta ABSL_GUARDED_BY(mutex);
};

Status Catalog::State::CheckWritable() const {
  if (options.mode == OpenMode::kReadOnly) {
    return FailedPrecondition("catalog {} is open read-only", options.directory);
  }
  return latched;
}

Status Catalog::State::Latch(Status status) {
  latched = Annotate(status, "the catalog takes no more writes, reopen the database");
  return status;
}

StatusOr<Meta> Catalog::State::WriteAndCommit(const Update& update, const Meta& before) {
  NEXUS_ASSIGN_OR_RETURN(LmdbTxn txn, LmdbTxn::Begin(env, LmdbTxn::Kind::kWrite));
  NEXUS_ASSIGN_OR_RETURN(Meta after, writer.Write(txn, update, before));
  NEXUS_RETURN_IF_ERROR(EndTransaction(&txn));
  return after;
}

Status Catalog::State::EndTransaction(LmdbTxn* txn) {
  const int rc = txn->Commit();
  commit_failed = rc != MDB_SUCCESS;
  if (commit_failed) {
    Status status = env->Error(rc, "commit to");
    return MayRetry(rc) ? status : Latch(std::move(status));
  }
  unsynced = true;
  return OkStatus();
}

Catalog::Catalog(std::unique_ptr<State> state) : state_(std::move(state)) {}
Catalog::~Catalog() = default;

StatusOr<Presence> Catalog::Probe(const std::string& directory, bool exclusive) {
  CatalogOptions options;
  options.directory = directory;
  options.exclusive = exclusive;
  auto env = LmdbEnv::Open(ToLmdb(options, /*read_only=*/true));
  if (env.status().code() == absl::StatusCode::kNotFound) return Presence::kMissing;
  if (env.status().code() == absl::StatusCode::kOutOfRange) return Presence::kEmpty;
  NEXUS_RETURN_IF_ERROR(env.status());
  NEXUS_ASSIGN_OR_RETURN(std::optional<Meta> meta, ReadMeta(*env));
  return meta ? Presence::kPresent : Presence::kEmpty;
}

StatusOr<std::unique_ptr<Catalog>> Catalog::Open(CatalogOptions options) {
  if (options.map_bytes < kMapBytesMin) {
    return InvalidArgument("a catalog's map needs at least {} bytes, not {}", kMapBytesMin,
                           options.map_bytes);
  }
  // Opening for writing makes a file that is not there, so it is looked for first.
  NEXUS_ASSIGN_OR_RETURN(Presence presence, Probe(options.directory, options.exclusive));
  const bool create = options.mode == OpenMode::kCreate;
  if (create && presence == Presence::kPresent) {
    return AlreadyExists("{}: there is a catalog already", options.directory);
  }
  if (!create && presence != Presence::kPresent) {
    return FailedPrecondition("{}: catalog missing, run nexus catalog rebuild {}",
                              options.directory, DatabaseDirectory(options.directory));
  }
  const bool read_only = options.mode == OpenMode::kReadOnly;
  NEXUS_ASSIGN_OR_RETURN(auto env, LmdbEnv::Open(ToLmdb(options, read_only)));
  if (create) NEXUS_RETURN_IF_ERROR(CreateTrees(env, options));
  NEXUS_ASSIGN_OR_RETURN(std::optional<Meta> meta, ReadMeta(env));
  if (!meta) return env->Damaged(Tree::kMeta, kMetaKey);
  NEXUS_RETURN_IF_ERROR(CheckMeta(*meta, options));
  if (!read_only) {
    // What a killed process had committed may still be in the page cache alone.
    if (int rc = mdb_env_sync(env->get(), 1); rc != MDB_SUCCESS) return env->Error(rc, "sync");
    meta->synced = meta->applied;
    if (options.after_sync) options.after_sync(meta->synced);
  }
  auto state = std::make_unique<State>(std::move(options), std::move(env), *meta);
  return std::unique_ptr<Catalog>(new Catalog(std::move(state)));
}

Status Catalog::Commit(const Update& update) {
  NEXUS_RETURN_IF_ERROR(state_->CheckWritable());
  StatusOr<Meta> after = state_->WriteAndCommit(update, meta());
  if (!after.ok()) {
    state_->writer.Clear();
    return after.status();
  }
  {
    MutexLock lock(&state_->mutex);
    state_->meta = *after;
  }
  if (state_->options.after_commit) state_->options.after_commit(after->applied);
  return OkStatus();
}

StatusOr<bool> Catalog::PurgeTenant(TenantId tenant, uint64_t rows_max, bool may_forget) {
  NEXUS_RETURN_IF_ERROR(state_->CheckWritable());
  // What is remembered of its symbols is not theirs any more.
  state_->writer.Clear();
  NEXUS_ASSIGN_OR_RETURN(LmdbTxn txn, LmdbTxn::Begin(state_->env, LmdbTxn::Kind::kWrite));
  NEXUS_ASSIGN_OR_RETURN(bool more, PurgeTenantRows(txn, tenant, rows_max, may_forget));
  NEXUS_RETURN_IF_ERROR(state_->EndTransaction(&txn));
  if (state_->options.after_commit) state_->options.after_commit(meta().applied);
  return more;
}

Status Catalog::Sync() {
  NEXUS_RETURN_IF_ERROR(state_->CheckWritable());
  if (state_->commit_failed) {
    return FailedPrecondition(
        "catalog {}: the last commit failed; only what is synced after one that succeeds is safe",
        state_->options.directory);
  }
  if (!state_->unsynced) return OkStatus();
  const Lsn applied = meta().applied;
  if (int rc = mdb_env_sync(state_->env->get(), 1); rc != MDB_SUCCESS) {
    return state_->Latch(state_->env->Error(rc, "sync"));
  }
  state_->unsynced = false;
  {
    MutexLock lock(&state_->mutex);
    state_->meta.synced = applied;
  }
  if (state_->options.after_sync) state_->options.after_sync(applied);
  return OkStatus();
}

Meta Catalog::meta() const {
  MutexLock lock(&state_->mutex);
  return state_->meta;
}

const std::string& Catalog::directory() const { return state_->options.directory; }

StatusOr<Reader> Catalog::BeginRead() const {
  NEXUS_ASSIGN_OR_RETURN(LmdbTxn txn, LmdbTxn::Begin(state_->env, LmdbTxn::Kind::kRead));
  return Reader(std::make_unique<Reader::State>(std::move(txn)));
}

std::unique_ptr<PageVerifier> Catalog::VerifyPages(PageVerifierOptions options) const {
  return std::make_unique<PageVerifier>(state_->env, std::move(options));
}

namespace {

// Rows a reader: about 10 ms each, so that no reader lives long.
constexpr uint64_t kScanRows = 65'536;

Status LoadIdentitiesOf(const Catalog& catalog, TenantId tenant, IdentityMap* map) {
  SeriesId from{0};
  uint64_t seen = kScanRows;
  while (seen == kScanRows) {
    NEXUS_ASSIGN_OR_RETURN(Reader reader, catalog.BeginRead());
    Status inserted;
    auto insert = [&](const SeriesIdentityRow& row) {
      from.value = row.id.value + 1;
      if (inserted.ok()) inserted = map->Insert(tenant, row.identity, row.id).status();
    };
    NEXUS_ASSIGN_OR_RETURN(seen, reader.VisitIdentities(tenant, from, kScanRows, insert));
    NEXUS_RETURN_IF_ERROR(inserted);
  }
  return OkStatus();
}

}  // namespace

Status LoadIdentities(const Catalog& catalog, IdentityMap* map) {
  std::vector<TenantRecord> tenants;
  {
    NEXUS_ASSIGN_OR_RETURN(Reader reader, catalog.BeginRead());
    NEXUS_ASSIGN_OR_RETURN(tenants, reader.Tenants());
  }
  for (const TenantRecord& tenant : tenants) {
    if (tenant.deleted != Lsn{}) continue;
    NEXUS_RETURN_IF_ERROR(LoadIdentitiesOf(catalog, tenant.id, map));
  }
  return OkStatus();
}

}  // namespace nexus::catalog
