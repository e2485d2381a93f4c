// Network::Endpoint, Connection, Port: one end of a simulated stream, the pair of them, and one who
// listens. Internal to Network.
//
// What is on its way to an endpoint waits in its inbox. Two nodes in the scheduler move it:
// `arrive` hands the next piece over after a delay, `advance` does what the endpoint's own process
// asked for. Both belong to that process and go with it.

#ifndef NEXUS_IO_SIM_ENDPOINT_H_
#define NEXUS_IO_SIM_ENDPOINT_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "io/sim/network.h"
#include "io/stream_side.h"

namespace nexus::sim {

class Network::Endpoint {
 public:
  Endpoint(Network* network, Connection* connection, std::shared_ptr<Life> life);

  // ---- For the handle.
  io::ReceiveSide& receive() { return receive_; }
  io::SendSide& send() { return send_; }
  // After each change of them: does the rest from the loop.
  void Kick();
  void Close(bool reset);

  // ---- For the network.
  const Life& life() const { return *life_; }
  const std::shared_ptr<Life>& shared_life() const { return life_; }
  // Nobody will touch it: closed and done, or of a dead process.
  bool gone() const { return !life_->alive || (closed_ && !advance_.waits && !arrive_.waits); }
  bool open() const { return life_->alive && !closed_; }
  // The connection is lost: of what is on its way some arrives, then -ECONNRESET.
  void Reset();
  void Silence() { silent_ = true; }

 private:
  struct Step : io::RunNode {
    Step(Endpoint* of, Function function) : RunNode(function), end(of) {}
    Endpoint* end;
    bool waits = false;  // in the scheduler
  };
  static void RunAdvance(io::RunNode* node);
  static void RunArrive(io::RunNode* node);

  Endpoint* other() const;
  void Advance();
  void SendWhatFits();
  void Arrive();
  void HandOverPiece();
  bool SomethingArrives() const;
  void ExpectArrival();
  uint64_t ChoosePiece(uint64_t bytes);

  Network* const network_;
  Connection* const connection_;
  const std::shared_ptr<Life> life_;
  Step advance_{this, &RunAdvance};
  Step arrive_{this, &RunArrive};
  io::ReceiveSide receive_;
  io::SendSide send_;
  std::string inbox_;
  size_t inbox_at_ = 0;          // what is before was handed over
  bool end_on_its_way_ = false;  // the peer's orderly end, behind the inbox
  bool reset_on_its_way_ = false;
  bool end_arrived_ = false;
  bool silent_ = false;
  bool closed_ = false;
};

struct Network::Connection {
  Connection(Network* network, uint64_t id, std::shared_ptr<Life> client_life,
             std::shared_ptr<Life> server_life)
      : number(id),
        client(network, this, std::move(client_life)),
        server(network, this, std::move(server_life)) {}
  const uint64_t number;
  std::string client_address;
  std::string server_address;
  Endpoint client;
  Endpoint server;
};

class Network::Port : io::RunNode {
 public:
  Port(Network* network, std::shared_ptr<Life> life, std::string address, uint16_t number,
       int backlog, io::AcceptHandler* handler);

  const Life& life() const { return *life_; }
  const std::shared_ptr<Life>& shared_life() const { return life_; }
  const std::string& address() const { return address_; }
  uint16_t number() const { return number_; }
  bool full() const { return waiting_.size() >= backlog_; }
  void Add(Connection* connection);
  // No more callbacks; who waits is reset.
  void Close();
  bool closed() const { return closed_; }
  bool gone() const { return !life_->alive || (closed_ && !scheduled_); }

 private:
  static void RunAccept(io::RunNode* node);
  void ExpectAccept();

  Network* const network_;
  const std::shared_ptr<Life> life_;
  const std::string address_;
  const uint16_t number_;
  const size_t backlog_;
  io::AcceptHandler* const handler_;
  std::deque<Connection*> waiting_;
  bool scheduled_ = false;
  bool closed_ = false;
};

// What the processes hold. Dead processes' handles do nothing.
class Network::StreamHandle : public io::Stream {
 public:
  StreamHandle(Endpoint* end, std::string peer, std::string local)
      : end_(end), life_(end->shared_life()), peer_(std::move(peer)), local_(std::move(local)) {}
  ~StreamHandle() override { End(/*reset=*/true); }
  const std::string& peer() const override { return peer_; }
  const std::string& local() const override { return local_; }
  void Start(io::StreamHandler* handler) override;
  void PauseReceive() override;
  void ResumeReceive() override;
  void ReceiveInto(io::ReceiveOp* op) override;
  void Send(io::SendOp* op) override;
  void ShutdownSend() override;
  void Close() override { End(/*reset=*/false); }
  void Abort() override { End(/*reset=*/true); }

 private:
  Endpoint* Live() const;
  void End(bool reset);

  Endpoint* end_;  // null once closed
  const std::shared_ptr<Life> life_;
  const std::string peer_;
  const std::string local_;
};

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_ENDPOINT_H_
