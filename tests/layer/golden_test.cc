// The golden layer: a file of format version 0, committed, that today's code must read and write.
//
// Until the first tagged release the format may change on purpose: then write the file anew with
//   NEXUS_GOLDEN_WRITE=$PWD/tests/layer/testdata/golden_v0.layer bazel-bin/tests/layer/golden_test
// and say in the commit what changed.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "tests/layer/generators.h"
#include "tests/layer/layer_fixture.h"

namespace nexus::layer {
namespace {

using testing::Build;
using testing::Built;
using testing::CanonicalOf;
using testing::ExpectSame;
using testing::LayerData;
using testing::Open;
using testing::ReadAll;
using testing::TestIdentity;

constexpr char kPath[] = "tests/layer/testdata/golden_v0.layer";

// All forms and codecs, shared timestamps, several chunks a series, several pages of each kind.
LayerData GoldenData() {
  LayerData data;
  for (int shape = 0; shape < testing::kValueShapes; ++shape) {
    for (int host = 0; host < 2; ++host) {
      const auto ts = testing::TimestampsOfShape((shape / 4 + host) % 4, 40, 17);
      const auto seed = static_cast<uint64_t>(shape + host);
      data[CanonicalOf("metric_" + std::to_string(shape), "host_" + std::to_string(host))] = {
          seed * 10 + static_cast<uint64_t>(host) + 1, ts, testing::ColumnOfShape(shape, 40, seed)};
    }
  }
  return data;
}

BuilderOptions GoldenOptions() {
  BuilderOptions options;
  options.chunk_samples_max = 25;
  options.page_bytes = 1024;
  options.inputs = {{8, 1}, {9, 40}};
  return options;
}

std::string ReadFile(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

TEST(GoldenLayer, IsReadAsItWasWritten) {
  const std::string golden = ReadFile(kPath);
  ASSERT_FALSE(golden.empty());
  ASSERT_LT(golden.size(), 8192U);
  auto reader = Open(golden);
  ASSERT_TRUE(reader.ok()) << reader.status();
  const LayerSummary& summary = (*reader)->summary();
  EXPECT_EQ(summary.identity, TestIdentity());
  EXPECT_EQ(summary.series, 24U);
  EXPECT_EQ(summary.samples, 960U);
  EXPECT_EQ(summary.chunks, 48U);
  EXPECT_EQ(summary.inputs, GoldenOptions().inputs);
  auto got = ReadAll(*reader);
  ASSERT_TRUE(got.ok()) << got.status();
  ExpectSame(*got, GoldenData());
  const auto report = VerifyLayer(*reader);
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->ToStatus().ok()) << report->ToStatus();
}

TEST(GoldenLayer, IsWrittenByteForByte) {
  const Built built = Build(GoldenData(), GoldenOptions());
  if (const char* path = std::getenv("NEXUS_GOLDEN_WRITE")) {
    std::ofstream(path, std::ios::binary) << built.bytes;
  }
  EXPECT_TRUE(built.bytes == ReadFile(kPath))
      << "the format changed; if that was meant, see the head of this file";
}

// The bytes of the example in docs/format/layer.md: in its block ```layer, each line has an offset,
// two spaces, bytes in hex, and after two spaces more a remark.
std::string BytesOfTheExample() {
  std::istringstream text(ReadFile("docs/format/layer.md"));
  std::string bytes;
  std::string line;
  while (std::getline(text, line) && line != "```layer") {
  }
  while (std::getline(text, line) && line != "```") {
    if (line.empty()) continue;
    EXPECT_EQ(std::stoul(line.substr(0, 3)), bytes.size());
    const std::string rest = line.substr(5);
    std::istringstream hex(rest.substr(0, rest.find("  ")));
    for (std::string group; hex >> group;) {
      for (size_t i = 0; i + 1 < group.size(); i += 2) {
        bytes.push_back(static_cast<char>(std::stoul(group.substr(i, 2), nullptr, 16)));
      }
    }
  }
  return bytes;
}

TEST(GoldenLayer, IsAsTheDocumentShows) {
  LayerIdentity identity;
  identity.database = {0x1111111111111111, 0x2222222222222222};
  identity.identity_seed = 7;
  identity.order_low = {0, {256}};
  identity.order_high = {0, {512}};
  identity.open_count = 1;
  identity.sequence = 2;
  LayerData data;
  data[Labels::Make("up", {{"job", "n"}})->Canonical()] = {
      5, {1'000'000'000, 2'000'000'000, 3'000'000'000}, {1.5, 2.5, 2.0}};
  const std::string shown = BytesOfTheExample();
  EXPECT_GT(shown.size(), 600U);
  EXPECT_TRUE(Build(data, {}, identity).bytes == shown);
}

}  // namespace
}  // namespace nexus::layer
