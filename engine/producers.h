// ProducerTable: what a branch knows of its producers, so that a repeated batch is applied once.
//
// A producer numbers its batches 1, 2, 3, ... and sends them in that order; the number goes on
// through its epochs. Opening an epoch fences every older one: a client that was thought dead and
// wakes up cannot write any more. A batch is judged when it is about to get its log position
// (Judge), so the log holds each sequence once; what is in the log is applied without asking again,
// live and in replay.
//
// Two views of a producer: what is applied (durable, in the catalog's record), and what is admitted
// (has a log position, may yet be lost). The second never lags the first. Bounds: kProducersMax a
// tenant (checked by the caller, who sees all branches); of each producer the rejected ranges of
// its last batches. Failure: refusals that say what was expected. Threading: loop only.

#ifndef NEXUS_ENGINE_PRODUCERS_H_
#define NEXUS_ENGINE_PRODUCERS_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/status.h"
#include "base/types.h"
#include "catalog/records.h"
#include "engine/batch.h"

namespace nexus::engine {

// Producers of one tenant, all branches: at about 150 bytes each, 15 MiB.
inline constexpr size_t kProducersMax = 100'000;
// Batches of one producer that may be unacknowledged at once: rejected ranges are kept for as many.
inline constexpr uint64_t kProducerWindow = 64;
// A producer that was silent for so long is forgotten; it must open a new epoch.
inline constexpr int64_t kProducerSilentNs = 7ll * 24 * 3600 * 1'000'000'000;

inline ProducerId ProducerOf(const ExactlyOnce& once) {
  return {once.producer_high, once.producer_low};
}

class ProducerTable {
 public:
  enum class Verdict : uint8_t {
    kNew,       // the next one: admit it
    kInFlight,  // admitted before and not applied yet: wait for the first copy
    kApplied,   // applied before: answer now
  };
  // Of what is applied.
  struct Known {
    uint64_t epoch = 0;
    uint64_t last_sequence = 0;
    Lsn end;
  };

  // Errors: FailedPrecondition - unknown producer, a fenced or unopened epoch, a gap (then
  // ExpectedSequence of nexus.h tells what would be taken).
  StatusOr<Verdict> Judge(const ExactlyOnce& triple) const;
  // The batch has its log position.
  void Admit(const ExactlyOnce& triple);
  // Sets the epoch that Judge takes from now on, before its record is durable. Errors:
  // FailedPrecondition if a newer one is open.
  Status BeginOpen(ProducerId id, uint64_t epoch);
  // The record was refused: takes BeginOpen back.
  void CancelOpen(ProducerId id, uint64_t epoch);

  // ---- The applier's.

  void ApplyOpen(ProducerId id, uint64_t epoch, int64_t wall_ns);
  void ApplyBatch(const ExactlyOnce& triple, Lsn end, std::span<const RejectedRange> rejected,
                  int64_t wall_ns);
  // Forgets a producer that is exactly as named and has nothing in flight; false if it is not.
  bool ApplyForget(ProducerId id, uint64_t epoch, uint64_t last_sequence);

  // ---- The catalog's.

  void Load(const catalog::ProducerRecord& record);
  // Appends the records that changed since the last call.
  void TakeChanged(TenantId tenant, BranchId branch, std::vector<catalog::ProducerRecord>* out);
  // Appends the records of all, by rising id.
  void AppendAll(TenantId tenant, BranchId branch, std::vector<catalog::ProducerRecord>* out) const;
  // A record of TakeChanged was not committed.
  void MarkChanged(ProducerId id);

  // ---- Answers.

  std::optional<Known> Find(ProducerId id) const;
  // The newest epoch that is open or being opened; 0 if the producer is unknown.
  uint64_t NewestEpoch(ProducerId id) const;
  // What was rejected of an applied batch; empty if nothing, or if it is longer ago than the
  // window.
  std::span<const catalog::SampleRange> RejectedOf(const ExactlyOnce& triple) const;
  // Appends those not heard of since `before_wall_ns`, at most `limit`.
  void AppendSilent(int64_t before_wall_ns, size_t limit,
                    std::vector<catalog::ProducerRecord>* out) const;
  size_t size() const { return producers_.size(); }

 private:
  struct Producer {
    catalog::ProducerRecord applied;
    uint64_t admitted_epoch = 0;
    uint64_t admitted_sequence = 0;
    bool changed = false;
  };

  Producer* Change(ProducerId id);
  static void TrimRejected(catalog::ProducerRecord* record);

  absl::flat_hash_map<ProducerId, Producer> producers_;
  std::vector<ProducerId> changed_;  // each once
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_PRODUCERS_H_
