// Reading the kernel's figures of this process. See process_figures.h.

#include "server/process_figures.h"

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/labels.h"
#include "io/file_util.h"
#include "server/proc_parser.h"

namespace nexus::server {
namespace {

// 52 numbers of at most 20 digits and a name of 15 letters.
constexpr uint64_t kStatBytesMax = 4096;

}  // namespace

void ReadProcessFigures(io::Disk* disk, ProcessFigures* figures) {
  StatusOr<std::string> text = io::ReadWholeFileBlocking(disk, "/proc/self/stat", kStatBytesMax);
  if (!text.ok()) return;
  ParseProcSelfStat(*text,
                    [figures](std::string_view metric, std::initializer_list<Label>, double value) {
                      if (metric == "process_cpu_seconds_total") figures->cpu_seconds += value;
                      if (metric == "process_resident_memory_bytes") {
                        figures->resident_bytes = static_cast<uint64_t>(value);
                      }
                    });
}

}  // namespace nexus::server
