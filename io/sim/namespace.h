// Namespace: the simulated tree of directories - names as the process sees them, names that are
// durable, and the changes in between.
//
// D4: create, rename, link, unlink, mkdir and rmdir are changes that wait until the directory is
// synced; at a power cut any subset of the waiting ones survives. D5: a rename's target is the old
// file or the new one, and the file is never lost from both places: if the target is the old one,
// the source is still there; if it is the new one, the source may be there too. A rename between
// two directories is durable after the sync of the target's directory, its source gone for good
// after the sync of the source's. A failed sync of a directory makes nothing durable and forgets
// nothing: metadata is journalled and stays dirty, unlike pages of data.
//
// Errors are negative errnos as the kernel gives them. Threading: one thread.

#ifndef NEXUS_IO_SIM_NAMESPACE_H_
#define NEXUS_IO_SIM_NAMESPACE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/sim/choice.h"
#include "io/sim/inode.h"

namespace nexus::sim {

struct Node;
using NodeRef = std::shared_ptr<Node>;

// A file or a directory.
struct Node {
  explicit Node(std::unique_ptr<Inode> opened) : file(std::move(opened)) {}

  std::unique_ptr<Inode> file;  // null: a directory
  // Of a directory: what is in it.
  std::map<std::string, NodeRef> visible;
  std::map<std::string, NodeRef> durable;
  // Of a file: visible names and open handles; its space is free when there are none.
  int links = 0;
  int handles = 0;

  bool is_directory() const { return file == nullptr; }
};

class Namespace {
 public:
  Namespace() : root_(std::make_shared<Node>(nullptr)) {}
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;
  // Replaces everything by a copy of `other`, waiting changes included.
  void CopyFrom(const Namespace& other);

  // What a path names, or -ENOENT, -ENOTDIR. "." and empty parts of a path count for nothing.
  std::pair<int, NodeRef> Find(std::string_view path) const;
  // As Find, in the durable tree; null if there is nothing.
  NodeRef FindDurable(std::string_view path) const;

  // 0 or a negative errno. REQUIRES of Create: nothing has that name.
  int Create(std::string_view path, NodeRef file);
  int MakeDirectory(std::string_view path);
  int Rename(std::string_view from, std::string_view to);
  int Link(std::string_view from, std::string_view to);
  int Unlink(std::string_view path);
  int RemoveDirectory(std::string_view path);

  // Changes made from now on have this sequence or a higher one.
  uint64_t next_sequence() const { return next_sequence_; }
  // Makes durable the changes of the directory below `before`.
  void Sync(const NodeRef& directory, uint64_t before);
  // A subset of the waiting changes survives; then the durable tree is the visible one.
  void PowerCut(ChoiceSource* choices);

  // All files of the tree as they are seen, or of the durable one: full paths, in byte order.
  std::vector<std::pair<std::string, NodeRef>> Files(bool durable) const;
  // Calls visit for each file that is visible, durable or named by a waiting change, by rising id.
  void VisitAll(const std::function<void(const NodeRef&)>& visit) const;

 private:
  enum class Kind : uint8_t { kLink, kUnlink, kRename };
  struct Change {
    uint64_t sequence;
    Kind kind;
    NodeRef node;    // linked, unlinked or moved
    NodeRef target;  // the directory
    std::string target_name;
    NodeRef source{};  // the directory a rename moved from
    std::string source_name{};
    bool target_durable = false;
    bool source_synced = false;
  };
  struct Place {
    int error;
    NodeRef directory;
    std::string name;
  };

  Place FindParent(std::string_view path) const;
  int CheckRename(const Place& from, const Place& to, std::string_view from_path,
                  std::string_view to_path) const;
  void SetVisible(const Place& place, NodeRef node);
  void ApplyTarget(const Change& change);
  void ApplySource(const Change& change);
  void Survive(const Change& change, ChoiceSource* choices);

  NodeRef root_;
  uint64_t next_sequence_ = 1;
  std::vector<Change> changes_;  // by rising sequence
};

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_NAMESPACE_H_
