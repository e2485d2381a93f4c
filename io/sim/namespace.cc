// The simulated tree of directories. See namespace.h.

#include "io/sim/namespace.h"

#include <cerrno>

#include "base/check.h"

namespace nexus::sim {
namespace {

// The parts of a path.
std::vector<std::string_view> Split(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (!part.empty() && part != ".") parts.push_back(part);
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return parts;
}

using Names = std::map<std::string, NodeRef>;

void Collect(const Node& directory, Names Node::*tree, const std::string& prefix,
             std::vector<std::pair<std::string, NodeRef>>* files) {
  for (const auto& [name, node] : directory.*tree) {
    if (node->is_directory()) {
      Collect(*node, tree, prefix + name + "/", files);
    } else {
      files->emplace_back(prefix + name, node);
    }
  }
}

void CollectById(const NodeRef& node, std::map<uint64_t, NodeRef>* files) {
  if (!node->is_directory()) {
    files->emplace(node->file->id(), node);
    return;
  }
  for (const auto& [name, child] : node->visible) CollectById(child, files);
  for (const auto& [name, child] : node->durable) CollectById(child, files);
}

// Makes the durable tree the visible one; counts the files' names.
void Restart(const NodeRef& directory) {
  directory->visible = directory->durable;
  for (const auto& [name, node] : directory->visible) {
    if (node->is_directory()) {
      Restart(node);
    } else {
      node->links++;
    }
  }
}

NodeRef CopyNode(const NodeRef& node, std::map<const Node*, NodeRef>* copies) {
  if (node == nullptr) return nullptr;
  NodeRef& copy = (*copies)[node.get()];
  if (copy != nullptr) return copy;
  copy =
      std::make_shared<Node>(node->is_directory() ? nullptr : std::make_unique<Inode>(*node->file));
  copy->links = node->links;
  for (const auto& [name, child] : node->visible) copy->visible[name] = CopyNode(child, copies);
  for (const auto& [name, child] : node->durable) copy->durable[name] = CopyNode(child, copies);
  return copy;
}

}  // namespace

void Namespace::CopyFrom(const Namespace& other) {
  std::map<const Node*, NodeRef> copies;
  root_ = CopyNode(other.root_, &copies);
  next_sequence_ = other.next_sequence_;
  changes_ = other.changes_;
  for (Change& change : changes_) {
    change.node = CopyNode(change.node, &copies);
    change.target = CopyNode(change.target, &copies);
    change.source = CopyNode(change.source, &copies);
  }
}

std::pair<int, NodeRef> Namespace::Find(std::string_view path) const {
  NodeRef node = root_;
  for (std::string_view part : Split(path)) {
    if (!node->is_directory()) return {-ENOTDIR, nullptr};
    auto it = node->visible.find(std::string(part));
    if (it == node->visible.end()) return {-ENOENT, nullptr};
    node = it->second;
  }
  return {0, node};
}

NodeRef Namespace::FindDurable(std::string_view path) const {
  NodeRef node = root_;
  for (std::string_view part : Split(path)) {
    if (!node->is_directory()) return nullptr;
    auto it = node->durable.find(std::string(part));
    if (it == node->durable.end()) return nullptr;
    node = it->second;
  }
  return node;
}

Namespace::Place Namespace::FindParent(std::string_view path) const {
  const std::vector<std::string_view> parts = Split(path);
  if (parts.empty()) return {-EEXIST, nullptr, {}};  // the root
  NodeRef node = root_;
  for (size_t i = 0; i + 1 < parts.size(); i++) {
    auto it = node->visible.find(std::string(parts[i]));
    if (it == node->visible.end()) return {-ENOENT, nullptr, {}};
    node = it->second;
    if (!node->is_directory()) return {-ENOTDIR, nullptr, {}};
  }
  return {0, node, std::string(parts.back())};
}

// Puts a node, or nothing if it is null, at a place.
void Namespace::SetVisible(const Place& place, NodeRef node) {
  auto it = place.directory->visible.find(place.name);
  if (it != place.directory->visible.end()) {
    it->second->links--;
    if (node == nullptr) place.directory->visible.erase(it);
  }
  if (node == nullptr) return;
  node->links++;
  place.directory->visible[place.name] = std::move(node);
}

int Namespace::Create(std::string_view path, NodeRef file) {
  const Place place = FindParent(path);
  if (place.error != 0) return place.error;
  NEXUS_CHECK(!place.directory->visible.contains(place.name));
  SetVisible(place, file);
  changes_.push_back({next_sequence_++, Kind::kLink, std::move(file), place.directory, place.name});
  return 0;
}

int Namespace::MakeDirectory(std::string_view path) {
  const Place place = FindParent(path);
  if (place.error != 0) return place.error;
  if (place.directory->visible.contains(place.name)) return -EEXIST;
  return Create(path, std::make_shared<Node>(nullptr));
}

int Namespace::CheckRename(const Place& from, const Place& to, std::string_view from_path,
                           std::string_view to_path) const {
  if (from.error != 0) return from.error;
  if (to.error != 0) return to.error;
  auto moved = from.directory->visible.find(from.name);
  if (moved == from.directory->visible.end()) return -ENOENT;
  const std::vector<std::string_view> from_parts = Split(from_path);
  const std::vector<std::string_view> to_parts = Split(to_path);
  if (to_parts.size() > from_parts.size() &&
      std::equal(from_parts.begin(), from_parts.end(), to_parts.begin())) {
    return -EINVAL;  // into itself
  }
  auto replaced = to.directory->visible.find(to.name);
  if (replaced == to.directory->visible.end()) return 0;
  const Node& old = *replaced->second;
  if (old.is_directory() && !moved->second->is_directory()) return -EISDIR;
  if (!old.is_directory() && moved->second->is_directory()) return -ENOTDIR;
  return old.visible.empty() ? 0 : -ENOTEMPTY;
}

int Namespace::Rename(std::string_view from_path, std::string_view to_path) {
  const Place from = FindParent(from_path);
  const Place to = FindParent(to_path);
  const int error = CheckRename(from, to, from_path, to_path);
  if (error != 0) return error;
  const NodeRef node = from.directory->visible[from.name];
  auto replaced = to.directory->visible.find(to.name);
  if (replaced != to.directory->visible.end() && replaced->second == node) return 0;
  SetVisible(to, node);
  SetVisible(from, nullptr);
  changes_.push_back(
      {next_sequence_++, Kind::kRename, node, to.directory, to.name, from.directory, from.name});
  return 0;
}

int Namespace::Link(std::string_view from, std::string_view to) {
  const auto [error, node] = Find(from);
  if (error != 0) return error;
  if (node->is_directory()) return -EPERM;
  const Place place = FindParent(to);
  if (place.error != 0) return place.error;
  if (place.directory->visible.contains(place.name)) return -EEXIST;
  return Create(to, node);
}

int Namespace::Unlink(std::string_view path) {
  const auto [error, node] = Find(path);
  if (error != 0) return error;
  if (node->is_directory()) return -EISDIR;
  const Place place = FindParent(path);
  SetVisible(place, nullptr);
  changes_.push_back({next_sequence_++, Kind::kUnlink, node, place.directory, place.name});
  return 0;
}

int Namespace::RemoveDirectory(std::string_view path) {
  const auto [error, node] = Find(path);
  if (error != 0) return error;
  if (!node->is_directory()) return -ENOTDIR;
  if (node == root_) return -EBUSY;
  if (!node->visible.empty()) return -ENOTEMPTY;
  const Place place = FindParent(path);
  SetVisible(place, nullptr);
  changes_.push_back({next_sequence_++, Kind::kUnlink, node, place.directory, place.name});
  return 0;
}

void Namespace::ApplyTarget(const Change& change) {
  Names& names = change.target->durable;
  if (change.kind != Kind::kUnlink) {
    names[change.target_name] = change.node;
    return;
  }
  names.erase(change.target_name);
}

void Namespace::ApplySource(const Change& change) {
  // Only if it is still this node: the name may have been given anew, durably, since.
  auto it = change.source->durable.find(change.source_name);
  if (it != change.source->durable.end() && it->second == change.node) {
    change.source->durable.erase(it);
  }
}

void Namespace::Sync(const NodeRef& directory, uint64_t before) {
  std::erase_if(changes_, [&](Change& change) {
    if (change.sequence >= before) return false;
    if (change.source == directory) change.source_synced = true;
    if (change.target == directory && !change.target_durable) {
      ApplyTarget(change);
      change.target_durable = true;
    }
    if (!change.target_durable) return false;
    if (change.kind != Kind::kRename) return true;
    // The source goes only once the target is there: a file is never lost from both.
    if (change.source_synced) ApplySource(change);
    return change.source_synced;
  });
}

void Namespace::Survive(const Change& change, ChoiceSource* choices) {
  if (change.kind != Kind::kRename) {
    if (choices->Choose(Stream::kCrash, 2) == 0) ApplyTarget(change);
    return;
  }
  enum : uint64_t { kWhole, kBothNames, kNothing, kOutcomes };
  const uint64_t outcomes = change.target_durable ? uint64_t{kNothing} : uint64_t{kOutcomes};
  const uint64_t outcome = choices->Choose(Stream::kCrash, outcomes);
  if (outcome == kNothing) return;
  if (!change.target_durable) ApplyTarget(change);
  if (outcome == kWhole) ApplySource(change);
}

void Namespace::PowerCut(ChoiceSource* choices) {
  std::vector<Change> changes;
  changes.swap(changes_);
  if (!changes.empty()) {
    // All, none, or each by its own luck: long lists would else never survive whole.
    const uint64_t mode = choices->Choose(Stream::kCrash, 3);
    for (const Change& change : changes) {
      if (mode == 2) {
        Survive(change, choices);
      } else if (mode == 0) {
        if (!change.target_durable) ApplyTarget(change);
        if (change.kind == Kind::kRename) ApplySource(change);
      }
    }
    for (const Change& change : changes) change.node->links = 0;
  }
  VisitAll([](const NodeRef& node) { node->links = 0; });
  Restart(root_);
}

std::vector<std::pair<std::string, NodeRef>> Namespace::Files(bool durable) const {
  std::vector<std::pair<std::string, NodeRef>> files;
  Collect(*root_, durable ? &Node::durable : &Node::visible, "/", &files);
  return files;
}

void Namespace::VisitAll(const std::function<void(const NodeRef&)>& visit) const {
  std::map<uint64_t, NodeRef> files;
  CollectById(root_, &files);
  for (const Change& change : changes_) CollectById(change.node, &files);
  for (const auto& [id, node] : files) visit(node);
}

}  // namespace nexus::sim
