// Requests and their answers. See http_session.h.

#include "server/http_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "server/metrics.h"
#include "server/process_figures.h"

namespace nexus::server {
namespace {

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr size_t kRequestIdBytesMax = 64;

bool IsDecentId(std::string_view id) {
  if (id.empty() || id.size() > kRequestIdBytesMax) return false;
  return std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

HttpResponse TextResponse(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

ProcessFigures FiguresOf(Service* service) {
  ProcessFigures figures;
  figures.page_cache_bytes = service->core()->state()->pages->counters().bytes;
  figures.series_index_bytes = service->core()->interner()->memory_bytes();
  figures.uptime_seconds = static_cast<double>(service->uptime_ns()) * 1e-9;
  return figures;
}

}  // namespace

HttpSession::HttpSession(Service* service, Transport* transport)
    : service_(service), transport_(transport), cache_(service->environment()->random()->Next()) {}

HttpSession::~HttpSession() { ticket_.Drop(); }

// ---- Bytes.

void HttpSession::OnBytes(Bytes bytes) {
  if (phase_ == Phase::kClosed) return;
  std::string_view text = AsText(bytes);
  if (!input_.empty()) {
    input_.append(text);
    return Proceed();
  }
  Process(&text);
  input_.assign(text);
  UpdatePause();
}

void HttpSession::OnEnd() {
  peer_ended_ = true;
  Proceed();
}

void HttpSession::OnStopping() {
  stopping_ = true;
  if (phase_ == Phase::kReading && !reader_.InRequest(input_)) Close("the server is stopping");
}

void HttpSession::Proceed() {
  if (phase_ == Phase::kWorking && write_ != nullptr && write_->finished()) {
    Respond(write_->Answer());
  }
  std::string_view rest = input_;
  Process(&rest);
  input_.erase(0, input_.size() - rest.size());
  if (peer_ended_ && phase_ == Phase::kReading && !body_waits_) {
    if (reader_.InRequest(input_)) {
      service_->metrics()->CountParseError("http");
      request_.keep_alive = false;
      Respond(ErrorResponse(400, "the request is not whole, and no more comes"));
    } else {
      Close("the peer has ended");
    }
  }
  UpdatePause();
}

// Reads requests as long as nothing has to be waited for.
void HttpSession::Process(std::string_view* input) {
  while (phase_ == Phase::kReading && transport_->queued_bytes() <= kOutputBytesMax) {
    if (!BodyIsTaken()) return;
    std::string_view piece;
    switch (reader_.Next(input, &piece)) {
      case HttpReader::Step::kMore:
        return;
      case HttpReader::Step::kHeader:
        OnHeader();
        break;
      case HttpReader::Step::kBody:
        if (write_ != nullptr) write_->Give(piece);
        break;
      case HttpReader::Step::kEnd:
        OnRequest();
        break;
      case HttpReader::Step::kError:
        service_->metrics()->CountParseError("http");
        request_.keep_alive = false;
        Respond(ErrorResponse(reader_.error_status(), reader_.error()));
        break;
    }
  }
}

bool HttpSession::BodyIsTaken() {
  body_waits_ = write_ != nullptr && !write_->Take();
  if (!body_waits_) return true;
  if (!write_->busy() && !std::exchange(turn_is_due_, true)) {
    service_->Spawn(NextTurn(this, ticket_, service_));
  }
  return false;
}

io::Task<void> HttpSession::NextTurn(HttpSession* session, Ticket ticket, Service* service) {
  co_await service->environment()->executor()->Yield();
  if (!ticket.alive()) co_return;
  session->turn_is_due_ = false;
  session->Proceed();
}

// Also before OnBytes returns: then what it was given is all that comes.
void HttpSession::UpdatePause() {
  if (phase_ == Phase::kClosed) return;
  const bool wait =
      phase_ == Phase::kWorking || body_waits_ || transport_->queued_bytes() > kOutputBytesMax;
  if (std::exchange(paused_, wait) == wait) return;
  wait ? transport_->Pause() : transport_->Resume();
}

// ---- Requests.

std::string HttpSession::NewRequestId() const {
  return fmt::format("{:016x}", service_->environment()->random()->Next());
}

void HttpSession::OnHeader() {
  const std::string_view path = PathOf(reader_.target());
  request_ = {};
  request_.path = path == "/health"    ? Path::kHealth
                  : path == "/ready"   ? Path::kReady
                  : path == "/metrics" ? Path::kMetrics
                  : path == "/write"   ? Path::kWrite
                                       : Path::kOther;
  request_.head = reader_.method() == "HEAD";
  request_.keep_alive = reader_.keep_alive();
  request_.version = reader_.version();
  request_.started_ns = service_->environment()->MonotonicNanos();
  const std::string_view id = reader_.Header("X-Request-Id");
  request_.id = IsDecentId(id) ? std::string(id) : NewRequestId();
  refusal_ = RefusalOf(reader_.method());
  if (!reader_.has_body() || !reader_.expects_continue()) return;
  if (!refusal_.has_value()) return transport_->Write(kContinue);
  // The peer waits for this answer with its body, or sends it all the same: only closing tells what
  // comes next from the body.
  request_.keep_alive = false;
  Respond(*std::exchange(refusal_, std::nullopt));
}

// What is wrong with a request by its header alone. Makes write_ if nothing is.
std::optional<HttpResponse> HttpSession::RefusalOf(std::string_view method) {
  if (request_.path == Path::kOther) {
    return ErrorResponse(404, "there is /health, /ready, /metrics and /write");
  }
  const bool write = request_.path == Path::kWrite;
  if (write ? method != "POST" : method != "GET" && method != "HEAD") {
    HttpResponse response = ErrorResponse(405, "this method is not for this path");
    response.headers.emplace_back("Allow", write ? "POST" : "GET, HEAD");
    return response;
  }
  if (!write) return std::nullopt;
  HttpWriteHeader header;
  header.target = reader_.target();
  header.content_encoding = reader_.Header("Content-Encoding");
  header.producer = reader_.Header("Nexus-Producer");
  HttpResponse refused;
  write_ = HttpWrite::Make(service_, &cache_, this, header, &refused);
  if (write_ == nullptr) return refused;
  return std::nullopt;
}

// The request is whole.
void HttpSession::OnRequest() {
  if (refusal_.has_value()) return Respond(*std::exchange(refusal_, std::nullopt));
  if (request_.path == Path::kHealth) return Respond(TextResponse(200, "ok\n"));
  phase_ = Phase::kWorking;
  if (write_ == nullptr) {
    service_->Spawn(Look(this, ticket_, service_, request_.path == Path::kMetrics));
    return;
  }
  write_->End();
  if (write_->finished()) Respond(write_->Answer());
}

io::Task<void> HttpSession::Look(HttpSession* session, Ticket ticket, Service* service, bool page) {
  StatusOr<Stats> stats = co_await service->GetStats();
  ProcessFigures figures = FiguresOf(service);
  std::vector<TenantInfo> tenants;
  if (page) {
    tenants = co_await service->core()->DescribeTenants();
    auto read = [disk = service->environment()->disk(), figures]() mutable {
      ReadProcessFigures(disk, &figures);
      return figures;
    };
    figures = co_await service->environment()->executor()->Run(io::Lane::kQuery, read);
  }
  if (!ticket.alive()) co_return;
  HttpResponse answer = session->ReadyAnswer(stats);
  if (page && stats.ok()) {
    answer =
        TextResponse(200, RenderMetrics(*service->metrics(), *stats, figures, std::move(tenants)));
    answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
  }
  session->Respond(std::move(answer));
  session->Proceed();
}

HttpResponse HttpSession::ReadyAnswer(const StatusOr<Stats>& stats) const {
  if (!stats.ok()) return ErrorResponse(503, FromAbsl(stats.status().message()));
  if (service_->stopping()) return ErrorResponse(503, "the server is stopping");
  if (stats->write_state != "ok") return ErrorResponse(503, stats->write_state);
  return TextResponse(200, "ready\n");
}

// ---- Answers.

void HttpSession::Respond(HttpResponse response) {
  constexpr std::string_view kNames[] = {"http_health", "http_ready", "http_metrics", "http_write",
                                         "http_other"};
  const int64_t now = service_->environment()->MonotonicNanos();
  if (request_.id.empty()) {
    request_.id = NewRequestId();
    request_.started_ns = now;
  }
  service_->metrics()->CountRequest(kNames[static_cast<size_t>(request_.path)],
                                    now - request_.started_ns);
  if (Logger* logger = service_->logger(); logger != nullptr) {
    logger->Log(response.status >= 500 ? LogLevel::kWarning : LogLevel::kDebug, "request",
                {{"request_id", request_.id},
                 {"peer", transport_->peer()},
                 {"request", kNames[static_cast<size_t>(request_.path)]},
                 {"status", response.status},
                 {"seconds", static_cast<double>(now - request_.started_ns) * 1e-9}});
  }
  response.headers.emplace_back("X-Request-Id", request_.id);
  response.version = request_.version;
  response.keep_alive = request_.keep_alive && !stopping_;
  response.without_body = request_.head;
  const bool more = response.keep_alive;
  transport_->Write(RenderResponse(std::move(response)));
  write_.reset();
  refusal_.reset();
  request_ = {};
  body_waits_ = false;
  if (!more) return Close("the answer was the last");
  reader_.Reset();
  phase_ = Phase::kReading;
}

void HttpSession::Close(std::string_view why) {
  phase_ = Phase::kClosed;
  transport_->CloseAfterWrites(why);
}

}  // namespace nexus::server
