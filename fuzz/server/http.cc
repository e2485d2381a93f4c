// Fuzzes HTTP sessions: however the bytes are cut, the answers are the same, and the session closes
// when the peer has ended.
//
// The first byte is the size of pieces (0: 256), the rest the stream. What must differ from one
// conversation to the next is passed over: request ids, log positions, the metrics page, and
// numbered bodies, whose answers depend on what came before.

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "fuzz/server/session_world.h"
#include "server/http_message.h"
#include "server/http_session.h"

namespace nexus::server {
namespace {

// Takes the values of a header out.
void Blank(std::string_view header, std::string* output) {
  for (size_t at = output->find(header); at != std::string::npos;
       at = output->find(header, at + header.size())) {
    const size_t from = at + header.size();
    output->erase(from, output->find("\r\n", from) - from);
  }
}

std::string AnswersTo(SessionWorld* world, std::string_view stream, size_t piece) {
  std::string output = world->Converse<HttpSession>(stream, piece);
  Blank("X-Request-Id: ", &output);
  Blank("Nexus-Durable-Lsn: ", &output);
  return output;
}

bool IsComparable(std::string_view stream, const std::string& answers) {
  std::string lower(stream);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  // A chunk header is too long if it is longer than this and comes in pieces.
  if (stream.size() > kHttpHeaderBytesMax) return false;
  return lower.find("nexus-producer") == std::string::npos &&
         answers.find("nexus_build_info") == std::string::npos;
}

}  // namespace
}  // namespace nexus::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view stream(reinterpret_cast<const char*>(data + 1), size - 1);
  const size_t piece = data[0] == 0 ? 256 : data[0];
  nexus::server::SessionWorld* world = nexus::server::WorldOfInput();
  std::string whole = nexus::server::AnswersTo(world, stream, size);
  std::string pieces = nexus::server::AnswersTo(world, stream, piece);
  if (nexus::server::IsComparable(stream, whole)) NEXUS_CHECK(whole == pieces);
  return 0;
}
