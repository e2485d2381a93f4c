// Moving a session's bytes. See link.h.

#include "client/link.h"

#include <optional>
#include <utility>

#include "io/executor.h"

namespace nexus::client {
namespace {

constexpr int64_t kBeatNs = 50'000'000;
constexpr int kSendsMax = 2;

}  // namespace

// One output on its way.
struct Link::Sending : io::SendOp {
  Sending(Link* sender, Output taken)
      : io::SendOp(&Link::OnSent), link(sender), output(std::move(taken)) {
    Add(AsBytes(output.head));
    if (!output.body.empty()) Add(output.body);
  }
  Link* link;
  Output output;
};

Link::Link(io::Environment* environment, io::Network* network, Session* session, Options options)
    : environment_(environment),
      network_(network),
      session_(session),
      options_(std::move(options)),
      backoff_(options_.seed),
      status_(Unavailable("not connected yet")) {}

Link::~Link() = default;

io::Task<void> Link::Run() {
  bool first = true;
  while (!over()) {
    io::ConnectResult connected =
        co_await network_->Connect(options_.address, options_.connect_timeout_ns);
    if (connected.error != 0) {
      status_ = ErrnoStatus(-connected.error, "connecting to", options_.address);
      if (first && options_.must_connect_first) session_->Shutdown(status_);
    } else if (!stopping_) {
      co_await Serve(std::move(connected.stream));
    }
    first = false;
    if (!over()) co_await Pause(backoff_.Next());
  }
  ended_ = true;
}

io::Task<void> Link::Serve(std::unique_ptr<io::Stream> stream) {
  stream_ = std::move(stream);
  dropped_ = false;
  status_ = OkStatus();
  session_->set_now(environment_->MonotonicNanos());
  session_->OnConnected();
  stream_->Start(this);
  Wake();
  while (!dropped_) {
    changed_.Reset();
    co_await changed_.Wait();
  }
  stream_->Close();
  // The session's memory is being read until then.
  while (sending_ > 0) {
    changed_.Reset();
    co_await changed_.Wait();
  }
  if (session_->welcome().has_value()) {
    backoff_.Reset();
    if (!over()) TellChange();
  }
  stream_.reset();
  session_->set_now(environment_->MonotonicNanos());
  session_->OnDisconnected(status_);
}

io::Task<void> Link::Pause(int64_t ns) {
  const int64_t end = environment_->MonotonicNanos() + ns;
  while (!over() && environment_->MonotonicNanos() < end) {
    int64_t left = end - environment_->MonotonicNanos();
    co_await environment_->executor()->Sleep(left < kBeatNs ? left : kBeatNs);
  }
}

io::Task<void> Link::Beat() {
  while (!ended_) {
    co_await environment_->executor()->Sleep(kBeatNs);
    Status alive = session_->OnTime(environment_->MonotonicNanos());
    if (!alive.ok()) Drop(std::move(alive));
    // A session that has failed needs no connection any more.
    if (over()) Drop(session_->failure());
    Wake();
  }
}

void Link::Stop() {
  stopping_ = true;
  Drop(Cancelled("the client is being closed"));
}

void Link::Wake() {
  // A completion of the session's may come back here.
  if (stream_ == nullptr || dropped_ || pumping_) return;
  pumping_ = true;
  session_->set_now(environment_->MonotonicNanos());
  while (sending_ < kSendsMax) {
    std::optional<Output> output = session_->TakeOutput();
    if (!output.has_value()) break;
    sending_++;
    stream_->Send(std::make_unique<Sending>(this, *std::move(output)).release());
  }
  pumping_ = false;
}

void Link::OnSent(io::SendOp* op) {
  std::unique_ptr<Sending> sending(static_cast<Sending*>(op));
  Link* link = sending->link;
  link->sending_--;
  if (sending->result < 0) {
    link->Drop(
        ErrnoStatus(static_cast<int>(-sending->result), "sending to", link->options_.address));
  }
  if (link->dropped_) {
    link->changed_.Set();
    return;
  }
  link->session_->OnOutputSent();
  link->Wake();
}

void Link::OnReceive(Bytes bytes) {
  if (dropped_) return;
  session_->set_now(environment_->MonotonicNanos());
  Status status = session_->OnReceive(bytes);
  if (!status.ok()) return Drop(std::move(status));
  if (told_lost_ && session_->welcome().has_value()) TellChange();
  Wake();
}

void Link::OnReceiveEnd(int error) {
  Drop(error == 0 ? Unavailable("{} closed the connection", options_.address)
                  : ErrnoStatus(-error, "receiving from", options_.address));
}

void Link::TellChange() {
  told_lost_ = !status_.ok();
  if (options_.on_change) options_.on_change(status_);
}

void Link::Drop(Status why) {
  if (stream_ == nullptr || dropped_) return;
  dropped_ = true;
  status_ = std::move(why);
  changed_.Set();
}

}  // namespace nexus::client
