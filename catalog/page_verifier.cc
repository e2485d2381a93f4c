// The walk over LMDB's pages. See page_verifier.h.

#include "catalog/page_verifier.h"

#include <algorithm>
#include <span>
#include <utility>

#include "catalog/lmdb_env.h"

namespace nexus::catalog {
namespace {

using lmdb::TreeRecord;

// Leaves a piece: 1 MiB of them.
constexpr size_t kLeavesPerStep = 256;
// Between begin and look two commits must happen for an attempt to fail.
constexpr int kAttemptsMax = 100;
constexpr uint64_t kPageBytesDefault = 4096;
constexpr uint64_t kPageBytesMin = 256;
constexpr uint64_t kPageBytesMax = 1 << 16;
// LMDB writes no list of free pages above 1 MiB, and the catalog no value above a few KB.
constexpr uint64_t kValueBytesMax = 16 << 20;

uint16_t U16(const char* at) { return LoadUnaligned<uint16_t>(at); }
uint32_t U32(const char* at) { return LoadUnaligned<uint32_t>(at); }
uint64_t U64(const char* at) { return LoadUnaligned<uint64_t>(at); }

MutableBytes Writable(char* at, size_t bytes) { return {reinterpret_cast<std::byte*>(at), bytes}; }

std::string Hex(std::string_view bytes) {
  std::string out;
  for (char c : bytes) out += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return out;
}

// "series id 5 of tenant 0", for values that belong to one.
std::string SeriesOf(Tree tree, std::string_view key) {
  if (tree != Tree::kSeries) return {};
  KeyReader reader(key);
  const uint32_t tenant = reader.U32();
  const uint64_t id = reader.U64();
  return reader.complete() ? fmt::format("series id {} of tenant {}", id, tenant) : std::string();
}

}  // namespace

PageVerifier::PageVerifier(std::string directory, PageVerifierOptions options)
    : directory_(std::move(directory)), options_(std::move(options)) {}

PageVerifier::PageVerifier(std::shared_ptr<const LmdbEnv> env, PageVerifierOptions options)
    : directory_(env->directory()), env_(std::move(env)), options_(std::move(options)) {}

StatusOr<bool> PageVerifier::Step() {
  if (env_ == nullptr) return TakeSnapshot(std::nullopt) == Taken::kYes && WalkPiece();
  for (int attempt = 0; attempt < kAttemptsMax; attempt++) {
    NEXUS_ASSIGN_OR_RETURN(LmdbTxn txn, LmdbTxn::Begin(env_, LmdbTxn::Kind::kRead));
    const Taken taken = TakeSnapshot(mdb_txn_id(txn.get()));
    if (taken == Taken::kUnreadable) return false;
    if (taken == Taken::kYes) return WalkPiece();
  }
  return Unavailable("catalog {}: commits overtook its verification", directory_);
}

// True if there is more.
bool PageVerifier::WalkPiece() {
  FindTrees();
  budget_ = kLeavesPerStep;
  while (tree_ < 2 + trees_.size()) {
    const bool named = tree_ >= 2;
    named_ = named ? std::optional(trees_[tree_ - 2].first) : std::nullopt;
    const TreeRecord& record = named        ? trees_[tree_ - 2].second
                               : tree_ == 0 ? at_.free_tree
                                            : at_.main_tree;
    if (!WalkTree(record)) return true;
    EndTree(record);
  }
  return false;
}

// Takes the meta page that the transaction began with, unless two later commits have overwritten it
// already.
PageVerifier::Taken PageVerifier::TakeSnapshot(std::optional<uint64_t> transaction) {
  // A first page that is damaged does not tell the size of pages.
  std::optional<Snapshot> first = ReadMeta(0, kPageBytesDefault);
  const uint64_t page_bytes = first ? first->page_bytes : kPageBytesDefault;
  const std::optional<Snapshot> second = ReadMeta(1, page_bytes);
  if (!found_trees_) {
    constexpr char kNoMeta[] = "no LMDB file has such a meta page";
    if (!first) Structural(0, kNoMeta);
    if (!second) Structural(page_bytes, kNoMeta);
  }
  if (!first && !second) return Taken::kUnreadable;
  const bool take_second = !first || (second && second->transaction > first->transaction);
  const Snapshot& newest = take_second ? *second : *first;
  const Snapshot& older = take_second && first ? *first : second && !take_second ? *second : newest;
  if (!transaction || newest.transaction == *transaction) {
    at_ = newest;
  } else if (older.transaction == *transaction) {
    at_ = older;
  } else {
    return Taken::kOvertaken;
  }
  return Taken::kYes;
}

// Read until it is the same twice: a commit may be writing it.
std::optional<PageVerifier::Snapshot> PageVerifier::ReadMeta(uint64_t page, uint64_t page_bytes) {
  constexpr size_t kBytes = lmdb::kPageHeaderBytes + lmdb::kMetaBytes;
  std::array<char, kBytes> bytes{};
  std::array<char, kBytes> before{};
  int reads = 0;
  do {
    before = bytes;
    auto read = options_.read(page * page_bytes, Writable(bytes.data(), kBytes));
    if (!read.ok() || *read < kBytes) return std::nullopt;
  } while (++reads < kAttemptsMax && (reads == 1 || bytes != before));
  const char* meta = bytes.data() + lmdb::kPageHeaderBytes;
  if (U16(bytes.data() + lmdb::kPageFlagsAt) != lmdb::kMetaPage || U32(meta) != lmdb::kMetaMagic ||
      U32(meta + lmdb::kMetaVersionAt) != lmdb::kMetaVersion) {
    return std::nullopt;
  }
  Snapshot found;
  found.page_bytes = U32(meta + lmdb::kMetaFreeTreeAt);
  found.transaction = U64(meta + lmdb::kMetaTransactionAt);
  found.free_tree = lmdb::ReadTreeRecord(meta + lmdb::kMetaFreeTreeAt);
  found.main_tree = lmdb::ReadTreeRecord(meta + lmdb::kMetaMainTreeAt);
  found.last_page = U64(meta + lmdb::kMetaLastPageAt);
  const bool plausible = found.page_bytes >= kPageBytesMin && found.page_bytes <= kPageBytesMax &&
                         (page == 0 || found.page_bytes == page_bytes) &&
                         found.last_page < UINT64_MAX / kPageBytesMax;
  return plausible ? std::optional(found) : std::nullopt;
}

// Roots move with each commit, so they are looked up in each piece; reported is once.
void PageVerifier::FindTrees() {
  trees_.clear();
  quiet_ = found_trees_;
  finding_ = true;
  const size_t tree = std::exchange(tree_, 1);
  const auto last_key = std::exchange(last_key_, std::nullopt);
  const Counts counts = counts_;
  const uint64_t pages = pages_;
  named_.reset();
  budget_ = SIZE_MAX;
  depth_ = at_.main_tree.depth;
  resuming_ = false;
  if (at_.main_tree.root != lmdb::kNoPage) WalkPage(at_.main_tree.root, 0, 1, {});
  if (!found_trees_) {
    pages_total_ = at_.free_tree.pages() + at_.main_tree.pages();
    for (const auto& [named, record] : trees_) pages_total_ += record.pages();
    // Without any tree it is a catalog whose making was cut short: it holds nothing.
    for (size_t i = 0; i < kTrees && at_.main_tree.root != lmdb::kNoPage; i++) {
      auto is = [i](const auto& found) { return IndexOf(found.first) == i; };
      if (std::any_of(trees_.begin(), trees_.end(), is)) continue;
      Structural(0, fmt::format("the tree \"{}\" is missing", kTreeNames[i]));
    }
  }
  found_trees_ = true;
  finding_ = false;
  quiet_ = false;
  tree_ = tree;
  last_key_ = last_key;
  counts_ = counts;
  pages_ = pages;
}

// Goes on with the tree. False if the piece is used up before its end.
bool PageVerifier::WalkTree(const TreeRecord& record) {
  depth_ = record.depth;
  resuming_ = last_key_.has_value();
  if (!resuming_) {
    counts_ = Counts();
    counts_.transaction = at_.transaction;
  }
  if (counts_.transaction != at_.transaction) counts_.transaction = 0;
  // The names were walked to find the trees.
  quiet_ = tree_ == 1;
  const bool done = record.root == lmdb::kNoPage || WalkPage(record.root, 0, 1, {});
  quiet_ = false;
  return done;
}

void PageVerifier::EndTree(const TreeRecord& record) {
  const bool same =
      counts_.branch_pages == record.branch_pages && counts_.leaf_pages == record.leaf_pages &&
      counts_.overflow_pages == record.overflow_pages && counts_.entries == record.entries;
  if (!same && counts_.transaction == at_.transaction && sound_) {
    Structural(record.root == lmdb::kNoPage ? 0 : OffsetOfPage(record.root),
               fmt::format("its record tells {} pages and {} entries, there are {} and {}",
                           record.pages(), record.entries,
                           counts_.branch_pages + counts_.leaf_pages + counts_.overflow_pages,
                           counts_.entries));
  }
  tree_++;
  last_key_.reset();
}

// Checks a page and what is below it. False: the piece is used up, go on behind last_key_.
bool PageVerifier::WalkPage(uint64_t number, uint64_t from, int depth, Bounds bounds) {
  const bool leaf = depth == depth_;
  if (depth > depth_ || depth > lmdb::kDepthMax) {
    Structural(from, fmt::format("its record tells a depth of {}", depth_));
    return true;
  }
  const std::optional<Page> page = CheckPage(number, from, depth);
  if (!page.has_value()) return true;
  if (!resuming_) {
    pages_++;
    (leaf ? counts_.leaf_pages : counts_.branch_pages)++;
  }
  if (!leaf) return WalkBranch(*page, depth, bounds);
  WalkLeaf(*page, bounds);
  resuming_ = false;
  return --budget_ > 0;
}

bool PageVerifier::WalkBranch(const Page& page, int depth, Bounds bounds) {
  std::string_view before;
  for (size_t i = 0; i < page.nodes; i++) {
    const std::optional<Node> node = ReadNode(page, i);
    if (!node.has_value()) return true;
    // The first key of a branch is not kept: it is the lower bound of the page.
    if (i > 0 && !CheckOrder(*node, before, i == 1, bounds)) return true;
    before = node->key;
    Bounds child;
    child.lower = i == 0 ? bounds.lower : std::optional(node->key);
    child.upper = bounds.upper;
    if (i + 1 < page.nodes) {
      const std::optional<Node> next = ReadNode(page, i + 1);
      if (!next.has_value()) return true;
      child.upper = next->key;
      if (resuming_ && Compare(next->key, *last_key_) <= 0) continue;
    }
    if (!WalkPage(node->child, node->offset, depth + 1, child)) return false;
  }
  return true;
}

void PageVerifier::WalkLeaf(const Page& page, Bounds bounds) {
  std::string_view before;
  for (size_t i = 0; i < page.nodes; i++) {
    const std::optional<Node> node = ReadNode(page, i);
    if (!node.has_value() || !CheckOrder(*node, before, i == 0, bounds)) return;
    before = node->key;
    if (resuming_ && Compare(node->key, *last_key_) <= 0) continue;
    counts_.entries++;
    if (!CheckEntry(*node)) return;
  }
  if (page.nodes > 0 && !(resuming_ && Compare(before, *last_key_) <= 0)) {
    last_key_ = std::string(before);
  }
}

// A leaf's entry. False if it is no entry at all.
bool PageVerifier::CheckEntry(const Node& node) {
  std::string_view value = node.value;
  uint64_t offset = node.offset + lmdb::kNodeHeaderBytes + node.key.size();
  if (node.flags == lmdb::kBigData) {
    offset = OffsetOfPage(node.overflow) + lmdb::kPageHeaderBytes;
    const std::optional<std::string_view> big = OverflowValue(node);
    if (!big.has_value()) return true;
    value = *big;
  }
  const bool tree_record = tree_ == 1;
  if ((node.flags & ~lmdb::kBigData) != (tree_record ? lmdb::kSubData : 0)) {
    Structural(node.offset, fmt::format("an entry has the flags {:#x}", node.flags));
    return false;
  }
  if (tree_ == 0) {
    CheckFreeList(node, value);
  } else if (tree_record) {
    const auto* name = std::find(kTreeNames.begin(), kTreeNames.end(), node.key);
    if (name == kTreeNames.end() || value.size() != lmdb::kTreeRecordBytes) {
      Structural(node.offset, "it names a tree that no catalog has");
      return true;
    }
    const TreeRecord record = lmdb::ReadTreeRecord(value.data());
    if (record.flags != 0) Structural(node.offset, "a tree has flags that no catalog's has");
    const auto tree = static_cast<Tree>(name - kTreeNames.begin() + 1);
    if (finding_) trees_.emplace_back(tree, record);
  } else {
    values_++;
    const bool good =
        value.size() >= kChecksumBytes &&
        U64(value.data()) == ValueChecksum(*named_, node.key, value.substr(kChecksumBytes));
    if (!good) {
      Report(offset, SeriesOf(*named_, node.key),
             fmt::format("the value with key {} fails its checksum", Hex(node.key)));
    }
  }
  return true;
}

// A list of free pages: how many, then their numbers, descending; LMDB may leave room behind.
void PageVerifier::CheckFreeList(const Node& node, std::string_view value) {
  const uint64_t words = value.size() / sizeof(uint64_t);
  const bool whole = words > 0 && value.size() % sizeof(uint64_t) == 0 &&
                     U64(value.data()) < words && node.key.size() == sizeof(uint64_t);
  uint64_t before = at_.last_page + 1;
  for (uint64_t i = 1; whole && i <= U64(value.data()); i++) {
    const uint64_t number = U64(value.data() + i * sizeof(uint64_t));
    if (number < lmdb::kMetaPages || number >= before) {
      return Structural(node.offset, fmt::format("page {} cannot be free", number));
    }
    before = number;
  }
  if (!whole) Structural(node.offset, "a list of free pages is malformed");
}

std::optional<std::string_view> PageVerifier::OverflowValue(const Node& node) {
  const uint64_t number = node.overflow;
  const uint64_t count =
      (lmdb::kPageHeaderBytes + node.value_bytes + at_.page_bytes - 1) / at_.page_bytes;
  if (number < lmdb::kMetaPages || !InFile(number, count) || node.value_bytes > kValueBytesMax) {
    Structural(node.offset, fmt::format("a value of {} bytes lies in page {}, which is not there",
                                        node.value_bytes, number));
    return std::nullopt;
  }
  if (!ReadPages(number, count, &overflow_)) return std::nullopt;
  const char* page = overflow_.data();
  if (U64(page) != number || U16(page + lmdb::kPageFlagsAt) != lmdb::kOverflowPage ||
      U32(page + lmdb::kOverflowPagesAt) != count) {
    Structural(OffsetOfPage(number), "it is not the overflow page that it must be");
    return std::nullopt;
  }
  pages_ += count;
  counts_.overflow_pages += count;
  return std::string_view(page + lmdb::kPageHeaderBytes, node.value_bytes);
}

bool PageVerifier::ReadPages(uint64_t number, uint64_t count, std::string* into) {
  const uint64_t bytes = count * at_.page_bytes;
  into->resize(bytes);
  const StatusOr<uint64_t> read =
      options_.read(OffsetOfPage(number), Writable(into->data(), bytes));
  if (read.ok() && *read == bytes) return true;
  Structural(OffsetOfPage(number), read.ok()
                                       ? std::string_view("the file ends before this page does")
                                       : FromAbsl(read.status().message()));
  return false;
}

std::optional<PageVerifier::Page> PageVerifier::CheckPage(uint64_t number, uint64_t from,
                                                          int depth) {
  const bool leaf = depth == depth_;
  if (number < lmdb::kMetaPages || !InFile(number, 1)) {
    Structural(from, fmt::format("it names page {} of {}", number, at_.last_page + 1));
    return std::nullopt;
  }
  std::string* buffer = &buffers_[static_cast<size_t>(depth)];
  if (!ReadPages(number, 1, buffer)) return std::nullopt;
  Page page;
  page.number = number;
  page.data = buffer->data();
  page.leaf = leaf;
  const uint16_t lower = U16(page.data + lmdb::kPageLowerAt);
  const uint16_t upper = U16(page.data + lmdb::kPageUpperAt);
  page.nodes = (lower - lmdb::kPageHeaderBytes) / sizeof(uint16_t);
  const uint16_t kind = leaf ? lmdb::kLeafPage : lmdb::kBranchPage;
  const bool good = U64(page.data) == number && U16(page.data + lmdb::kPageFlagsAt) == kind &&
                    lower >= lmdb::kPageHeaderBytes && lower <= upper && upper <= at_.page_bytes &&
                    page.nodes >= (leaf ? 1 : 2);
  if (good) return page;
  Structural(OffsetOfPage(number),
             fmt::format("page {} is no {} page", number, leaf ? "leaf" : "branch"));
  return std::nullopt;
}

std::optional<PageVerifier::Node> PageVerifier::ReadNode(const Page& page, size_t index) {
  const uint64_t upper = U16(page.data + lmdb::kPageUpperAt);
  const uint64_t at = U16(page.data + lmdb::kPageHeaderBytes + index * sizeof(uint16_t));
  const uint64_t node_at = OffsetOfPage(page.number) + at;
  if (at < upper || at % 2 != 0 || at + lmdb::kNodeHeaderBytes > at_.page_bytes) {
    Structural(OffsetOfPage(page.number), fmt::format("node {} lies outside its page", index));
    return std::nullopt;
  }
  const char* bytes = page.data + at;
  const uint64_t size = U32(bytes);
  const uint64_t key_bytes = U16(bytes + 6);
  Node node;
  node.offset = node_at;
  node.flags = page.leaf ? U16(bytes + 4) : 0;
  const bool big = node.flags == lmdb::kBigData;
  const uint64_t inline_bytes = !page.leaf ? 0 : big ? sizeof(uint64_t) : size;
  if (at + lmdb::kNodeHeaderBytes + key_bytes + inline_bytes > at_.page_bytes) {
    Structural(node_at, fmt::format("node {} reaches behind its page", index));
    return std::nullopt;
  }
  node.key = {bytes + lmdb::kNodeHeaderBytes, key_bytes};
  node.value = {node.key.data() + key_bytes, inline_bytes};
  node.value_bytes = size;
  if (big) node.overflow = U64(node.value.data());
  node.child = size | static_cast<uint64_t>(U16(bytes + 4)) << 32;
  return node;
}

bool PageVerifier::CheckOrder(const Node& node, std::string_view before, bool first,
                              const Bounds& bounds) {
  const bool above = first ? !bounds.lower || Compare(*bounds.lower, node.key) <= 0
                           : Compare(before, node.key) < 0;
  const bool below = !bounds.upper || Compare(node.key, *bounds.upper) < 0;
  if (above && below) return true;
  Structural(node.offset, fmt::format("the key {} is out of order", Hex(node.key)));
  return false;
}

// As LMDB compares: transactions, the keys of free lists, as numbers.
int PageVerifier::Compare(std::string_view a, std::string_view b) const {
  if (tree_ != 0 || a.size() != sizeof(uint64_t) || b.size() != sizeof(uint64_t)) {
    return a.compare(b);
  }
  const uint64_t x = U64(a.data());
  const uint64_t y = U64(b.data());
  return x < y ? -1 : x > y ? 1 : 0;
}

bool PageVerifier::InFile(uint64_t number, uint64_t count) const {
  return count <= at_.last_page && number <= at_.last_page - (count - 1);
}

void PageVerifier::Structural(uint64_t offset, std::string_view what) {
  sound_ = false;
  Report(offset, {}, what);
}

void PageVerifier::Report(uint64_t offset, std::string series, std::string_view what) {
  if (quiet_) return;
  const char* tree = named_ ? NameOf(*named_) : tree_ == 0 ? "free pages" : "names";
  options_.damage({offset, std::move(series),
                   fmt::format("catalog {}: data.mdb at offset {}, tree {}: {}; run nexus catalog "
                               "rebuild {}",
                               directory_, offset, tree, what, DatabaseDirectory(directory_))});
}

}  // namespace nexus::catalog
