// Addresses as people write them.

#include "io/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace nexus::io {
namespace {

using ::testing::HasSubstr;

TEST(HostPort, WhatPeopleWriteIsRead) {
  for (const char* text : {"127.0.0.1:8080", "[::1]:0", "localhost:1", "db.example:65535"}) {
    StatusOr<HostPort> parsed = ParseHostPort(text);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->ToString(), text);
  }
  EXPECT_EQ(ParseHostPort("[::1]:9")->host, "::1");
  EXPECT_EQ(ParseHostPort("[::1]:9")->port, 9);
}

TEST(HostPort, WhatIsNoAddressIsRefusedWithTheReason) {
  auto why = [](std::string_view text) { return ParseHostPort(text).status().ToString(); };
  EXPECT_THAT(why("localhost"), HasSubstr("'localhost': no port"));
  EXPECT_THAT(why(""), HasSubstr("no port"));
  EXPECT_THAT(why(":80"), HasSubstr("no host"));
  EXPECT_THAT(why("[]:80"), HasSubstr("no host"));
  EXPECT_THAT(why("::1:80"), HasSubstr("brackets"));
  EXPECT_THAT(why(std::string_view("a\0b:80", 6)), HasSubstr("zero byte"));
  for (const char* text : {"h:", "h:65536", "h:-1", "h:80x", "h: 80", "h:99999999999"}) {
    EXPECT_THAT(why(text), HasSubstr("0 to 65535")) << text;
  }
}

TEST(HostPort, LoopbackIsWhatStaysOnThisMachine) {
  for (const char* host : {"localhost", "127.0.0.1", "127.8.9.10", "::1"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "localhost.example", ""}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

}  // namespace
}  // namespace nexus::io
