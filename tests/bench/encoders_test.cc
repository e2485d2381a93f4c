// The bytes that servers are fed, against bytes written by hand from their formats.

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "bench/peers/load/line_protocol.h"
#include "bench/peers/load/remote_write.h"

namespace nexus::bench {
namespace {

using namespace std::string_literals;

// Two sources; rows are given by the tests.
class Named : public Workload {
 public:
  Named() {
    sources_[0].tags = {{"host", "a"}, {"B", "x"}};
    sources_[1].tags = {{"host", "b c"}, {"path", "x=1,2"}};
  }
  std::string_view measurement() const override { return "cpu"; }
  std::span<const std::string_view> metrics() const override { return kMetrics; }
  std::span<const Source> sources() const override { return sources_; }
  int64_t first_ms() const override { return 0; }
  int64_t last_ms() const override { return 0; }
  bool Next(Row*) override { return false; }

 private:
  static constexpr std::array<std::string_view, 2> kMetrics = {"user", "sys"};
  std::vector<Source> sources_ = std::vector<Source>(2);
};

constexpr std::array<uint8_t, 2> kBoth = {0, 1};
constexpr std::array<uint8_t, 1> kSecond = {1};

TEST(LineProtocol, IsALineForEachRow) {
  Named workload;
  LineEncoder encoder(workload);
  std::string text;
  const std::array<double, 2> values = {42, 0.1};
  encoder.Append({0, 1735689600000, kBoth, values}, &text);
  EXPECT_EQ(text, "cpu,host=a,B=x user=42,sys=0.1 1735689600000000000\n");
}

TEST(LineProtocol, HasOnlyTheFieldsThatAreThereAndEscapesTags) {
  Named workload;
  LineEncoder encoder(workload);
  std::string text = "before\n";
  const std::array<double, 1> values = {1e300};
  encoder.Append({1, 7, kSecond, values}, &text);
  encoder.Append({1, 8, kSecond, values}, &text);
  EXPECT_EQ(text,
            "before\n"
            "cpu,host=b\\ c,path=x\\=1\\,2 sys=1e+300 7000000\n"
            "cpu,host=b\\ c,path=x\\=1\\,2 sys=1e+300 8000000\n");
}

TEST(RemoteWrite, IsATimeSeriesForEachSampleWithLabelsInOrder) {
  Named workload;
  RemoteWriteEncoder encoder(workload);
  std::string bytes;
  const std::array<double, 2> values = {1, -2};
  encoder.Append({0, 300, kBoth, values}, &bytes);
  // B < __name__ < host.
  const std::string label_b = "\x0a\x06\x0a\x01"s + "B" + "\x12\x01" + "x";
  const std::string label_host = "\x0a\x09\x0a\x04host\x12\x01"s + "a";
  // 300 is 0xac 0x02; 1.0 is 0x3ff0000000000000, -2.0 is 0xc000000000000000.
  const std::string one = "\x12\x0c\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\xac\x02"s;
  const std::string minus_two = "\x12\x0c\x09\x00\x00\x00\x00\x00\x00\x00\xc0\x10\xac\x02"s;
  const std::string user = "\x0a\x10\x0a\x08__name__\x12\x04user"s;
  const std::string sys = "\x0a\x0f\x0a\x08__name__\x12\x03sys"s;
  // 8 + 18 + 11 + 14 bytes, and one less.
  EXPECT_EQ(bytes, "\x0a\x33"s + label_b + user + label_host + one +  //
                       "\x0a\x32"s + label_b + sys + label_host + minus_two);
}

TEST(RemoteWrite, TellsTimesBeforeTheEpochInTenBytes) {
  Named workload;
  RemoteWriteEncoder encoder(workload);
  std::string bytes;
  const std::array<double, 1> values = {0};
  encoder.Append({0, -1, kSecond, values}, &bytes);
  EXPECT_TRUE(bytes.ends_with("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s));
}

}  // namespace
}  // namespace nexus::bench
