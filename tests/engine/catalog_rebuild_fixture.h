// A simulated database with tenants, producers and many series whose catalog is rebuilt: everything
// a user can ask of it, as text to compare before and after.

#ifndef NEXUS_TESTS_ENGINE_CATALOG_REBUILD_FIXTURE_H_
#define NEXUS_TESTS_ENGINE_CATALOG_REBUILD_FIXTURE_H_

#include <bit>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/catalog_rebuild.h"
#include "tests/engine/sim_fixture.h"
#include "tests/engine/simulated_rebuild.h"

namespace nexus::engine {

class CatalogRebuildFixture : public SimDatabaseTest {
 protected:
  explicit CatalogRebuildFixture(uint64_t seed = 1) : SimDatabaseTest({}, seed) {
    // Enough that the log is trimmed and layers hold what it no longer does.
    options_.memtable_bytes = 256 << 10;
  }

  Status CreateTenant(const std::string& name) { return world_.RunTask(core_->CreateTenant(name)); }
  Status CreateBranch(const std::string& name, const std::string& from,
                      BranchKind kind = BranchKind::kBranch) {
    return world_.RunTask(core_->CreateBranch(name, kind, from, "default"));
  }
  Status DeleteBranch(const std::string& name) {
    return world_.RunTask(core_->DeleteBranch(name, BranchKind::kBranch, "default"));
  }
  StatusOr<ProducerState> OpenEpoch(const std::string& tenant, ProducerId producer) {
    return world_.RunTask(core_->OpenProducer(producer, 0, tenant, "main"));
  }

  StatusOr<std::vector<SeriesId>> Intern(const std::string& tenant,
                                         const std::vector<std::string>& names) {
    NEXUS_ASSIGN_OR_RETURN(PublishedState::Found found,
                           core_->state()->published.Find(tenant, "main"));
    std::vector<std::string> canonicals;
    for (const std::string& name : names) {
      std::vector<Label> labels = {{"name", name}, {"tenant", tenant}};
      canonicals.push_back(Labels::Make("metric", std::move(labels))->Canonical());
    }
    return world_.RunTask(core_->interner()->Intern(found.tenant, std::move(canonicals)));
  }

  struct Written {
    Status status;
    bool duplicate = false;
  };
  // Appends a run of `count` samples to each of the series, as one batch, and waits.
  Written Write(const std::string& tenant, const std::vector<std::string>& names, int64_t first,
                int count, std::optional<ExactlyOnce> once = std::nullopt,
                const std::string& branch = "main") {
    auto ids = Intern(tenant, names);
    if (!ids.ok()) return {ids.status()};
    const PublishedState::Found target = *core_->state()->published.FindWritable(tenant, branch);
    BatchRequest batch(target.tenant, target.branch);
    for (SeriesId id : *ids) {
      std::vector<int64_t> timestamps;
      std::vector<double> values;
      for (int i = 0; i < count; i++) {
        timestamps.push_back(first + i);
        // Bits that do not compress, so that log and layers grow.
        values.push_back(std::bit_cast<double>(
            (static_cast<uint64_t>(first + i) * 0x9e3779b97f4a7c15ull + id.value) >> 2));
      }
      batch.encoder.AddSeries(id, timestamps, values);
    }
    if (once.has_value()) batch.SetExactlyOnce(*once);
    const Status status = SendBatch(&batch);
    return {status, batch.duplicate};
  }

  // Everything a user can ask, of all tenants: labels, samples, aggregates, producers. Series by
  // their ids too: those in layers and log must mean what they meant.
  std::string Answers() {
    world_.RunTask(core_->interner()->WaitLoaded());
    std::string all;
    for (const std::string& tenant : core_->state()->published.TenantNames()) {
      all += AnswersOf(tenant);
      const auto branches = *world_.RunTask(core_->Branches(tenant));
      for (const BranchInfo& branch : branches) all += AnswersOf(tenant, branch);
    }
    return all;
  }
  std::string AnswersOf(const std::string& tenant, const BranchInfo& branch);
  std::string AnswersOf(const std::string& tenant);

  StatusOr<CatalogRebuildReport> Rebuild(bool without_image = false) {
    return *SimulateRebuild(&world_, options_, {.without_image = without_image}, std::nullopt);
  }

  void FlipBitIn(const std::string& path) {
    world_.disk().FlipBit(path, world_.disk().ReadDurable(path)->size() / 2, 3);
  }
};

namespace rebuild_fixture_internal {

inline std::string Line(const std::string& name, const std::vector<std::string>& values) {
  std::string line = "label " + name + ":";
  for (const std::string& value : values) line += " " + value;
  return line + "\n";
}

// A line a series: how many samples, and what they are. In which chunks they come is no answer.
inline std::string Samples(StatusOr<std::unique_ptr<Cursor>> cursor) {
  if (!cursor.ok()) return cursor.status().ToString() + "\n";
  struct Sum {
    std::string name;
    size_t samples = 0;
    uint64_t hash = 0;
  };
  std::map<uint64_t, Sum> sums;  // by series index
  SeriesChunk chunk;
  StatusOr<bool> more = (*cursor)->Next(&chunk);
  for (; more.ok() && *more; more = (*cursor)->Next(&chunk)) {
    Sum& sum = sums[chunk.series_index];
    sum.name = chunk.metric;
    for (const Label& label : *chunk.labels) sum.name += "," + label.name + "=" + label.value;
    sum.samples += chunk.timestamps.size();
    for (size_t i = 0; i < chunk.timestamps.size(); i++) {
      uint64_t bits = std::bit_cast<uint64_t>(chunk.values[i]);
      uint64_t both = bits ^ static_cast<uint64_t>(chunk.timestamps[i]);
      sum.hash = (sum.hash ^ both) * 0x9e3779b97f4a7c15ull;
    }
  }
  std::string out = more.ok() ? "" : more.status().ToString() + "\n";
  for (const auto& [index, sum] : sums) {
    out += fmt::format("{}: {} samples {:x}\n", sum.name, sum.samples, sum.hash);
  }
  return out;
}

}  // namespace rebuild_fixture_internal

inline std::string CatalogRebuildFixture::AnswersOf(const std::string& tenant) {
  using rebuild_fixture_internal::Line;
  using rebuild_fixture_internal::Samples;
  PublishedState::Found found = *core_->state()->published.Find(tenant, "main");
  std::string out =
      fmt::format("tenant {} {} seed {:x}\n", tenant, found.tenant.value, found.identity_seed);
  ReadView view = *core_->View(tenant, "main");
  const std::vector<Labels> series = *SeriesLabels(view.index.get(), "", 1'000'000);
  for (const Labels& labels : series) {
    std::string canonical = labels.Canonical();
    SeriesId id = core_->interner()->Find(found.tenant, found.identity_seed, canonical);
    out += fmt::format("series {} = {}\n", id.value, labels.ToString());
  }
  const std::vector<std::string> names = *LabelNames(view.index.get(), "");
  for (const std::string& name : names) {
    const std::vector<std::string> values = *LabelValues(view.index.get(), name, "");
    out += Line(name, values);
  }
  SelectQuery select;
  select.selector = "metric";
  select.tenant = tenant;
  out += Samples(MakeSelectCursor(*core_->View(tenant, "main"), select));
  AggregateQuery aggregate;
  aggregate.select = select;
  aggregate.function = AggregateFunction::kMax;
  aggregate.step_ns = 1000;
  out += Samples(MakeAggregateCursor(*core_->View(tenant, "main"), aggregate));
  const ProducerTable& producers = core_->state()->FindBranch(found.tenant, {})->producers;
  for (uint64_t id = 1; id <= 4; id++) {
    auto known = producers.Find(ProducerId{id, found.tenant.value});
    if (!known.has_value()) continue;
    // Not where its last batch ends: what was not confirmed at a crash is written again.
    out +=
        fmt::format("producer {}: epoch {} sequence {}\n", id, known->epoch, known->last_sequence);
  }
  return out;
}

// What is in memory before is in layers after, so those are not counted.
inline std::string CatalogRebuildFixture::AnswersOf(const std::string& tenant,
                                                    const BranchInfo& branch) {
  SelectQuery select;
  select.selector = "metric";
  select.tenant = tenant;
  select.branch = branch.name;
  const bool is_snapshot = branch.kind == BranchKind::kSnapshot;
  return fmt::format("{} {}, made {} from {}\n", is_snapshot ? "snapshot" : "branch", branch.name,
                     branch.created_ns, branch.parent) +
         rebuild_fixture_internal::Samples(MakeSelectCursor(*core_->View(select), select));
}

}  // namespace nexus::engine

#endif  // NEXUS_TESTS_ENGINE_CATALOG_REBUILD_FIXTURE_H_
