// What a session knows of one tenant and branch. Part of session.h.

#ifndef NEXUS_CLIENT_SESSION_TARGET_H_
#define NEXUS_CLIENT_SESSION_TARGET_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "client/series_book.h"
#include "client/session.h"
#include "client/write_queue.h"

namespace nexus::client {

struct Session::TargetState {
  TargetState(protocol::OpenTarget opened, std::shared_ptr<SeriesBook> series, ProducerId producer,
              uint64_t seed)
      : name(std::move(opened)), book(std::move(series)), writes(producer, seed) {}

  bool is_default() const { return name == protocol::OpenTarget(); }

  const protocol::OpenTarget name;
  const std::shared_ptr<SeriesBook> book;
  WriteQueue writes;
  // Why the server refused series, the last time it did: told with the samples it cost.
  std::string refusal;

  // Of the connection: the number of the target, and how many series are registered.
  std::optional<uint32_t> wire;
  uint64_t registered = 0;
};

}  // namespace nexus::client

#endif  // NEXUS_CLIENT_SESSION_TARGET_H_
