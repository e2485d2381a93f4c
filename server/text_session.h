// TextSession: Influx line protocol over TCP.
//
// Lines come without acknowledgement until the peer ends its direction; then one line answers:
//   ok <accepted lines> <rejected lines> <durable lsn>
// with everything accepted on stable storage: a database that is opened again holds all of it. If
// the database refuses a batch the answer is, at once and instead,
//   error <message>
// and the connection closes, so that a peer that never ends its direction hears of it too.
// Malformed lines are counted and passed over (line_ingest.h). Threading: loop only.

#ifndef NEXUS_SERVER_TEXT_SESSION_H_
#define NEXUS_SERVER_TEXT_SESSION_H_

#include <string>
#include <string_view>

#include "server/line_ingest.h"
#include "server/service.h"
#include "server/session.h"

namespace nexus::server {

class TextSession : public Session, private LineIngest::Owner {
 public:
  // Lines go to branch "main" of tenant "default". Both outlive the session.
  TextSession(Service* service, Transport* transport);

  void OnBytes(Bytes bytes) override;
  void OnEnd() override;
  void OnStopping() override;

 private:
  enum class Phase : uint8_t {
    kReceiving,
    kEnded,  // no more bytes; `rest_` may be waiting
    kAnswered,
  };

  void OnIngestChange() override { Proceed(); }
  void Proceed();
  void End(bool last_line_counts);
  void Answer();

  Service* const service_;
  Transport* const transport_;
  SeriesCache cache_;
  LineIngest ingest_;
  Phase phase_ = Phase::kReceiving;
  bool last_line_counts_ = false;
  bool ingest_ended_ = false;
  bool paused_ = false;
  std::string rest_;  // received and not yet taken
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_TEXT_SESSION_H_
