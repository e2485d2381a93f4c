// What the process itself uses, as the kernel counts it.
//
// Read from /proc/self/stat through the seam; where that is missing (the simulation, another
// system) the figures stay 0. Threading: any thread that may block.

#ifndef NEXUS_SERVER_PROCESS_FIGURES_H_
#define NEXUS_SERVER_PROCESS_FIGURES_H_

#include "io/file.h"
#include "server/metrics.h"

namespace nexus::server {

// Sets resident_bytes and cpu_seconds.
void ReadProcessFigures(io::Disk* disk, ProcessFigures* figures);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_PROCESS_FIGURES_H_
