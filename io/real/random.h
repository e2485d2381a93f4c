// KernelRandom: the kernel's random numbers. Threading: any.

#ifndef NEXUS_IO_REAL_RANDOM_H_
#define NEXUS_IO_REAL_RANDOM_H_

#include "io/environment.h"

namespace nexus::io {

class KernelRandom : public Random {
 public:
  uint64_t Next() override;
};

}  // namespace nexus::io

#endif  // NEXUS_IO_REAL_RANDOM_H_
