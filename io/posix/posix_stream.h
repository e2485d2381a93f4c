// PosixStream: a connected stream on epoll. See io/real/stream_core.h for what it shares.
//
// Nothing is ever in flight: it receives when bytes are wanted and there, into the caller's buffer
// or into one that all streams share, and sends when there is room. Each turn it does so a limited
// number of times, so that no stream starves the others. Threading: the loop's.

#ifndef NEXUS_IO_POSIX_POSIX_STREAM_H_
#define NEXUS_IO_POSIX_POSIX_STREAM_H_

#include <cstdint>

#include "io/posix/posix_loop.h"
#include "io/real/stream_core.h"

namespace nexus::io {

class PosixStream : public StreamCore, private Watcher {
 public:
  // `scratch` is shared by all streams of the loop.
  PosixStream(PosixLoop* loop, int fd, MutableBytes scratch);

 protected:
  void Drive() override;
  void CancelInFlight() override;
  bool InFlight() const override { return false; }

 private:
  // System calls of one turn each way: 1 MiB at 64 KiB each.
  static constexpr int kCallsPerTurn = 16;

  void OnEvents(uint32_t events) override;
  void ReceiveOnce();
  void SendOnce();

  PosixLoop* const posix_loop_;
  const MutableBytes scratch_;
  bool watched_ = false;
  bool readable_ = true;
  bool writable_ = true;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_POSIX_POSIX_STREAM_H_
