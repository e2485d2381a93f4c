// The C face of the client. See nexus_client.h.
//
// Libraries below may throw for want of memory; that ends the program, as it would in C++ callers
// of client.h. Nothing else throws.

#include "client/nexus_client.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/client.h"

using nexus::Status;
using nexus::StatusOr;
using nexus::client::Client;
using nexus::client::Scope;
using nexus::client::WriteOutcome;

struct nexus_client {
  std::unique_ptr<Client> client;
};
struct nexus_client_batch {
  nexus::client::WriteBatch batch;
  std::vector<nexus::SeriesId> row;
};
struct nexus_client_cursor {
  std::unique_ptr<nexus::client::Cursor> cursor;
  std::vector<nexus_client_label> labels;
};
struct nexus_client_list {
  std::vector<std::string> texts;
};

namespace {

constexpr int64_t kConnectTimeoutMs = 5'000;
constexpr int64_t kCallTimeoutMs = 60'000;

std::string_view ViewOf(nexus_client_text text) {
  return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}
nexus_client_text TextOf(std::string_view text) { return {text.data(), text.size()}; }

int32_t Fill(const Status& status, nexus_client_error* error) {
  const auto code = static_cast<int32_t>(status.code());
  if (error == nullptr) return code;
  error->code = code;
  std::string_view message = nexus::FromAbsl(status.message());
  size_t size = std::min(message.size(), sizeof(error->message) - 1);
  if (size > 0) std::memcpy(error->message, message.data(), size);
  error->message[size] = '\0';
  return code;
}

Scope ScopeOf(const nexus_client_scope* given) {
  Scope scope;
  if (given == nullptr) return scope;
  if (given->tenant.size > 0) scope.tenant = ViewOf(given->tenant);
  if (given->branch.size > 0) scope.branch = ViewOf(given->branch);
  scope.timeout_ms = given->timeout_ms > 0 ? given->timeout_ms : kCallTimeoutMs;
  return scope;
}

// Of a call that is the whole server's; 0: 60 s.
Scope ScopeWithin(int64_t timeout_ms) {
  Scope scope;
  if (timeout_ms > 0) scope.timeout_ms = timeout_ms;
  return scope;
}

nexus::client::AppendOptions OptionsOf(int32_t ack, const nexus_client_scope* scope) {
  nexus::client::AppendOptions options;
  options.ack =
      ack == NEXUS_CLIENT_BUFFERED ? nexus::client::Ack::kBuffered : nexus::client::Ack::kDurable;
  options.scope = ScopeOf(scope);
  return options;
}

nexus_client_outcome OutcomeOf(const WriteOutcome& outcome) {
  nexus_client_outcome result = {};
  result.end_lsn = outcome.end.value;
  result.accepted = outcome.accepted;
  for (const auto& range : outcome.rejected) result.rejected += range.count;
  result.duplicate = outcome.duplicate ? 1 : 0;
  return result;
}

nexus::client::WriteBatch Take(nexus_client_batch* batch) {
  return std::exchange(batch->batch, nexus::client::WriteBatch());
}

int32_t ChangeTenant(nexus_client* client, nexus::protocol::TenantAction action,
                     nexus_client_text name, int64_t timeout_ms, nexus_client_error* error) {
  nexus::protocol::Tenants change;
  change.action = action;
  change.name = ViewOf(name);
  return Fill(client->client->ChangeTenant(change, ScopeWithin(timeout_ms)), error);
}

}  // namespace

int32_t nexus_client_connect(nexus_client_text address, int64_t timeout_ms, nexus_client** client,
                             nexus_client_error* error) {
  nexus::client::ClientOptions options;
  options.address = ViewOf(address);
  options.connect_timeout_ms = timeout_ms > 0 ? timeout_ms : kConnectTimeoutMs;
  StatusOr<std::unique_ptr<Client>> connected = Client::Connect(std::move(options));
  const int32_t code = Fill(connected.status(), error);
  *client = connected.ok() ? new nexus_client{*std::move(connected)} : nullptr;
  return code;
}

void nexus_client_close(nexus_client* client) { delete client; }

int32_t nexus_client_ping(nexus_client* client, int64_t timeout_ms, nexus_client_error* error) {
  return Fill(client->client->Ping(timeout_ms > 0 ? timeout_ms : kConnectTimeoutMs), error);
}

// ---- Writing.

int32_t nexus_client_series(nexus_client* client, nexus_client_text tenant,
                            nexus_client_text metric, const nexus_client_label* labels,
                            size_t label_count, uint64_t* series, nexus_client_error* error) {
  std::vector<nexus::Label> given;
  for (size_t i = 0; i < label_count; i++) {
    given.push_back({std::string(ViewOf(labels[i].name)), std::string(ViewOf(labels[i].value))});
  }
  std::string_view owner = tenant.size > 0 ? ViewOf(tenant) : "default";
  StatusOr<nexus::SeriesId> id =
      client->client->Series(std::string(ViewOf(metric)), std::move(given), owner);
  *series = id.ok() ? id->value : 0;
  return Fill(id.status(), error);
}

nexus_client_batch* nexus_client_batch_new(void) { return new nexus_client_batch; }
void nexus_client_batch_free(nexus_client_batch* batch) { delete batch; }

void nexus_client_batch_add(nexus_client_batch* batch, uint64_t series, int64_t timestamp,
                            double value) {
  batch->batch.Add({series}, timestamp, value);
}

void nexus_client_batch_add_row(nexus_client_batch* batch, int64_t timestamp,
                                const uint64_t* series, const double* values, size_t count) {
  if (count == 0) return;
  batch->row.clear();
  for (size_t i = 0; i < count; i++) batch->row.push_back({series[i]});
  batch->batch.AddRow(timestamp, batch->row, {values, count});
}

void nexus_client_batch_add_series(nexus_client_batch* batch, uint64_t series,
                                   const int64_t* timestamps, const double* values, size_t count) {
  if (count == 0) return;
  batch->batch.AddSeries({series}, {timestamps, count}, {values, count});
}

uint64_t nexus_client_batch_samples(const nexus_client_batch* batch) {
  return batch->batch.samples();
}

int32_t nexus_client_append(nexus_client* client, nexus_client_batch* batch, int32_t ack,
                            const nexus_client_scope* scope, nexus_client_outcome* outcome,
                            nexus_client_error* error) {
  StatusOr<WriteOutcome> answered = client->client->Append(Take(batch), OptionsOf(ack, scope));
  if (outcome != nullptr) {
    *outcome = answered.ok() ? OutcomeOf(*answered) : nexus_client_outcome{};
  }
  return Fill(answered.status(), error);
}

void nexus_client_append_async(nexus_client* client, nexus_client_batch* batch, int32_t ack,
                               const nexus_client_scope* scope, nexus_client_appended done,
                               void* context) {
  client->client->AppendAsync(Take(batch), OptionsOf(ack, scope),
                              [done, context](StatusOr<WriteOutcome> answered) {
                                if (answered.ok()) {
                                  nexus_client_outcome outcome = OutcomeOf(*answered);
                                  return done(context, &outcome, nullptr);
                                }
                                nexus_client_outcome nothing = {};
                                nexus_client_error error;
                                Fill(answered.status(), &error);
                                done(context, &nothing, &error);
                              });
}

void nexus_client_sync(nexus_client* client) { client->client->Sync(); }

int32_t nexus_client_flush(nexus_client* client, int64_t timeout_ms, nexus_client_error* error) {
  return Fill(client->client->Flush(ScopeWithin(timeout_ms)), error);
}

int32_t nexus_client_delete(nexus_client* client, const nexus_client_delete_request* request,
                            nexus_client_delete_result* result, nexus_client_error* error) {
  if (result != nullptr) *result = {};
  nexus::client::DeleteRequest asked;
  asked.selector = ViewOf(request->selector);
  asked.range = {request->first, request->last};
  asked.scope = ScopeOf(&request->scope);
  asked.dry_run = request->dry_run != 0;
  asked.everywhere = request->everywhere != 0;
  auto deleted = client->client->Delete(asked);
  if (deleted.ok() && result != nullptr) {
    *result = {deleted->series, deleted->samples, deleted->series_with_samples};
  }
  return Fill(deleted.status(), error);
}

// ---- Branches and snapshots.

int32_t nexus_client_create_branch(nexus_client* client, nexus_client_text name, int32_t kind,
                                   const nexus_client_scope* scope, nexus_client_error* error) {
  // An unknown kind is the server's to refuse.
  return Fill(client->client->CreateBranch(
                  ViewOf(name), static_cast<nexus::protocol::BranchKind>(kind), ScopeOf(scope)),
              error);
}

int32_t nexus_client_delete_branch(nexus_client* client, nexus_client_text name, int32_t kind,
                                   const nexus_client_scope* scope, nexus_client_error* error) {
  return Fill(client->client->DeleteBranch(
                  ViewOf(name), static_cast<nexus::protocol::BranchKind>(kind), ScopeOf(scope)),
              error);
}

int32_t nexus_client_branches(nexus_client* client, const nexus_client_scope* scope,
                              nexus_client_list** list, nexus_client_error* error) {
  *list = nullptr;
  StatusOr<std::vector<nexus::protocol::BranchEntry>> branches =
      client->client->Branches(ScopeOf(scope));
  if (branches.ok()) {
    *list = new nexus_client_list;
    for (const nexus::protocol::BranchEntry& branch : *branches) {
      const bool is_snapshot = branch.kind == nexus::protocol::BranchKind::kSnapshot;
      const nexus::protocol::Stat members[] = {
          {"name", branch.name},
          {"kind", std::string(is_snapshot ? "snapshot" : "branch")},
          {"parent", branch.parent},
          {"created_ns", static_cast<uint64_t>(branch.created_ns)},
          {"created_lsn", branch.created.value},
          {"layers", branch.layers},
          {"layer_bytes", branch.layer_bytes},
          {"own_bytes", branch.own_bytes}};
      (*list)->texts.push_back(nexus::client::ToJson(members));
    }
  }
  return Fill(branches.status(), error);
}

// ---- Tenants.

int32_t nexus_client_create_tenant(nexus_client* client, nexus_client_text name, int64_t timeout_ms,
                                   nexus_client_error* error) {
  return ChangeTenant(client, nexus::protocol::TenantAction::kCreate, name, timeout_ms, error);
}

int32_t nexus_client_delete_tenant(nexus_client* client, nexus_client_text name, int64_t timeout_ms,
                                   nexus_client_error* error) {
  return ChangeTenant(client, nexus::protocol::TenantAction::kDelete, name, timeout_ms, error);
}

int32_t nexus_client_set_quota(nexus_client* client, nexus_client_text tenant,
                               nexus_client_text quota, uint64_t value, int64_t timeout_ms,
                               nexus_client_error* error) {
  const Scope scope = ScopeWithin(timeout_ms);
  nexus::protocol::Tenants change;
  change.action = nexus::protocol::TenantAction::kSet;
  change.name = ViewOf(tenant);
  const auto& names = nexus::protocol::kQuotaNames;
  const auto* found = std::find(names.begin(), names.end(), ViewOf(quota));
  if (found == names.end()) {
    return Fill(nexus::InvalidArgument("\"{}\" is no quota", ViewOf(quota)), error);
  }
  change.quotas[static_cast<size_t>(found - names.begin())] = value;
  return Fill(client->client->ChangeTenant(change, scope), error);
}

int32_t nexus_client_tenants(nexus_client* client, int64_t timeout_ms, nexus_client_list** list,
                             nexus_client_error* error) {
  *list = nullptr;
  StatusOr<std::vector<nexus::protocol::TenantEntry>> tenants =
      client->client->Tenants(ScopeWithin(timeout_ms));
  if (tenants.ok()) {
    *list = new nexus_client_list;
    for (const nexus::protocol::TenantEntry& tenant : *tenants) {
      std::vector<nexus::protocol::Stat> members = {{"name", tenant.name},
                                                    {"series", tenant.series},
                                                    {"samples", tenant.samples},
                                                    {"layers", tenant.layers},
                                                    {"layer_bytes", tenant.layer_bytes},
                                                    {"memory_bytes", tenant.memory_bytes},
                                                    {"queries", tenant.queries},
                                                    {"refused", tenant.refused},
                                                    {"tombstones", tenant.tombstones}};
      for (size_t i = 0; i < tenant.quotas.size(); i++) {
        if (tenant.quotas[i] == nexus::protocol::kNoQuota) continue;
        members.push_back({std::string(nexus::protocol::kQuotaNames[i]), tenant.quotas[i]});
      }
      (*list)->texts.push_back(nexus::client::ToJson(members));
    }
  }
  return Fill(tenants.status(), error);
}

// ---- Retention.

int32_t nexus_client_retention(nexus_client* client, const nexus_client_scope* scope,
                               nexus_client_list** list, nexus_client_error* error) {
  *list = nullptr;
  StatusOr<nexus::protocol::RetentionList> known = client->client->Retention(ScopeOf(scope));
  if (known.ok()) {
    *list = new nexus_client_list;
    const nexus::protocol::Stat clock[] = {
        {"clock_runs", uint64_t{known->clock_runs}},
        {"clock_waits", uint64_t{known->clock_waits}},
        {"clock_ns", static_cast<uint64_t>(known->clock_ns)},
        {"wall_ns", static_cast<uint64_t>(known->wall_ns)},
        {"head_window_ns", static_cast<uint64_t>(known->head_window_ns)}};
    (*list)->texts.push_back(nexus::client::ToJson(clock));
    for (const nexus::protocol::RetentionRule& rule : known->rules) {
      const nexus::protocol::Stat members[] = {
          {"selector", rule.selector}, {"duration_ns", static_cast<uint64_t>(rule.duration_ns)}};
      (*list)->texts.push_back(nexus::client::ToJson(members));
    }
  }
  return Fill(known.status(), error);
}

int32_t nexus_client_set_retention(nexus_client* client, const nexus_client_retention_rule* rules,
                                   size_t count, const nexus_client_scope* scope,
                                   nexus_client_error* error) {
  std::vector<nexus::protocol::RetentionRule> given;
  for (size_t i = 0; i < count; i++) {
    given.push_back({std::string(ViewOf(rules[i].selector)), rules[i].duration_ns});
  }
  return Fill(client->client->SetRetention(given, ScopeOf(scope)), error);
}

int32_t nexus_client_accept_retention_clock(nexus_client* client, const nexus_client_scope* scope,
                                            nexus_client_error* error) {
  return Fill(client->client->AcceptRetentionClock(ScopeOf(scope)), error);
}

// ---- Reading.

int32_t nexus_client_query_open(nexus_client* client, const nexus_client_query* query,
                                nexus_client_cursor** cursor, nexus_client_error* error) {
  *cursor = nullptr;
  nexus::client::SelectQuery select;
  select.selector = ViewOf(query->selector);
  select.range = {query->first, query->last};
  select.scope = ScopeOf(&query->scope);
  select.as_of = ViewOf(query->as_of);
  StatusOr<std::unique_ptr<nexus::client::Cursor>> opened =
      nexus::InvalidArgument("kind {} of a query is unknown", query->kind);
  if (query->kind == NEXUS_CLIENT_SELECT) opened = client->client->Select(select);
  if (query->kind == NEXUS_CLIENT_LATEST) opened = client->client->Latest(select);
  if (query->kind == NEXUS_CLIENT_AGGREGATE) {
    nexus::client::Aggregate aggregate;
    // An unknown function is the server's to refuse.
    aggregate.function = static_cast<nexus::protocol::Function>(query->function);
    aggregate.percentile = query->percentile;
    aggregate.step_ns = query->step_ns;
    aggregate.grouped = query->grouped != 0;
    for (size_t i = 0; i < query->by_count; i++) aggregate.by.emplace_back(ViewOf(query->by[i]));
    opened = client->client->SelectAggregate(select, aggregate);
  }
  const int32_t code = Fill(opened.status(), error);
  if (opened.ok()) *cursor = new nexus_client_cursor{*std::move(opened), {}};
  return code;
}

int32_t nexus_client_cursor_next(nexus_client_cursor* cursor, nexus_client_chunk* chunk,
                                 nexus_client_error* error) {
  nexus::client::SeriesChunk next;
  StatusOr<bool> more = cursor->cursor->Next(&next);
  Fill(more.status(), error);
  if (!more.ok()) return -1;
  if (!*more) return 0;
  cursor->labels.clear();
  for (const nexus::Label& label : *next.labels) {
    cursor->labels.push_back({TextOf(label.name), TextOf(label.value)});
  }
  chunk->metric = TextOf(next.metric);
  chunk->labels = cursor->labels.data();
  chunk->label_count = cursor->labels.size();
  chunk->series_index = next.series_index;
  chunk->timestamps = next.timestamps.data();
  chunk->values = next.values.data();
  chunk->count = next.values.size();
  return 1;
}

void nexus_client_cursor_free(nexus_client_cursor* cursor) { delete cursor; }

int32_t nexus_client_label_values(nexus_client* client, nexus_client_text label,
                                  nexus_client_text selector, const nexus_client_scope* scope,
                                  nexus_client_list** list, nexus_client_error* error) {
  StatusOr<std::vector<std::string>> values =
      client->client->LabelValues(ViewOf(label), ViewOf(selector), ScopeOf(scope));
  const int32_t code = Fill(values.status(), error);
  *list = values.ok() ? new nexus_client_list{*std::move(values)} : nullptr;
  return code;
}

int32_t nexus_client_stats(nexus_client* client, nexus_client_list** list,
                           nexus_client_error* error) {
  StatusOr<std::vector<nexus::protocol::Stat>> stats = client->client->GetStats();
  *list = stats.ok() ? new nexus_client_list{{nexus::client::ToJson(*stats)}} : nullptr;
  return Fill(stats.status(), error);
}

size_t nexus_client_list_size(const nexus_client_list* list) { return list->texts.size(); }

nexus_client_text nexus_client_list_get(const nexus_client_list* list, size_t index) {
  return TextOf(list->texts[index]);
}

void nexus_client_list_free(nexus_client_list* list) { delete list; }
