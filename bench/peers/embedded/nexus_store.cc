// nexus as a store, through the API of a linking program (engine/nexus.h), with its default
// options.
//
// Does the work that the others are spared: the series of a source are looked up by tenant, metric
// name and labels when its first row comes, and made then; tenants too. A question names its series
// by a selector and is answered from labels to samples. A batch of rows at one instant is written
// as one row, any other row by row, as scrapes would be. A batch of several tenants is one commit
// for each.

#include <algorithm>
#include <cctype>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/labels.h"
#include "bench/peers/embedded/rows.h"
#include "bench/peers/embedded/store.h"
#include "engine/nexus.h"

namespace nexus::bench {
namespace {

constexpr int64_t kNanosPerMilli = 1'000'000;

// What matches the text alone, in RE2.
std::string Literally(std::string_view text) {
  std::string regex;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_' && c != '-') regex += '\\';
    regex += c;
  }
  return regex;
}

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '\\' || c == '"') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::string ValueOf(const Source& source, std::string_view tag) {
  const auto found = std::ranges::find(source.tags, tag, &Label::name);
  return found == source.tags.end() ? "" : found->value;
}

// The tag that tells all sources apart, or "".
std::string TellingTag(const Workload& workload) {
  for (const Label& tag : workload.sources()[0].tags) {
    std::set<std::string> values;
    for (const Source& source : workload.sources()) values.insert(ValueOf(source, tag.name));
    if (values.size() == workload.sources().size()) return tag.name;
  }
  return "";
}

// Series of a tenant.
struct Selection {
  std::string tenant;
  std::string selector;
};

// Questions as selectors.
class Selectors {
 public:
  explicit Selectors(const Workload& workload)
      : workload_(workload), telling_tag_(TellingTag(workload)) {
    for (const Source& source : workload.sources()) tenants_.insert(source.tenant);
  }

  const std::string& telling_tag() const { return telling_tag_; }

  // One for each tenant; for each source where no tag tells them apart.
  std::vector<Selection> Of(const Question& question) const {
    std::vector<Selection> selections;
    const std::string metric(workload_.metrics()[0]);
    if (question.sources.empty()) {
      for (const std::string& tenant : tenants_) selections.push_back({tenant, metric});
      return selections;
    }
    if (telling_tag_.empty()) {
      for (size_t source : question.sources) selections.push_back(ByAllTags(metric, source));
      return selections;
    }
    std::map<std::string, std::vector<std::string>> values;  // by tenant
    for (size_t number : question.sources) {
      const Source& source = workload_.sources()[number];
      values[source.tenant].push_back(ValueOf(source, telling_tag_));
    }
    for (const auto& [tenant, wanted] : values) {
      selections.push_back({tenant, fmt::format("{}{{{}}}", metric, AnyOf(wanted))});
    }
    return selections;
  }

 private:
  std::string AnyOf(const std::vector<std::string>& values) const {
    if (values.size() == 1) return telling_tag_ + "=" + Quoted(values[0]);
    std::string regex;
    for (const std::string& value : values) {
      if (!regex.empty()) regex += '|';
      regex += Literally(value);
    }
    return telling_tag_ + "=~" + Quoted(regex);
  }

  Selection ByAllTags(const std::string& metric, size_t number) const {
    const Source& source = workload_.sources()[number];
    std::string matchers;
    for (const Label& tag : source.tags) matchers += tag.name + "=" + Quoted(tag.value) + ",";
    if (!matchers.empty()) matchers.pop_back();
    return {source.tenant, fmt::format("{}{{{}}}", metric, matchers)};
  }

  const Workload& workload_;
  const std::string telling_tag_;
  std::set<std::string> tenants_;
};

// First error of commits under way, which their callbacks tell on the database's thread.
class Outcome {
 public:
  void Tell(const Status& status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (first_error_.ok()) first_error_ = status;
  }
  Status first_error() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return first_error_;
  }

 private:
  std::mutex mutex_;
  Status first_error_;
};

class NexusStore : public Store {
 public:
  std::string version() const override { return std::string(Version()); }

  Status Open(const StoreOptions& options) override {
    options_ = options;
    Options settings;
    settings.directory = options.directory;
    NEXUS_ASSIGN_OR_RETURN(db_, Database::Open(settings));
    const std::vector<std::string> tenants = db_->Tenants();
    tenants_ = {tenants.begin(), tenants.end()};
    if (options.workload == nullptr) return OkStatus();
    metrics_ = options.workload->metrics().size();
    selectors_ = std::make_unique<Selectors>(*options.workload);
    return OkStatus();
  }

  Status Append(std::span<const Row> batch) override {
    NEXUS_RETURN_IF_ERROR(MakeSeries(batch));
    return ForEachTenant(batch, [&](const AppendOptions& options, std::span<const Row> rows) {
      return db_->Append(Encoded(rows), options).status();
    });
  }

  bool pipelined() const override { return true; }

  Status Submit(std::span<const Row> batch, std::atomic<uint64_t>* acknowledged) override {
    NEXUS_RETURN_IF_ERROR(MakeSeries(batch));
    return ForEachTenant(batch, [&](const AppendOptions& options, std::span<const Row> rows) {
      WriteBatch encoded = Encoded(rows);
      const uint64_t samples = encoded.samples();
      db_->AppendAsync(std::move(encoded), options,
                       [this, samples, acknowledged](const StatusOr<AppendOutcome>& outcome) {
                         if (outcome.ok()) *acknowledged += samples;
                         if (!outcome.ok()) outcome_.Tell(outcome.status());
                       });
      return OkStatus();
    });
  }

  Status Wait() override {
    NEXUS_RETURN_IF_ERROR(db_->Sync());
    return outcome_.first_error();
  }

  Status Settle() override { return db_->Flush(); }

  StatusOr<std::optional<uint64_t>> DataBytes() override {
    NEXUS_ASSIGN_OR_RETURN(const Stats stats, db_->GetStats());
    return std::optional<uint64_t>(stats.layer_bytes + stats.catalog_bytes);
  }

  StatusOr<Answer> Ask(const Question& question) override {
    if (question.kind == QuestionKind::kMax && question.from_ms % kMaxStepMs != 0) {
      return InvalidArgument(
          "nexus: minutes of this workload begin {} ms behind whole ones, where the engine's "
          "begin; "
          "ask for maxima of another",
          question.from_ms % kMaxStepMs);
    }
    Answer answer;
    for (const Selection& selection : selectors_->Of(question)) {
      NEXUS_ASSIGN_OR_RETURN(std::unique_ptr<Cursor> cursor, Cursors(question, selection));
      NEXUS_RETURN_IF_ERROR(AddChunks(cursor.get(), &answer));
    }
    return answer;
  }

  StatusOr<Totals> Scan() override {
    Answer answer;
    for (const std::string& tenant : tenants_) {
      SelectQuery query;
      query.selector = "{__name__=~\".+\"}";
      query.tenant = tenant;
      query.limits.deadline_ms = 0;
      NEXUS_ASSIGN_OR_RETURN(std::unique_ptr<Cursor> cursor, db_->Select(query));
      NEXUS_RETURN_IF_ERROR(AddChunks(cursor.get(), &answer));
    }
    return Totals{answer.count, answer.sum};
  }

  Status Close() override {
    if (db_ == nullptr) return OkStatus();
    Status status = db_->Close();
    db_.reset();
    return status;
  }

 private:
  static Status AddChunks(Cursor* cursor, Answer* answer) {
    SeriesChunk chunk;
    while (true) {
      NEXUS_ASSIGN_OR_RETURN(const bool more, cursor->Next(&chunk));
      if (!more) return OkStatus();
      answer->count += chunk.values.size();
      for (const double value : chunk.values) answer->sum += value;
    }
  }

  StatusOr<std::unique_ptr<Cursor>> Cursors(const Question& question, const Selection& selection) {
    AggregateQuery query;
    query.select.selector = selection.selector;
    query.select.tenant = selection.tenant;
    // To the end of the last millisecond.
    query.select.range = {question.from_ms * kNanosPerMilli,
                          question.to_ms * kNanosPerMilli + kNanosPerMilli - 1};
    switch (question.kind) {
      case QuestionKind::kLatest:
        return db_->Latest(query.select);
      case QuestionKind::kRaw:
        return db_->Select(query.select);
      case QuestionKind::kMax:
        query.function = AggregateFunction::kMax;
        query.step_ns = kMaxStepMs * kNanosPerMilli;
        break;
      case QuestionKind::kAverage:
        query.function = AggregateFunction::kAvg;
        query.grouped = !selectors_->telling_tag().empty();
        if (query.grouped) query.by = {selectors_->telling_tag()};
        break;
    }
    return db_->Aggregate(query);
  }

  // The place of a source in ids_: added sources come behind the workload's.
  size_t PlaceOf(size_t source) const {
    if (source < kAddedSources) return source * metrics_;
    return (options_.workload->sources().size() + source - kAddedSources) * metrics_;
  }

  // Those of a batch that were not met before, all of one tenant in one call.
  Status MakeSeries(std::span<const Row> batch) {
    std::map<std::string, std::vector<size_t>> unknown;  // sources by tenant
    for (const Row& row : batch) {
      const size_t place = PlaceOf(row.source);
      if (place >= ids_.size()) ids_.resize(place + metrics_);
      if (ids_[place].value != 0) continue;
      unknown[SourceOf(*options_.workload, row.source).tenant].push_back(row.source);
    }
    for (auto& [tenant, sources] : unknown) {
      std::ranges::sort(sources);
      sources.erase(std::unique(sources.begin(), sources.end()), sources.end());
      NEXUS_RETURN_IF_ERROR(MakeSeries(tenant, sources));
    }
    return OkStatus();
  }

  Status MakeSeries(const std::string& tenant, const std::vector<size_t>& sources) {
    if (tenants_.insert(tenant).second) NEXUS_RETURN_IF_ERROR(db_->CreateTenant(tenant));
    std::vector<Labels> labels;
    for (const size_t source : sources) {
      const std::vector<Label> tags = SourceOf(*options_.workload, source).tags;
      for (const std::string_view metric : options_.workload->metrics()) {
        NEXUS_ASSIGN_OR_RETURN(labels.emplace_back(), Labels::Make(std::string(metric), tags));
      }
    }
    NEXUS_ASSIGN_OR_RETURN(const std::vector<SeriesId> ids, db_->Series(labels, tenant));
    for (size_t s = 0; s < sources.size(); s++) {
      const auto begin = ids.begin() + static_cast<ptrdiff_t>(s * metrics_);
      std::copy_n(begin, metrics_, ids_.begin() + static_cast<ptrdiff_t>(PlaceOf(sources[s])));
    }
    return OkStatus();
  }

  template <typename Commit>
  Status ForEachTenant(std::span<const Row> batch, Commit&& commit) {
    AppendOptions options;
    options.ack = options_.durable ? Ack::kDurable : Ack::kBuffered;
    for (size_t first = 0; first < batch.size();) {
      const std::string_view tenant = TenantOf(batch[first]);
      size_t end = first + 1;
      while (end < batch.size() && TenantOf(batch[end]) == tenant) end++;
      options.tenant = tenant;
      NEXUS_RETURN_IF_ERROR(commit(options, batch.subspan(first, end - first)));
      first = end;
    }
    return OkStatus();
  }

  std::string_view TenantOf(const Row& row) const {
    if (row.source >= kAddedSources) return "default";
    return options_.workload->sources()[row.source].tenant;
  }

  WriteBatch Encoded(std::span<const Row> rows) {
    WriteBatch batch;
    const bool one_instant = std::ranges::all_of(
        rows, [&](const Row& row) { return row.timestamp_ms == rows[0].timestamp_ms; });
    row_ids_.clear();
    row_values_.clear();
    for (const Row& row : rows) {
      const size_t place = PlaceOf(row.source);
      for (const uint8_t metric : row.metrics) row_ids_.push_back(ids_[place + metric]);
      if (one_instant) {
        row_values_.insert(row_values_.end(), row.values.begin(), row.values.end());
        continue;
      }
      batch.AddRow(row.timestamp_ms * kNanosPerMilli, row_ids_, row.values);
      row_ids_.clear();
    }
    if (one_instant) batch.AddRow(rows[0].timestamp_ms * kNanosPerMilli, row_ids_, row_values_);
    return batch;
  }

  StoreOptions options_;
  std::unique_ptr<Database> db_;
  std::set<std::string> tenants_;
  size_t metrics_ = 0;
  std::unique_ptr<Selectors> selectors_;
  std::vector<SeriesId> ids_;  // by PlaceOf(source) + metric; 0: not met
  std::vector<SeriesId> row_ids_;
  std::vector<double> row_values_;
  Outcome outcome_;
};

}  // namespace

std::unique_ptr<Store> NewNexusStore() { return std::make_unique<NexusStore>(); }

}  // namespace nexus::bench
