// FairTurns: who goes next to the workers, where more want to than there are.
//
// What one tenant wants done waits its turn first come, first served; tenants take turns with each
// other. So one tenant's storm of queries makes another wait for one turn of each tenant that is
// waiting, however many queries the storm has. A turn is one piece of a query (query_job.h).
// Threading: loop only. No bound of its own: it holds what the callers hold.

#ifndef NEXUS_SERVER_FAIR_TURNS_H_
#define NEXUS_SERVER_FAIR_TURNS_H_

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "io/task.h"

namespace nexus::server {

class FairTurns {
 public:
  // `at_once`: turns that may be under way.
  explicit FairTurns(int at_once) : free_(at_once) {}
  FairTurns(const FairTurns&) = delete;
  FairTurns& operator=(const FairTurns&) = delete;

  // Returns when it is the caller's turn, which lasts until it calls End.
  io::Task<void> Begin(std::string tenant) {
    if (free_ > 0) {
      free_--;
      co_return;
    }
    io::Event turn;
    waiting_[tenant].push_back(&turn);
    co_await turn.Wait();
  }
  void End() {
    if (waiting_.empty()) {
      free_++;
      return;
    }
    // The tenant behind the one that had the last turn.
    auto next = waiting_.upper_bound(last_);
    if (next == waiting_.end()) next = waiting_.begin();
    last_ = next->first;
    io::Event* turn = next->second.front();
    next->second.pop_front();
    if (next->second.empty()) waiting_.erase(next);
    turn->Set();
  }

 private:
  int free_;
  std::map<std::string, std::deque<io::Event*>> waiting_;  // by tenant; none is empty
  std::string last_;  // who had the last turn that was waited for
};

}  // namespace nexus::server

#endif  // NEXUS_SERVER_FAIR_TURNS_H_
