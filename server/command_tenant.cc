// `nexus tenant create|list|delete|set`.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/command.h"
#include "server/command_target.h"

namespace nexus::server {
namespace {

struct TenantArguments {
  Where where;
  std::string name;
  std::vector<std::string> quotas;  // as given: key=value
  bool yes = false;
  std::string format = "table";
};

std::string QuotaNames() {
  std::string names;
  const TenantQuotas quotas;
  VisitQuotas(quotas, [&](std::string_view name, uint64_t) {
    names.append(names.empty() ? "" : ", ").append(name);
  });
  return names;
}

// A number, with K, M or G for 1024 and its powers, or "none".
std::optional<uint64_t> ReadQuota(std::string_view text) {
  if (text == "none") return kNoQuota;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  const size_t power = std::string_view("KMG").find(unit.empty() ? 'K' : unit.front());
  if (unit.size() > 1 || power == std::string_view::npos) return std::nullopt;
  const uint64_t factor = unit.empty() ? 1 : uint64_t{1} << 10 * (power + 1);
  if (value > (kNoQuota - 1) / factor) return std::nullopt;
  return value * factor;
}

StatusOr<QuotaChanges> ReadChanges(const std::vector<std::string>& texts) {
  QuotaChanges changes;
  for (const std::string_view text : texts) {
    const size_t equals = text.find('=');
    const std::string_view key = text.substr(0, equals);
    bool known = false;
    std::optional<uint64_t> value;
    if (equals != std::string_view::npos) value = ReadQuota(text.substr(equals + 1));
    VisitQuotas(changes, [&](std::string_view name, std::optional<uint64_t>& quota) {
      if (name != key) return;
      known = true;
      quota = value;
    });
    if (!known) {
      return InvalidArgument("\"{}\": give key=value, where key is one of {}", text, QuotaNames());
    }
    if (!value.has_value()) {
      return InvalidArgument("\"{}\": the value is a number, with K, M or G, or none", text);
    }
  }
  return changes;
}

int Create(const TenantArguments& arguments) {
  StatusOr<QuotaChanges> quotas = ReadChanges(arguments.quotas);
  if (!quotas.ok()) return Fail(quotas.status());
  return RunOnTarget(arguments.where, [&](CommandTarget* target) -> StatusOr<std::string> {
    NEXUS_RETURN_IF_ERROR(target->CreateTenant(arguments.name, *quotas));
    return fmt::format("tenant {} made\n", arguments.name);
  });
}

int Set(const TenantArguments& arguments) {
  StatusOr<QuotaChanges> changes = ReadChanges(arguments.quotas);
  if (!changes.ok()) return Fail(changes.status());
  return RunOnTarget(arguments.where, [&](CommandTarget* target) -> StatusOr<std::string> {
    NEXUS_RETURN_IF_ERROR(target->SetTenant(arguments.name, *changes));
    std::string out = fmt::format("tenant {}:", arguments.name);
    for (const std::string& quota : arguments.quotas) out += " " + quota;
    return out + "\n";
  });
}

int Delete(const TenantArguments& arguments) {
  if (!arguments.yes) {
    return Fail(InvalidArgument(
        "deleting tenant \"{}\" takes all its samples, branches and snapshots; give --yes if that "
        "is meant",
        arguments.name));
  }
  return RunOnTarget(arguments.where, [&](CommandTarget* target) -> StatusOr<std::string> {
    NEXUS_ASSIGN_OR_RETURN(std::vector<TenantInfo> tenants, target->Tenants());
    auto named = [&](const TenantInfo& tenant) { return tenant.name == arguments.name; };
    const auto deleted = std::find_if(tenants.begin(), tenants.end(), named);
    NEXUS_RETURN_IF_ERROR(target->DeleteTenant(arguments.name));
    if (deleted == tenants.end()) return fmt::format("tenant {} deleted\n", arguments.name);
    return fmt::format("tenant {} deleted: {} series, {} samples, {} layers of {}\n",
                       arguments.name, FormatCount(deleted->series), FormatCount(deleted->samples),
                       deleted->layers, FormatBytes(deleted->layer_bytes));
  });
}

std::string JsonOf(const TenantInfo& tenant) {
  std::string out = fmt::format(
      "{{\"name\":\"{}\",\"series\":{},\"samples\":{},\"layers\":{},\"layer_bytes\":{},"
      "\"memory_bytes\":{},\"queries\":{},\"refused\":{},\"tombstones\":{}",
      tenant.name, tenant.series, tenant.samples, tenant.layers, tenant.layer_bytes,
      tenant.memory_bytes, tenant.queries, tenant.refused, tenant.tombstones);
  VisitQuotas(tenant.quotas, [&](std::string_view name, uint64_t quota) {
    if (quota != kNoQuota) out += fmt::format(",\"{}\":{}", name, quota);
  });
  return out + "}\n";
}

std::string QuotasOf(const TenantInfo& tenant) {
  std::string out;
  VisitQuotas(tenant.quotas, [&](std::string_view name, uint64_t quota) {
    if (quota != kNoQuota) out += fmt::format("{}{}={}", out.empty() ? "" : " ", name, quota);
  });
  return out.empty() ? "-" : out;
}

std::string TableOf(const std::vector<TenantInfo>& tenants) {
  size_t names = 6;
  for (const TenantInfo& tenant : tenants) names = std::max(names, tenant.name.size());
  std::string out;
  auto row = [&](std::string_view name, std::string_view series, std::string_view samples,
                 std::string_view layers, std::string_view bytes, std::string_view memory,
                 std::string_view refused, std::string_view quotas) {
    out += fmt::format("{:<{}}  {:>10}  {:>14}  {:>6}  {:>10}  {:>10}  {:>8}  {}\n", name, names,
                       series, samples, layers, bytes, memory, refused, quotas);
  };
  row("TENANT", "SERIES", "SAMPLES", "LAYERS", "BYTES", "IN MEMORY", "REFUSED", "QUOTAS");
  for (const TenantInfo& tenant : tenants) {
    row(tenant.name, FormatCount(tenant.series), FormatCount(tenant.samples),
        fmt::format("{}", tenant.layers), FormatBytes(tenant.layer_bytes),
        FormatBytes(tenant.memory_bytes), FormatCount(tenant.refused), QuotasOf(tenant));
  }
  return out;
}

int List(const TenantArguments& arguments) {
  return RunOnTarget(arguments.where, [&](CommandTarget* target) -> StatusOr<std::string> {
    NEXUS_ASSIGN_OR_RETURN(std::vector<TenantInfo> tenants, target->Tenants());
    if (arguments.format != "json") return TableOf(tenants);
    std::string out;
    for (const TenantInfo& tenant : tenants) out += JsonOf(tenant);
    return out;
  });
}

}  // namespace

void AddTenantCommand(CLI::App* app, Invocation* invocation) {
  CLI::App* command = app->add_subcommand(
      "tenant", "Tenants: they share a database, and neither series, names nor quotas");
  command->require_subcommand(1);
  const std::string quotas = "key=value; keys: " + QuotaNames();

  auto created = std::make_shared<TenantArguments>();
  CLI::App* create = AddTargetCommand(command, invocation, "create",
                                      "Make one, with quotas if you like", &Create, created);
  create->add_option("NAME", created->name, "1 to 64 of letters, digits, _ . -")->required();
  create->add_option("QUOTAS", created->quotas, quotas);

  auto listed = std::make_shared<TenantArguments>();
  AddReportCommand(command, invocation, "list", "List them, what they use and what they may", &List,
                   listed);

  auto deleted = std::make_shared<TenantArguments>();
  CLI::App* remove = AddTargetCommand(command, invocation, "delete",
                                      "Delete one with all that it has", &Delete, deleted);
  remove->add_option("NAME", deleted->name, "the tenant")->required();
  remove->add_flag("--yes", deleted->yes, "that is meant: nothing of it comes back");

  auto changed = std::make_shared<TenantArguments>();
  CLI::App* set = AddTargetCommand(command, invocation, "set",
                                   "Change quotas; a value of none takes one away", &Set, changed);
  set->add_option("NAME", changed->name, "the tenant")->required();
  set->add_option("QUOTAS", changed->quotas, quotas)->required();
}

}  // namespace nexus::server
