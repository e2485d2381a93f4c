// What remote write sends is Snappy's block format, and comes back. Manual: it needs libsnappy-dev.

#include <gtest/gtest.h>
#include <snappy.h>

#include <string>

#include "bench/peers/load/remote_write.h"
#include "bench/workload.h"

namespace nexus::bench {
namespace {

using namespace std::string_literals;

TEST(Snappy, GivesAWriteRequestBack) {
  WorkloadOptions options;
  options.hosts = 3;
  options.ticks = 2;
  auto workload = OpenWorkload(options);
  ASSERT_TRUE(workload.ok());
  RemoteWriteEncoder encoder(**workload);
  std::string request;
  Row row;
  while ((*workload)->Next(&row)) encoder.Append(row, &request);
  std::string compressed;
  snappy::Compress(request.data(), request.size(), &compressed);
  EXPECT_LT(compressed.size() * 4, request.size());
  std::string back;
  ASSERT_TRUE(snappy::Uncompress(compressed.data(), compressed.size(), &back));
  EXPECT_EQ(back, request);
}

// format_description.txt: the length, then a literal of length - 1 in the tag's upper bits.
TEST(Snappy, IsTheBlockFormat) {
  std::string compressed;
  snappy::Compress("abc", 3, &compressed);
  EXPECT_EQ(compressed, "\x03\x08"s + "abc");
}

}  // namespace
}  // namespace nexus::bench
