// FieldReader: walks the body of a message and remembers the first field that is wrong.
//
// A decoder reads all fields in a row and asks Finish() once; the error names message, field and
// offset. After a failure every read yields zero or nothing, so loops over counts must ask ok(), as
// List() does. Threading: values.

#ifndef NEXUS_CLIENT_PROTOCOL_FIELD_READER_H_
#define NEXUS_CLIENT_PROTOCOL_FIELD_READER_H_

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"

namespace nexus::protocol {

class FieldReader {
 public:
  // `message` and the names of fields outlive the reader.
  FieldReader(std::string_view message, Bytes body) : message_(message), reader_(body) {}

  bool ok() const { return error_.empty(); }
  size_t remaining() const { return reader_.remaining(); }
  size_t position() const { return reader_.position(); }

  uint8_t U8(std::string_view field) { return Fixed<uint8_t>(field); }
  uint16_t U16(std::string_view field) { return Fixed<uint16_t>(field); }
  uint32_t U32(std::string_view field) { return Fixed<uint32_t>(field); }
  uint64_t U64(std::string_view field) { return Fixed<uint64_t>(field); }
  int64_t I64(std::string_view field) { return Fixed<int64_t>(field); }
  double F64(std::string_view field) { return std::bit_cast<double>(U64(field)); }

  uint64_t Varint(std::string_view field, uint64_t max = UINT64_MAX) {
    size_t at = position();
    uint64_t value = reader_.Varint();
    if (!reader_.ok()) Fail(field, at, "is cut or too long");
    if (ok() && value > max) Fail(field, at, fmt::format("is {}, above {}", value, max));
    return ok() ? value : 0;
  }
  // A varint length of at most `max`, then that many bytes, which stay in the body.
  std::string_view Text(std::string_view field, size_t max) {
    size_t at = position();
    uint64_t size = Varint(field, max);
    if (ok() && size > remaining()) Fail(field, at, "ends beyond the body");
    return ok() ? reader_.TakeString(size) : std::string_view();
  }
  // A varint count of at most `max`, then that many entries, each as `read` gives it.
  template <typename Read>
  auto List(std::string_view count_field, uint64_t max, Read read) {
    std::vector<std::invoke_result_t<Read, FieldReader*>> entries;
    const uint64_t count = Varint(count_field, max);
    for (uint64_t i = 0; i < count && ok(); i++) entries.push_back(read(this));
    return entries;
  }
  Bytes Take(std::string_view field, uint64_t size) {
    if (size > remaining()) Fail(field, position(), "ends beyond the body");
    return ok() ? reader_.Take(size) : Bytes();
  }
  void Zeros(std::string_view field, size_t size) {
    size_t at = position();
    for (std::byte b : Take(field, size)) {
      if (b != std::byte{0}) Fail(field, at, "is not zero");
    }
  }
  // The first failure stays.
  void Fail(std::string_view field, size_t at, std::string_view what) {
    if (!ok()) return;
    error_ = fmt::format("{}: {} at byte {} of the body {}", message_, field, at, what);
    reader_.Fail();
  }

  // Errors: InvalidArgument - the first failure, or bytes left over.
  Status Finish() {
    if (ok() && remaining() > 0) {
      Fail("the message", position(), fmt::format("is followed by {} bytes", remaining()));
    }
    return ok() ? OkStatus() : InvalidArgument("{}", error_);
  }

 private:
  template <typename T>
  T Fixed(std::string_view field) {
    size_t at = position();
    T value = reader_.Fixed<T>();
    if (!reader_.ok()) Fail(field, at, "ends beyond the body");
    return value;
  }

  std::string_view message_;
  ByteReader reader_;
  std::string error_;
};

}  // namespace nexus::protocol

#endif  // NEXUS_CLIENT_PROTOCOL_FIELD_READER_H_
