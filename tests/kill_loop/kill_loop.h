// The kill loop: the shipped server under kill -9 at random instants, with clients that write and
// ask all the time, judged by the simulator's oracle. What the simulator cannot reach is in it: the
// real kernel, LMDB on real files, real threads.
//
// A run goes through folders, one after the other: each is killed some dozens of times, within its
// opening too, so that recovery meets what earlier recoveries left, and is then judged whole: every
// acknowledged batch is there, nothing else, nothing twice; `nexus scrub` finds nothing. It is also
// scrubbed as a kill left it. Where kills fall is the kernel's: the seed fixes what is drawn, not
// what happens.
//
// Failure: a Problem, the folder is left for a look. Threading: RunKillLoop blocks; `progress` is
// called on its thread.

#ifndef NEXUS_TESTS_KILL_LOOP_KILL_LOOP_H_
#define NEXUS_TESTS_KILL_LOOP_KILL_LOOP_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tests/kill_loop/judge.h"
#include "tests/kill_loop/server.h"

namespace nexus::kill_loop {

struct KillLoopOptions {
  std::filesystem::path directory;  // exists; a folder of it is used
  uint64_t seed = 0;
  int64_t seconds = 30;  // no folder is begun, and no kill made, after it
  // Values of --io that lives of the server take in turn; empty: what the environment says.
  std::vector<std::string> backends;
  std::function<void(const Totals&)> progress;
};

// Adds to `totals` what it did.
Problem RunKillLoop(const KillLoopOptions& options, Totals* totals);

}  // namespace nexus::kill_loop

#endif  // NEXUS_TESTS_KILL_LOOP_KILL_LOOP_H_
