// The C interface on the real operating system: that it says what the C++ one says, keeps its
// promises about errors, ownership and sizes, and lets nothing but codes through.

#include "engine/nexus_c.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "engine/nexus.h"

namespace {

nexus_text Text(std::string_view text) { return {text.data(), text.size()}; }
std::string_view ViewOf(nexus_text text) { return {text.data, text.size}; }

class NexusCTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "nexus_c_test." +
              testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    Open();
  }
  void TearDown() override {
    if (db_ != nullptr) {
      EXPECT_EQ(nexus_close(db_, &error_), NEXUS_OK) << error_.message;
    }
    std::filesystem::remove_all(folder_);
  }

  nexus_options Options() {
    nexus_options options;
    nexus_options_init(&options, sizeof(options));
    options.directory = Text(folder_);
    options.reserve_bytes = 0;
    options.lock_wait_ms = 1;
    return options;
  }
  void Open() {
    nexus_options options = Options();
    ASSERT_EQ(nexus_open(&options, &db_, &error_), NEXUS_OK) << error_.message;
  }

  uint64_t Series(std::string_view metric, std::string_view host) {
    nexus_label label = {Text("host"), Text(host)};
    uint64_t series = 0;
    EXPECT_EQ(nexus_series(db_, {}, Text(metric), &label, 1, &series, &error_), NEXUS_OK);
    return series;
  }
  int32_t Append(uint64_t series, int64_t timestamp, double value,
                 const nexus_append_options* options = nullptr, nexus_outcome* outcome = nullptr) {
    BatchHandle batch(nexus_batch_new(), nexus_batch_free);
    nexus_batch_add(batch.get(), series, timestamp, value);
    return nexus_append(db_, batch.get(), options, outcome, &error_);
  }
  static nexus_query Everything(std::string_view selector) {
    nexus_query query = {};
    query.size = sizeof(query);
    query.selector = Text(selector);
    query.first = INT64_MIN;
    query.last = INT64_MAX;
    return query;
  }
  // The texts of a list that a call gave.
  static std::vector<std::string> Take(nexus_list* list) {
    std::vector<std::string> texts;
    for (size_t i = 0; i < nexus_list_size(list); i++) {
      texts.emplace_back(ViewOf(nexus_list_get(list, i)));
    }
    nexus_list_free(list);
    return texts;
  }

  using BatchHandle = std::unique_ptr<nexus_batch, void (*)(nexus_batch*)>;
  std::string folder_;
  nexus_db* db_ = nullptr;
  nexus_error error_ = {};
};

TEST_F(NexusCTest, CodesAreThoseOfTheStatus) {
  for (auto [code, status] : std::vector<std::pair<int, absl::StatusCode>>{
           {NEXUS_OK, absl::StatusCode::kOk},
           {NEXUS_INVALID_ARGUMENT, absl::StatusCode::kInvalidArgument},
           {NEXUS_DEADLINE_EXCEEDED, absl::StatusCode::kDeadlineExceeded},
           {NEXUS_NOT_FOUND, absl::StatusCode::kNotFound},
           {NEXUS_RESOURCE_EXHAUSTED, absl::StatusCode::kResourceExhausted},
           {NEXUS_FAILED_PRECONDITION, absl::StatusCode::kFailedPrecondition},
           {NEXUS_INTERNAL, absl::StatusCode::kInternal},
           {NEXUS_UNAVAILABLE, absl::StatusCode::kUnavailable},
           {NEXUS_DATA_LOSS, absl::StatusCode::kDataLoss}}) {
    EXPECT_EQ(code, static_cast<int>(status));
  }
  EXPECT_EQ(ViewOf(nexus_version()), nexus::Version());
}

TEST_F(NexusCTest, ADeleteCountsAndTakesSamples) {
  const double values[] = {1, 2, 3};
  const int64_t timestamps[] = {1, 2, 3};
  BatchHandle batch(nexus_batch_new(), nexus_batch_free);
  nexus_batch_add_series(batch.get(), Series("m", "a"), timestamps, values, 3);
  ASSERT_EQ(nexus_append(db_, batch.get(), nullptr, nullptr, &error_), NEXUS_OK);
  nexus_delete_request request = {};
  request.size = sizeof(request);
  request.selector = {"m", 1};
  request.first = 2;
  request.last = INT64_MAX;
  request.dry_run = 1;
  nexus_delete_result result;
  ASSERT_EQ(nexus_delete(db_, &request, &result, &error_), NEXUS_OK);
  EXPECT_EQ(result.series, 1u);
  EXPECT_EQ(result.samples, 2u);
  EXPECT_EQ(result.series_with_samples, 1u);
  int64_t timestamp = 0;
  double value = 0;
  const uint64_t id = Series("m", "a");
  ASSERT_EQ(nexus_latest_sample(db_, id, {}, {}, &timestamp, &value, &error_), 1);
  EXPECT_EQ(timestamp, 3);
  request.dry_run = 0;
  ASSERT_EQ(nexus_delete(db_, &request, nullptr, &error_), NEXUS_OK);
  ASSERT_EQ(nexus_latest_sample(db_, id, {}, {}, &timestamp, &value, &error_), 1);
  EXPECT_EQ(timestamp, 1);
  request.selector = {"m{", 2};
  EXPECT_EQ(nexus_delete(db_, &request, &result, &error_), NEXUS_INVALID_ARGUMENT);
  request.size = 3;
  EXPECT_EQ(nexus_delete(db_, &request, &result, &error_), NEXUS_INVALID_ARGUMENT);
}

TEST_F(NexusCTest, SamplesComeBackBitForBitAfterReopening) {
  const double values[] = {std::bit_cast<double>(0x7ff0000000000002u), -0.0};
  const int64_t timestamps[] = {INT64_MIN, 7};
  BatchHandle batch(nexus_batch_new(), nexus_batch_free);
  nexus_batch_add_series(batch.get(), Series("m", "a"), timestamps, values, 2);
  const uint64_t row[] = {Series("m", "b"), Series("m", "c")};
  nexus_batch_add_row(batch.get(), 9, row, values, 2);
  EXPECT_EQ(nexus_batch_samples(batch.get()), 4u);
  EXPECT_GT(nexus_batch_bytes(batch.get()), 0u);
  nexus_outcome outcome;
  ASSERT_EQ(nexus_append(db_, batch.get(), nullptr, &outcome, &error_), NEXUS_OK);
  EXPECT_GT(outcome.end_lsn, 0u);
  EXPECT_EQ(nexus_batch_samples(batch.get()), 0u);
  ASSERT_EQ(nexus_flush(db_, nullptr), NEXUS_OK);
  ASSERT_EQ(nexus_close(db_, &error_), NEXUS_OK);
  Open();

  nexus_query query = Everything("m");
  nexus_cursor* cursor;
  ASSERT_EQ(nexus_select(db_, &query, &cursor, &error_), NEXUS_OK);
  nexus_chunk chunk;
  ASSERT_EQ(nexus_cursor_next(cursor, &chunk, &error_), 1);
  EXPECT_EQ(ViewOf(chunk.metric), "m");
  ASSERT_EQ(chunk.label_count, 1u);
  EXPECT_EQ(ViewOf(chunk.labels[0].value), "a");
  ASSERT_EQ(chunk.count, 2u);
  for (size_t i = 0; i < 2; i++) {
    EXPECT_EQ(chunk.timestamps[i], timestamps[i]);
    EXPECT_EQ(std::bit_cast<uint64_t>(chunk.values[i]), std::bit_cast<uint64_t>(values[i]));
  }
  for (uint64_t index = 1; index < 3; index++) {
    ASSERT_EQ(nexus_cursor_next(cursor, &chunk, &error_), 1);
    EXPECT_EQ(chunk.series_index, index);
    EXPECT_EQ(std::bit_cast<uint64_t>(chunk.values[0]), std::bit_cast<uint64_t>(values[index - 1]));
  }
  EXPECT_EQ(nexus_cursor_next(cursor, &chunk, &error_), 0);
  nexus_query_statistics statistics;
  nexus_cursor_statistics(cursor, &statistics);
  EXPECT_EQ(statistics.series, 3u);
  EXPECT_EQ(statistics.samples, 4u);
  nexus_cursor_free(cursor);
}

TEST_F(NexusCTest, ErrorsHaveCodeAndMessageAndMayBeUnwanted) {
  nexus_options options = Options();
  nexus_db* second;
  EXPECT_EQ(nexus_open(&options, &second, &error_), NEXUS_FAILED_PRECONDITION);
  EXPECT_EQ(second, nullptr);
  EXPECT_EQ(error_.code, NEXUS_FAILED_PRECONDITION);
  EXPECT_NE(std::string_view(error_.message).find("in use"), std::string_view::npos)
      << error_.message;
  EXPECT_EQ(nexus_open(&options, &second, nullptr), NEXUS_FAILED_PRECONDITION);

  nexus_query query = Everything("m{");
  nexus_cursor* cursor;
  EXPECT_EQ(nexus_select(db_, &query, &cursor, &error_), NEXUS_INVALID_ARGUMENT);
  EXPECT_EQ(cursor, nullptr);
  // What went well leaves no old error behind.
  EXPECT_EQ(nexus_sync(db_, &error_), NEXUS_OK);
  EXPECT_EQ(error_.code, NEXUS_OK);
  EXPECT_STREQ(error_.message, "");
}

TEST_F(NexusCTest, LongMessagesAreCutAndTerminated) {
  std::string name(5000, 'x');
  std::memset(error_.message, 'z', sizeof(error_.message));
  nexus_query query = Everything("m");
  query.tenant = Text(name);
  nexus_cursor* cursor;
  EXPECT_NE(nexus_select(db_, &query, &cursor, &error_), NEXUS_OK);
  EXPECT_EQ(std::strlen(error_.message), sizeof(error_.message) - 1);
}

TEST_F(NexusCTest, EmptyBatchUnknownSeriesAndUnknownAckAreRefused) {
  BatchHandle batch(nexus_batch_new(), nexus_batch_free);
  EXPECT_EQ(nexus_append(db_, batch.get(), nullptr, nullptr, &error_), NEXUS_INVALID_ARGUMENT);
  EXPECT_EQ(Append(4711, 1, 1.0), NEXUS_INVALID_ARGUMENT);
  nexus_append_options options = {};
  options.size = sizeof(options);
  options.ack = 2;
  EXPECT_EQ(Append(Series("m", "a"), 1, 1.0, &options), NEXUS_INVALID_ARGUMENT);
  options.ack = NEXUS_BUFFERED;
  EXPECT_EQ(Append(Series("m", "a"), 1, 1.0, &options), NEXUS_OK);
}

TEST_F(NexusCTest, StructsOfOlderAndNewerCallersAreRead) {
  struct Newer {
    nexus_query known;
    uint64_t unknown;
  } newer = {Everything("m"), 0};
  newer.known.size = sizeof(newer);
  nexus_cursor* cursor;
  ASSERT_EQ(nexus_select(db_, &newer.known, &cursor, &error_), NEXUS_OK);
  nexus_cursor_free(cursor);
  newer.unknown = 1;
  EXPECT_EQ(nexus_select(db_, &newer.known, &cursor, &error_), NEXUS_INVALID_ARGUMENT);
  EXPECT_NE(std::string_view(error_.message).find("newer library"), std::string_view::npos);

  // An older caller knew nothing of what is behind `deadline_ms`: garbage there is not looked at.
  nexus_query older = Everything("m");
  std::memset(&older.memory_bytes, 0xff, sizeof(older) - offsetof(nexus_query, memory_bytes));
  older.size = offsetof(nexus_query, memory_bytes);
  ASSERT_EQ(nexus_select(db_, &older, &cursor, &error_), NEXUS_OK);
  nexus_cursor_free(cursor);
  older.size = 0;
  EXPECT_EQ(nexus_select(db_, &older, &cursor, &error_), NEXUS_INVALID_ARGUMENT);
}

TEST_F(NexusCTest, DefaultsAreThoseOfTheEngineWithinTheSizeGiven) {
  nexus_options options;
  std::memset(&options, 0xff, sizeof(options));
  nexus_options_init(&options, offsetof(nexus_options, page_cache_bytes));
  EXPECT_EQ(options.size, offsetof(nexus_options, page_cache_bytes));
  EXPECT_EQ(options.memtable_bytes, nexus::Options().memtable_bytes);
  EXPECT_EQ(options.create, 1);
  EXPECT_EQ(options.page_cache_bytes, UINT64_MAX);  // behind it: not touched
}

TEST_F(NexusCTest, NumberedBatchesAreAppliedOnceAndGapsSayWhatIsExpected) {
  nexus_producer_state state;
  nexus_producer producer = {1, 2};
  ASSERT_EQ(nexus_open_producer(db_, producer, 0, {}, {}, &state, &error_), NEXUS_OK);
  EXPECT_EQ(state.last_sequence, 0u);
  nexus_once once = {producer, state.epoch, 1};
  nexus_append_options options = {};
  options.size = sizeof(options);
  options.once = &once;
  uint64_t series = Series("m", "a");
  nexus_outcome outcome;
  ASSERT_EQ(Append(series, 1, 1.0, &options, &outcome), NEXUS_OK) << error_.message;
  EXPECT_EQ(outcome.duplicate, 0);
  ASSERT_EQ(Append(series, 1, 1.0, &options, &outcome), NEXUS_OK);
  EXPECT_EQ(outcome.duplicate, 1);
  once.sequence = 5;
  EXPECT_EQ(Append(series, 1, 1.0, &options, &outcome), NEXUS_FAILED_PRECONDITION);
  EXPECT_EQ(error_.expected_sequence, 2u);
  once.producer.low = 3;
  once.sequence = 1;
  EXPECT_EQ(Append(series, 1, 1.0, &options, &outcome), NEXUS_FAILED_PRECONDITION);
  EXPECT_EQ(error_.expected_sequence, 0u);
}

struct AsyncAnswer {
  int32_t code = -1;
  uint64_t end_lsn = 0;
};
void OnAppended(void* context, const nexus_outcome* outcome, const nexus_error* error) {
  AsyncAnswer answer;
  answer.code = error == nullptr ? NEXUS_OK : error->code;
  if (outcome != nullptr) answer.end_lsn = outcome->end_lsn;
  static_cast<std::promise<AsyncAnswer>*>(context)->set_value(answer);
}

TEST_F(NexusCTest, AsynchronousAppendsAnswerOnceGoodOrBad) {
  BatchHandle batch(nexus_batch_new(), nexus_batch_free);
  nexus_batch_add(batch.get(), Series("m", "a"), 1, 1.0);
  std::promise<AsyncAnswer> good;
  nexus_append_async(db_, batch.get(), nullptr, OnAppended, &good);
  AsyncAnswer answer = good.get_future().get();
  EXPECT_EQ(answer.code, NEXUS_OK);
  EXPECT_GT(answer.end_lsn, 0u);
  std::promise<AsyncAnswer> empty;
  nexus_append_async(db_, batch.get(), nullptr, OnAppended, &empty);
  EXPECT_EQ(empty.get_future().get().code, NEXUS_INVALID_ARGUMENT);
  nexus_append_options options = {};
  std::promise<AsyncAnswer> refused;
  nexus_append_async(db_, batch.get(), &options, OnAppended, &refused);
  EXPECT_EQ(refused.get_future().get().code, NEXUS_INVALID_ARGUMENT);
}

TEST_F(NexusCTest, AggregatesGroupAndKnowTheirFunctions) {
  ASSERT_EQ(Append(Series("m", "a"), 10, 1.0), NEXUS_OK);
  ASSERT_EQ(Append(Series("m", "b"), 11, 5.0), NEXUS_OK);
  const double want[] = {3, 1, 5, 6, 2, 1, 5};  // avg min max sum count first last
  for (int32_t function = NEXUS_AVG; function <= NEXUS_LAST; function++) {
    nexus_query query = Everything("m");
    query.first = 0;
    query.last = 99;
    query.function = function;
    query.step_ns = 100;
    query.grouped = 1;
    nexus_cursor* cursor;
    ASSERT_EQ(nexus_aggregate(db_, &query, &cursor, &error_), NEXUS_OK) << error_.message;
    nexus_chunk chunk;
    ASSERT_EQ(nexus_cursor_next(cursor, &chunk, &error_), 1);
    EXPECT_EQ(chunk.label_count, 0u);
    ASSERT_EQ(chunk.count, 1u);
    EXPECT_DOUBLE_EQ(chunk.values[0], want[function - NEXUS_AVG]) << function;
    EXPECT_EQ(nexus_cursor_next(cursor, &chunk, &error_), 0);
    nexus_cursor_free(cursor);
  }
  nexus_text host = Text("host");
  nexus_query query = Everything("m");
  query.function = NEXUS_PERCENTILE;
  query.percentile = 50;
  query.grouped = 1;
  query.by = &host;
  query.by_count = 1;
  nexus_cursor* cursor;
  ASSERT_EQ(nexus_aggregate(db_, &query, &cursor, &error_), NEXUS_OK) << error_.message;
  nexus_chunk chunk;
  ASSERT_EQ(nexus_cursor_next(cursor, &chunk, &error_), 1);
  EXPECT_EQ(ViewOf(chunk.labels[0].name), "host");
  nexus_cursor_free(cursor);
  query.function = 0;
  EXPECT_EQ(nexus_aggregate(db_, &query, &cursor, &error_), NEXUS_INVALID_ARGUMENT);
}

TEST_F(NexusCTest, ACancelledCursorSaysSo) {
  ASSERT_EQ(Append(Series("m", "a"), 1, 1.0), NEXUS_OK);
  nexus_query query = Everything("m");
  nexus_cursor* cursor;
  ASSERT_EQ(nexus_select(db_, &query, &cursor, &error_), NEXUS_OK);
  nexus_cursor_cancel(cursor);
  nexus_chunk chunk;
  EXPECT_EQ(nexus_cursor_next(cursor, &chunk, &error_), -1);
  EXPECT_EQ(error_.code, NEXUS_CANCELLED);
  nexus_cursor_free(cursor);
}

TEST_F(NexusCTest, TheNewestSampleIsFoundBySelectorAndBySeries) {
  uint64_t series = Series("m", "a");
  ASSERT_EQ(Append(series, 5, 50.0), NEXUS_OK);
  ASSERT_EQ(Append(series, 3, 30.0), NEXUS_OK);
  int64_t timestamp = 0;
  double value = 0;
  ASSERT_EQ(nexus_latest_sample(db_, series, {}, {}, &timestamp, &value, &error_), 1);
  EXPECT_EQ(timestamp, 5);
  EXPECT_DOUBLE_EQ(value, 50.0);
  EXPECT_EQ(nexus_latest_sample(db_, Series("m", "b"), {}, {}, &timestamp, &value, &error_), 0);
  EXPECT_EQ(nexus_latest_sample(db_, series, Text("nobody"), {}, &timestamp, &value, &error_), -1);
  EXPECT_EQ(error_.code, NEXUS_NOT_FOUND);
  nexus_query query = Everything("m{host=\"a\"}");
  nexus_cursor* cursor;
  ASSERT_EQ(nexus_latest(db_, &query, &cursor, &error_), NEXUS_OK);
  nexus_chunk chunk;
  ASSERT_EQ(nexus_cursor_next(cursor, &chunk, &error_), 1);
  ASSERT_EQ(chunk.count, 1u);
  EXPECT_EQ(chunk.timestamps[0], 5);
  nexus_cursor_free(cursor);
}

TEST_F(NexusCTest, LabelsTenantsAndFiguresAreLists) {
  ASSERT_EQ(Append(Series("m", "b"), 1, 1.0), NEXUS_OK);
  ASSERT_EQ(Append(Series("m", "a"), 1, 1.0), NEXUS_OK);
  nexus_list* list;
  ASSERT_EQ(nexus_label_values(db_, Text("host"), {}, {}, &list, &error_), NEXUS_OK);
  EXPECT_EQ(Take(list), (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(nexus_label_values(db_, {}, Text("m"), {}, &list, &error_), NEXUS_OK);
  EXPECT_EQ(Take(list), (std::vector<std::string>{"__name__", "host"}));
  EXPECT_EQ(nexus_label_values(db_, Text("host"), {}, Text("nobody"), &list, &error_),
            NEXUS_NOT_FOUND);
  EXPECT_EQ(list, nullptr);

  ASSERT_EQ(nexus_create_tenant(db_, Text("acme"), &error_), NEXUS_OK);
  EXPECT_EQ(nexus_create_tenant(db_, Text("acme"), &error_), NEXUS_ALREADY_EXISTS);
  ASSERT_EQ(nexus_tenants(db_, &list, &error_), NEXUS_OK);
  EXPECT_EQ(Take(list), (std::vector<std::string>{"acme", "default"}));

  ASSERT_EQ(nexus_stats(db_, &list, &error_), NEXUS_OK);
  std::string stats = Take(list).at(0);
  EXPECT_NE(stats.find("{\"series\":2,\"samples\":2,"), std::string::npos) << stats;
  EXPECT_NE(stats.find("\"write_state\":\"ok\"}"), std::string::npos) << stats;
  ASSERT_EQ(nexus_recovery(db_, &list, &error_), NEXUS_OK);
  std::string recovery = Take(list).at(0);
  EXPECT_NE(recovery.find("{\"created\":true,"), std::string::npos) << recovery;
  EXPECT_NE(recovery.find("\"damage\":[],"), std::string::npos) << recovery;
}

TEST_F(NexusCTest, BranchesAndSnapshotsAreMadeReadAndDeleted) {
  const uint64_t series = Series("m", "a");
  ASSERT_EQ(Append(series, 1, 1.0), NEXUS_OK);
  ASSERT_EQ(nexus_create_branch(db_, Text("snap"), NEXUS_SNAPSHOT, {}, {}, &error_), NEXUS_OK);
  ASSERT_EQ(nexus_create_branch(db_, Text("copy"), NEXUS_BRANCH, Text("snap"), {}, &error_),
            NEXUS_OK);
  EXPECT_EQ(nexus_create_branch(db_, Text("copy"), NEXUS_BRANCH, {}, {}, &error_),
            NEXUS_ALREADY_EXISTS);
  EXPECT_EQ(nexus_create_branch(db_, Text("x"), 7, {}, {}, &error_), NEXUS_INVALID_ARGUMENT);
  ASSERT_EQ(Append(series, 2, 2.0), NEXUS_OK);
  int64_t timestamp = 0;
  double value = 0;
  ASSERT_EQ(nexus_latest_sample(db_, series, {}, Text("snap"), &timestamp, &value, &error_), 1);
  EXPECT_EQ(timestamp, 1);
  ASSERT_EQ(nexus_latest_sample(db_, series, {}, {}, &timestamp, &value, &error_), 1);
  EXPECT_EQ(timestamp, 2);
  nexus_query query = {};
  query.size = sizeof(query);
  query.selector = Text("m");
  query.last = 100;
  query.as_of = Text("snap");
  nexus_cursor* cursor;
  ASSERT_EQ(nexus_select(db_, &query, &cursor, &error_), NEXUS_OK) << error_.message;
  nexus_chunk chunk;
  ASSERT_EQ(nexus_cursor_next(cursor, &chunk, &error_), 1);
  EXPECT_EQ(chunk.count, 1u);
  nexus_cursor_free(cursor);
  query.as_of = Text("copy");
  EXPECT_EQ(nexus_select(db_, &query, &cursor, &error_), NEXUS_FAILED_PRECONDITION);
  nexus_list* list;
  ASSERT_EQ(nexus_branches(db_, {}, &list, &error_), NEXUS_OK);
  const std::vector<std::string> branches = Take(list);
  ASSERT_EQ(branches.size(), 3u);
  EXPECT_NE(branches[1].find("{\"name\":\"snap\",\"kind\":\"snapshot\",\"parent\":\"main\","),
            std::string::npos)
      << branches[1];
  EXPECT_EQ(nexus_delete_branch(db_, Text("snap"), NEXUS_BRANCH, {}, &error_),
            NEXUS_FAILED_PRECONDITION);
  ASSERT_EQ(nexus_delete_branch(db_, Text("snap"), NEXUS_SNAPSHOT, {}, &error_), NEXUS_OK);
  EXPECT_EQ(nexus_delete_branch(db_, Text("snap"), NEXUS_SNAPSHOT, {}, &error_), NEXUS_NOT_FOUND);
}

TEST_F(NexusCTest, ABackupIsMadeAndRestored) {
  ASSERT_EQ(Append(Series("m", "a"), 1, 5), NEXUS_OK);
  const std::string backup = folder_ + ".backup";
  const std::string restored = folder_ + ".restored";
  std::filesystem::remove_all(backup);
  std::filesystem::remove_all(restored);
  nexus_backup_result result;
  ASSERT_EQ(nexus_backup(db_, Text(backup), &result, &error_), NEXUS_OK) << error_.message;
  EXPECT_EQ(result.layers, 1u);
  EXPECT_EQ(result.kept + result.linked + result.copied, 1u);
  EXPECT_EQ(nexus_backup(db_, Text(folder_), nullptr, &error_), NEXUS_INVALID_ARGUMENT);
  EXPECT_EQ(nexus_restore(Text(backup), Text(folder_), nullptr, &error_),
            NEXUS_FAILED_PRECONDITION);
  nexus_backup_result second;
  ASSERT_EQ(nexus_restore(Text(backup), Text(restored), &second, &error_), NEXUS_OK)
      << error_.message;
  EXPECT_EQ(second.lsn, result.lsn);
  ASSERT_EQ(nexus_close(db_, &error_), NEXUS_OK);
  const std::string original = folder_;
  folder_ = restored;
  Open();
  int64_t timestamp = 0;
  double value = 0;
  ASSERT_EQ(nexus_latest_sample(db_, Series("m", "a"), {}, {}, &timestamp, &value, &error_), 1);
  EXPECT_EQ(value, 5);
  std::filesystem::remove_all(backup);
  std::filesystem::remove_all(original);
}

TEST_F(NexusCTest, RetentionIsSetAndTold) {
  EXPECT_EQ(nexus_accept_retention_clock(db_, &error_), NEXUS_FAILED_PRECONDITION);
  constexpr int64_t kDay = int64_t{86'400} * 1'000'000'000;
  const nexus_retention_rule rules[] = {{Text("m"), 7 * kDay}, {Text("{}"), 400 * kDay}};
  ASSERT_EQ(nexus_set_retention(db_, rules, 2, {}, &error_), NEXUS_OK);
  const nexus_retention_rule shorter[] = {{Text("m"), 1}};
  EXPECT_EQ(nexus_set_retention(db_, shorter, 1, {}, &error_), NEXUS_INVALID_ARGUMENT);
  nexus_list* list;
  ASSERT_EQ(nexus_retention(db_, {}, &list, &error_), NEXUS_OK);
  const std::vector<std::string> texts = Take(list);
  ASSERT_EQ(texts.size(), 3u);
  EXPECT_EQ(texts[0].find("{\"head_window_ns\":10800000000000,\"clock_runs\":true,"), 0u)
      << texts[0];
  EXPECT_EQ(texts[1], "{\"selector\":\"m\",\"duration_ns\":604800000000000}");
  EXPECT_EQ(nexus_accept_retention_clock(db_, &error_), NEXUS_OK);
  ASSERT_EQ(nexus_set_retention(db_, nullptr, 0, {}, &error_), NEXUS_OK);
  EXPECT_EQ(nexus_retention(db_, Text("nobody"), &list, &error_), NEXUS_NOT_FOUND);
}

TEST_F(NexusCTest, RollupsAreSetMadeAndUsed) {
  constexpr int64_t kSecond = 1'000'000'000;
  const nexus_rollup_rule rules[] = {{3600 * kSecond, 7200 * kSecond}, {60 * kSecond, 0}};
  ASSERT_EQ(nexus_set_rollups(db_, rules, 2, {}, &error_), NEXUS_OK) << error_.message;
  const nexus_rollup_rule uneven[] = {{60 * kSecond, 0}, {90 * kSecond, 0}};
  EXPECT_EQ(nexus_set_rollups(db_, uneven, 2, {}, &error_), NEXUS_INVALID_ARGUMENT);
  nexus_list* list;
  ASSERT_EQ(nexus_rollups(db_, {}, &list, &error_), NEXUS_OK);
  EXPECT_EQ(Take(list), (std::vector<std::string>{
                            "{\"resolution_ns\":60000000000,\"keep_ns\":0}",
                            "{\"resolution_ns\":3600000000000,\"keep_ns\":7200000000000}"}));
  EXPECT_EQ(nexus_rollups(db_, Text("nobody"), &list, &error_), NEXUS_NOT_FOUND);

  BatchHandle batch(nexus_batch_new(), nexus_batch_free);
  const uint64_t series = Series("m", "a");
  for (int i = 0; i < 360; i++) nexus_batch_add(batch.get(), series, i * 10 * kSecond, i);
  nexus_outcome outcome;
  ASSERT_EQ(nexus_append(db_, batch.get(), nullptr, &outcome, &error_), NEXUS_OK);
  ASSERT_EQ(nexus_flush(db_, &error_), NEXUS_OK);
  uint64_t calls = 0;
  auto count = [](void* context, nexus_text, uint64_t, uint64_t) {
    ++*static_cast<uint64_t*>(context);
  };
  ASSERT_EQ(nexus_compact(db_, count, &calls, &error_), NEXUS_OK) << error_.message;
  nexus_query query = Everything("m");
  query.function = NEXUS_MAX;
  query.step_ns = 60 * kSecond;
  nexus_cursor* cursor;
  ASSERT_EQ(nexus_aggregate(db_, &query, &cursor, &error_), NEXUS_OK) << error_.message;
  std::vector<double> maxima;
  nexus_chunk chunk;
  while (nexus_cursor_next(cursor, &chunk, &error_) == 1) {
    maxima.insert(maxima.end(), chunk.values, chunk.values + chunk.count);
  }
  nexus_query_statistics statistics;
  nexus_cursor_statistics(cursor, &statistics);
  nexus_cursor_free(cursor);
  ASSERT_EQ(maxima.size(), 60u);
  EXPECT_EQ(maxima[59], 359);
  EXPECT_EQ(statistics.rollup_buckets, 60u);
  ASSERT_EQ(nexus_set_rollups(db_, nullptr, 0, {}, &error_), NEXUS_OK);
  ASSERT_EQ(nexus_rollups(db_, {}, &list, &error_), NEXUS_OK);
  EXPECT_EQ(Take(list).size(), 0u);
}

TEST_F(NexusCTest, NullHandlesAreFreed) {
  nexus_batch_free(nullptr);
  nexus_cursor_free(nullptr);
  nexus_list_free(nullptr);
  EXPECT_EQ(nexus_close(nullptr, &error_), NEXUS_OK);
}

}  // namespace
