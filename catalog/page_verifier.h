// PageVerifier: checks the catalog's file page by page, without LMDB walking it.
//
// LMDB believes its pages: a damaged one can hide entries, give wrong ones or crash the process,
// and a file that was cut off ends it with a bus error. Here the file is read like any other, and
// every page that the last commit reaches is checked before anything in it is followed: its number,
// kind and bounds; that the keys of its nodes ascend and lie between those of the nodes that lead
// to it; that every leaf has its tree's depth; that counts are those of the trees' records; that
// lists of free pages are well formed. Every value's checksum is checked in place, so that damage
// has an offset in the file. Where it finds no structural damage LMDB may walk.
//
// The walk is done in pieces, each within a short read transaction of its own, so that it does not
// keep old pages of a living catalog alive: a piece goes on behind the last key of the one before.
// Counts are compared only where nothing was committed meanwhile.
// Failure: damage, and what cannot be read, is told to the visitor and passed over. Step's errors
// are LMDB's that say nothing of the file (too many readers). Threading: one thread at a time,
// never a loop; blocks on the disk. Memory: a page of each level and the largest value, 16 MiB at
// most. Format: lmdb_format.h, docs/format/catalog.md.

#ifndef NEXUS_CATALOG_PAGE_VERIFIER_H_
#define NEXUS_CATALOG_PAGE_VERIFIER_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "catalog/format.h"
#include "catalog/lmdb_format.h"

namespace nexus::catalog {

class LmdbEnv;

// A place of the catalog that is not as it was written, or does not agree with another.
struct CatalogDamage {
  std::optional<uint64_t> offset;  // in data.mdb
  std::string series;              // the labels, or the id, of the series it concerns; or empty
  std::string description;         // complete: folder, tree, key or page are in it
};
using CatalogDamageVisitor = std::function<void(CatalogDamage)>;

struct PageVerifierOptions {
  // Fills the buffer from an offset of data.mdb, or as far as the file goes: the bytes read.
  std::function<StatusOr<uint64_t>(uint64_t offset, MutableBytes into)> read;
  CatalogDamageVisitor damage;
};

class PageVerifier {
 public:
  // Of a catalog that nobody writes meanwhile; `directory` is for messages.
  PageVerifier(std::string directory, PageVerifierOptions options);
  // Of one that is open: read transactions keep the pages of each piece as they are.
  PageVerifier(std::shared_ptr<const LmdbEnv> env, PageVerifierOptions options);

  // Checks some 256 pages. False when all is done.
  StatusOr<bool> Step();

  // LMDB may walk the trees. REQUIRES: Step returned false.
  bool sound() const { return sound_; }
  uint64_t pages() const { return pages_; }    // checked
  uint64_t values() const { return values_; }  // checked
  uint64_t pages_total() const { return pages_total_; }

 private:
  // The state of the file that a transaction sees.
  struct Snapshot {
    uint64_t page_bytes = 0;
    uint64_t last_page = 0;
    uint64_t transaction = 0;
    lmdb::TreeRecord free_tree;
    lmdb::TreeRecord main_tree;
  };
  struct Page {
    uint64_t number = 0;
    const char* data = nullptr;
    size_t nodes = 0;
    bool leaf = false;
  };
  struct Node {
    uint64_t offset = 0;  // in the file
    std::string_view key;
    uint16_t flags = 0;
    uint64_t child = 0;        // branch: the page below
    std::string_view value;    // leaf: what lies in the page itself
    uint64_t value_bytes = 0;  // leaf: of the whole value
    uint64_t overflow = 0;     // leaf: the page that holds it, if that is another
  };
  // Of the keys below a node: lower <= key < upper.
  struct Bounds {
    std::optional<std::string_view> lower;
    std::optional<std::string_view> upper;
  };
  // What a tree's walk has counted, of the transaction it began in.
  struct Counts {
    uint64_t transaction = 0;
    uint64_t branch_pages = 0;
    uint64_t leaf_pages = 0;
    uint64_t overflow_pages = 0;
    uint64_t entries = 0;
  };

  enum class Taken : uint8_t { kYes, kOvertaken, kUnreadable };

  // Of this transaction; nullopt: the newest.
  Taken TakeSnapshot(std::optional<uint64_t> transaction);
  std::optional<Snapshot> ReadMeta(uint64_t page, uint64_t page_bytes);
  bool WalkPiece();
  void FindTrees();
  bool WalkTree(const lmdb::TreeRecord& record);
  void EndTree(const lmdb::TreeRecord& record);
  bool WalkPage(uint64_t number, uint64_t from, int depth, Bounds bounds);  // `from`: who names it
  bool WalkBranch(const Page& page, int depth, Bounds bounds);
  void WalkLeaf(const Page& page, Bounds bounds);
  bool CheckEntry(const Node& node);
  void CheckFreeList(const Node& node, std::string_view value);
  std::optional<std::string_view> OverflowValue(const Node& node);
  // The page lies in the buffer of its depth, until another of that depth is asked for.
  std::optional<Page> CheckPage(uint64_t number, uint64_t from, int depth);
  bool ReadPages(uint64_t number, uint64_t count, std::string* into);
  std::optional<Node> ReadNode(const Page& page, size_t index);
  bool CheckOrder(const Node& node, std::string_view before, bool first, const Bounds& bounds);
  int Compare(std::string_view a, std::string_view b) const;
  bool InFile(uint64_t number, uint64_t count) const;
  uint64_t OffsetOfPage(uint64_t number) const { return number * at_.page_bytes; }
  void Structural(uint64_t offset, std::string_view what);
  void Report(uint64_t offset, std::string series, std::string_view what);

  const std::string directory_;
  const std::shared_ptr<const LmdbEnv> env_;  // null: nobody writes
  const PageVerifierOptions options_;
  Snapshot at_;
  std::array<std::string, lmdb::kDepthMax + 1> buffers_;  // by depth
  std::string overflow_;
  bool found_trees_ = false;  // and reported what is wrong with them
  bool finding_ = false;
  std::vector<std::pair<Tree, lmdb::TreeRecord>> trees_;

  // The tree being walked: 0 that of free pages, 1 that of names, then the named ones.
  size_t tree_ = 0;
  std::optional<Tree> named_;
  int depth_ = 0;  // of its leaves
  Counts counts_;
  std::optional<std::string> last_key_;  // everything up to it was checked
  bool resuming_ = false;                // on the way down to it
  size_t budget_ = 0;                    // leaves

  bool sound_ = true;
  bool quiet_ = false;  // looking again at what was reported
  uint64_t pages_ = 0;
  uint64_t values_ = 0;
  uint64_t pages_total_ = 0;
};

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_PAGE_VERIFIER_H_
