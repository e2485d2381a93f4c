// The body of a POST into the database. See http_write.h.

#include "server/http_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "server/query_output.h"

namespace nexus::server {
namespace {

constexpr size_t kInflateBytes = 64 << 10;
// A round of the log takes milliseconds, a flush a second.
constexpr int kRetryAfterSeconds = 1;

StatusOr<int64_t> NanosPerUnit(std::string_view precision) {
  if (precision.empty() || precision == "ns" || precision == "n") return 1;
  if (precision == "us" || precision == "u") return 1'000;
  if (precision == "ms") return 1'000'000;
  if (precision == "s") return 1'000'000'000;
  return InvalidArgument("precision \"{}\" is not known: give ns, us, ms or s", precision);
}

// The whole text as a number.
std::optional<uint64_t> Number(std::string_view text, int base) {
  uint64_t number = 0;
  auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return number;
}

// "<id>/<epoch>/<sequence>": up to 32 hexadecimal digits, with the dashes of a UUID if it likes,
// and two numbers from 1 on.
StatusOr<batch::ExactlyOnce> ParseProducer(std::string_view text) {
  const size_t first = std::min(text.find('/'), text.size());
  const size_t second = std::min(text.find('/', first + 1), text.size());
  std::string id(text.substr(0, first));
  std::erase(id, '-');
  batch::ExactlyOnce once;
  bool fine = second < text.size() && !id.empty() && id.size() <= 32;
  if (fine) {
    id.insert(0, 32 - id.size(), '0');
    std::optional<uint64_t> high = Number(std::string_view(id).substr(0, 16), 16);
    std::optional<uint64_t> low = Number(std::string_view(id).substr(16), 16);
    std::optional<uint64_t> epoch = Number(text.substr(first + 1, second - first - 1), 10);
    std::optional<uint64_t> sequence = Number(text.substr(second + 1), 10);
    once = {high.value_or(0), low.value_or(0), epoch.value_or(0), sequence.value_or(0)};
    fine = high.has_value() && low.has_value() && once.epoch > 0 && once.sequence > 0;
  }
  if (fine) return once;
  return InvalidArgument(
      "Nexus-Producer: expected <id>/<epoch>/<sequence>: up to 32 hexadecimal digits and two "
      "numbers from 1 on");
}

// Text of a client that may hold any bytes, for JSON.
std::string Shown(std::string_view text) {
  std::string out(text);
  if (!IsValidUtf8(out)) {
    std::replace_if(
        out.begin(), out.end(), [](char c) { return static_cast<uint8_t>(c) >= 0x80; }, '?');
  }
  return JsonString(out);
}

int HttpStatusOf(const Status& status, bool numbered) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kUnimplemented:
      return 415;
    case absl::StatusCode::kOutOfRange:
      return 413;
    case absl::StatusCode::kFailedPrecondition:
      return numbered ? 409 : 503;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

Status CheckInflation(uint64_t inflated_bytes, uint64_t deflated_bytes) {
  if (inflated_bytes > kInflatedBytesMax) {
    return OutOfRange("the body inflates to more than {} bytes; send fewer lines at once",
                      kInflatedBytesMax);
  }
  if (inflated_bytes > kInflatedBytesFree + deflated_bytes * kInflationMax) {
    return OutOfRange("the body inflates to more than {} times its size; send it as it is",
                      kInflationMax);
  }
  return OkStatus();
}

}  // namespace

HttpResponse ErrorResponse(int status, std::string_view message, std::string_view members) {
  HttpResponse response;
  response.status = status;
  response.content_type = "application/json";
  response.body =
      fmt::format("{{\"error\":{}{}{}}}\n", Shown(message), members.empty() ? "" : ",", members);
  if (status == 429 || status == 503) {
    response.headers.emplace_back("Retry-After", fmt::format("{}", kRetryAfterSeconds));
  }
  return response;
}

StatusOr<HttpWrite::Settings> HttpWrite::ReadHeader(Service* service,
                                                    const HttpWriteHeader& header) {
  Settings settings;
  NEXUS_ASSIGN_OR_RETURN(settings.ingest.nanos_per_unit,
                         NanosPerUnit(QueryParameter(header.target, "precision")));
  settings.tenant = QueryParameter(header.target, "tenant");
  settings.branch = QueryParameter(header.target, "branch");
  if (settings.tenant.empty()) settings.tenant = "default";
  if (settings.branch.empty()) settings.branch = "main";
  NEXUS_ASSIGN_OR_RETURN(settings.ingest.target, service->core()->state()->published.FindWritable(
                                                     settings.tenant, settings.branch));
  settings.gzip = header.content_encoding == "gzip";
  if (!settings.gzip && !header.content_encoding.empty() && header.content_encoding != "identity") {
    return Unimplemented("Content-Encoding \"{}\" is not known: send gzip, or none",
                         header.content_encoding);
  }
  if (!header.producer.empty()) {
    NEXUS_ASSIGN_OR_RETURN(settings.ingest.once, ParseProducer(header.producer));
  }
  return settings;
}

std::unique_ptr<HttpWrite> HttpWrite::Make(Service* service, SeriesCache* cache,
                                           LineIngest::Owner* owner, const HttpWriteHeader& header,
                                           HttpResponse* refused) {
  StatusOr<Settings> settings = ReadHeader(service, header);
  if (!settings.ok()) {
    *refused = ErrorResponse(HttpStatusOf(settings.status(), false),
                             FromAbsl(settings.status().message()));
    return nullptr;
  }
  return std::unique_ptr<HttpWrite>(new HttpWrite(service, cache, owner, *std::move(settings)));
}

HttpWrite::HttpWrite(Service* service, SeriesCache* cache, LineIngest::Owner* owner,
                     Settings settings)
    : service_(service),
      owner_(owner),
      settings_(std::move(settings)),
      own_cache_(settings_.tenant == "default"
                     ? nullptr
                     : std::make_unique<SeriesCache>(service->environment()->random()->Next())),
      ingest_(service, own_cache_ == nullptr ? cache : own_cache_.get(), owner, settings_.ingest),
      gunzip_(settings_.gzip ? std::make_unique<Gunzip>() : nullptr) {}

HttpWrite::~HttpWrite() { ticket_.Drop(); }

bool HttpWrite::Take() {
  // What was refused is read to its end all the same: the answer comes after the request.
  if (!status_.ok()) piece_ = {};
  if (gunzip_ != nullptr) return TakeInflated();
  piece_.remove_prefix(ingest_.Add(piece_));
  return piece_.empty();
}

bool HttpWrite::TakeInflated() {
  if (inflated_ == nullptr) inflated_ = std::make_unique_for_overwrite<char[]>(kInflateBytes);
  uint64_t turn_bytes = 0;
  while (status_.ok()) {
    rest_.remove_prefix(ingest_.Add(rest_));
    if (!rest_.empty() || turn_bytes >= kTurnBytesMax) return false;
    if (piece_.empty() && !more_inflates_) return true;
    MutableBytes out(reinterpret_cast<std::byte*>(inflated_.get()), kInflateBytes);
    const size_t given = piece_.size();
    StatusOr<size_t> bytes = gunzip_->Next(&piece_, out);
    deflated_bytes_ += given - piece_.size();
    status_ = bytes.status();
    if (!bytes.ok()) break;
    more_inflates_ = *bytes == kInflateBytes;
    rest_ = {inflated_.get(), *bytes};
    turn_bytes += *bytes;
    inflated_bytes_ += *bytes;
    status_ = CheckInflation(inflated_bytes_, deflated_bytes_);
  }
  piece_ = rest_ = {};
  return true;
}

bool HttpWrite::EpochIsNew() const {
  const batch::ExactlyOnce& once = *settings_.ingest.once;
  const engine::PublishedState::Found& target = settings_.ingest.target;
  engine::BranchState* branch = service_->core()->state()->FindBranch(target.tenant, target.branch);
  return branch != nullptr && branch->producers.NewestEpoch(engine::ProducerOf(once)) < once.epoch;
}

void HttpWrite::End() {
  ended_ = true;
  if (gunzip_ != nullptr && status_.ok() && !gunzip_->complete()) {
    status_ = InvalidArgument("gzip: the body ends early");
  }
  // What is one batch is whole or nothing.
  if (settings_.ingest.once.has_value() && !status_.ok()) return;
  if (settings_.ingest.once.has_value() && EpochIsNew()) {
    opening_ = true;
    service_->Spawn(OpenEpoch(this, ticket_, service_, *settings_.ingest.once, settings_.tenant,
                              settings_.branch));
    return;
  }
  ingest_.End(status_.ok());
}

io::Task<void> HttpWrite::OpenEpoch(HttpWrite* write, Ticket ticket, Service* service,
                                    batch::ExactlyOnce once, std::string tenant,
                                    std::string branch) {
  const ProducerId producer = engine::ProducerOf(once);
  StatusOr<ProducerState> opened = co_await service->core()->OpenProducer(
      producer, once.epoch, std::move(tenant), std::move(branch));
  if (!ticket.alive()) co_return;
  write->opening_ = false;
  write->status_ = opened.status();
  if (opened.ok()) write->ingest_.End(true);
  write->owner_->OnIngestChange();
}

bool HttpWrite::finished() const {
  if (!ended_ || opening_) return false;
  const bool dropped = settings_.ingest.once.has_value() && !status_.ok();
  return dropped || ingest_.finished();
}

HttpResponse HttpWrite::Answer() const {
  if (!status_.ok()) return RefusedAnswer(status_);
  if (!ingest_.status().ok()) return RefusedAnswer(ingest_.status());
  if (ingest_.rejected_lines() > 0) return BadLinesAnswer();
  if (settings_.ingest.once.has_value() && ingest_.accepted_lines() == 0) {
    return ErrorResponse(400, "the body has no line; its number stays free");
  }
  HttpResponse response;
  response.status = 204;
  const Lsn durable = std::max(ingest_.end(), service_->core()->state()->applied);
  response.headers.emplace_back("Nexus-Durable-Lsn", fmt::format("{}", durable.value));
  return response;
}

HttpResponse HttpWrite::RefusedAnswer(const Status& status) const {
  std::string members = fmt::format("\"accepted\":{}", ingest_.accepted_lines());
  if (std::optional<uint64_t> expected = ExpectedSequence(status); expected.has_value()) {
    members += fmt::format(",\"expected_sequence\":{}", *expected);
  }
  HttpResponse response = ErrorResponse(HttpStatusOf(status, settings_.ingest.once.has_value()),
                                        FromAbsl(status.message()), members);
  if (std::optional<uint64_t> wait_ms = RetryAfterMs(status); wait_ms.has_value()) {
    response.headers.back().second = fmt::format("{}", (*wait_ms + 999) / 1000);
  }
  return response;
}

HttpResponse HttpWrite::BadLinesAnswer() const {
  const uint64_t rejected = ingest_.rejected_lines();
  std::string lines;
  for (const BadLine& bad : ingest_.bad_lines()) {
    if (!lines.empty()) lines += ',';
    lines += fmt::format("{{\"line\":{},\"reason\":{}}}", bad.number, Shown(bad.reason));
  }
  // A quota is no mistake of the lines: they may come again when there is room.
  const Status& refused = ingest_.refused_series();
  std::string why = fmt::format("were refused ({})", FromAbsl(refused.message()));
  if (refused.ok()) {
    const uint64_t expired = ingest_.expired_lines();
    why = expired == 0          ? "could not be read"
          : expired == rejected ? "are expired"
                                : "could not be read, or are expired";
  }
  return ErrorResponse(refused.ok() ? 400 : 429,
                       fmt::format("{} of {} lines {}; the others were stored", rejected,
                                   rejected + ingest_.accepted_lines(), why),
                       fmt::format("\"accepted\":{},\"rejected\":{},\"lines\":[{}]",
                                   ingest_.accepted_lines(), rejected, lines));
}

}  // namespace nexus::server
