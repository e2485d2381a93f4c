// The rules, applied. See oracle.h.

#include "tests/sim/oracle.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "io/sim/choice.h"

namespace nexus::sim_test {
namespace {

std::string Shown(const Place& place) {
  return fmt::format("series {} at {}", place.series, place.timestamp);
}

}  // namespace

uint64_t Oracle::ValueOf(uint64_t batch, size_t index) const {
  // A bijection of (batch, index): unique for up to 2^20 samples a batch. NaNs and infinities
  // occur.
  auto from = std::find_if(seeds_.rbegin(), seeds_.rend(),
                           [batch](const auto& seed) { return seed.first <= batch; });
  return sim::MixBits(sim::MixBits(from->second) ^ (batch << 20 | index));
}

Oracle Oracle::Fork(uint64_t seed) const {
  Oracle fork = *this;
  fork.seeds_.emplace_back(batches_.size(), seed);
  for (Batch& batch : fork.batches_) {
    if (batch.fate == Fate::kInFlight || batch.fate == Fate::kBuffered) {
      batch.fate = Fate::kInDoubt;
    }
  }
  // What is written to the branch is not ordered behind what did not get into it.
  fork.life_++;
  return fork;
}

void Oracle::LearnRefusals(const Oracle& parent) {
  const uint64_t shared = seeds_.back().first;
  for (uint64_t number = 0; number < shared; number++) {
    Batch& batch = batches_[number];
    if (batch.fate != Fate::kInDoubt) continue;
    const Batch& answered = parent.batches_[number];
    batch.rejected = answered.rejected;
    if (answered.fate == Fate::kRefused) batch.fate = Fate::kRefused;
  }
}

uint64_t Oracle::Submit(std::vector<Place> places, bool ordered) {
  uint64_t number = batches_.size();
  for (uint32_t i = 0; i < places.size(); i++) {
    writes_[places[i]].push_back({number, i});
    bool unique = by_value_.emplace(ValueOf(number, i), Write{number, i}).second;
    NEXUS_CHECK(unique);
  }
  samples_ += places.size();
  Batch batch;
  batch.places = std::move(places);
  batch.life = ordered ? life_ : 0;
  batches_.push_back(std::move(batch));
  return number;
}

uint64_t Oracle::SubmitDelete(const Region& region) {
  Batch batch;
  batch.deletes = region;
  batch.life = life_;
  deletes_.push_back(batches_.size());
  batches_.push_back(std::move(batch));
  return deletes_.back();
}

void Oracle::Expire(uint32_t series, int64_t before) {
  auto [found, added] = expired_.emplace(series, before);
  if (!added) found->second = std::max(found->second, before);
}

void Oracle::ExpireAs(const Oracle& other) {
  for (const auto& [series, before] : other.expired_) Expire(series, before);
}

void Oracle::Rejected(uint64_t batch, uint32_t first, uint32_t count) {
  for (uint32_t i = first; i < first + count; i++) batches_[batch].rejected.insert(i);
}

int64_t Oracle::NewestOf(uint64_t batch) const {
  int64_t newest = INT64_MIN;
  for (const Place& place : batches_[batch].places) newest = std::max(newest, place.timestamp);
  return newest;
}

void Oracle::Acknowledged(uint64_t batch) {
  batches_[batch].fate = Fate::kAcknowledged;
  batches_[batch].answered = true;
  batches_[batch].acknowledged_at = ++acknowledgements_;
}

void Oracle::Buffered(uint64_t batch, int64_t now_ns) {
  if (batches_[batch].fate == Fate::kInFlight) batches_[batch].fate = Fate::kBuffered;
  batches_[batch].buffered_ns = now_ns;
  batches_[batch].answered = true;
}

void Oracle::Refused(uint64_t batch) {
  if (batches_[batch].fate == Fate::kPresent) {
    contradiction_ = fmt::format("rule 6: batch {} was refused after it had been seen", batch);
  }
  batches_[batch].fate = Fate::kRefused;
}

void Oracle::InDoubt(uint64_t batch, int64_t durable_before_ns) {
  Batch& in_doubt = batches_[batch];
  if (in_doubt.fate == Fate::kBuffered && in_doubt.buffered_ns < durable_before_ns) {
    in_doubt.fate = Fate::kAcknowledged;
    in_doubt.acknowledged_at = ++acknowledgements_;
  }
  if (in_doubt.fate == Fate::kInFlight || in_doubt.fate == Fate::kBuffered) {
    in_doubt.fate = Fate::kInDoubt;
  }
}

bool Oracle::MustBePresent(const Batch& batch, const Query& query) const {
  if (batch.fate == Fate::kPresent) return true;
  return batch.fate == Fate::kAcknowledged && batch.acknowledged_at <= query.acknowledged_at_start;
}

std::optional<std::string> Oracle::Judge(uint64_t number, const Evidence& evidence,
                                         const Query& query) {
  Batch& batch = batches_[number];
  if (evidence.present.has_value() && evidence.absent.has_value()) {
    return fmt::format("rule 3: batch {} is there in part: {} is, {} is not", number,
                       Shown(*evidence.present), Shown(*evidence.absent));
  }
  if (evidence.absent.has_value() && MustBePresent(batch, query)) {
    return fmt::format(
        "rule {}: {} {} is lost: {} does not show it", batch.fate == Fate::kPresent ? 4 : 1,
        batch.deletes.has_value() ? "delete" : "batch", number, Shown(*evidence.absent));
  }
  if (evidence.present.has_value() &&
      (batch.fate == Fate::kRefused || batch.fate == Fate::kAbsent)) {
    return fmt::format(
        "rule {}: batch {} was {} and is there: {}", batch.fate == Fate::kRefused ? 6 : 4, number,
        batch.fate == Fate::kRefused ? "refused" : "seen absent", Shown(*evidence.present));
  }
  // What is read is durable: a batch that was seen stays, even if its acknowledgement never came.
  if (evidence.present.has_value() &&
      (batch.fate == Fate::kInDoubt || batch.fate == Fate::kInFlight ||
       batch.fate == Fate::kBuffered)) {
    if (batch.fate == Fate::kInDoubt) decided_present_++;
    batch.fate = Fate::kPresent;
  }
  if (evidence.absent.has_value() && batch.fate == Fate::kInDoubt) {
    decided_absent_++;
    batch.fate = Fate::kAbsent;
  }
  return std::nullopt;
}

std::optional<std::string> Oracle::JudgeOrder(const std::map<uint64_t, Evidence>& evidence) const {
  std::map<uint64_t, uint64_t> absent;  // the first of each life
  for (const auto& [number, seen] : evidence) {
    const Batch& batch = batches_[number];
    if (batch.life == 0 || batch.fate == Fate::kRefused) continue;
    if (seen.absent.has_value()) absent.emplace(batch.life, number);
    if (!seen.present.has_value()) continue;
    if (auto gap = absent.find(batch.life); gap != absent.end()) {
      return fmt::format("rule 5: batch {} is there and batch {} before it is not", number,
                         gap->second);
    }
  }
  return std::nullopt;
}

void Oracle::WeighDeletes(const Place& place, uint64_t shown,
                          std::map<uint64_t, Evidence>* evidence) const {
  for (auto at = std::upper_bound(deletes_.begin(), deletes_.end(), shown); at != deletes_.end();
       ++at) {
    if (batches_[*at].deletes->Covers(place)) (*evidence)[*at].absent = place;
  }
}

void Oracle::WeighNothing(const Place& place, const std::vector<Write>& writes, const Query& query,
                          std::map<uint64_t, Evidence>* evidence) {
  for (const Write& write : writes) {
    if (WasRejected(write)) continue;
    // Those behind the write that may have taken it.
    std::vector<uint64_t> deletes;
    bool surely_deleted = false;
    for (auto at = std::upper_bound(deletes_.begin(), deletes_.end(), write.batch);
         at != deletes_.end(); ++at) {
      const Batch& one = batches_[*at];
      if (!one.deletes->Covers(place) || !MayBePresent(one)) continue;
      deletes.push_back(*at);
      surely_deleted = surely_deleted || MustBePresent(one, query);
    }
    const bool surely_written = MustBePresent(batches_[write.batch], query);
    if (surely_deleted) {
      if (surely_written) deleted_places_seen_++;
    } else if (deletes.empty()) {
      (*evidence)[write.batch].absent = place;
    } else if (surely_written && deletes.size() == 1) {
      (*evidence)[deletes.front()].present = place;
    }
  }
}

std::optional<std::string> Oracle::Check(const Query& query,
                                         const std::vector<Observed>& observed) {
  std::map<Place, uint64_t> found;
  for (const Observed& sample : observed) {
    if (!found.emplace(sample.place, sample.bits).second) {
      return fmt::format("{} was returned twice", Shown(sample.place));
    }
  }
  std::map<uint64_t, Evidence> evidence;
  const auto end = writes_.upper_bound({query.series_last, INT64_MAX});
  for (auto at = writes_.lower_bound({query.series_first, INT64_MIN}); at != end; ++at) {
    const auto& [place, writes] = *at;
    if (place.timestamp < query.first || place.timestamp > query.last) continue;
    std::optional<Write> shown;
    if (auto hit = found.find(place); hit != found.end()) {
      auto known = by_value_.find(hit->second);
      bool ours = known != by_value_.end() &&
                  batches_[known->second.batch].places[known->second.index] == place;
      if (!ours) {
        return fmt::format("rule 2: {} has bits {:#x}, never written there", Shown(place),
                           hit->second);
      }
      shown = known->second;
      found.erase(hit);
      if (WasRejected(*shown)) {
        return fmt::format("rule 6: {} shows what was rejected of batch {}", Shown(place),
                           shown->batch);
      }
    }
    if (!shown.has_value()) {
      if (!IsExpired(place)) WeighNothing(place, writes, query, &evidence);
      continue;
    }
    WeighDeletes(place, shown->batch, &evidence);
    for (const Write& write : writes) {
      if (write.batch < shown->batch) continue;  // overwritten: says nothing
      bool is_shown = write.batch == shown->batch;
      const bool is_silent = !batches_[write.batch].answered && IsExpired(place);
      if (!is_shown && (WasRejected(write) || is_silent)) continue;
      (is_shown ? evidence[write.batch].present : evidence[write.batch].absent) = place;
    }
  }
  if (!found.empty())
    return fmt::format("rule 2: {} was never written", Shown(found.begin()->first));
  for (const auto& [number, seen] : evidence) {
    if (std::optional<std::string> wrong = Judge(number, seen, query)) return wrong;
  }
  if (std::optional<std::string> wrong = JudgeOrder(evidence)) return wrong;
  return contradiction_;
}

std::optional<std::string> Oracle::CheckApplied() const {
  auto may_be_there = [this](const Batch& batch) {
    return !batch.deletes.has_value() && MayBePresent(batch);
  };
  const auto here = std::count_if(batches_.begin(), batches_.end(), may_be_there);
  const uint64_t limit = static_cast<uint64_t>(here) + elsewhere_;
  if (applied_ <= limit) return std::nullopt;
  return fmt::format("counted twice: {} batches were applied, of {} at most", applied_, limit);
}

}  // namespace nexus::sim_test
