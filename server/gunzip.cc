// Inflating with zlib. See gunzip.h.

#include "server/gunzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace nexus::server {
namespace {

// The largest window, and a gzip header only.
constexpr int kWindowBits = 15 + 16;

}  // namespace

struct Gunzip::Stream {
  z_stream z = {};
};

Gunzip::Gunzip() : stream_(std::make_unique<Stream>()) {
  int result = inflateInit2(&stream_->z, kWindowBits);
  if (result != Z_OK) status_ = ResourceExhausted("no memory to inflate gzip");
}

Gunzip::~Gunzip() { inflateEnd(&stream_->z); }

StatusOr<size_t> Gunzip::Next(std::string_view* input, MutableBytes out) {
  NEXUS_CHECK(!out.empty());
  z_stream* z = &stream_->z;
  const std::string_view whole = *input;
  constexpr size_t kMost = std::numeric_limits<uInt>::max();
  z->next_out = reinterpret_cast<Bytef*>(out.data());
  const auto room = static_cast<uInt>(std::min(out.size(), kMost));
  z->avail_out = room;
  while (status_.ok() && !input->empty() && z->avail_out > 0) {
    if (complete_ && inflateReset(z) != Z_OK) status_ = InvalidArgument("gzip: cannot go on");
    complete_ = false;
    const auto offered = static_cast<uInt>(std::min(input->size(), kMost));
    // zlib does not write to its input.
    z->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input->data()));
    z->avail_in = offered;
    const int result = inflate(z, Z_NO_FLUSH);
    input->remove_prefix(offered - z->avail_in);
    if (result == Z_STREAM_END) {
      complete_ = true;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      status_ = InvalidArgument("gzip: {}", z->msg == nullptr ? "not a gzip stream" : z->msg);
    }
  }
  // Output that zlib still holds when the input is gone.
  if (status_.ok() && input->empty() && !complete_ && z->avail_out > 0) {
    z->avail_in = 0;
    const int result = inflate(z, Z_NO_FLUSH);
    if (result == Z_STREAM_END) complete_ = true;
  }
  const size_t given = room - z->avail_out;
  if (status_.ok()) return given;
  if (given == 0) return status_;
  // What stands before the damage comes first, so that it does not depend on how the stream was
  // cut; the damage is told by the next call, which must come.
  if (input->empty()) *input = whole.substr(whole.size() - 1);
  return given;
}

}  // namespace nexus::server
