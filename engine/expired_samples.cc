// Looking at the age of a batch's samples. See expired_samples.h.

#include "engine/expired_samples.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "base/planted.h"
#include "base/time_text.h"
#include "engine/nexus.h"
#include "engine/retention.h"
#include "engine/state.h"
#include "wal/record.h"

namespace nexus {
namespace engine {
namespace {

constexpr absl::string_view kExpired = "nexus/expired";

// The runs of samples below a time, in order.
class OldRuns {
 public:
  OldRuns(int64_t kept_from, size_t ranges_max) : kept_from_(kept_from), ranges_max_(ranges_max) {}

  // Samples [first, first + count) of a section.
  void Scan(const SectionView& section, size_t first, size_t count) {
    if (section.timestamps.coding() == TimestampCoding::kOne) {
      if (section.timestamps[0] < kept_from_) Add(section.first_sample + first, count);
      return;
    }
    std::array<int64_t, 512> times;
    for (size_t at = 0; at < count; at += times.size()) {
      const size_t some = std::min(times.size(), count - at);
      section.timestamps.Decode(first + at, some, times.data());
      for (size_t i = 0; i < some; i++) {
        if (times[i] < kept_from_) Add(section.first_sample + first + at + i, 1);
      }
    }
  }

  std::vector<RejectedRange> ranges;
  uint64_t samples = 0;

 private:
  void Add(size_t first, size_t count) {
    const bool continues =
        !ranges.empty() && size_t{ranges.back().first} + ranges.back().count == first;
    if (!continues && ranges.size() >= ranges_max_) return;
    if (!continues) ranges.push_back({static_cast<uint32_t>(first), 0});
    ranges.back().count += static_cast<uint32_t>(count);
    samples += count;
  }

  const int64_t kept_from_;
  const size_t ranges_max_;
};

// How many ranges more the record may hold.
size_t RoomFor(const BatchView& batch, Bytes body) {
  const size_t held = batch.rejected().size();
  if (held >= kExpiredRangesMax || body.size() >= wal::kRecordBytesMax) return 0;
  return std::min(kExpiredRangesMax - held,
                  (wal::kRecordBytesMax - body.size()) / sizeof(RejectedRange));
}

// The batch with other rejected ranges. Every part of it is a multiple of 8 bytes long.
std::vector<uint64_t> WithRejected(const BatchView& batch, Bytes body,
                                   const std::vector<RejectedRange>& rejected) {
  static_assert(sizeof(RejectedRange) == sizeof(uint64_t));
  const size_t sections = body.size() - batch.rejected().size() * sizeof(RejectedRange);
  std::vector<uint64_t> words(sections / sizeof(uint64_t) + rejected.size());
  auto* bytes = reinterpret_cast<std::byte*>(words.data());
  std::memcpy(bytes, body.data(), sections);
  std::memcpy(bytes + sections, rejected.data(), rejected.size() * sizeof(RejectedRange));
  StoreUnaligned(bytes + offsetof(BatchHeader, rejected_count),
                 static_cast<uint32_t>(rejected.size()));
  return words;
}

Status Reason(const TenantState& tenant, uint64_t expired, uint64_t samples, int64_t kept_from) {
  Status status = OutOfRange(
      "expired: {} of {} samples are older than {}, and tenant \"{}\" keeps nothing that old; set "
      "a longer retention first (nexus retention set), or send them to a tenant that keeps them",
      expired, samples, FormatTime(kept_from), tenant.record.name);
  status.SetPayload(kExpired, absl::Cord());
  return status;
}

}  // namespace

int64_t KeptFrom(const DatabaseState& state, const TenantState& tenant) {
  const std::optional<int64_t> clock = state.retention_clock.applied_ns();
  if (tenant.retention->empty() || !clock.has_value()) return kKeepAll;
  if (NEXUS_PLANTED("expired-append-by-wall-clock")) {
    return tenant.retention->CutOfAllAt(state.environment->WallNanos());
  }
  return tenant.retention->CutOfAllAt(*clock);
}

std::unique_ptr<const ExpiredSamples> FindExpired(const DatabaseState& state,
                                                  const TenantState& tenant, Bytes body) {
  const int64_t kept_from = KeptFrom(state, tenant);
  if (kept_from == kKeepAll) return nullptr;
  StatusOr<BatchView> batch = BatchView::Parse(body);
  if (!batch.ok()) return nullptr;
  OldRuns old(kept_from, RoomFor(*batch, body));
  VisitAccepted(*batch, [&old](const SectionView& section, size_t first, size_t count) {
    old.Scan(section, first, count);
  });
  if (old.samples == 0) return nullptr;
  auto expired = std::make_unique<ExpiredSamples>();
  expired->samples = old.samples;
  expired->nothing_left = old.samples + batch->rejected_samples() == batch->sample_count();
  expired->reason = Reason(tenant, old.samples, batch->sample_count(), kept_from);
  auto before = [](const RejectedRange& a, const RejectedRange& b) { return a.first < b.first; };
  std::merge(old.ranges.begin(), old.ranges.end(), batch->rejected().begin(),
             batch->rejected().end(), std::back_inserter(expired->rejected), before);
  expired->words = WithRejected(*batch, body, expired->rejected);
  expired->body = std::as_bytes(std::span(expired->words));
  return expired;
}

}  // namespace engine

bool IsExpired(const Status& status) { return status.GetPayload(engine::kExpired).has_value(); }

}  // namespace nexus
