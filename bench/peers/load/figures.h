// Figures of one run as a JSON object on one line.
//
// Numbers that JSON lacks (not finite) are written as null. Threading: values.

#ifndef NEXUS_BENCH_PEERS_LOAD_FIGURES_H_
#define NEXUS_BENCH_PEERS_LOAD_FIGURES_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/peers/questions.h"

namespace nexus::bench {

// The value that a part `quantile` of all does not exceed, of an ascending list: the one at
// floor(quantile * (size - 1)). 0 of none.
double Quantile(std::span<const double> ascending, double quantile);

class Figures {
 public:
  Figures& Add(std::string_view name, std::string_view text);
  Figures& Add(std::string_view name, const char* text) {
    return Add(name, std::string_view(text));
  }
  Figures& Add(std::string_view name, double value);
  Figures& Add(std::string_view name, uint64_t value);
  Figures& AddNull(std::string_view name);
  // As [[count, sum], ...], at most the first `answers_max`.
  Figures& Add(std::string_view name, std::span<const Answer> answers, size_t answers_max);

  std::string ToJson() const { return "{" + members_ + "}"; }

 private:
  Figures& AddRaw(std::string_view name, std::string_view json);

  std::string members_;
};

}  // namespace nexus::bench

#endif  // NEXUS_BENCH_PEERS_LOAD_FIGURES_H_
