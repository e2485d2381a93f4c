// Raw: each integer in eight bytes, for what nothing else shortens.

#include <cstring>

#include "layer/codec/integer_codec.h"

namespace nexus::layer {
namespace {

class Raw final : public IntegerCodec {
 public:
  IntegerCodecId id() const override { return IntegerCodecId::kRaw; }
  std::string_view name() const override { return "raw"; }

  bool Plan(std::span<const uint64_t> x, IntegerScratch*, IntegerPlan* plan) const override {
    IntegerParameters parameters;
    parameters.codec = id();
    parameters.first = x[0];
    *plan = PlanOf(*this, parameters, x.size());
    return true;
  }

  void Encode(std::span<const uint64_t> x, const IntegerParameters&, IntegerScratch*,
              std::string* out) const override {
    out->append(AsString(std::as_bytes(x)));
  }

  uint64_t StreamBytes(const IntegerParameters&, size_t n) const override {
    return n * sizeof(uint64_t);
  }

  bool Decode(const IntegerParameters& parameters, Bytes stream, size_t n,
              uint64_t* x) const override {
    if (stream.size() != StreamBytes(parameters, n)) return false;
    std::memcpy(x, stream.data(), stream.size());
    return true;
  }
};

}  // namespace

const IntegerCodec& RawCodec() {
  static const Raw kCodec;
  return kCodec;
}

}  // namespace nexus::layer
