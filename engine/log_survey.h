// LogSurvey: what the records of a log say of the tenants, layers and series of its database, read
// without applying them.
//
// `nexus catalog rebuild` needs it to know which layers hold labels, and, where no image is left,
// which tenants and branches there must have been. What cannot be read is passed over. Threading:
// Take belongs to the loop; the rest are pure functions.

#ifndef NEXUS_ENGINE_LOG_SURVEY_H_
#define NEXUS_ENGINE_LOG_SURVEY_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "base/types.h"
#include "catalog/image.h"
#include "catalog/series_set.h"
#include "engine/batch.h"
#include "engine/record.h"

namespace nexus::engine {

// A branch by its numbers: tenant, branch.
using BranchNumbers = std::pair<uint32_t, uint32_t>;

class LogSurvey {
 public:
  // Adds the record that begins at `begin`. Errors: DataLoss or FailedPrecondition if it cannot be
  // decoded.
  Status Take(RecordKind kind, Lsn begin, Bytes body);

  // Edits that make tenants and branches, delete branches and publish layers, in log order, each
  // with where its record begins.
  const std::vector<std::pair<Lsn, Edit>>& shape() const { return shape_; }
  // Of them the publish edits.
  std::vector<const PublishLayers*> publishes() const;
  // Branches whose creation the log holds: numbers -> name.
  const std::map<BranchNumbers, std::string>& created_branches() const { return created_branches_; }
  // Tenants whose creation the log holds: number -> name.
  const std::map<uint32_t, std::string>& created() const { return created_; }
  // Branches that records of the log belong to.
  const std::set<BranchNumbers>& named() const { return named_; }
  // The greatest series id in any record; 0 if there is none.
  uint64_t series_id_max() const { return series_id_max_; }
  // Series that batches name, and that the log defines.
  const catalog::SeriesSet& sampled() const { return sampled_; }
  const catalog::SeriesSet& defined() const { return defined_; }
  // Series that the log forgets.
  const catalog::SeriesSet& forgotten() const { return forgotten_; }

 private:
  void TakeBatch(const BatchView& batch);
  Status TakeDefinitions(Bytes body);
  Status TakeEdits(Lsn begin, Bytes body);

  std::vector<std::pair<Lsn, Edit>> shape_;
  std::map<BranchNumbers, std::string> created_branches_;
  std::map<uint32_t, std::string> created_;
  std::set<BranchNumbers> named_;
  uint64_t series_id_max_ = 0;
  catalog::SeriesSet sampled_;
  catalog::SeriesSet defined_;
  catalog::SeriesSet forgotten_;
};

// The live layers once the edits from contents.lsn on are applied to `contents`, by key. The
// conditions are those of the applier.
std::map<catalog::LayerKey, catalog::LayerRecord> LiveLayers(const catalog::ImageContents& contents,
                                                             const LogSurvey& survey);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_LOG_SURVEY_H_
