// Writer: a client that appends batches to a server that is killed again and again.
//
// A durable batch is the client's to bring through, exactly once, over any number of deaths: every
// other end of it is a violation. A buffered one may be lost with the process that had it. The loop
// may drop a writer's client at a death of the server, as if the writer's process had died too:
// what it had under way is doubtful then.
//
// Failure: told to the judge, and the writer stops. Threading: it owns a thread; methods are the
// loop's. Callbacks come on the client's thread.

#ifndef NEXUS_TESTS_KILL_LOOP_WRITER_H_
#define NEXUS_TESTS_KILL_LOOP_WRITER_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "client/client.h"
#include "tests/kill_loop/judge.h"

namespace nexus::kill_loop {

struct WriterOptions {
  std::string address;
  uint32_t number = 0;
  uint64_t seed = 0;
  // Every place is written once, so that the number of samples stored tells if one counts twice.
  bool unique_places = false;
  // One batch in so many is buffered; 0: none.
  uint32_t buffered_one_in = 0;
  uint32_t batch_samples_max = 40;
  int64_t pause_max_us = 1500;  // between two batches
};

class Writer {
 public:
  Writer(WriterOptions options, Judge* judge);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Drops the client, and makes another once the server is back. Returns when the old one is gone.
  // REQUIRES: the server is dead.
  void DropClient();
  // No more batches; returns when all are answered.
  void Finish();

 private:
  void Run();
  bool Connect();
  void AppendOne();
  std::vector<Place> ChoosePlaces();
  void OnOutcome(uint64_t number, size_t samples, bool buffered,
                 const StatusOr<client::WriteOutcome>& outcome);

  const WriterOptions options_;
  Judge* const judge_;
  std::mt19937_64 random_;                  // the thread's
  std::map<uint32_t, SeriesId> series_;     // the thread's; of this client
  std::unique_ptr<client::Client> client_;  // the thread's
  uint64_t sent_ = 0;                       // the thread's
  std::atomic<uint64_t> waiting_ = 0;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> drop_ = false;
  std::atomic<bool> connecting_ = true;
  std::thread thread_;
};

}  // namespace nexus::kill_loop

#endif  // NEXUS_TESTS_KILL_LOOP_WRITER_H_
