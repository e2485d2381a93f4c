// JSON objects, member by member. See nexus_c_json.h.

#include "engine/nexus_c_json.h"

#include <fmt/format.h>

#include <string_view>
#include <vector>

namespace nexus::engine {
namespace {

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

class JsonObject {
 public:
  void Add(std::string_view name, int64_t value) { AddText(name, fmt::format("{}", value)); }
  void Add(std::string_view name, uint64_t value) { AddText(name, fmt::format("{}", value)); }
  void Add(std::string_view name, double value) { AddText(name, fmt::format("{}", value)); }
  void Add(std::string_view name, Lsn value) { Add(name, value.value); }
  void Add(std::string_view name, bool value) { AddText(name, value ? "true" : "false"); }
  void Add(std::string_view name, const std::string& value) { AddText(name, Quoted(value)); }
  void Add(std::string_view name, const std::vector<std::string>& values) {
    std::string text = "[";
    for (const std::string& value : values) {
      if (text.size() > 1) text += ',';
      text += Quoted(value);
    }
    AddText(name, text + ']');
  }
  std::string Take() { return std::move(text_) + '}'; }

 private:
  void AddText(std::string_view name, std::string_view value) {
    if (text_.size() > 1) text_ += ',';
    text_ += fmt::format("\"{}\":{}", name, value);
  }

  std::string text_ = "{";
};

}  // namespace

std::string ToJson(const Stats& stats) {
  JsonObject json;
  json.Add("series", stats.series);
  json.Add("samples", stats.samples);
  json.Add("layers", stats.layers);
  json.Add("layer_bytes", stats.layer_bytes);
  json.Add("layer_samples", stats.layer_samples);
  json.Add("memtable_samples", stats.memtable_samples);
  json.Add("memtable_bytes", stats.memtable_bytes);
  json.Add("wal_bytes", stats.wal_bytes);
  json.Add("wal_live_bytes", stats.wal_live_bytes);
  json.Add("catalog_bytes", stats.catalog_bytes);
  json.Add("bytes_per_sample", stats.bytes_per_sample);
  json.Add("durable_lsn", stats.durable_lsn);
  json.Add("applied_lsn", stats.applied_lsn);
  json.Add("catalog_lsn", stats.catalog_lsn);
  json.Add("open_count", stats.open_count);
  json.Add("appended_batches", stats.appended_batches);
  json.Add("appended_samples", stats.appended_samples);
  json.Add("log_rounds", stats.log_rounds);
  json.Add("flushes", stats.flushes);
  json.Add("carries", stats.carries);
  json.Add("carried_bytes", stats.carried_bytes);
  json.Add("tombstones", stats.tombstones);
  json.Add("series_forgotten", stats.series_forgotten);
  json.Add("layers_expired", stats.layers_expired);
  json.Add("samples_expired", stats.samples_expired);
  json.Add("rollup_layers", stats.rollup_layers);
  json.Add("rollup_bytes", stats.rollup_bytes);
  json.Add("retention_clock", stats.retention_clock);
  json.Add("retention_waits_seconds", stats.retention_waits_seconds);
  json.Add("io_backend", stats.io_backend);
  json.Add("io_fallback", stats.io_fallback);
  json.Add("write_state", stats.write_state);
  return json.Take();
}

std::string ToJson(const BranchInfo& branch) {
  const bool is_snapshot = branch.kind == BranchKind::kSnapshot;
  JsonObject json;
  json.Add("name", branch.name);
  json.Add("kind", std::string(is_snapshot ? "snapshot" : "branch"));
  json.Add("parent", branch.parent);
  json.Add("created_ns", branch.created_ns);
  json.Add("created_lsn", branch.created);
  json.Add("layers", branch.layers);
  json.Add("layer_bytes", branch.layer_bytes);
  json.Add("own_bytes", branch.own_bytes);
  return json.Take();
}

std::string ToJson(const TenantInfo& tenant) {
  JsonObject json;
  json.Add("name", tenant.name);
  json.Add("series", tenant.series);
  json.Add("samples", tenant.samples);
  json.Add("layers", tenant.layers);
  json.Add("layer_bytes", tenant.layer_bytes);
  json.Add("memory_bytes", tenant.memory_bytes);
  json.Add("queries", tenant.queries);
  json.Add("refused", tenant.refused);
  json.Add("tombstones", tenant.tombstones);
  VisitQuotas(tenant.quotas, [&](std::string_view name, uint64_t quota) {
    if (quota != kNoQuota) json.Add(name, quota);
  });
  return json.Take();
}

std::vector<std::string> ToJsonTexts(const RetentionInfo& info) {
  JsonObject clock;
  clock.Add("head_window_ns", info.head_window_ns);
  clock.Add("clock_runs", info.clock_runs);
  clock.Add("clock_ns", info.clock_ns);
  clock.Add("wall_ns", info.wall_ns);
  clock.Add("clock_waits", info.clock_waits);
  std::vector<std::string> texts = {clock.Take()};
  for (const RetentionRule& rule : info.rules) {
    JsonObject json;
    json.Add("selector", rule.selector);
    json.Add("duration_ns", rule.duration_ns);
    texts.push_back(json.Take());
  }
  return texts;
}

std::string ToJson(const RollupRule& rule) {
  JsonObject json;
  json.Add("resolution_ns", rule.resolution_ns);
  json.Add("keep_ns", rule.keep_ns);
  return json.Take();
}

std::string ToJson(const RecoveryReport& report) {
  JsonObject json;
  json.Add("created", report.created);
  json.Add("replayed_records", report.replayed_records);
  json.Add("replayed_batches", report.replayed_batches);
  json.Add("replayed_samples", report.replayed_samples);
  json.Add("replayed_bytes", report.replayed_bytes);
  json.Add("torn_tail_bytes", report.torn_tail_bytes);
  json.Add("seconds", report.seconds);
  json.Add("damage", report.damage);
  json.Add("notes", report.notes);
  return json.Take();
}

}  // namespace nexus::engine
