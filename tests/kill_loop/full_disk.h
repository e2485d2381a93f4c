// The full disk: the shipped server on a small file system that fills up under it.
//
// Clients write until the server refuses writes for lack of space; everything acknowledged can be
// read meanwhile. The server is killed while it is full, and opens again while it is full. When a
// ballast file is deleted, writing goes on by itself. In the end everything acknowledged is there,
// nothing else, nothing twice, and `nexus scrub` finds nothing.
//
// The file system is a tmpfs in a mount namespace of this process, so that it is gone with it.
// Failure: a Problem; where the kernel does not permit such mounts, a reason to skip the run.
// Threading: RunFullDisk blocks.

#ifndef NEXUS_TESTS_KILL_LOOP_FULL_DISK_H_
#define NEXUS_TESTS_KILL_LOOP_FULL_DISK_H_

#include <cstdint>
#include <filesystem>
#include <string>

#include "tests/kill_loop/judge.h"
#include "tests/kill_loop/server.h"

namespace nexus::kill_loop {

struct FullDiskOptions {
  std::filesystem::path directory;  // exists; the file system is mounted on a folder of it
  uint64_t seed = 0;
  std::string io;  // a value of --io; empty: what the environment says
};

// Gives this process mounts of its own. Why not, if the kernel does not permit it. REQUIRES: the
// process has no other thread.
Problem EnterPrivateMounts();

// REQUIRES: EnterPrivateMounts() gave nothing. Adds to `totals` what it did.
Problem RunFullDisk(const FullDiskOptions& options, Totals* totals);

}  // namespace nexus::kill_loop

#endif  // NEXUS_TESTS_KILL_LOOP_FULL_DISK_H_
