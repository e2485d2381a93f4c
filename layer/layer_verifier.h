// LayerVerifier: reads a whole layer, piece by piece, and checks everything that can be checked.
//
// Every page's checksum; every page parses; series ascend by label, ids are unique and both
// directions of the id list agree; every chunk decodes, its timestamps ascend within and across
// chunks, and its statistics are those of its samples to the last bit; the summary's totals are
// right. Damage is told, not fatal: the walk goes on behind it.
// Threading: one thread at a time, not a loop; blocks on reading. Memory: one page of each kind.

#ifndef NEXUS_LAYER_LAYER_VERIFIER_H_
#define NEXUS_LAYER_LAYER_VERIFIER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "layer/layer_reader.h"

namespace nexus::layer {

inline constexpr uint32_t kNoPage = ~uint32_t{0};

struct LayerDamage {
  uint32_t page = kNoPage;  // kNoPage if it is not one page's
  uint64_t offset = 0;      // of the page in the file
  std::string series;       // as Labels::ToString, empty if the damage is not one series'
  TimeRange range;          // of the samples it concerns: those of the whole layer, if not known
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

class LayerVerifier {
 public:
  // Told what is found, in the order of the walk; a damaged page by itself, then once for each
  // series that cannot be read for it, with the same description.
  struct Visitor {
    std::function<void(LayerDamage)> damage;
    // May be empty. `labels` is the canonical form.
    std::function<void(SeriesId id, std::string_view labels)> series;
  };

  LayerVerifier(std::shared_ptr<const LayerReader> reader, Visitor visitor);
  ~LayerVerifier();
  LayerVerifier(const LayerVerifier&) = delete;
  LayerVerifier& operator=(const LayerVerifier&) = delete;

  // Checks the next page or the next series. False when all is done.
  bool Step();

  VerifyProgress progress() const;
  // What was checked so far; its damage is empty, the visitor has it.
  const VerifyReport& checked() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// The same in one go. `progress` may be empty; it is called after each page and each few hundred
// series; returning false stops the walk with Cancelled. Other errors than Cancelled are in the
// report.
StatusOr<VerifyReport> VerifyLayer(std::shared_ptr<const LayerReader> reader,
                                   const std::function<bool(VerifyProgress)>& progress = {});

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_LAYER_VERIFIER_H_
