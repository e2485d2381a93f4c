// The simulated disk as tests see it: damage, a look from outside, copies. See disk.h.

#include "io/sim/disk.h"

#include <algorithm>

#include "base/check.h"
#include "io/sim/transfer.h"

namespace nexus::sim {
namespace {

constexpr uint64_t kEverything = ~uint64_t{0};

std::vector<std::string> Paths(const std::vector<std::pair<std::string, NodeRef>>& files) {
  std::vector<std::string> paths;
  for (const auto& [path, node] : files) paths.push_back(path);
  return paths;
}

}  // namespace

Disk::Disk(Scheduler* scheduler, ChoiceSource* choices, Trace* trace, const Options* options,
           uint64_t seed)
    : scheduler_(scheduler),
      choices_(choices),
      trace_(trace),
      options_(options),
      faults_(choices, trace, options),
      garbage_(seed),
      capacity_bytes_(options->capacity_bytes) {}

Disk::~Disk() = default;

NodeRef Disk::FileAt(std::string_view path) const {
  const auto [error, node] = names_.Find(path);
  const bool is_a_file = error == 0 && !node->is_directory();
  NEXUS_CHECK(is_a_file);
  return node;
}

void Disk::FlipBit(std::string_view path, uint64_t offset, int bit) {
  FileAt(path)->file->FlipBit(offset, bit);
}

uint64_t Disk::FlipRandomBit(std::string_view path) {
  const NodeRef node = FileAt(path);
  NEXUS_CHECK(node->file->size() > 0);
  const Stream stream = StreamOf(Fault::kBitRot);
  const uint64_t offset = choices_->Choose(stream, node->file->size());
  node->file->FlipBit(offset, static_cast<int>(choices_->Choose(stream, 8)));
  return offset;
}

void Disk::MakeUnreadable(std::string_view path, uint64_t offset) {
  const NodeRef node = FileAt(path);
  NEXUS_CHECK(offset < node->file->size());
  node->file->MakeUnreadable(offset / io::kSectorBytes);
}

void Disk::Misdirect(std::string_view path, uint64_t offset, uint64_t from) {
  FileAt(path)->file->Misdirect(offset / io::kSectorBytes, from / io::kSectorBytes);
}

std::vector<std::string> Disk::VisibleFiles() const { return Paths(names_.Files(false)); }
std::vector<std::string> Disk::DurableFiles() const { return Paths(names_.Files(true)); }

std::optional<std::string> Disk::ReadVisible(std::string_view path) const {
  const auto [error, node] = names_.Find(path);
  if (error != 0 || node->is_directory()) return std::nullopt;
  return node->file->VisibleContent();
}

std::optional<std::string> Disk::ReadDurable(std::string_view path) const {
  const NodeRef node = names_.FindDurable(path);
  if (node == nullptr || node->is_directory()) return std::nullopt;
  return node->file->DurableContent();
}

void Disk::WriteDurable(std::string_view path, Bytes content) {
  for (size_t slash = path.find('/', 1); slash != std::string_view::npos;
       slash = path.find('/', slash + 1)) {
    if (names_.Find(path.substr(0, slash)).first != 0) names_.MakeDirectory(path.substr(0, slash));
  }
  auto [error, node] = names_.Find(path);
  if (error != 0) NEXUS_CHECK(CreateFile(std::string(path), &node) == 0);
  const uint64_t before = node->file->allocated_sectors();
  node->file->Truncate(0);
  node->file->Write(0, content);
  node->file->MakeDurable(kEverything, Inode::kNoChange);
  Account(*node, before);
  for (size_t slash = path.find('/'); slash != std::string_view::npos;
       slash = path.find('/', slash + 1)) {
    names_.Sync(names_.Find(path.substr(0, slash)).second, kEverything);
  }
}

void Disk::CopyFrom(const Disk& other) {
  NEXUS_CHECK(in_flight() == 0);
  names_.CopyFrom(other.names_);
  next_inode_id_ = other.next_inode_id_;
  capacity_bytes_ = other.capacity_bytes_;
  read_only_ = other.read_only_;
  RecountSpace();
}

}  // namespace nexus::sim
