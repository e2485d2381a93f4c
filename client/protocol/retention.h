// RETENTION, RETENTION_LIST: for how long a tenant's samples are kept, and the clock of that.
//
// Decoding takes any bytes and bounds every allocation by those there are. Threading: values.
// Format: docs/format/protocol.md.

#ifndef NEXUS_CLIENT_PROTOCOL_RETENTION_H_
#define NEXUS_CLIENT_PROTOCOL_RETENTION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"

namespace nexus::protocol {

struct RetentionRule {
  std::string selector;
  int64_t duration_ns = 0;
  bool operator==(const RetentionRule&) const = default;
};
// As many as a tenant may have, and longer selectors than it takes.
inline constexpr size_t kRetentionRulesMax = 64;
inline constexpr size_t kRetentionSelectorBytesMax = 4096;

enum class RetentionAction : uint8_t {
  kList = 1,
  kSet = 2,          // replaces all rules
  kAcceptClock = 3,  // the retention clock goes to the wall clock
};

// Each is answered by RETENTION_LIST, which says how it is then. Of the tenant of the frame's
// target; its branch does not matter.
struct Retention {
  RetentionAction action = RetentionAction::kList;
  std::vector<RetentionRule> rules;  // of kSet
  bool operator==(const Retention&) const = default;
};

struct RetentionList {
  bool clock_runs = false;
  bool clock_waits = false;  // the wall clock is more than 7 days ahead of it
  int64_t clock_ns = 0;      // since the Unix epoch; 0 if it does not run
  int64_t wall_ns = 0;
  int64_t head_window_ns = 0;  // the shortest retention that a rule may have
  std::vector<RetentionRule> rules;
  bool operator==(const RetentionList&) const = default;
};

// REQUIRES: at most kRetentionRulesMax rules.
void Encode(const Retention& retention, std::string* out);
void Encode(const RetentionList& list, std::string* out);

// Errors: InvalidArgument.
StatusOr<Retention> DecodeRetention(Bytes body);
StatusOr<RetentionList> DecodeRetentionList(Bytes body);

}  // namespace nexus::protocol

#endif  // NEXUS_CLIENT_PROTOCOL_RETENTION_H_
