// The page of GET /metrics. See metrics.h.

#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace nexus::server {
namespace {

// What a label value or a help text may not hold as it is.
std::string Escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '"') {
      out += "\\\"";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

// name="value", to stand in braces.
std::string LabelText(std::string_view name, std::string_view value) {
  return fmt::format("{}=\"{}\"", name, Escaped(value));
}

// Families one after the other: what a metric is, then its samples.
class Page {
 public:
  void Family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name,
                   type);
  }
  // A sample of the present family. Integers stay exact, floats have the digits that they need.
  template <typename Number>
  void Sample(std::string_view labels, Number value) {
    if (labels.empty()) {
      fmt::format_to(std::back_inserter(text_), "{} {}\n", name_, value);
    } else {
      fmt::format_to(std::back_inserter(text_), "{}{{{}}} {}\n", name_, labels, value);
    }
  }
  template <typename Number>
  void Gauge(std::string_view name, std::string_view help, Number value) {
    Family(name, "gauge", help);
    Sample({}, value);
  }
  template <typename Number>
  void Counter(std::string_view name, std::string_view help, Number value) {
    Family(name, "counter", help);
    Sample({}, value);
  }
  std::string* text() { return &text_; }

 private:
  std::string_view name_;
  std::string text_;
};

void AddServer(const Metrics& metrics, Page* page) {
  page->Gauge("nexus_connections_active", "Connections that are open now.",
              metrics.connections_active);
  page->Counter("nexus_connections_total", "Connections accepted.", metrics.connections_total);
  page->Counter("nexus_connections_refused_total", "Connections closed at once: too many.",
                metrics.connections_refused);
  page->Counter("nexus_metrics_received_total", "Samples accepted and acknowledged.",
                metrics.samples_received);
  page->Counter("nexus_received_bytes_total", "Bytes received from clients.",
                metrics.bytes_received);
  page->Counter("nexus_sent_bytes_total", "Bytes sent to clients.", metrics.bytes_sent);
  page->Family("nexus_request_duration_seconds", "histogram",
               "From a request's last byte to its answer.");
  for (const auto& [request, durations] : metrics.request_seconds) {
    durations.AppendText("nexus_request_duration_seconds", LabelText("request", request),
                         page->text());
  }
  page->Family("nexus_parse_errors_total", "counter",
               "Lines, frames and requests that could not be read.");
  for (const auto& [reason, count] : metrics.parse_errors) {
    page->Sample(LabelText("reason", reason), count);
  }
}

void AddProcess(const Stats& stats, const ProcessFigures& process, Page* page) {
  page->Family("nexus_memory_usage_bytes", "gauge", "Memory by its use; resident is all of it.");
  page->Sample(LabelText("type", "memtable"), stats.memtable_bytes);
  page->Sample(LabelText("type", "page_cache"), process.page_cache_bytes);
  page->Sample(LabelText("type", "layer_metadata"), stats.layer_metadata_bytes);
  page->Sample(LabelText("type", "series_index"), process.series_index_bytes);
  page->Sample(LabelText("type", "resident"), process.resident_bytes);
  page->Gauge("nexus_cpu_usage_ratio", "CPU time over wall time since the start; 1 is one core.",
              process.uptime_seconds > 0 ? process.cpu_seconds / process.uptime_seconds : 0.0);
  page->Counter("nexus_cpu_seconds_total", "CPU time of all threads.", process.cpu_seconds);
  page->Gauge("nexus_uptime_seconds", "Time since the start.", process.uptime_seconds);
  page->Family("nexus_build_info", "gauge", "Always 1.");
  page->Sample(LabelText("version", Version()) + "," + LabelText("io_backend", stats.io_backend),
               1);
}

void AddLog(const Stats& stats, Page* page) {
  page->Gauge("nexus_wal_bytes", "Log segments on disk.", stats.wal_bytes);
  page->Counter("nexus_wal_rounds_total", "Flushes of the log to stable storage.",
                stats.log_rounds);
  page->Gauge("nexus_durable_lsn", "Everything below this log position is on stable storage.",
              stats.durable_lsn.value);
  page->Gauge("nexus_applied_lsn", "Everything below this log position can be queried.",
              stats.applied_lsn.value);
  page->Gauge("nexus_writable", "1 if writes are taken, 0 if they are refused.",
              stats.write_state == "ok" ? 1 : 0);
  page->Counter("nexus_appended_batches_total", "Batches applied since the start.",
                stats.appended_batches);
  page->Counter("nexus_appended_samples_total", "Samples applied since the start.",
                stats.appended_samples);
}

void AddStorage(const Stats& stats, Page* page) {
  page->Gauge("nexus_series", "Series known.", stats.series);
  page->Gauge("nexus_samples", "Samples in layers and memtables.", stats.samples);
  page->Gauge("nexus_memtable_samples", "Samples that are in no layer yet.",
              stats.memtable_samples);
  page->Counter("nexus_flushes_total", "Memtables written to layers.", stats.flushes);
  page->Counter("nexus_carries_total", "Small memtables written to the log again.", stats.carries);
  page->Counter("nexus_carried_bytes_total", "Bytes of the log that carries took.",
                stats.carried_bytes);
  page->Gauge("nexus_layers", "Live layer files.", stats.layers);
  page->Gauge("nexus_layer_files_open", "Files of layers that are open.", stats.layer_files_open);
  page->Gauge("nexus_layer_bytes", "Bytes of live layer files.", stats.layer_bytes);
  page->Gauge("nexus_layer_samples", "Samples in layers.", stats.layer_samples);
  page->Gauge("nexus_tombstones", "Deletes that compactions have yet to carry out.",
              stats.tombstones);
  page->Counter("nexus_series_forgotten_total",
                "Series forgotten since the start, for want of samples.", stats.series_forgotten);
  page->Counter("nexus_layers_expired_total", "Layers dropped whole by retention since the start.",
                stats.layers_expired);
  page->Counter("nexus_samples_expired_total",
                "Samples rejected since the start, because no retention keeps what is so old.",
                stats.samples_expired);
  page->Gauge(
      "nexus_retention_waits_seconds",
      "How far the wall clock is ahead of the retention clock, if that waits to be accepted.",
      stats.retention_waits_seconds);
  page->Gauge("nexus_catalog_bytes", "Catalog pages in use.", stats.catalog_bytes);
  page->Gauge("nexus_catalog_lsn", "The catalog holds everything below this log position.",
              stats.catalog_lsn.value);
  page->Gauge("nexus_bytes_per_sample", "Layers and catalog over samples.", stats.bytes_per_sample);
  page->Gauge("nexus_open_count", "How often the database was opened.", stats.open_count);
}

// At most `most` of them: those with the most bytes, and the sum of the others.
void KeepLargest(size_t most, std::vector<TenantInfo>* tenants) {
  if (tenants->size() <= most) return;
  std::stable_sort(tenants->begin(), tenants->end(),
                   [](const TenantInfo& a, const TenantInfo& b) { return a.bytes() > b.bytes(); });
  TenantInfo others;
  others.name = "(others)";
  for (auto tenant = tenants->begin() + static_cast<std::ptrdiff_t>(most); tenant != tenants->end();
       ++tenant) {
    others.series += tenant->series;
    others.samples += tenant->samples;
    others.layer_bytes += tenant->layer_bytes;
    others.memory_bytes += tenant->memory_bytes;
    others.queries += tenant->queries;
    others.refused += tenant->refused;
    others.tombstones += tenant->tombstones;
  }
  tenants->resize(most);
  tenants->push_back(std::move(others));
}

void AddTenants(std::vector<TenantInfo> tenants, Page* page) {
  KeepLargest(kTenantsShown, &tenants);
  auto family = [&](std::string_view name, std::string_view type, std::string_view help,
                    auto figure) {
    page->Family(name, type, help);
    for (const TenantInfo& tenant : tenants) {
      page->Sample(LabelText("tenant", tenant.name), figure(tenant));
    }
  };
  family("nexus_tenant_series", "gauge", "Series of the tenant.",
         [](const TenantInfo& tenant) { return tenant.series; });
  family("nexus_tenant_samples", "gauge", "Samples of the tenant in layers and memtables.",
         [](const TenantInfo& tenant) { return tenant.samples; });
  family("nexus_tenant_bytes", "gauge", "Bytes of the tenant's layers and memtables.",
         [](const TenantInfo& tenant) { return tenant.bytes(); });
  family("nexus_tenant_queries", "gauge", "Queries of the tenant that are open.",
         [](const TenantInfo& tenant) { return tenant.queries; });
  family("nexus_tenant_tombstones", "gauge",
         "Deletes of the tenant that compactions have yet to carry out.",
         [](const TenantInfo& tenant) { return tenant.tombstones; });
  family("nexus_tenant_refused_total", "counter",
         "Appends, new series and queries of the tenant refused for a quota.",
         [](const TenantInfo& tenant) { return tenant.refused; });
}

}  // namespace

void DurationHistogram::Add(int64_t nanoseconds) {
  const double seconds = static_cast<double>(nanoseconds) * 1e-9;
  auto bucket = std::lower_bound(kBounds.begin(), kBounds.end(), seconds) - kBounds.begin();
  counts_[static_cast<size_t>(bucket)]++;
  sum_seconds_ += seconds;
}

void DurationHistogram::AppendText(std::string_view name, std::string_view labels,
                                   std::string* out) const {
  const std::string_view comma = labels.empty() ? "" : ",";
  uint64_t count = 0;
  for (size_t i = 0; i < counts_.size(); i++) {
    count += counts_[i];
    std::string bound = i < kBounds.size() ? fmt::format("{}", kBounds[i]) : "+Inf";
    fmt::format_to(std::back_inserter(*out), "{}_bucket{{{}{}le=\"{}\"}} {}\n", name, labels, comma,
                   bound, count);
  }
  const std::string braces = labels.empty() ? "" : fmt::format("{{{}}}", labels);
  fmt::format_to(std::back_inserter(*out), "{}_sum{} {}\n{}_count{} {}\n", name, braces,
                 sum_seconds_, name, braces, count);
}

void Metrics::CountRequest(std::string_view request, int64_t nanoseconds) {
  auto at = request_seconds.find(request);
  if (at == request_seconds.end()) at = request_seconds.emplace(request, DurationHistogram()).first;
  at->second.Add(nanoseconds);
}

void Metrics::CountParseError(std::string_view reason) {
  auto at = parse_errors.find(reason);
  if (at == parse_errors.end()) at = parse_errors.emplace(reason, 0).first;
  at->second++;
}

std::string RenderMetrics(const Metrics& metrics, const Stats& stats, const ProcessFigures& process,
                          std::vector<TenantInfo> tenants) {
  Page page;
  AddServer(metrics, &page);
  AddProcess(stats, process, &page);
  AddLog(stats, &page);
  AddStorage(stats, &page);
  AddTenants(std::move(tenants), &page);
  return std::move(*page.text());
}

}  // namespace nexus::server
