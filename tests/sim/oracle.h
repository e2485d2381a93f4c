// Oracle: what a correct database must answer, kept outside the faulty disk.
//
// Every sample that the workload writes carries a value of its own, made from the number of its
// write, so that an observed value tells which batch put it there. Batches enter the log in the
// order in which they were submitted; of two writes to one series and timestamp the later batch
// wins. Where several writers run side by side, each has series of its own.
//
// A delete is a batch that writes nothing to every place of its region. Nothing that it hides can
// be told from what never came; but a place that shows nothing though a batch surely wrote there
// tells that a delete behind it is there, and a place that shows a batch tells that no delete
// behind it is. So the rules hold for deletes as for batches.
//
// A place whose retention is over may show nothing at any time; it never shows an older write. What
// is written to it anew may be rejected: then it is as if it had not been submitted. Of a batch
// whose answer never came nobody knows whether that was so, and it may show an older write for
// that.
//
// Rules (TESTING section 4): (1) an acknowledged batch is there; (2) nothing is there that was not
// submitted; (3) a batch is there whole or not at all; (4) the first observation that decides about
// an in-doubt batch decides for ever - also over the next power cut; (5) a crash takes a suffix of
// what was submitted in one life, and of what had a buffered acknowledgement only the youngest; (6)
// a refused batch is absent; (7) a query sees every batch acknowledged before it began. A batch of
// a client that still retries is in flight, and may come late, but never twice: a second copy would
// stand above what was written after the first, and the database would count more batches than
// there were. Threading: one thread.

#ifndef NEXUS_TESTS_SIM_ORACLE_H_
#define NEXUS_TESTS_SIM_ORACLE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace nexus::sim_test {

// A series by its number in the workload, and a timestamp.
struct Place {
  uint32_t series = 0;
  int64_t timestamp = 0;
  auto operator<=>(const Place&) const = default;
};

// The places of some series within a range of time.
struct Region {
  uint32_t series_first = 0;
  uint32_t series_last = 0;
  int64_t first = 0;
  int64_t last = 0;
  bool Covers(const Place& place) const {
    return series_first <= place.series && place.series <= series_last &&
           first <= place.timestamp && place.timestamp <= last;
  }
};

struct Observed {
  Place place;
  uint64_t bits = 0;  // of the value
};

class Oracle {
 public:
  explicit Oracle(uint64_t seed) : seeds_{{0, seed}} {}

  // The oracle of a branch that is about to be made from the one that this oracle is of. What is in
  // flight may come to be a part of it or not; what is submitted to one of them from now on is none
  // of the other's.
  Oracle Fork(uint64_t seed) const;
  // What `parent` was told since this was forked from it: of what was in flight then, that which
  // was not written there is not here either.
  void LearnRefusals(const Oracle& parent);

  // A batch that is about to be submitted; within it each place is unique. Gives its number.
  // `ordered`: it enters the log before what is submitted later in this life of the database.
  uint64_t Submit(std::vector<Place> places, bool ordered = true);
  // A delete of these places that is about to be submitted. Gives its number among the batches.
  // REQUIRES: only ordered batches write to these places.
  uint64_t SubmitDelete(const Region& region);
  // The bits to write at places[index] of a batch: any 64-bit pattern, unique in the run.
  uint64_t ValueOf(uint64_t batch, size_t index) const;

  void Acknowledged(uint64_t batch);
  // It has its place in the log, not more, at this time.
  void Buffered(uint64_t batch, int64_t now_ns);
  void Refused(uint64_t batch);  // definitely not written
  // Of a batch that is acknowledged next, these samples of it, by their number, are not written.
  void Rejected(uint64_t batch, uint32_t first, uint32_t count);
  const Place& PlaceOf(uint64_t batch, uint32_t index) const {
    return batches_[batch].places[index];
  }
  // Its newest timestamp.
  int64_t NewestOf(uint64_t batch) const;
  // The outcome is unknown (the process died, or the log failed). What was buffered before
  // `durable_before_ns` must have become durable.
  void InDoubt(uint64_t batch, int64_t durable_before_ns = INT64_MIN);
  // A life of the database is over; what follows is not ordered behind what it took.
  void EndLife() { life_++; }

  // From now on what was written to the series below this time may be absent: its retention is
  // over. What is absent there tells nothing; what is shown there must be right.
  void Expire(uint32_t series, int64_t before);
  // Likewise all that may be absent from the other.
  void ExpireAs(const Oracle& other);

  // Everything that a query over `series` within [first, last] returned, checked against the rules;
  // it began when the batches below `submitted_before` were submitted and those of
  // `acknowledged_before` ones acknowledged. Returns what is wrong, or nothing.
  struct Query {
    uint32_t series_first = 0;
    uint32_t series_last = 0;
    int64_t first = 0;
    int64_t last = 0;
    uint64_t acknowledged_at_start = 0;  // acknowledgements() when the query took its version
  };
  std::optional<std::string> Check(const Query& query, const std::vector<Observed>& observed);

  // So many batches more were put into the database, replay not counted.
  void Applied(uint64_t batches) { applied_ += batches; }
  // What is wrong with that number: there were not so many batches that may be there.
  std::optional<std::string> CheckApplied() const;
  // One more may have been put into another branch.
  void SubmittedElsewhere() { elsewhere_++; }

  uint64_t batches() const { return batches_.size(); }
  // Number of acknowledgements so far: the clock that queries are ordered by.
  uint64_t acknowledgements() const { return acknowledgements_; }
  uint64_t decided_present() const { return decided_present_; }
  uint64_t decided_absent() const { return decided_absent_; }
  uint64_t samples() const { return samples_; }
  // Places at which a delete was seen to have taken what a batch wrote.
  uint64_t deleted_places_seen() const { return deleted_places_seen_; }

 private:
  enum class Fate : uint8_t {
    kInFlight,
    kBuffered,
    kAcknowledged,
    kRefused,
    kInDoubt,
    kPresent,
    kAbsent
  };
  struct Batch {
    std::vector<Place> places;
    std::optional<Region> deletes;  // of a delete, which has no places
    Fate fate = Fate::kInFlight;
    uint64_t life = 0;  // 0: not ordered
    int64_t buffered_ns = 0;
    uint64_t acknowledged_at = 0;  // place in the order of acknowledgements, from 1
    bool answered = false;         // so `rejected` is all there is
    std::set<uint32_t> rejected;
  };
  struct Write {
    uint64_t batch;
    uint32_t index;
  };
  // Evidence that one query gives about one batch.
  struct Evidence {
    std::optional<Place> present;
    std::optional<Place> absent;
  };

  bool IsExpired(const Place& place) const {
    auto found = expired_.find(place.series);
    return found != expired_.end() && place.timestamp < found->second;
  }
  bool WasRejected(const Write& write) const {
    return batches_[write.batch].rejected.contains(write.index);
  }
  bool MustBePresent(const Batch& batch, const Query& query) const;
  bool MayBePresent(const Batch& batch) const {
    return batch.fate != Fate::kRefused && batch.fate != Fate::kAbsent;
  }
  // What a place says of the deletes that cover it, and of its writes, if it shows nothing.
  void WeighNothing(const Place& place, const std::vector<Write>& writes, const Query& query,
                    std::map<uint64_t, Evidence>* evidence);
  void WeighDeletes(const Place& place, uint64_t shown,
                    std::map<uint64_t, Evidence>* evidence) const;
  std::optional<std::string> Judge(uint64_t number, const Evidence& evidence, const Query& query);
  // Rule 5, over what one query saw.
  std::optional<std::string> JudgeOrder(const std::map<uint64_t, Evidence>& evidence) const;

  // Seeds of values, each from a batch on: those of two branches never agree.
  std::vector<std::pair<uint64_t, uint64_t>> seeds_;
  std::vector<Batch> batches_;
  std::vector<uint64_t> deletes_;               // numbers of batches, ascending
  std::map<Place, std::vector<Write>> writes_;  // in submission order
  std::unordered_map<uint64_t, Write> by_value_;
  std::map<uint32_t, int64_t> expired_;  // by series, below what time
  uint64_t life_ = 1;
  std::optional<std::string> contradiction_;  // an outcome that what was seen before forbids
  uint64_t acknowledgements_ = 0;
  uint64_t applied_ = 0;
  uint64_t elsewhere_ = 0;
  uint64_t decided_present_ = 0;
  uint64_t decided_absent_ = 0;
  uint64_t samples_ = 0;
  uint64_t deleted_places_seen_ = 0;
};

}  // namespace nexus::sim_test

#endif  // NEXUS_TESTS_SIM_ORACLE_H_
