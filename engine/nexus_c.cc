// The C face of the embedded database. See nexus_c.h.
//
// Every call is a translation: C structs to those of engine/nexus.h, the call, its status to a
// code. Failure: what libraries below throw (want of memory) is caught here; where a call has no
// error to give, noexcept ends the program.

#include "engine/nexus_c.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "engine/nexus.h"
#include "engine/nexus_c_json.h"

using nexus::Status;
using nexus::StatusOr;

struct nexus_db {
  std::unique_ptr<nexus::Database> database;
};
struct nexus_batch {
  nexus::WriteBatch batch;
  std::vector<nexus::SeriesId> row;
};
struct nexus_cursor {
  // Before the cursor, which looks at it to its end.
  std::atomic<bool> cancelled = false;
  std::unique_ptr<nexus::Cursor> cursor;
  std::vector<nexus_label> labels;
};
struct nexus_list {
  std::vector<std::string> texts;
};

namespace {

std::string_view ViewOf(nexus_text text) {
  return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}
std::string_view ViewOr(nexus_text text, std::string_view otherwise) {
  return text.size == 0 ? otherwise : ViewOf(text);
}
std::string_view TenantOf(nexus_text text) { return ViewOr(text, "default"); }
std::string_view BranchOf(nexus_text text) { return ViewOr(text, "main"); }
nexus_text TextOf(std::string_view text) { return {text.data(), text.size()}; }

int32_t Fill(const Status& status, nexus_error* error) {
  const auto code = static_cast<int32_t>(status.code());
  if (error == nullptr) return code;
  error->code = code;
  error->expected_sequence = nexus::ExpectedSequence(status).value_or(0);
  std::string_view message = nexus::FromAbsl(status.message());
  size_t size = std::min(message.size(), sizeof(error->message) - 1);
  if (size > 0) std::memcpy(error->message, message.data(), size);
  error->message[size] = '\0';
  return code;
}

// For want of memory, which there may not be any of for a Status.
int32_t FillThrown(int32_t code, const char* message, nexus_error* error) noexcept {
  if (error == nullptr) return code;
  error->code = code;
  error->expected_sequence = 0;
  std::strncpy(error->message, message, sizeof(error->message) - 1);
  error->message[sizeof(error->message) - 1] = '\0';
  return code;
}

// The code of what `call` returns (a Status) or throws, with *error filled.
template <typename Call>
int32_t Guarded(nexus_error* error, Call&& call) noexcept {
  try {
    return Fill(call(), error);
  } catch (const std::bad_alloc&) {
    return FillThrown(NEXUS_RESOURCE_EXHAUSTED, "out of memory", error);
  } catch (const std::exception& thrown) {
    return FillThrown(NEXUS_INTERNAL, thrown.what(), error);
  }
}

template <typename Call>
auto NeverThrows(Call&& call) noexcept {
  return call();
}

// Copies what of *given both sides know over *full, which has the defaults.
template <typename Struct>
Status ReadSized(const Struct* given, const char* name, Struct* full) {
  // A size that was never set would be anything: no version of a struct comes near this.
  constexpr size_t kStructBytesMax = 4096;
  const size_t size = given->size;
  if (size < sizeof(size) || size > kStructBytesMax) {
    return nexus::InvalidArgument("{}.size is {}: set it to sizeof({})", name, size, name);
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (size_t i = sizeof(Struct); i < size; i++) {
    if (bytes[i] != 0) {
      return nexus::InvalidArgument(
          "{} has a field at byte {} that nexus {} does not know: leave it zero, or use a newer "
          "library",
          name, i, nexus::Version());
    }
  }
  std::memcpy(full, given, std::min(size, sizeof(Struct)));
  return nexus::OkStatus();
}

nexus_options DefaultOptions() {
  const nexus::Options defaults;
  nexus_options options = {};
  options.create = defaults.create ? 1 : 0;
  options.workers = defaults.workers;
  options.memtable_bytes = defaults.memtable_bytes;
  options.page_cache_bytes = defaults.page_cache_bytes;
  options.log_segment_bytes = defaults.log_segment_bytes;
  options.log_bytes_max = defaults.log_bytes_max;
  options.flush_interval_ms = defaults.flush_interval_ms;
  options.reserve_bytes = defaults.reserve_bytes;
  options.admission_timeout_ms = defaults.admission_timeout_ms;
  options.lock_wait_ms = defaults.lock_wait_ms;
  options.catalog_bytes_max = defaults.catalog_bytes_max;
  return options;
}

StatusOr<nexus::Options> OptionsOf(const nexus_options* given) {
  nexus_options full = DefaultOptions();
  NEXUS_RETURN_IF_ERROR(ReadSized(given, "nexus_options", &full));
  nexus::Options options;
  options.directory = ViewOf(full.directory);
  options.create = full.create != 0;
  options.workers = full.workers;
  options.memtable_bytes = full.memtable_bytes;
  options.page_cache_bytes = full.page_cache_bytes;
  options.log_segment_bytes = full.log_segment_bytes;
  options.log_bytes_max = full.log_bytes_max;
  options.flush_interval_ms = full.flush_interval_ms;
  options.reserve_bytes = full.reserve_bytes;
  options.admission_timeout_ms = full.admission_timeout_ms;
  options.lock_wait_ms = full.lock_wait_ms;
  options.catalog_bytes_max = full.catalog_bytes_max;
  if (full.progress != nullptr) {
    options.progress = [call = full.progress,
                        context = full.progress_context](const nexus::Progress& progress) {
      call(context, TextOf(progress.activity), progress.done, progress.total);
    };
  }
  return options;
}

// The result's views are of *given and live as long as what that points to.
StatusOr<nexus::AppendOptions> AppendOptionsOf(const nexus_append_options* given) {
  nexus_append_options full = {};
  if (given != nullptr) {
    NEXUS_RETURN_IF_ERROR(ReadSized(given, "nexus_append_options", &full));
  }
  if (full.ack != NEXUS_DURABLE && full.ack != NEXUS_BUFFERED) {
    return nexus::InvalidArgument("ack {} is neither NEXUS_DURABLE nor NEXUS_BUFFERED", full.ack);
  }
  nexus::AppendOptions options;
  options.ack = full.ack == NEXUS_BUFFERED ? nexus::Ack::kBuffered : nexus::Ack::kDurable;
  options.tenant = TenantOf(full.tenant);
  options.branch = BranchOf(full.branch);
  if (full.once != nullptr) {
    options.once = nexus::ProducerSequence{
        {full.once->producer.high, full.once->producer.low}, full.once->epoch, full.once->sequence};
  }
  return options;
}

nexus_outcome OutcomeOf(const nexus::AppendOutcome& outcome) {
  return {outcome.end.value, outcome.duplicate ? 1 : 0};
}

// The batch as it was given; an empty one stays with the caller.
nexus::WriteBatch Take(nexus_batch* batch) {
  return std::exchange(batch->batch, nexus::WriteBatch());
}

void Answer(nexus_appended done, void* context, const StatusOr<nexus::AppendOutcome>& appended) {
  if (appended.ok()) {
    nexus_outcome outcome = OutcomeOf(*appended);
    return done(context, &outcome, nullptr);
  }
  nexus_error error;
  Fill(appended.status(), &error);
  done(context, nullptr, &error);
}

Status GiveList(StatusOr<std::vector<std::string>> texts, nexus_list** list) {
  NEXUS_RETURN_IF_ERROR(texts.status());
  *list = new nexus_list{*std::move(texts)};
  return nexus::OkStatus();
}

// ---- Queries.

nexus::SelectQuery SelectOf(const nexus_query& query, const std::atomic<bool>* cancelled) {
  nexus::SelectQuery select;
  select.selector = ViewOf(query.selector);
  select.range = {query.first, query.last};
  select.tenant = TenantOf(query.tenant);
  select.branch = BranchOf(query.branch);
  if (query.deadline_ms != 0) {
    select.limits.deadline_ms = std::max<int64_t>(query.deadline_ms, 0);  // 0: none
  }
  if (query.memory_bytes != 0) select.limits.memory_bytes = query.memory_bytes;
  if (query.series_max != 0) select.limits.series_max = query.series_max;
  select.limits.cancel = cancelled;
  return select;
}

Status FunctionOf(int32_t given, nexus::AggregateFunction* function) {
  using nexus::AggregateFunction;
  switch (given) {
    case NEXUS_AVG:
      *function = AggregateFunction::kAvg;
      break;
    case NEXUS_MIN:
      *function = AggregateFunction::kMin;
      break;
    case NEXUS_MAX:
      *function = AggregateFunction::kMax;
      break;
    case NEXUS_SUM:
      *function = AggregateFunction::kSum;
      break;
    case NEXUS_COUNT:
      *function = AggregateFunction::kCount;
      break;
    case NEXUS_FIRST:
      *function = AggregateFunction::kFirst;
      break;
    case NEXUS_LAST:
      *function = AggregateFunction::kLast;
      break;
    case NEXUS_RATE:
      *function = AggregateFunction::kRate;
      break;
    case NEXUS_PERCENTILE:
      *function = AggregateFunction::kPercentile;
      break;
    default:
      return nexus::InvalidArgument("function {} is none of nexus_function", given);
  }
  return nexus::OkStatus();
}

StatusOr<nexus::AggregateQuery> AggregateOf(const nexus_query& query, nexus::SelectQuery select) {
  nexus::AggregateQuery aggregate;
  aggregate.select = std::move(select);
  NEXUS_RETURN_IF_ERROR(FunctionOf(query.function, &aggregate.function));
  aggregate.percentile = query.percentile;
  aggregate.step_ns = query.step_ns;
  aggregate.grouped = query.grouped != 0;
  for (size_t i = 0; i < query.by_count; i++) aggregate.by.emplace_back(ViewOf(query.by[i]));
  return aggregate;
}

// Makes a cursor by ask(full query, its selecting part).
template <typename Ask>
int32_t OpenCursor(const nexus_query* given, nexus_cursor** cursor, nexus_error* error, Ask&& ask) {
  *cursor = nullptr;
  return Guarded(error, [&]() -> Status {
    nexus_query query = {};
    NEXUS_RETURN_IF_ERROR(ReadSized(given, "nexus_query", &query));
    auto made = std::make_unique<nexus_cursor>();
    NEXUS_ASSIGN_OR_RETURN(made->cursor, ask(query, SelectOf(query, &made->cancelled)));
    *cursor = made.release();
    return nexus::OkStatus();
  });
}

}  // namespace

nexus_text nexus_version(void) { return TextOf(nexus::Version()); }

// ---- Opening and closing.

void nexus_options_init(nexus_options* options, size_t size) {
  nexus_options defaults = DefaultOptions();
  defaults.size = size;
  std::memset(options, 0, size);
  std::memcpy(options, &defaults, std::min(size, sizeof(defaults)));
}

int32_t nexus_open(const nexus_options* options, nexus_db** db, nexus_error* error) {
  *db = nullptr;
  return Guarded(error, [&]() -> Status {
    NEXUS_ASSIGN_OR_RETURN(nexus::Options full, OptionsOf(options));
    auto made = std::make_unique<nexus_db>();
    NEXUS_ASSIGN_OR_RETURN(made->database, nexus::Database::Open(std::move(full)));
    *db = made.release();
    return nexus::OkStatus();
  });
}

int32_t nexus_close(nexus_db* db, nexus_error* error) {
  return Guarded(error, [&]() -> Status {
    if (db == nullptr) return nexus::OkStatus();
    std::unique_ptr<nexus_db> owned(db);
    return owned->database->Close();
  });
}

// ---- Writing.

int32_t nexus_series(nexus_db* db, nexus_text tenant, nexus_text metric, const nexus_label* labels,
                     size_t label_count, uint64_t* series, nexus_error* error) {
  *series = 0;
  return Guarded(error, [&]() -> Status {
    std::vector<nexus::Label> given;
    for (size_t i = 0; i < label_count; i++) {
      given.push_back({std::string(ViewOf(labels[i].name)), std::string(ViewOf(labels[i].value))});
    }
    NEXUS_ASSIGN_OR_RETURN(
        nexus::SeriesId id,
        db->database->Series(std::string(ViewOf(metric)), std::move(given), TenantOf(tenant)));
    *series = id.value;
    return nexus::OkStatus();
  });
}

nexus_batch* nexus_batch_new(void) {
  return NeverThrows([] { return new nexus_batch; });
}
void nexus_batch_free(nexus_batch* batch) { delete batch; }

void nexus_batch_add(nexus_batch* batch, uint64_t series, int64_t timestamp, double value) {
  NeverThrows([&] { batch->batch.Add({series}, timestamp, value); });
}

void nexus_batch_add_row(nexus_batch* batch, int64_t timestamp, const uint64_t* series,
                         const double* values, size_t count) {
  if (count == 0) return;
  NeverThrows([&] {
    batch->row.clear();
    for (size_t i = 0; i < count; i++) batch->row.push_back({series[i]});
    batch->batch.AddRow(timestamp, batch->row, {values, count});
  });
}

void nexus_batch_add_series(nexus_batch* batch, uint64_t series, const int64_t* timestamps,
                            const double* values, size_t count) {
  if (count == 0) return;
  NeverThrows([&] { batch->batch.AddSeries({series}, {timestamps, count}, {values, count}); });
}

uint64_t nexus_batch_samples(const nexus_batch* batch) { return batch->batch.samples(); }
uint64_t nexus_batch_bytes(const nexus_batch* batch) { return batch->batch.bytes(); }
void nexus_batch_clear(nexus_batch* batch) {
  NeverThrows([&] { batch->batch.Clear(); });
}

int32_t nexus_append(nexus_db* db, nexus_batch* batch, const nexus_append_options* options,
                     nexus_outcome* outcome, nexus_error* error) {
  if (outcome != nullptr) *outcome = {};
  return Guarded(error, [&]() -> Status {
    nexus::WriteBatch taken = Take(batch);
    NEXUS_ASSIGN_OR_RETURN(nexus::AppendOptions full, AppendOptionsOf(options));
    NEXUS_ASSIGN_OR_RETURN(nexus::AppendOutcome appended,
                           db->database->Append(std::move(taken), full));
    if (outcome != nullptr) *outcome = OutcomeOf(appended);
    return nexus::OkStatus();
  });
}

void nexus_append_async(nexus_db* db, nexus_batch* batch, const nexus_append_options* options,
                        nexus_appended done, void* context) {
  NeverThrows([&] {
    nexus::WriteBatch taken = Take(batch);
    StatusOr<nexus::AppendOptions> full = AppendOptionsOf(options);
    if (!full.ok()) return Answer(done, context, full.status());
    db->database->AppendAsync(std::move(taken), *full,
                              [done, context](StatusOr<nexus::AppendOutcome> appended) {
                                Answer(done, context, appended);
                              });
  });
}

int32_t nexus_sync(nexus_db* db, nexus_error* error) {
  return Guarded(error, [&] { return db->database->Sync(); });
}

int32_t nexus_flush(nexus_db* db, nexus_error* error) {
  return Guarded(error, [&] { return db->database->Flush(); });
}

int32_t nexus_open_producer(nexus_db* db, nexus_producer producer, uint64_t epoch,
                            nexus_text tenant, nexus_text branch, nexus_producer_state* state,
                            nexus_error* error) {
  *state = {};
  return Guarded(error, [&]() -> Status {
    NEXUS_ASSIGN_OR_RETURN(nexus::ProducerState opened,
                           db->database->OpenProducer({producer.high, producer.low}, epoch,
                                                      TenantOf(tenant), BranchOf(branch)));
    *state = {opened.epoch, opened.last_sequence};
    return nexus::OkStatus();
  });
}

// ---- Reading.

int32_t nexus_select(nexus_db* db, const nexus_query* query, nexus_cursor** cursor,
                     nexus_error* error) {
  return OpenCursor(query, cursor, error, [&](const nexus_query&, nexus::SelectQuery select) {
    return db->database->Select(select);
  });
}

int32_t nexus_latest(nexus_db* db, const nexus_query* query, nexus_cursor** cursor,
                     nexus_error* error) {
  return OpenCursor(query, cursor, error, [&](const nexus_query&, nexus::SelectQuery select) {
    return db->database->Latest(select);
  });
}

int32_t nexus_aggregate(nexus_db* db, const nexus_query* query, nexus_cursor** cursor,
                        nexus_error* error) {
  return OpenCursor(query, cursor, error,
                    [&](const nexus_query& full,
                        nexus::SelectQuery select) -> StatusOr<std::unique_ptr<nexus::Cursor>> {
                      NEXUS_ASSIGN_OR_RETURN(nexus::AggregateQuery aggregate,
                                             AggregateOf(full, std::move(select)));
                      return db->database->Aggregate(aggregate);
                    });
}

int32_t nexus_cursor_next(nexus_cursor* cursor, nexus_chunk* chunk, nexus_error* error) {
  bool more = false;
  int32_t code = Guarded(error, [&]() -> Status {
    nexus::SeriesChunk next;
    NEXUS_ASSIGN_OR_RETURN(more, cursor->cursor->Next(&next));
    if (!more) return nexus::OkStatus();
    cursor->labels.clear();
    for (const nexus::Label& label : *next.labels) {
      cursor->labels.push_back({TextOf(label.name), TextOf(label.value)});
    }
    *chunk = {TextOf(next.metric),   cursor->labels.data(),  cursor->labels.size(),
              next.series_index,     next.timestamps.data(), next.values.data(),
              next.timestamps.size()};
    return nexus::OkStatus();
  });
  if (code != NEXUS_OK) return -1;
  return more ? 1 : 0;
}

void nexus_cursor_cancel(nexus_cursor* cursor) { cursor->cancelled.store(true); }

void nexus_cursor_statistics(const nexus_cursor* cursor, nexus_query_statistics* statistics) {
  const nexus::QueryStatistics& done = cursor->cursor->statistics();
  *statistics = {done.series, done.samples,  done.chunks_decoded, done.chunks_by_statistics,
                 done.layers, done.memtables};
}

void nexus_cursor_free(nexus_cursor* cursor) { delete cursor; }

int32_t nexus_latest_sample(nexus_db* db, uint64_t series, nexus_text tenant, int64_t* timestamp,
                            double* value, nexus_error* error) {
  bool found = false;
  int32_t code = Guarded(error, [&]() -> Status {
    NEXUS_ASSIGN_OR_RETURN(std::optional<nexus::Sample> sample,
                           db->database->Latest(nexus::SeriesId{series}, TenantOf(tenant)));
    found = sample.has_value();
    if (!found) return nexus::OkStatus();
    *timestamp = sample->timestamp;
    *value = sample->value;
    return nexus::OkStatus();
  });
  if (code != NEXUS_OK) return -1;
  return found ? 1 : 0;
}

// ---- What there is.

int32_t nexus_label_values(nexus_db* db, nexus_text label, nexus_text selector, nexus_text tenant,
                           nexus_list** list, nexus_error* error) {
  *list = nullptr;
  return Guarded(error, [&] {
    nexus::Database* database = db->database.get();
    if (label.size == 0) {
      return GiveList(database->LabelNames(ViewOf(selector), TenantOf(tenant)), list);
    }
    return GiveList(database->LabelValues(ViewOf(label), ViewOf(selector), TenantOf(tenant)), list);
  });
}

int32_t nexus_create_tenant(nexus_db* db, nexus_text name, nexus_error* error) {
  return Guarded(error, [&] { return db->database->CreateTenant(ViewOf(name)); });
}

int32_t nexus_tenants(nexus_db* db, nexus_list** list, nexus_error* error) {
  *list = nullptr;
  return Guarded(error, [&] { return GiveList(db->database->Tenants(), list); });
}

int32_t nexus_stats(nexus_db* db, nexus_list** list, nexus_error* error) {
  *list = nullptr;
  return Guarded(error, [&]() -> Status {
    NEXUS_ASSIGN_OR_RETURN(nexus::Stats stats, db->database->GetStats());
    return GiveList(std::vector<std::string>{nexus::engine::ToJson(stats)}, list);
  });
}

int32_t nexus_recovery(nexus_db* db, nexus_list** list, nexus_error* error) {
  *list = nullptr;
  return Guarded(error, [&] {
    std::string report = nexus::engine::ToJson(db->database->recovery());
    return GiveList(std::vector<std::string>{std::move(report)}, list);
  });
}

size_t nexus_list_size(const nexus_list* list) { return list->texts.size(); }

nexus_text nexus_list_get(const nexus_list* list, size_t index) {
  return TextOf(list->texts[index]);
}

void nexus_list_free(nexus_list* list) { delete list; }
