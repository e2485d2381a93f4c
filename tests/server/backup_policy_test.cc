// Where a server writes backups when a client asks for one.

#include "server/backup_policy.h"

#include <gtest/gtest.h>

namespace nexus::server {
namespace {

TEST(BackupPolicyTest, OnLoopbackAnyAbsolutePathWill) {
  const BackupPolicy policy{"", false};
  EXPECT_TRUE(CheckDestination(policy, "/srv/backup").ok());
  EXPECT_TRUE(absl::IsInvalidArgument(CheckDestination(policy, "backup")));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckDestination(policy, "")));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckDestination(policy, "/srv/../etc")));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckDestination(policy, std::string_view("/srv/a\0b", 8))));
}

TEST(BackupPolicyTest, BeyondLoopbackNoneWillUnlessItIsAllowed) {
  BackupPolicy policy;
  EXPECT_TRUE(absl::IsPermissionDenied(CheckDestination(policy, "/srv/backup")))
      << "before anybody has said anything";
  policy.directory = "/srv/backups/";
  for (const char* below : {"/srv/backups/one", "/srv//backups/./one/two"}) {
    EXPECT_TRUE(CheckDestination(policy, below).ok()) << below;
  }
  for (const char* other : {"/srv/backups", "/srv", "/srv/backups-2/one", "/"}) {
    EXPECT_TRUE(absl::IsPermissionDenied(CheckDestination(policy, other))) << other;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(CheckDestination(policy, "/srv/backups/../x")));
  policy.beyond_loopback = false;
  EXPECT_TRUE(absl::IsPermissionDenied(CheckDestination(policy, "/tmp/one")))
      << "what is set holds on loopback, too";
}

}  // namespace
}  // namespace nexus::server
