// The C face of the embedded database but for queries. See nexus_c.h.
//
// Every call is a translation: C structs to those of engine/nexus.h, the call, its status to a
// code.

#include "engine/nexus_c.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/nexus.h"
#include "engine/nexus_c_edge.h"
#include "engine/nexus_c_json.h"

using nexus::Status;
using nexus::StatusOr;
using nexus::c_edge::BranchOf;
using nexus::c_edge::Fill;
using nexus::c_edge::Guarded;
using nexus::c_edge::NeverThrows;
using nexus::c_edge::ReadSized;
using nexus::c_edge::TenantOf;
using nexus::c_edge::TextOf;
using nexus::c_edge::ViewOf;

struct nexus_batch {
  nexus::WriteBatch batch;
  std::vector<nexus::SeriesId> row;
};

namespace {

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

nexus::ProgressCallback ProgressOf(nexus_progressed call, void* context) {
  if (call == nullptr) return {};
  return [call, context](const nexus::Progress& progress) {
    call(context, TextOf(progress.activity), progress.done, progress.total);
  };
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
  options.progress = ProgressOf(full.progress, full.progress_context);
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
  return {outcome.end.value, outcome.duplicate ? 1 : 0, outcome.expired};
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

int32_t nexus_delete(nexus_db* db, const nexus_delete_request* given, nexus_delete_result* result,
                     nexus_error* error) {
  if (result != nullptr) *result = {};
  return Guarded(error, [&]() -> Status {
    nexus_delete_request full = {};
    NEXUS_RETURN_IF_ERROR(ReadSized(given, "nexus_delete_request", &full));
    nexus::DeleteRequest request;
    request.selector = ViewOf(full.selector);
    request.range = {full.first, full.last};
    request.tenant = TenantOf(full.tenant);
    request.branch = BranchOf(full.branch);
    request.dry_run = full.dry_run != 0;
    request.everywhere = full.everywhere != 0;
    NEXUS_ASSIGN_OR_RETURN(nexus::DeleteResult done, db->database->Delete(request));
    if (result != nullptr) {
      *result = {done.series, done.samples, done.series_with_samples, done.frozen_left};
    }
    return nexus::OkStatus();
  });
}

int32_t nexus_backup(nexus_db* db, nexus_text destination, nexus_backup_result* result,
                     nexus_error* error) {
  if (result != nullptr) *result = {};
  return Guarded(error, [&]() -> Status {
    NEXUS_ASSIGN_OR_RETURN(nexus::BackupResult made, db->database->Backup(ViewOf(destination)));
    if (result != nullptr) {
      *result = {made.lsn.value,   made.layers,        made.layer_bytes,
                 made.placed.kept, made.placed.linked, made.placed.copied};
    }
    return nexus::OkStatus();
  });
}

int32_t nexus_restore(nexus_text source, nexus_text directory, nexus_backup_result* result,
                      nexus_error* error) {
  if (result != nullptr) *result = {};
  return Guarded(error, [&]() -> Status {
    nexus::RestoreOptions options;
    options.source = ViewOf(source);
    options.directory = ViewOf(directory);
    NEXUS_ASSIGN_OR_RETURN(nexus::RestoreResult made, nexus::Restore(options));
    if (result != nullptr) {
      *result = {made.lsn.value,   made.layers,        made.layer_bytes,
                 made.placed.kept, made.placed.linked, made.placed.copied};
    }
    return nexus::OkStatus();
  });
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

int32_t nexus_set_quota(nexus_db* db, nexus_text tenant, nexus_text quota, uint64_t value,
                        nexus_error* error) {
  return Guarded(error, [&]() -> Status {
    nexus::QuotaChanges changes;
    nexus::VisitQuotas(changes, [&](std::string_view name, std::optional<uint64_t>& change) {
      if (name == ViewOf(quota)) change = value;
    });
    if (changes == nexus::QuotaChanges()) {
      return nexus::InvalidArgument("\"{}\" is no quota", ViewOf(quota));
    }
    return db->database->SetTenant(TenantOf(tenant), changes);
  });
}

int32_t nexus_delete_tenant(nexus_db* db, nexus_text name, nexus_error* error) {
  return Guarded(error, [&] { return db->database->DeleteTenant(ViewOf(name)); });
}

int32_t nexus_describe_tenants(nexus_db* db, nexus_list** list, nexus_error* error) {
  *list = nullptr;
  return Guarded(error, [&]() -> Status {
    NEXUS_ASSIGN_OR_RETURN(std::vector<nexus::TenantInfo> tenants, db->database->DescribeTenants());
    std::vector<std::string> texts;
    for (const nexus::TenantInfo& tenant : tenants) texts.push_back(nexus::engine::ToJson(tenant));
    return GiveList(std::move(texts), list);
  });
}

namespace {

StatusOr<nexus::BranchKind> KindOf(int32_t kind) {
  if (kind == NEXUS_BRANCH) return nexus::BranchKind::kBranch;
  if (kind == NEXUS_SNAPSHOT) return nexus::BranchKind::kSnapshot;
  return nexus::InvalidArgument("kind {} is none of nexus_branch_kind", kind);
}

}  // namespace

int32_t nexus_create_branch(nexus_db* db, nexus_text name, int32_t kind, nexus_text from,
                            nexus_text tenant, nexus_error* error) {
  return Guarded(error, [&]() -> Status {
    NEXUS_ASSIGN_OR_RETURN(nexus::BranchKind made, KindOf(kind));
    return db->database->CreateBranch(ViewOf(name), made, BranchOf(from), TenantOf(tenant));
  });
}

int32_t nexus_delete_branch(nexus_db* db, nexus_text name, int32_t kind, nexus_text tenant,
                            nexus_error* error) {
  return Guarded(error, [&]() -> Status {
    NEXUS_ASSIGN_OR_RETURN(nexus::BranchKind deleted, KindOf(kind));
    return db->database->DeleteBranch(ViewOf(name), deleted, TenantOf(tenant));
  });
}

int32_t nexus_branches(nexus_db* db, nexus_text tenant, nexus_list** list, nexus_error* error) {
  *list = nullptr;
  return Guarded(error, [&]() -> Status {
    NEXUS_ASSIGN_OR_RETURN(std::vector<nexus::BranchInfo> branches,
                           db->database->Branches(TenantOf(tenant)));
    std::vector<std::string> texts;
    for (const nexus::BranchInfo& branch : branches) texts.push_back(nexus::engine::ToJson(branch));
    return GiveList(std::move(texts), list);
  });
}

int32_t nexus_retention(nexus_db* db, nexus_text tenant, nexus_list** list, nexus_error* error) {
  *list = nullptr;
  return Guarded(error, [&]() -> Status {
    NEXUS_ASSIGN_OR_RETURN(nexus::RetentionInfo info, db->database->Retention(TenantOf(tenant)));
    return GiveList(nexus::engine::ToJsonTexts(info), list);
  });
}

int32_t nexus_set_retention(nexus_db* db, const nexus_retention_rule* rules, size_t count,
                            nexus_text tenant, nexus_error* error) {
  return Guarded(error, [&]() -> Status {
    std::vector<nexus::RetentionRule> given;
    for (size_t i = 0; i < count; i++) {
      given.push_back({std::string(ViewOf(rules[i].selector)), rules[i].duration_ns});
    }
    return db->database->SetRetention(given, TenantOf(tenant));
  });
}

int32_t nexus_rollups(nexus_db* db, nexus_text tenant, nexus_list** list, nexus_error* error) {
  *list = nullptr;
  return Guarded(error, [&]() -> Status {
    NEXUS_ASSIGN_OR_RETURN(std::vector<nexus::RollupRule> rules,
                           db->database->Rollups(TenantOf(tenant)));
    std::vector<std::string> texts;
    for (const nexus::RollupRule& rule : rules) texts.push_back(nexus::engine::ToJson(rule));
    return GiveList(std::move(texts), list);
  });
}

int32_t nexus_set_rollups(nexus_db* db, const nexus_rollup_rule* rules, size_t count,
                          nexus_text tenant, nexus_error* error) {
  return Guarded(error, [&] {
    std::vector<nexus::RollupRule> given;
    for (size_t i = 0; i < count; i++) given.push_back({rules[i].resolution_ns, rules[i].keep_ns});
    return db->database->SetRollups(given, TenantOf(tenant));
  });
}

int32_t nexus_compact(nexus_db* db, nexus_progressed progress, void* context, nexus_error* error) {
  return Guarded(error, [&] { return db->database->Compact(ProgressOf(progress, context)); });
}

int32_t nexus_accept_retention_clock(nexus_db* db, nexus_error* error) {
  return Guarded(error, [&] { return db->database->AcceptRetentionClock(); });
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
