// Life: what a simulated process and all it gave out (files, locks, streams) share - whether it
// still lives, and who it is. Threading: one thread.

#ifndef NEXUS_IO_SIM_LIFE_H_
#define NEXUS_IO_SIM_LIFE_H_

#include <cstdint>

namespace nexus::sim {

class Disk;
class Executor;

struct Life {
  Disk* disk;  // null for the process outside, which has none
  int64_t pid;
  Executor* owner = nullptr;  // of its entries in the scheduler
  bool alive = true;
};

}  // namespace nexus::sim

#endif  // NEXUS_IO_SIM_LIFE_H_
