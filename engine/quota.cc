// Settings, checks, figures. See quota.h.

#include "engine/quota.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "engine/batch.h"
#include "engine/nexus.h"
#include "engine/state.h"
#include "engine/tenant_contents.h"

namespace nexus::engine {
namespace {

constexpr std::string_view kPrefix = "quota.";
// Where a status keeps after how many milliseconds the same may pass, in decimal.
constexpr absl::string_view kRetryAfterMs = "nexus/retry-after-ms";
constexpr int64_t kNanosPerMilli = 1'000'000;

Status WithRetryAfter(Status status, int64_t wait_ns) {
  const int64_t wait_ms = std::max<int64_t>(1, (wait_ns + kNanosPerMilli - 1) / kNanosPerMilli);
  status.SetPayload(kRetryAfterMs, absl::Cord(fmt::format("{}", wait_ms)));
  return status;
}

uint64_t LayerBytesOf(const TenantState& tenant) {
  uint64_t bytes = 0;
  VisitLayers(tenant, [&](const OpenLayer& layer) { bytes += layer.record.file_bytes; });
  return bytes;
}

}  // namespace

TenantQuotas QuotasOf(std::span<const catalog::Setting> settings) {
  TenantQuotas quotas;
  VisitQuotas(quotas, [&](std::string_view name, uint64_t& quota) {
    for (const catalog::Setting& setting : settings) {
      const std::string_view key = setting.name;
      if (!key.starts_with(kPrefix) || key.substr(kPrefix.size()) != name) continue;
      const char* end = setting.value.data() + setting.value.size();
      if (std::from_chars(setting.value.data(), end, quota).ec != std::errc()) quota = kNoQuota;
    }
  });
  return quotas;
}

std::vector<catalog::Setting> SettingsOf(const QuotaChanges& changes) {
  std::vector<catalog::Setting> settings;
  VisitQuotas(changes, [&](std::string_view name, const std::optional<uint64_t>& quota) {
    if (!quota.has_value()) return;
    std::string value = *quota == kNoQuota ? std::string() : fmt::format("{}", *quota);
    settings.push_back({fmt::format("{}{}", kPrefix, name), std::move(value)});
  });
  return settings;
}

void ChangeSettings(std::span<const catalog::Setting> changes,
                    std::vector<catalog::Setting>* settings) {
  for (const catalog::Setting& change : changes) {
    std::erase_if(*settings,
                  [&](const catalog::Setting& setting) { return setting.name == change.name; });
    if (!change.value.empty()) settings->push_back(change);
  }
  std::sort(settings->begin(), settings->end(),
            [](const catalog::Setting& a, const catalog::Setting& b) { return a.name < b.name; });
}

TenantBytes BytesOf(const DatabaseState& state, TenantState* tenant) {
  TenantState::LayerBytes& cached = tenant->layer_bytes;
  if (cached.of_edit != state.layer_edits) {
    cached = {LayerBytesOf(*tenant), state.layer_edits};
  }
  TenantBytes bytes;
  bytes.layers = cached.bytes;
  VisitMemtables(*tenant, [&](const Memtable& memtable) { bytes.memory += memtable.bytes(); });
  return bytes;
}

Status RefuseSeries(TenantState* tenant, uint64_t fresh) {
  const uint64_t most = tenant->quotas.series_max;
  tenant->refused++;
  const std::string& name = tenant->record.name;
  return ResourceExhausted(
      "tenant \"{}\" has {} series and {} more were asked for, its series_max is {}: send fewer "
      "label values (nexus stats --cardinality --tenant {} shows which), or raise it: nexus tenant "
      "set {} series_max=N",
      name, tenant->series, fresh, most, name, name);
}

Status CheckAppendQuota(const DatabaseState& state, TenantState* tenant, int64_t now_ns) {
  const TenantQuotas& quotas = tenant->quotas;
  const std::string& name = tenant->record.name;
  if (quotas.samples_per_second != kNoQuota) {
    const bool never = quotas.samples_per_second == 0;
    const int64_t wait_ns = never ? 0 : tenant->rate.WaitNs(now_ns);
    if (never || wait_ns > 0) {
      tenant->refused++;
      Status refused = ResourceExhausted(
          "tenant \"{}\" is {} ms ahead of its samples_per_second of {}: send again after that, or "
          "raise it: nexus tenant set {} samples_per_second=N",
          name, wait_ns / kNanosPerMilli + 1, quotas.samples_per_second, name);
      return never ? refused : WithRetryAfter(std::move(refused), wait_ns);
    }
  }
  if (quotas.bytes_max == kNoQuota) return OkStatus();
  const TenantBytes bytes = BytesOf(state, tenant);
  if (bytes.all() < quotas.bytes_max) return OkStatus();
  tenant->refused++;
  return ResourceExhausted(
      "tenant \"{}\" has {} bytes ({} in layers, {} in memory), its bytes_max is {}: delete what "
      "is "
      "not needed and compact, or raise it: nexus tenant set {} bytes_max=N",
      name, bytes.all(), bytes.layers, bytes.memory, quotas.bytes_max, name);
}

void PayForAppend(TenantState* tenant, Bytes batch, int64_t now_ns) {
  const uint64_t rate = tenant->quotas.samples_per_second;
  if (rate == kNoQuota || rate == 0) return;
  StatusOr<BatchView> view = BatchView::Parse(batch);
  // What cannot be read is told when it is applied.
  if (view.ok()) tenant->rate.Pay(view->sample_count(), rate, now_ns);
}

Status CheckQuotaChanges(const DatabaseState& state, TenantState* tenant,
                         const QuotaChanges& changes) {
  const std::string& name = tenant->record.name;
  if (changes.series_max.has_value() && *changes.series_max < tenant->series) {
    return FailedPrecondition(
        "series_max={}: tenant \"{}\" has {} series already; nothing was changed",
        *changes.series_max, name, tenant->series);
  }
  if (!changes.bytes_max.has_value()) return OkStatus();
  const uint64_t bytes = BytesOf(state, tenant).all();
  if (*changes.bytes_max >= bytes) return OkStatus();
  return FailedPrecondition("bytes_max={}: tenant \"{}\" has {} bytes already; nothing was changed",
                            *changes.bytes_max, name, bytes);
}

TenantInfo DescribeTenant(const DatabaseState& state, TenantState* tenant) {
  TenantInfo info;
  info.name = tenant->record.name;
  info.quotas = tenant->quotas;
  info.series = tenant->series;
  const TenantBytes bytes = BytesOf(state, tenant);
  info.layer_bytes = bytes.layers;
  info.memory_bytes = bytes.memory;
  VisitLayers(*tenant, [&](const OpenLayer& layer) {
    info.layers++;
    if (!layer.record.is_rollup()) info.samples += layer.record.samples;
  });
  VisitMemtables(*tenant, [&](const Memtable& memtable) { info.samples += memtable.samples(); });
  info.tombstones = CountTombstones(*tenant);
  info.queries = tenant->query_budget->queries();
  info.refused = tenant->refused + tenant->query_budget->refused();
  return info;
}

}  // namespace nexus::engine

namespace nexus {

std::optional<uint64_t> RetryAfterMs(const Status& status) {
  absl::optional<absl::Cord> payload = status.GetPayload(engine::kRetryAfterMs);
  if (!payload.has_value()) return std::nullopt;
  const std::string text(*payload);
  uint64_t wait_ms = 0;
  return absl::SimpleAtoi(text, &wait_ms) ? std::optional(wait_ms) : std::nullopt;
}

}  // namespace nexus
