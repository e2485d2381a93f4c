// CarryView: a carry record read in place; and how one is made.
//
// A carry stands for what is left of the records of one branch in [since, until) - the samples that
// deletes and later writes of the same place have left - so that those records can go from the log
// (carrier.h). The samples are a batch like any other, in the order in which they are to be taken.
// It numbers nothing: triples stay with the batches that brought the samples. Beside it stand the
// definitions of its series, because those in the log go with the records before: replay has them
// from the catalog, and who has no catalog, from here.
//
// Parse checks every byte that is neither a sample nor a definition. Threading: values; the body
// must outlive the view unchanged. Format: docs/format/record.md, format.h.

#ifndef NEXUS_ENGINE_CARRY_RECORD_H_
#define NEXUS_ENGINE_CARRY_RECORD_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "base/types.h"
#include "catalog/records.h"
#include "engine/batch.h"
#include "engine/format.h"

namespace nexus::engine {

struct CarryView {
  Lsn since;
  Lsn until;
  Bytes definitions;  // DecodeDefinitions reads them
  BatchView batch;

  // Errors: DataLoss - what is wrong, at which byte. InvalidArgument - the body does not start at
  // an address divisible by 8.
  static StatusOr<CarryView> Parse(Bytes body);
};

// The body of a carry, in words because a record begins at a multiple of 8. REQUIRES: since <
// until; `batch` is a batch with samples, without triple or rejected ones.
std::vector<uint64_t> EncodeCarry(Lsn since, Lsn until,
                                  std::span<const catalog::SeriesDefinition> definitions,
                                  Bytes batch);

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_CARRY_RECORD_H_
