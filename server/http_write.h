// HttpWrite: one POST /write - a body of line protocol, maybe compressed, into the database, and
// what is answered.
//
//   POST /write[?precision=ns|us|ms|s][&tenant=T][&branch=B]
//   Content-Encoding: gzip                   (or none)
//   Nexus-Producer: <id>/<epoch>/<sequence>  (exactly once)
//
//   204  every line is stored, durably             429, 503  slow down, or try again: Retry-After
//   400  some lines are bad (the good ones are     409  the number is not the next one: which is
//        stored): JSON names the first                  413  too large, inflated or for one batch
//
// Without a number a body is stored in batches as it comes. With one it is one batch, applied once
// however often it is sent; an epoch that is newer than what the database knows of the producer is
// opened by its first batch, and fences the older ones.
// Bounds: kInflatedBytesMax and kInflationMax of a body; a call works on kTurnBytesMax. Threading:
// loop only. May be destroyed at any time.

#ifndef NEXUS_SERVER_HTTP_WRITE_H_
#define NEXUS_SERVER_HTTP_WRITE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "server/gunzip.h"
#include "server/http_message.h"
#include "server/line_ingest.h"
#include "server/service.h"

namespace nexus::server {

// Lines compress to a tenth or so: four times the largest body is for honest ones.
inline constexpr uint64_t kInflatedBytesMax = 4 * kHttpBodyBytesMax;
// Inflated bytes for each byte received, beside the first megabyte. Lines that differ in a
// timestamp alone come to some 10; what is above 128 is made to cost us work (deflate goes up to
// 1,032).
inline constexpr uint64_t kInflationMax = 128;
inline constexpr uint64_t kInflatedBytesFree = 1 << 20;
// Inflated at one go; some 2 ms of the loop with the lines in it.
inline constexpr uint64_t kTurnBytesMax = 256 << 10;

struct HttpWriteHeader {
  std::string_view target;
  std::string_view content_encoding;
  std::string_view producer;
};

// A JSON object with "error" and further `members`, written out.
HttpResponse ErrorResponse(int status, std::string_view message, std::string_view members = {});

class HttpWrite {
 public:
  // `cache` is the connection's, for tenant "default", and outlives the write, as the others do.
  // `owner` hears when something may have changed. Null if the header alone is refused: `refused`
  // is the answer then.
  static std::unique_ptr<HttpWrite> Make(Service* service, SeriesCache* cache,
                                         LineIngest::Owner* owner, const HttpWriteHeader& header,
                                         HttpResponse* refused);
  ~HttpWrite();
  HttpWrite(const HttpWrite&) = delete;
  HttpWrite& operator=(const HttpWrite&) = delete;

  // The next piece of the body, which stays valid until it is taken. REQUIRES: Take has taken the
  // one before.
  void Give(std::string_view piece) { piece_ = piece; }
  // True if the piece is taken. False: call again when the owner hears of a change, or in the next
  // turn if !busy().
  bool Take();
  bool busy() const { return ingest_.busy(); }
  // The body is whole.
  void End();
  // Everything is stored or refused.
  bool finished() const;
  HttpResponse Answer() const;

 private:
  struct Settings {
    std::string tenant;
    std::string branch;
    LineIngestOptions ingest;
    bool gzip = false;
  };
  static StatusOr<Settings> ReadHeader(Service* service, const HttpWriteHeader& header);
  static io::Task<void> OpenEpoch(HttpWrite* write, Ticket ticket, Service* service,
                                  batch::ExactlyOnce once, std::string tenant, std::string branch);

  HttpWrite(Service* service, SeriesCache* cache, LineIngest::Owner* owner, Settings settings);
  bool TakeInflated();
  bool EpochIsNew() const;
  HttpResponse RefusedAnswer(const Status& status) const;
  HttpResponse BadLinesAnswer() const;

  Service* const service_;
  LineIngest::Owner* const owner_;
  const Settings settings_;
  const std::unique_ptr<SeriesCache> own_cache_;  // null: the connection's serves
  LineIngest ingest_;
  const std::unique_ptr<Gunzip> gunzip_;  // null: the body is not compressed

  std::string_view piece_;
  std::unique_ptr<char[]> inflated_;
  std::string_view rest_;       // of what was inflated, not yet taken
  bool more_inflates_ = false;  // without further input
  uint64_t deflated_bytes_ = 0;
  uint64_t inflated_bytes_ = 0;

  Status status_;  // of body and epoch
  bool ended_ = false;
  bool opening_ = false;
  Ticket ticket_;
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_HTTP_WRITE_H_
