// ROLLUPS, ROLLUP_LIST: which rollups a tenant keeps.
//
// Decoding takes any bytes and bounds every allocation by those there are. Threading: values.
// Format: docs/format/protocol.md.

#ifndef NEXUS_CLIENT_PROTOCOL_ROLLUPS_H_
#define NEXUS_CLIENT_PROTOCOL_ROLLUPS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"

namespace nexus::protocol {

struct RollupRule {
  int64_t resolution_ns = 0;
  int64_t keep_ns = 0;  // 0: for ever
  bool operator==(const RollupRule&) const = default;
};
// More than a tenant may have.
inline constexpr size_t kRollupRulesMax = 16;

enum class RollupAction : uint8_t {
  kList = 1,
  kSet = 2,  // replaces all rules
};

// Each is answered by ROLLUP_LIST, which says how it is then. Of the tenant of the frame's target;
// its branch does not matter.
struct Rollups {
  RollupAction action = RollupAction::kList;
  std::vector<RollupRule> rules;  // of kSet
  bool operator==(const Rollups&) const = default;
};

struct RollupList {
  std::vector<RollupRule> rules;  // ascending by resolution
  bool operator==(const RollupList&) const = default;
};

// REQUIRES: at most kRollupRulesMax rules.
void Encode(const Rollups& rollups, std::string* out);
void Encode(const RollupList& list, std::string* out);

// Errors: InvalidArgument.
StatusOr<Rollups> DecodeRollups(Bytes body);
StatusOr<RollupList> DecodeRollupList(Bytes body);

}  // namespace nexus::protocol

#endif  // NEXUS_CLIENT_PROTOCOL_ROLLUPS_H_
