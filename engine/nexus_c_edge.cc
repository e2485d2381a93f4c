// Errors and sized structs at the edge to C. See nexus_c_edge.h.

#include "engine/nexus_c_edge.h"

namespace nexus::c_edge {

int32_t Fill(const Status& status, nexus_error* error) {
  const auto code = static_cast<int32_t>(status.code());
  if (error == nullptr) return code;
  error->code = code;
  error->expected_sequence = ExpectedSequence(status).value_or(0);
  std::string_view message = FromAbsl(status.message());
  size_t size = std::min(message.size(), sizeof(error->message) - 1);
  if (size > 0) std::memcpy(error->message, message.data(), size);
  error->message[size] = '\0';
  return code;
}

int32_t FillThrown(int32_t code, const char* message, nexus_error* error) noexcept {
  if (error == nullptr) return code;
  error->code = code;
  error->expected_sequence = 0;
  std::strncpy(error->message, message, sizeof(error->message) - 1);
  error->message[sizeof(error->message) - 1] = '\0';
  return code;
}

Status CheckSized(const void* given, size_t known, const char* name) {
  // A size that was never set would be anything: no version of a struct comes near this.
  constexpr size_t kStructBytesMax = 4096;
  size_t size;
  std::memcpy(&size, given, sizeof(size));
  if (size < sizeof(size) || size > kStructBytesMax) {
    return InvalidArgument("{}.size is {}: set it to sizeof({})", name, size, name);
  }
  const auto* bytes = static_cast<const unsigned char*>(given);
  for (size_t i = known; i < size; i++) {
    if (bytes[i] != 0) {
      return InvalidArgument(
          "{} has a field at byte {} that nexus {} does not know: leave it zero, or use a newer "
          "library",
          name, i, Version());
    }
  }
  return OkStatus();
}

}  // namespace nexus::c_edge
