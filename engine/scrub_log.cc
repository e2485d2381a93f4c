// The log part of a scrub. See scrub_pass.h.

#include <algorithm>
#include <variant>
#include <vector>

#include "catalog/label_index.h"
#include "engine/batch.h"
#include "engine/carry_record.h"
#include "engine/format.h"
#include "engine/record.h"
#include "engine/scrub_pass.h"

namespace nexus::engine {
namespace {

// Where a record stands, as a finding's offset.
std::optional<uint64_t> OffsetIn(const wal::HeldSegment& segment, Lsn lsn) {
  if (lsn < segment.base) return std::nullopt;
  return wal::kSegmentDataBegin + (lsn.value - segment.base.value);
}

}  // namespace

class ScrubPass::LogSink : public wal::LogVerifier::Sink {
 public:
  LogSink(ScrubPass* pass, RecordVisitor visit) : pass_(pass), visit_(std::move(visit)) {}

  void OnRecord(const wal::RecordView& record) override {
    pass_->report_.log_records++;
    Status status = pass_->CheckRecord(record);
    if (status.ok() && visit_) status = visit_(record);
    if (status.ok()) return;
    wal::Damage damage;
    damage.path = verifier->segment().path;
    damage.offset = OffsetIn(verifier->segment(), record.begin).value_or(0);
    damage.lsn = record.begin;
    damage.until = record.end;
    damage.why =
        fmt::format("the record is whole and says what it cannot: {}", FromAbsl(status.message()));
    found.push_back(std::move(damage));
  }
  void OnDamage(wal::Damage damage) override {
    if (found.size() < kScrubFindingsMax) found.push_back(std::move(damage));
  }
  void OnNote(std::string note) override { pass_->Note(std::move(note)); }

  const wal::LogVerifier* verifier = nullptr;
  std::vector<wal::Damage> found;

 private:
  ScrubPass* const pass_;
  const RecordVisitor visit_;
};

io::Task<StatusOr<std::vector<wal::Damage>>> ScrubPass::CheckLog(
    std::vector<wal::HeldSegment> segments, RecordVisitor visit) {
  report_.log_segments += segments.size();
  LogSink sink(this, std::move(visit));
  wal::LogVerifier verifier(environment_->disk(), std::move(segments), &sink);
  sink.verifier = &verifier;
  report_.log_bytes += verifier.bytes_total();
  auto piece = [&verifier]() -> StatusOr<bool> { return verifier.Step(); };
  auto progress = [&verifier] { return std::pair(verifier.bytes_done(), verifier.bytes_total()); };
  NEXUS_CO_RETURN_IF_ERROR(co_await RunPieces(piece, "checking the log", progress));
  co_return std::move(sink.found);
}

namespace {

StatusOr<bool> IsDeleted(catalog::Reader* reader, TenantId tenant) {
  NEXUS_ASSIGN_OR_RETURN(std::vector<catalog::TenantRecord> tenants, reader->Tenants());
  return std::any_of(tenants.begin(), tenants.end(), [tenant](const catalog::TenantRecord& record) {
    return record.id == tenant && record.deleted != Lsn{};
  });
}

void AddSeriesOf(const BatchView& batch, catalog::SeriesSet* named) {
  BatchView::Sections sections = batch.sections();
  SectionView section;
  while (sections.Next(&section)) {
    if (section.ids_as_previous_row) continue;
    const bool one = section.ids.coding() == IdCoding::kOne;
    const size_t count = one ? 1 : section.sample_count;
    for (size_t i = 0; i < count; i++) named->Add(section.ids[i]);
  }
}

}  // namespace

// What recovery would make of the record; ids are remembered for CheckLogSeries.
Status ScrubPass::CheckRecord(const wal::RecordView& record) {
  switch (static_cast<RecordKind>(record.kind)) {
    case RecordKind::kBatch: {
      NEXUS_ASSIGN_OR_RETURN(BatchView batch, BatchView::Parse(record.body));
      AddSeriesOf(batch, &named_[batch.tenant().value]);
      return OkStatus();
    }
    case RecordKind::kCarry: {
      NEXUS_ASSIGN_OR_RETURN(CarryView carry, CarryView::Parse(record.body));
      AddSeriesOf(carry.batch, &named_[carry.batch.tenant().value]);
      return DecodeDefinitions(carry.definitions).status();
    }
    case RecordKind::kDefinitions:
      return DecodeDefinitions(record.body).status();
    case RecordKind::kEdit: {
      NEXUS_ASSIGN_OR_RETURN(std::vector<Edit> edits, DecodeEdits(record.body));
      for (const Edit& edit : edits) {
        const auto* forgets = std::get_if<ForgetSeries>(&edit);
        if (forgets == nullptr) continue;
        for (const ForgetSeries::Series& series : forgets->series) forgotten_.Add(series.id);
      }
      return OkStatus();
    }
  }
  return DataLoss("a record of kind {} is not known", static_cast<int>(record.kind));
}

void ScrubPass::AddLogDamage(const wal::Damage& damage, std::string way_out) {
  ScrubFinding finding;
  finding.file = damage.path;
  finding.offset = damage.offset;
  finding.what =
      damage.until > damage.lsn
          ? fmt::format("LSN {} to {}: {}", damage.lsn.value, damage.until.value, damage.why)
          : fmt::format("LSN {}: {}", damage.lsn.value, damage.why);
  finding.way_out = std::move(way_out);
  Add(std::move(finding));
}

io::Task<Status> ScrubPass::CheckLogSeries(ScrubLabels labels) {
  if (labels.catalog == nullptr) co_return OkStatus();
  for (const auto& entry : named_) {
    NEXUS_CO_RETURN_IF_ERROR(MayGoOn());
    const TenantId tenant{entry.first};
    const catalog::SeriesSet* named = &entry.second;
    const catalog::SeriesSet* forgotten = &forgotten_;
    auto undefined = [&labels, tenant, named, forgotten,
                      delta = labels.delta()]() -> StatusOr<catalog::SeriesSet> {
      NEXUS_ASSIGN_OR_RETURN(catalog::Reader reader, labels.catalog->BeginRead());
      // The rows of a deleted tenant go while the log still names it.
      NEXUS_ASSIGN_OR_RETURN(const bool deleted, IsDeleted(&reader, tenant));
      if (deleted) return catalog::SeriesSet();
      catalog::LabelIndex index(std::move(reader), delta);
      NEXUS_ASSIGN_OR_RETURN(catalog::SeriesSet all, index.AllSeries(tenant));
      catalog::SeriesSet missing = *named;
      missing.Subtract(all);
      missing.Subtract(*forgotten);
      return missing;
    };
    StatusOr<catalog::SeriesSet> missing =
        co_await environment_->executor()->Run(io::Lane::kWorker, undefined);
    if (absl::IsDataLoss(missing.status())) continue;  // found by the walk over the catalog
    NEXUS_CO_RETURN_IF_ERROR(missing.status());
    if (missing->empty()) continue;
    ScrubFinding finding;
    finding.file = folder_.wal;
    finding.what = "the log holds samples of series that neither it nor the catalog defines";
    finding.way_out =
        "restore the database from a backup, or keep what is good: nexus wal replay " +
        folder_.root + " --skip-damaged";
    for (SeriesId id : missing->ToVector()) {
      if (finding.series.size() == kScrubSeriesMax) break;
      finding.series.push_back(fmt::format("series id {} of tenant {}", id.value, tenant.value));
    }
    Add(std::move(finding));
  }
  co_return OkStatus();
}

}  // namespace nexus::engine
