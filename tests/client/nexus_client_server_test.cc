// The C face of the client with a real server: what it deletes, branches, bounds and keeps.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "client/nexus_client.h"
#include "tests/client/server_fixture.h"

namespace nexus::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

nexus_client_text Text(std::string_view text) { return {text.data(), text.size()}; }

class NexusClientServerTest : public ServerFixture {
 protected:
  void SetUp() override {
    ASSERT_EQ(nexus_client_connect(Text(address_), 0, &client_, &error_), 0) << error_.message;
    nexus_client_batch* batch = nexus_client_batch_new();
    uint64_t series = 0;
    ASSERT_EQ(nexus_client_series(client_, {}, Text("up"), nullptr, 0, &series, &error_), 0);
    for (int64_t i = 1; i <= 10; i++) nexus_client_batch_add(batch, series, i, 0.5);
    EXPECT_EQ(nexus_client_append(client_, batch, NEXUS_CLIENT_DURABLE, nullptr, nullptr, &error_),
              0)
        << error_.message;
    nexus_client_batch_free(batch);
  }
  void TearDown() override { nexus_client_close(client_); }

  // Timestamps of up in the branch.
  std::vector<int64_t> Read(std::string_view branch = "main") {
    nexus_client_query query = {};
    query.kind = NEXUS_CLIENT_SELECT;
    query.selector = Text("up");
    query.first = INT64_MIN;
    query.last = INT64_MAX;
    query.scope.branch = Text(branch);
    nexus_client_cursor* cursor = nullptr;
    std::vector<int64_t> timestamps;
    EXPECT_EQ(nexus_client_query_open(client_, &query, &cursor, &error_), 0) << error_.message;
    nexus_client_chunk chunk;
    while (nexus_client_cursor_next(cursor, &chunk, &error_) == 1) {
      timestamps.insert(timestamps.end(), chunk.timestamps, chunk.timestamps + chunk.count);
    }
    nexus_client_cursor_free(cursor);
    return timestamps;
  }
  std::vector<std::string> Take(nexus_client_list* list) {
    std::vector<std::string> texts;
    for (size_t i = 0; i < nexus_client_list_size(list); i++) {
      const nexus_client_text text = nexus_client_list_get(list, i);
      texts.emplace_back(text.data, text.size);
    }
    nexus_client_list_free(list);
    return texts;
  }

  nexus_client* client_ = nullptr;
  nexus_client_error error_ = {};
};

TEST_F(NexusClientServerTest, DeletesAndTriesDry) {
  nexus_client_delete_request request = {};
  request.selector = Text("up");
  request.first = 3;
  request.last = 9;
  request.dry_run = 1;
  nexus_client_delete_result result = {};
  ASSERT_EQ(nexus_client_delete(client_, &request, &result, &error_), 0) << error_.message;
  EXPECT_EQ(result.series, 1u);
  EXPECT_EQ(result.samples, 7u);
  EXPECT_EQ(result.series_with_samples, 1u);
  EXPECT_EQ(Read().size(), 10u);
  request.dry_run = 0;
  ASSERT_EQ(nexus_client_delete(client_, &request, nullptr, &error_), 0) << error_.message;
  EXPECT_THAT(Read(), ElementsAre(1, 2, 10));
  request.selector = Text("up{");
  EXPECT_EQ(nexus_client_delete(client_, &request, &result, &error_),
            NEXUS_CLIENT_INVALID_ARGUMENT);
  EXPECT_EQ(result.series, 0u);
}

TEST_F(NexusClientServerTest, BranchesGoTheirOwnWay) {
  ASSERT_EQ(
      nexus_client_create_branch(client_, Text("what-if"), NEXUS_CLIENT_BRANCH, nullptr, &error_),
      0)
      << error_.message;
  nexus_client_delete_request request = {};
  request.selector = Text("up");
  request.first = INT64_MIN;
  request.last = 9;
  request.scope.branch = Text("what-if");
  ASSERT_EQ(nexus_client_delete(client_, &request, nullptr, &error_), 0) << error_.message;
  EXPECT_THAT(Read("what-if"), ElementsAre(10));
  EXPECT_EQ(Read().size(), 10u);
  request.last = 5;
  request.scope.branch = {};
  request.everywhere = 1;
  ASSERT_EQ(nexus_client_delete(client_, &request, nullptr, &error_), 0) << error_.message;
  EXPECT_EQ(Read().size(), 5u);
  nexus_client_list* list = nullptr;
  ASSERT_EQ(nexus_client_branches(client_, nullptr, &list, &error_), 0) << error_.message;
  EXPECT_THAT(Take(list), ElementsAre(HasSubstr("main"), HasSubstr("what-if")));
  EXPECT_EQ(
      nexus_client_delete_branch(client_, Text("what-if"), NEXUS_CLIENT_SNAPSHOT, nullptr, &error_),
      NEXUS_CLIENT_FAILED_PRECONDITION)
      << error_.message;
  EXPECT_EQ(
      nexus_client_delete_branch(client_, Text("what-if"), NEXUS_CLIENT_BRANCH, nullptr, &error_),
      0)
      << error_.message;
}

TEST_F(NexusClientServerTest, TenantsAreMadeBoundedAndDeletedWithinTheUsualTime) {
  ASSERT_EQ(nexus_client_create_tenant(client_, Text("acme"), 0, &error_), 0) << error_.message;
  EXPECT_EQ(nexus_client_create_tenant(client_, Text("acme"), 0, &error_),
            NEXUS_CLIENT_ALREADY_EXISTS);
  ASSERT_EQ(nexus_client_set_quota(client_, Text("acme"), Text("series_max"), 5, 0, &error_), 0)
      << error_.message;
  EXPECT_EQ(nexus_client_set_quota(client_, Text("acme"), Text("serie"), 5, 0, &error_),
            NEXUS_CLIENT_INVALID_ARGUMENT);
  nexus_client_list* list = nullptr;
  ASSERT_EQ(nexus_client_tenants(client_, 0, &list, &error_), 0) << error_.message;
  EXPECT_THAT(Take(list),
              ElementsAre(HasSubstr("\"default\""),
                          testing::AllOf(HasSubstr("\"acme\""), HasSubstr("\"series_max\":5"))));
  EXPECT_EQ(nexus_client_delete_tenant(client_, Text("acme"), 0, &error_), 0) << error_.message;
  EXPECT_EQ(nexus_client_delete_tenant(client_, Text("acme"), 0, &error_), NEXUS_CLIENT_NOT_FOUND);
}

TEST_F(NexusClientServerTest, RetentionIsSetAndListed) {
  constexpr int64_t kDay = 86'400'000'000'000;
  const nexus_client_retention_rule rules[] = {{Text("{job=\"dev\"}"), 7 * kDay},
                                               {Text("{}"), 400 * kDay}};
  ASSERT_EQ(nexus_client_set_retention(client_, rules, 2, nullptr, &error_), 0) << error_.message;
  nexus_client_list* list = nullptr;
  ASSERT_EQ(nexus_client_retention(client_, nullptr, &list, &error_), 0) << error_.message;
  const std::vector<std::string> texts = Take(list);
  ASSERT_EQ(texts.size(), 3u);
  EXPECT_THAT(texts[0], HasSubstr("\"clock_runs\":1"));
  EXPECT_THAT(texts[1], HasSubstr("604800000000000"));
  EXPECT_EQ(nexus_client_accept_retention_clock(client_, nullptr, &error_), 0) << error_.message;
  const nexus_client_retention_rule shortest[] = {{Text("{}"), 1}};
  EXPECT_NE(nexus_client_set_retention(client_, shortest, 1, nullptr, &error_), 0);
  EXPECT_THAT(error_.message, HasSubstr("head window"));
}

}  // namespace
}  // namespace nexus::client
