// Spans of bytes, and little-endian reading and writing of them.
//
// ByteWriter appends to a std::string. ByteReader walks untrusted bytes: reading past the end
// latches a failure and yields zeros, so a decoder reads a whole structure and checks ok() once -
// before it acts on what it read. All integers on disk and wire are little-endian. Threading:
// values, no sharing.

#ifndef NEXUS_BASE_BYTES_H_
#define NEXUS_BASE_BYTES_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace nexus {

static_assert(std::endian::native == std::endian::little,
              "columns are copied between memory and disk as they are: little-endian hosts only");

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

inline std::string_view AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes AsBytes(std::string_view s) {
  return {reinterpret_cast<const std::byte*>(s.data()), s.size()};
}
inline std::string_view AsString(Bytes b) {
  return {reinterpret_cast<const char*>(b.data()), b.size()};
}
template <typename T>
requires std::is_trivially_copyable_v<T> Bytes ColumnBytes(std::span<T> column) {
  return std::as_bytes(column);
}

// Reads or writes a trivially copyable value at an address of any alignment.
template <typename T>
requires std::is_trivially_copyable_v<T> T LoadUnaligned(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}
template <typename T>
requires std::is_trivially_copyable_v<T>
void StoreUnaligned(void* to, T value) { std::memcpy(to, &value, sizeof(T)); }

constexpr uint64_t AlignUp(uint64_t n, uint64_t alignment) {
  return (n + alignment - 1) / alignment * alignment;
}

constexpr uint64_t ZigZagEncode(int64_t v) {
  return (static_cast<uint64_t>(v) << 1) ^ static_cast<uint64_t>(v >> 63);
}
constexpr int64_t ZigZagDecode(uint64_t v) {
  return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1);
}

class ByteWriter {
 public:
  explicit ByteWriter(std::string* out) : out_(out) {}

  template <typename T>
  requires std::is_integral_v<T>
  void Fixed(T value) { out_->append(reinterpret_cast<const char*>(&value), sizeof(T)); }
  void U8(uint8_t v) { Fixed(v); }
  void U16(uint16_t v) { Fixed(v); }
  void U32(uint32_t v) { Fixed(v); }
  void U64(uint64_t v) { Fixed(v); }
  void I64(int64_t v) { Fixed(v); }
  void F64(double v) { Fixed(std::bit_cast<uint64_t>(v)); }
  void Varint(uint64_t v) {
    while (v >= 0x80) {
      U8(static_cast<uint8_t>(v | 0x80));
      v >>= 7;
    }
    U8(static_cast<uint8_t>(v));
  }
  void Raw(Bytes bytes) { out_->append(reinterpret_cast<const char*>(bytes.data()), bytes.size()); }
  void Raw(std::string_view s) { out_->append(s); }
  // A varint length, then the bytes.
  void LengthPrefixed(std::string_view s) {
    Varint(s.size());
    Raw(s);
  }
  void Zeros(size_t n) { out_->append(n, '\0'); }
  size_t size() const { return out_->size(); }

 private:
  std::string* out_;
};

class ByteReader {
 public:
  explicit ByteReader(Bytes bytes)
      : begin_(bytes.data()), at_(bytes.data()), end_(begin_ + bytes.size()) {}
  explicit ByteReader(std::string_view s) : ByteReader(AsBytes(s)) {}

  bool ok() const { return ok_; }
  bool done() const { return at_ == end_; }
  size_t remaining() const { return static_cast<size_t>(end_ - at_); }
  size_t position() const { return static_cast<size_t>(at_ - begin_); }
  // Latches the failure; every later read yields zero or nothing.
  void Fail() {
    ok_ = false;
    at_ = end_;
  }

  template <typename T>
  requires std::is_integral_v<T> T Fixed() {
    if (remaining() < sizeof(T)) {
      Fail();
      return 0;
    }
    T value = LoadUnaligned<T>(at_);
    at_ += sizeof(T);
    return value;
  }
  uint8_t U8() { return Fixed<uint8_t>(); }
  uint16_t U16() { return Fixed<uint16_t>(); }
  uint32_t U32() { return Fixed<uint32_t>(); }
  uint64_t U64() { return Fixed<uint64_t>(); }
  int64_t I64() { return Fixed<int64_t>(); }
  double F64() { return std::bit_cast<double>(Fixed<uint64_t>()); }
  // At most ten bytes; an over-long or overflowing one fails.
  uint64_t Varint();
  // The next `n` bytes, not copied; empty and failed if there are fewer.
  Bytes Take(size_t n) {
    if (remaining() < n) {
      Fail();
      return {};
    }
    Bytes taken(at_, n);
    at_ += n;
    return taken;
  }
  std::string_view TakeString(size_t n) { return AsString(Take(n)); }
  // A varint length of at most `max`, then that many bytes.
  std::string_view LengthPrefixed(size_t max) {
    uint64_t n = Varint();
    if (n > max) {
      Fail();
      return {};
    }
    return TakeString(static_cast<size_t>(n));
  }
  // Reads `n` bytes and fails unless all are zero (reserved fields).
  void ExpectZeros(size_t n) {
    for (std::byte b : Take(n)) {
      if (b != std::byte{0}) Fail();
    }
  }

 private:
  const std::byte* begin_;
  const std::byte* at_;
  const std::byte* end_;
  bool ok_ = true;
};

inline uint64_t ByteReader::Varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    uint8_t byte = U8();
    if (!ok_) return 0;
    if (shift == 63 && byte > 1) break;
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  Fail();
  return 0;
}

}  // namespace nexus

#endif  // NEXUS_BASE_BYTES_H_
