// Guessing a lost image. See catalog_guess.h.

#include "engine/catalog_guess.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "engine/layer_writer.h"

namespace nexus::engine {
namespace {

// Invented names that are spelled out; the rest is counted.
constexpr size_t kNamesListedMax = 20;

class Guesser {
 public:
  Guesser(const Remains& remains, const std::function<uint64_t()>& random)
      : remains_(remains), random_(random) {}

  StatusOr<CatalogGuess> Run() {
    guess_.contents.database = remains_.database;
    guess_.contents.lsn = LogBegin();
    guess_.contents.next_series_id = remains_.log.series_id_max() + 1;
    NEXUS_RETURN_IF_ERROR(ReadSeeds());
    ListLayers();
    AddBranches();
    AddTenants();
    DescribeUnknown();
    return std::move(guess_);
  }

 private:
  Lsn LogBegin() const {
    if (!remains_.scan.segments.empty()) return remains_.scan.segments.front().base;
    Lsn end = remains_.scan.end;
    for (const layer::LayerSummary& layer : remains_.layers) {
      end = std::max(end, layer.identity.order_high.lsn);
    }
    return end;
  }

  Status ReadSeeds() {
    for (const layer::LayerSummary& layer : remains_.layers) {
      const layer::LayerIdentity& identity = layer.identity;
      auto [at, added] = seeds_.emplace(identity.tenant.value, identity.identity_seed);
      if (at->second == identity.identity_seed) continue;
      return DataLoss(
          "{}: layers of tenant {} have different identity seeds: one is of another "
          "database; move it out of the folder",
          layer::LayerFileName(layer), identity.tenant.value);
    }
    return OkStatus();
  }

  void ListLayers() {
    for (const PublishLayers* edit : remains_.log.publishes()) {
      for (const catalog::LayerRecord& layer : edit->layers) published_.insert(layer.key());
      retired_by_log_.insert(edit->retired.begin(), edit->retired.end());
    }
    for (const layer::LayerSummary& layer : remains_.layers) {
      files_.insert(LayerRecordOf(layer).key());
    }
    const std::set<catalog::LayerKey> superseded = Superseded();
    for (const layer::LayerSummary& layer : remains_.layers) {
      catalog::LayerRecord record = LayerRecordOf(layer);
      guess_.contents.open_count = std::max(guess_.contents.open_count, record.open_count);
      if (published_.contains(record.key()) || superseded.contains(record.key())) continue;
      if (record.is_rollup()) {
        // Its inputs live on beside it. Of two runs of one window queries take what both know.
        guess_.contents.layers.push_back(std::move(record));
        continue;
      }
      const bool compacted = !layer.inputs.empty();
      if (compacted && !Supersedes(layer)) continue;
      if (!compacted && remains_.scan.damage.empty() && LogHolds(remains_.scan, layer)) continue;
      AddLayer(std::move(record));
    }
    AddLostInputs();
  }

  void AddLayer(catalog::LayerRecord record) {
    Lsn& sealed = sealed_[{record.tenant.value, record.branch.value}];
    // What the log holds a part of is replayed, too: the same samples twice are read once.
    const bool older = record.low.lsn < guess_.contents.lsn;
    if (older) sealed = std::max(sealed, record.high.lsn);
    guess_.contents.layers.push_back(std::move(record));
  }

  // Whether a compaction's output, which no edit of the log publishes, stands for its inputs. It
  // does if one of them is gone, since only published outputs let their inputs go, or if the log
  // retires it. Else both ways give the same samples, and the inputs are taken.
  bool Supersedes(const layer::LayerSummary& layer) const {
    const catalog::LayerRecord record = LayerRecordOf(layer);
    if (retired_by_log_.contains(record.key())) return true;
    for (const layer::LayerKey& input : layer.inputs) {
      if (!files_.contains(KeyIn(record, input))) return true;
    }
    return false;
  }

  static catalog::LayerKey KeyIn(const catalog::LayerRecord& record, const layer::LayerKey& key) {
    return {record.tenant, record.branch, key.open_count, key.sequence};
  }

  // The inputs of outputs that stand for them since before the log begins.
  std::set<catalog::LayerKey> Superseded() const {
    std::set<catalog::LayerKey> superseded;
    for (const layer::LayerSummary& layer : remains_.layers) {
      const catalog::LayerRecord record = LayerRecordOf(layer);
      if (record.is_rollup()) continue;
      if (layer.inputs.empty() || published_.contains(record.key()) || !Supersedes(layer)) continue;
      for (const layer::LayerKey& input : layer.inputs) superseded.insert(KeyIn(record, input));
    }
    return superseded;
  }

  // An edit of the log retires only what is live: layers whose files went after it are listed until
  // it is replayed. Where its outputs are not there either, it was refused when it was new.
  void AddLostInputs() {
    const auto& created = remains_.log.created_branches();
    for (const PublishLayers* edit : remains_.log.publishes()) {
      auto known = [this](const catalog::LayerRecord& layer) {
        return files_.contains(layer.key()) || retired_by_log_.contains(layer.key());
      };
      if (!std::all_of(edit->layers.begin(), edit->layers.end(), known)) continue;
      // A branch that the log makes gets what it retires from its parent.
      if (created.contains({edit->tenant.value, edit->branch.value})) continue;
      for (const catalog::LayerKey& key : edit->retired) {
        if (files_.contains(key) || published_.contains(key)) continue;
        files_.insert(key);
        catalog::LayerRecord record;
        record.tenant = key.tenant;
        record.branch = key.branch;
        record.open_count = key.open_count;
        record.sequence = key.sequence;
        layer::LayerIdentity identity;
        identity.open_count = key.open_count;
        identity.sequence = key.sequence;
        record.file_name = layer::LayerFileName(identity, record.range);
        guess_.contents.layers.push_back(std::move(record));
      }
    }
  }

  void AddBranches() {
    for (const BranchNumbers& numbers : remains_.log.named()) sealed_.try_emplace(numbers);
    // A tenant is made with its main branch.
    std::set<uint32_t> tenants;
    for (const auto& [numbers, lsn] : sealed_) tenants.insert(numbers.first);
    for (uint32_t tenant : tenants) sealed_.try_emplace({tenant, BranchId{}.value});
    for (const auto& [numbers, lsn] : sealed_) {
      if (remains_.log.created().contains(numbers.first) || IsMadeByTheLog(numbers)) continue;
      catalog::BranchRecord branch;
      branch.tenant = TenantId{numbers.first};
      branch.id = BranchId{numbers.second};
      branch.sealed = lsn;
      branch.name = numbers.second == 0 ? "main" : FreeBranchName(numbers);
      uint32_t& next = next_branch_[numbers.first];
      next = std::max(next, numbers.second + 1);
      if (numbers.second != 0) {
        Invented(fmt::format("the name of branch {} of tenant {}: it becomes \"{}\"",
                             numbers.second, numbers.first, branch.name));
      }
      tenants_.insert(numbers.first);
      guess_.contents.branches.push_back(std::move(branch));
    }
  }

  // Such a branch comes to be with its edit - unless layers of it are listed, which they are only
  // beside a damaged log: then it must be there before.
  bool IsMadeByTheLog(BranchNumbers numbers) const {
    const auto& layers = guess_.contents.layers;
    auto is_of_it = [&](const catalog::LayerRecord& layer) {
      return BranchNumbers(layer.tenant.value, layer.branch.value) == numbers;
    };
    return remains_.log.created_branches().contains(numbers) &&
           std::none_of(layers.begin(), layers.end(), is_of_it);
  }

  // One that no branch in the log has, but for the branch itself.
  std::string FreeBranchName(BranchNumbers numbers) const {
    const auto& created = remains_.log.created_branches();
    if (auto own = created.find(numbers); own != created.end()) return own->second;
    std::string name = fmt::format("branch-{}", numbers.second);
    auto taken = [&](const auto& made) {
      return made.first.first == numbers.first && made.second == name;
    };
    while (std::any_of(created.begin(), created.end(), taken)) name += "-found";
    return name;
  }

  void AddTenants() {
    for (uint32_t number : tenants_) {
      catalog::TenantRecord tenant;
      tenant.id = TenantId{number};
      tenant.next_branch = next_branch_[number];
      auto seed = seeds_.find(number);
      tenant.identity_seed = seed == seeds_.end() ? random_() : seed->second;
      tenant.name = number == 0 ? "default" : FreeName(number);
      if (number != 0) {
        Invented(fmt::format("the name of tenant {}: it becomes \"{}\"", number, tenant.name));
      }
      guess_.contents.tenants.push_back(std::move(tenant));
    }
  }

  // One that no tenant in the log has.
  std::string FreeName(uint32_t number) const {
    std::string name = fmt::format("tenant-{}", number);
    auto taken = [&](const auto& made) { return made.second == name; };
    const auto& created = remains_.log.created();
    while (std::any_of(created.begin(), created.end(), taken)) name += "-found";
    return name;
  }

  void Invented(std::string what) {
    invented_++;
    if (invented_ <= kNamesListedMax) guess_.unknown.push_back(std::move(what));
  }

  void DescribeUnknown() {
    const uint64_t since = guess_.contents.lsn.value;
    if (invented_ > kNamesListedMax) {
      guess_.unknown.push_back(fmt::format("{} more such names", invented_ - kNamesListedMax));
    }
    guess_.unknown.push_back("settings of the database and of its tenants");
    guess_.unknown.push_back(fmt::format(
        "tenants that have no layer and that no record of the log since LSN {} names", since));
    guess_.unknown.push_back(
        fmt::format("producers that sent nothing since LSN {}: they open a new epoch and number "
                    "their batches from 1; what they send again is stored again",
                    since));
    guess_.unknown.push_back(fmt::format(
        "snapshots made before LSN {}, and what branches made before it share with what they were "
        "made from: each branch has the layers of what was written to it, deleted ones are there "
        "again as far as their files are, under such names",
        since));
    guess_.unknown.push_back(
        fmt::format("deletes before LSN {} that no compaction has carried out yet: what they "
                    "deleted in older layers is there again; delete it once more",
                    since));
    guess_.unknown.push_back(
        "which layers were retired and not yet deleted: those whose files are here are live again");
    guess_.unknown.push_back(
        fmt::format("series without samples that were defined before LSN {}", since));
  }

  const Remains& remains_;
  const std::function<uint64_t()>& random_;
  CatalogGuess guess_;
  std::set<catalog::LayerKey> published_;       // by edits of the log
  std::set<catalog::LayerKey> retired_by_log_;  // likewise
  std::set<catalog::LayerKey> files_;           // that are here
  std::map<uint32_t, uint64_t> seeds_;          // by tenant
  std::map<BranchNumbers, Lsn> sealed_;
  std::set<uint32_t> tenants_;                // that no edit of the log makes
  std::map<uint32_t, uint32_t> next_branch_;  // above those that no edit of the log makes
  size_t invented_ = 0;
};

}  // namespace

StatusOr<CatalogGuess> GuessCatalog(const Remains& remains,
                                    const std::function<uint64_t()>& random) {
  return Guesser(remains, random).Run();
}

}  // namespace nexus::engine
