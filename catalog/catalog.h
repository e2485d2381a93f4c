// Catalog: the derived index of a database - tenants, branches, series, label postings, layers -
// in LMDB.
//
// It is derived: everything in it can be rebuilt from the log, the newest image and the layers. It
// stores the LSN it has applied, so that it may lag behind the log and be caught up by replay.
//
// Durability: Commit orders, it does not persist (MDB_NOMETASYNC: data pages are synced, the page
// that names them is not). A power cut takes the catalog back to the last Sync that returned OK, or
// any later commit, whole. Nothing irreversible - recycling a log segment, unlinking a file - may
// happen on a commit before a Sync after it has returned OK: meta().synced says how far that is.
// How it fails: a failed Commit changes nothing. ResourceExhausted (map or disk full) may be tried
// again. Any other failure of a Commit or Sync latches: later ones return it, reads go on,
// reopening recovers (a failed fsync leaves what it covered unknown; it is never retried).
// Threading: Open, Commit and Sync block on the disk and belong to one thread at a time (the
// catalog thread); meta() and BeginRead() are for any thread. A process must not open one folder
// twice at the same time (LMDB's locks are per process).
// Format: docs/format/catalog.md, format.h.

#ifndef NEXUS_CATALOG_CATALOG_H_
#define NEXUS_CATALOG_CATALOG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "base/types.h"
#include "catalog/identity_map.h"
#include "catalog/page_verifier.h"
#include "catalog/reader.h"
#include "catalog/records.h"

namespace nexus::catalog {

enum class Presence : uint8_t {
  kMissing,  // no catalog file
  kEmpty,    // a file in which no catalog was ever committed: a crash while it was made
  kPresent,
};

enum class OpenMode : uint8_t {
  kOpen,      // FailedPrecondition if missing or empty
  kCreate,    // AlreadyExists if present
  kReadOnly,  // like kOpen; Commit and Sync fail, nothing is written but the reader table
};

struct CatalogOptions {
  std::string directory;  // exists; holds data.mdb and lock.mdb
  OpenMode mode = OpenMode::kOpen;
  // The database it must belong to. Required for kCreate; nullopt takes any.
  std::optional<DatabaseId> database;
  // Upper bound of the file, in bytes: address space, not memory. At 105 bytes a series the default
  // holds 600 million. At least 1 MiB.
  uint64_t map_bytes = 64ull << 30;
  // Readers at once, 64 bytes each in lock.mdb: one a query, so this is far above any sane number.
  uint32_t readers_max = 1024;
  // With kReadOnly: the caller keeps everybody else out of the folder (its lock), and nothing at
  // all is written.
  bool exclusive = false;

  // Called on the committing thread when a commit, or a sync, has succeeded.
  std::function<void(Lsn applied)> after_commit;
  std::function<void(Lsn synced)> after_sync;
};

class Catalog {
 public:
  // What is in the folder; `exclusive` as in the options. Errors: DataLoss (a file that is no LMDB
  // file), PermissionDenied.
  static StatusOr<Presence> Probe(const std::string& directory, bool exclusive = false);

  // Opens, checks version, features and database id, and syncs, so that everything read is known to
  // survive. Blocks; a few ms whatever the size. After kCreate the caller makes the entries of the
  // directory durable: the catalog stands beside the seam and cannot.
  // Errors: FailedPrecondition - missing or empty ("run nexus catalog rebuild DIR"), another
  // database's (both ids named), another version or an unknown feature; AlreadyExists; DataLoss -
  // the file or its meta record is damaged; PermissionDenied, ResourceExhausted - of the file
  // system.
  static StatusOr<std::unique_ptr<Catalog>> Open(CatalogOptions options);

  // Closes without a sync: what was not synced may be lost, as at a crash. Readers may outlive it,
  // and keep the file open until they end.
  ~Catalog();
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;

  // Commits an update whole: after OK every later BeginRead sees it. New series should come in
  // batches of 1,000 to 100,000 (best about 10,000: 2.6 ms) with ids mostly ascending.
  // Errors, all without effect: ResourceExhausted - map or disk full; FailedPrecondition - a series
  // or branch of a tenant that is not there, a changed identity seed, read-only; InvalidArgument -
  // a limit of records.h; DataLoss - a damaged value, or a series id defined again with other
  // labels; the latched failure.
  Status Commit(const Update& update);

  // Takes rows of a deleted tenant out, at most `rows_max` of them; true if there may be more. When
  // all are gone, its record goes, too, if it `may_forget` - nothing in the log names the tenant -
  // and another tenant has a higher number. A commit of its own, with the errors of Commit. About 2
  // us a row.
  StatusOr<bool> PurgeTenant(TenantId tenant, uint64_t rows_max, bool may_forget);

  // Makes the last commit survive a power cut; advances meta().synced. Cheap if nothing was
  // committed since the last.
  // Errors latch. After a failed Commit, FailedPrecondition until one has succeeded: the failed one
  // may have lost the previous commit's last page.
  Status Sync();

  Meta meta() const;
  const std::string& directory() const;

  // Errors: ResourceExhausted - readers_max readers at once.
  StatusOr<Reader> BeginRead() const;

  // Checks the pages that the last commit reaches.
  std::unique_ptr<PageVerifier> VerifyPages(PageVerifierOptions options) const;

 private:
  struct State;
  explicit Catalog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Adds every series of the catalog to `map`, in several short readers: about 0.2 s a million.
// Series committed meanwhile may or may not be included. Any thread but the loop.
Status LoadIdentities(const Catalog& catalog, IdentityMap* map);

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_CATALOG_H_
