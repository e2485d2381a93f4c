// Gunzip: a gzip stream inflated piece by piece, in the memory of zlib's window.
//
// Several members one after the other are one stream, as gzip(1) has it. The caller bounds how much
// comes out: a kilobyte may stand for a megabyte. Failure: InvalidArgument, latched. Threading: one
// thread. Source of the format: RFC 1952.

#ifndef NEXUS_SERVER_GUNZIP_H_
#define NEXUS_SERVER_GUNZIP_H_

#include <cstddef>
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"

namespace nexus::server {

class Gunzip {
 public:
  Gunzip();
  ~Gunzip();
  Gunzip(const Gunzip&) = delete;
  Gunzip& operator=(const Gunzip&) = delete;

  // Takes bytes off the front of `input` and writes what they stand for: how many bytes. Less than
  // `out` has room for only if all input was taken, or the stream is damaged behind them: some
  // input is left then, and the next call fails. REQUIRES: `out` is not empty.
  StatusOr<size_t> Next(std::string_view* input, MutableBytes out);
  // What was given so far is whole: at least one member, and none begun.
  bool complete() const { return complete_; }

 private:
  struct Stream;
  const std::unique_ptr<Stream> stream_;
  bool complete_ = false;
  Status status_;
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_GUNZIP_H_
