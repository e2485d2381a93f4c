// Service: what sessions ask of the database, and what they count.
//
// One for a server, shared by its sessions; on the loop. Queries and whatever else blocks run on
// workers and come back to the loop. A call that a destroyed session began ends unheard: callers
// hand over a Ticket and may let go of it. Threading: loop only.

#ifndef NEXUS_SERVER_SERVICE_H_
#define NEXUS_SERVER_SERVICE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "engine/core.h"
#include "io/environment.h"
#include "io/task.h"
#include "server/backup_policy.h"
#include "server/body_buffer.h"
#include "server/fair_turns.h"
#include "server/logger.h"
#include "server/metrics.h"

namespace nexus::server {

// Whether the one who asked still wants the answer. A session holds one for itself and hands copies
// to what it starts; its destructor calls Drop.
class Ticket {
 public:
  Ticket() : alive_(std::make_shared<bool>(true)) {}
  bool alive() const { return *alive_; }
  void Drop() { *alive_ = false; }

 private:
  std::shared_ptr<bool> alive_;
};

class Service {
 public:
  Service(engine::DatabaseCore* core, io::Environment* environment)
      : core_(core),
        environment_(environment),
        started_ns_(environment->MonotonicNanos()),
        queries_(core->state()->options.workers),
        scope_(environment->executor()) {}
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Monotonic; requests are given this long for admission (Options::admission_timeout_ms).
  int64_t AdmissionDeadline() const;
  // Runs to its end even if whoever spawned it is gone; Drain waits for it.
  void Spawn(io::Task<void> task) { scope_.Spawn(std::move(task)); }
  // Waits for what was spawned.
  auto Drain() { return scope_.Join(); }

  engine::DatabaseCore* core() { return core_; }
  io::Environment* environment() { return environment_; }
  // Since the service was made.
  int64_t uptime_ns() const { return environment_->MonotonicNanos() - started_ns_; }
  // The figures of `nexus stats`. Errors: of the catalog.
  io::Task<StatusOr<Stats>> GetStats();

  Metrics* metrics() { return &metrics_; }
  BodyPool* bodies() { return &bodies_; }
  // Whose query works next.
  FairTurns* queries() { return &queries_; }
  // Where requests are logged; null: nowhere. Outlives the service.
  Logger* logger() { return logger_; }
  void set_logger(Logger* logger) { logger_ = logger; }
  // Where clients may have backups written. Nowhere, until it is told.
  const BackupPolicy& backup_policy() const { return backup_policy_; }
  void set_backup_policy(BackupPolicy policy) { backup_policy_ = std::move(policy); }
  // Set at the begin of a graceful stop.
  bool stopping() const { return stopping_; }
  void set_stopping() { stopping_ = true; }

 private:
  engine::DatabaseCore* const core_;
  io::Environment* const environment_;
  const int64_t started_ns_;
  Metrics metrics_;
  BodyPool bodies_;
  FairTurns queries_;
  Logger* logger_ = nullptr;
  BackupPolicy backup_policy_;
  bool stopping_ = false;
  io::TaskScope scope_;
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_SERVICE_H_
