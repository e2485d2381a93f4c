// Smoke test of the build: each system library that third_party/ binds is included, linked and
// called once.
//
// It asserts nothing about nexus; it fails when a binding, a flag or an installed package is wrong.
// Linux only, needs io_uring and /dev/shm.

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/str_format.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hwy/highway.h>
#include <liburing.h>
#include <lmdb.h>
#include <openssl/evp.h>
#include <rapidcheck/gtest.h>
#include <re2/re2.h>
#include <simdjson.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <xxhash.h>
#include <yaml-cpp/yaml.h>
#include <zlib.h>
#include <zstd.h>

#include <CLI/CLI.hpp>
#include <coroutine>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <roaring/roaring.hh>
#include <roaring/roaring64map.hh>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace nexus {
namespace {

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) return absl::InvalidArgumentError(absl::StrFormat("%d is odd", value));
  return value / 2;
}

TEST(BuildSmoke, AbseilStatusAndContainersLink) {
  EXPECT_EQ(*Half(4), 2);
  EXPECT_EQ(Half(3).status().message(), "3 is odd");
  absl::flat_hash_map<std::string, int> map;
  for (int i = 0; i < 1000; ++i) map[std::to_string(i)] = i;
  EXPECT_EQ(map.at("999"), 999);
}

// A coroutine that yields one int, awaited by resuming its handle.
struct OneInt {
  struct promise_type {
    int value = 0;
    OneInt get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_value(int result) { value = result; }
    void unhandled_exception() { std::abort(); }
  };
  std::coroutine_handle<promise_type> handle;
};

OneInt Answer() { co_return 42; }

TEST(BuildSmoke, CoroutinesCompile) {
  OneInt task = Answer();
  task.handle.resume();
  EXPECT_EQ(task.handle.promise().value, 42);
  task.handle.destroy();
}

RC_GTEST_PROP(BuildSmoke, ZstdRoundTripsWhatRapidcheckMakes,
              (const std::vector<std::uint8_t>& bytes)) {
  std::vector<std::uint8_t> packed(ZSTD_compressBound(bytes.size()));
  packed.resize(ZSTD_compress(packed.data(), packed.size(), bytes.data(), bytes.size(), 1));
  std::vector<std::uint8_t> back(bytes.size() + 1);
  back.resize(ZSTD_decompress(back.data(), back.size(), packed.data(), packed.size()));
  RC_ASSERT(back == bytes);
  RC_ASSERT(XXH3_64bits(back.data(), back.size()) == XXH3_64bits(bytes.data(), bytes.size()));
}

TEST(BuildSmoke, LmdbOpensInSharedMemory) {
  char folder[] = "/dev/shm/nexus-smoke-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  MDB_env* env = nullptr;
  ASSERT_EQ(mdb_env_create(&env), 0);
  ASSERT_EQ(mdb_env_open(env, folder, 0, 0600), 0);
  MDB_txn* txn = nullptr;
  MDB_dbi dbi = 0;
  ASSERT_EQ(mdb_txn_begin(env, nullptr, 0, &txn), 0);
  ASSERT_EQ(mdb_dbi_open(txn, nullptr, 0, &dbi), 0);
  char text[] = "nexus";
  MDB_val key{5, text};
  MDB_val value{5, text};
  ASSERT_EQ(mdb_put(txn, dbi, &key, &value, 0), 0);
  ASSERT_EQ(mdb_txn_commit(txn), 0);
  mdb_env_close(env);
  std::filesystem::remove_all(folder);
}

TEST(BuildSmoke, IoUringRunsInTheSandbox) {
  io_uring ring;
  ASSERT_EQ(io_uring_queue_init(4, &ring, 0), 0);
  io_uring_prep_nop(io_uring_get_sqe(&ring));
  ASSERT_EQ(io_uring_submit_and_wait(&ring, 1), 1);
  io_uring_cqe* completion = nullptr;
  ASSERT_EQ(io_uring_peek_cqe(&ring, &completion), 0);
  EXPECT_EQ(completion->res, 0);
  io_uring_cqe_seen(&ring, completion);
  io_uring_queue_exit(&ring);
}

TEST(BuildSmoke, RoaringHoldsSixtyFourBits) {
  Roaring64Map set;
  set.add(std::uint64_t{1} << 40);
  EXPECT_TRUE(set.contains(std::uint64_t{1} << 40));
  Roaring small;
  small.add(7);
  EXPECT_EQ(small.cardinality(), 1U);
}

TEST(BuildSmoke, TextLibrariesLink) {
  EXPECT_TRUE(RE2::FullMatch("cpu_user", "cpu_.*"));
  std::ostringstream out;
  spdlog::logger log("smoke", std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  log.info("{} {}", fmt::format("{:.2f}", 0.5), "nexus");
  EXPECT_THAT(out.str(), testing::HasSubstr("0.50 nexus"));
  EXPECT_EQ(YAML::Load("{port: 8080}")["port"].as<int>(), 8080);
  simdjson::dom::parser parser;
  EXPECT_EQ(std::int64_t{parser.parse(std::string("{\"a\":7}"))["a"]}, 7);
  CLI::App app("smoke");
  int port = 0;
  app.add_option("--port", port);
  app.parse("--port 9", false);
  EXPECT_EQ(port, 9);
}

TEST(BuildSmoke, SimdAndCryptoLink) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<double> tag;
  EXPECT_EQ(hn::GetLane(hn::Add(hn::Set(tag, 1.5), hn::Set(tag, 2.0))), 3.5);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  ASSERT_EQ(EVP_Digest("", 0, digest, &size, EVP_sha256(), nullptr), 1);
  EXPECT_EQ(size, 32U);
  EXPECT_EQ(crc32(0, digest, 0), 0U);
}

}  // namespace
}  // namespace nexus
