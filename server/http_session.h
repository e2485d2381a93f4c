// HttpSession: HTTP/1.1, just enough to operate and to write.
//
//   GET /health    200 as long as the process lives
//   GET /ready     200 if the database takes writes, else 503 and why
//   GET /metrics   the page for Prometheus (metrics.h)
//   POST /write    line protocol (http_write.h)
//
// HEAD is as GET without a body. Requests of one connection are answered one after the other, in
// their order; the next is read when the one before is answered, so what a peer sends ahead waits
// in its own buffers. A body that nobody wants is read and dropped, up to the bound of all bodies.
// Every response carries X-Request-Id, the request's own if it has a decent one. Bounds: one
// request; its header and body as http_message.h says. Failure: what cannot be read is answered
// with its status, and the connection closes; everything else leaves it open. Threading: loop only.

#ifndef NEXUS_SERVER_HTTP_SESSION_H_
#define NEXUS_SERVER_HTTP_SESSION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/http_message.h"
#include "server/http_write.h"
#include "server/line_ingest.h"
#include "server/service.h"
#include "server/session.h"

namespace nexus::server {

class HttpSession : public Session, private LineIngest::Owner {
 public:
  // Both outlive the session.
  HttpSession(Service* service, Transport* transport);
  ~HttpSession() override;

  void OnBytes(Bytes bytes) override;
  void OnEnd() override;
  void OnWritable() override { Proceed(); }
  void OnStopping() override;

 private:
  enum class Phase : uint8_t {
    kReading,  // a request
    kWorking,  // on its answer
    kClosed,
  };
  enum class Path : uint8_t { kHealth, kReady, kMetrics, kWrite, kOther };
  struct Request {
    Path path = Path::kOther;
    bool head = false;
    bool keep_alive = false;
    unsigned version = 11;
    std::string id;
    int64_t started_ns = 0;
  };

  void OnIngestChange() override { Proceed(); }
  // Goes on with whatever can.
  void Proceed();
  void Process(std::string_view* input);
  bool BodyIsTaken();
  void OnHeader();
  std::optional<HttpResponse> RefusalOf(std::string_view method);
  void OnRequest();
  void Respond(HttpResponse response);
  void Close(std::string_view why);
  void UpdatePause();

  static io::Task<void> Look(HttpSession* session, Ticket ticket, Service* service, bool page);
  static io::Task<void> NextTurn(HttpSession* session, Ticket ticket, Service* service);
  HttpResponse ReadyAnswer(const StatusOr<Stats>& stats) const;
  std::string NewRequestId() const;

  Service* const service_;
  Transport* const transport_;
  SeriesCache cache_;
  HttpReader reader_;
  std::string input_;  // received and not yet read
  Phase phase_ = Phase::kReading;
  Request request_;
  std::optional<HttpResponse> refusal_;  // to be sent behind the body
  std::unique_ptr<HttpWrite> write_;
  bool body_waits_ = false;  // for the database, or for the next turn
  bool turn_is_due_ = false;
  bool paused_ = false;
  bool peer_ended_ = false;
  bool stopping_ = false;
  Ticket ticket_;
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_HTTP_SESSION_H_
