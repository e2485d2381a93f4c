// Lines to batches. See line_ingest.h.

#include "server/line_ingest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "wal/record.h"

namespace nexus::server {
namespace {

// Requests kept for their memory, some 200 KB each when batches are full: one is filled while one
// is in the log.
constexpr size_t kFreeRequestsMax = 2;
// Labels of new series in one batch: at usual sizes some 10,000 series. In a body that must be one
// batch as many as a body may have bytes.
constexpr uint64_t kNewSeriesBytesMax = 1 << 20;
constexpr uint64_t kNewSeriesBytesOnceMax = 64 << 20;

}  // namespace

SeriesId* SeriesCache::Find(const Hash128& key) {
  auto at = ids_.find(key);
  return at == ids_.end() ? nullptr : &at->second;
}

void SeriesCache::Insert(const Hash128& key, SeriesId id) {
  if (ids_.size() >= kIngestCachedSeriesMax) ids_.clear();
  ids_.emplace(key, id);
}

// A batch in the log. Belongs to nobody from Submit to its release, so that it outlives its ingest.
class LineIngest::Request : public engine::CommitRequest {
 public:
  Request() : CommitRequest(Kind::kBatch, {}, &Done, &Release), encoder_({}, {}) {}

  batch::BatchEncoder* encoder() { return &encoder_; }

  LineIngest* ingest = nullptr;
  std::optional<Ticket> ticket;
  std::vector<Line> lines;  // what its samples came from, in order
  uint64_t samples = 0;
  Status outcome;

 private:
  static void Done(CommitRequest* request, const Status& status) {
    static_cast<Request*>(request)->outcome = status;
  }
  static void Release(CommitRequest* request) {
    std::unique_ptr<Request> self(static_cast<Request*>(request));
    if (self->ticket->alive()) self->ingest->OnReleased(std::move(self));
  }

  batch::BatchEncoder encoder_;
};

LineIngest::LineIngest(Service* service, SeriesCache* cache, Owner* owner,
                       LineIngestOptions options)
    : service_(service),
      interner_(service->core()->interner()),
      cache_(cache),
      owner_(owner),
      options_(std::move(options)) {
  interner_->AddHolder(this);
}

LineIngest::~LineIngest() {
  interner_->RemoveHolder(this);
  ticket_.Drop();
  // What has no id yet is named by places that go with this ingest.
  if (!new_keys_.empty()) cache_->Clear();
}

bool LineIngest::busy() const {
  return interning_ || in_flight_bytes_ >= options_.in_flight_bytes_max;
}

// ---- Text.

size_t LineIngest::Add(std::string_view text) {
  size_t at = 0;
  while (at < text.size() && !busy()) {
    if (skipping_ || !partial_.empty()) {
      at += AddRestOfLine(text.substr(at));
      continue;
    }
    const void* newline = std::memchr(text.data() + at, '\n', text.size() - at);
    if (newline == nullptr) {
      at += AddRestOfLine(text.substr(at));
      continue;
    }
    const auto end = static_cast<size_t>(static_cast<const char*>(newline) - text.data());
    TakeLine(text.substr(at, end - at));
    at = end + 1;
  }
  if (at == text.size()) Proceed();
  return at;
}

// A line that is not whole in `text`: its end, or a further piece of it. Takes both up to and with
// the newline.
size_t LineIngest::AddRestOfLine(std::string_view text) {
  const size_t newline = text.find('\n');
  const bool whole = newline != std::string_view::npos;
  std::string_view piece = text.substr(0, newline);
  if (!skipping_ && partial_.size() + piece.size() > kIngestLineBytesMax) {
    skipping_ = true;
    partial_.clear();
  }
  if (!skipping_) partial_.append(piece);
  if (!whole) return piece.size();
  if (std::exchange(skipping_, false)) {
    line_number_++;
    Reject("too_long", fmt::format("the line is longer than {} bytes", kIngestLineBytesMax));
  } else {
    TakeLine(partial_);
    partial_.clear();
  }
  return piece.size() + 1;
}

void LineIngest::Reject(std::string_view reason, std::string message) {
  Reject(reason, line_number_, std::move(message));
}

void LineIngest::Reject(std::string_view reason, uint64_t line, std::string message) {
  service_->metrics()->CountParseError(reason);
  rejected_lines_++;
  if (bad_lines_.size() < kIngestBadLinesKept) bad_lines_.push_back({line, std::move(message)});
}

void LineIngest::RejectStatsd() {
  Reject("statsd", "StatsD is not taken by this release; send Influx line protocol");
}

void LineIngest::TakeLine(std::string_view text) {
  line_number_++;
  if (text.empty() || !status_.ok()) return;
  if (text.size() > kIngestLineBytesMax) {
    Reject("too_long", fmt::format("the line is longer than {} bytes", kIngestLineBytesMax));
    return;
  }
  Status status = ScanLine(text, &line_);
  if (!status.ok()) {
    if (IsStatsd(text)) return RejectStatsd();
    Reject("syntax", std::string(FromAbsl(status.message())));
    return;
  }
  if (line_.series.empty()) return;
  int64_t timestamp_ns = 0;
  // All of it first: a line is taken whole or not.
  if (!ReadTimestamp(&timestamp_ns) || !NameSeries()) return;
  // A line of strings alone has nothing to store: whether it was read with others must not show.
  if (!line_series_.empty()) lines_.push_back({line_number_, line_series_.size()});
  for (size_t i = 0; i < line_series_.size(); i++) {
    samples_.push_back({line_series_[i], timestamp_ns, line_.fields[i].value});
  }
  CommitIfFull();
}

void LineIngest::CommitIfFull() {
  if (!options_.once.has_value()) {
    if (samples_.size() >= kIngestBatchSamples || new_series_bytes_ >= kNewSeriesBytesMax) Commit();
    return;
  }
  if (samples_.size() < kIngestSamplesMax && new_series_bytes_ < kNewSeriesBytesOnceMax) return;
  Refuse(OutOfRange("the lines do not fit one batch of {} bytes; send fewer under one number",
                    wal::kRecordBytesMax));
}

bool LineIngest::ReadTimestamp(int64_t* timestamp_ns) {
  if (!line_.timestamp.has_value()) {
    *timestamp_ns = service_->environment()->WallNanos();
    return true;
  }
  if (!__builtin_mul_overflow(*line_.timestamp, options_.nanos_per_unit, timestamp_ns)) return true;
  Reject("timestamp",
         fmt::format("timestamp {} does not fit 64-bit nanoseconds", *line_.timestamp));
  return false;
}

// The ids of the line's fields, or placeholders, into line_series_.
bool LineIngest::NameSeries() {
  cache_->Refresh(service_->core()->state()->series_generation);
  const Hash128 series = HashSeries(line_.series, cache_->seed());
  line_series_.clear();
  new_fields_.clear();
  for (size_t i = 0; i < line_.fields.size(); i++) {
    const Hash128 key = HashField(series, line_.fields[i].name, cache_->seed());
    const SeriesId* known = cache_->Find(key);
    line_series_.push_back(known == nullptr ? SeriesId{} : *known);
    if (known == nullptr) new_fields_.push_back({i, key, {}, {}});
  }
  if (new_fields_.empty()) return true;
  if (IsStatsd(line_.series)) {
    RejectStatsd();
    return false;
  }
  Status status = NameNewSeries();
  if (status.ok()) return true;
  Reject("series", std::string(FromAbsl(status.message())));
  return false;
}

Status LineIngest::NameNewSeries() {
  NEXUS_RETURN_IF_ERROR(ParseSeries(line_.series, line_.series_column, &measurement_, &tags_));
  for (NewField& field : new_fields_) {
    std::string metric = MetricOf(measurement_, Unescape(line_.fields[field.place].name));
    NEXUS_ASSIGN_OR_RETURN(Labels labels, Labels::Make(std::move(metric), tags_));
    field.canonical = labels.Canonical();
    field.id =
        interner_->Find(options_.target.tenant, options_.target.identity_seed, field.canonical);
  }
  for (NewField& field : new_fields_) {
    // A field that the line has twice was put there by the first one.
    if (const SeriesId* known = cache_->Find(field.key); known != nullptr) {
      line_series_[field.place] = *known;
      continue;
    }
    if (field.id.value == 0) {
      field.id.value = kNewSeriesBit | new_series_.size();
      new_series_bytes_ += field.canonical.size();
      new_series_.push_back(std::move(field.canonical));
      new_keys_.push_back(field.key);
    }
    cache_->Insert(field.key, field.id);
    line_series_[field.place] = field.id;
  }
  return OkStatus();
}

// ---- Batches.

void LineIngest::End(bool last_line_counts) {
  ended_ = true;
  last_line_counts_ = last_line_counts;
  Proceed();
}

void LineIngest::Proceed() {
  if (interning_) return;
  if (ended_ && std::exchange(last_line_counts_, false)) {
    if (skipping_ || !partial_.empty()) AddRestOfLine("\n");
    if (interning_) return;
  }
  if (options_.once.has_value() && !ended_) return;
  if (!samples_.empty() && (ended_ || in_flight_ == 0)) Commit();
}

void LineIngest::KeepHeld(engine::IdleSeries* idle) const {
  for (const batch::SeriesSample& sample : samples_) idle->Keep(sample.series);
  for (const SeriesId id : line_series_) idle->Keep(id);
}

void LineIngest::Commit() {
  series_generation_ = service_->core()->state()->series_generation;
  if (new_series_.empty()) return Submit();
  interning_ = true;
  service_->Spawn(
      InternNew(this, ticket_, service_, options_.target.tenant, std::exchange(new_series_, {})));
}

io::Task<void> LineIngest::InternNew(LineIngest* ingest, Ticket ticket, Service* service,
                                     TenantId tenant, std::vector<std::string> canonicals) {
  auto interned =
      co_await service->core()->interner()->InternWithinQuota(tenant, std::move(canonicals));
  if (ticket.alive()) ingest->OnInterned(std::move(interned));
}

void LineIngest::OnInterned(StatusOr<engine::Interner::WithinQuota> interned) {
  interning_ = false;
  Status status = interned.status();
  // What is one batch is taken whole.
  if (status.ok() && options_.once.has_value()) status = interned->refused;
  if (status.ok()) {
    const std::vector<SeriesId>& ids = interned->ids;
    for (batch::SeriesSample& sample : samples_) {
      if ((sample.series.value & kNewSeriesBit) == 0) continue;
      sample.series = ids[sample.series.value & ~kNewSeriesBit];
    }
    for (size_t i = 0; i < new_keys_.size(); i++) {
      // The cache may have been emptied meanwhile.
      if (SeriesId* known = cache_->Find(new_keys_[i]); known != nullptr) *known = ids[i];
      if (ids[i].value == 0) cache_->Erase(new_keys_[i]);
    }
    new_keys_.clear();
    new_series_bytes_ = 0;
    if (!interned->refused.ok()) DropRefused(interned->refused);
    Submit();
    Proceed();
  } else {
    Refuse(status);
  }
  owner_->OnIngestChange();
}

void LineIngest::DropRefused(const Status& refused) {
  refused_series_.Update(refused);
  std::vector<batch::SeriesSample> kept;
  std::vector<Line> kept_lines;
  auto line = samples_.begin();
  for (const Line& from : lines_) {
    const auto end = line + static_cast<std::ptrdiff_t>(from.samples);
    const bool whole = std::all_of(
        line, end, [](const batch::SeriesSample& sample) { return sample.series.value != 0; });
    if (whole) {
      kept.insert(kept.end(), line, end);
      kept_lines.push_back(from);
    } else {
      Reject("series_quota", from.number, std::string(FromAbsl(refused.message())));
    }
    line = end;
  }
  samples_ = std::move(kept);
  lines_ = std::move(kept_lines);
}

std::unique_ptr<LineIngest::Request> LineIngest::NewRequest() {
  if (free_requests_.empty()) return std::make_unique<Request>();
  std::unique_ptr<Request> request = std::move(free_requests_.back());
  free_requests_.pop_back();
  return request;
}

void LineIngest::Submit() {
  if (samples_.empty()) return;
  std::unique_ptr<Request> request = NewRequest();
  batch::BatchEncoder* encoder = request->encoder();
  encoder->Reset(options_.target.tenant, options_.target.branch);
  encoder->Add(samples_);
  if (options_.once.has_value()) encoder->SetExactlyOnce(*options_.once);
  if (encoder->bytes() > wal::kRecordBytesMax) {
    return Refuse(
        OutOfRange("the lines make a batch of {} bytes, at most {} fit; send fewer under "
                   "one number",
                   encoder->bytes(), wal::kRecordBytesMax));
  }
  request->body = encoder->Finish();
  request->once = options_.once;
  request->tenant = options_.target.tenant;
  request->branch = options_.target.branch;
  // Those in samples_ were held; those that were given ids since Commit may have been forgotten.
  request->series_generation = series_generation_;
  request->deadline_ns = service_->AdmissionDeadline();
  request->duplicate = false;
  request->ingest = this;
  request->ticket = ticket_;
  std::swap(request->lines, lines_);
  lines_.clear();
  request->samples = samples_.size();
  samples_.clear();
  in_flight_++;
  in_flight_bytes_ += request->body.size();
  service_->core()->committer()->Submit(request.release());
}

void LineIngest::OnReleased(std::unique_ptr<Request> request) {
  in_flight_--;
  in_flight_bytes_ -= request->body.size();
  if (request->outcome.ok() || IsExpired(request->outcome)) {
    accepted_lines_ += request->lines.size();
    if (!request->duplicate) service_->metrics()->samples_received += request->samples;
    RejectExpired(*request);
    end_ = std::max(end_, request->end);
  } else if (IsUnknownSeries(request->outcome)) {
    Refuse(Unavailable("a series was forgotten while its lines waited; send them again"));
  } else {
    Refuse(request->outcome);
  }
  if (free_requests_.size() < kFreeRequestsMax) free_requests_.push_back(std::move(request));
  Proceed();
  owner_->OnIngestChange();
}

// Those of its lines that were too old. What comes again is answered as the first copy was.
void LineIngest::RejectExpired(const Request& request) {
  std::vector<batch::RejectedRange> rejected;
  std::string why = "expired: it was older than the tenant keeps when it was sent first";
  if (request.expired != nullptr) {
    rejected = request.expired->rejected;
    why = FromAbsl(request.expired->reason.message());
    service_->metrics()->samples_received -= request.expired->samples;
  }
  engine::BranchState* branch =
      request.duplicate
          ? service_->core()->state()->FindBranch(options_.target.tenant, options_.target.branch)
          : nullptr;
  if (branch != nullptr) {
    for (const auto& range : branch->producers.RejectedOf(*request.once)) {
      rejected.push_back({range.first, range.count});
    }
  }
  // A line has one timestamp, so what is true of its first sample is true of all.
  uint64_t first = 0;
  auto range = rejected.begin();
  for (const Line& line : request.lines) {
    while (range != rejected.end() && uint64_t{range->first} + range->count <= first) ++range;
    if (range == rejected.end()) return;
    if (range->first <= first) {
      accepted_lines_--;
      expired_lines_++;
      Reject("expired", line.number, why);
    }
    first += line.samples;
  }
}

void LineIngest::Refuse(Status status) {
  status_.Update(std::move(status));
  samples_.clear();
  lines_.clear();
  new_series_.clear();
  new_keys_.clear();
  new_series_bytes_ = 0;
  // It names series by places that are gone.
  cache_->Clear();
}

}  // namespace nexus::server
