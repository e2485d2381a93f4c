// LabelBatch: the labels of many series of one tenant, each distinct string and each distinct label
// held once, with the series of each label.
//
// What both a commit and the delta's index need: strings become numbers, labels pairs of numbers,
// postings lists of ids. Series that come together share most labels at the same place, so a label
// is first compared with that of the series before (one memcmp) and only looked up if it differs.
// Bounds: fewer than 2^32 labels in all, which memory ends long before. Threading: built by one
// thread; immutable after Finish.

#ifndef NEXUS_CATALOG_LABEL_BATCH_H_
#define NEXUS_CATALOG_LABEL_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/types.h"

namespace nexus::catalog {

class LabelBatch {
 public:
  struct Label {
    uint32_t name = 0;  // number of a string
    uint32_t value = 0;
  };

  // `hash_seed` should be unknown outside, or chosen labels could make look-ups slow.
  explicit LabelBatch(uint64_t hash_seed);

  // Adds a series by its canonical labels, which must outlive this. False, and the series is not
  // added, if they are malformed: not in canonical form or a string beyond its limit
  // (base/labels.h).
  // REQUIRES: ids ascend from call to call.
  bool Add(SeriesId id, std::string_view canonical);
  // Ends adding; makes the lists of ids.
  void Finish();

  size_t series() const { return ids_.size(); }
  size_t strings() const { return strings_.size(); }
  size_t labels() const { return labels_.size(); }

  std::string_view string(uint32_t number) const { return strings_[number]; }
  Label label(uint32_t number) const { return labels_[number]; }
  SeriesId id(size_t index) const { return {ids_[index]}; }
  // Numbers of the labels of a series, in canonical order.
  std::span<const uint32_t> labels_of(size_t series_index) const {
    return std::span(row_labels_)
        .subspan(row_begin_[series_index], row_begin_[series_index + 1] - row_begin_[series_index]);
  }
  // Ids that have a label, ascending.
  std::span<const uint64_t> ids_of(uint32_t label) const {
    return std::span(label_ids_).subspan(label_begin_[label], label_count_[label]);
  }

 private:
  struct SeededHash {
    uint64_t seed;
    size_t operator()(std::string_view s) const { return XxHash64(AsBytes(s), seed); }
  };
  // A label of the series before: its bytes in the canonical form, with their end mark.
  struct Piece {
    std::string_view bytes;
    uint32_t label = 0;
  };

  // The length of the label that `rest` begins with, end mark included; 0 if it is malformed.
  size_t ParseLabel(std::string_view rest, bool metric, uint32_t* label);
  uint32_t NumberOf(std::string_view string);

  std::vector<std::string_view> strings_;
  absl::flat_hash_map<std::string_view, uint32_t, SeededHash> string_numbers_;
  std::vector<Label> labels_;
  absl::flat_hash_map<uint64_t, uint32_t> label_numbers_;  // name << 32 | value
  std::vector<Piece> previous_;

  std::vector<uint64_t> ids_;
  std::vector<uint32_t> row_begin_;
  std::vector<uint32_t> row_labels_;
  std::vector<uint32_t> label_begin_;
  std::vector<uint32_t> label_count_;
  std::vector<uint64_t> label_ids_;
};

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_LABEL_BATCH_H_
