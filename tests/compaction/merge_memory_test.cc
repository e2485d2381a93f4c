// A merge of as many inputs as a job takes, each as costly as a layer can be, stays within its
// memory.

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "tests/compaction/merge_fixture.h"
#include "tests/layer/generators.h"

namespace {

// Bytes on the heap by operator new, and the most there were.
std::atomic<int64_t> live_bytes{0};
std::atomic<int64_t> peak_bytes{0};

void* Allocate(size_t bytes) {
  void* const memory = std::malloc(bytes);
  if (memory == nullptr) std::abort();
  const auto more = static_cast<int64_t>(malloc_usable_size(memory));
  const int64_t now = live_bytes.fetch_add(more) + more;
  if (now > peak_bytes.load()) peak_bytes.store(now);  // one thread
  return memory;
}

void Free(void* memory) {
  if (memory == nullptr) return;
  live_bytes.fetch_sub(static_cast<int64_t>(malloc_usable_size(memory)));
  std::free(memory);
}

}  // namespace

void* operator new(size_t bytes) { return Allocate(bytes); }
void* operator new[](size_t bytes) { return Allocate(bytes); }
void operator delete(void* memory) noexcept { Free(memory); }
void operator delete[](void* memory) noexcept { Free(memory); }
void operator delete(void* memory, size_t) noexcept { Free(memory); }
void operator delete[](void* memory, size_t) noexcept { Free(memory); }

namespace nexus::compaction {
namespace {

using layer::testing::Mixer;
using testing::CanonicalOf;
using testing::LayerData;
using testing::SeriesData;

// Chunks that are as long as can be and cannot be compressed; full pages of short chunks, each with
// a column of timestamps of its own; labels that fill pages.
LayerData CostlyLayer(uint64_t number) {
  Mixer mix{number};
  LayerData data;
  for (uint64_t i = 0; i < 3000; ++i) {
    SeriesData series;
    series.id = i + 1;
    // Every thousandth is long. Those of all layers interleave.
    const size_t count = i % 1000 == 500 ? 9000 : 3;
    for (size_t k = 0; k < count; ++k) {
      series.ts.push_back(static_cast<int64_t>((k * 64 + number) * 1000 + mix.Below(1000)));
      series.values.push_back(std::bit_cast<double>(mix.Next()));
    }
    std::string host = std::to_string(100'000 + i);
    for (int k = 0; k < 100; ++k) {
      host.push_back(static_cast<char>('a' + (i * 31 + static_cast<uint64_t>(k) * i) % 26));
    }
    data[CanonicalOf("m", host)] = std::move(series);
  }
  return data;
}

TEST(MergeMemory, AJobOfTheMostInputsStaysWithinItsBound) {
  MergeJob job;
  const layer::LayerIdentity identity = layer::testing::TestIdentity();
  job.database = identity.database;
  job.tenant = identity.tenant;
  job.identity_seed = identity.identity_seed;
  for (uint64_t number = 0; number < kMergeInputsMax; ++number) {
    job.inputs.push_back(testing::OpenInput(
        layer::testing::Build(CostlyLayer(number), {}, testing::InputIdentity(number)).bytes));
  }
  const int64_t before = live_bytes.load();
  peak_bytes.store(before);
  auto merge = LayerMerge::Create(job);
  ASSERT_TRUE(merge.ok()) << merge.status();
  for (bool done = false; !done;) {
    auto step = (*merge)->Step({9, 500});
    ASSERT_TRUE(step.ok()) << step.status();
    done = step->done;
  }
  EXPECT_EQ((*merge)->progress().samples_done, (*merge)->progress().samples_total);
  const int64_t held = peak_bytes.load() - before;
  EXPECT_LT(held, static_cast<int64_t>(kMergeMemoryMax));
  // It is a job that needs much of it: else the test would show nothing.
  EXPECT_GT(held, static_cast<int64_t>(kMergeMemoryMax / 3));
  RecordProperty("held_bytes", std::to_string(held));
  merge->reset();
  EXPECT_LT(live_bytes.load() - before, 1 << 20);
}

}  // namespace
}  // namespace nexus::compaction
