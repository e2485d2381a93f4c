// Reading a compaction's output back before it is published.
//
// Everything that layer::LayerVerifier checks (each page's checksum, structure, every chunk decoded
// and its statistics recomputed bit for bit), and that the file is what the merge said it wrote.
// Threading: one thread at a time, not a loop; blocks on reading. About 5 ns a sample.

#ifndef NEXUS_COMPACTION_VERIFY_OUTPUT_H_
#define NEXUS_COMPACTION_VERIFY_OUTPUT_H_

#include <cstdint>
#include <memory>

#include "base/status.h"
#include "layer/layer.h"
#include "layer/layer_reader.h"
#include "layer/layer_verifier.h"

namespace nexus::compaction {

class OutputVerifier {
 public:
  // `output` is the file as it is on disk, best opened without a page cache; `written` is what the
  // merge told of it.
  OutputVerifier(std::shared_ptr<const layer::LayerReader> output, layer::LayerSummary written);
  ~OutputVerifier();
  OutputVerifier(const OutputVerifier&) = delete;
  OutputVerifier& operator=(const OutputVerifier&) = delete;

  // Checks a bounded piece: about a million samples, or a series if it has more. False when all is
  // checked and right. DataLoss says what is wrong, with file, page and offset; nothing is gained
  // by going on then.
  StatusOr<bool> Step();

  layer::VerifyProgress progress() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// The same in one go.
Status VerifyOutput(std::shared_ptr<const layer::LayerReader> output,
                    const layer::LayerSummary& written);

}  // namespace nexus::compaction

#endif  // NEXUS_COMPACTION_VERIFY_OUTPUT_H_
