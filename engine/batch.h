// Batches as the engine speaks of them: the names of the batch floor, in the engine's namespace.
//
// The form of a batch is shared with the wire protocol, whose client knows nothing of the engine,
// and so lives in batch/.

#ifndef NEXUS_ENGINE_BATCH_H_
#define NEXUS_ENGINE_BATCH_H_

#include "batch/batch.h"
#include "batch/batch_encoder.h"
#include "batch/format.h"

namespace nexus::engine {

using batch::BatchEncoder;
using batch::BatchHeader;
using batch::BatchView;
using batch::ExactlyOnce;
using batch::IdCoding;
using batch::IdColumn;
using batch::kRecordAlignment;
using batch::RejectedRange;
using batch::SectionHeader;
using batch::SectionKind;
using batch::SectionView;
using batch::SeriesSample;
using batch::TimestampCoding;
using batch::TimestampColumn;
using batch::VisitAccepted;

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_BATCH_H_
