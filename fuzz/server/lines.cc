// Fuzzes line protocol over a connection: however the bytes are cut, the same lines are stored and
// refused, and the session answers once.
//
// The first byte is the size of pieces (0: 256), the rest the stream.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "fuzz/server/session_world.h"
#include "server/text_session.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view stream(reinterpret_cast<const char*>(data + 1), size - 1);
  const size_t piece = data[0] == 0 ? 256 : data[0];
  nexus::server::SessionWorld* world = nexus::server::WorldOfInput();
  std::string whole = world->Converse<nexus::server::TextSession>(stream, size);
  std::string pieces = world->Converse<nexus::server::TextSession>(stream, piece);
  // "ok <accepted> <rejected> <lsn>": the log has grown.
  NEXUS_CHECK(whole.starts_with("ok ") && whole.ends_with("\n"));
  NEXUS_CHECK(whole.substr(0, whole.rfind(' ')) == pieces.substr(0, pieces.rfind(' ')));
  return 0;
}
