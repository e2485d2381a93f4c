// Front coding of labels, and id lists; see series_page.h.

#include "layer/series_page.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "base/labels.h"

namespace nexus::layer {

bool SeriesPageBuilder::MustClose(uint32_t page_bytes) const {
  const size_t label_bytes_max =
      page_bytes < kPageBytesDefault ? page_bytes : size_t{kSeriesPageLabelBytes};
  return size() == kSeriesPerPageMax || labels_.size() >= label_bytes_max;
}

void SeriesPageBuilder::Add(std::string_view labels, SeriesId id) {
  size_t shared = 0;
  if (!ids_.empty()) {
    const auto differ =
        std::mismatch(previous_.begin(), previous_.end(), labels.begin(), labels.end());
    shared = static_cast<size_t>(differ.first - previous_.begin());
  }
  ids_.push_back(id.value);
  shared_.push_back(shared);
  rest_.push_back(labels.size() - shared);
  labels_.append(labels.substr(shared));
  previous_.assign(labels);
}

std::string SeriesPageBuilder::Take(ColumnWriter* columns) {
  std::string payload;
  ByteWriter(&payload).U32(size());
  columns->Write(ids_, &payload);
  columns->Write(shared_, &payload);
  columns->Write(rest_, &payload);
  payload.append(labels_);
  *this = {};
  return payload;
}

StatusOr<std::shared_ptr<const SeriesPage>> SeriesPage::Parse(PageBuffer buffer,
                                                              const PageEntry& entry) {
  auto page = std::make_shared<SeriesPage>();
  ByteReader reader(buffer.bytes());
  const uint32_t count = reader.U32();
  if (count != entry.items || count == 0 || count > kSeriesPerPageMax) {
    return DataLoss("it has {} series, the footer says {}", count, entry.items);
  }
  std::vector<uint64_t> shared(count);
  std::vector<uint64_t> rest(count);
  page->ids_.resize(count);
  ReadColumn(&reader, std::span<uint64_t>(page->ids_));
  ReadColumn(&reader, std::span<uint64_t>(shared));
  ReadColumn(&reader, std::span<uint64_t>(rest));
  if (!reader.ok()) return DataLoss("its columns are malformed");
  page->labels_ = reader.TakeString(reader.remaining());
  uint64_t length = 0;  // of the labels before
  uint64_t end = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (shared[i] > length || rest[i] > page->labels_.size() - end) {
      return DataLoss("labels leave the page");
    }
    length = shared[i] + rest[i];
    end += rest[i];
    if (length > kCanonicalBytesMax) return DataLoss("labels are longer than labels can be");
    page->shared_.push_back(static_cast<uint32_t>(shared[i]));
    page->ends_.push_back(static_cast<uint32_t>(end));
  }
  if (end != page->labels_.size()) return DataLoss("bytes are left behind its labels");
  page->buffer_ = std::move(buffer);
  return page;
}

void SeriesPage::Advance(uint32_t index, std::string* labels) const {
  const uint32_t begin = index == 0 ? 0 : ends_[index - 1];
  labels->resize(shared_[index]);
  labels->append(labels_.substr(begin, ends_[index] - begin));
}

uint64_t SeriesPage::memory_bytes() const {
  return buffer_.memory_bytes() + ids_.capacity() * sizeof(uint64_t) +
         (shared_.capacity() + ends_.capacity()) * sizeof(uint32_t);
}

std::shared_ptr<const SeriesPage> SeriesPage::Part(uint32_t first, std::string_view labels,
                                                   uint64_t memory_bytes_max) const {
  uint32_t end = first + 1;
  uint64_t label_bytes = labels.size();
  while (end < size()) {
    const uint64_t rest = ends_[end] - ends_[end - 1];
    if (label_bytes + rest + (end + 1 - first) * kSeriesBytes > memory_bytes_max) break;
    label_bytes += rest;
    ++end;
  }
  auto part = std::make_shared<SeriesPage>();
  part->buffer_ = PageBuffer(label_bytes);
  char* const into = reinterpret_cast<char*>(part->buffer_.writable().data());
  const std::string_view others = labels_.substr(ends_[first], ends_[end - 1] - ends_[first]);
  std::copy(others.begin(), others.end(), std::copy(labels.begin(), labels.end(), into));
  part->labels_ = {into, label_bytes};
  part->ids_.assign(ids_.begin() + first, ids_.begin() + end);
  part->shared_.assign(shared_.begin() + first, shared_.begin() + end);
  part->shared_.front() = 0;
  part->ends_.reserve(end - first);
  const auto moved = static_cast<uint32_t>(labels.size());
  for (uint32_t i = first; i < end; ++i) part->ends_.push_back(ends_[i] - ends_[first] + moved);
  return part;
}

std::string EncodeIdPage(std::span<const IdPlace> ids, ColumnWriter* columns) {
  std::vector<uint64_t> values;
  std::vector<uint64_t> places;
  for (const IdPlace& entry : ids) {
    values.push_back(entry.id);
    places.push_back(entry.place);
  }
  std::string payload;
  ByteWriter(&payload).U32(static_cast<uint32_t>(ids.size()));
  columns->Write(values, &payload);
  columns->Write(places, &payload);
  return payload;
}

StatusOr<std::shared_ptr<const IdPage>> IdPage::Parse(PageBuffer buffer, const PageEntry& entry) {
  auto page = std::make_shared<IdPage>();
  ByteReader reader(buffer.bytes());
  const uint32_t count = reader.U32();
  if (count != entry.items || count == 0 || count > kIdsPerPageMax) {
    return DataLoss("it has {} ids, the footer says {}", count, entry.items);
  }
  page->ids_.resize(count);
  page->places_.resize(count);
  ReadColumn(&reader, std::span<uint64_t>(page->ids_));
  ReadColumn(&reader, std::span<uint64_t>(page->places_));
  if (!reader.ok() || !reader.done()) return DataLoss("its columns are malformed");
  if (page->ids_.front() != entry.key) return DataLoss("its first id is wrong");
  const auto not_ascending =
      std::adjacent_find(page->ids_.begin(), page->ids_.end(), std::greater_equal<>());
  if (not_ascending != page->ids_.end()) return DataLoss("its ids do not ascend");
  for (uint64_t place : page->places_) {
    if (place > std::numeric_limits<uint32_t>::max()) return DataLoss("a place is out of range");
  }
  return page;
}

std::optional<uint32_t> IdPage::Find(SeriesId id) const {
  const auto found = std::lower_bound(ids_.begin(), ids_.end(), id.value);
  if (found == ids_.end() || *found != id.value) return std::nullopt;
  return static_cast<uint32_t>(places_[static_cast<size_t>(found - ids_.begin())]);
}

uint64_t IdPage::charge_bytes() const {
  return sizeof(*this) + (ids_.capacity() + places_.capacity()) * sizeof(uint64_t);
}

}  // namespace nexus::layer
