// Spans of samples, and the newest sample by way of chunks. See sample_source.h.

#include "engine/sample_source.h"

#include <algorithm>

namespace nexus::engine {

size_t SampleSpan::CountBefore(int64_t bound) const {
  size_t step = 1;
  size_t low = 0;  // all before it are below the bound
  while (low + step <= count && timestamps[low + step - 1] < bound) {
    low += step;
    step *= 2;
  }
  const int64_t* end = timestamps + std::min(low + step, count);
  return static_cast<size_t>(std::lower_bound(timestamps + low, end, bound) - timestamps);
}

SampleSpan SampleSpan::Cut(TimeRange range) const {
  const int64_t* end = timestamps + count;
  const int64_t* first = std::lower_bound(timestamps, end, range.first);
  const int64_t* last = std::upper_bound(first, end, range.last);
  return From(static_cast<size_t>(first - timestamps)).First(static_cast<size_t>(last - first));
}

StatusOr<std::optional<Sample>> SourceReader::Latest(const SeriesName& series, TimeRange range) {
  std::vector<ChunkRef> chunks;
  NEXUS_RETURN_IF_ERROR(Chunks(series, range, &chunks));
  SampleBuffer buffer;
  // The last chunk may reach into the range with none of its samples in it.
  for (size_t i = chunks.size(); i-- > 0;) {
    const ChunkRef& chunk = chunks[i];
    if (chunk.has_statistics && range.Contains(chunk.range.last)) {
      return std::optional<Sample>({chunk.range.last, chunk.statistics.last});
    }
    buffer.Reserve(chunk.buffer_samples);
    NEXUS_ASSIGN_OR_RETURN(SampleSpan span, Read(chunk, range, &buffer));
    if (!span.empty()) {
      return std::optional<Sample>({span.back(), span.values[span.count - 1]});
    }
  }
  return std::optional<Sample>();
}

}  // namespace nexus::engine
