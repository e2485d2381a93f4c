// See verify_output.h.

#include "compaction/verify_output.h"

#include <utility>

namespace nexus::compaction {
namespace {

// Work of a step: about 5 ms.
constexpr uint64_t kStepSamples = 1 << 20;
constexpr uint64_t kStepBytes = 8 << 20;

}  // namespace

class OutputVerifier::Impl {
 public:
  Impl(std::shared_ptr<const layer::LayerReader> output, layer::LayerSummary written)
      : output_(output), written_(std::move(written)), verifier_(std::move(output), Visitor()) {}

  StatusOr<bool> Step() {
    const uint64_t samples = verifier_.checked().samples;
    const uint64_t bytes = verifier_.progress().bytes_done;
    bool more = true;
    while (more && verifier_.checked().samples - samples < kStepSamples &&
           verifier_.progress().bytes_done - bytes < kStepBytes) {
      more = verifier_.Step();
      if (!damage_.empty()) return DataLoss("{}", damage_);
    }
    if (more) return true;
    if (output_->summary() != written_) {
      return DataLoss("layer {}: its footer is not what was written", output_->path());
    }
    return false;
  }

  layer::VerifyProgress progress() const { return verifier_.progress(); }

 private:
  layer::LayerVerifier::Visitor Visitor() {
    layer::LayerVerifier::Visitor visitor;
    visitor.damage = [this](layer::LayerDamage damage) {
      if (damage_.empty()) damage_ = std::move(damage.description);
    };
    return visitor;
  }

  const std::shared_ptr<const layer::LayerReader> output_;
  const layer::LayerSummary written_;
  std::string damage_;  // the first that was found
  layer::LayerVerifier verifier_;
};

OutputVerifier::OutputVerifier(std::shared_ptr<const layer::LayerReader> output,
                               layer::LayerSummary written)
    : impl_(std::make_unique<Impl>(std::move(output), std::move(written))) {}
OutputVerifier::~OutputVerifier() = default;
StatusOr<bool> OutputVerifier::Step() { return impl_->Step(); }
layer::VerifyProgress OutputVerifier::progress() const { return impl_->progress(); }

Status VerifyOutput(std::shared_ptr<const layer::LayerReader> output,
                    const layer::LayerSummary& written) {
  OutputVerifier verifier(std::move(output), written);
  for (bool more = true; more;) {
    NEXUS_ASSIGN_OR_RETURN(more, verifier.Step());
  }
  return OkStatus();
}

}  // namespace nexus::compaction
