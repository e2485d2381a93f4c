// The planted bugs by name. See planted.h.

#include "base/planted.h"

#include "base/check.h"

namespace nexus {

#ifdef NEXUS_PLANTED_BUGS

namespace {

constexpr PlantedBug kBugs[] = {
    {"ack-on-write", "the log acknowledges when the write is done, without a sync"},
    {"sync-error-ignored", "a failed sync of the log is taken for a good one"},
    {"sync-retried", "a failed sync of the log is tried again and then believed"},
    {"sync-before-write", "a sync of the log is submitted without waiting for its write"},
    {"short-write-accepted", "a short write of the log is taken for a whole one"},
    {"watermark-skips-a-hole", "a round that is done acknowledges those before it that are not"},
    {"tail-sector-rewritten", "a write begins in the sector where the last one ended"},
    {"segment-name-not-synced", "a new segment is used before its name is durable"},
    {"beginning-not-synced",
     "a segment is used before its header, and a tail written again, are durable"},
    {"tail-applied-before-synced", "recovery shows a tail that no sync vouches for"},
    {"tail-dropped", "recovery forgets the frames that nothing proves durable"},
    {"appended-to-a-torn-tail", "a new segment goes on where the tail was torn"},
    {"log-below-applied", "a new log begins below what is applied"},
    {"lsn-reused", "a new log begins at the end of the old one, below what was cut off"},
    {"stale-frame-accepted", "a frame of a recycled segment's earlier life is taken for a new one"},
    {"cut-forgotten", "bytes behind a cut are replayed later"},
    {"checksum-by-length", "a record is accepted by its length, without its checksum"},
    {"recycled-before-durable", "a segment is recycled while the directory may still take it back"},
    {"trim-before-catalog-sync", "the log is trimmed on a catalog commit that is not synced"},
    {"trim-ignores-memtable", "the log is trimmed below samples that are in no layer"},
    {"producers-not-persisted", "a commit of the catalog leaves out what producers have sent"},
    {"layer-not-synced", "a layer is published before its bytes are durable"},
    {"layers-of-the-log-unlinked",
     "opening unlinks layers that the log lists and the catalog does not yet"},
    {"layer-name-not-synced", "a layer is published before its name is durable"},
    {"compacted-layer-not-synced",
     "a compaction's output is published before its bytes are durable"},
    {"compacted-names-not-synced", "a compaction's output is published before its name is durable"},
    {"compacted-layer-wins", "a compaction takes the older of two samples of one place"},
    {"compaction-forgets-an-input", "a compaction retires a layer that it has not merged"},
    {"garbage-removed-before-catalog-sync",
     "a retired layer's file goes before the catalog that retires it is synced"},
    {"inputs-unlinked-before-the-edit", "a compaction's inputs go before its edit is durable"},
    {"branch-without-memtable", "a new branch gets its parent's layers and not what is in memory"},
    {"child-sees-parents-later-writes", "what a parent flushes goes to its children for ever"},
    {"heirs-forgotten-in-replay",
     "replay gives a branch none of what was in memory when it was made"},
    {"shared-layer-unlinked", "a layer's file goes with the first branch that lets go of it"},
    {"snapshot-record-lost", "a branch reaches memory and log, but not the catalog"},
    {"batch-half-applied", "of a large batch in no order only the first samples are applied"},
    {"definitions-lost", "a refused batch takes the definitions of its new series with it"},
    {"duplicate-acknowledged-early",
     "a duplicate is acknowledged before its first copy is durable"},
    {"duplicate-applied", "a batch that comes again is applied again"},
    {"visible-before-durable", "a batch is shown before it is durable"},
    {"log-failure-acknowledged", "what was in flight when the log failed is acknowledged"},
    {"log-failure-told-as-refusal",
     "what was in flight when the log failed is called surely not written"},
    {"flush-jumps-over-appends", "a flush says that it holds what was appended while it ran"},
    {"unpublished-layer-trusted",
     "samples are dropped from memory when their layer is written, not when it is published"},
    {"tenant-not-persisted", "a tenant reaches memory and log, but not the catalog"},
    {"rebuilt-beyond-its-image", "a rebuilt catalog claims what the log holds behind its image"},
    {"edit-applied-twice", "replay applies edits that the catalog has already"},
    {"replay-from-the-catalog",
     "replay begins where the catalog is, though older samples are in no layer"},
    {"flush-in-replay-jumps-over-edits",
     "a flush during replay commits a catalog position beyond edits not applied"},
    {"client-renumbers", "a client gives a batch a new number when it sends it again"},
    {"server-acks-buffered", "the server takes every batch as a buffered one"},
    {"older-wins", "of two samples of one place the older is shown"},
    {"branch-without-deletes", "a new branch does not get the tombstones of its parent"},
    {"delete-hits-later-writes", "a delete takes what came behind it in the memtable"},
    {"delete-forgotten-by-flush", "a flush writes what is deleted in the memtable"},
    {"delete-leaves-the-memtable", "a delete takes samples of layers and sealed memtables only"},
    {"delete-overtakes-batches", "a delete enters the log before batches submitted before it"},
    {"tombstone-not-persisted", "a delete reaches memory and log, but not the catalog"},
    {"tombstone-forgotten-before-the-flush",
     "a tombstone is forgotten while samples from before it are in no layer"},
    {"deleted-tenant-comes-back",
     "the deletion of a tenant reaches memory and log, but not the catalog"},
    {"compaction-forgets-deletes",
     "a compaction says that deletes are carried out in its output, and carries none out"},
    {"delete-after-merge",
     "a compaction carries a delete out on what it has merged, later writes of its range included"},
    {"backup-without-garbage-hold", "layers that a backup has yet to copy may be removed"},
    {"restored-writes-lose", "what is restored a second time goes back to the first timeline"},
    {"carry-with-unapplied-batches",
     "a memtable is carried while batches of its branch are in the log and not applied"},
    {"carry-forgets-deletes", "a carry holds what is deleted in the memtable"},
    {"carry-beside-a-flush",
     "a carry stands for what is in a memtable that is sealed and not flushed, too"},
    {"carry-pins-nothing", "the log is trimmed below the carry of a memtable"},
    {"carry-taken-for-a-flush", "what is carried is said to be in layers"},
    {"retention-by-wall-clock", "what is expired is judged by the wall clock"},
    {"expired-append-by-wall-clock", "what is too old to be appended is judged by the wall clock"},
    {"retention-drops-young-chunk",
     "a compaction drops all of a layer's series of which something is expired"},
    {"retention-drops-young-layer", "a layer is dropped whole when its first sample is expired"},
    {"retention-shows-older-writes",
     "an expired sample is dropped though an older layer holds an older write of its place"},
    {"retention-reaches-snapshots", "layers of snapshots are dropped when they are expired"},
    {"forget-series-with-samples-in-memory",
     "a series without layers is forgotten though a memtable holds samples of it"},
    {"forget-without-generation",
     "ids that were looked up before their series were forgotten are still believed"},
    {"retention-not-persisted", "a retention reaches memory and log, but not the catalog"},
    {"unlink-while-view-may-open",
     "the file of a retired layer goes while a query's version may still open it"},
    {"pages-known-by-sequence",
     "the page cache knows a layer by its number within its opening alone"},
    {"retention-clock-not-persisted",
     "the retention clock reaches memory and log, but not the catalog"},
    {"rollup-from-partial-raw", "a bucket is computed anew though samples of it may be gone"},
    {"rollup-stale-after-late-data", "a bucket is used though later writes changed its samples"},
    {"rollup-ignores-deletes", "buckets are made and used as if nothing were deleted"},
};

const PlantedBug* Find(std::string_view name) {
  for (const PlantedBug& bug : kBugs) {
    if (bug.name == name) return &bug;
  }
  return nullptr;
}

const PlantedBug* current = nullptr;

}  // namespace

std::span<const PlantedBug> PlantedBugs() { return kBugs; }

bool Plant(std::string_view name) {
  current = Find(name);
  return current != nullptr;
}

bool IsPlanted(std::string_view name) {
  // A name that is not in the list could never be turned on.
  NEXUS_CHECK(Find(name) != nullptr);
  return current != nullptr && current->name == name;
}

#else

std::span<const PlantedBug> PlantedBugs() { return {}; }

bool Plant(std::string_view) { return false; }

#endif

}  // namespace nexus
