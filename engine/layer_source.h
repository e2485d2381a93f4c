// LayerSource: a layer file as a source of samples. See sample_source.h.

#ifndef NEXUS_ENGINE_LAYER_SOURCE_H_
#define NEXUS_ENGINE_LAYER_SOURCE_H_

#include <memory>
#include <utility>

#include "engine/sample_source.h"
#include "layer/layer_reader.h"

namespace nexus::engine {

class LayerSource : public SampleSource {
 public:
  explicit LayerSource(std::shared_ptr<const layer::LayerReader> layer)
      : layer_(std::move(layer)) {}

  Kind kind() const override { return Kind::kLayer; }
  TimeRange range() const override { return layer_->summary().range; }
  WriteOrder end() const override { return layer_->summary().identity.order_high; }
  std::unique_ptr<SourceReader> NewReader() const override;

 private:
  const std::shared_ptr<const layer::LayerReader> layer_;
};

}  // namespace nexus::engine

#endif  // NEXUS_ENGINE_LAYER_SOURCE_H_
