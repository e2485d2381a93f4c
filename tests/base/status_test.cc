// Errors: codes by what the caller can do, and messages with place and errno text.

#include "base/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace nexus {
namespace {

using absl::StatusCode;

TEST(ErrnoStatus, NamesOperationPathAndReason) {
  Status status = ErrnoStatus(ENOENT, "open", "/data/wal");
  EXPECT_EQ(FromAbsl(status.message()), "open /data/wal: No such file or directory");
}

TEST(ErrnoStatus, CodeSaysWhatTheCallerCanDo) {
  EXPECT_EQ(ErrnoStatus(ENOENT, "open", "f").code(), StatusCode::kNotFound);
  EXPECT_EQ(ErrnoStatus(EEXIST, "open", "f").code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(ErrnoStatus(EACCES, "open", "f").code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(ErrnoStatus(ENOSPC, "write", "f").code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrnoStatus(EDQUOT, "write", "f").code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrnoStatus(EIO, "read", "f").code(), StatusCode::kDataLoss);
  EXPECT_EQ(ErrnoStatus(EINVAL, "open", "f").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrnoStatus(ETIMEDOUT, "read", "f").code(), StatusCode::kUnavailable);
}

TEST(Annotate, PrefixesErrorsAndLeavesOkAlone) {
  EXPECT_TRUE(Annotate(OkStatus(), "wal").ok());
  Status annotated = Annotate(DataLoss("bad frame at {}", 7), "segment 3");
  EXPECT_EQ(annotated.code(), StatusCode::kDataLoss);
  EXPECT_EQ(FromAbsl(annotated.message()), "segment 3: bad frame at 7");
}

StatusOr<int> Half(int value) {
  if (value % 2 != 0) return InvalidArgument("{} is odd", value);
  return value / 2;
}

Status HalveTwice(int value, int* quarter) {
  NEXUS_ASSIGN_OR_RETURN(int half, Half(value));
  NEXUS_ASSIGN_OR_RETURN(*quarter, Half(half));
  return OkStatus();
}

TEST(StatusMacros, ReturnTheFirstErrorAndAssignOtherwise) {
  int quarter = 0;
  EXPECT_TRUE(HalveTwice(12, &quarter).ok());
  EXPECT_EQ(quarter, 3);
  EXPECT_EQ(FromAbsl(HalveTwice(6, &quarter).message()), "3 is odd");
  EXPECT_EQ(quarter, 3);
}

}  // namespace
}  // namespace nexus
