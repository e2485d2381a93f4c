// Reader: a client that asks a server questions while it is killed, and judges the answers.
//
// One reader asks one question at a time, so that what one answer decided about a batch cannot be
// contradicted by an answer that is older.
//
// Failure: told to the judge. A question that a death of the server interrupted says nothing.
// Threading: Reader's calls are one thread's; ReaderThread owns a thread, its methods are the
// loop's.

#ifndef NEXUS_TESTS_KILL_LOOP_READER_H_
#define NEXUS_TESTS_KILL_LOOP_READER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "base/types.h"
#include "client/client.h"
#include "tests/kill_loop/judge.h"
#include "tests/kill_loop/server.h"

namespace nexus::kill_loop {

class Reader {
 public:
  explicit Reader(Judge* judge) : judge_(judge) {}

  // Waits for the server for ever. False after a failure.
  bool Connect(const std::string& address);
  client::Client* client() { return client_.get(); }

  // Everything of these series in this range, judged; the number of samples, or nothing if it was
  // interrupted or wrong. `one`: of the first series only.
  std::optional<uint64_t> CheckWriter(uint32_t writer, const TimeRange& range);
  std::optional<uint64_t> CheckSeries(uint32_t series, const TimeRange& range);
  // The list of all series, judged.
  bool CheckSeriesList();
  // A scrub of the serving database, which must find nothing.
  void Scrub();
  void Flush();
  // A figure of the server's; nothing if it was interrupted.
  std::optional<uint64_t> Figure(const std::string& name);

 private:
  std::optional<uint64_t> Check(const std::string& selector, const Oracle::Query& query);
  // Says whether it was only interrupted.
  bool Interrupted(const Status& status, const std::string& what);

  Judge* const judge_;
  std::unique_ptr<client::Client> client_;
};

// Judges all there is, while nothing is written: every writer's samples, the list of series. If
// every place was written once, `others` is the number of samples that are not the writers', and
// what the server stores must be those and what is found. Then the server is stopped in order and
// its folder scrubbed.
Problem CheckWhole(Reader* reader, Judge* judge, ServerUnderTest* server, uint32_t writers,
                   std::optional<uint64_t> others);

// Asks at random until it is stopped.
class ReaderThread {
 public:
  ReaderThread(std::string address, uint32_t writers, uint64_t seed, Judge* judge);
  ~ReaderThread() { Stop(); }
  ReaderThread(const ReaderThread&) = delete;
  ReaderThread& operator=(const ReaderThread&) = delete;
  void Stop();

 private:
  void Run();
  void AskOne(Reader* reader);

  const std::string address_;
  const uint32_t writers_;
  Judge* const judge_;
  std::mt19937_64 random_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace nexus::kill_loop

#endif  // NEXUS_TESTS_KILL_LOOP_READER_H_
