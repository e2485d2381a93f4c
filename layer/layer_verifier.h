// VerifyLayer: reads a whole layer and checks everything that can be checked.
//
// Every page's checksum; every page parses; series ascend by label, ids are unique and both
// directions of the id list agree; every chunk decodes, its timestamps ascend within and across
// chunks, and its statistics are those of its samples to the last bit; the summary's totals are
// right. Damage is collected, not fatal: the walk goes on behind it.
// Threading: any thread but a loop; blocks on reading. Memory: one page of each kind.

#ifndef NEXUS_LAYER_LAYER_VERIFIER_H_
#define NEXUS_LAYER_LAYER_VERIFIER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "layer/layer_reader.h"

namespace nexus::layer {

inline constexpr uint32_t kNoPage = ~uint32_t{0};

struct LayerDamage {
  uint32_t page = kNoPage;  // kNoPage if it is not one page's
  uint64_t offset = 0;      // of the page in the file
  std::string series;       // as Labels::ToString, empty if the damage is not one series'
  std::string description;  // complete: file, page and offset are in it
};

// Damage kept in a report. A whole-file loss damages each of its pages; the first hundred say
// enough.
inline constexpr size_t kReportedDamageMax = 100;

struct VerifyReport {
  uint64_t pages = 0;  // checked
  uint64_t series = 0;
  uint64_t chunks = 0;
  uint64_t samples = 0;
  uint64_t damage_count = 0;
  std::vector<LayerDamage> damage;  // the first kReportedDamageMax

  // OK, or DataLoss with the first damage and the number of others.
  Status ToStatus() const;
};

struct VerifyProgress {
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;
};

// `progress` may be empty; it is called after each page and each few hundred chunks; returning
// false stops the walk with Cancelled. Other errors than Cancelled are in the report.
StatusOr<VerifyReport> VerifyLayer(std::shared_ptr<const LayerReader> reader,
                                   const std::function<bool(VerifyProgress)>& progress = {});

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_LAYER_VERIFIER_H_
