// What every backend promises of its disk: the contract D1-D10, the lock file, free space. Part of
// the suite of conformance.h; in coroutines only EXPECT_ is used, since ASSERT_ returns.

#include <gmock/gmock.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/file_util.h"
#include "tests/io/conformance.h"

namespace nexus::io {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

OpenFlags ForWriting() {
  OpenFlags flags;
  flags.write = flags.create = true;
  return flags;
}

OpenFlags ForDirectWriting() {
  OpenFlags flags = ForWriting();
  flags.direct = true;
  return flags;
}

std::string_view Text(const AlignedBuffer& buffer, uint64_t n) {
  return AsString(Bytes(buffer.span()).first(n));
}

void Fill(const AlignedBuffer& buffer, char with) {
  std::memset(buffer.data(), with, buffer.size());
}

// An operation that counts its completions and knows whether it was completed inside Submit.
struct ProbedOp : FileOp {
  ProbedOp(Kind op, uint64_t at, MutableBytes bytes, Event* completed)
      : FileOp(op, at, bytes, &Complete), event(completed) {}
  static void Complete(FileOp* op) {
    auto* self = static_cast<ProbedOp*>(op);
    self->completions++;
    self->completed_inside_submit = self->submitting;
    self->completed_on = Executor::Current();
    self->event->Set();
  }
  void SubmitTo(File* file) {
    submitting = true;
    file->Submit(this);
    submitting = false;
  }
  Event* event;
  Executor* completed_on = nullptr;
  int completions = 0;
  bool submitting = false;
  bool completed_inside_submit = false;
};

// The file's whole content, or the error as text.
Task<std::string> Contents(Disk* disk, std::string path) {
  StatusOr<std::string> read = co_await ReadWholeFile(disk, path, 1 << 20);
  co_return read.ok() ? *read : "<" + read.status().ToString() + ">";
}

Task<std::unique_ptr<File>> MustOpen(Disk* disk, std::string path, OpenFlags flags) {
  OpenResult opened = co_await disk->Open(path, flags);
  EXPECT_EQ(opened.error, 0) << path;
  NEXUS_CHECK(opened.error == 0);
  co_return std::move(opened.file);
}

Task<void> WriteText(Disk* disk, std::string path, std::string text) {
  std::unique_ptr<File> file = co_await MustOpen(disk, path, ForWriting());
  Status written = co_await WriteAll(file.get(), 0, AsBytes(text));
  EXPECT_TRUE(written.ok()) << written;
}

// ---- D1: visibility.

Task<void> CompletedWriteIsVisible(Disk* disk, std::string path) {
  std::unique_ptr<File> file = co_await MustOpen(disk, path, ForWriting());
  int64_t written = co_await Write(file.get(), 0, AsBytes("hello"));
  EXPECT_EQ(written, 5);
  EXPECT_EQ(file->Size(), 5);
  std::string seen(5, '\0');
  int64_t read = co_await Read(file.get(), 0, std::as_writable_bytes(std::span(seen)));
  EXPECT_EQ(read, 5);
  EXPECT_EQ(seen, "hello");
}

TEST_P(Conformance, D1_CompletedWriteIsVisible) { Run(CompletedWriteIsVisible(disk(), Path("f"))); }

Task<void> CompletedWriteIsVisibleThroughOtherHandles(Disk* disk, std::string path) {
  std::unique_ptr<File> writer = co_await MustOpen(disk, path, ForWriting());
  std::unique_ptr<File> reader = co_await MustOpen(disk, path, OpenFlags());
  OpenResult blocking = disk->OpenBlocking(path);
  EXPECT_EQ(blocking.error, 0);
  for (char c : {'a', 'b'}) {
    std::string text(3, c);
    int64_t written = co_await Write(writer.get(), 0, AsBytes(text));
    EXPECT_EQ(written, 3);
    std::string seen(3, '\0');
    MutableBytes into = std::as_writable_bytes(std::span(seen));
    int64_t read = co_await Read(reader.get(), 0, into);
    EXPECT_EQ(read, 3);
    EXPECT_EQ(seen, text);
    seen.assign(3, '\0');
    EXPECT_EQ(blocking.file->ReadBlocking(0, into), 3);
    EXPECT_EQ(seen, text);
  }
}

TEST_P(Conformance, D1_CompletedWriteIsVisibleThroughOtherHandles) {
  Run(CompletedWriteIsVisibleThroughOtherHandles(disk(), Path("f")));
}

Task<void> DirectAndBufferedHandlesSeeEachOther(Disk* disk, std::string path) {
  std::unique_ptr<File> direct = co_await MustOpen(disk, path, ForDirectWriting());
  std::unique_ptr<File> buffered = co_await MustOpen(disk, path, ForWriting());
  EXPECT_FALSE(buffered->direct());
  AlignedBuffer buffer(2 * kSectorBytes);
  Fill(buffer, 'd');
  int64_t written = co_await Write(direct.get(), 0, buffer.span());
  EXPECT_EQ(written, static_cast<int64_t>(buffer.size()));
  AlignedBuffer seen(2 * kSectorBytes);
  int64_t read = co_await Read(buffered.get(), 0, seen.span());
  EXPECT_EQ(read, static_cast<int64_t>(seen.size()));
  EXPECT_EQ(Text(seen, seen.size()), Text(buffer, buffer.size()));
  EXPECT_EQ(buffered->ReadBlocking(0, seen.span()), static_cast<int64_t>(seen.size()));
}

TEST_P(Conformance, D1_DirectAndBufferedHandlesSeeEachOther) {
  Run(DirectAndBufferedHandlesSeeEachOther(disk(), Path("f")));
}

// ---- D2: syncs and the linked chain.

Task<void> LinkedSyncFollowsAWholeWrite(Disk* disk, std::string path) {
  std::unique_ptr<File> file = co_await MustOpen(disk, path, ForDirectWriting());
  AlignedBuffer buffer(kSectorBytes);
  for (int round = 0; round < 20; round++) {
    Fill(buffer, static_cast<char>('a' + round));
    Event done;
    ProbedOp op(FileOp::Kind::kWriteThenSync, 0, buffer.span(), &done);
    op.SubmitTo(file.get());
    co_await done.Wait();
    EXPECT_EQ(op.result, static_cast<int64_t>(kSectorBytes));
    EXPECT_EQ(op.sync_result, 0);
    EXPECT_EQ(op.completions, 1);
  }
  AlignedBuffer seen(kSectorBytes);
  int64_t read = co_await Read(file.get(), 0, seen.span());
  EXPECT_EQ(read, static_cast<int64_t>(kSectorBytes));
  EXPECT_EQ(seen.data()[0], std::byte{'a' + 19});
}

TEST_P(Conformance, D2_LinkedSyncFollowsAWholeWrite) {
  Run(LinkedSyncFollowsAWholeWrite(disk(), Path("f")));
}

Task<void> FailedWriteCancelsItsLinkedSync(Disk* disk, std::string path) {
  co_await WriteText(disk, path, "kept");
  std::unique_ptr<File> read_only = co_await MustOpen(disk, path, OpenFlags());
  AlignedBuffer buffer(kSectorBytes);
  Event done;
  ProbedOp op(FileOp::Kind::kWriteThenSync, 0, buffer.span(), &done);
  op.SubmitTo(read_only.get());
  co_await done.Wait();
  EXPECT_EQ(op.result, -EBADF);
  EXPECT_EQ(op.sync_result, -ECANCELED);
  EXPECT_EQ(op.completions, 1);
  std::string contents = co_await Contents(disk, path);
  EXPECT_EQ(contents, "kept");
}

TEST_P(Conformance, D2_FailedWriteCancelsItsLinkedSync) {
  Run(FailedWriteCancelsItsLinkedSync(disk(), Path("f")));
}

Task<void> SyncOfAFileSucceeds(Disk* disk, std::string path) {
  std::unique_ptr<File> file = co_await MustOpen(disk, path, ForWriting());
  co_await Write(file.get(), 0, AsBytes("x"));
  int64_t synced = co_await Sync(file.get());
  EXPECT_EQ(synced, 0);
}

TEST_P(Conformance, D2_SyncOfAFileSucceeds) { Run(SyncOfAFileSucceeds(disk(), Path("f"))); }

// ---- D4, D5: names.

std::vector<std::string> Names(const ListResult& listed) {
  std::vector<std::string> names;
  for (const DirectoryEntry& entry : listed.entries) names.push_back(entry.name);
  return names;
}

Task<void> NamesAreListedInByteOrder(Disk* disk, std::string folder) {
  for (const char* name : {"b", "a", "B", "ab", "\xc3\xa4"}) {
    co_await WriteText(disk, JoinPath(folder, name), name);
  }
  int made = co_await disk->MakeDirectory(JoinPath(folder, "d"));
  EXPECT_EQ(made, 0);
  int synced = co_await disk->SyncDirectory(folder);
  EXPECT_EQ(synced, 0);
  ListResult listed = co_await disk->List(folder);
  EXPECT_EQ(listed.error, 0);
  EXPECT_THAT(Names(listed), ElementsAre("B", "a", "ab", "b", "d", "\xc3\xa4"));
  EXPECT_EQ(listed.entries[2].bytes, 2U);
  EXPECT_FALSE(listed.entries[2].is_directory);
  EXPECT_TRUE(listed.entries[4].is_directory);
}

TEST_P(Conformance, D4_NamesAreListedInByteOrder) {
  Run(NamesAreListedInByteOrder(disk(), world_->folder()));
}

Task<void> ExclusiveCreateRefusesWhatIsThere(Disk* disk, std::string path) {
  OpenFlags exclusive = ForDirectWriting();
  exclusive.exclusive = true;
  OpenResult first = co_await disk->Open(path, exclusive);
  EXPECT_EQ(first.error, 0);
  OpenResult second = co_await disk->Open(path, exclusive);
  EXPECT_EQ(second.error, -EEXIST);
  EXPECT_EQ(second.file, nullptr);
}

TEST_P(Conformance, D4_ExclusiveCreateRefusesWhatIsThere) {
  Run(ExclusiveCreateRefusesWhatIsThere(disk(), Path("f")));
}

Task<void> TruncatingOpenEmptiesTheFile(Disk* disk, std::string path) {
  co_await WriteText(disk, path, "old");
  OpenFlags flags = ForWriting();
  flags.truncate = true;
  std::unique_ptr<File> file = co_await MustOpen(disk, path, flags);
  EXPECT_EQ(file->Size(), 0);
}

TEST_P(Conformance, TruncatingOpenEmptiesTheFile) {
  Run(TruncatingOpenEmptiesTheFile(disk(), Path("f")));
}

Task<void> MissingNamesAreNoEntry(Disk* disk, std::string folder) {
  std::string path = JoinPath(folder, "absent");
  OpenResult opened = co_await disk->Open(path, OpenFlags());
  EXPECT_EQ(opened.error, -ENOENT);
  EXPECT_EQ(disk->OpenBlocking(path).error, -ENOENT);
  EXPECT_EQ(co_await disk->Unlink(path), -ENOENT);
  EXPECT_EQ(co_await disk->Rename(path, JoinPath(folder, "other")), -ENOENT);
  EXPECT_EQ(co_await disk->RemoveDirectory(path), -ENOENT);
  EXPECT_EQ(co_await disk->SyncDirectory(path), -ENOENT);
  EXPECT_EQ(co_await disk->MakeDirectory(JoinPath(path, "child")), -ENOENT);
  ListResult listed = co_await disk->List(path);
  EXPECT_EQ(listed.error, -ENOENT);
}

TEST_P(Conformance, D4_MissingNamesAreNoEntry) {
  Run(MissingNamesAreNoEntry(disk(), world_->folder()));
}

Task<void> DirectoriesAreMadeOnceAndRemovedWhenEmpty(Disk* disk, std::string folder) {
  std::string path = JoinPath(folder, "d");
  EXPECT_EQ(co_await disk->MakeDirectory(path), 0);
  EXPECT_EQ(co_await disk->MakeDirectory(path), -EEXIST);
  co_await WriteText(disk, JoinPath(path, "f"), "x");
  EXPECT_EQ(co_await disk->RemoveDirectory(path), -ENOTEMPTY);
  EXPECT_EQ(co_await disk->Unlink(JoinPath(path, "f")), 0);
  EXPECT_EQ(co_await disk->RemoveDirectory(path), 0);
  ListResult listed = co_await disk->List(folder);
  EXPECT_TRUE(listed.entries.empty());
}

TEST_P(Conformance, D4_DirectoriesAreMadeOnceAndRemovedWhenEmpty) {
  Run(DirectoriesAreMadeOnceAndRemovedWhenEmpty(disk(), world_->folder()));
}

Task<void> RenameReplacesTheTarget(Disk* disk, std::string folder) {
  std::string from = JoinPath(folder, "new");
  std::string to = JoinPath(folder, "f");
  co_await WriteText(disk, to, "old");
  co_await WriteText(disk, from, "newer");
  std::unique_ptr<File> old = co_await MustOpen(disk, to, OpenFlags());
  EXPECT_EQ(co_await disk->Rename(from, to), 0);
  std::string contents = co_await Contents(disk, to);
  EXPECT_EQ(contents, "newer");
  ListResult listed = co_await disk->List(folder);
  EXPECT_THAT(Names(listed), ElementsAre("f"));
  // A handle belongs to the file, not to the name.
  EXPECT_EQ(old->Size(), 3);
}

TEST_P(Conformance, D5_RenameReplacesTheTarget) {
  Run(RenameReplacesTheTarget(disk(), world_->folder()));
}

Task<void> ALinkIsASecondNameForTheSameFile(Disk* disk, std::string folder) {
  const std::string file = JoinPath(folder, "f");
  const std::string second = JoinPath(folder, "second");
  co_await WriteText(disk, file, "text");
  const std::string absent = JoinPath(folder, "absent");
  int missing = co_await disk->Link(absent, second);
  EXPECT_EQ(missing, -ENOENT);
  int linked = co_await disk->Link(file, second);
  EXPECT_EQ(linked, 0);
  int taken = co_await disk->Link(file, second);
  EXPECT_EQ(taken, -EEXIST);
  ListResult listed = co_await disk->List(folder);
  EXPECT_THAT(Names(listed), ElementsAre("f", "second"));
  EXPECT_EQ(co_await disk->Unlink(file), 0);
  std::string contents = co_await Contents(disk, second);
  EXPECT_EQ(contents, "text");
}

TEST_P(Conformance, D4_ALinkIsASecondNameForTheSameFile) {
  Run(ALinkIsASecondNameForTheSameFile(disk(), world_->folder()));
}

Task<void> UnlinkedFileIsReadableThroughItsHandles(Disk* disk, std::string path) {
  co_await WriteText(disk, path, "text");
  std::unique_ptr<File> file = co_await MustOpen(disk, path, OpenFlags());
  EXPECT_EQ(co_await disk->Unlink(path), 0);
  std::string seen(4, '\0');
  int64_t read = co_await Read(file.get(), 0, std::as_writable_bytes(std::span(seen)));
  EXPECT_EQ(read, 4);
  EXPECT_EQ(seen, "text");
}

TEST_P(Conformance, D4_UnlinkedFileIsReadableThroughItsHandles) {
  Run(UnlinkedFileIsReadableThroughItsHandles(disk(), Path("f")));
}

Task<void> ReplaceFileLeavesTheNewContentsAndNoTemporary(Disk* disk, std::string folder) {
  std::string path = JoinPath(folder, "f");
  for (const char* contents : {"one", "two!"}) {
    Status replaced = co_await ReplaceFile(disk, path, contents);
    EXPECT_TRUE(replaced.ok()) << replaced;
    std::string seen = co_await Contents(disk, path);
    EXPECT_EQ(seen, contents);
  }
  ListResult listed = co_await disk->List(folder);
  EXPECT_THAT(Names(listed), ElementsAre("f"));
}

TEST_P(Conformance, D5_ReplaceFileLeavesTheNewContentsAndNoTemporary) {
  Run(ReplaceFileLeavesTheNewContentsAndNoTemporary(disk(), world_->folder()));
}

Task<void> MakeDirectoriesMakesParents(Disk* disk, std::string folder) {
  std::string path = JoinPath(folder, "a/b/c");
  for (int round = 0; round < 2; round++) {
    Status made = co_await MakeDirectories(disk, path);
    EXPECT_TRUE(made.ok()) << made;
  }
  ListResult listed = co_await disk->List(JoinPath(folder, "a/b"));
  EXPECT_THAT(Names(listed), ElementsAre("c"));
  co_await WriteText(disk, JoinPath(path, "file"), "x");
  Status onto_file = co_await MakeDirectories(disk, JoinPath(path, "file"));
  EXPECT_EQ(onto_file.code(), absl::StatusCode::kNotFound) << onto_file;
  Status below_file = co_await MakeDirectories(disk, JoinPath(path, "file/x"));
  EXPECT_FALSE(below_file.ok());
}

TEST_P(Conformance, D4_MakeDirectoriesMakesParents) {
  Run(MakeDirectoriesMakesParents(disk(), world_->folder()));
}

// ---- D6: gaps, reserved space, truncation.

Task<void> GapReadsZerosAsLongAsNothingCrashes(Disk* disk, std::string path) {
  std::unique_ptr<File> file = co_await MustOpen(disk, path, ForWriting());
  int64_t written = co_await Write(file.get(), 10000, AsBytes("end"));
  EXPECT_EQ(written, 3);
  EXPECT_EQ(file->Size(), 10003);
  std::string contents = co_await Contents(disk, path);
  EXPECT_EQ(contents, std::string(10000, '\0') + "end");
}

TEST_P(Conformance, D6_GapReadsZerosAsLongAsNothingCrashes) {
  Run(GapReadsZerosAsLongAsNothingCrashes(disk(), Path("f")));
}

Task<void> AllocatedSpaceReadsZerosAndKeepsWhatWasWritten(Disk* disk, std::string path) {
  std::unique_ptr<File> file = co_await MustOpen(disk, path, ForWriting());
  int64_t written = co_await Write(file.get(), 0, AsBytes("head"));
  EXPECT_EQ(written, 4);
  EXPECT_EQ(co_await file->Allocate(3 * kSectorBytes), 0);
  EXPECT_EQ(file->Size(), static_cast<int64_t>(3 * kSectorBytes));
  EXPECT_EQ(co_await file->Allocate(kSectorBytes), 0);
  EXPECT_EQ(file->Size(), static_cast<int64_t>(3 * kSectorBytes)) << "allocation never shrinks";
  std::string contents = co_await Contents(disk, path);
  EXPECT_EQ(contents, "head" + std::string(3 * kSectorBytes - 4, '\0'));
}

TEST_P(Conformance, D6_AllocatedSpaceReadsZerosAndKeepsWhatWasWritten) {
  Run(AllocatedSpaceReadsZerosAndKeepsWhatWasWritten(disk(), Path("f")));
}

Task<void> TruncatedBytesComeBackAsZeros(Disk* disk, std::string path) {
  std::unique_ptr<File> file = co_await MustOpen(disk, path, ForWriting());
  co_await Write(file.get(), 0, AsBytes("abcdef"));
  EXPECT_EQ(co_await file->Truncate(2), 0);
  EXPECT_EQ(file->Size(), 2);
  EXPECT_EQ(co_await file->Truncate(4), 0);
  std::string contents = co_await Contents(disk, path);
  EXPECT_EQ(contents, std::string("ab\0\0", 4));
}

TEST_P(Conformance, D6_TruncatedBytesComeBackAsZeros) {
  Run(TruncatedBytesComeBackAsZeros(disk(), Path("f")));
}

// ---- D7: neighbours.

Task<void> SectorsBesideAWriteAreUnharmed(Disk* disk, std::string path) {
  std::unique_ptr<File> file = co_await MustOpen(disk, path, ForDirectWriting());
  AlignedBuffer all(3 * kSectorBytes);
  Fill(all, 'o');
  int64_t written = co_await Write(file.get(), 0, all.span());
  EXPECT_EQ(written, static_cast<int64_t>(all.size()));
  AlignedBuffer one(kSectorBytes);
  Fill(one, 'n');
  Event first_done;
  Event last_done;
  ProbedOp first(FileOp::Kind::kWrite, 0, one.span(), &first_done);
  ProbedOp last(FileOp::Kind::kWrite, 2 * kSectorBytes, one.span(), &last_done);
  first.SubmitTo(file.get());
  last.SubmitTo(file.get());
  co_await first_done.Wait();
  co_await last_done.Wait();
  int64_t read = co_await Read(file.get(), 0, all.span());
  EXPECT_EQ(read, static_cast<int64_t>(all.size()));
  EXPECT_EQ(Text(all, all.size()), std::string(kSectorBytes, 'n') + std::string(kSectorBytes, 'o') +
                                       std::string(kSectorBytes, 'n'));
}

TEST_P(Conformance, D7_SectorsBesideAWriteAreUnharmed) {
  Run(SectorsBesideAWriteAreUnharmed(disk(), Path("f")));
}

// ---- D8, D9: what reads and writes may return.

Task<void> ReadsStopAtTheEndOfTheFile(Disk* disk, std::string path) {
  co_await WriteText(disk, path, "12345");
  std::unique_ptr<File> file = co_await MustOpen(disk, path, OpenFlags());
  std::string buffer(16, '?');
  MutableBytes into = std::as_writable_bytes(std::span(buffer));
  StatusOr<uint64_t> got = co_await ReadUpTo(file.get(), 2, into);
  EXPECT_EQ(got.value_or(99), 3U);
  EXPECT_EQ(buffer, "345?????????????");
  EXPECT_EQ(co_await Read(file.get(), 5, into), 0);
  EXPECT_EQ(co_await Read(file.get(), 500, into), 0);
  EXPECT_EQ(file->ReadBlocking(5, into), 0);
  Status exactly = co_await ReadExactly(file.get(), 2, into);
  EXPECT_EQ(exactly.code(), absl::StatusCode::kOutOfRange) << exactly;
  EXPECT_EQ(ReadExactlyBlocking(*file, 2, into).code(), absl::StatusCode::kOutOfRange);
}

TEST_P(Conformance, D8_ReadsStopAtTheEndOfTheFile) {
  Run(ReadsStopAtTheEndOfTheFile(disk(), Path("f")));
}

Task<void> DirectReadStopsInsideTheLastSector(Disk* disk, std::string path) {
  co_await WriteText(disk, path, std::string(kSectorBytes + 100, 't'));
  OpenFlags flags;
  flags.direct = true;
  std::unique_ptr<File> file = co_await MustOpen(disk, path, flags);
  AlignedBuffer buffer(4 * kSectorBytes);
  StatusOr<uint64_t> got = co_await ReadUpTo(file.get(), 0, buffer.span());
  EXPECT_EQ(got.value_or(0), kSectorBytes + 100) << got.status();
}

TEST_P(Conformance, D8_DirectReadStopsInsideTheLastSector) {
  Run(DirectReadStopsInsideTheLastSector(disk(), Path("f")));
}

Task<void> WriteToAReadOnlyHandleFails(Disk* disk, std::string path) {
  co_await WriteText(disk, path, "kept");
  std::unique_ptr<File> file = co_await MustOpen(disk, path, OpenFlags());
  EXPECT_EQ(co_await Write(file.get(), 0, AsBytes("gone")), -EBADF);
  Status written = co_await WriteAll(file.get(), 0, AsBytes("gone"));
  EXPECT_THAT(written.ToString(), HasSubstr("write " + path));
  std::string contents = co_await Contents(disk, path);
  EXPECT_EQ(contents, "kept");
}

TEST_P(Conformance, D9_WriteToAReadOnlyHandleFails) {
  Run(WriteToAReadOnlyHandleFails(disk(), Path("f")));
}

Task<void> ReadWholeFileHonoursItsLimit(Disk* disk, std::string path) {
  co_await WriteText(disk, path, std::string(100, 'x'));
  StatusOr<std::string> fits = co_await ReadWholeFile(disk, path, 100);
  EXPECT_EQ(fits.value_or(""), std::string(100, 'x'));
  StatusOr<std::string> large = co_await ReadWholeFile(disk, path, 99);
  EXPECT_EQ(large.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadWholeFileBlocking(disk, path, 100).value_or(""), std::string(100, 'x'));
  EXPECT_EQ(ReadWholeFileBlocking(disk, path, 99).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_P(Conformance, ReadWholeFileHonoursItsLimit) {
  Run(ReadWholeFileHonoursItsLimit(disk(), Path("f")));
}

// ---- D10: completions.

Task<void> CompletionComesFromTheLoopNotFromSubmit(Disk* disk, Executor* executor,
                                                   std::string path) {
  std::unique_ptr<File> file = co_await MustOpen(disk, path, ForWriting());
  AlignedBuffer buffer(kSectorBytes);
  using Kind = FileOp::Kind;
  for (Kind kind : {Kind::kWrite, Kind::kRead, Kind::kSync, Kind::kWriteThenSync}) {
    Event done;
    ProbedOp op(kind, 0, buffer.span(), &done);
    op.SubmitTo(file.get());
    EXPECT_EQ(op.completions, 0);
    co_await done.Wait();
    EXPECT_FALSE(op.completed_inside_submit);
    EXPECT_EQ(op.completed_on, executor);
    EXPECT_EQ(op.completions, 1);
  }
}

TEST_P(Conformance, D10_CompletionComesFromTheLoopNotFromSubmit) {
  Run(CompletionComesFromTheLoopNotFromSubmit(disk(), executor(), Path("f")));
}

// More operations in flight than any ring has entries.
constexpr uint64_t kManyOps = 3000;

Task<void> EachOfManyOperationsCompletesOnce(Disk* disk, std::string path) {
  std::unique_ptr<File> file = co_await MustOpen(disk, path, ForWriting());
  std::deque<uint64_t> values;
  std::deque<Event> events;
  std::deque<ProbedOp> ops;
  for (uint64_t i = 0; i < kManyOps; i++) {
    values.push_back(i * 0x9e3779b97f4a7c15);
    events.emplace_back();
    MutableBytes bytes = std::as_writable_bytes(std::span(&values.back(), 1));
    bool synced = i % 1000 == 999;
    auto kind = synced ? FileOp::Kind::kWriteThenSync : FileOp::Kind::kWrite;
    ops.emplace_back(kind, i * sizeof(uint64_t), bytes, &events.back());
    ops.back().SubmitTo(file.get());
  }
  for (Event& event : events) co_await event.Wait();
  for (ProbedOp& op : ops) {
    EXPECT_EQ(op.completions, 1);
    EXPECT_FALSE(op.completed_inside_submit);
    EXPECT_EQ(op.result, 8);
  }
  std::vector<uint64_t> seen(kManyOps);
  Status read = co_await ReadExactly(file.get(), 0, std::as_writable_bytes(std::span(seen)));
  EXPECT_TRUE(read.ok()) << read;
  EXPECT_TRUE(std::equal(seen.begin(), seen.end(), values.begin()));
}

TEST_P(Conformance, D10_EachOfManyOperationsCompletesOnce) {
  Run(EachOfManyOperationsCompletesOnce(disk(), Path("f")));
}

Task<void> RegisteredBuffersMoveTheSameBytes(Disk* disk, std::string path) {
  std::unique_ptr<File> file = co_await MustOpen(disk, path, ForDirectWriting());
  AlignedBuffer pool(8 * kSectorBytes);
  disk->RegisterBuffer(pool.span());
  MutableBytes second = pool.span().subspan(kSectorBytes, kSectorBytes);
  std::memset(second.data(), 'r', second.size());
  EXPECT_EQ(co_await Write(file.get(), 0, second), static_cast<int64_t>(kSectorBytes));
  MutableBytes last = pool.span().last(kSectorBytes);
  EXPECT_EQ(co_await Read(file.get(), 0, last), static_cast<int64_t>(kSectorBytes));
  EXPECT_EQ(AsString(last), std::string(kSectorBytes, 'r'));
  disk->UnregisterBuffer(pool.span());
  EXPECT_EQ(co_await Write(file.get(), kSectorBytes, second), static_cast<int64_t>(kSectorBytes));
}

TEST_P(Conformance, RegisteredBuffersMoveTheSameBytes) {
  Run(RegisteredBuffersMoveTheSameBytes(disk(), Path("f")));
}

// ---- The lock file and free space.

Task<void> LockExcludesASecondHolderAndNamesTheFirst(Disk* disk, std::string path) {
  LockResult first = co_await disk->Lock(path);
  EXPECT_EQ(first.error, 0);
  LockResult second = co_await disk->Lock(path);
  EXPECT_EQ(second.error, -EWOULDBLOCK);
  EXPECT_EQ(second.lock, nullptr);
  EXPECT_NE(second.holder_pid, 0);
  std::string contents = co_await Contents(disk, path);
  EXPECT_THAT(contents, HasSubstr(std::to_string(second.holder_pid)));
  first.lock.reset();
  LockResult third = co_await disk->Lock(path);
  EXPECT_EQ(third.error, 0);
}

TEST_P(Conformance, LockExcludesASecondHolderAndNamesTheFirst) {
  Run(LockExcludesASecondHolderAndNamesTheFirst(disk(), Path("lock")));
}

Task<void> FreeSpaceIsKnown(Disk* disk, std::string folder) {
  SpaceResult space = co_await disk->FreeSpace(folder);
  EXPECT_EQ(space.error, 0);
  EXPECT_GT(space.available_bytes, 0U);
  SpaceResult absent = co_await disk->FreeSpace(JoinPath(folder, "absent"));
  EXPECT_EQ(absent.error, -ENOENT);
}

TEST_P(Conformance, FreeSpaceIsKnown) { Run(FreeSpaceIsKnown(disk(), world_->folder())); }

}  // namespace
}  // namespace nexus::io
