// Trace: what happened in a world, as a running 64-bit hash and, if asked for, as lines of text.
//
// Two runs of one seed must have the same hash; the first line in which their texts differ is where
// determinism was lost. Threading: one world, one thread.

#ifndef NEXUS_IO_SIM_TRACE_H_
#define NEXUS_IO_SIM_TRACE_H_

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "io/sim/choice.h"

namespace nexus::sim {

// What an event is, so that equal numbers of different events hash differently.
enum class TraceTag : uint64_t {
  kNode = 1,
  kWork,
  kSubmit,
  kComplete,
  kMetadata,
  kFault,
  kBoot,
  kCrash,
  kSurvival,
  kNetwork,
};

class Trace {
 public:
  explicit Trace(std::function<void(std::string_view)> sink) : sink_(std::move(sink)) {}

  // One event: tag and words go into the hash, the formatted line to the sink, if there is one.
  template <typename... Args>
  void Event(TraceTag tag, std::initializer_list<uint64_t> words,
             fmt::format_string<Args...> format, Args&&... args) {
    Mix(static_cast<uint64_t>(tag));
    for (uint64_t word : words) Mix(word);
    if (sink_) sink_(fmt::format(format, std::forward<Args>(args)...));
  }
  uint64_t hash() const { return hash_; }

 private:
  void Mix(uint64_t word) { hash_ = MixBits(hash_ ^ word) + 0x9e3779b97f4a7c15; }

  std::function<void(std::string_view)> sink_;
  uint64_t hash_ = 0;
};

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_TRACE_H_
