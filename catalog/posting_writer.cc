// Merging ids into posting blocks. See posting_writer.h.

#include "catalog/posting_writer.h"

#include <algorithm>
#include <iterator>

#include "catalog/posting_block.h"

namespace nexus::catalog {

std::optional<uint64_t> PostingWriter::FirstIdHere(LabelSymbols label) const {
  KeyReader key(cursor_.key());
  bool same_label =
      key.U32() == tenant_.value && key.U32() == label.name && key.U32() == label.value;
  uint64_t first = key.U64();
  return same_label && key.complete() ? std::optional(first) : std::nullopt;
}

StatusOr<std::optional<uint64_t>> PostingWriter::LoadBlockFor(LabelSymbols label, uint64_t id) {
  const Key wanted = PostingKey(tenant_, label.name, label.value, {id});
  NEXUS_ASSIGN_OR_RETURN(bool found, cursor_.SeekAtOrBefore(wanted.view()));
  std::optional<uint64_t> first = found ? FirstIdHere(label) : std::nullopt;
  if (!first) {
    // No block begins at or below `id`: it goes to the label's first one.
    NEXUS_ASSIGN_OR_RETURN(found, cursor_.SeekAtOrAfter(wanted.view()));
    first = found ? FirstIdHere(label) : std::nullopt;
  }
  if (!first) return first;
  block_.clear();
  NEXUS_ASSIGN_OR_RETURN(std::string_view payload, cursor_.Payload());
  if (!DecodePostingBlock(*first, payload, &block_)) {
    return txn_.env().Damaged(Tree::kPostings, cursor_.key());
  }
  NEXUS_ASSIGN_OR_RETURN(found, cursor_.Next());
  end_ = found ? FirstIdHere(label) : std::nullopt;
  return first;
}

Status PostingWriter::Add(LabelSymbols label, std::span<const uint64_t> ids, bool fresh) {
  if (fresh) return WriteBlocks(label, ids);
  while (!ids.empty()) {
    NEXUS_ASSIGN_OR_RETURN(std::optional<uint64_t> first, LoadBlockFor(label, ids.front()));
    if (!first) return WriteBlocks(label, ids);
    auto stop = end_ ? std::lower_bound(ids.begin(), ids.end(), *end_) : ids.end();
    std::span<const uint64_t> taken(ids.begin(), stop);
    ids = ids.subspan(taken.size());
    merged_.clear();
    std::set_union(block_.begin(), block_.end(), taken.begin(), taken.end(),
                   std::back_inserter(merged_));
    if (merged_.size() == block_.size()) continue;
    if (merged_.front() != *first) {
      NEXUS_RETURN_IF_ERROR(DeleteBlock(label, *first));
    }
    const bool appended = taken.front() > block_.back();
    if (!appended && !FitsPostingBlock(merged_)) {
      std::span<const uint64_t> all(merged_);
      NEXUS_RETURN_IF_ERROR(WriteBlocks(label, all.first(all.size() / 2)));
      NEXUS_RETURN_IF_ERROR(WriteBlocks(label, all.subspan(all.size() / 2)));
    } else {
      NEXUS_RETURN_IF_ERROR(WriteBlocks(label, merged_));
    }
  }
  return OkStatus();
}

Status PostingWriter::Remove(LabelSymbols label, std::span<const uint64_t> ids) {
  while (!ids.empty()) {
    NEXUS_ASSIGN_OR_RETURN(std::optional<uint64_t> first, LoadBlockFor(label, ids.front()));
    if (!first) return OkStatus();
    auto stop = end_ ? std::lower_bound(ids.begin(), ids.end(), *end_) : ids.end();
    std::span<const uint64_t> taken(ids.begin(), stop);
    ids = ids.subspan(taken.size());
    merged_.clear();
    std::set_difference(block_.begin(), block_.end(), taken.begin(), taken.end(),
                        std::back_inserter(merged_));
    if (merged_.size() == block_.size()) continue;
    if (merged_.empty() || merged_.front() != *first) {
      NEXUS_RETURN_IF_ERROR(DeleteBlock(label, *first));
    }
    NEXUS_RETURN_IF_ERROR(WriteBlocks(label, merged_));
  }
  return OkStatus();
}

StatusOr<bool> PostingWriter::HasIds(LabelSymbols label) {
  NEXUS_ASSIGN_OR_RETURN(
      const bool found,
      cursor_.SeekAtOrAfter(PostingKey(tenant_, label.name, label.value, {0}).view()));
  return found && FirstIdHere(label).has_value();
}

Status PostingWriter::DeleteBlock(LabelSymbols label, uint64_t first) {
  return txn_.Delete(Tree::kPostings, PostingKey(tenant_, label.name, label.value, {first}).view());
}

Status PostingWriter::WriteBlocks(LabelSymbols label, std::span<const uint64_t> ids) {
  while (!ids.empty()) {
    const Key key = PostingKey(tenant_, label.name, label.value, {ids.front()});
    value_.Clear();
    ids = ids.subspan(EncodePostingBlock(ids, value_.bytes()));
    NEXUS_RETURN_IF_ERROR(cursor_.Put(key.view(), &value_));
  }
  return OkStatus();
}

}  // namespace nexus::catalog
