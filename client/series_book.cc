// Numbers of series. See series_book.h.

#include "client/series_book.h"

#include <utility>

#include "base/check.h"
#include "base/status.h"

namespace nexus::client {

SeriesId SeriesBook::Number(std::string canonical) {
  MutexLock lock(&mutex_);
  auto known = numbers_.find(ToAbsl(canonical));
  if (known != numbers_.end()) return {known->second};
  series_.push_back(std::move(canonical));
  numbers_.emplace(ToAbsl(series_.back()), series_.size());
  return {series_.size()};
}

uint64_t SeriesBook::size() const {
  MutexLock lock(&mutex_);
  return series_.size();
}

std::string_view SeriesBook::Canonical(uint64_t number) const {
  MutexLock lock(&mutex_);
  NEXUS_CHECK(number >= 1 && number <= series_.size());
  return series_[number - 1];
}

std::shared_ptr<SeriesBook> SeriesBooks::Of(std::string_view tenant) {
  MutexLock lock(&mutex_);
  auto found = books_.find(tenant);
  if (found == books_.end()) {
    found = books_.emplace(std::string(tenant), std::make_shared<SeriesBook>()).first;
  }
  return found->second;
}

}  // namespace nexus::client
