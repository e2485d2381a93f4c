// Speed of the checksums and identities: XXH3 of a sector, a page, a frame and a large body.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/hash.h"

namespace nexus {
namespace {

void Xxh3(benchmark::State& state) {
  const std::string bytes(static_cast<size_t>(state.range(0)), 'x');
  for (auto _ : state) benchmark::DoNotOptimize(XxHash64(AsBytes(bytes)));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(Xxh3)->ArgName("bytes")->Arg(64)->Arg(512)->Arg(4096)->Arg(65'536)->Arg(1 << 20);

// As the identity of a series is made from its canonical form.
void Xxh3Wide(benchmark::State& state) {
  const std::string bytes(static_cast<size_t>(state.range(0)), 'x');
  for (auto _ : state) benchmark::DoNotOptimize(XxHash128(AsBytes(bytes), 42));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(Xxh3Wide)->ArgName("bytes")->Arg(40)->Arg(250);

}  // namespace
}  // namespace nexus
