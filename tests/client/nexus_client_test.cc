// The C face of the client: what goes in comes out, and errors are filled in, not thrown.

#include "client/nexus_client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <string>
#include <string_view>

#include "tests/client/listening.h"

namespace nexus::client {
namespace {

nexus_client_text Text(std::string_view text) { return {text.data(), text.size()}; }
std::string String(nexus_client_text text) { return std::string(text.data, text.size); }

class NexusClientTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string address = server_.address();
    ASSERT_EQ(nexus_client_connect(Text(address), 0, &client_, &error_), 0) << error_.message;
  }
  void TearDown() override { nexus_client_close(client_); }
  uint64_t Series(std::string_view metric) {
    uint64_t series = 0;
    EXPECT_EQ(nexus_client_series(client_, {}, Text(metric), nullptr, 0, &series, &error_), 0);
    return series;
  }

  Listening server_;
  nexus_client* client_ = nullptr;
  nexus_client_error error_ = {};
};

TEST_F(NexusClientTest, AppendsEveryForm) {
  nexus_client_batch* batch = nexus_client_batch_new();
  const uint64_t series[2] = {Series("a"), Series("b")};
  const double values[2] = {1, 2};
  const int64_t timestamps[2] = {10, 20};
  nexus_client_batch_add(batch, series[0], 5, 0.5);
  nexus_client_batch_add_row(batch, 7, series, values, 2);
  nexus_client_batch_add_series(batch, series[1], timestamps, values, 2);
  nexus_client_batch_add_row(batch, 7, series, values, 0);
  EXPECT_EQ(nexus_client_batch_samples(batch), 5u);
  nexus_client_outcome outcome = {};
  EXPECT_EQ(nexus_client_append(client_, batch, NEXUS_CLIENT_DURABLE, nullptr, &outcome, &error_),
            0)
      << error_.message;
  EXPECT_EQ(outcome.accepted, 5u);
  EXPECT_EQ(outcome.duplicate, 0);
  EXPECT_EQ(nexus_client_batch_samples(batch), 0u);
  nexus_client_batch_free(batch);
  server_.With([](FakeServer* server) {
    ASSERT_EQ(server->kept.size(), 5u);
    EXPECT_EQ(server->kept[0], (Kept{"default", "a\xff", 5, 0.5}));
    EXPECT_EQ(server->kept[4], (Kept{"default", "b\xff", 20, 2}));
  });
}

TEST_F(NexusClientTest, ErrorsAreFilledIn) {
  nexus_client_batch* batch = nexus_client_batch_new();
  EXPECT_EQ(nexus_client_append(client_, batch, NEXUS_CLIENT_DURABLE, nullptr, nullptr, &error_),
            NEXUS_CLIENT_INVALID_ARGUMENT);
  EXPECT_EQ(error_.code, NEXUS_CLIENT_INVALID_ARGUMENT);
  EXPECT_STREQ(error_.message, "an empty batch");
  // Whoever does not want to know.
  EXPECT_EQ(nexus_client_append(client_, batch, NEXUS_CLIENT_DURABLE, nullptr, nullptr, nullptr),
            NEXUS_CLIENT_INVALID_ARGUMENT);
  nexus_client_batch_free(batch);
  nexus_client_label twice[2] = {{Text("x"), Text("1")}, {Text("x"), Text("2")}};
  uint64_t series = 9;
  EXPECT_EQ(nexus_client_series(client_, {}, Text("m"), twice, 2, &series, &error_),
            NEXUS_CLIENT_INVALID_ARGUMENT);
  EXPECT_EQ(series, 0u);
  nexus_client* nobody = client_;
  EXPECT_EQ(nexus_client_connect(Text("nonsense"), 0, &nobody, &error_),
            NEXUS_CLIENT_INVALID_ARGUMENT);
  EXPECT_EQ(nobody, nullptr);
  nexus_client_close(nobody);
}

TEST_F(NexusClientTest, AsynchronousAppendsTellTheirContext) {
  std::atomic<int> acked = 0;
  uint64_t series = Series("a");
  nexus_client_batch* batch = nexus_client_batch_new();
  auto done = [](void* context, const nexus_client_outcome* outcome,
                 const nexus_client_error* error) {
    if (error == nullptr && outcome->accepted == 1) ++*static_cast<std::atomic<int>*>(context);
  };
  for (int i = 0; i < 100; i++) {
    nexus_client_batch_add(batch, series, i, i);
    nexus_client_append_async(client_, batch, NEXUS_CLIENT_BUFFERED, nullptr, done, &acked);
  }
  nexus_client_batch_free(batch);
  nexus_client_sync(client_);
  EXPECT_EQ(acked, 100);
}

TEST_F(NexusClientTest, AnswersAreWalked) {
  nexus_client_query query = {};
  query.kind = NEXUS_CLIENT_SELECT;
  query.selector = Text("up");
  query.last = 100;
  nexus_client_cursor* cursor = nullptr;
  ASSERT_EQ(nexus_client_query_open(client_, &query, &cursor, &error_), 0) << error_.message;
  nexus_client_chunk chunk = {};
  int chunks = 0;
  int32_t more = 0;
  while ((more = nexus_client_cursor_next(cursor, &chunk, &error_)) == 1) {
    chunks++;
    EXPECT_EQ(String(chunk.metric), "up");
    EXPECT_EQ(chunk.label_count, 0u);
    EXPECT_EQ(chunk.count, 1u);
  }
  EXPECT_EQ(more, 0);
  EXPECT_EQ(chunks, 3);
  nexus_client_cursor_free(cursor);
  query.kind = 77;
  EXPECT_EQ(nexus_client_query_open(client_, &query, &cursor, &error_),
            NEXUS_CLIENT_INVALID_ARGUMENT);
  EXPECT_EQ(cursor, nullptr);
}

TEST_F(NexusClientTest, ListsAndFiguresComeBack) {
  server_.With([](FakeServer* server) { server->strings = {"host", "job"}; });
  nexus_client_list* list = nullptr;
  ASSERT_EQ(nexus_client_label_values(client_, {}, {}, nullptr, &list, &error_), 0);
  ASSERT_EQ(nexus_client_list_size(list), 2u);
  EXPECT_EQ(String(nexus_client_list_get(list, 1)), "job");
  nexus_client_list_free(list);
  ASSERT_EQ(nexus_client_stats(client_, &list, &error_), 0);
  EXPECT_EQ(String(nexus_client_list_get(list, 0)), "{\"series\":3}");
  nexus_client_list_free(list);
  EXPECT_EQ(nexus_client_flush(client_, 0, &error_), 0);
  EXPECT_EQ(nexus_client_ping(client_, 0, &error_), 0);
}

}  // namespace
}  // namespace nexus::client
