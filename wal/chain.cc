// Segment headers and the chain they form. See chain.h.

#include "wal/chain.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/planted.h"
#include "io/file_util.h"

namespace nexus::wal {
namespace {

using HeaderBytes = std::array<std::byte, kHeaderCopyBytes>;

// `unreadable` is set if the copy could not even be read.
StatusOr<SegmentHeader> ReadHeaderCopy(const io::File& file, int copy, bool* unreadable) {
  HeaderBytes bytes;
  uint64_t offset = static_cast<uint64_t>(copy) * kHeaderCopyBytes;
  StatusOr<uint64_t> got = io::ReadUpToBlocking(file, offset, MutableBytes(bytes));
  *unreadable |= !got.ok();
  NEXUS_RETURN_IF_ERROR(got.status());
  return DecodeSegmentHeader(Bytes(bytes).first(*got), copy);
}

// True if the file can be read to its end and has no bit set behind the header's place.
bool IsBlank(const io::File& file) {
  std::vector<std::byte> window(uint64_t{1} << 20);
  for (uint64_t offset = kSegmentDataBegin;; offset += window.size()) {
    StatusOr<uint64_t> got = io::ReadUpToBlocking(file, offset, window);
    if (!got.ok()) return false;
    auto end = window.begin() + static_cast<ptrdiff_t>(*got);
    if (std::find_if(window.begin(), end, [](std::byte b) { return b != std::byte{0}; }) != end) {
      return false;
    }
    if (*got < window.size()) return true;
  }
}

// The header as its file tells it; the first good copy counts.
Status ReadHeader(const io::File& file, SegmentFile* segment) {
  bool unreadable = false;
  for (int copy = 0; copy < kHeaderCopies; copy++) {
    StatusOr<SegmentHeader> header = ReadHeaderCopy(file, copy, &unreadable);
    if (header.ok() && header->sequence != segment->name.sequence) {
      header = DataLoss("the header is that of segment {:#x}", header->sequence);
    }
    if (header.status().code() == absl::StatusCode::kFailedPrecondition) {
      return Annotate(header.status(), segment->path);
    }
    if (!header.ok()) {
      segment->bad_copies++;
      segment->header_error = std::string(FromAbsl(header.status().message()));
    } else if (!segment->header.has_value()) {
      segment->header = *std::move(header);
    }
  }
  if (!segment->header.has_value() && !unreadable) segment->blank = IsBlank(file);
  return OkStatus();
}

// The sequence in a spare's header, if it has been a segment. `unreadable` is set if that cannot be
// told.
std::optional<uint64_t> SequenceInSpare(const io::File& file, bool* unreadable) {
  for (int copy = 0; copy < kHeaderCopies; copy++) {
    StatusOr<SegmentHeader> header = ReadHeaderCopy(file, copy, unreadable);
    if (header.ok()) return header->sequence;
  }
  return std::nullopt;
}

SpareFile AsSpare(const SegmentFile& segment) { return {segment.path, segment.bytes}; }

// Takes the newest segment of `files` with a sequence below `below` that is not blank, or nothing.
std::optional<SegmentFile> TakeNewest(std::vector<SegmentFile>* files, uint64_t below) {
  for (size_t i = files->size(); i-- > 0;) {
    if ((*files)[i].name.sequence >= below || (*files)[i].blank) continue;
    SegmentFile taken = std::move((*files)[i]);
    files->erase(files->begin() + static_cast<ptrdiff_t>(i));
    return taken;
  }
  return std::nullopt;
}

std::optional<SegmentFile> TakeBySequence(std::vector<SegmentFile>* files, uint64_t sequence) {
  auto at = std::find_if(files->begin(), files->end(), [sequence](const SegmentFile& file) {
    return file.name.sequence == sequence;
  });
  if (at == files->end()) return std::nullopt;
  SegmentFile taken = std::move(*at);
  files->erase(at);
  return taken;
}

bool AnyBelow(const std::vector<SegmentFile>& files, uint64_t sequence) {
  return std::any_of(files.begin(), files.end(),
                     [sequence](const SegmentFile& file) { return file.name.sequence < sequence; });
}

void LearnCuts(const SegmentHeader& header, std::map<uint64_t, Cut>* cuts) {
  if (NEXUS_PLANTED("cut-forgotten")) return;
  const Predecessor& before = header.predecessor;
  if (before.kind == Predecessor::Kind::kClosed) {
    cuts->try_emplace(before.sequence, Cut{before.sequence, before.end, before.hash});
  }
  for (const Cut& cut : header.cuts) cuts->try_emplace(cut.sequence, cut);
}

// The link before `newer`, or nothing if the chain begins with it. May set newer->broken.
std::optional<ChainLink> TakePredecessor(std::vector<SegmentFile>* files, ChainLink* newer) {
  ChainLink link;
  uint64_t below = newer->file.name.sequence;
  if (!newer->headless) {
    const Predecessor& before = newer->file.header->predecessor;
    if (before.kind == Predecessor::Kind::kNone) return std::nullopt;
    below = before.sequence;
    if (std::optional<SegmentFile> found = TakeBySequence(files, before.sequence)) {
      link.file = *std::move(found);
      link.headless = !link.file.header.has_value();
      return link;
    }
    // Trimmed segments go oldest first, each durably before the next: a hole is no trim.
    if (!AnyBelow(*files, below)) return std::nullopt;
    newer->broken = fmt::format("segment {:#x} is missing", below);
  } else {
    newer->broken = fmt::format("the header of the segment is bad ({})", newer->file.header_error);
  }
  std::optional<SegmentFile> older = TakeNewest(files, below);
  if (!older.has_value()) return std::nullopt;
  link.file = *std::move(older);
  link.headless = !link.file.header.has_value();
  return link;
}

}  // namespace

LogFiles SortFiles(const std::string& directory, const std::vector<io::DirectoryEntry>& entries) {
  LogFiles files;
  for (const io::DirectoryEntry& entry : entries) {
    std::optional<FileName> name = ParseFileName(entry.name);
    if (entry.is_directory || !name.has_value()) continue;
    files.sequence_max = std::max(files.sequence_max, name->sequence);
    files.open_count_max = std::max(files.open_count_max, name->open_count);
    std::string path = io::JoinPath(directory, entry.name);
    if (name->kind == FileName::Kind::kSegment) {
      SegmentFile& segment = files.segments.emplace_back();
      segment.name = *name;
      segment.path = std::move(path);
      segment.bytes = entry.bytes;
    } else {
      bool finished = name->kind == FileName::Kind::kSpare;
      (finished ? files.spares : files.leftovers).push_back({std::move(path), entry.bytes});
    }
  }
  std::stable_sort(
      files.segments.begin(), files.segments.end(),
      [](const SegmentFile& a, const SegmentFile& b) { return a.name.sequence < b.name.sequence; });
  return files;
}

Status ReadSegmentFiles(io::Disk* disk, std::optional<DatabaseId> database, LogFiles* files) {
  // Newest first: without a database given, the newest segment says which it is.
  for (size_t i = files->segments.size(); i-- > 0;) {
    SegmentFile& segment = files->segments[i];
    StatusOr<std::unique_ptr<io::File>> file = io::OpenFileBlocking(disk, segment.path);
    if (!file.ok()) {
      segment.bad_copies = kHeaderCopies;
      segment.header_error = std::string(FromAbsl(file.status().message()));
      continue;
    }
    NEXUS_RETURN_IF_ERROR(ReadHeader(**file, &segment));
    if (!segment.header.has_value()) continue;
    if (!database.has_value()) database = segment.header->database;
    if (segment.header->database != *database) {
      return FailedPrecondition(
          "{} belongs to database {:016x}{:016x}, this is {:016x}{:016x}: move it out of the "
          "folder",
          segment.path, segment.header->database.high, segment.header->database.low, database->high,
          database->low);
    }
  }
  return OkStatus();
}

void SetAsideSecondNames(io::Disk* disk, LogFiles* files) {
  std::vector<SpareFile> spares = std::move(files->spares);
  files->spares.clear();
  for (SpareFile& spare : spares) {
    StatusOr<std::unique_ptr<io::File>> file = io::OpenFileBlocking(disk, spare.path);
    std::optional<uint64_t> sequence;
    bool unreadable = !file.ok();
    if (file.ok()) sequence = SequenceInSpare(**file, &unreadable);
    bool second_name = std::any_of(
        files->segments.begin(), files->segments.end(),
        [sequence](const SegmentFile& segment) { return segment.name.sequence == sequence; });
    (unreadable || second_name ? files->leftovers : files->spares).push_back(std::move(spare));
  }
}

Chain BuildChain(std::vector<SegmentFile> segments) {
  Chain chain;
  for (const SegmentFile& file : segments) {
    if (!file.header.has_value()) continue;
    chain.range_end = std::max(chain.range_end, file.header->range_end());
    chain.database = file.header->database;
  }
  std::optional<SegmentFile> newest = TakeNewest(&segments, UINT64_MAX);
  if (newest.has_value()) {
    ChainLink link;
    link.file = *std::move(newest);
    link.headless = !link.file.header.has_value();
    while (true) {
      if (!link.headless) LearnCuts(*link.file.header, &chain.cuts);
      std::optional<ChainLink> before = TakePredecessor(&segments, &link);
      chain.links.push_back(std::move(link));
      if (!before.has_value()) break;
      link = *std::move(before);
    }
    std::reverse(chain.links.begin(), chain.links.end());
  }
  for (const SegmentFile& file : segments) {
    chain.dead.push_back(AsSpare(file));
    if (!file.header.has_value()) {
      chain.notes.push_back(
          fmt::format("{} was never started ({}) and is recycled", file.path, file.header_error));
    }
  }
  for (const ChainLink& link : chain.links) {
    if (!link.headless && link.file.bad_copies > 0) {
      chain.notes.push_back(fmt::format("{}: one of two header copies is bad ({})", link.file.path,
                                        link.file.header_error));
    }
  }
  return chain;
}

}  // namespace nexus::wal
