// BatchRequest: a batch that a test hands to the committer itself, and what became of it.
//
// Lifetime: the committer holds a request, and a batch's body in its encoder, until released().
// Threading: the loop's; a test looks when the loop rests.

#ifndef NEXUS_TESTS_ENGINE_BATCH_REQUEST_H_
#define NEXUS_TESTS_ENGINE_BATCH_REQUEST_H_

#include "base/bytes.h"
#include "base/status.h"
#include "base/types.h"
#include "engine/batch.h"
#include "engine/committer.h"

namespace nexus::engine {

// Any request. `encoded` outlives it.
class WatchedRequest : public CommitRequest {
 public:
  WatchedRequest(Kind what, Bytes encoded) : CommitRequest(what, encoded, &Done, &Released) {}

  // What it was answered; OK before that.
  const Status& status() const { return status_; }
  // How often: once is right.
  int answers() const { return answers_; }
  bool finished() const { return answers_ > 0; }
  bool released() const { return released_; }

 private:
  static void Done(CommitRequest* request, const Status& status) {
    auto* self = static_cast<WatchedRequest*>(request);
    self->status_ = status;
    self->answers_++;
  }
  static void Released(CommitRequest* request) {
    static_cast<WatchedRequest*>(request)->released_ = true;
  }

  Status status_;
  int answers_ = 0;
  bool released_ = false;
};

// Its body is made when it is submitted.
class BatchRequest : public WatchedRequest {
 public:
  // Of the default tenant and its branch "main", unless told otherwise.
  explicit BatchRequest(TenantId of = {}, BranchId to = {})
      : WatchedRequest(Kind::kBatch, {}), encoder(of, to) {
    tenant = of;
    branch = to;
  }

  void SetExactlyOnce(const ExactlyOnce& number) {
    once = number;
    encoder.SetExactlyOnce(number);
  }
  // REQUIRES: nothing is added to the encoder afterwards.
  void Finish() { body = encoder.Finish(); }

  BatchEncoder encoder;
};

}  // namespace nexus::engine

#endif  // NEXUS_TESTS_ENGINE_BATCH_REQUEST_H_
